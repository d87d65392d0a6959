"""Sessions, paths and concurrency beside DuckDB, one statement each, on random projects.

Sessions are cut by ``lag`` and a running sum; links of a path are a join of a session's steps with
their next ones; users online are counted at every instant at which one comes.
"""

from __future__ import annotations

import pytest

from tests.differential.random_rows import MINUTE, RandomRows, period_of
from tests.differential.sql_peers import needs
from tests.oracle.walltime import buckets, instant

needs("duckdb")

SEEDS = range(10)
GAPS = {1: MINUTE, 30: 30 * MINUTE, 1441: 1441 * MINUTE}
WINDOW = 'WINDOW w AS (PARTITION BY "user" ORDER BY t, seq)'


@pytest.fixture
def both(tmp_path, request):
    made = RandomRows(request.param, tmp_path)
    yield made
    made.close()


def cut(gap_ms: int, more: str = "false") -> str:
    """SQL: all rows with ``s``, the number of the session of their user."""
    lagged = "lag(t) OVER w AS t0, lag(day) OVER w AS day0, lag(event) OVER w AS event0"
    before = f"SELECT *, {lagged} FROM events {WINDOW}"
    new = f"t0 IS NULL OR t - t0 > {gap_ms} OR {more}"
    return (
        f"SELECT *, sum(CASE WHEN {new} THEN 1 ELSE 0 END) OVER "
        f'(PARTITION BY "user" ORDER BY t, seq ROWS UNBOUNDED PRECEDING) AS s FROM ({before})'
    )


# What else cuts, the same in SQL, and what the first row of a session must be.
CUTS = {
    "gap": ({}, "false", "true"),
    "midnight": ({"midnight": True}, "day <> day0", "true"),
    "end": ({"end": {"e": ["pay", "ping"]}}, "event0 IN ('pay', 'ping')", "true"),
    "start": ({"start": {"e": "open"}}, "event = 'open'", "event = 'open'"),
    # After an end, and after a gap, the next session waits for a start.
    "both": (
        {"start": {"e": "open"}, "end": {"e": "pay"}},
        "event = 'open' OR event0 = 'pay'",
        "event = 'open'",
    ),
}


def sessions(gap_ms: int, kind: str, counted: str) -> str:
    """SQL: a row a session that counts."""
    _, more, first = CUTS[kind]
    return (
        'SELECT "user" AS u, min(t) AS t0, max(t) AS t1, arg_min(day, (t, seq)) AS d, '
        f"count(*) AS n, count(*) FILTER ({counted}) AS depth, "
        f"arg_min(event, (t, seq)) FILTER ({counted}) AS entry, "
        f"arg_max(event, (t, seq)) FILTER ({counted}) AS leave "
        f'FROM ({cut(gap_ms, more)}) GROUP BY "user", s '
        f"HAVING depth > 0 AND arg_min({first}, (t, seq))"
    )


MEASURES = {
    "sessions": "count(*)",
    "users": "count(DISTINCT u)",
    "per_user": "count(*) / count(DISTINCT u)",
    "bounces": "count(*) FILTER (depth = 1)",
    "bounce_rate": "avg(CASE WHEN depth = 1 THEN 1.0 ELSE 0.0 END)",
    "depth_sum": "sum(depth)",
    "depth_p90": "quantile_cont(depth, 0.9)",
    "duration_sum": "coalesce(sum(t1 - t0) FILTER (n > 1), 0)",
    "duration_avg": "avg(t1 - t0) FILTER (n > 1)",
    "duration_median": "quantile_cont(t1 - t0, 0.5) FILTER (n > 1)",
}
FILTERS = (
    ({"e": "*"}, "true"),
    ({"e": ["view", "pay"]}, "event IN ('view', 'pay')"),
    ({"e": "*", "where": {"p": "event.city", "op": "is_set"}}, "city IS NOT NULL"),
)


