"""Whose an id is, from the command line, over the API, and from one through the other."""

import json

import httpx
import pytest

from tests.e2e.test_cli import call, good
from tests.e2e.test_serve import served, zuji_key

EVENTS = (
    "user,device,event,time\n,phone,look,2026-10-01\nann,phone,login,2026-10-02\n"
    ",phone,look,2026-10-03\n,web,look,2026-10-03\n"
)
PEOPLE = {
    "model": "event",
    "time": {"from": "2026-10-01", "to": "2026-10-31", "grain": "all"},
    "body": {"series": [{"e": "*", "measure": "users"}]},
}


def project(folder):
    (folder / "f.csv").write_text(EVENTS)
    good("import", "f.csv", "-d", "data", "--user", "user", "--device", "device", cwd=folder)


def test_ids_from_the_command_line(tmp_path):
    project(tmp_path)

    def told(*arguments):
        return json.loads(good("id", *arguments, "-d", "data", "--format", "json", cwd=tmp_path))

    def people():
        (tmp_path / "q.json").write_text(json.dumps(PEOPLE))
        answer = good("query", "q.json", "-d", "data", "--format", "json", cwd=tmp_path)
        return json.loads(answer)["rows"][0][-1]

    def said(*arguments):
        done = call("id", *arguments, "-d", "data", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stderr.decode()

    assert people() == 2
    (device,) = told("show", "ann")["customer"]["devices"]
    assert device["device_id"] == "phone"
    at = ("--time", "2026-10-05T00:00:00Z")
    assert "together from 2026-10-05T00:00:00Z on" in said(
        "bind", "bob", "web", *at, "--by", "desk 7", "--why", "his new one"
    )
    assert people() == 2  # web is Bob
    assert "apart" in said("unbind", "phone", "--user", "ann", *at)
    said("bind", "cal", "phone", "--time", "1790900000000")
    conflict = told("conflicts")
    assert [(one["device_id"], one["user_ids"]) for one in conflict] == [("phone", ["ann", "cal"])]
    assert "undone" in said("undo", "cal", "phone")
    assert told("conflicts") == []
    said("unbind", "web", "--time", "2026-10-06T00:00:00Z")
    assert [one["user_id"] for one in told("show", "web")["device"]["owners"]] == ["bob", None]
    log = told("log")
    assert [one["what"] for one in log] == ["bind", "unbind", "bind", "undo", "unbind"]
    assert (log[0]["by"], log[0]["why"], log[0]["user_id"]) == ("desk 7", "his new one", "bob")
    assert told("log", "--after", str(log[2]["n"]), "--limit", "1") == log[3:4]
    assert good("id", "shared", "-d", "data", cwd=tmp_path) == "device\n"
    good("id", "shared", "last_login", "-d", "data", cwd=tmp_path)
    assert good("id", "shared", "-d", "data", cwd=tmp_path) == "last_login\n"
    for form in ("show phone", "show ann", "log", "conflicts"):
        assert call("id", *form.split(), "-d", "data", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "nobody"), "nobody has the id 'nobody'"),
        (("undo", "ann", "web"), "there is nothing to undo"),
        (("bind", "ann", "phone", "--time", "soon"), "RFC 3339"),
        (("bind", "", "phone"), "user_id is a text that is not empty"),
        (("bind", "ann", "x" * 256), "device_id has at most 255 bytes"),
        (("bind", "ann", "web", "--time", "99999999999999"), "1900 to 2199"),
        (("shared", "nobody"), "device, first_owner, last_login"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, arguments, message):
    project(tmp_path)
    done = call("id", *arguments, "-d", "data", cwd=tmp_path)
    assert done.returncode != 0
    assert message in done.stderr.decode()


def test_a_place_must_be_said(tmp_path):
    done = call("id", "show", "ann", cwd=tmp_path)
    assert done.returncode == 2
    assert "give --data DIR, or --url" in done.stderr.decode()


