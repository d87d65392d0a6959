"""Two answers side by side: rows matched by their coordinates, numbers equal to 1e-9."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tests.oracle.answers import answer
from tests.oracle.answers import totals as total_rows
from tests.oracle.models import MODELS

if TYPE_CHECKING:
    from tests.oracle.asking import Key
    from tests.oracle.project import OracleProject

COORDINATES = tuple(
    dict.fromkeys(
        ["range", "bucket", "is_other", *(n for m in MODELS.values() for n in m.COORDINATES)]
    )
)


def coordinates(row: dict[str, Any]) -> tuple[Any, ...]:
    """What names a cell: its fixed columns and the values of the breakdowns."""
    fixed = tuple((name, row[name]) for name in COORDINATES if name in row)
    # True == 1 == 1.0 in Python, but they are different group values.
    groups = tuple(
        (name, type(value).__name__ if isinstance(value, bool | str) else "number", value)
        for name, value in sorted(row.items())
        if name.startswith(("event.", "user."))
    )
    return (*fixed, *groups)


def same(a: Any, b: Any) -> bool:
    """Equal values; numbers up to rounding; null only equals null."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if a is None or b is None or isinstance(a, bool | str) or isinstance(b, bool | str):
        return a == b and isinstance(a, bool) == isinstance(b, bool)
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def differences(
    engine: list[dict[str, Any]], oracle: list[dict[str, Any]], most: int = 8
) -> list[str]:
    """What differs, one line a row; empty when the answers are equal."""
    found: list[str] = []
    ours = {coordinates(row): row for row in engine}
    theirs = {coordinates(row): row for row in oracle}
    if len(ours) != len(engine):
        found.append(f"the engine gave {len(engine) - len(ours)} rows twice")
    for at, row in theirs.items():
        if at not in ours:
            found.append(f"missing in the engine: {row}")
            continue
        wrong = [
            f"{name}: engine {ours[at].get(name)!r}, oracle {value!r}"
            for name, value in row.items()
            if name not in ours[at] or not same(ours[at][name], value)
        ]
        more = [f"{name}: only in the engine" for name in ours[at] if name not in row]
        if wrong or more:
            found.append(f"{at}: " + "; ".join(wrong + more))
    found += [f"only in the engine: {row}" for at, row in ours.items() if at not in theirs]
    return found[:most]


def total_differences(
    project: OracleProject,
    query: dict[str, Any],
    totals: dict[str, Any],
    rows: list[dict[str, Any]],
    now: int,
) -> list[str]:
    """What is wrong with an answer's totals. ``rows``: the oracle's rows."""
    compare = {"event": _of_event, "funnel": _of_funnel, "retention": _of_retention}
    check = compare.get(query["model"])
    if check is not None:
        return check(project, query, totals, rows, now)
    return _of_model(project, query, totals, now) if _offers_totals(query) else []


def _offers_totals(query: dict[str, Any]) -> bool:
    return hasattr(MODELS[query["model"]], "totals")


def _of_model(
    project: OracleProject, query: dict[str, Any], totals: dict[str, Any], now: int
) -> list[str]:
    return [
        f"totals: {one}" for one in differences(_given(totals), total_rows(project, query, now))
    ]


def _of_event(
    project: OracleProject,
    query: dict[str, Any],
    totals: dict[str, Any],
    _rows: list[dict[str, Any]],
    now: int,
) -> list[str]:
    by = [item["p"] for item in query.get("by") or []]
    lines, overall = event_totals(project, query, now)
    found = {
        (g["series"], g.get("is_other", False), *(g[p] for p in by)): g["value"]
        for g in _given(totals)
    }
    together = dict(totals["overall"])
    wrong = [
        f"total {k}: engine {found.get(k)}, oracle {v}"
        for k, v in lines.items()
        if not same(found.get(k), v)
    ]
    return wrong + [
        f"overall {k}: engine {together.get(k)}, oracle {v}"
        for k, v in overall.items()
        if not same(together.get(k), v)
    ]


def _of_retention(
    _project: OracleProject,
    query: dict[str, Any],
    totals: dict[str, Any],
    rows: list[dict[str, Any]],
    _now: int,
) -> list[str]:
    wrong = []
    for g in _given(totals):
        mine = [r for r in _of_line(query, rows, g) if r["period"] == g["period"] and r["complete"]]
        size, back = sum(r["size"] for r in mine), sum(r["returned"] for r in mine)
        expected = (size, back, back / size if size else None)
        if not same((g["size"], g["returned"], g["rate"]), expected):
            wrong.append(f"totals {g}: oracle {expected}")
    return wrong


def _of_funnel(
    _project: OracleProject,
    query: dict[str, Any],
    totals: dict[str, Any],
    rows: list[dict[str, Any]],
    _now: int,
) -> list[str]:
    wrong = []
    steps = query["body"]["steps"]
    last = max(i for i, s in enumerate(steps, 1) if not s.get("optional"))
    for g in _given(totals):
        mine = _of_line(query, rows, g)
        entered = sum(r["count"] for r in mine if r["step"] == 1)
        converted = sum(r["count"] for r in mine if r["step"] == last)
        expected = (entered, converted, converted / entered if entered else None)
        if not same((g["entered"], g["converted"], g["rate"]), expected):
            wrong.append(f"totals {g}: oracle {expected}")
    return wrong


def _given(totals: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(totals["columns"], row, strict=True)) for row in totals["rows"]]


def _of_line(
    query: dict[str, Any], rows: list[dict[str, Any]], line: dict[str, Any]
) -> list[dict[str, Any]]:
    """The rows of a line of totals, of the current range."""
    names = [
        name for name in (*(b["p"] for b in query.get("by") or []), "is_other") if name in line
    ]
    return [
        r
        for r in rows
        if r.get("range", "current") == "current" and all(same(r[n], line[n]) for n in names)
    ]


def event_totals(
    project: OracleProject, query: dict[str, Any], now: int
) -> tuple[dict[Key, float | None], dict[str, float | None]]:
    """Values over the whole range: by (series, is_other, group values), and by series alone."""
    whole = {**query, "time": {**query["time"], "grain": "all"}, "compare": None}
    plain = [
        {k: v for k, v in s.items() if k not in ("cumulative", "moving_average")}
        for s in query["body"]["series"]
    ]
    whole["body"] = {**query["body"], "series": plain}
    by = [item["p"] for item in query.get("by") or []]
    lines = {
        (row["series"], row.get("is_other", False), *(row[p] for p in by)): row["value"]
        for row in answer(project, whole, now)
    }
    together = {row["series"]: row["value"] for row in answer(project, {**whole, "by": []}, now)}
    return lines, together
