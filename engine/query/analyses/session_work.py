"""The sessions of a range as records, shard by shard: for the models that count sessions.

Sessions are cut over all events of a user. A session lies where its first event does; it counts
when it has an event that counts. Records are 32 bytes a session, charged to the query; who needs
each but once has them handed over as they come. When events outside of the partitions that were
read may belong to a session, more are read.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine import calendars
from zuji.engine.query.analyses.path_steps import PathGroups
from zuji.engine.query.breakdown import Chosen, choose, one_line
from zuji.engine.query.crowd import allowed
from zuji.engine.query.kernels._paths import HIDDEN
from zuji.engine.query.kernels._sessions import COUNTS, ENDS, STARTS, session_records
from zuji.engine.query.kernels.session import NO_MS, SessionCut
from zuji.engine.query.kernels.walk import Steps
from zuji.engine.query.plan import RunRef, Scan, bytes_of, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.walks import BYTES_A_ROW, around, walk_bytes, walk_of
from zuji.engine.storage.feeds import SCRATCH_BYTES, Feeds
from zuji.engine.types import PROFILE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zuji.engine.query.analyses.session_query import SessionSpec
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.filter_ast import Filter
    from zuji.engine.query.kernels._sessions import Online, SessionTally
    from zuji.engine.query.kernels.session import SessionRecords
    from zuji.engine.query.model import Events
    from zuji.engine.query.walks import Around
    from zuji.engine.storage.segment import Source
    from zuji.engine.types import I64, U8, U32

    Records = np.ndarray[Any, np.dtype[Any]]


ONE_LINE = np.array([0, 1], np.uint32), np.zeros(1, np.uint32)
"""Lines of the one number that there is without a breakdown."""
FLAGS = 8
"""Codes of rows are below it."""


def session_scans(bound: Bound, gap_ms: int) -> list[Scan]:
    """All events of the range and of one gap around it."""
    columns: set[str] = {by.p for by in bound.query.by if by.p.startswith("event.")}
    for _, _, where in bound.query.event_places():
        columns |= columns_of(bound.where(where))
    r = bound.range
    first, last = r.from_ms - gap_ms, r.to_ms + gap_ms
    return [planned(Scan("sessions", None, first, last, None, frozenset(columns)), bound.view)]


class SessionWork:
    """Records of each shard, and the lines that their groups stand in."""

    def __init__(
        self,
        bound: Bound,
        spec: SessionSpec,
        events: Events,
        *,
        last: bool = False,
        alive_ms: int | None = None,
        into: Callable[[], SessionTally | Online] | None = None,
    ) -> None:
        """``alive_ms``: sessions that began before the range, too, with an event then or later.
        ``into``: makes what takes the records of a shard, which are not kept then (``sinks``).
        """
        self.bound, self.context = bound, bound.context
        self._spec, self._events, self._last = spec, events, last
        self.groups = PathGroups(bound)
        self._wide = bool(bound.query.by) or spec.start is not None or spec.end is not None
        self._alive_ms = alive_ms
        self._into = into
        self.sinks: list[Any] = []
        self.shards = self._all()

    def _all(self) -> list[Records]:
        alive, until = self._alive_ms, self.bound.range.to_ms
        low = self.bound.range.from_ms if alive is None else alive
        while True:
            before = self.context.charged
            self._given = around(self.bound.view, low, until, self._spec.gap.ms)
            since = self._since(low)
            rule = self._rule(self._given, since)
            shards = list(range(self.bound.view.shards))
            # Groups are numbered while rows are read: all of them before the first walk.
            steps = self.context.map(self._steps, shards)
            self.sinks = [] if self._into is None else [self._into() for _ in shards]
            found: list[SessionRecords] = self.context.map(
                partial(self._records, rule, steps), shards
            )
            beyond, earlier = any(f.beyond for f in found), any(f.before for f in found)
            if not beyond and not earlier:
                return [f.records for f in found]
            until = max(until, self._given.reach_ms) if beyond else until
            low = min(low, since - 1) if earlier else low
            self.context.release(self.context.charged - before)

    def _since(self, low: int) -> int:
        """Rows before were not given."""
        first = low - self._spec.gap.ms
        left = [s.end_ms for part in self.bound.view.sources for s in part if s.end_ms <= first]
        return max(left, default=-NO_MS)

    def _rule(self, given: Around, since: int) -> SessionCut:
        spec, days = self._spec, None
        sources = [s for part in given.shards for s in part]
        if spec.midnight and sources:
            low, high = min(s.base_ms for s in sources), max(s.end_ms for s in sources)
            days = calendars.edges(self.bound.range.tz, low, high, "day")
        return SessionCut(
            gap_ms=spec.gap.ms,
            from_ms=self.bound.range.from_ms if self._alive_ms is None else -NO_MS,
            alive_ms=-NO_MS if self._alive_ms is None else self._alive_ms,
            to_ms=self.bound.range.to_ms,
            days=days,
            starts=spec.start is not None,
            ends=spec.end is not None,
            last=self._last,
            since_ms=since,
            reach_ms=min(given.reach_ms, NO_MS),
        )

    # -- rows ----------------------------------------------------------------------------------

    def _steps(self, shard: int) -> tuple[list[dict[str, int | Steps]], U8 | None]:
        reader = ShardReader(self.bound.view, shard, self.context)
        found = []
        for source in self._given.shards[shard]:
            self.context.read(source.rows, BYTES_A_ROW * source.rows)
            found.append(self._of_source(reader, source))
        return found, allowed(self.bound, reader)

    def _of_source(self, reader: ShardReader, source: Source) -> dict[str, int | Steps]:
        found: dict[str, int | Steps] = {}
        for name, run in source.runs.items():
            if name not in PROFILE_EVENTS:
                self.context.check()
                ref = RunRef(reader.shard, source, run, inside=False)
                found[name] = self._wide_run(reader, ref) if self._wide else self._run(reader, ref)
        return found

    def _run(self, reader: ShardReader, ref: RunRef) -> int | Steps:
        counts = self._matching(reader, ref, self._events, own=False)
        if isinstance(counts, bool):
            return 0 if counts else HIDDEN
        return Steps(0, mask=counts)

    def _wide_run(self, reader: ShardReader, ref: RunRef) -> Steps:
        counts = self._matching(reader, ref, self._events, own=False)
        constant, flags = 0, None
        for events, flag in (
            (self._events, COUNTS),
            (self._spec.start, STARTS),
            (self._spec.end, ENDS),
        ):
            mask = counts if flag == COUNTS else self._matching(reader, ref, events, own=True)
            if mask is True:
                constant |= flag
            elif mask is not False:
                if flags is None:
                    self.context.charge(4 * ref.run.rows)
                    flags = np.zeros(ref.run.rows, np.uint32)
                flags |= mask.astype(np.uint32) * np.uint32(flag)
        if flags is not None:
            flags |= np.uint32(constant)
        groups: U32 | None = None
        if self.bound.query.by and counts is not False:
            self.context.charge(4 * ref.run.rows)
            groups = self.groups.of_rows(reader, ref, ref.run.rows)
            used = columns_of(None, *self.groups.by.columns)
            self.context.read(0, bytes_of(ref, used) - bytes_of(ref, frozenset()))
        return Steps(constant, flags, groups=groups)

    def _matching(
        self, reader: ShardReader, ref: RunRef, events: Events | None, *, own: bool
    ) -> U8 | bool:
        """Rows that are such events; ``own``: by their own filter alone."""
        if events is None or (events.names is not None and ref.run.event not in events.names):
            return False
        where: Filter | None = events.where if own else self.bound.where(events.where)
        return True if where is None else reader.mask(ref, where)

    def _records(
        self,
        rule: SessionCut,
        read: list[tuple[list[dict[str, int | Steps]], U8 | None]],
        shard: int,
    ) -> SessionRecords:
        steps, crowd = read[shard]
        feeds, keep = Feeds(), self._given.keep
        sources = self._given.shards[shard]
        held = SCRATCH_BYTES + sum(walk_bytes(source, keep=keep) for source in sources)
        self.context.charge(held)
        walks = []
        for source, codes in zip(sources, steps, strict=True):
            self.context.check()
            walks.append(walk_of(source, codes, feeds, keep=keep))
        try:
            found = session_records(
                walks,
                users=self.bound.view.users[shard],
                rule=rule,
                groups=self.groups.size if self._wide else None,
                memory_bytes=self.context.memory_bytes,
                allowed=crowd,
                cancel=self.context.flag,
                into=self.sinks[shard] if self.sinks else None,
            )
        except ValueError:
            feeds.check()
            raise
        self.context.charge(found.records.nbytes + (self.sinks[shard].nbytes if self.sinks else 0))
        self.context.release(held)
        return found

    # -- lines ---------------------------------------------------------------------------------

    def choose(self) -> Chosen:
        """The groups with the most sessions."""
        if not self.bound.query.by:
            return one_line()
        tally: I64 = np.zeros(self.groups.size, np.int64)
        for records in self.shards:
            self.context.check()
            tally += np.bincount(records["number"], minlength=len(tally))
        totals = self.groups.totals(tally)
        own = self.groups.by.groups
        return choose(self.bound, own, totals.astype(np.float64), np.flatnonzero(totals))

    def lines(self, chosen: Chosen, only: int = -1) -> tuple[U32, U32]:
        """Lines of each number, as kernels take them. ``only``: a line that is then line 0."""
        if not self.bound.query.by:
            return ONE_LINE
        return self.groups.lines(chosen, only)
