"""Who was active in which period: a row of bits a period and shard, bit o for ordinal o.

From the day index where nothing looks at rows (no filter, no breakdown) and every period is a union
of days of every run; else the bits are set from rows. Both give the same rows of bits, and kernels
count sets of them. O(words · days) or O(rows).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.query.breakdown import Breakdown, Chosen, choose, one_line
from zuji.engine.query.crowd import allowed
from zuji.engine.query.day_rows import DayRows, packed
from zuji.engine.query.edges import unions_of_days
from zuji.engine.query.entries import Entries, entries
from zuji.engine.query.kernels._retention_bits import rows_bits
from zuji.engine.query.kernels._user_rows import user_rows
from zuji.engine.query.reader import ShardReader

if TYPE_CHECKING:
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.lane import BitRows
    from zuji.engine.query.plan import Scan
    from zuji.engine.types import I32, I64, U8, U32, U64

LIGHT_USERS = 100_000
"""With fewer users the bits are put together on one thread: there is a word for 64 of them."""


@dataclass(slots=True)
class Active:
    """One shard. ``rows``: a row of bits each period; ``before``: one row, all earlier activity
    that the scan has; ``entries``: groups of the users, None without breakdown.
    """

    days: list[U64]
    rows: BitRows
    before: BitRows
    allowed: U64 | None
    words: int
    users: int
    entries: Entries | None

    def bits(self, first: int, last: int) -> U64:
        """Users who count and are active in any of the periods first … last - 1, uint64[words]."""
        offsets, run, day = self.rows
        span = slice(offsets[first], offsets[last])
        return self._union(run[span], day[span])

    def earlier(self) -> U64:
        """Users who count and are active before all periods."""
        _, run, day = self.before
        return self._union(run, day)

    def _union(self, run: I32, day: I32) -> U64:
        out = np.zeros(self.words, np.uint64)
        for r, d in zip(run.tolist(), day.tolist(), strict=True):
            row = self.days[r][d]
            out[: len(row)] |= row
        return out if self.allowed is None else out & self.allowed

    def ordinals(self, bits: U64, chosen: Chosen, line: int) -> U32:
        """Ordinals of a set, those of one line alone (-1: of all)."""
        found = unpacked(bits, self.users)
        if line >= 0 and self.entries is not None:
            found = found & self.entries.of_line(chosen, line, self.users)
        return np.flatnonzero(found).astype(np.uint32)


class ActiveUsers:
    """All shards of a scan, read once.

    ``edges``: of the periods, int64[periods + 1]. A breakdown's value is read at each user's first
    row in the time of the scan. ``light``: too little work for two threads.
    """

    def __init__(self, bound: Bound, scan: Scan, edges: I64) -> None:
        self.bound, self.scan, self.edges = bound, scan, edges
        self.by = Breakdown(bound)
        self.indexed = scan.index and not self.by.by and unions_of_days(scan, edges)
        if self.indexed:
            bound.context.used_index = True
        few = sum(bound.view.users) < LIGHT_USERS and bound.query.audience is None
        self.light = self.indexed and few
        self.shards = bound.context.map(
            self._indexed if self.indexed else self._read,
            list(range(bound.view.shards)),
            light=self.light,
        )

    def _indexed(self, shard: int) -> Active:
        users = self.bound.view.users[shard]
        words = (users + 63) // 64
        held = DayRows(self.bound, multi=False)
        refs = self.scan.of_shard(shard)
        rows, before = held.rows(refs, self.edges, any_event=self.scan.events is None)
        audience = allowed(self.bound, ShardReader(self.bound.view, shard, self.bound.context))
        days = [bits for bits, _ in held.days]
        return Active(days, rows, before, _packed(audience, words), words, users, None)

    def _read(self, shard: int) -> Active:
        context, periods = self.bound.context, len(self.edges) - 1
        reader = ShardReader(self.bound.view, shard, context)
        words = (reader.users + 63) // 64
        if words % 512 < 64:
            words += 72  # rows a multiple of a page apart would fall into the same cache lines
        selected = reader.select(self.scan)
        lanes = [chosen.lane for chosen in selected]
        audience = allowed(self.bound, reader)
        context.charge(8 * words * (periods + 2))
        bits, _ = rows_bits(lanes, self.edges, words, cancel=context.flag)
        found = None
        if self.by.by:
            context.charge(20 * reader.users)
            first = user_rows(
                lanes,
                self.scan.from_ms,
                self.scan.to_ms,
                reader.users,
                cancel=context.flag,
                allowed=audience,
            )
            found = entries(self.by, reader, selected, first)
        at = np.arange(periods + 1, dtype=np.int32)
        rows = at, np.zeros(periods, np.int32), at[1:].copy()
        before = np.array([0, 1], np.int32), np.zeros(1, np.int32), np.zeros(1, np.int32)
        who = _packed(audience, words)
        return Active([bits], rows, before, who, words, reader.users, found)

    def choose(self) -> Chosen:
        """The groups with the most users who are active in any of the periods."""
        if not self.by.by:
            return one_line()
        size, periods = self.by.groups.size, len(self.edges) - 1
        totals = np.zeros(size, np.int64)
        for shard in self.shards:
            assert shard.entries is not None
            there = unpacked(shard.bits(0, periods), shard.users)
            totals += shard.entries.counts(size, there)
        return choose(self.bound, self.by.groups, totals.tolist(), np.flatnonzero(totals).tolist())


def unpacked(bits: U64, users: int) -> U8:
    """Bits as one byte a user."""
    return np.unpackbits(bits.view(np.uint8), count=users, bitorder="little")


def _packed(audience: U8 | None, words: int) -> U64 | None:
    return None if audience is None else packed(audience, words)
