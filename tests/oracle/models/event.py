"""The event model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.oracle import event as events
from tests.oracle.asking import OTHER, Key, by_columns, chosen, keys_of, where_of, with_other
from tests.oracle.filters import is_event
from tests.oracle.parts import ref
from tests.oracle.walltime import bucket_of

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject, Row

GRAINS = None
COORDINATES = ("series", "bucket")


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body."""
    grain = document["time"]["grain"]
    series: list[dict[str, Any]] = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        item = ref(rng)
        number = rng.choice(["event.amount", "event.n"])
        item["measure"] = rng.choice(
            [
                "count",
                "users",
                "per_user",
                "sessions",
                *(
                    {op: number}
                    for op in ("sum", "avg", "min", "max", "median", "p10", "p90", "p99")
                ),
                {"distinct": rng.choice(["event.city", "event.n", "event.product", "event.tags"])},
            ]
        )
        cumulative = item["measure"] in ("count", "users", "sessions") or "sum" in item["measure"]
        if grain != "all" and cumulative and rng.random() < 0.2:
            item["cumulative"] = True
        elif grain != "all" and rng.random() < 0.2:
            item["moving_average"] = rng.choice([2, 3, 7])
        series.append(item)
    made: dict[str, Any] = {"series": series}
    if rng.random() < 0.2:
        exprs = ["A * 2 + 1", "A / (A - 1)", "-A / 3"] + (
            ["B / A * 100", "A - B"] * (len(series) > 1)
        )
        made["formula"] = [{"expr": rng.choice(exprs), "as": "f"}]
    if rng.random() < 0.2:
        made["session"] = {
            "gap": rng.choice([{"n": 1, "unit": "hour"}, {"n": 60, "unit": "second"}])
        }
    return made


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Properties that must be of a kind."""
    found = []
    for series in body["series"]:
        if isinstance(series.get("measure"), dict):
            ((op, p),) = series["measure"].items()
            if op != "distinct":
                found.append((p, "number"))
    return found


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Nothing more."""


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """Series that count users."""
    series = {s.get("as") or chr(65 + i): s for i, s in enumerate(query["body"]["series"])}
    one = series.get(row["series"])
    plain = one is not None and one.get("measure") == "users" and "cumulative" not in one
    if one is None or not plain or "moving_average" in one:
        return []
    return [({"series": row["series"], "bucket": row["bucket"]}, int(row["value"]))]


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    body, where, wanted = query["body"], where_of(project, query, now), set(users)
    found = span.buckets()
    session = events.session_of(project, body)
    per_series: list[dict[Key, list[list[Row]]]] = []
    for series in body["series"]:
        cells: dict[Key, list[list[Row]]] = {}
        for row in project.rows:
            if row.user not in wanted or not span.low <= row.time < span.high:
                continue
            if not where(row) or not is_event(project, row, series, now):
                continue
            b = bucket_of(row.time, found)
            assert b is not None
            for key in set(keys_of(project, row, query, span.tz)):
                cells.setdefault(key, [[] for _ in found])[b].append(row)
        per_series.append(cells)
    groups = {key for cells in per_series for key in cells}
    totals = {key: _total(project, per_series, key, body, session) for key in groups}
    top, rest = chosen(query, totals) if query.get("by") else ([()], [])
    lines: list[Key] = [*top, OTHER] if with_other(query, rest) else list(top)
    rows: list[dict[str, Any]] = []
    for key in lines:
        letters: dict[str, list[float | None]] = {}
        names: list[str] = []
        for i, series in enumerate(body["series"]):
            merged = _merge(per_series[i], rest if key is OTHER else [key], len(found))
            letter = chr(65 + i)
            letters[letter] = events.line(project, merged, series, session)
            names.append(series.get("as") or letter)
        table = dict(zip(names, letters.values(), strict=True))
        for f in body.get("formula") or []:
            table[f.get("as") or f["expr"]] = [
                events.formula(f["expr"], {k: v[b] for k, v in letters.items()})
                for b in range(len(found))
            ]
        for name, values in table.items():
            for (_, _, label), value in zip(found, values, strict=True):
                rows.append(
                    {"series": name, "bucket": label, **by_columns(query, key), "value": value}
                )
    return rows


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Values over the whole range, each user once."""
    series = [
        {k: v for k, v in one.items() if k not in ("cumulative", "moving_average")}
        for one in query["body"]["series"]
    ]
    whole = {**query, "body": {**query["body"], "series": series}}
    rows = answer(project, whole, replace(span, grain="all"), users, now)
    return [{k: v for k, v in row.items() if k != "bucket"} for row in rows]


def overall(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> dict[str, Any]:
    """Values over the whole range and all groups, by series."""
    rows = totals(project, {**query, "by": []}, span, users, now)
    return {row["series"]: row["value"] for row in rows}


def _merge(cells: dict[Key, list[list[Row]]], keys: list[Key], n: int) -> list[list[Row]]:
    """The rows of several groups together, each row once."""
    merged: list[list[Row]] = []
    for b in range(n):
        once: dict[int, Row] = {}
        for key in keys:
            for row in cells.get(key, [[] for _ in range(n)])[b]:
                once[row.order] = row
        merged.append([once[order] for order in sorted(once)])
    return merged


def _total(
    project: OracleProject,
    per_series: list[dict[Key, list[list[Row]]]],
    key: Key,
    body: dict[str, Any],
    session: dict[int, tuple[Any, int]],
) -> float:
    rows = [row for cell in per_series[0].get(key, []) for row in cell]
    value = events.measured(project, rows, body["series"][0].get("measure", "count"), session)
    return -math.inf if value is None else value
