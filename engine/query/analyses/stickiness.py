"""Stickiness: users by the number of periods in which they were active, within the range or within
each larger period (days a week, days a month).

Semantics: docs/models/stickiness.md. A period is cut to the range and to the larger period. Per
shard one pass over rows of bits, which come from the day index or from rows
(:mod:`zuji.engine.query.active`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from msgspec import Meta, Struct

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query import ranges
from zuji.engine.query.active import Active, ActiveUsers, unpacked
from zuji.engine.query.analyses.event_values import label_number, picked_line
from zuji.engine.query.answer import Answer, Model, by_columns
from zuji.engine.query.breakdown import Breakdown, Chosen, line_values
from zuji.engine.query.checks import BODY, check_events
from zuji.engine.query.kernels._period_bits import stickiness_bits
from zuji.engine.query.model import Envelope, EventPlace, Events, Pick, place
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.result import ColumnInfo

if TYPE_CHECKING:
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.words import Words
    from zuji.engine.types import I32, I64, U32

Within = Literal["day", "week", "month", "quarter", "year"]
LENGTHS = ("hour", "day", "week", "month", "quarter", "year")
MAX_CELLS = 5_000_000
"""Lines × larger periods × numbers of periods that an answer may have."""


class StickinessBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "stickiness"``. ``within``: the larger period in which the periods of
    ``time.grain`` are counted; None: the range.
    """

    event: Events
    within: Within | None = None


class StickinessQuery(Envelope, frozen=True, kw_only=True, tag="stickiness"):
    """In how many periods users were active."""

    model: ClassVar[Literal["stickiness"]] = "stickiness"
    body: StickinessBody

    def says(self, words: Words) -> str:
        """``in how many periods users did “open”``."""
        events, within = words.events(self.body.event), self.body.within
        unit = words.number(1, within) if within is not None else words("range", "整段时间")
        return words(
            f"in how many periods of each {unit.removeprefix('1 ')} users did {events}",
            f"用户在每{unit}内有多少期做了{events}",
        )

    def completed(self) -> Self:
        """The query, checked."""
        check_events(self.body.event, f"{BODY}.event")
        grain, within = self.time.grain, self.body.within
        if grain == "all":
            raise InvalidQuery("stickiness counts periods; 'all' is one", "$.time.grain")
        if within is not None and LENGTHS.index(within) <= LENGTHS.index(grain):
            raise InvalidQuery(
                f"a {within} is not longer than the period that is counted ('grain': {grain!r})",
                f"{BODY}.within",
            )
        return self

    def event_places(self) -> list[EventPlace]:
        """What makes a user active."""
        return [place(f"{BODY}.event", self.body.event)]


class StickinessPick(Pick, frozen=True, kw_only=True):
    """Users of a larger period who were active in so many periods; ``at_least``: or in more;
    ``periods`` None: in any.
    """

    bucket: str | None = None
    periods: Annotated[int, Meta(ge=1, le=ranges.MAX_BUCKETS)] | None = None
    at_least: bool = False

    def completed(self, query: StickinessQuery) -> Self:
        """The pick, checked."""
        within = query.body.within
        if within is None and self.bucket is not None:
            raise InvalidQuery("the query has no 'within', so no buckets", "$.bucket")
        if within is not None and self.bucket is None:
            raise InvalidQuery(f"name the {within} ('bucket')", "$.bucket")
        if self.at_least and self.periods is None:
            raise InvalidQuery("'at_least' needs 'periods'", "$.at_least")
        return self


@dataclass(frozen=True, slots=True)
class Setting:
    """``edges`` int64[P + 1] of the periods; ``bucket`` int32[P]: the larger period of each;
    ``ends`` int64[B] of the larger periods; ``labels``: their names, None when it is the range.
    """

    edges: I64
    bucket: I32
    ends: I64
    labels: list[str] | None

    @property
    def sizes(self) -> list[int]:
        """Periods of each larger period."""
        sizes: list[int] = np.bincount(self.bucket).tolist()
        return sizes


def setting(bound: Bound) -> Setting:
    """The periods of the bound query."""
    r, within = bound.range, bound.query.body.within
    edges = ranges.buckets(r).edges
    if within is None:
        bucket = np.zeros(len(edges) - 1, np.int32)
        return Setting(edges, bucket, edges[-1:], None)
    whole = calendars.edges(r.tz, r.from_ms, r.to_ms, within, r.week_start)
    outer = calendars.clip(whole, r.from_ms, r.to_ms)
    edges = np.union1d(edges, outer)
    bucket = (np.searchsorted(outer, edges[:-1], side="right") - 1).astype(np.int32)
    return Setting(edges, bucket, outer[1:], calendars.labels(whole, r.tz, within))


