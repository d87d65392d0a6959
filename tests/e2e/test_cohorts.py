"""Cohorts from the command line and over the API."""

import json

import httpx
import pytest

from tests.e2e.test_cli import call, good
from tests.e2e.test_serve import served, zuji_key

COHORTS = [
    {
        "name": "big",
        "rule": {
            "did": {
                "e": "pay",
                "measure": {"sum": "event.amount"},
                "value": {"op": "gte", "v": 1000},
            }
        },
    },
    {"name": "rest", "rule": {"not": {"cohort": "big"}}, "schedule": {"every": "day"}},
]
QUERY = {
    "model": "event",
    "time": {"from": "2025-10-01", "to": "2025-10-03", "grain": "all"},
    "audience": {"cohort": "big"},
    "compare": {"audience": {"cohort": "rest"}},
    "body": {"series": [{"e": "*", "measure": "users"}]},
}
EVENTS = (
    "user,event,time,amount\n"
    "u1,pay,2025-10-01,5000\nu2,pay,2025-10-01,7\nu2,pay,2025-10-03,2000\nu3,open,2025-10-02,0\n"
)


def project(folder):
    (folder / "f.csv").write_text(EVENTS)
    good("import", "f.csv", "-d", "data", "--user", "user", cwd=folder)
    (folder / "cohorts.json").write_text(json.dumps(COHORTS))
    (folder / "rule.json").write_text(json.dumps(COHORTS[0]["rule"]))
    (folder / "ids.csv").write_text("id\nu1\nu3\nnobody\n")
    (folder / "q.json").write_text(json.dumps(QUERY))


def test_cohorts_from_definition_to_removal(tmp_path):
    project(tmp_path)

    def cohort(*arguments):
        return good("cohort", *arguments, "-d", "data", cwd=tmp_path)

    def told(*arguments):
        return json.loads(cohort(*arguments))

    size = told("estimate", "rule.json")
    assert (size["users"], size["of"], size["exact"]) == (2, 3, True)
    done = call("cohort", "set", "cohorts.json", "-d", "data", cwd=tmp_path)
    assert "defined big: 2 users" in done.stderr.decode()
    assert cohort("members", "big").splitlines()[0] == "user_id"
    assert sorted(cohort("members", "big").splitlines()[1:]) == ["u1", "u2"]
    cohort("members", "rest", "--out", "rest.csv")
    assert (tmp_path / "rest.csv").read_text() == "user_id\nu3\n"
    assert cohort("has", "big", "u1") == "yes\n"
    no = call("cohort", "has", "big", "u3", "-d", "data", cwd=tmp_path)
    assert (no.returncode, no.stdout.decode()) == (3, "no\n")
    cohort("refresh", "big", "--as-of", "2025-10-02")
    assert [one["users"] for one in told("show", "big")["versions"]] == [2, 1]
    assert cohort("members", "big", "--as-of", "2025-10-02") == "user_id\nu1\n"
    cohort("load", "list", "ids.csv")
    cohort("load", "list", "ids.csv", "--how", "remove", "--column", "id")
    assert [one["users"] for one in told("show", "list")["versions"]] == [0, 2]
    cohort("save", "cell", "q.json", '{"series": "A", "range": "compared"}')
    assert cohort("members", "cell") == "user_id\nu3\n"
    common = told("overlap", "big", "rest", "cell", "--format", "json")
    assert (common["all"], common["any"], common["only"]["big"]) == (0, 3, 2)
    answer = good("query", "q.json", "-d", "data", "--format", "json", cwd=tmp_path)
    rows = [(row[0], row[-1]) for row in json.loads(answer)["rows"]]
    assert rows == [("current", 2), ("compared", 1)]
    assert told("show", "big")["used_by"] == ["cohort 'rest'"]
    cohort("refresh", "--due")
    kept = call("cohort", "delete", "big", "-d", "data", cwd=tmp_path)
    assert (kept.returncode, "cohort 'rest'" in kept.stderr.decode()) == (2, True)
    cohort("delete", "big", "--cascade")
    assert [one["name"] for one in told("list", "--format", "json")] == ["cell", "list"]


@pytest.fixture(scope="module")
def defined(tmp_path_factory):
    """A project with the cohorts, which nonsense does not change."""
    folder = tmp_path_factory.mktemp("defined")
    project(folder)
    good("cohort", "set", "cohorts.json", "-d", "data", cwd=folder)
    good("cohort", "load", "list", "ids.csv", "-d", "data", cwd=folder)
    (folder / "bad.json").write_text(json.dumps({"name": "a"}))
    return folder


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["show", "bigg"], 3, "did you mean 'big'"),
        (["refresh"], 2, "name cohorts"),
        (["refresh", "big", "--due"], 2, "--due alone"),
        (["refresh", "list"], 2, "fixed list"),
        (["refresh", "big", "--as-of", "soon"], 2, "expected a date"),
        (["load", "big", "ids.csv"], 2, "made by a rule"),
        (["load", "list", "f.csv"], 2, "no column 'user_id'"),
        (["load", "list", "ids.csv", "--how", "drop"], 2, "'replace', 'add' or 'remove'"),
        (["load", "list", "ids.csv", "--id", "%"], 2, "a type of id"),
        (["members", "big", "--as-of", "2020-01-01"], 3, "no version as of"),
        (["has", "big", "x", "--id", "%"], 2, "a type of id"),
        (["overlap", "big"], 2, "2 to 20"),
        (["set", "bad.json"], 2, "needs a rule"),
        (["save", "x", "q.json", "[]"], 2, "JSON object"),
        (["delete", "nope"], 3, "there is no cohort"),
    ],
)
def test_nonsense_is_told_in_a_line(defined, arguments, status, said):
    done = call("cohort", *arguments, "-d", "data", cwd=defined)
    assert (done.returncode, said in done.stderr.decode()) == (status, True), done.stderr


