"""Virtual events and properties from the command line and over the API."""

import json

import httpx
import pytest

from tests.e2e.test_cli import call, good
from tests.e2e.test_serve import served, zuji_key

QUERY = {
    "model": "event",
    "time": {"from": "2026-10-01", "to": "2026-10-01", "grain": "all"},
    "by": [{"p": "event.size"}],
    "body": {"series": [{"e": "deal"}]},
}
WHERE = '{"p": "event.amount", "op": "gt", "v": 0}'


def test_a_project_is_given_names_and_asked_by_them(tmp_path):
    (tmp_path / "f.csv").write_text(
        "user,event,time,amount\nu1,pay,2026-10-01,5000\nu2,pay,2026-10-01,7\nu3,move,2026-10-01,0\n"
    )
    good("import", "f.csv", "-d", "data", "--user", "user", cwd=tmp_path)
    place = ("-d", "data")
    good("define", "event", "deal", "pay", "move", "--where", WHERE, *place, cwd=tmp_path)
    expression = 'if(event.amount >= 1000, "large", "small")'
    good("define", "property", "event.size", expression, "--type", "string", *place, cwd=tmp_path)
    shown = good("define", "show", *place, cwd=tmp_path)
    assert "deal" in shown
    assert "if(event.amount" in shown
    (tmp_path / "q.json").write_text(json.dumps(QUERY))
    answer = good("query", "q.json", *place, "--format", "json", cwd=tmp_path)
    assert [row[-1] for row in json.loads(answer)["rows"]] == [1, 1]
    kept = good("define", "show", *place, "--format", "json", cwd=tmp_path)
    good("define", "remove", "deal", "event.size", *place, cwd=tmp_path)
    assert json.loads(good("define", "show", *place, "--format", "json", cwd=tmp_path)) == {
        "events": {},
        "properties": {},
    }
    (tmp_path / "d.json").write_text(kept)
    good("define", "set", "d.json", *place, cwd=tmp_path)
    assert good("define", "show", *place, "--format", "json", cwd=tmp_path) == kept


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["event", "deal", "pay", "--where", "{"], 2, "--where is not JSON"),
        (["property", "event.x", "event.y +"], 2, "cannot be read"),
        (["property", "size", "1"], 2, "event.NAME"),
        (["remove", "nothing"], 3, "not defined"),
        (["set", "none.json"], 3, "none.json"),
    ],
)
def test_bad_definitions_are_told_in_a_line(tmp_path, arguments, status, said):
    good("init", "-d", "data", cwd=tmp_path)
    done = call("define", *arguments, "-d", "data", cwd=tmp_path)
    assert (done.returncode, said in done.stderr.decode()) == (status, True), done.stderr


def test_definitions_over_the_api(tmp_path):
    data = tmp_path / "data"
    good("init", "-d", "data", cwd=tmp_path)
    read = zuji_key(data, "create", "--project", "default", "--read")
    admin = zuji_key(data, "create", "--project", "default", "--admin")
    size = {"type": "string", "as": "if(event.amount > 9, 'large', 'small')", "description": ""}
    with served(data) as server, httpx.Client(base_url=server.api, timeout=20) as http:
        may_read, may_all = ({"Authorization": f"Bearer {key}"} for key in (read, admin))

        def changed(body, headers):
            return http.patch("/v1/definitions", json=body, headers=headers)

        body = {"properties": {"event.size": size}, "events": {"deal": {"of": ["pay"]}}}
        assert changed(body, may_read).status_code == 403
        assert changed(body, {}).status_code == 401
        assert changed(body, may_all).json()["properties"] == {"event.size": size}
        assert http.get("/v1/definitions", headers=may_read).json()["events"]["deal"]
        asked = http.post("/v1/query", json=QUERY, headers=may_read)
        assert asked.status_code == 200, asked.text
        bad = changed({"properties": {"event.a": {"type": "string", "as": "1 +"}}}, may_all)
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, "invalid_input")
        assert changed({"event": {}}, may_all).status_code == 400
        gone = http.delete("/v1/definitions?name=deal", headers=may_all)
        assert gone.json()["events"] == {}
        again = http.delete("/v1/definitions?name=deal", headers=may_all)
        assert (again.status_code, again.json()["error"]["code"]) == (404, "not_found")
        assert http.delete("/v1/definitions", headers=may_all).status_code == 400
        assert http.delete("/v1/definitions?name=deal", headers=may_read).status_code == 403
