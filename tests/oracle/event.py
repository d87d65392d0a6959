"""Event analysis: the rows of each cell are collected, then measured."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tests.oracle.filters import event_value
from tests.oracle.funnel import gap_of, sessions

if TYPE_CHECKING:
    from tests.oracle.project import OracleProject, Row


def quantile(values: list[float], q: float) -> float:
    """The value at rank q (n - 1), linear between neighbours."""
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def numbers(project: OracleProject, rows: list[Row], p: str) -> list[float]:
    """The numeric values that the rows have."""
    found: list[float] = []
    for row in rows:
        value = event_value(project, row, p)
        if value is not None and value.kind in ("int", "float", "bool"):
            found.append(float(value.v))
    return found


def session_of(project: OracleProject, body: dict[str, Any]) -> dict[int, tuple[Any, int]]:
    """Row (by its order) → its session: cut over all rows of the user, whatever the query
    filters.
    """
    found: dict[int, tuple[Any, int]] = {}
    for user in project.users():
        rows = project.rows_of(user)
        for row, number in zip(rows, sessions(rows, gap_of(body)), strict=True):
            found[row.order] = (user, number)
    return found


def measured(
    project: OracleProject, rows: list[Row], measure: Any, session: dict[int, tuple[Any, int]]
) -> float | None:
    """The measure over the rows of one cell."""
    if measure == "count":
        return len(rows)
    users = len({r.user for r in rows})
    if measure == "users":
        return users
    if measure == "per_user":
        return len(rows) / users if users else None
    if measure == "sessions":
        return len({session[r.order] for r in rows})
    ((op, p),) = measure.items()
    if op == "distinct":
        values = [v for v in (event_value(project, r, p) for r in rows) if v is not None]
        return len({x for v in values for x in (v.v if v.kind == "list" else [v.v])})
    found = numbers(project, rows, p)
    if op == "sum":
        return math.fsum(found)
    if not found:
        return None
    if op == "avg":
        return math.fsum(found) / len(found)
    if op in ("min", "max"):
        return min(found) if op == "min" else max(found)
    return quantile(found, 0.5 if op == "median" else int(op[1:]) / 100)


def line(
    project: OracleProject,
    cells: list[list[Row]],
    series: dict[str, Any],
    session: dict[int, tuple[Any, int]],
) -> list[float | None]:
    """The values of a series over its buckets; running totals never add users twice."""
    measure = series.get("measure", "count")
    if series.get("cumulative"):
        cells = [[r for cell in cells[: i + 1] for r in cell] for i in range(len(cells))]
    values = [measured(project, cell, measure, session) for cell in cells]
    width = series.get("moving_average")
    if width is None:
        return values
    smooth: list[float | None] = []
    for i in range(len(values)):
        near = [v for v in values[max(0, i - width + 1) : i + 1] if v is not None]
        smooth.append(sum(near) / len(near) if near else None)
    return smooth


def formula(expr: str, names: dict[str, float | None]) -> float | None:
    """The formula's value; null when it touches a null or divides by zero."""
    used = {name: value for name, value in names.items() if name in expr}
    if any(value is None for value in used.values()):
        return None
    try:
        value = float(eval(expr, {"__builtins__": {}}, used))
    except ZeroDivisionError:
        return None
    return value if math.isfinite(value) else None
