"""Items from the command line, over the API and through the collector."""

import json

import httpx
import pytest

from tests.e2e.test_cli import call, good
from tests.e2e.test_serve import served, zuji_key

QUERY = {
    "model": "event",
    "time": {"from": "2026-10-01", "to": "2026-10-01", "grain": "all"},
    "by": [{"p": "event.sku.kind"}],
    "body": {"series": [{"e": "buy"}]},
}


def test_a_project_is_given_items_and_asked_by_them(tmp_path):
    (tmp_path / "f.csv").write_text(
        "user,event,time,sku\nu1,buy,2026-10-01,p1\nu2,buy,2026-10-01,p2\nu3,buy,2026-10-01,p3\n"
    )
    (tmp_path / "g.csv").write_text("type,id,kind,since\ngood,p1,tea,2026-01-01\ngood,p2,cup,\n")
    place = ("-d", "data")
    good("import", "f.csv", *place, "--user", "user", cwd=tmp_path)
    columns = ("--kind", "item", "--item-type", "type", "--item-id", "id")
    good("import", "g.csv", *place, *columns, cwd=tmp_path)
    (tmp_path / "i.json").write_text('{"p3": {"kind": "tea"}, "p4": {"kind": "pot"}}')
    assert "set 2" in good_told("item", "set", "good", "i.json", *place, cwd=tmp_path)
    good("item", "delete", "good", "p4", *place, cwd=tmp_path)
    good("item", "join", "event.sku", "good", *place, cwd=tmp_path)
    (kind,) = json.loads(good("item", "types", *place, "--format", "json", cwd=tmp_path))
    assert (kind["name"], kind["items"], kind["joined"]) == ("good", 3, ["event.sku"])
    assert "event.sku" in good("item", "types", *place, cwd=tmp_path)
    lines = good("item", "list", "good", *place, "--limit", "2", cwd=tmp_path).splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["p1", "p2"]
    lines = good("item", "list", "good", *place, "--after", "p2", cwd=tmp_path).splitlines()
    assert [json.loads(line) for line in lines] == [{"id": "p3", "properties": {"kind": "tea"}}]
    assert json.loads(good("item", "show", "good", "p2", *place, cwd=tmp_path)) == {"kind": "cup"}
    (tmp_path / "q.json").write_text(json.dumps(QUERY))
    rows = json.loads(good("query", "q.json", *place, "--format", "json", cwd=tmp_path))["rows"]
    assert [(row[2], row[-1]) for row in rows] == [("tea", 2), ("cup", 1)]
    good("item", "unjoin", "event.sku", *place, cwd=tmp_path)
    rows = json.loads(good("query", "q.json", *place, "--format", "json", cwd=tmp_path))["rows"]
    assert [(row[2], row[-1]) for row in rows] == [(None, 3)]


def good_told(*arguments, cwd):
    done = call(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["show", "good", "p1"], 3, "there is no good 'p1'"),
        (["list", "good"], 3, "there are no items of type 'good'"),
        (["join", "sku", "good"], 2, "event.NAME"),
        (["join", "event.$time", "good"], 2, "items are named by a property that is sent"),
        (["unjoin", "event.sku"], 3, "names no items"),
        (["set", "good", "none.json"], 3, "none.json"),
    ],
)
def test_bad_orders_are_told_in_a_line(tmp_path, arguments, status, said):
    good("init", "-d", "data", cwd=tmp_path)
    done = call("item", *arguments, "-d", "data", cwd=tmp_path)
    assert (done.returncode, said in done.stderr.decode()) == (status, True), done.stderr


def test_over_the_api(tmp_path):
    data = tmp_path / "data"
    good("init", "-d", "data", cwd=tmp_path)
    keys = [zuji_key(data, "create", "--project", "default", f"--{k}") for k in ("admin", "read")]
    key, reader = keys
    with served(data) as server, httpx.Client(base_url=server.api, timeout=30) as api:
        api.headers["Authorization"] = f"Bearer {key}"
        sent = {"items": {"p1": {"kind": "tea"}, "p2": {"kind": "cup", "bad": {"a": 1}}}}
        done = api.patch("/v1/items/good", json=sent).json()
        assert (done["accepted"], [r["code"] for r in done["rejected"]]) == (1, ["bad_value"])
        at = 1_790_784_000_000
        batch = [
            {"event": "buy", "user_id": f"u{n}", "time": at, "properties": {"sku": f"p{n}"}}
            for n in range(1, 4)
        ]
        batch.append({"type": "item_set", "item_type": "good", "item_id": "p3", "properties": {}})
        batch[-1]["properties"] = {"kind": "tea"}
        sent = api.post(f"{server.collect}/v1/items", json=batch)
        assert sent.json() == {"accepted": 4, "duplicates": 0, "rejected": []}
        assert api.patch("/v1/joins", json={"event.sku": "good"}).json() == {"event.sku": "good"}
        (kind,) = api.get("/v1/items").json()
        assert (kind["items"], kind["properties"]) == (2, {"kind": "string"})
        page = api.get("/v1/items/good", params={"limit": 1}).json()["items"]
        assert page == [{"id": "p1", "properties": {"kind": "tea"}}]
        rest = api.get("/v1/items/good", params={"after": "p1"}).json()["items"]
        assert [one["id"] for one in rest] == ["p3"]
        query = {**QUERY, "time": {"from": "2026-09-01", "to": "2026-12-01", "grain": "all"}}
        rows = api.post("/v1/query", json=query).json()["rows"]
        assert [(row[2], row[-1]) for row in rows] == [("tea", 2), (None, 1)]
        assert api.delete("/v1/items/good", params={"id": "p1"}).json()["accepted"] == 1
        assert api.get("/v1/items/good", params={"id": "p1"}).status_code == 404
        assert api.get("/v1/items/good", params={"limit": "9999"}).status_code == 400
        assert api.patch("/v1/items/good", json={"item": {}}).status_code == 400
        assert api.delete("/v1/items/good").status_code == 400
        assert api.delete("/v1/joins", params={"p": "event.sku"}).json() == {}
        assert api.delete("/v1/joins", params={"p": "event.sku"}).status_code == 404
        api.headers["Authorization"] = f"Bearer {reader}"
        assert api.get("/v1/items").status_code == 200
        assert api.patch("/v1/joins", json={}).status_code == 403
