"""Paths beyond scripts and the oracle: many nodes, long sessions, budgets, lists of nodes."""

import random

import pytest

from tests.oracle import generate
from tests.oracle.queries import query_of
from tests.property.pairs import Pair
from zuji.engine.engine import create_project, open_project
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query.analyses import path, path_steps

DAY = 1_759_248_000_000  # 2025-10-01 in Shanghai
TIME = {"from": "2025-10-01", "to": "2025-10-02"}


@pytest.fixture
def engine(tmp_path):
    create_project(tmp_path, "default", tz="Asia/Shanghai", shards=2)
    opened = open_project(tmp_path, "default")
    yield opened
    opened.close()


def page(user, second, url, event="page"):
    time = DAY + 1000 * second
    return {"user_id": user, "event": event, "time": time, "properties": {"url": url}}


def query(**body):
    return {"model": "path", "time": TIME, "body": body}


def dicts(columns, rows):
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_a_session_of_many_steps_and_many_names(engine):
    """1,500 pages of one session, each of its own name."""
    for at in range(0, 1500, 500):
        engine.append([page("u", s, f"/p{s:04d}") for s in range(at, at + 500)])
    nodes = [{"e": "page", "p": "event.url"}]
    first = engine.query(query(nodes=nodes, max_steps=20, max_nodes=1))
    assert len(first.rows) == 19
    assert {row[-1] for row in first.rows} == {1}
    every = engine.query(query(nodes=nodes, max_steps=20, max_nodes=3, count="occurrences"))
    layers = {}
    for row in every.rows:
        layers[row[0]] = layers.get(row[0], 0) + row[-1]
    assert layers == dict.fromkeys(range(1, 20), 1500)
    # Shown are p0 to p2, then p1 to p3, so three links have names; p1499 is the last.
    assert every.rows[0] == [1, None, "other", None, "other", 1496]
    assert [1, "page:/p0000", "node", "page:/p0001", "node", 1] in every.rows


def test_nodes_that_read_the_same_are_one(engine):
    engine.append(
        [page("u", 0, "/a"), page("u", 1, "-", "page:/a"), page("u", 2, "/b"), page("v", 9, "/a")]
    )
    rows = engine.query(query(nodes=[{"e": "page", "p": "event.url"}], max_steps=3)).rows
    assert [1, "page:/a", "node", "page:/a", "node", 1] in rows
    assert [1, "page:/a", "node", None, "dropped", 1] in rows
    collapsed = query(nodes=[{"e": "page", "p": "event.url"}], max_steps=2, collapse=True)
    assert [1, "page:/a", "node", "page:/b", "node", 1] in engine.query(collapsed).rows


def test_the_budget_is_a_clear_end(engine, monkeypatch):
    engine.append([page(f"u{u}", s, f"/p{s}") for u in range(3) for s in range(40)])
    wide = {**query(max_steps=20, max_nodes=100, count="users"), "by": [{"p": "event.url"}]}
    assert engine.query(wide).rows
    monkeypatch.setattr(path, "MAX_CELLS", 100)
    with pytest.raises(QueryBudgetExceeded, match="max_nodes"):
        engine.query(wide)
    monkeypatch.setattr(path_steps, "MAX_NODES", 10)
    with pytest.raises(QueryBudgetExceeded, match="different nodes"):
        engine.query(query(nodes=[{"e": "*", "p": "event.url"}]))
    with pytest.raises(QueryBudgetExceeded, match="memory"):
        engine.query(query(), memory_bytes=1 << 10)


def test_a_pick_says_what_is_wrong_with_it(engine):
    engine.append([page("u", 0, "/a"), page("u", 1, "/b")])
    asked = query(max_steps=3)
    for pick, at in [
        ({"layer": 3, "source": "page", "target": "page"}, "$.pick.layer"),
        ({"layer": 1, "source": "page"}, "$.pick.target"),
        ({"source": "page", "target": "page"}, "$.pick.layer"),
        ({"layer": 1, "source": "pge", "target": "page"}, "$.pick.source"),
        ({"layer": 1, "node": "page", "open": True}, "$.pick.open"),
        ({"layer": 1, "node": "page", "kind": "other"}, "$.pick.node"),
        ({"layer": 1, "kind": "node"}, "$.pick.node"),
    ]:
        with pytest.raises(InvalidQuery) as caught:
            engine.users(asked, pick)
        assert caught.value.path == at


def test_lists_are_no_nodes(engine):
    engine.append([page("u", 0, ["/a"])])
    with pytest.raises(InvalidQuery) as caught:
        engine.query(query(nodes=[{"e": "page", "p": "event.url"}]))
    assert caught.value.path == "$.body.nodes[0].p"


@pytest.mark.parametrize("seed", range(4_000, 4_008))
def test_nodes_links_and_lists_agree(seed, tmp_path):
    """Nodes are the sums of their links, every layer of the total; lists are as long as cells."""
    case = generate.project(seed)
    pair = Pair(case, tmp_path / "p")
    rng = random.Random(seed)
    for number in range(12):
        asked = query_of(case, number, "path")
        asked.pop("compare", None)
        try:
            result = pair.engine.query(asked)
        except InvalidQuery:
            continue
        heads = [by["p"] for by in asked.get("by") or []]
        lines = [*heads, *(["is_other"] if heads else [])]
        nodes = dicts(result.totals["nodes"]["columns"], result.totals["nodes"]["rows"])
        links = dicts([c.name for c in result.columns], result.rows)
        totals = dicts(result.totals["columns"], result.totals["rows"])
        body = asked["body"]
        end = "target" if body.get("end") else "source"
        for line in totals:
            own = [r for r in links if all(r[n] == line[n] for n in lines)]
            shown = [r for r in nodes if all(r[n] == line[n] for n in lines)]
            if body["count"] != "users":
                for layer in range(1, body["max_steps"] + 1):
                    at = [n for n in shown if n["layer"] == layer]
                    assert sum(n["count"] for n in at) == line["total"]
                    for n in at if layer < body["max_steps"] else []:
                        assert n["count"] == sum(
                            r["count"]
                            for r in own
                            if r["layer"] == layer
                            and (r[end], r[f"{end}_kind"]) == (n["node"], n["kind"])
                        )
                continue
            group = {"is_other": True} if line.get("is_other") else {}
            if heads and not group:
                group = {"by": {p: line[p] for p in heads}}
            cells = [
                ({"layer": n["layer"], "node": n["node"], "kind": n["kind"]}, n["count"])
                for n in shown
            ]
            cells += [({}, line["total"]), ({"open": True}, line["open"])]
            for pick, size in rng.sample(cells, min(4, len(cells))):
                assert pair.engine.users(asked, {**group, **pick}).totals["users"] == size
        assert not pair.wrong_lists(asked, rng, 3)
    pair.close()
