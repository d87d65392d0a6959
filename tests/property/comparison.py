"""Two answers side by side: rows matched by their coordinates, numbers equal to 1e-9."""

from __future__ import annotations

import math
from typing import Any

COORDINATES = ("range", "series", "cohort", "period", "step", "bucket", "is_other")


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
    query: dict[str, Any],
    totals: dict[str, Any],
    rows: list[dict[str, Any]],
    lines: dict[tuple[Any, ...], Any],
    overall: dict[str, Any],
) -> list[str]:
    """What is wrong with an answer's totals.

    ``rows``: the oracle's rows. ``lines`` and ``overall``: its totals of an event query, computed
    over the whole range; those of the other models follow from the rows.
    """
    by = [item["p"] for item in query.get("by") or []]
    given = [dict(zip(totals["columns"], row, strict=True)) for row in totals["rows"]]
    if query["model"] == "event":
        found = {
            (g["series"], g.get("is_other", False), *(g[p] for p in by)): g["value"] for g in given
        }
        wrong = [
            f"total {k}: engine {found.get(k)}, oracle {v}"
            for k, v in lines.items()
            if not same(found.get(k), v)
        ]
        together = dict(totals["overall"])
        wrong += [
            f"overall {k}: engine {together.get(k)}, oracle {v}"
            for k, v in overall.items()
            if not same(together.get(k), v)
        ]
        return wrong
    wrong = []
    for g in given:
        mine = [
            r
            for r in rows
            if all(same(r[name], g[name]) for name in [*by, "is_other"] if name in g)
        ]
        mine = [r for r in mine if r.get("range", "current") == "current"]
        if query["model"] == "retention":
            mine = [r for r in mine if r["period"] == g["period"] and r["complete"]]
            size, back = sum(r["size"] for r in mine), sum(r["returned"] for r in mine)
            expected = (size, back, back / size if size else None)
            told = (g["size"], g["returned"], g["rate"])
        else:
            steps = query["body"]["steps"]
            last = max(i for i, s in enumerate(steps, 1) if not s.get("optional"))
            entered = sum(r["count"] for r in mine if r["step"] == 1)
            converted = sum(r["count"] for r in mine if r["step"] == last)
            expected = (entered, converted, converted / entered if entered else None)
            told = (g["entered"], g["converted"], g["rate"])
        if not same(told, expected):
            wrong.append(f"totals {g}: oracle {expected}")
    return wrong
