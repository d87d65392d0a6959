"""Lifecycle: of the users of each period, who is new, returning or resurrected, and who of the
period before stayed away.

Semantics: docs/models/lifecycle.md. Periods are whole spans of the calendar, also those that the
range only touches; one period before the first is read, too, and all earlier activity, which tells
who is new. Per shard one pass over rows of bits, which come from the day index or from rows
(:mod:`zuji.engine.query.active`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from msgspec import Struct

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query import ranges
from zuji.engine.query.active import Active, ActiveUsers
from zuji.engine.query.analyses.event_values import label_number, picked_line
from zuji.engine.query.answer import Answer, Model, bucket_type, by_columns
from zuji.engine.query.breakdown import Breakdown, Chosen, line_values
from zuji.engine.query.checks import BODY, check_events
from zuji.engine.query.kernels._period_bits import lifecycle_bits
from zuji.engine.query.model import Envelope, EventPlace, Events, Pick, place
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.result import ColumnInfo

if TYPE_CHECKING:
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.words import Words
    from zuji.engine.types import I64, U32

State = Literal["new", "returning", "resurrected", "dormant"]
STATES: tuple[State, ...] = ("new", "returning", "resurrected", "dormant")
MAX_CELLS = 5_000_000
"""Lines × periods × states that an answer may have."""
EARLIEST_MS = -(1 << 60)


class LifecycleBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "lifecycle"``. The period is ``time.grain``."""

    event: Events


class LifecycleQuery(Envelope, frozen=True, kw_only=True, tag="lifecycle"):
    """Who is new, who comes back and who stays away, period by period."""

    model: ClassVar[Literal["lifecycle"]] = "lifecycle"
    body: LifecycleBody

    def says(self, words: Words) -> str:
        """``how many users of “open” are new, …``."""
        events = words.events(self.body.event)
        return words(
            f"how many users of {events} are new, returning, resurrected or dormant",
            f"做{events}的用户中新增、留存、回流与流失的人数",
        )

    def completed(self) -> Self:
        """The query, checked."""
        check_events(self.body.event, f"{BODY}.event")
        if self.time.grain == "all":
            raise InvalidQuery("a lifecycle needs periods; 'all' is one", "$.time.grain")
        return self

    def event_places(self) -> list[EventPlace]:
        """What makes a user active."""
        return [place(f"{BODY}.event", self.body.event)]


class LifecyclePick(Pick, frozen=True, kw_only=True):
    """Users of a period in a state; ``state`` None: all who were active."""

    bucket: str
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """``edges`` int64[P + 2]: of the period before the first one, and of the P periods."""

    edges: I64
    labels: list[str]

    @property
    def periods(self) -> int:
        """P."""
        return len(self.labels)

    def complete(self, mark: int | None) -> list[bool]:
        """Which periods are over at the watermark."""
        return [mark is not None and end <= mark for end in self.edges[2:].tolist()]


def setting(bound: Bound) -> Setting:
    """The periods of the bound query."""
    r = bound.range
    whole, labels = ranges.buckets(r).whole, ranges.buckets(r).labels
    first = int(whole[0])
    before = calendars.edges(r.tz, first - 1, first, r.grain, r.week_start)[:1]
    return Setting(np.concatenate([before, whole]), labels)


def scans(bound: Bound) -> list[Scan]:
    """The chosen events, from the first one on."""
    event: Events = bound.query.body.event
    s = setting(bound)
    where, by = bound.where(event.where), Breakdown(bound)
    scan = Scan(
        "event",
        event.names,
        EARLIEST_MS,
        int(s.edges[-1]),
        where,
        columns_of(where, *by.columns),
        index_wanted=not bound.query.by,
    )
    return [planned(scan, bound.view)]


def answer(bound: Bound) -> Answer:
    """Rows: by…, bucket, state, users, active, complete."""
    s = setting(bound)
    work = ActiveUsers(bound, scans(bound)[0], s.edges)
    chosen = work.choose()
    cells, anybody = _counted(bound, work, chosen, s)
    columns = [
        *by_columns(bound),
        ColumnInfo("bucket", bucket_type(bound), None),
        ColumnInfo("state", "string", None),
        ColumnInfo("users", "int64", "users"),
        ColumnInfo("active", "int64", "users"),
        ColumnInfo("complete", "bool", None),
    ]
    complete = s.complete(bound.view.watermark_ms)
    rows: list[list[Any]] = []
    totals: list[list[Any]] = []
    for g in range(chosen.lines):
        bound.context.check()
        head = line_values(bound, work.by.groups, chosen, g)
        totals.append([*head, int(anybody[g])])
        for p, (active, *states) in enumerate(cells[g].tolist()):
            rows += [
                [*head, s.labels[p], state, count, active, complete[p]]
                for state, count in zip(STATES, states, strict=True)
            ]
    names = [column.name for column in by_columns(bound)]
    return Answer(columns, rows, {"columns": [*names, "users"], "rows": totals})


def _counted(bound: Bound, work: ActiveUsers, chosen: Chosen, s: Setting) -> tuple[I64, I64]:
    """Users [lines, periods, active and states], and users of any period [lines]."""
    context, size = bound.context, chosen.lines * s.periods * (len(STATES) + 1)
    if size > MAX_CELLS:
        raise QueryBudgetExceeded(
            f"{chosen.lines:,} groups in {s.periods:,} periods are too many; narrow the time "
            "range, take a coarser grain or show fewer groups"
        )
    context.charge(8 * size * len(work.shards) + 150 * size)

    def one(shard: Active) -> tuple[I64, I64]:
        lines = None
        if shard.entries is not None:
            lines = shard.entries.lines(chosen, shard.users)
        return lifecycle_bits(
            shard.days,
            shard.rows,
            shard.before,
            shard.allowed,
            words=shard.words,
            periods=s.periods,
            lines=lines,
            cancel=context.flag,
        )

    parts = context.map(one, work.shards, light=work.light)
    return sum(cells for cells, _ in parts), sum(anybody for _, anybody in parts)  # type: ignore[return-value]


def users(bound: Bound, pick: LifecyclePick) -> list[U32]:
    """Ordinals of the users of a period who are in a state, by sets and without the kernel."""
    s = setting(bound)
    p = label_number(s.labels, pick.bucket) + 1
    work = ActiveUsers(bound, scans(bound)[0], s.edges)
    chosen = work.choose()
    line = picked_line(bound, work.by.groups, chosen, pick) if bound.query.by else -1

    def one(shard: Active) -> U32:
        now, was = shard.bits(p, p + 1), shard.bits(p - 1, p)
        known = shard.bits(0, p) | shard.earlier()
        found = {
            None: now,
            "new": now & ~known,
            "returning": now & was,
            "resurrected": now & known & ~was,
            "dormant": was & ~now,
        }[pick.state]
        return shard.ordinals(found, chosen, line)

    return bound.context.map(one, work.shards)


MODEL = Model(LifecycleQuery, LifecyclePick, scans, answer, users)
