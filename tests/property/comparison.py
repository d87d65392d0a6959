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
            found.append(f"{dict(at[: len(at)]) if False else at}: " + "; ".join(wrong + more))
    found += [f"only in the engine: {row}" for at, row in ours.items() if at not in theirs]
    return found[:most]
