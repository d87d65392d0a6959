"""A person named by a mobile number, in every command that takes a person or a column of ids."""

from __future__ import annotations

import json

import pytest

from tests.e2e.test_cli import call, good

EVENTS = """user,event,time,$identity_mobile
ann,look,2026-10-01,138
bob,look,2026-10-02,139
"""


@pytest.fixture
def said(tmp_path):
    (tmp_path / "f.csv").write_text(EVENTS)
    typed = ("--type", "$identity_mobile=string")
    good("import", "f.csv", "-d", "data", "--user", "user", *typed, cwd=tmp_path)

    def said(*arguments):
        return good(*arguments, "-d", "data", cwd=tmp_path)

    return said


def test_every_command_takes_a_mobile(said, tmp_path):
    (tmp_path / "ids.csv").write_text("mobile,level\n138,gold\n")
    said("cohort", "load", "list", "ids.csv", "--id", "mobile")
    assert said("cohort", "has", "list", "138", "--id", "mobile").split() == ["yes"]
    assert said("cohort", "members", "list").split() == ["user_id", "ann"]
    (tmp_path / "tags.json").write_text(
        '{"name": "level", "rule": {"kind": "imported", "type": "string"}}'
    )
    said("tag", "set", "tags.json")
    said("tag", "load", "level", "ids.csv", "--id", "mobile", "--value-column", "level")
    assert json.loads(said("tag", "user", "138", "--id", "$identity_mobile")) == {"level": "gold"}
    shown = said("timeline", "138", "--id", "mobile", "--format", "json")
    assert [row[1] for row in json.loads(shown)["rows"]] == ["look"]
    owners = json.loads(said("id", "show", "138", "--type", "mobile", "--format", "json"))
    assert [one["user_id"] for one in owners["device"]["owners"]] == ["ann"]
    call("id", "bind", "ann", "o-1", "--type", "openid", "-d", "data", cwd=tmp_path)
    devices = json.loads(said("id", "show", "ann", "--format", "json"))["customer"]["devices"]
    assert {one["device_id"] for one in devices} == {"$identity_mobile+138", "$identity_openid+o-1"}
    lines = said("export-user", "--id", "openid=o-1").splitlines()
    assert json.loads(lines[0])["kind"] == "person"
    (tmp_path / "gone.txt").write_text("138\n")
    said("erase", "--file", "gone.txt", "--file-id", "mobile", "--yes")
    said("erase", "--id", "mobile=139", "--yes")
    assert said("sql", "SELECT count(*) AS n FROM events", "--format", "csv").split() == ["n", "0"]
