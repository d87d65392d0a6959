"""The funnel model."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.oracle import event as events
from tests.oracle import funnel as funnels
from tests.oracle.asking import (
    OTHER,
    Key,
    RefusedQuery,
    by_columns,
    chosen,
    kind_of,
    lines_of,
    values_of,
    where_of,
    with_other,
)
from tests.oracle.filters import UNIT_MS
from tests.oracle.parts import ref
from tests.oracle.walltime import local_date, start_of

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject, Row

GRAINS = None
COORDINATES = ("step", "bucket")


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body; breakdowns get where along the chain they are read."""
    k = rng.choice([2, 2, 3, 3, 4])
    steps = [ref(rng) for _ in range(k)]
    if rng.random() < 0.15:
        steps[1] = dict(steps[0])
    made: dict[str, Any] = {"steps": steps, "window": _window(rng)}
    made["order"] = rng.choice(["ordered", "ordered", "ordered", "strict", "any_order"])
    made["ties"] = rng.choice(["sequence", "any", "strict"])
    made["entry"] = rng.choice(["any", "any", "first"])
    made["count"] = rng.choice(["users", "users", "entries", "sessions"])
    if k > 2 and made["order"] != "any_order" and rng.random() < 0.25:
        for step in steps[1:]:
            step["optional"] = rng.random() < 0.5
        if all(s.get("optional") for s in steps[1:]):
            rng.choice(steps[1:])["optional"] = False
    required = [i + 1 for i, s in enumerate(steps) if not s.get("optional")]
    if rng.random() < 0.25:
        if rng.random() < 0.6:
            names = rng.sample(["event.product", "event.n", "event.vip"], rng.choice([1, 1, 2]))
            made["hold"] = list(names)
        else:
            names = ["event.product", "event.city"]
            made["hold"] = [[{"step": s, "p": rng.choice(names)} for s in range(1, k + 1)]]
    if made["order"] != "any_order" and rng.random() < 0.3:
        item = ref(rng)
        item["between"] = sorted(rng.sample(required, 2))
        item["on"] = rng.choice(["drop", "remove"])
        made["exclude"] = [item]
        if rng.random() < 0.3:
            ends = sorted(rng.sample(required, 2))
            made["exclude"].append(
                {**ref(rng), "between": ends, "on": rng.choice(["drop", "remove"])}
            )
    if rng.random() < 0.4:
        made["measure"] = [
            "count",
            "rate",
            "step_rate",
            "dropped",
            "ttc_mean",
            "ttc_p50",
            "ttc_p90",
        ]
        if rng.random() < 0.5:
            step = rng.randint(1, k)
            made["measure"].append({"sum": rng.choice(["event.amount", "event.n"]), "step": step})
    made["trend"] = rng.random() < 0.3
    if rng.random() < 0.3:
        made["session"] = {
            "gap": rng.choice([{"n": 1, "unit": "hour"}, {"n": 60, "unit": "second"}])
        }
    for item in document.get("by", []):
        attr = rng.choice(["first", "last", "step", None])
        if attr == "step":
            item["attr"] = {"step": rng.randint(1, len(steps))}
        elif attr:
            item["attr"] = attr
    return made


def _window(rng: random.Random) -> dict[str, Any]:
    unit = rng.choice(
        ["second", "minute", "hour", "day", "day", "day", "week", "same_day", "session"]
    )
    if unit in ("same_day", "session"):
        return {"n": 1, "unit": unit}
    if unit in ("second", "minute"):
        return {"n": rng.choice([30, 60, 1800]), "unit": unit}
    return {"n": rng.choice([1, 2, 7, 30]), "unit": unit}


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Properties that must be of a kind."""
    return [(one["sum"], "number") for one in body.get("measure") or [] if isinstance(one, dict)]


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Lists cannot be held."""
    for by_step in funnels.hold_maps(body):
        for p in by_step.values():
            if kind_of(project, p) == "list":
                raise RefusedQuery(f"{p} is a list and cannot be held")


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """Users who came to a step, and those who did not."""
    if query["body"].get("count", "users") != "users":
        return []
    pick = {name: row[name] for name in ("step", "bucket") if name in row}
    found = [(pick, row["count"])]
    if row["step"] > 1:
        found.append(({**pick, "dropped": True}, row["dropped"]))
    return found


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    body = query["body"]
    found = span.buckets() if body.get("trend") else None
    tries = funnels.attempts(
        project,
        body,
        where_of(project, query, now),
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
    lines: list[Key] = [*top, OTHER] if with_other(query, rest) else list(top)
    rows: list[dict[str, Any]] = []
    for key in lines:
        own = _attempts_of(grouped, rest if key is OTHER else [key])
        for b, bucket in enumerate(found or [None]):
            mine = own if bucket is None else [a for a in own if a.bucket == b]
            head = by_columns(query, key)
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
        choices.append(values_of(project, row, by, tz))
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


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Who entered and who converted, over all buckets."""
    last = max(i for i, s in enumerate(query["body"]["steps"], 1) if not s.get("optional"))
    found = []
    for head, rows in lines_of(query, answer(project, query, span, users, now)):
        entered = sum(row["count"] for row in rows if row["step"] == 1)
        converted = sum(row["count"] for row in rows if row["step"] == last)
        rate = converted / entered if entered else None
        found.append({**head, "entered": entered, "converted": converted, "rate": rate})
    return found
