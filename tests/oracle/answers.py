"""A whole query → the answer's rows: range, audience, groups, top and other, comparison.

Group values are what the answer shows: None for a missing value, text for strings, dates and
numeric buckets. A list puts a row or attempt in one group per distinct item.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from tests.oracle import event as events
from tests.oracle import funnel as funnels
from tests.oracle import retention as retentions
from tests.oracle.filters import UNIT_MS, event_value, in_audience, is_event, matches
from tests.oracle.walltime import bucket_of, buckets, instant, local_date, start_of, wall

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


def _check_kinds(project: OracleProject, query: dict[str, Any]) -> None:
    body = query["body"]
    measures = [s.get("measure") for s in body.get("series", [])]
    asked = body.get("measure") or []
    measures += asked if isinstance(asked, list) else [asked]
    for measure in measures:
        if not isinstance(measure, dict):
            continue
        op, p = next((k, v) for k, v in measure.items() if k not in ("e", "where", "step"))
        if op in ("distinct", "count"):
            continue
        kind = _kind(project, p)
        if kind not in (None, "bool", "int", "float"):
            raise RefusedQuery(f"{p} is a {kind}")
    for by in query.get("by") or []:
        if by.get("buckets") and _kind(project, by["p"]) not in (None, "int", "float"):
            raise RefusedQuery(f"{by['p']} has no buckets")
    for by_step in funnels.hold_maps(body) if query["model"] == "funnel" else []:
        for p in by_step.values():
            if _kind(project, p) == "list":
                raise RefusedQuery(f"{p} is a list and cannot be held")


def _kind(project: OracleProject, p: str) -> str | None:
    scope, _, name = p.partition(".")
    return (project.user_kinds if scope == "user" else project.event_kinds).get(name)


def answer(project: OracleProject, query: dict[str, Any], now: int) -> list[dict[str, Any]]:
    """The rows of the answer, in no particular order."""
    _check_kinds(project, query)
    span = span_of(project, query)
    rows = _answer(project, query, span, now)
    if query.get("compare"):
        previous = _answer(project, query, shifted(span, query["compare"]["shift"]), now)
        rows = [{"range": "current", **r} for r in rows] + [
            {"range": "previous", **r} for r in previous
        ]
    return rows


def _answer(
    project: OracleProject, query: dict[str, Any], span: Span, now: int
) -> list[dict[str, Any]]:
    model = {"event": _event, "funnel": _funnel, "retention": _retention}[query["model"]]
    users = [
        u
        for u in project.users()
        if in_audience(project, u, query.get("audience"), (span.low, span.high, span.tz), now)
    ]
    return model(project, query, span, users, now)


def _where(project: OracleProject, query: dict[str, Any], now: int) -> Callable[[Row], bool]:
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
    choices = [_values(project, row, by, tz) for by in query.get("by") or []]
    return list(product(*choices))


def _values(project: OracleProject, row: Row | None, by: dict[str, Any], tz: str) -> list[Any]:
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


def _by_columns(query: dict[str, Any], key: Key) -> dict[str, Any]:
    items = query.get("by") or []
    if not items:
        return {}
    is_other = key is OTHER
    found: dict[str, Any] = {
        item["p"]: None if is_other else value
        for item, value in zip(items, key if not is_other else [None] * len(items), strict=True)
    }
    return {**found, "is_other": is_other}


def _with_other(query: dict[str, Any], rest: list[Key]) -> bool:
    return bool(rest) and bool((query.get("top") or {}).get("other", True))


# -------------------------------------------------------------------------------------- event


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


def _event(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    body, where, wanted = query["body"], _where(project, query, now), set(users)
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
    lines: list[Key] = [*top, OTHER] if _with_other(query, rest) else list(top)
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
                    {"series": name, "bucket": label, **_by_columns(query, key), "value": value}
                )
    return rows


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


# ------------------------------------------------------------------------------------- funnel


def _funnel(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    body = query["body"]
    found = span.buckets() if body.get("trend") else None
    tries = funnels.attempts(
        project,
        body,
        _where(project, query, now),
        users,
        span.tz,
        (span.low, span.high),
        found,
        now,
    )
    grouped: dict[Key, list[funnels.Attempt]] = {}
    for attempt in tries:
        for key in set(_attempt_keys(project, attempt, query, span.tz)):
            grouped.setdefault(key, []).append(attempt)
    totals = {key: float(len(found_)) for key, found_ in grouped.items()}
    top, rest = chosen(query, totals) if query.get("by") else ([()], [])
    lines: list[Key] = [*top, OTHER] if _with_other(query, rest) else list(top)
    rows: list[dict[str, Any]] = []
    for key in lines:
        own = _attempts_of(grouped, rest if key is OTHER else [key])
        for b, bucket in enumerate(found or [None]):
            mine = own if bucket is None else [a for a in own if a.bucket == b]
            head = _by_columns(query, key)
            if bucket is not None:
                head["bucket"] = bucket[2]
                head["complete"] = _mature(project, body, span, bucket, now)
            rows += [{**head, **cells} for cells in _steps(project, body, mine)]
    return rows


def _attempt_keys(
    project: OracleProject, attempt: funnels.Attempt, query: dict[str, Any], tz: str
) -> list[Key]:
    choices = []
    for by in query.get("by") or []:
        attr = by.get("attr") or "first"
        if attr == "first":
            row: Row | None = attempt.first
        elif attr == "last":
            row = attempt.last
        else:
            row = attempt.rows.get(attr["step"] - 1)
        choices.append(_values(project, row, by, tz))
    return list(product(*choices))


def _attempts_of(
    grouped: dict[Key, list[funnels.Attempt]], keys: list[Key]
) -> list[funnels.Attempt]:
    once = {id(a): a for key in keys for a in grouped.get(key, [])}
    return list(once.values())


def _mature(
    project: OracleProject, body: dict[str, Any], span: Span, bucket: tuple[int, int, str], now: int
) -> bool:
    """Has the window of every start in the bucket elapsed?"""
    window = body.get("window") or {"n": 7, "unit": "day"}
    end = min(bucket[1], span.high)
    watermark = min(project.watermark or 0, now)
    if window["unit"] == "same_day":
        day = local_date(end - 1, span.tz) + timedelta(days=1)
        return start_of(day, span.tz) <= watermark
    length = (
        funnels.gap_of(body)
        if window["unit"] == "session"
        else window["n"] * UNIT_MS[window["unit"]]
    )
    return end + length <= watermark


def _steps(
    project: OracleProject, body: dict[str, Any], tries: list[funnels.Attempt]
) -> list[dict[str, Any]]:
    steps = body["steps"]
    counts = [sum(i in a.reached for a in tries) for i in range(len(steps))]
    found: list[dict[str, Any]] = []
    for i, step in enumerate(steps):
        before = max((j for j in range(i) if not steps[j].get("optional")), default=None)
        base = counts[i] if before is None else counts[before]
        cells: dict[str, Any] = {
            "step": i + 1,
            "label": step.get("as")
            or (step["e"] if isinstance(step["e"], str) else " | ".join(step["e"])),
            "count": counts[i],
            "rate": counts[i] / counts[0] if counts[0] else None,
            "step_rate": counts[i] / base if base else None,
            "dropped": base - counts[i],
        }
        for measure in body.get("measure") or []:
            cells |= _measure(project, tries, i, before, measure)
        found.append(cells)
    return found


def _measure(
    project: OracleProject,
    tries: list[funnels.Attempt],
    i: int,
    before: int | None,
    measure: Any,
) -> dict[str, Any]:
    if isinstance(measure, dict):
        step, name = measure.get("step"), f"sum({measure['sum']})"
        if step is not None:
            name += f"@{step}"
            if step != i + 1:
                return {name: None}
        rows = [a.rows[i] for a in tries if i in a.rows]
        return {name: math.fsum(events.numbers(project, rows, measure["sum"]))}
    if not measure.startswith("ttc"):
        return {}
    times = [
        float(a.rows[i].time - a.rows[before].time)
        for a in tries
        if before is not None and i in a.rows
    ]
    if not times:
        return {measure: None}
    if measure == "ttc_mean":
        return {measure: math.fsum(times) / len(times)}
    q = 0.5 if measure == "ttc_median" else int(measure[5:]) / 100
    return {measure: events.quantile(times, q)}


# ---------------------------------------------------------------------------------- retention


def _retention(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    body, where = query["body"], _where(project, query, now)
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
    lines: list[Key] = [*top, OTHER] if _with_other(query, rest) else list(top)
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
                    **_by_columns(query, key),
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
