"""Which identity of Sensors' SDKs is a customer's own id, project by project."""

from __future__ import annotations

import pytest

import zuji
from tests.server.test_lane import answered, collecting, get, post, record
from zuji.engine.errors import InvalidInput
from zuji.server.collector import app
from zuji.server.settings import Settings, login_keys, of_projects

SAID = "$identity_bank_cif, $identity_member; loans: $identity_loan_id"
IDENTITIES = {"$identity_bank_cif": "c1", "$identity_loan_id": "l1", "$identity_cookie_id": "k1"}


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """A token is known for as long as a test takes."""
    monkeypatch.setattr(app, "KNOWN_MS", 60_000)


def sent(way, project, i):
    """A record with all identities."""
    one, token = {**record(i), "identities": IDENTITIES}, project.encode()
    if way == "the body names the key":
        return post([one], "/sa").replace(b"data_list=", b"token=%b&data_list=" % token)
    return get(one, token=token)


def with_length(request):
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    lines += [b"Content-Length: %d" % len(body)] if body else []
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize("way", ["by the lane", "not by the lane", "the body names the key"])
def test_a_project_has_its_own_keys(tmp_path, way):
    for project in ("default", "loans"):
        zuji.open(tmp_path, project).close()
    quickly = way == "by the lane"
    with collecting(tmp_path, quickly=quickly, dev=True, sensors_login_keys=SAID) as live:
        asked = [
            with_length(sent(way, project, i)) for i in (1, 2) for project in ("default", "loans")
        ]
        for told in answered(live.port, *asked):
            assert told.startswith(b"HTTP/1.1 200"), told
        assert (live.taken > 0) == quickly
        assert [one["user_id"] for one in live.events] == ["c1", "l1", "c1", "l1"]


def test_what_is_not_for_a_project_is_for_all_others():
    own = of_projects(Settings(data="x", sensors_login_keys=SAID))
    assert login_keys(SAID) == ("$identity_bank_cif", "$identity_member")
    assert {name: login_keys(one.sensors_login_keys) for name, one in own.items()} == {
        "loans": ("$identity_loan_id",)
    }
    assert of_projects(Settings(data="x")) == {}


def test_a_project_may_have_none():
    own = of_projects(Settings(data="x", sensors_login_keys="$identity_bank_cif; loans:"))
    assert login_keys(own["loans"].sensors_login_keys) == ()


@pytest.mark.parametrize("text", ["a; b", ": a", "a; p: b; p: c", "p: " + "k" * 300])
def test_nonsense_is_refused(text):
    with pytest.raises(InvalidInput, match="sensors_login_keys"):
        of_projects(Settings(data="x", sensors_login_keys=text))
