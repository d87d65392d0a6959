"""Tags from the command line and over the API."""

import json

import httpx
import pytest

from tests.e2e.test_cli import call, good
from tests.e2e.test_serve import served, zuji_key

TAGS = [
    {
        "name": "spend",
        "rule": {"kind": "aggregate", "events": {"e": "pay"}, "measure": {"sum": "event.amount"}},
    },
    {
        "name": "level",
        "else": "none",
        "rule": {
            "kind": "layers",
            "layers": [{"v": "gold", "if": {"tag": "spend", "op": "gte", "v": 1000}}],
        },
    },
    {"name": "vip", "rule": {"kind": "manual", "type": "bool"}},
    {"name": "agency", "rule": {"kind": "imported", "type": "string"}},
]
QUERY = {
    "model": "event",
    "time": {"from": "2025-10-01", "to": "2025-10-03", "grain": "all"},
    "by": [{"p": "user.$tag.level"}],
    "audience": {"tag": "agency", "op": "is_set"},
    "body": {"series": [{"e": "pay"}]},
}
EVENTS = (
    "user,event,time,amount\n"
    "u1,pay,2025-10-01,5000\nu2,pay,2025-10-01,7\nu2,pay,2025-10-03,2000\nu3,open,2025-10-02,0\n"
)


def project(folder):
    (folder / "f.csv").write_text(EVENTS)
    good("import", "f.csv", "-d", "data", "--user", "user", cwd=folder)
    (folder / "tags.json").write_text(json.dumps(TAGS))
    (folder / "agency.csv").write_text("user_id,value\nu1,north\nu2,south\nnobody,north\n")


def test_tags_from_definition_to_removal(tmp_path):
    project(tmp_path)

    def tag(*arguments):
        return good("tag", *arguments, "-d", "data", cwd=tmp_path)

    def told(*arguments):
        return json.loads(tag(*arguments))

    assert (
        "defined level (string)"
        in call("tag", "set", "tags.json", "-d", "data", cwd=tmp_path).stderr.decode()
    )
    tag("refresh", "--from", "2025-10-01", "--day", "2025-10-03")
    assert told("values", "level", "--format", "json") == {
        "day": "2025-10-03",
        "users": 3,
        "rows": [["gold", 2], ["none", 1]],
    }
    assert told("values", "level", "--day", "2025-10-02", "--format", "json")["rows"] == [
        ["none", 2],
        ["gold", 1],
    ]
    tag("give", "vip", "true", "u1", "u3", "--who", "lin")
    tag("give", "vip", "null", "u3", "--who", "lin")
    tag("load", "agency", "agency.csv")
    assert told("user", "u1") == {"agency": "north", "level": "gold", "spend": 5000.0, "vip": True}
    assert told("user", "u2", "--day", "2025-10-02") == {"level": "none", "spend": 7.0}
    history = told("user", "u3", "--tag", "vip")
    assert [(one["value"], one["who"]) for one in history] == [(True, "lin"), (None, "lin")]
    (tmp_path / "q.json").write_text(json.dumps(QUERY))
    answer = good("query", "q.json", "-d", "data", "--format", "json", cwd=tmp_path)
    assert [row[2:] for row in json.loads(answer)["rows"]] == [["gold", False, 3]]
    assert [one["name"] for one in told("list", "--format", "json")] == [
        "agency",
        "level",
        "spend",
        "vip",
    ]
    tag("archive", "spend")
    assert "spend" not in [one["name"] for one in told("list", "--format", "json")]
    tag("restore", "spend")
    assert told("show", "spend")["used_by"] == ["tag 'level'"]
    assert told("graph")["edges"]
    kept = call("tag", "delete", "spend", "-d", "data", cwd=tmp_path)
    assert (kept.returncode, "tag 'level'" in kept.stderr.decode()) == (2, True)
    tag("delete", "spend", "--cascade")
    assert [one["name"] for one in told("list", "--format", "json")] == ["agency", "vip"]