def scans(bound: Bound) -> list[Scan]:
    """The chosen events of the range."""
    event: Events = bound.query.body.event
    where, by = bound.where(event.where), Breakdown(bound)
    scan = Scan(
        "event",
        event.names,
        bound.range.from_ms,
        bound.range.to_ms,
        where,
        columns_of(where, *by.columns),
        index_wanted=not bound.query.by,
    )
    return [planned(scan, bound.view)]


def answer(bound: Bound) -> Answer:
    """Rows: by…, bucket (of a larger period), periods, users, share, at_least, at_least_share,
    complete.
    """
    s = setting(bound)
    work = ActiveUsers(bound, scans(bound)[0], s.edges)
    chosen = work.choose()
    counts = _counted(bound, work, chosen, s)
    own = [] if s.labels is None else [ColumnInfo("bucket", "date", None)]
    columns = [
        *by_columns(bound),
        *own,
        ColumnInfo("periods", "int64", bound.range.grain),
        ColumnInfo("users", "int64", "users"),
        ColumnInfo("share", "float64", "ratio"),
        ColumnInfo("at_least", "int64", "users"),
        ColumnInfo("at_least_share", "float64", "ratio"),
        ColumnInfo("complete", "bool", None),
    ]
    mark, sizes = bound.view.watermark_ms, s.sizes
    complete = [mark is not None and end <= mark for end in s.ends.tolist()]
    rows: list[list[Any]] = []
    totals: list[list[Any]] = []
    for g in range(chosen.lines):
        bound.context.check()
        head = line_values(bound, work.by.groups, chosen, g)
        for b, size in enumerate(sizes):
            lead = head if s.labels is None else [*head, s.labels[b]]
            exact = counts[g, b, 1 : size + 1]
            more = exact[::-1].cumsum()[::-1].tolist()
            users = more[0]
            rows += [
                [*lead, k, n, _ratio(n, users), m, _ratio(m, users), complete[b]]
                for k, (n, m) in enumerate(zip(exact.tolist(), more, strict=True), 1)
            ]
            times = int((exact * np.arange(1, size + 1)).sum())
            totals.append([*lead, users, _ratio(times, users)])
    names = [column.name for column in (*by_columns(bound), *own)]
    return Answer(columns, rows, {"columns": [*names, "users", "mean"], "rows": totals})


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _counted(bound: Bound, work: ActiveUsers, chosen: Chosen, s: Setting) -> I64:
    """Users by number of periods, int64[lines, larger periods, most + 1]."""
    context, sizes = bound.context, s.sizes
    most = max(sizes)
    size = chosen.lines * len(sizes) * (most + 1)
    if size > MAX_CELLS:
        raise QueryBudgetExceeded(
            f"{chosen.lines:,} groups with {len(sizes) * most:,} numbers of periods are too many; "
            "narrow the time range, take a coarser grain or show fewer groups"
        )
    context.charge(8 * size * len(work.shards) + 150 * size)

    def one(shard: Active) -> I64:
        lines = None
        if shard.entries is not None:
            lines = shard.entries.lines(chosen, shard.users)
        return stickiness_bits(
            shard.days,
            shard.rows,
            s.bucket,
            shard.allowed,
            words=shard.words,
            most=most,
            lines=lines,
            cancel=context.flag,
        )[0]

    total: I64 = sum(context.map(one, work.shards, light=work.light))  # type: ignore[assignment]
    return total


def users(bound: Bound, pick: StickinessPick) -> list[U32]:
    """Ordinals of the users with a number of periods, counted without the kernel."""
    s = setting(bound)
    b = 0 if s.labels is None else label_number(s.labels, pick.bucket or "")
    mine = np.flatnonzero(s.bucket == b).tolist()
    if pick.periods is not None and pick.periods > len(mine):
        raise InvalidQuery(f"the answer has 1 to {len(mine)} periods", "$.pick.periods")
    work = ActiveUsers(bound, scans(bound)[0], s.edges)
    chosen = work.choose()
    line = picked_line(bound, work.by.groups, chosen, pick) if bound.query.by else -1

    def one(shard: Active) -> U32:
        bound.context.charge(3 * shard.users)
        found = np.zeros(shard.users, np.uint16)
        for p in mine:
            found += unpacked(shard.bits(p, p + 1), shard.users)
        if pick.periods is None:
            hit = found > 0
        elif pick.at_least:
            hit = found >= pick.periods
        else:
            hit = found == pick.periods
        if line >= 0 and shard.entries is not None:
            hit &= shard.entries.of_line(chosen, line, shard.users) == 1
        return np.flatnonzero(hit).astype(np.uint32)

    return bound.context.map(one, work.shards)


MODEL = Model(StickinessQuery, StickinessPick, scans, answer, users)
