"""The lifetime value model: every user, every period, every row of value."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.oracle import event as events
from tests.oracle.asking import (
    OTHER,
    RefusedQuery,
    by_columns,
    chosen,
    keys_of,
    kind_of,
    shown,
    where_of,
    with_other,
)
from tests.oracle.filters import is_event
from tests.oracle.parts import ref
from tests.oracle.walltime import instant, start_of, wall

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Key, Span
    from tests.oracle.project import OracleProject, Row, Value

GRAINS = ("day", "day", "week", "month")
COORDINATES = ("cohort", "period")
DAY_MS = 86_400_000
ROLLING_MS = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS}


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body; users who come by a date have no event to read a breakdown at."""
    made: dict[str, Any] = {"values": [_value(rng) for _ in range(rng.choice([1, 1, 2, 3]))]}
    if rng.random() < 0.9:
        made["periods"] = rng.choice([1, 2, 5, 12])
    if rng.random() < 0.6:
        made["mode"] = rng.choice(["calendar", "rolling"])
    if rng.random() < 0.65:
        made["start"] = ref(rng)
        if rng.random() < 0.6:
            made["cohort"] = rng.choice(["first_in_range", "first_ever"])
        return made
    made["date"] = rng.choice(["user.joined"] * 3 + ["user.since"] * 3 + ["user.no", "user.age"])
    if "by" in document:
        of_users = [item for item in document["by"] if item["p"].startswith("user.")]
        document["by"] = of_users or [{"p": "user.plan"}]
        for item in document["by"]:
            item.pop("as_of", None)
    return made


