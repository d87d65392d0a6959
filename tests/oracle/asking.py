"""What the oracle's models share: ranges, filters of rows, groups, top and other.

Group values are what the answer shows: None for a missing value, text for strings, dates and
numeric buckets. A list puts a row or attempt in one group per distinct item.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from tests.oracle.filters import event_value, matches
from tests.oracle.walltime import buckets, instant, local_date, start_of, wall

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.oracle.project import OracleProject, Row, Value

Key = tuple[Any, ...]
OTHER = ("other",)


@dataclass(frozen=True)
class Span:
    """The range of a query and its buckets."""

    low: int
    high: int
    tz: str
    grain: str
    week_start: int

    def buckets(self, more: int = 0) -> list[tuple[int, int, str]]:
        """(start, end, label), uncut."""
        return buckets(self.tz, self.low, self.high, self.grain, self.week_start, more)


def span_of(project: OracleProject, query: dict[str, Any]) -> Span:
    """The range of the query's ``time``: dates are inclusive, instants half-open."""
    time = query["time"]
    tz = time.get("tz") or project.tz

    def end(text: str, is_end: bool) -> int:
        if "T" in text:
            return instant(text)
        return start_of(date.fromisoformat(text) + timedelta(days=is_end), tz)

    grain, week_start = time.get("grain", "day"), time.get("week_start", 1)
    return Span(end(time["from"], False), end(time["to"], True), tz, grain, week_start)


def shifted(span: Span, shift: str) -> Span:
    """The range moved back; ends at midnight move by dates, others keep their time of day."""
    count, unit = int(shift[1:-1]), shift[-1]

    def back(day: date, is_end: bool) -> date:
        if unit in "dw":
            return day - timedelta(days=count * (7 if unit == "w" else 1))
        index = day.year * 12 + day.month - 1 - count * {"M": 1, "q": 3, "y": 12}[unit]
        try:
            return date(index // 12, index % 12 + 1, day.day)
        except ValueError:
            after = index + 1
            following = date(after // 12, after % 12 + 1, 1)
            return following if is_end else following - timedelta(days=1)

    def move(ms: int, is_end: bool) -> int:
        day = local_date(ms, span.tz)
        if start_of(day, span.tz) == ms:
            return start_of(back(day, is_end), span.tz)
        clock = wall(ms, span.tz).replace(tzinfo=None)
        target = back(day, False)
        at = start_of(target, span.tz)
        wanted = clock.replace(year=target.year, month=target.month, day=target.day)
        while wall(at, span.tz).replace(tzinfo=None) < wanted:
            at += (
                1
                if (wanted - wall(at, span.tz).replace(tzinfo=None)) < timedelta(minutes=1)
                else 60_000
            )
        return at

    low = move(span.low, False)
    return Span(low, max(move(span.high, True), low + 1), span.tz, span.grain, span.week_start)


class RefusedQuery(Exception):
    """The query is an error: a property is of a kind that does not fit its use."""


def kind_of(project: OracleProject, p: str) -> str | None:
    """Kind of a property, None when nobody sent it."""
    scope, _, name = p.partition(".")
    return (project.user_kinds if scope == "user" else project.event_kinds).get(name)


def where_of(project: OracleProject, query: dict[str, Any], now: int) -> Callable[[Row], bool]:
    """Whether a row passes the query's own filter."""
    return lambda row: matches(query.get("where"), lambda p: event_value(project, row, p), now)


# ------------------------------------------------------------------------------------- groups


def shown(value: Value | None, by: dict[str, Any], tz: str) -> list[Any]:
    """The group values that a property value stands for."""
    if value is None:
        return [None]
    if value.kind == "list":
        return sorted(set(value.v)) or [None]
    if value.kind == "datetime":
        ms = value.v
        text = wall(ms, tz).isoformat(timespec="milliseconds" if ms % 1000 else "seconds")
        return [text]
    if by.get("buckets") and value.kind in ("int", "float"):
        return [_bucket(float(value.v), by["buckets"])]
    return [value.v]


def _bucket(number: float, edges: list[float]) -> str:
    def short(edge: float) -> str:
        return str(int(edge)) if float(edge).is_integer() else repr(float(edge))

    if number < edges[0]:
        return f"(-∞, {short(edges[0])})"
    for low, high in pairwise(edges):
        if low <= number < high:
            return f"[{short(low)}, {short(high)})"
    return f"[{short(edges[-1])}, ∞)"


def keys_of(project: OracleProject, row: Row | None, query: dict[str, Any], tz: str) -> list[Key]:
    """Every group that a row is in; one empty group without ``by``."""
    choices = [values_of(project, row, by, tz) for by in query.get("by") or []]
    return list(product(*choices))


def values_of(project: OracleProject, row: Row | None, by: dict[str, Any], tz: str) -> list[Any]:
    """Group values of a row for one breakdown."""
    if row is None:
        return [None]
    default = "now" if by["p"].startswith("user.") else "event"
    at = row.time if (by.get("as_of") or default) == "event" else None
    return shown(event_value(project, row, by["p"], at), by, tz)


def _sort_key(key: Key) -> tuple[Any, ...]:
    def one(value: Any) -> tuple[int, float, str]:
        if value is None:
            return (2, 0.0, "")
        if isinstance(value, str):
            return (1, 0.0, value)
        return (0, float(value), "")

    return tuple(one(v) for v in key)


def chosen(query: dict[str, Any], totals: dict[Key, float]) -> tuple[list[Key], list[Key]]:
    """The groups shown and those merged into ``other``."""
    top = query.get("top") or {}
    order = sorted(totals, key=lambda key: (-totals[key], _sort_key(key)))
    n = top.get("n", 20)
    return order[:n], order[n:]


def by_columns(query: dict[str, Any], key: Key) -> dict[str, Any]:
    """The columns of a group."""
    items = query.get("by") or []
    if not items:
        return {}
    is_other = key is OTHER
    found: dict[str, Any] = {
        item["p"]: None if is_other else value
        for item, value in zip(items, key if not is_other else [None] * len(items), strict=True)
    }
    return {**found, "is_other": is_other}


def with_other(query: dict[str, Any], rest: list[Key]) -> bool:
    """Whether there is a row for the rest."""
    return bool(rest) and bool((query.get("top") or {}).get("other", True))


def lines_of(
    query: dict[str, Any], rows: list[dict[str, Any]], *more: str
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Rows of an answer by group (and by the columns ``more``): (what they share, the rows)."""
    names = [*([*(b["p"] for b in query["by"]), "is_other"] if query.get("by") else []), *more]
    # True == 1 == 1.0 in Python, but they are different group values.
    found: dict[Key, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    for row in rows:
        key = tuple((isinstance(row[name], bool), row[name]) for name in names)
        found.setdefault(key, ({name: row[name] for name in names}, []))[1].append(row)
    return list(found.values())
