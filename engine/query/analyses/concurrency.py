"""Concurrency: how many users were online at once, bucket by bucket, and when they were most.

Semantics: docs/models/concurrency.md. A user is online from the first to the last event of each
session (:mod:`session_work`), and ``tail`` longer. The starts and ends of these intervals are
sorted, and one sweep over both gives every peak. Memory: 32 bytes a session and 40 while sweeping.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np
from msgspec import Meta, Struct

from zuji.engine import calendars
from zuji.engine.distinct import unique
from zuji.engine.errors import InvalidQuery
from zuji.engine.query import ranges
from zuji.engine.query.analyses.event_values import label_number, picked_line
from zuji.engine.query.analyses.session_query import SessionSpec, check_spec, cut_words, spec_places
from zuji.engine.query.analyses.session_work import SessionWork, session_scans
from zuji.engine.query.answer import Answer, Model, by_columns
from zuji.engine.query.breakdown import line_values
from zuji.engine.query.checks import BODY, check_events
from zuji.engine.query.durations import Duration  # noqa: TC001 (msgspec reads it)
from zuji.engine.query.kernels._sessions import Online, online_peaks
from zuji.engine.query.model import (
    MAX_WINDOW_MS,
    Envelope,
    EventPlace,
    Events,
    Pick,
    place,
)
from zuji.engine.query.result import ColumnInfo

if TYPE_CHECKING:
    from zuji.engine.query.analyses.session_work import Records
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Chosen
    from zuji.engine.query.plan import Scan
    from zuji.engine.query.words import Words
    from zuji.engine.types import I64, U32

MINUTES: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
MINUTE_MS: Final = 60_000
BYTES_AN_INTERVAL: Final = 16
"""Held of the intervals of the line at hand."""
SLOT_BYTES: Final = 1 << 22
"""Held of counts by slot, a shard."""


class ConcurrencyBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "concurrency"``. ``minutes``: buckets of so many minutes, in place of
    ``time.grain``. ``tail``: how long users stay online after the last event of a session.
    """

    events: Events = Events(e="*")
    session: SessionSpec = SessionSpec()
    minutes: Annotated[int, Meta(ge=1, le=30)] | None = None
    tail: Duration | None = None

    @property
    def tail_ms(self) -> int:
        """The tail in ms."""
        return 0 if self.tail is None else self.tail.ms


class ConcurrencyQuery(Envelope, frozen=True, kw_only=True, tag="concurrency"):
    """How many users were online at once."""

    model: ClassVar[Literal["concurrency"]] = "concurrency"
    body: ConcurrencyBody

    def says(self, words: Words) -> str:
        """``how many users with any event were online at once``."""
        events, cut = words.events(self.body.events), cut_words(self.body.session, words)
        return words(
            f"how many users with {events} were online at once, sessions {cut}",
            f"同时在线且有{events}的用户数（会话{cut}）",
        )

    def completed(self) -> Self:
        """The query, checked."""
        body = self.body
        check_spec(body.session, f"{BODY}.session")
        check_events(body.events, f"{BODY}.events")
        if body.minutes is not None and body.minutes not in MINUTES:
            raise InvalidQuery(
                f"minutes divide the hour: {', '.join(map(str, MINUTES))}", f"{BODY}.minutes"
            )
        if body.tail_ms > MAX_WINDOW_MS:
            raise InvalidQuery("a tail is at most 366 days", f"{BODY}.tail")
        return self

    def event_places(self) -> list[EventPlace]:
        """What counts, and what starts and ends a session."""
        return [place(f"{BODY}.events", self.body.events), *spec_places(self.body.session)]


class ConcurrencyPick(Pick, frozen=True, kw_only=True):
    """Users online at the peak of a bucket (None: of the whole range), or at an instant ``at``."""

    bucket: str | None = None
    at: str | None = None

    def completed(self, query: ConcurrencyQuery) -> Self:
        """The pick, checked."""
        if self.at is not None:
            if self.bucket is not None:
                raise InvalidQuery("say 'bucket' or 'at'", "$.at")
            try:
                calendars.parse_instant(self.at)
            except ValueError as error:
                raise InvalidQuery(str(error), "$.at") from None
        return self


def buckets_of(bound: Bound) -> tuple[I64, list[str]]:
    """Edges, cut to the range, and labels."""
    r, minutes = bound.range, bound.query.body.minutes
    if minutes is None:
        found = ranges.buckets(r)
        return np.ascontiguousarray(found.edges), found.labels
    step = minutes * MINUTE_MS
    if (r.to_ms - r.from_ms) // step > ranges.MAX_BUCKETS:
        raise InvalidQuery(
            f"the range has more than {ranges.MAX_BUCKETS:,} buckets of {minutes} minutes; take "
            "more minutes or a shorter range",
            f"{BODY}.minutes",
        )
    hours = calendars.edges(r.tz, r.from_ms, r.to_ms, "hour")
    parts = [np.arange(a, b, step) for a, b in pairwise(hours.tolist())]
    whole = np.append(np.concatenate(parts), hours[-1])
    first = int(np.searchsorted(whole, r.from_ms, side="right")) - 1
    last = int(np.searchsorted(whole, r.to_ms, side="left"))
    whole = whole[first : last + 1]
    labels = [
        calendars.local_datetime(int(ms), r.tz).isoformat(timespec="minutes") for ms in whole[:-1]
    ]
    return calendars.clip(whole, r.from_ms, r.to_ms), labels


