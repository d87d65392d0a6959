"""Session: how many sessions start in each bucket, how long and how deep they are.

Semantics: docs/models/session.md. One walk per shard makes a record of every session
(:mod:`session_work`), one pass over the records the cells, as they come where nothing else needs
them; percentiles look at the records of a cell. Memory: 64 bytes a cell and shard, and with a
breakdown or percentiles 32 a session.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.distinct import unique
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query import ranges
from zuji.engine.query.analyses.event_values import label_number, picked_line
from zuji.engine.query.analyses.session_query import (
    EDGES,
    QUANTILE,
    SessionBands,
    SessionPick,
    SessionQuery,
)
from zuji.engine.query.analyses.session_work import ONE_LINE, SessionWork, session_scans
from zuji.engine.query.answer import Answer, Model, bucket_type, by_columns
from zuji.engine.query.breakdown import line_values, one_line
from zuji.engine.query.kernels._sessions import SessionTally
from zuji.engine.query.result import ColumnInfo

if TYPE_CHECKING:
    from zuji.engine.query.analyses.session_query import SessionBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Chosen
    from zuji.engine.query.plan import Scan
    from zuji.engine.types import F64, I64, U32

MAX_CELLS = 5_000_000
"""Lines × buckets × intervals that an answer may have."""
SESSIONS, USERS, TIMED, DURATION, DEPTH, BOUNCES, OPEN = range(7)
"""Numbers of a cell."""
LEAST = -(1 << 62)


@dataclass(frozen=True, slots=True)
class Slots:
    """Intervals of a distribution: ``lower`` edges as the kernel takes them, a label each; a last
    one, null, for sessions without a duration.
    """

    of: str
    lower: I64
    labels: list[str | None]


def slots_of(bands: SessionBands | None) -> Slots | None:
    """The intervals; none without a distribution."""
    if bands is None:
        return None
    edges = bands.edges or ()
    ends = [*(str(edge) for edge in edges[1:]), "∞"]
    labels: list[str | None] = [f"[{a}, {b})" for a, b in zip(edges, ends, strict=True)]
    lower = list(edges)
    if edges[0] > EDGES[bands.of][0]:
        labels.insert(0, f"(-∞, {edges[0]})")
        lower.insert(0, LEAST)
    if bands.of == "duration":
        labels.append(None)
    return Slots(bands.of, np.array(lower, np.int64), labels)


def scans(bound: Bound) -> list[Scan]:
    """All events of the range and of one gap around it."""
    return session_scans(bound, bound.query.body.session.gap.ms)


def answer(bound: Bound) -> Answer:
    """Rows: by…, bucket, interval (with a distribution), measures, complete."""
    body: SessionBody = bound.query.body
    buckets, slots = ranges.buckets(bound.range), slots_of(body.distribution)
    n_slots = 1 if slots is None else len(slots.labels)
    again = bool(bound.query.by) or any(QUANTILE.fullmatch(name) for name in body.measure)
    if not again:
        _charge_cells(bound, len(buckets.labels) * n_slots)
    work = SessionWork(
        bound,
        body.session,
        body.events,
        last=body.attr == "last",
        into=None if again else partial(_tally, bound, one_line(), buckets.edges, slots),
    )
    chosen = work.choose()
    if again:
        _charge_cells(bound, max(chosen.lines, 1) * len(buckets.labels) * n_slots)
    cells, totals = _cells(bound, work, chosen, buckets.edges, slots)
    cells = cells[:, :, :n_slots]
    open_ = cells[..., OPEN].sum(axis=2)
    gathered = _Gathered(bound, work, chosen, buckets.edges, slots, body.measure)
    values = [gathered.of(name, cells) for name in body.measure]
    overall = [gathered.of(name, totals) for name in body.measure]
    own = [] if slots is None else [ColumnInfo("interval", "string", None)]
    measures = [_column(name) for name in body.measure]
    columns = [
        *by_columns(bound),
        ColumnInfo("bucket", bucket_type(bound), None),
        *own,
        *measures,
        ColumnInfo("complete", "bool", None),
    ]
    mark = bound.view.watermark_ms
    rows: list[list[Any]] = []
    totals_rows: list[list[Any]] = []
    for g in range(chosen.lines):
        bound.context.check()
        head = line_values(bound, work.groups.by.groups, chosen, g)
        totals_rows.append(
            [*head, *(_plain(v[g], c) for v, c in zip(overall, measures, strict=True))]
        )
        for b, label in enumerate(buckets.labels):
            ended = mark is not None and int(buckets.edges[b + 1]) <= mark
            complete = ended and not open_[g, b]
            for s in range(n_slots):
                lead = [*head, label] if slots is None else [*head, label, slots.labels[s]]
                told = [_plain(v[g, b, s], c) for v, c in zip(values, measures, strict=True)]
                rows.append([*lead, *told, complete])
    names = [column.name for column in (*by_columns(bound), *measures)]
    return Answer(columns, rows, {"columns": names, "rows": totals_rows})


def users(bound: Bound, pick: SessionPick) -> list[U32]:
    """Ordinals with a session in the picked group, bucket and interval."""
    body: SessionBody = bound.query.body
    work = SessionWork(bound, body.session, body.events, last=body.attr == "last")
    buckets, slots, chosen = ranges.buckets(bound.range), slots_of(body.distribution), work.choose()
    line = -1
    if bound.query.by:
        line = picked_line(bound, work.groups.by.groups, chosen, pick)
    low, high = buckets.edges[0], buckets.edges[-1]
    if pick.bucket is not None:
        number = label_number(buckets.labels, pick.bucket)
        low, high = buckets.edges[number], buckets.edges[number + 1]
    interval = -1
    if slots is not None and not pick.any_interval:
        if pick.interval not in slots.labels:
            raise InvalidQuery(f"there is no interval {pick.interval!r}", "$.pick.interval")
        interval = slots.labels.index(pick.interval)
    found = []
    for records in work.shards:
        bound.context.check()
        keep = (records["start"] >= low) & (records["start"] < high)
        if line >= 0:
            offsets, _ = work.lines(chosen, line)
            keep &= np.diff(offsets)[records["number"]] > 0
        if interval >= 0 and slots is not None:
            keep &= slot_numbers(records, slots) == interval
        found.append(unique(records["user"][keep]).astype(np.uint32))
    return found


def slot_numbers(records: Any, slots: Slots) -> I64:
    """Interval of each record; -1: below the first edge."""
    if slots.of == "depth":
        depth: I64 = records["depth"].astype(np.int64)
        return np.searchsorted(slots.lower, depth, side="right") - 1
    value = records["end"] - records["start"]
    at = np.searchsorted(slots.lower, value, side="right") - 1
    found: I64 = np.where(records["alone"] == 1, len(slots.labels) - 1, at)
    return found


def _cells(
    bound: Bound, work: SessionWork, chosen: Chosen, edges: I64, slots: Slots | None
) -> tuple[I64, I64]:
    """Numbers of cells int64[lines, buckets, slots, 7] and of lines over the whole range."""

    def one(records: Any) -> SessionTally:
        tally = _tally(bound, chosen, edges, slots, work.lines(chosen))
        tally.add(records, bound.context.flag)
        return tally

    tallies: list[SessionTally] = work.sinks or bound.context.map(one, work.shards)
    parts = [tally.found(chosen.lines) for tally in tallies]
    cells, totals = parts[0].cells, parts[0].totals
    for part in parts[1:]:
        cells, totals = cells + part.cells, totals + part.totals
    return cells, totals


def _tally(
    bound: Bound,
    chosen: Chosen,
    edges: I64,
    slots: Slots | None,
    lines: tuple[U32, U32] = ONE_LINE,
) -> SessionTally:
    """Cells of a shard, empty."""
    mark, gap = bound.view.watermark_ms, bound.query.body.session.gap.ms
    return SessionTally(
        edges=np.ascontiguousarray(edges),
        lines=lines,
        n_lines=chosen.lines,
        slots=None if slots is None else slots.lower,
        by_depth=slots is not None and slots.of == "depth",
        open_ms=1 << 62 if mark is None else mark - gap,
    )


def _charge_cells(bound: Bound, size: int) -> None:
    if size > MAX_CELLS:
        raise QueryBudgetExceeded(
            f"{size:,} cells are too many; show fewer groups ('top'), a coarser 'grain' or fewer "
            "edges"
        )
    bound.context.charge(72 * size * bound.view.shards + 150 * size)


def _column(name: str) -> ColumnInfo:
    if name in ("sessions", "bounces"):
        return ColumnInfo(name, "int64", "sessions")
    if name == "users":
        return ColumnInfo(name, "int64", "users")
    if name == "bounce_rate":
        return ColumnInfo(name, "float64", "ratio")
    kind = "int64" if name.endswith("_sum") else "float64"
    return ColumnInfo(name, kind, "ms" if name.startswith("duration") else None)


def _plain(value: float, column: ColumnInfo) -> Any:
    if value != value:
        return None
    return int(value) if column.type == "int64" else float(value)


class _Gathered:
    """Values of measures: from the numbers of cells, or gathered record by record."""

    def __init__(
        self,
        bound: Bound,
        work: SessionWork,
        chosen: Chosen,
        edges: I64,
        slots: Slots | None,
        measures: tuple[str, ...],
    ) -> None:
        self._cell: list[I64] = []
        self._line: list[I64] = []
        self._values: dict[str, list[I64]] = {"duration": [], "depth": []}
        self._timed: list[Any] = []
        if not any(QUANTILE.fullmatch(name) for name in measures):
            return
        offsets, numbers = work.lines(chosen)
        lengths = np.diff(offsets.astype(np.int64))
        n_slots = 1 if slots is None else len(slots.labels)
        for records in work.shards:
            bound.context.check()
            bound.context.charge(48 * len(records))
            index: Any = slice(None)
            line = np.zeros(len(records), np.int64)
            if bound.query.by:
                copies = lengths[records["number"]]
                index = np.repeat(np.arange(len(records)), copies)
                first = np.repeat(np.cumsum(copies) - copies, copies)
                own = offsets[records["number"]].astype(np.int64)[index]
                line = numbers[own + np.arange(len(index)) - first].astype(np.int64)
            bucket = np.searchsorted(edges, records["start"], side="right") - 1
            slot = (
                np.zeros(len(records), np.int64) if slots is None else slot_numbers(records, slots)
            )
            self._line.append(line)
            self._cell.append((line * (len(edges) - 1) + bucket[index]) * n_slots + slot[index])
            self._values["duration"].append((records["end"] - records["start"])[index])
            self._values["depth"].append(records["depth"].astype(np.int64)[index])
            self._timed.append(records["alone"][index] == 0)

    def of(self, name: str, cells: I64) -> F64:
        """Values of a measure; NaN is null. cells int64[..., 7]."""
        c = cells.astype(np.float64)
        if name == "duration_sum":
            return c[..., DURATION]
        if name == "depth_sum":
            return c[..., DEPTH]
        quantile = QUANTILE.fullmatch(name)
        if quantile is not None:
            q = 0.5 if quantile[2] is None else int(quantile[2]) / 100
            return self._quantiles(quantile[1], q, cells)
        plain = {"sessions": SESSIONS, "users": USERS, "bounces": BOUNCES}
        if name in plain:
            return c[..., plain[name]]
        above, below = {
            "per_user": (SESSIONS, USERS),
            "bounce_rate": (BOUNCES, SESSIONS),
            "duration_avg": (DURATION, TIMED),
            "depth_avg": (DEPTH, SESSIONS),
        }[name]
        with np.errstate(divide="ignore", invalid="ignore"):
            found: F64 = np.where(c[..., below] > 0, c[..., above] / c[..., below], np.nan)
        return found

    def _quantiles(self, of: str, q: float, cells: I64) -> F64:
        """Percentile of each cell, linear between neighbours (rank q · (n − 1))."""
        whole = cells.ndim == 2
        at = _flat(self._line if whole else self._cell)
        values = _flat(self._values[of])
        if of == "duration":
            timed = np.concatenate(self._timed) if self._timed else np.zeros(0, np.bool_)
            at, values = at[timed], values[timed]
        out = np.full(int(np.prod(cells.shape[:-1])), np.nan)
        at, values = _in_order(at, values)
        found, first, count = np.unique(at, return_index=True, return_counts=True)
        rank = q * (count - 1)
        low = np.floor(rank).astype(np.int64)
        below = values[first + low].astype(np.float64)
        above = values[first + np.minimum(low + 1, count - 1)].astype(np.float64)
        out[found] = below + (above - below) * (rank - low)
        return out.reshape(cells.shape[:-1])


def _in_order(cell: I64, values: I64) -> tuple[I64, I64]:
    """Both by (cell, value); values are not negative."""
    bits = int(values.max(initial=0)).bit_length()
    if int(cell.max(initial=0)).bit_length() + bits > 62:
        order = np.lexsort((values, cell))
        return cell[order], values[order]
    keys = (cell << bits) | values
    keys.sort()
    return keys >> bits, keys & ((1 << bits) - 1)


def _flat(parts: list[I64]) -> I64:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


MODEL = Model(SessionQuery, SessionPick, scans, answer, users)