def test_cohorts_over_the_api(tmp_path):
    data = tmp_path / "data"
    project(tmp_path)
    read = zuji_key(data, "create", "--project", "default", "--read")
    admin = zuji_key(data, "create", "--project", "default", "--admin")
    with served(data) as server, httpx.Client(base_url=server.api, timeout=20) as http:
        may_read, may_all = ({"Authorization": f"Bearer {key}"} for key in (read, admin))

        def get(path):
            answer = http.get(path, headers=may_read)
            return answer.json() if answer.status_code == 200 else answer.status_code

        def post(path, body, headers=may_all):
            answer = http.post(path, json=body, headers=headers)
            return answer.json() if answer.status_code == 200 else answer.status_code

        for one in COHORTS:
            assert http.put("/v1/cohorts", json=one, headers=may_read).status_code == 403
            assert http.put("/v1/cohorts", json=one, headers=may_all).json()["users"] in (1, 2)
        bad = http.put("/v1/cohorts", json={"name": "x", "rule": {"no": 1}}, headers=may_all)
        assert (bad.status_code, bad.json()["error"]["path"]) == (400, "$.rule")
        size = post("/v1/cohorts/estimate", COHORTS[0]["rule"], may_read)
        assert (size["users"], size["exact"]) == (2, True)
        assert post("/v1/cohorts/estimate", {"cohort": "nope"}, may_read) == 400
        assert [one["name"] for one in get("/v1/cohorts")["cohorts"]] == ["big", "rest"]
        assert get("/v1/cohorts/rest")["reads"] == ["cohort 'big'"]
        first = get("/v1/cohorts/big/members?limit=1")
        assert (len(first["users"]), first["total"]) == (1, 2)
        second = get(f"/v1/cohorts/big/members?limit=1&after={first['next']}")
        assert second["next"] is None
        assert {page["users"][0]["user_id"] for page in (first, second)} == {"u1", "u2"}
        assert get("/v1/cohorts/big/members?limit=0") == 400
        exported = http.get("/v1/cohorts/big/export", headers=may_read)
        assert exported.headers["content-type"].startswith("text/csv")
        assert sorted(exported.text.split()) == ["u1", "u2", "user_id"]
        assert http.get("/v1/cohorts/nope/export", headers=may_read).status_code == 404
        assert get("/v1/cohorts/big/contains?id=u1") == {"contains": True}
        assert get("/v1/cohorts/big/contains?id=zz") == {"contains": False}
        assert get("/v1/cohorts/big/contains") == 400
        loaded = http.post("/v1/cohorts/a%20list/load", content=b"id\nu1\nzz\n", headers=may_all)
        assert (loaded.json()["users"], loaded.json()["examples"]) == (1, ["zz"])
        wrong = http.post("/v1/cohorts/x/load", content=b"a,b\nu1,2\n", headers=may_all)
        assert wrong.status_code == 400
        cell = {"name": "cell", "query": QUERY, "pick": {"series": "A"}}
        assert post("/v1/cohorts/save", cell, may_read) == 403
        assert post("/v1/cohorts/save", cell)["users"] == 2
        common = post("/v1/cohorts/overlap", {"cohorts": ["big", "a list"]}, may_read)
        assert common["pairs"][0]["both"] == 1
        (made,) = post("/v1/cohorts/refresh", {"name": "big", "as_of": "2025-10-02"})["made"]
        assert (made["cohort"], made["users"]) == ("big", 1)
        assert [one["users"] for one in get("/v1/cohorts/big")["versions"]] == [2, 1]
        assert post("/v1/cohorts/refresh", {}) == 400
        assert post("/v1/cohorts/refresh", {"name": "a list"}) == 400
        assert post("/v1/cohorts/refresh", {"due": True}) == {"made": []}
        rows = http.post("/v1/query", json=QUERY, headers=may_read).json()["rows"]
        assert [(row[0], row[-1]) for row in rows] == [("current", 2), ("compared", 1)]
        assert http.delete("/v1/cohorts/big", headers=may_all).status_code == 400
        assert http.delete("/v1/cohorts/big?cascade=1", headers=may_all).status_code == 400
        gone = http.delete("/v1/cohorts/big?cascade=true", headers=may_all).json()
        assert gone["removed"] == ["cohort 'rest'", "cohort 'big'"]
        assert get("/v1/cohorts/big") == 404
