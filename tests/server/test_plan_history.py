"""``GET /v1/plan/history``: all versions of a plan, and what each changed."""

from __future__ import annotations

import pytest

from tests.server.signing import Console


@pytest.fixture
def console(tmp_path):
    console = Console(tmp_path)
    yield console
    console.close()


def test_a_project_without_a_plan_has_no_versions(console):
    answer = console.signed_in().get("/v1/plan/history?project=bank")
    assert answer.status_code == 200
    assert answer.json() == {"versions": []}


def test_the_first_version_changed_what_was_open(console):
    browser = console.signed_in()
    for mode in ("warn", "strict"):
        assert browser.ask("PUT", "/v1/plan?project=bank", {"mode": mode}).status_code == 200
    versions = browser.get("/v1/plan/history?project=bank").json()["versions"]
    assert [one["changes"] for one in versions] == [
        ["~ mode: warn → strict"],
        ["~ mode: open → warn"],
    ]
