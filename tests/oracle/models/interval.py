"""The interval model: which rows make pairs, by definition, then the numbers of their lengths.

A start waits unless one waits already: one at most a cap older, with no end in between. An end and
a start make a pair when nothing has closed the start before. So it is said here, pair by pair.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from tests.oracle.asking import (
    OTHER,
    Key,
    RefusedQuery,
    by_columns,
    chosen,
    keys_of,
    kind_of,
    where_of,
    with_other,
)
from tests.oracle.event import quantile
from tests.oracle.filters import UNIT_MS, event_value, is_event
from tests.oracle.parts import ref
from tests.oracle.walltime import bucket_of

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject, Row

GRAINS = None
COORDINATES = ()
DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000
ROUND = [1, 2, 5, 10, 20, 50, 100, 200, 500]
ROUND += [1000 * n for n in (1, 2, 5, 10, 15, 30)] + [MINUTE * n for n in (1, 2, 5, 10, 15, 30)]
ROUND += [HOUR * n for n in (1, 2, 3, 6, 12)]
ROUND += [DAY * n for n in (1, 2, 5, 7, 14, 30, 60, 90, 180, 365, 730, 1825, 3650, 7300)]


@dataclass(frozen=True)
class Spot:
    """A row of one user in one of its roles: ``number`` is its place, ends first within a row."""

    row: Row
    number: int
    is_end: bool
    held: tuple[Any, ...]


@dataclass(frozen=True)
class Pair:
    """A start and its end."""

    start: Row
    end: Row

    @property
    def gap(self) -> int:
        """Length in ms."""
        return self.end.time - self.start.time


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body; breakdowns get their ``attr``."""
    made: dict[str, Any] = {"start": ref(rng)}
    if rng.random() < 0.8:
        made["end"] = ref(rng) if rng.random() < 0.8 else dict(made["start"])
    made["nearest"] = rng.choice(["start", "end"])
    made["ties"] = rng.choice(["sequence", "sequence", "strict"])
    made["since"] = rng.choice(["range", "range", "ever"])
    made["over"] = rng.choice(["pairs", "users"])
    if rng.random() < 0.6:
        made["cap"] = rng.choice(
            [
                None,
                {"n": 1, "unit": "day"},
                {"n": 30, "unit": "minute"},
                {"n": 1, "unit": "second"},
                {"n": 4, "unit": "week"},
            ]
        )
    if rng.random() < 0.3:
        made["hold"] = rng.choice(
            [
                ["event.product"],
                ["event.n", "event.vip"],
                ["event.tags"],
                [{"start": "event.product", "end": "event.city"}],
                [{"start": "event.n", "end": "event.amount"}],
                [{"start": "event.product", "end": "event.n"}],
            ]
        )
    if rng.random() < 0.3:
        made["percentiles"] = rng.sample([1, 10, 90, 99], rng.randint(1, 3))
    if rng.random() < 0.5:
        made["histogram"] = rng.choice(["auto", [0, MINUTE, HOUR, DAY], [1]])
    for item in document.get("by") or []:
        if rng.random() < 0.6:
            item["attr"] = rng.choice(["first", "last", {"step": 1}, {"step": 2}])
    return made


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Properties that must be of a kind."""
    return []


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """What is held has one value, and both ends can be equal."""
    for start, end in _held(body):
        kinds = {kind_of(project, start), kind_of(project, end)}
        if "list" in kinds:
            raise RefusedQuery("a list cannot be held")
        if None not in kinds and len(kinds) > 1 and kinds != {"int", "float"}:
            raise RefusedQuery(f"{start} and {end} are never equal")


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """A bucket, and over users each bar."""
    pick = {"bucket": row["bucket"]}
    found = [(pick, row["users"])]
    if query["body"].get("over") == "users" and row.get("histogram"):
        for bar, (_, _, count) in enumerate(row["histogram"]["bars"]):
            found.append(({**pick, "bar": bar}, count))
    return found


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    cells, bars = _cells(project, query, span, users, now)
    return [head | _numbers(query["body"], own, bars) for head, own in cells if "bucket" in head]


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The same numbers over the whole range."""
    cells, bars = _cells(project, query, span, users, now)
    return [
        head | _numbers(query["body"], own, bars) for head, own in cells if "bucket" not in head
    ]