def _value(rng: random.Random) -> dict[str, Any]:
    value = ref(rng)
    if rng.random() < 0.8:
        value["p"] = rng.choice(["event.amount", "event.amount", "event.n", "event.vip"])
    if rng.random() < 0.3:
        value["sign"] = -1
    return value


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Properties that must be of a kind."""
    return [(value["p"], "number") for value in body["values"] if "p" in value]


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """A date is an instant or a text."""
    p = body.get("date")
    if p is not None and kind_of(project, p) not in (None, "datetime", "string"):
        raise RefusedQuery(f"{p} is no date")


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """A cohort, and those of it who paid in a period or until its end."""
    pick = {"cohort": row["cohort"]}
    found = [(pick, row["size"])]
    if row["complete"]:
        pick = {**pick, "period": row["period"]}
        found.append((pick, row["payers"]))
        found.append(({**pick, "so_far": True}, row["payers_so_far"]))
    return found


class Member:
    """A user who came: when, in which cohort, in which groups, and the values of each period."""

    def __init__(self, user: Any, at: int, cohort: int, keys: set[Key]) -> None:
        self.user = user
        self.at = at
        self.cohort = cohort
        self.keys = keys
        self.values: dict[int, list[float]] = {}

    def paid(self, k: int) -> bool:
        """Whether some value of the period is above 0."""
        return any(value > 0 for value in self.values.get(k, []))


def instant_of(value: Value | None, tz: str) -> int | None:
    """The instant that a date names; a date or time without an offset is local."""
    if value is None:
        return None
    if value.kind == "datetime":
        return int(value.v)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value.v):
        return start_of(date.fromisoformat(value.v), tz)
    if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", value.v):
        clock = datetime.fromisoformat(value.v)
        at = start_of(clock.date(), tz)
        while wall(at, tz).replace(tzinfo=None) < clock:
            left = clock - wall(at, tz).replace(tzinfo=None)
            at += 900_000 if left > timedelta(hours=3) else 1000
        return at
    try:
        return instant(value.v)
    except (ValueError, AssertionError):
        return None


def _members(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[Member]:
    body, where = query["body"], where_of(project, query, now)
    found = []
    for user in users:
        entry: Row | None = None
        if "date" in body:
            name = body["date"].partition(".")[2]
            at = instant_of(project.user_property(user, name, None), span.tz)
            keys = set(_user_keys(project, user, query, span.tz))
        else:
            rows = [r for r in project.rows_of(user) if where(r)]
            rows = [r for r in rows if is_event(project, r, body["start"], now)]
            if body.get("cohort") != "first_ever":
                rows = [r for r in rows if r.time >= span.low]
            entry = rows[0] if rows else None
            at = None if entry is None else entry.time
            keys = set(keys_of(project, entry, query, span.tz)) if entry is not None else set()
        if at is None or not span.low <= at < span.high:
            continue
        cohort = next(i for i, (low, high, _) in enumerate(span.buckets()) if low <= at < high)
        found.append(Member(user, at, cohort, keys))
    return found


def _user_keys(project: OracleProject, user: Any, query: dict[str, Any], tz: str) -> list[Key]:
    from itertools import product

    choices = [
        shown(project.user_property(user, by["p"].partition(".")[2], None), by, tz)
        for by in query.get("by") or []
    ]
    return list(product(*choices))


def _take_values(
    project: OracleProject, query: dict[str, Any], span: Span, member: Member, now: int
) -> None:
    body, where = query["body"], where_of(project, query, now)
    periods = body.get("periods", 30)
    found = span.buckets(more=periods + 1)
    for row in project.rows_of(member.user):
        if body.get("mode") == "rolling":
            k = (row.time - member.at) // ROLLING_MS[span.grain]
        else:
            inside = [i for i, (low, high, _) in enumerate(found) if low <= row.time < high]
            k = inside[0] - member.cohort if inside else -1
        if not 0 <= k <= periods or not where(row):
            continue
        for value in body["values"]:
            if is_event(project, row, value, now):
                numbers = [1.0] if "p" not in value else events.numbers(project, [row], value["p"])
                sign = value.get("sign", 1)
                member.values.setdefault(k, []).extend(sign * number for number in numbers)


def _lines(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[tuple[Key, list[Member]]]:
    """Members of each group."""
    everyone = _members(project, query, span, users, now)
    for member in everyone:
        _take_values(project, query, span, member, now)
    grouped: dict[Key, list[Member]] = {}
    for member in everyone:
        for key in member.keys:
            grouped.setdefault(key, []).append(member)
    sizes = {key: float(len(own)) for key, own in grouped.items()}
    top, rest = chosen(query, sizes) if query.get("by") else ([()], [])
    lines: list[Key] = [*top, OTHER] if with_other(query, rest) else list(top)
    found = []
    for key in lines:
        once = {m.user: m for g in (rest if key is OTHER else [key]) for m in grouped.get(g, [])}
        found.append((key, list(once.values())))
    return found


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    return [
        {**by_columns(query, key), **cells}
        for key, own in _lines(project, query, span, users, now)
        for cells in _cells(project, query, span, own, now)
    ]


def _is_over(project: OracleProject, query: dict[str, Any], span: Span, now: int) -> set[Any]:
    """(cohort, period) that have ended for all of the cohort."""
    periods = query["body"].get("periods", 30)
    rolling = query["body"].get("mode") == "rolling"
    found = span.buckets(more=periods + 1)
    watermark = min(project.watermark or 0, now)
    over = set()
    for cohort in range(len(span.buckets())):
        for k in range(periods + 1):
            end = found[cohort + k][1]
            if rolling:
                end = min(found[cohort][1], span.high) + (k + 1) * ROLLING_MS[span.grain]
            if end <= watermark:
                over.add((cohort, k))
    return over


def _cells(
    project: OracleProject, query: dict[str, Any], span: Span, members: list[Member], now: int
) -> list[dict[str, Any]]:
    over = _is_over(project, query, span, now)
    rows = []
    for cohort, (_, _, label) in enumerate(span.buckets()):
        own = [m for m in members if m.cohort == cohort]
        for k in range(query["body"].get("periods", 30) + 1):
            complete = (cohort, k) in over
            cells = {"cohort": label, "size": len(own), "period": k, "complete": complete}
            rows.append({**cells, **_numbers(own, k, complete)})
    return rows


def _numbers(own: list[Member], k: int, complete: bool) -> dict[str, Any]:
    names = ("value", "value_so_far", "per_user", "payers", "payers_so_far", "per_payer")
    if not complete:
        return dict.fromkeys(names)
    so_far = math.fsum(v for m in own for i in range(k + 1) for v in m.values.get(i, []))
    paid = sum(any(m.paid(i) for i in range(k + 1)) for m in own)
    numbers = (
        math.fsum(v for m in own for v in m.values.get(k, [])),
        so_far,
        so_far / len(own) if own else None,
        sum(m.paid(k) for m in own),
        paid,
        so_far / paid if paid else None,
    )
    return dict(zip(names, numbers, strict=True))


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Cohorts pooled, those whose period is over."""
    over = _is_over(project, query, span, now)
    made = []
    for key, own in _lines(project, query, span, users, now):
        for k in range(query["body"].get("periods", 30) + 1):
            done = [m for m in own if (m.cohort, k) in over]
            numbers = _numbers(done, k, True)
            del numbers["payers"]
            made.append({**by_columns(query, key), "period": k, "size": len(done), **numbers})
    return made