@pytest.mark.parametrize("both", SEEDS, indirect=True)
@pytest.mark.parametrize("kind", list(CUTS))
def test_sessions_by_day(both, kind):
    n = both.rng.choice(list(GAPS))
    events, counted = both.rng.choice(FILTERS)
    body = {
        "session": {"gap": {"n": n, "unit": "minute"}, **CUTS[kind][0]},
        "events": events,
        "measure": list(MEASURES),
    }
    ours = {
        period_of(row["bucket"], "day"): [row[name] for name in MEASURES]
        for row in both.ask("session", body)
        if row["sessions"]
    }
    theirs = both.sql(
        f"SELECT d, {', '.join(MEASURES.values())} FROM ({sessions(GAPS[n], kind, counted)}) "
        f"WHERE t0 >= {both.low} AND t0 < {both.high} GROUP BY d"
    )
    assert ours.keys() == {d for d, *_ in theirs}
    for d, *numbers in theirs:
        assert ours[d] == [None if x is None else pytest.approx(x) for x in numbers]


@pytest.mark.parametrize("both", SEEDS, indirect=True)
@pytest.mark.parametrize(("attr", "column"), [("first", "entry"), ("last", "leave")])
def test_entry_and_exit_events(both, attr, column):
    events, counted = both.rng.choice(FILTERS)
    body = {"events": events, "attr": attr, "measure": ["sessions", "users", "depth_sum"]}
    rows = both.ask("session", body, grain="all", by=[{"p": "event.$name"}])
    ours = {row["event.$name"]: (row["sessions"], row["users"], row["depth_sum"]) for row in rows}
    theirs = both.sql(
        f"SELECT {column}, count(*), count(DISTINCT u), sum(depth) "
        f"FROM ({sessions(30 * MINUTE, 'gap', counted)}) "
        f"WHERE t0 >= {both.low} AND t0 < {both.high} GROUP BY {column}"
    )
    assert ours == {name: tuple(map(int, numbers)) for name, *numbers in theirs}


# --------------------------------------------------------------------------------------- paths


def links(gap_ms: int, steps: str, most: int, count: str, *, mark: str, back: bool, same: bool):
    """SQL: (layer, source, its kind, target, its kind, number).

    ``steps``: which rows are steps. ``mark``: the event at which paths begin, "" for any. ``back``:
    read from the last such step backwards. ``same``: neighbours of one name are one step.
    """
    order = "t DESC, seq DESC" if back else "t, seq"
    rows = (
        f'SELECT *, row_number() OVER (PARTITION BY "user", s ORDER BY {order}) AS place, '
        f'count(*) OVER (PARTITION BY "user", s) AS n, '
        f'min(t) OVER (PARTITION BY "user", s) AS begun FROM ({cut(gap_ms)})'
    )
    inside = 'PARTITION BY "user", s ORDER BY place'
    named = (
        f"SELECT *, lag(event) OVER ({inside}) AS said, "
        # Whether the session ends with a step, in the direction of reading.
        f'max(place) OVER (PARTITION BY "user", s) = n AS is_end '
        f"FROM ({rows}) WHERE {steps}"
    )
    kept = f"SELECT * FROM ({named}) WHERE {'said IS NULL OR said <> event' if same else 'true'}"
    begin = f"event = '{mark}'" if mark else "true"
    begun = (
        f"SELECT *, max(CASE WHEN {begin} THEN 1 ELSE 0 END) OVER "
        f"({inside} ROWS UNBOUNDED PRECEDING) AS going FROM ({kept})"
    )
    path = f"SELECT *, row_number() OVER ({inside}) AS k FROM ({begun}) WHERE going = 1"
    whole = 'SELECT "user" AS u, s, max(k) AS len, bool_or(is_end) AS is_end FROM path GROUP BY ALL'
    over = "'entered'" if back else "'dropped'"
    kind = f"CASE WHEN {{}} <= len THEN 'node' WHEN x.is_end THEN {over} ELSE 'elsewhere' END"
    near, far = ("l.l", "l.l + 1")
    ends = ("b", far, "a", near) if back else ("a", near, "b", far)
    source, at, target, to = ends
    return (
        f"WITH path AS ({path}) "
        f"SELECT l.l, {source}.event, {kind.format(at)}, {target}.event, {kind.format(to)}, "
        f"{count} "
        f"FROM ({whole}) AS x CROSS JOIN range(1, {most}) AS l(l) "
        'LEFT JOIN path AS a ON a."user" = x.u AND a.s = x.s AND a.k = l.l '
        'LEFT JOIN path AS b ON b."user" = x.u AND b.s = x.s AND b.k = l.l + 1 GROUP BY ALL'
    )


