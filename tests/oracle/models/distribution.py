"""The distribution model: a number a user and period, then bands, then those who have none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from tests.oracle.asking import (
    OTHER,
    Key,
    RefusedQuery,
    Span,
    by_columns,
    chosen,
    keys_of,
    shifted,
    shown,
    span_of,
    where_of,
    with_other,
)
from tests.oracle.event import quantile
from tests.oracle.filters import event_value, in_audience, is_event
from tests.oracle.parts import ref
from tests.oracle.walltime import bucket_of, buckets, wall

if TYPE_CHECKING:
    import random

    from tests.oracle.project import OracleProject, Row, Value

GRAINS = None
COORDINATES = ("band", "is_zero")
WORDS = ("times", "active_days", "active_hours")


@dataclass(frozen=True)
class Member:
    """A user in a period, with a number or (None) without."""

    user: tuple[str, str]
    period: int
    number: float | None
    keys: frozenset[Key]


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body; breakdowns get their ``attr``."""
    made: dict[str, Any] = ref(rng)
    number = rng.choice(["event.amount", "event.n", "event.vip", "event.no"])
    made["measure"] = rng.choice(
        [
            *WORDS,
            *WORDS,
            {rng.choice(["sum", "avg", "min", "max", "median", "p90", "p10"]): number},
            {rng.choice(["sum", "avg", "min", "max", "median", "p90", "p10"]): number},
            {"distinct": rng.choice(["event.city", "event.n", "event.tags", "event.vip"])},
        ]
    )
    made["buckets"] = rng.choice(
        ["auto", "auto", [2], [1, 2, 5], [-0.5, 0, 10, 1000.5], {"width": rng.choice([2, 12.5])}]
    )
    if isinstance(made["measure"], dict) and number == "event.n":
        made["buckets"] = rng.choice(["auto", [0, 2, 10]])
    if rng.random() < 0.6:
        made["zero"] = rng.choice(["all", "active", "active_in_range"])
    for item in document.get("by") or []:
        if rng.random() < 0.5:
            item["attr"] = rng.choice(["first", "last"])
    return made


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Properties that must be of a kind."""
    op, p = _measure(body)
    return [] if p is None or op == "distinct" else [(p, "number")]


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Nothing more."""


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """Each band, and the zero band."""
    of = {"is_zero": True} if row["is_zero"] else {"band": row["band"]}
    return [({"bucket": row["bucket"], **of}, row["users"])]


