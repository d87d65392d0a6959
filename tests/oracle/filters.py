"""Filters and audiences, one value at a time. A missing property satisfies only four operators."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from tests.oracle.project import Row, Value
from tests.oracle.walltime import instant, start_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.oracle.project import OracleProject

UNIT_MS = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
Lookup = "Callable[[str], Value | None]"


def matches(node: dict[str, Any] | None, value_of: Callable[[str], Value | None], now: int) -> bool:
    """Does the filter hold for the row or user behind ``value_of``?"""
    if node is None:
        return True
    if "all" in node:
        return all(matches(item, value_of, now) for item in node["all"])
    if "any" in node:
        return any(matches(item, value_of, now) for item in node["any"])
    if "not" in node:
        return not matches(node["not"], value_of, now)
    return holds(value_of(node["p"]), node["op"], node.get("v"), now)


def holds(value: Value | None, op: str, v: Any, now: int) -> bool:
    """Does one predicate hold?"""
    if op == "ne":
        return not holds(value, "eq", v, now)
    if op == "not_in":
        return not holds(value, "in", v, now)
    if op == "not_contains":
        return not holds(value, "contains", v, now)
    if op == "is_not_set":
        return value is None
    if value is None:
        return False
    if op == "is_set":
        return True
    if op == "is_empty":
        return value.v in ("", ())
    if op == "in":
        return any(holds(value, "eq", item, now) for item in v)
    if op == "between":
        return holds(value, "gte", v[0], now) and holds(value, "lte", v[1], now)
    if op in ("eq", "gt", "gte", "lt", "lte"):
        pair = comparable(value, v)
        if pair is None:
            return False
        a, b = pair
        return {"eq": a == b, "gt": a > b, "gte": a >= b, "lt": a < b, "lte": a <= b}[op]
    if op == "within_last":
        return value.kind == "datetime" and now - v["n"] * UNIT_MS[v["unit"]] < value.v <= now
    if op in ("has", "has_any", "has_all"):
        if value.kind != "list":
            return False
        wanted = [v] if op == "has" else v
        found = [item in value.v for item in wanted]
        return any(found) if op == "has_any" else all(found)
    if value.kind != "string":
        return False
    text = value.v
    if op == "contains":
        return v in text
    if op == "starts_with":
        return text.startswith(v)
    if op == "ends_with":
        return text.endswith(v)
    assert op == "matches", op
    return re.search(v, text) is not None


def comparable(value: Value, v: Any) -> tuple[Any, Any] | None:
    """Both sides in one type, or None when they cannot be compared (then nothing holds)."""
    if value.kind == "string" and isinstance(v, str):
        return value.v.encode(), v.encode()
    if value.kind in ("int", "float") and isinstance(v, int | float) and not isinstance(v, bool):
        return value.v, v
    if value.kind == "bool" and isinstance(v, bool):
        return value.v, v
    if value.kind == "datetime":
        if isinstance(v, str):
            return value.v, instant(v)
        if isinstance(v, int | float) and not isinstance(v, bool):
            return value.v, v
    return None


def event_value(project: OracleProject, row: Row, p: str, at: int | None = None) -> Value | None:
    """Value of a property name for one row. ``at``: read user properties at an instant, not now."""
    scope, _, name = p.partition(".")
    if scope == "user":
        return project.user_property(row.user, name, at)
    if name == "$name":
        return Value("string", row.event)
    if name == "$time":
        return Value("datetime", row.time)
    if name == "$received":
        return Value("datetime", row.received)
    return row.props.get(name)


def is_event(project: OracleProject, row: Row, ref: dict[str, Any], now: int) -> bool:
    """Is the row one of ``{"e", "where"}``?"""
    names = [ref["e"]] if isinstance(ref["e"], str) else ref["e"]
    if "*" not in names and row.event not in names:
        return False
    return matches(ref.get("where"), lambda p: event_value(project, row, p), now)


def in_audience(
    project: OracleProject,
    user: tuple[str, str],
    node: dict[str, Any] | None,
    span: tuple[int, int, str],
    now: int,
) -> bool:
    """Is the user in the audience? ``span``: the query's range and zone, where ``did`` looks."""
    if node is None:
        return True
    if "all" in node:
        return all(in_audience(project, user, item, span, now) for item in node["all"])
    if "any" in node:
        return any(in_audience(project, user, item, span, now) for item in node["any"])
    if "not" in node:
        return not in_audience(project, user, node["not"], span, now)
    if "user" in node:
        name_of = lambda p: project.user_property(user, p.partition(".")[2], None)  # noqa: E731
        return matches(node["user"], name_of, now)
    if "did_not" in node:
        return not in_audience(project, user, {"did": node["did_not"]}, span, now)
    low, high, tz = span
    if "sequence" in node:
        rows = [row for row in project.rows_of(user) if low <= row.time < high]
        return _in_order(project, rows, node["sequence"], now)
    did = node["did"]
    within = did.get("within")
    if within is not None and "n" in within:
        low = high - within["n"] * UNIT_MS[within["unit"]]
    elif within is not None:
        first, last = date.fromisoformat(within["from"]), date.fromisoformat(within["to"])
        low, high = start_of(first, tz), start_of(last + timedelta(days=1), tz)
    rows = [
        r for r in project.rows_of(user) if low <= r.time < high and is_event(project, r, did, now)
    ]
    if "measure" in did:
        return _adds_up(project, rows, did)
    times = len(rows)
    count = did.get("count") or {"op": "gte", "v": 1}
    return holds(Value("int", times), count.get("op", "gte"), count.get("v", 1), now)


def _adds_up(project: OracleProject, rows: list[Row], did: dict[str, Any]) -> bool:
    """Does the aggregate of the rows' values satisfy what is asked? Without a value it does not."""
    ((op, p),) = did["measure"].items()
    found = [event_value(project, row, p) for row in rows]
    numbers = [float(one.v) for one in found if one and one.kind in ("bool", "int", "float")]
    if not numbers:
        return False
    total = math.fsum(numbers)
    value = {"sum": total, "avg": total / len(numbers), "min": min(numbers), "max": max(numbers)}
    v, asked = did["value"]["v"], did["value"].get("op", "gte")
    v = [float(end) for end in v] if asked == "between" else float(v)
    return holds(Value("float", value[op]), asked, v, 0)


def _in_order(project: OracleProject, rows: list[Row], sequence: dict[str, Any], now: int) -> bool:
    """Are there rows, one a step, each after the one before, close enough to the first?"""
    rows = sorted(rows, key=lambda row: (row.time, row.order))
    within = sequence.get("within")
    length = math.inf if within is None else within["n"] * UNIT_MS[within["unit"]]
    first, *others = sequence["steps"]
    for start, opening in enumerate(rows):
        if not is_event(project, opening, first, now):
            continue
        at = start
        for step in others:
            later = (i for i in range(at + 1, len(rows)) if is_event(project, rows[i], step, now))
            at = next(later, len(rows))
            if at == len(rows):
                break
        if at < len(rows) and rows[at].time - opening.time <= length:
            return True
    return False