def scans(bound: Bound) -> list[Scan]:
    """All events of the range and of one gap around it."""
    return session_scans(bound, bound.query.body.session.gap.ms)


def answer(bound: Bound) -> Answer:
    """Rows: by…, bucket, peak, peak_at, average, complete."""
    edges, labels = buckets_of(bound)
    online, mark, body = _Online(bound, edges), bound.view.watermark_ms, bound.query.body
    columns = [
        *by_columns(bound),
        ColumnInfo("bucket", "datetime" if _timed(bound) else "date", None),
        ColumnInfo("peak", "int64", "users"),
        ColumnInfo("peak_at", "datetime", None),
        ColumnInfo("average", "float64", "users"),
        ColumnInfo("complete", "bool", None),
    ]
    bound.context.charge(200 * online.chosen.lines * len(labels))
    done = -(1 << 62) if mark is None else mark - body.session.gap.ms
    complete = [end <= done for end in edges[1:].tolist()]
    rows: list[list[Any]] = []
    totals: list[list[Any]] = []
    for g in range(online.chosen.lines):
        bound.context.check()
        head = line_values(bound, online.work.groups.by.groups, online.chosen, g)
        cells, total = online.cells(g)
        for label, cell, final in zip(labels, cells, complete, strict=True):
            rows.append([*head, label, *cell, final])
        totals.append([*head, *total])
    names = [*(column.name for column in by_columns(bound)), "peak", "peak_at", "average"]
    return Answer(columns, rows, {"columns": names, "rows": totals})


def users(bound: Bound, pick: ConcurrencyPick) -> list[U32]:
    """Ordinals online at an instant, or at the first one of a peak."""
    edges, labels = buckets_of(bound)
    online, line = _Online(bound, edges, listed=True), -1
    if bound.query.by:
        line = picked_line(bound, online.work.groups.by.groups, online.chosen, pick)
    if pick.at is not None:
        return online.at(line, calendars.parse_instant(pick.at))
    peak, when, _ = online.peaks(line)
    number = int(np.argmax(peak)) if pick.bucket is None else label_number(labels, pick.bucket)
    return online.at(line, int(when[number]))


def _timed(bound: Bound) -> bool:
    return bound.query.body.minutes is not None or bound.range.grain == "hour"


class _Online:
    """When users of each line were online, cut to the range."""

    def __init__(self, bound: Bound, edges: I64, *, listed: bool = False) -> None:
        """``listed``: who they were is asked for."""
        self._bound = bound
        self._edges = np.ascontiguousarray(edges)
        body: ConcurrencyBody = bound.query.body
        bound.context.charge(SLOT_BYTES * bound.view.shards)
        self.work = SessionWork(
            bound,
            body.session,
            body.events,
            alive_ms=bound.range.from_ms - body.tail_ms,
            into=None if listed or bound.query.by else self._none,
        )
        self.chosen: Chosen = self.work.choose()

    def _none(self) -> Online:
        """Nobody yet."""
        memory = self._bound.context.memory_bytes
        return Online(self._edges, tail_ms=self._bound.query.body.tail_ms, memory_bytes=memory)

    def _of_line(self, line: int) -> list[Records]:
        """Records of a line, by shard; -1: of all."""
        if line < 0 or not self._bound.query.by:
            return self.work.shards
        inside = np.diff(self.work.lines(self.chosen, line)[0].astype(np.int64)) > 0
        return [records[inside[records["number"]]] for records in self.work.shards]

    def peaks(self, line: int) -> tuple[I64, I64, I64]:
        """The most online in each bucket; when first (-1: never); ms that all were online in it."""
        context = self._bound.context
        sinks: list[Online] = self.work.sinks
        held = 0
        if not sinks:
            parts = self._of_line(line)
            held = BYTES_AN_INTERVAL * sum(map(len, parts))
            context.charge(held)
            sinks = context.map(self._counted, parts)
        found = online_peaks(sinks, context.flag, context.map)
        context.release(held)
        return found

    def _counted(self, records: Records) -> Online:
        online = self._none()
        online.add(records, self._bound.context.flag)
        return online

    def cells(self, line: int) -> tuple[list[list[Any]], list[Any]]:
        """peak, peak_at, average of each bucket, and of the range."""
        tz = self._bound.range.tz
        peak, at, area = self.peaks(line)

        def told(p: int, when: int, mean: float) -> list[Any]:
            return [p, None if p == 0 else calendars.format_instant(when, tz), mean]

        means = area / np.diff(self._edges)
        cells = [
            told(*cell) for cell in zip(peak.tolist(), at.tolist(), means.tolist(), strict=True)
        ]
        most = int(np.argmax(peak))
        span = self._edges[-1] - self._edges[0]
        return cells, told(int(peak[most]), int(at[most]), float(area.sum() / span))

    def at(self, line: int, at: int) -> list[U32]:
        """Ordinals online at an instant, by shard."""
        r, tail = self._bound.range, self._bound.query.body.tail_ms
        found = []
        for records in self._of_line(line):
            self._bound.context.check()
            there = (records["start"] <= at) & (records["end"] + tail >= at)
            users: U32 = unique(records["user"][there]).astype(np.uint32)
            found.append(users if r.from_ms <= at < r.to_ms else users[:0])
        return found


MODEL = Model(ConcurrencyQuery, ConcurrencyPick, scans, answer, users)
