"""Distribution: users by how often, on how many days or how much. Semantics:
docs/models/distribution.md.

One scan. Each shard gives a number a user and period (``distribution_values``), read at one row for
the breakdown; bands are chosen when all numbers are known (``distribution_bands``), and those of
the population without a number are the zero band (``distribution_zero``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query import ranges
from zuji.engine.query.analyses import distribution_bands, distribution_zero
from zuji.engine.query.analyses.distribution_query import DistributionPick, DistributionQuery
from zuji.engine.query.analyses.distribution_values import Asked, Reading
from zuji.engine.query.analyses.event_values import label_number, picked_line
from zuji.engine.query.answer import Answer, Model, bucket_type, by_columns
from zuji.engine.query.bind import other_side
from zuji.engine.query.breakdown import Breakdown, choose, line_values, one_line
from zuji.engine.query.kernels._cell_sums import cell_sums
from zuji.engine.query.placed import lines_of
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.result import ColumnInfo
from zuji.engine.query.sums import added, rounded

if TYPE_CHECKING:
    from zuji.engine.query.analyses.distribution_bands import Bands
    from zuji.engine.query.analyses.distribution_query import DistributionBody
    from zuji.engine.query.analyses.distribution_values import Numbers
    from zuji.engine.query.analyses.distribution_zero import Population
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Chosen
    from zuji.engine.types import F64, I64, U32

MAX_CELLS = 1 << 22
LIGHT_NUMBERS = 500_000
"""Up to so many, without a breakdown, one thread bands them in less than it takes to share them."""
ROW_BYTES = 400
"""Of a row of the answer, as Python holds it."""


def scans(bound: Bound) -> list[Scan]:
    """The counted rows, and any event if the population is that of active users."""
    body: DistributionBody = bound.query.body
    where, r = bound.where(body.where), bound.range
    columns = columns_of(where, *Breakdown(bound).columns, body.measure.p)
    found = [planned(Scan("rows", body.names, r.from_ms, r.to_ms, where, columns), bound.view)]
    if body.zero in ("active", "active_in_range"):
        found.append(distribution_zero.active_scan(bound))
    return found


def answer(bound: Bound) -> Answer:
    """Rows: by…, bucket, complete, band, low, high, is_zero, users, share."""
    work = _Work(bound)
    bands = work.bands()
    chosen = work.choose()
    return _answer(work, bands, chosen, work.cells(bands, chosen))


def users(bound: Bound, pick: DistributionPick) -> list[U32]:
    """Ordinals of a band, of the zero band, or of all who have a number."""
    work = _Work(bound)
    bands, chosen = work.bands(), work.choose()
    line = -1 if not bound.query.by else picked_line(bound, work.by.groups, chosen, pick)
    labels = work.buckets.labels
    if pick.bucket is None and len(labels) > 1:
        raise InvalidQuery("name the bucket: the range has several", "$.pick.bucket")
    period = 0 if pick.bucket is None else label_number(labels, pick.bucket)
    band = None
    if pick.band is not None:
        names = bands.labels()
        if pick.band not in names:
            raise InvalidQuery(f"the answer has no band {pick.band!r}", "$.pick.band")
        band = names.index(pick.band)
    return work.picked(bands, chosen, line, period, band, zero=pick.is_zero)


@dataclass(slots=True)
class _Cells:
    """``counts`` int64[lines, periods, bands], ``zero`` int64[lines, periods], ``sums`` of the
    numbers float64[lines, periods], twice: with what rounding took off.
    """

    counts: I64
    zero: I64 | None
    sums: tuple[F64, F64]


class _Work:
    """Numbers of all users, read once."""

    def __init__(self, bound: Bound) -> None:
        self.bound, self.context = bound, bound.context
        self.body: DistributionBody = bound.query.body
        measure = self.body.measure
        self.asked = Asked(measure.op, measure.p, measure.quantile)
        self.buckets = ranges.buckets(bound.range)
        self.by = Breakdown(bound)
        reading = Reading(bound, self.asked, scans(bound)[0], self.buckets.edges, self.by)
        self.shards: list[Numbers] = self.context.map(reading.shard, list(range(bound.view.shards)))
        self.populations: list[Population] | None = None
        if self.body.zero is not None:
            self.populations = distribution_zero.populations(
                bound, self.body.zero, self.buckets.edges, self.shards, self.by
            )

    @property
    def periods(self) -> int:
        """Number of periods."""
        return len(self.buckets.labels)

    def extent(self) -> tuple[float, float] | None:
        """Least and greatest number, None without any."""
        held = [shard.value for shard in self.shards if len(shard.value)]
        if not held:
            return None
        return min(float(v.min()) for v in held), max(float(v.max()) for v in held)

    def bands(self) -> Bands:
        """The bands of the answer: given, or made for the numbers (of both ranges compared)."""
        asked = self.body.buckets
        if isinstance(asked, tuple):
            return distribution_bands.given(asked)
        ends = [self.extent()]
        other = other_side(self.bound)
        if other is not None:
            ends.append(_Work(other).extent())
        known = [end for end in ends if end is not None]
        if not known:
            return distribution_bands.Bands(np.empty(0), open=False)
        low, high = min(a for a, _ in known), max(b for _, b in known)
        if asked == "auto":
            return distribution_bands.fitted(low, high, whole=self.asked.whole)
        return distribution_bands.of_width(asked.width, low, high, "$.body.buckets.width")

    def choose(self) -> Chosen:
        """The groups with the most users, those of the zero band too, over all periods."""
        if not self.by.by:
            return one_line()
        size = self.by.groups.size
        totals = np.zeros(size, np.int64)
        for shard in self.shards:
            assert shard.group is not None
            totals += np.bincount(shard.group, minlength=size)
        for population in self.populations or ():
            totals += population.totals(size)
        return choose(self.bound, self.by.groups, totals.tolist(), np.flatnonzero(totals).tolist())

    def cells(self, bands: Bands, chosen: Chosen) -> _Cells:
        """Users of each line, period and band."""
        cells = max(chosen.lines, 1) * self.periods * (bands.count + 1)
        if cells > MAX_CELLS:
            raise QueryBudgetExceeded(
                f"{cells:,} groups, buckets and bands are too many; take a coarser 'time.grain', "
                "fewer 'buckets', or show fewer groups"
            )
        self.context.charge(16 * cells * len(self.shards))
        shape = (chosen.lines, self.periods, max(bands.count, 1))

        def work(number: int) -> _Cells:
            shard = self.shards[number]
            if not len(shard.value):
                counts, sums = np.zeros(shape, np.int64), (np.zeros(shape[:2]), np.zeros(shape[:2]))
            elif shard.record is None and distribution_bands.are_few(
                shard.value, self.periods, whole=self.asked.whole
            ):
                counts, total = _of_few(shard, bands, self.periods)
                sums = total, np.zeros(shape[:2])
            else:
                period, value = shard.period, shard.value
                band = bands.of(value, whole=self.asked.whole)
                cell = period.astype(np.int64)
                if shard.record is not None and shard.group is not None:
                    record, line = lines_of(chosen, shard.record, shard.group)
                    cell = line.astype(np.int64) * self.periods + period[record]
                    band, value = band[record], value[record]
                size = shape[0] * shape[1]
                at = cell * shape[2] + band
                counts = np.bincount(at, minlength=size * shape[2]).reshape(shape)
                total, lost = cell_sums(cell.astype(np.uint32), value, size)
                sums = total.reshape(shape[:2]), lost.reshape(shape[:2])
            zero = None
            if self.populations is not None:
                mine = self.populations[number]
                zero = mine.lines(chosen) if self.by.by else mine.counts()[None, :]
            return _Cells(counts, zero, sums)

        numbers = sum(len(shard.value) for shard in self.shards)
        light = not self.by.by and numbers < LIGHT_NUMBERS
        parts = self.context.map(work, list(range(len(self.shards))), light=light)
        found = parts[0]
        for part in parts[1:]:
            found.counts = found.counts + part.counts
            found.sums = added(found.sums, part.sums)
            if found.zero is not None and part.zero is not None:
                found.zero = found.zero + part.zero
        return found

    def picked(
        self, bands: Bands, chosen: Chosen, line: int, period: int, band: int | None, *, zero: bool
    ) -> list[U32]:
        """Ordinals of a cell in each shard; ``band`` None: all who have a number."""
        found = []
        for number, shard in enumerate(self.shards):
            if zero:
                assert self.populations is not None
                left = self.populations[number].left(period)
                if line >= 0:
                    left &= self.populations[number].of_line(chosen, line)
                found.append(np.flatnonzero(left).astype(np.uint32))
                continue
            keep = shard.period == period
            if band is not None and len(shard.value):
                keep &= bands.of(shard.value) == band
            if line >= 0 and shard.record is not None and shard.group is not None:
                inside = np.zeros(len(keep), np.bool_)
                inside[shard.record[chosen.table[shard.group] == line]] = True
                keep &= inside
            found.append(shard.user[keep])
        return found


def _of_few(shard: Numbers, bands: Bands, periods: int) -> tuple[I64, F64]:
    """Users int64[1, periods, bands] and sums float64[1, periods]: users are counted by period and
    number first, since most numbers are those of many, and numbers are banded then. O(users).
    """
    number = shard.value.astype(np.int64)
    most = int(number.max()) + 1
    at = number if periods == 1 else shard.period.astype(np.int64) * most + number
    users = np.bincount(at, minlength=periods * most).reshape(periods, most)
    every = np.arange(most)
    band = bands.of(every.astype(np.float64))
    count = max(bands.count, 1)
    cell = (np.arange(periods)[:, None] * count + band).ravel()
    met = np.flatnonzero(users)
    counts = np.bincount(cell[met], users.ravel()[met], minlength=periods * count)
    sums = (users @ every).astype(np.float64)
    return counts.astype(np.int64).reshape(1, periods, count), sums[None, :]


def _answer(work: _Work, bands: Bands, chosen: Chosen, cells: _Cells) -> Answer:
    bound, mark = work.bound, work.bound.view.watermark_ms
    columns = [
        *by_columns(bound),
        ColumnInfo("bucket", bucket_type(bound), None),
        ColumnInfo("complete", "bool", None),
        ColumnInfo("band", "string", None),
        ColumnInfo("low", "float64", None),
        ColumnInfo("high", "float64", None),
        ColumnInfo("is_zero", "bool", None),
        ColumnInfo("users", "int64", "users"),
        ColumnInfo("share", "float64", "ratio"),
    ]
    ends, sums = work.buckets.edges[1:].tolist(), rounded(cells.sums)
    complete = [mark is not None and end <= mark for end in ends]
    heads = [[label, *bands.bounds(i), False] for i, label in enumerate(bands.labels())]
    bound.context.charge(ROW_BYTES * chosen.lines * work.periods * (bands.count + 1))
    rows: list[list[Any]] = []
    totals: list[list[Any]] = []
    for line in range(chosen.lines):
        bound.context.check()
        by = line_values(bound, work.by.groups, chosen, line)
        for p, label in enumerate(work.buckets.labels):
            counts = cells.counts[line, p, : bands.count].tolist()
            lead = [*by, label, complete[p]]
            numbered = sum(counts)
            left = None if cells.zero is None else int(cells.zero[line, p])
            people = numbered + (left or 0)
            if left is not None:
                rows.append([*lead, None, None, None, True, left, _ratio(left, people)])
            rows += [
                [*lead, *head, count, _ratio(count, people)]
                for head, count in zip(heads, counts, strict=True)
            ]
            mean = float(sums[line, p]) / numbered if numbered else None
            known = None if left is None else people
            totals.append([*by, label, numbered, left, known, mean])
    names = [c.name for c in by_columns(bound)]
    kinds = ["bucket", "users", "zero", "population", "mean"]
    return Answer(
        columns, rows, {"kind": "deduplicated", "columns": [*names, *kinds], "rows": totals}
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


MODEL = Model(DistributionQuery, DistributionPick, scans, answer, users)