@pytest.fixture(scope="module")
def defined(tmp_path_factory):
    """A project with the tags, which nonsense does not change."""
    folder = tmp_path_factory.mktemp("defined")
    project(folder)
    good("tag", "set", "tags.json", "-d", "data", cwd=folder)
    (folder / "q.json").write_text(json.dumps({"name": "a"}))
    return folder


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["show", "nope"], 3, "there is no tag 'nope'"),
        (["refresh", "vip"], 2, "is not computed"),
        (["refresh", "--day", "soon"], 2, "expected a day"),
        (["refresh", "--day", "2999-01-01"], 2, "has not begun"),
        (["refresh", "--due", "spend"], 2, "stands alone"),
        (["give", "vip", "maybe", "u1", "--who", "lin"], 2, "expected a bool"),
        (["give", "vip", "true", "u9", "--who", "lin"], 3, "nobody has the user_id 'u9'"),
        (["give", "spend", "1", "u1", "--who", "lin"], 2, "is not given by hand"),
        (["load", "agency", "agency.csv", "--value-column", "x"], 2, "no column 'x'"),
        (["load", "vip", "agency.csv"], 2, "is not imported"),
        (
            ["load", "agency", "agency.csv", "--id", "%", "--id-column", "user_id"],
            2,
            "a type of id is",
        ),
        (["user", "u9"], 3, "nobody has the user_id"),
        (["set", "q.json"], 2, "rule"),
        (["archive", "nope"], 3, "there is no tag"),
    ],
)
def test_nonsense_is_told_in_a_line(defined, arguments, status, said):
    done = call("tag", *arguments, "-d", "data", cwd=defined)
    assert (done.returncode, said in done.stderr.decode()) == (status, True), done.stderr


def test_tags_over_the_api(tmp_path):
    data = tmp_path / "data"
    project(tmp_path)
    read = zuji_key(data, "create", "--project", "default", "--read")
    admin = zuji_key(data, "create", "--project", "default", "--admin")
    with served(data) as server, httpx.Client(base_url=server.api, timeout=20) as http:
        may_read, may_all = ({"Authorization": f"Bearer {key}"} for key in (read, admin))

        def get(path, headers=may_read):
            answer = http.get(path, headers=headers)
            return answer.json() if answer.status_code == 200 else answer.status_code

        def post(path, body, headers=may_all):
            answer = http.post(path, json=body, headers=headers)
            return answer.json() if answer.status_code == 200 else answer.status_code

        for one in TAGS:
            assert http.put("/v1/tags", json=one, headers=may_read).status_code == 403
            assert http.put("/v1/tags", json=one, headers=may_all).status_code == 200
        bad = http.put("/v1/tags", json={"name": "x", "rule": {"kind": "no"}}, headers=may_all)
        assert (bad.status_code, bad.json()["error"]["path"]) == (400, "$.rule.kind")
        made = post("/v1/tags/refresh", {"names": ["level"], "day": "2025-10-03"})["made"]
        assert [one["tag"] for one in made] == ["spend", "level"]
        assert post("/v1/tags/refresh", {}, may_read) == 403
        assert post("/v1/tags/refresh", {"due": True, "day": "today"}) == 400
        assert post("/v1/tags/refresh", {"due": True}) == {"made": []}
        assert get("/v1/tags/level/values")["rows"] == [["gold", 2], ["none", 1]]
        given = {"users": {"u1": True, "u2": False}, "who": "lin"}
        assert post("/v1/tags/vip/give", given) == {"users": 2}
        assert post("/v1/tags/vip/give", {"users": {"u1": 3}, "who": "lin"}) == 400
        loaded = http.post("/v1/tags/agency/load", content=b"id,v\nu1,x\nzz,y\n", headers=may_all)
        assert loaded.status_code == 400
        loaded = http.post(
            "/v1/tags/agency/load?id_column=id&value_column=v",
            content=b"id,v\nu1,x\nzz,y\n",
            headers=may_all,
        )
        assert loaded.json() == {"users": 1, "cleared": 0, "unknown": 1, "unknown_ids": ["zz"]}
        assert get("/v1/users/tags?id=u1")["tags"] == {
            "agency": "x",
            "level": "gold",
            "spend": 5000.0,
            "vip": True,
        }
        assert get("/v1/users/tags?id=zz") == 404
        assert get("/v1/users/tags") == 400
        assert get("/v1/tags/vip/history?id=u2")["rows"][0]["who"] == "lin"
        rows = http.post("/v1/query", json=QUERY, headers=may_read).json()["rows"]
        assert [row[2:] for row in rows] == [["gold", False, 1]]
        assert get("/v1/tags/level")["reads"] == ["tag 'spend'"]
        assert {"kind": "tag", "name": "level"} in get("/v1/graph")["nodes"]
        assert post("/v1/tags/spend/archive", None)["archived"]
        assert len(get("/v1/tags")["tags"]) == 3
        assert len(get("/v1/tags?archived=true")["tags"]) == 4
        assert get("/v1/tags?archived=1") == 400
        assert http.delete("/v1/tags/spend", headers=may_all).status_code == 400
        assert http.delete("/v1/tags/spend?cascade=true", headers=may_read).status_code == 403
        gone = http.delete("/v1/tags/spend?cascade=true", headers=may_all).json()
        assert gone["removed"] == ["tag 'level'", "tag 'spend'"]
        assert get("/v1/tags/spend") == 404
        unknown = http.post("/v1/query", json=QUERY, headers=may_read)
        assert unknown.json()["error"]["message"].startswith("there is no tag 'level'")