@pytest.mark.parametrize("both", SEEDS, indirect=True)
@pytest.mark.parametrize("place", ["", "start", "end"])
@pytest.mark.parametrize("count", ["sessions", "users"])
def test_links_of_paths(both, place, count):
    n, most = both.rng.choice(list(GAPS)), both.rng.choice([2, 3, 6, 20])
    same = both.rng.random() < 0.5
    names = both.rng.sample(["open", "view", "pay", "ping"], 3)
    listed = ", ".join(f"'{name}'" for name in [*names, "view"])
    body = {
        "events": [{"e": name} for name in names],
        "collapse": same,
        "max_steps": most,
        "count": count,
        "session": {"gap": {"n": n, "unit": "minute"}},
        "exclude": [{"e": "refund"}],
    }
    mark = "view" if place else ""
    if place:
        # Where paths begin is a step, listed or not.
        body[place] = {"e": "view"}
    else:
        listed = ", ".join(f"'{name}'" for name in names)
    rows = both.ask("path", body)
    columns = ("layer", "source", "source_kind", "target", "target_kind", "count")
    ours = sorted((tuple(row[c] for c in columns) for row in rows), key=str)
    sql = links(
        GAPS[n],
        f"begun >= {both.low} AND begun < {both.high} AND event IN ({listed})",
        most,
        "count(*)" if count == "sessions" else "count(DISTINCT x.u)",
        mark=mark,
        back=place == "end",
        same=same,
    )
    assert ours == sorted(both.sql(sql), key=str)


# --------------------------------------------------------------------------------- concurrency


@pytest.mark.parametrize("both", SEEDS, indirect=True)
@pytest.mark.parametrize("tail", [None, 45])
def test_users_online(both, tail):
    n = both.rng.choice(list(GAPS))
    events, counted = both.rng.choice(FILTERS)
    body = {"session": {"gap": {"n": n, "unit": "minute"}}, "events": events}
    if tail:
        body["tail"] = {"n": tail, "unit": "minute"}
    ours = [
        (instant(row["peak_at"]) if row["peak_at"] else None, row["peak"], row["average"])
        for row in both.ask("concurrency", body)
    ]
    edges = buckets(both.tz, both.low, both.high, "day")
    days = ", ".join(f"({i}, {low}, {high})" for i, (low, high, _) in enumerate(edges))
    longer = (tail or 0) * MINUTE
    # Half-open stays; those of one user that meet are one.
    stays = f"SELECT u, t0, t1 + {longer} + 1 AS t1 FROM ({sessions(GAPS[n], 'gap', counted)})"
    reach = (
        "SELECT *, max(t1) OVER (PARTITION BY u ORDER BY t0 ROWS BETWEEN UNBOUNDED PRECEDING "
        f"AND 1 PRECEDING) AS before FROM ({stays})"
    )
    number = (
        "SELECT *, sum(CASE WHEN before IS NULL OR t0 > before THEN 1 ELSE 0 END) OVER "
        f"(PARTITION BY u ORDER BY t0 ROWS UNBOUNDED PRECEDING) AS stay FROM ({reach})"
    )
    theirs = both.sql(
        f"WITH stays AS (SELECT u, min(t0) AS t0, max(t1) AS t1 FROM ({number}) GROUP BY u, stay), "
        f"days AS (SELECT * FROM (VALUES {days}) AS d(i, low, high)), "
        "moments AS (SELECT i, t0 AS p FROM days JOIN stays ON t0 >= low AND t0 < high "
        "UNION SELECT i, low FROM days), "
        "online AS (SELECT i, p, count(DISTINCT u) AS c FROM moments JOIN stays "
        "ON t0 <= p AND p < t1 GROUP BY i, p), "
        "most AS (SELECT i, max(c) AS peak, arg_min(p, (-c, p)) AS peak_at FROM online GROUP BY i) "
        "SELECT peak_at, coalesce(peak, 0), coalesce((SELECT sum(least(t1, high) - "
        "greatest(t0, low)) FROM stays WHERE t0 < high AND t1 > low), 0) / (high - low) "
        "FROM days LEFT JOIN most USING (i) ORDER BY i"
    )
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert [row[2] for row in ours] == pytest.approx([row[2] for row in theirs])