def _cells(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> tuple[list[tuple[dict[str, Any], list[Pair]]], list[tuple[Any, Any]] | None]:
    """Cells of each group, over the whole range and by bucket; and the bars of all of them."""
    body, found = query["body"], span.buckets()
    cap = _cap(body)
    grouped: dict[Key, list[Pair]] = {}
    for user in users:
        for pair in _pairs(project, query, span, user, now):
            for key in _keys(project, query, pair, span.tz):
                grouped.setdefault(key, []).append(pair)
    sizes = {key: float(len(pairs)) for key, pairs in grouped.items()}
    top, rest = chosen(query, sizes) if query.get("by") else ([()], [])
    lines: list[Key] = [*top, OTHER] if with_other(query, rest) else list(top)
    cells: list[tuple[dict[str, Any], list[Pair]]] = []
    for key in lines:
        once = {id(p): p for g in (rest if key is OTHER else [key]) for p in grouped.get(g, [])}
        own = list(once.values())
        cells.append((by_columns(query, key), own))
        for b, (_, end, label) in enumerate(found):
            last = min(end, span.high) - 1
            done = cap is not None and project.watermark is not None
            done = done and last + (cap or 0) <= min(project.watermark or 0, now)
            head = {**by_columns(query, key), "bucket": label, "complete": done}
            cells.append((head, [p for p in own if bucket_of(p.start.time, found) == b]))
    return cells, _bars(body, [value for _, own in cells for value in _values(body, own)])


# -------------------------------------------------------------------------------------- pairs


def _held(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (item, item) if isinstance(item, str) else (item["start"], item["end"])
        for item in body.get("hold") or []
    ]


def _cap(body: dict[str, Any]) -> int | None:
    cap = body.get("cap", {"n": 7, "unit": "day"})
    return None if cap is None else int(cap["n"] * UNIT_MS[cap["unit"]])


def _pairs(
    project: OracleProject, query: dict[str, Any], span: Span, user: tuple[str, str], now: int
) -> list[Pair]:
    body, where = query["body"], where_of(project, query, now)
    ever = body.get("since") == "ever" and body.get("nearest", "start") == "start"
    found: list[Spot] = []
    for number, row in enumerate(project.rows_of(user)):
        if not where(row) or (row.time < span.low and not ever):
            continue
        for is_end, role in ((True, body.get("end") or body["start"]), (False, body["start"])):
            if not is_event(project, row, role, now):
                continue
            held = [event_value(project, row, pair[is_end]) for pair in _held(body)]
            if all(value is not None for value in held):
                values = tuple(value.v for value in held if value is not None)
                found.append(Spot(row, 2 * number + (not is_end), is_end, values))
    if body.get("ties") == "strict":
        found.sort(key=lambda s: (s.row.time, not s.is_end, s.number))
    pairs: list[Pair] = []
    for values in {spot.held for spot in found}:
        pairs += _of_value([s for s in found if s.held == values], body, span)
    return pairs


def _of_value(spots: list[Spot], body: dict[str, Any], span: Span) -> list[Pair]:
    """Pairs among the spots of one held value, which stand in order."""
    cap = _cap(body)

    def near(a: Spot, b: Spot) -> bool:
        return cap is None or b.row.time - a.row.time <= cap

    waits: list[bool] = []
    for i, spot in enumerate(spots):
        another = any(
            waits[j] and near(spots[j], spot) and not any(s.is_end for s in spots[j + 1 : i])
            for j in range(i)
        )
        free = body.get("nearest", "start") == "end" or not another
        waits.append(not spot.is_end and free)
    pairs: list[Pair] = []
    for i, spot in enumerate(spots):
        if not waits[i] or not span.low <= spot.row.time < span.high:
            continue
        end = next((j for j in range(i + 1, len(spots)) if spots[j].is_end), None)
        if end is None or not near(spot, spots[end]):
            continue
        replaced = body.get("nearest", "start") == "end" and any(waits[i + 1 : end])
        if not replaced:
            pairs.append(Pair(spot.row, spots[end].row))
    return pairs


def _keys(project: OracleProject, query: dict[str, Any], pair: Pair, tz: str) -> set[Key]:
    choices = []
    for item in query.get("by") or []:
        row = pair.end if item.get("attr") in ("last", {"step": 2}) else pair.start
        choices.append([key[0] for key in keys_of(project, row, {"by": [item]}, tz)])
    return set(product(*choices))


# ------------------------------------------------------------------------------------- numbers


def _values(body: dict[str, Any], pairs: list[Pair]) -> list[float]:
    if body.get("over", "pairs") == "pairs":
        return [pair.gap for pair in pairs]
    by_user: dict[Any, list[int]] = {}
    for pair in pairs:
        by_user.setdefault(pair.start.user, []).append(pair.gap)
    return [sum(gaps) / len(gaps) for gaps in by_user.values()]


def _numbers(
    body: dict[str, Any], pairs: list[Pair], bars: list[tuple[Any, Any]] | None
) -> dict[str, Any]:
    values = sorted(_values(body, pairs))
    percents = body.get("percentiles") or []
    names = ["avg", "min", "p25", "median", "p75", "max", "whisker_low", "whisker_high"]
    found: dict[str, Any] = dict.fromkeys([*names, "outliers", *(f"p{p}" for p in percents)])
    found |= {"pairs": len(pairs), "users": len({pair.start.user for pair in pairs})}
    if values:
        low, middle, high = (quantile(values, q) for q in (0.25, 0.5, 0.75))
        reach = 1.5 * (high - low)
        inside = [v for v in values if low - reach <= v <= high + reach]
        found |= {
            "avg": math.fsum(values) / len(values),
            "min": values[0],
            "p25": low,
            "median": middle,
            "p75": high,
            "max": values[-1],
            "whisker_low": inside[0],
            "whisker_high": inside[-1],
            "outliers": len(values) - len(inside),
        }
        found |= {f"p{p}": quantile(values, p / 100) for p in percents}
    if body.get("histogram"):
        found["histogram"] = None if bars is None else {"bars": [_bar(values, b) for b in bars]}
    return found


def _bar(values: list[float], bar: tuple[Any, Any]) -> list[Any]:
    low, high = bar
    inside = [v for v in values if (low is None or low <= v) and (high is None or v < high)]
    return [low, high, len(inside)]


def _bars(body: dict[str, Any], values: list[float]) -> list[tuple[Any, Any]] | None:
    asked = body.get("histogram")
    if isinstance(asked, list):
        return list(pairwise([None, *asked, None]))
    if asked is None or not values:
        return None
    for width in ROUND:
        first, last = min(values) // width, max(values) // width
        if last - first + 1 <= 20:
            break
    return [(k * width, (k + 1) * width) for k in range(int(first), int(last) + 1)]
