"""The retention model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tests.oracle import event as events
from tests.oracle import retention as retentions
from tests.oracle.asking import (
    OTHER,
    Key,
    by_columns,
    chosen,
    keys_of,
    lines_of,
    where_of,
    with_other,
)
from tests.oracle.filters import is_event
from tests.oracle.parts import ref

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject

GRAINS = ("day", "day", "week", "month")
COORDINATES = ("cohort", "period")


def body(rng: random.Random, _document: dict[str, Any]) -> dict[str, Any]:
    """A random body."""
    start = ref(rng)
    back = ref(rng) if rng.random() < 0.7 else dict(start)
    n = rng.choice([1, 2, 3, 7])
    made: dict[str, Any] = {"start": start, "return": back, "periods": n}
    made["cohort"] = rng.choice(["first_in_range", "first_ever", "recurring", "recurring"])
    made["mode"] = rng.choice(["calendar", "calendar", "rolling"])
    ends = sorted(rng.sample(range(n + 1), 2))
    made["criterion"] = rng.choice(
        [
            "on",
            "on",
            "on_or_after",
            "on_or_before",
            "consecutive",
            {"bracket": [[0, ends[0]], ends]},
        ]
    )
    made["churn"] = rng.random() < 0.2
    if rng.random() < 0.25:
        events_of, number = ref(rng), rng.choice(["event.amount", "event.n"])
        made["measure"] = rng.choice(
            [{"count": events_of}, {"sum": number, **events_of}, {"avg": number, **events_of}]
        )
    return made


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Properties that must be of a kind."""
    _, p = _metric(body)
    return [] if p is None else [(p, "number")]


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Nothing more."""


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """A cohort, and those of it who came back."""
    pick = {"cohort": row["cohort"]}
    found = [(pick, row["size"])]
    if row["returned"] is not None:
        churned = {"churned": True} if query["body"].get("churn") else {}
        found.append(({**pick, "period": row["period"], **churned}, row["returned"]))
    return found


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    body, where = query["body"], where_of(project, query, now)
    n, criterion = body.get("periods", 7), body.get("criterion", "on")
    cohorts = len(span.buckets())
    found = span.buckets(more=n + 1)
    rolling = body.get("mode", "calendar") == "rolling"
    period_ms = retentions.ROLLING_MS[span.grain] if rolling else None
    metric, p = _metric(body)
    everyone = retentions.all_users_members(
        project,
        users,
        is_start=lambda r: where(r) and is_event(project, r, body["start"], now),
        is_return=lambda r: where(r) and is_event(project, r, body["return"], now),
        is_metric=lambda r: metric is not None and where(r) and is_event(project, r, metric, now),
        cohort=body.get("cohort", "first_in_range"),
        span=(span.low, span.high),
        buckets=found,
        cohorts=cohorts,
        period_ms=period_ms,
    )
    grouped: dict[Key, list[retentions.Member]] = {}
    for member in everyone:
        for key in set(keys_of(project, member.entry, query, span.tz)):
            grouped.setdefault(key, []).append(member)
    totals = {key: float(len(members)) for key, members in grouped.items()}
    top, rest = chosen(query, totals) if query.get("by") else ([()], [])
    lines: list[Key] = [*top, OTHER] if with_other(query, rest) else list(top)
    columns = range(len(criterion["bracket"])) if isinstance(criterion, dict) else range(n + 1)
    watermark = min(project.watermark or 0, now)
    rows: list[dict[str, Any]] = []
    for key in lines:
        once = {id(m): m for g in (rest if key is OTHER else [key]) for m in grouped.get(g, [])}
        for period in range(cohorts):
            own = [m for m in once.values() if m.period == period]
            for k in columns:
                end = _end(found, period, retentions.last_needed(k, criterion, n), period_ms, span)
                complete = end <= watermark
                back = sum(retentions.hits(m, k, criterion, n) for m in own)
                if body.get("churn"):
                    back = len(own) - back
                cells = {
                    **by_columns(query, key),
                    "cohort": found[period][2],
                    "size": len(own),
                    "period": k,
                    "returned": back if complete else None,
                    "rate": back / len(own) if complete and own else None,
                    "complete": complete,
                }
                if metric is not None:
                    cells |= _metric_cell(project, own, k, body, p, complete)
                rows.append(cells)
    return rows


def _end(
    found: list[tuple[int, int, str]], period: int, k: int, period_ms: int | None, span: Span
) -> int:
    """When the last needed period of a cohort is over for all of its members."""
    if period_ms is None:
        return found[period + k][1]
    return min(found[period][1], span.high) + (k + 1) * period_ms


def _metric(body: dict[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    measure = body.get("measure")
    if measure is None:
        return None, None
    if "count" in measure:
        return measure["count"], None
    op = "sum" if "sum" in measure else "avg"
    return measure, measure[op]


def _metric_cell(
    project: OracleProject,
    own: list[retentions.Member],
    k: int,
    body: dict[str, Any],
    p: str | None,
    complete: bool,
) -> dict[str, Any]:
    columns = [k]
    if isinstance(body.get("criterion"), dict):
        low, high = body["criterion"]["bracket"][k]
        columns = list(range(low, high + 1))
    rows = [row for m in own for column in columns for row in m.metric.get(column, [])]
    if p is None:
        return {"metric_count": len(rows) if complete else None}
    op = "sum" if "sum" in body["measure"] else "avg"
    values = events.numbers(project, rows, p)
    value: float | None = math.fsum(values)
    if op == "avg":
        value = math.fsum(values) / len(values) if values else None
    return {f"{op}({p})": value if complete else None}


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Cohorts pooled, those whose period is over."""
    found = []
    for head, rows in lines_of(query, answer(project, query, span, users, now), "period"):
        done = [row for row in rows if row["complete"]]
        size, back = sum(row["size"] for row in done), sum(row["returned"] for row in done)
        rate = back / size if size else None
        found.append({**head, "size": size, "returned": back, "rate": rate})
    return found