def test_ids_over_the_api(tmp_path):
    project(tmp_path)
    data = tmp_path / "data"
    reader = zuji_key(data, "create", "--project", "default", "--read")
    admin = zuji_key(data, "create", "--project", "default", "--admin")
    with served(data) as server, httpx.Client(base_url=server.api, timeout=20) as http:
        reading = {"Authorization": f"Bearer {reader}"}
        ruling = {"Authorization": f"Bearer {admin}"}

        def get(path, status=200):
            answer = http.get(path, headers=reading)
            assert answer.status_code == status, answer.text
            return answer.json()

        def post(body, status=200, headers=ruling):
            answer = http.post("/v1/identity", json=body, headers=headers)
            assert answer.status_code == status, answer.text
            return answer.json()

        bind = {"what": "bind", "user_id": "bob", "device_id": "web"}
        assert post(bind, 403, reading)["error"]["code"] == "forbidden"
        noted = post({**bind, "time": "2026-10-05T00:00:00+08:00", "why": "a form"})
        assert noted["time"] == 1_791_129_600_000
        assert noted["by"].startswith("key ")
        assert get("/v1/identity?id=web")["device"]["owners"] == [
            {"from": None, "to": None, "user_id": "bob"}
        ]
        answer = http.post("/v1/query", json=PEOPLE, headers=reading)
        assert answer.json()["rows"][0][-1] == 2
        post({"what": "bind", "user_id": "ann", "device_id": "web", "time": 1_791_200_000_000})
        told = get("/v1/identity/conflicts?device_id=web")
        assert (told["count"], told["rows"][0]["user_ids"]) == (1, ["ann", "bob"])
        assert get("/v1/identity/conflicts?device_id=phone") == {"rows": [], "count": 0}
        post({"what": "undo", "user_id": "ann", "device_id": "web", "by": "lin"})
        post({"what": "unbind", "device_id": "web", "time": 1_791_300_000_000})
        rows = get("/v1/identity/log")["rows"]
        assert [one["what"] for one in rows] == ["bind", "bind", "undo", "unbind"]
        assert (rows[2]["by"], rows[3]["user_id"]) == ("lin", None)
        assert get(f"/v1/identity/log?after={rows[1]['n']}&limit=1")["rows"] == rows[2:3]
        assert get("/v1/identity/settings") == {"shared_device": "device"}
        setting = {"shared_device": "first_owner"}
        answer = http.put("/v1/identity/settings", json=setting, headers=ruling)
        assert answer.json() == setting
        wrong = [
            ({}, "invalid_input"),
            ({"what": "melt", "device_id": "web"}, "invalid_input"),
            ({"what": "bind", "device_id": "web"}, "invalid_input"),
            ({**bind, "time": "soon"}, "invalid_input"),
            ({**bind, "time": -(10**17)}, "invalid_input"),
            ({**bind, "when": 1}, "invalid_input"),
            ({"what": "undo", "user_id": "bob", "device_id": "web", "time": 1}, "invalid_input"),
        ]
        for body, code in wrong:
            assert post(body, 400)["error"]["code"] == code
        nothing = {"what": "undo", "user_id": "zoe", "device_id": "web"}
        assert post(nothing, 404)["error"]["code"] == "not_found"
        assert get("/v1/identity", 400)["error"]["code"] == "invalid_input"
        assert get("/v1/identity?id=zoe", 404)["error"]["code"] == "not_found"

        def by_server(*arguments):
            return good("id", *arguments, "--url", server.api, "--key", admin, cwd=tmp_path)

        by_server("bind", "eve", "tablet", "--by", "eve")
        shown = json.loads(by_server("show", "eve", "--format", "json"))
        assert [one["device_id"] for one in shown["customer"]["devices"]] == ["tablet"]
        assert json.loads(by_server("log", "--format", "json"))[-1]["by"] == "eve"
        assert json.loads(by_server("conflicts", "--format", "json")) == []
        assert by_server("shared", "device") == "device\n"
        locked = call("id", "bind", "eve", "till", "-d", "data", cwd=tmp_path)
        assert b"--url" in locked.stderr