@dataclass(frozen=True)
class Cell:
    """A group and a period: the columns that name it, and its members."""

    head: dict[str, Any]
    end: int
    members: list[Member]

    @property
    def numbers(self) -> list[float]:
        """Of those who have one."""
        return [m.number for m in self.members if m.number is not None]


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    numbered = _numbered(project, query, span, users, now)
    bands = _bands(project, query, now, [m.number for m in numbered if m.number is not None])
    watermark = -math.inf if project.watermark is None else min(project.watermark, now)
    rows: list[dict[str, Any]] = []
    for cell in _cells(project, query, span, users, now):
        head = {**cell.head, "complete": cell.end <= watermark}
        people = len(cell.members)

        def row(users: int, people: int = people, **band: Any) -> dict[str, Any]:
            return {**band, "users": users, "share": users / people if people else None}

        if query["body"].get("zero"):
            zero = {"band": None, "low": None, "high": None, "is_zero": True}
            rows.append(head | row(people - len(cell.numbers), **zero))
        for low, high in bands:
            inside = sum(
                (low is None or low <= number) and (high is None or number < high)
                for number in cell.numbers
            )
            left = "(-∞" if low is None else f"[{_text(low)}"
            name = f"{left}, {'∞' if high is None else _text(high)})"
            rows.append(head | row(inside, band=name, low=low, high=high, is_zero=False))
    return rows


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Users with a number, without one, both, and the mean number."""
    found = []
    for cell in _cells(project, query, span, users, now):
        have, people = len(cell.numbers), len(cell.members)
        known = bool(query["body"].get("zero"))
        found.append(
            {
                **cell.head,
                "users": have,
                "zero": people - have if known else None,
                "population": people if known else None,
                "mean": math.fsum(cell.numbers) / have if have else None,
            }
        )
    return found


def _cells(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[Cell]:
    numbered = _numbered(project, query, span, users, now)
    members = numbered + _without(project, query, span, users, numbered)
    sizes: dict[Key, float] = {}
    for member in members:
        for key in member.keys:
            sizes[key] = sizes.get(key, 0.0) + 1
    top, rest = chosen(query, sizes) if query.get("by") else ([()], [])
    lines: list[Key] = [*top, OTHER] if with_other(query, rest) else list(top)
    cells: list[Cell] = []
    for key in lines:
        wanted = set(rest) if key is OTHER else {key}
        own = [m for m in members if m.keys & wanted]
        for period, (_, end, label) in enumerate(span.buckets()):
            head = {**by_columns(query, key), "bucket": label}
            cells.append(Cell(head, min(end, span.high), [m for m in own if m.period == period]))
    return cells


# ------------------------------------------------------------------------------------ numbers


def _measure(body: dict[str, Any]) -> tuple[str, str | None]:
    measure = body.get("measure", "times")
    if isinstance(measure, str):
        return measure, None
    ((op, p),) = measure.items()
    return op, p


def _numbered(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[Member]:
    body, where, found = query["body"], where_of(project, query, now), span.buckets()
    op, p = _measure(body)
    members: list[Member] = []
    for user in users:
        counted: dict[int, list[tuple[Row, Value | None]]] = {}
        for row in project.rows_of(user):
            if not span.low <= row.time < span.high:
                continue
            if not where(row) or not is_event(project, row, body, now):
                continue
            value = None if p is None else event_value(project, row, p)
            if p is not None and (value is None or (value.kind == "list" and not value.v)):
                continue
            period = bucket_of(row.time, found)
            assert period is not None
            counted.setdefault(period, []).append((row, value))
        for period, own in counted.items():
            keys = _keys(project, query, own[0][0], own[-1][0], span.tz)
            members.append(Member(user, period, _number(op, own, span), keys))
    return members


def _number(op: str, own: list[tuple[Row, Value | None]], span: Span) -> float:
    if op == "times":
        return len(own)
    if op == "active_days":
        days = _days(span.tz, span.low, span.high)
        return len({bucket_of(row.time, days) for row, _ in own})
    if op == "active_hours":
        clocks = [wall(row.time, span.tz) for row, _ in own]
        return len({(c.utcoffset(), c.date(), c.hour) for c in clocks})
    values = [value.v for _, value in own if value is not None]
    if op == "distinct":
        return len({x for v in values for x in (v if isinstance(v, tuple) else (v,))})
    numbers = [float(v) for v in values]
    if op == "sum":
        return math.fsum(numbers)
    if op == "avg":
        return math.fsum(numbers) / len(numbers)
    if op in ("min", "max"):
        return min(numbers) if op == "min" else max(numbers)
    return quantile(numbers, 0.5 if op == "median" else int(op[1:]) / 100)


@lru_cache(maxsize=64)
def _days(tz: str, low: int, high: int) -> list[tuple[int, int, str]]:
    return buckets(tz, low, high, "day")


def _keys(
    project: OracleProject, query: dict[str, Any], first: Row, last: Row, tz: str
) -> frozenset[Key]:
    choices = []
    for item in query.get("by") or []:
        row = last if item.get("attr") == "last" else first
        choices.append([key[0] for key in keys_of(project, row, {"by": [item]}, tz)])
    return frozenset(product(*choices))


# ----------------------------------------------------------------------------- those without one


def _without(
    project: OracleProject,
    query: dict[str, Any],
    span: Span,
    users: list[Any],
    numbered: list[Member],
) -> list[Member]:
    zero, found = query["body"].get("zero"), span.buckets()
    if not zero:
        return []
    have = {(m.user, m.period) for m in numbered}
    members: list[Member] = []
    for user in users:
        rows = [r for r in project.rows_of(user) if span.low <= r.time < span.high]
        active = {bucket_of(r.time, found) for r in rows}
        for period in range(len(found)):
            counts = {"all": True, "active": period in active, "active_in_range": bool(active)}
            if counts[zero] and (user, period) not in have:
                members.append(Member(user, period, None, _own_keys(project, query, user, span)))
    return members


def _own_keys(
    project: OracleProject, query: dict[str, Any], user: tuple[str, str], span: Span
) -> frozenset[Key]:
    choices: list[list[Any]] = []
    for item in query.get("by") or []:
        scope, _, name = item["p"].partition(".")
        if scope == "user" and item.get("as_of") != "event":
            choices.append(shown(project.user_property(user, name, None), item, span.tz))
        else:
            choices.append([None])
    return frozenset(product(*choices))


# -------------------------------------------------------------------------------------- bands

Band = tuple[float | None, float | None]


def _bands(
    project: OracleProject, query: dict[str, Any], now: int, mine: list[float]
) -> list[Band]:
    asked = query["body"].get("buckets", "auto")
    if isinstance(asked, list):
        edges: list[float | None] = [None, *asked, None]
        return list(pairwise(edges))
    numbers = list(mine)
    if query.get("compare"):
        current, compare = span_of(project, query), query["compare"]
        sides = [(current, query.get("audience"))]
        if "audience" in compare:
            sides.append((current, compare["audience"]))
        else:
            sides.append((shifted(current, compare["shift"]), query.get("audience")))
        for span, audience in sides:
            ends = (span.low, span.high, span.tz)
            users = [u for u in project.users() if in_audience(project, u, audience, ends, now)]
            found = _numbered(project, query, span, users, now)
            numbers += [m.number for m in found if m.number is not None]
    if not numbers:
        return []
    if isinstance(asked, dict):
        width = Fraction(str(asked["width"]))
        most = (Fraction(max(numbers)) - Fraction(min(numbers))) / width
        if most > 2_000 or len(_of_width(width, numbers)) > 1_000:
            raise RefusedQuery("too many bands")
        return _of_width(width, numbers)
    if min(numbers) == max(numbers):
        return _of_width(Fraction(1), numbers)
    op, _ = _measure(query["body"])
    whole = op in (*WORDS, "distinct")
    widths = (digit * Fraction(10) ** power for power in range(-30, 30) for digit in (1, 2, 5))
    for width in widths:
        if whole and width < 1:
            continue
        if (max(numbers) - min(numbers)) / float(width) > 30:
            continue
        if _last_at(width, max(numbers)) - _last_at(width, min(numbers)) < 20:
            return _of_width(width, numbers)
    raise AssertionError(numbers)


def _last_at(width: Fraction, number: float) -> int:
    """The last multiple that is, as a double, at or below the number."""
    k = math.floor(Fraction(number) / width) - 2
    while float((k + 1) * width) <= number:
        k += 1
    return k


def _of_width(width: Fraction, numbers: list[float]) -> list[Band]:
    """Multiples of the width around all the numbers, as doubles."""
    k = math.floor(Fraction(min(numbers)) / width) - 2
    edges = [float(k * width)]
    while edges[-1] <= max(numbers):
        k += 1
        edges.append(float(k * width))
    edges = sorted(set(edges))
    while edges[1] <= min(numbers):
        edges.pop(0)
    return list(pairwise(edges))


def _text(edge: float) -> str:
    return str(int(edge)) if float(edge).is_integer() and abs(edge) < 2**53 else repr(float(edge))
