"""Writes segments: from a frame (:func:`write_frame`, a flush or bulk load) or from sources
(:func:`write_segment`).

tmp name -> write -> fsync -> rename; the caller syncs the directory once for all files it wrote,
before the manifest names them (I4). Rows come in blocks and streams are written one by one, so
memory holds, besides what the owner of the rows holds, a page or two and the encoded streams that
wait for another: users and offsets of one run, receive times, items of lists. And who was active on
which day. Every kind of page, its choice and its checksum belong to :mod:`codecs`; this file
decides only what is a stream. Format: ``docs/format/segment.md``.
Functions are thread-safe: each call has its own state.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from zuji.engine.errors import ZujiError
from zuji.engine.storage import names as file_names
from zuji.engine.storage._rows import few_values
from zuji.engine.storage._sort import csr
from zuji.engine.storage.blocks import WholeRows
from zuji.engine.storage.days import BITMAP_SLACK, INDEX_ROWS, BuiltDays, bitmap, dense
from zuji.engine.storage.format import (
    DAY_BITMAP,
    DAY_LIST,
    RECEIVED_FEW,
    RECEIVED_LAG,
    RECEIVED_ONE,
    ColumnMeta,
    Footer,
    PropMeta,
    Received,
    RunMeta,
    pack_footer,
    pack_header,
)
from zuji.engine.storage.frame import DTYPES
from zuji.engine.storage.manifest import SegmentMeta
from zuji.engine.storage.partition import Partition, day_edges
from zuji.engine.storage.streams import StreamWriter
from zuji.engine.types import PROFILE_EVENTS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zuji.engine.storage.blocks import PropBlocks, RowBlocks
    from zuji.engine.storage.build import Packed
    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.storage.files import Appender, Files
    from zuji.engine.storage.format import Stream
    from zuji.engine.storage.frame import Slice, Sliced
    from zuji.engine.storage.streams import OpenStream
    from zuji.engine.types import I64, U32

TIME_UNITS = (1_000, 60_000, 3_600_000)
"""Times and datetimes all divisible by one of these are stored divided: 10 bits a row less for
whole seconds.
"""
FEW_RECEIVED = 4_096
WRITER = "zuji 0.1"


class Pace(Protocol):
    """How many calls are made beside each other."""

    def map(self, make: Callable[[Any], Any], of: Sequence[Any], /) -> list[Any]:
        """What is made of each, in their order."""


def write_frame(
    files: Files,
    directory: str,
    frame: Sliced,
    *,
    tz: str,
    new_file: Callable[[], tuple[int, str]],
    pace: Pace | None = None,
) -> list[SegmentMeta]:
    """Writes a frame (or a memtable's rows) as one segment a shard and partition.

    Args:
        directory: of the project; the names that ``new_file`` gives are relative to it.
        tz: the project's time zone: it sets partitions and days.
        new_file: a fresh (id, name); called in the calling thread only. The id is the rank.
        pace: writes segments beside each other when given.

    Returns:
        What the manifest needs. Files are synced and renamed; their directory is not yet synced.

    Raises:
        StorageFull, StorageFailed, ReadOnly: files written so far are left to the caller.
    """
    pieces = [(piece, *new_file()) for piece in frame.slices(tz)]

    def write(item: tuple[Slice, int, str]) -> SegmentMeta:
        piece, ident, name = item
        return write_segment(
            files,
            file_names.path(directory, name),
            WholeRows(piece.sorted()),
            shard=piece.shard,
            partition=piece.partition,
            day_edges=day_edges(tz, piece.partition.start_ms, piece.partition.end_ms),
            segment_id=ident,
            file=name,
            rank=ident,
        )

    return list(map(write, pieces)) if pace is None else pace.map(write, pieces)


def write_segment(
    files: Files,
    path: str,
    rows: RowBlocks,
    *,
    shard: int,
    partition: Partition,
    day_edges: I64,
    segment_id: int = 0,
    file: str = "",
    rank: int = 0,
) -> SegmentMeta:
    """Writes rows of one shard and partition to ``path``: tmp, fsync, rename. The caller syncs the
    directory.

    Raises:
        StorageFull, StorageFailed, ReadOnly: the temporary file is removed.
    """
    temporary = file_names.temporary(path)
    appender = files.create(temporary)
    try:
        with appender:
            footer = _SegmentWriter(appender, rows, partition.start_ms, day_edges).write(
                shard, partition
            )
            appender.sync()
            size = appender.size
        files.rename(temporary, path)
    except BaseException:
        with suppress(ZujiError):  # the first failure is the one to report; opening removes *.tmp
            files.remove(temporary)
        raise
    return SegmentMeta(
        id=segment_id,
        file=file or os.path.basename(path),
        shard=shard,
        partition=partition.id,
        start_ms=partition.start_ms,
        end_ms=partition.end_ms,
        rows=rows.rows,
        bytes=size,
        min_ms=footer.min_ms,
        max_ms=footer.max_ms,
        rank=rank,
    )


class _SegmentWriter:
    """State of one file being written."""

    def __init__(self, out: Appender, rows: RowBlocks, base_ms: int, edges: I64) -> None:
        self._to = StreamWriter(out)
        self._rows = rows
        self._base_ms = base_ms
        self._edges = edges
        self._days: list[tuple[int, ...]] = []
        self._records = [i for i, name in enumerate(rows.names) if name in PROFILE_EVENTS]

    def write(self, shard: int, partition: Partition) -> Footer:
        """The whole file."""
        rows = self._rows
        self._to.put(pack_header())
        interleave, anybody = self._interleave()
        heads = [self._run(i) for i in range(len(rows.names))]
        props, columns = self._props()
        runs = [
            msgspec.structs.replace(head, columns=mine)
            for head, mine in zip(heads, columns, strict=True)
        ]
        any_days, any_all = self._any_event(runs, anybody)
        table = np.array(self._days, np.uint32)
        day_table = self._to.blob(table.tobytes()) if len(table) else (0, 0)
        pages_offset, pages, pages_crc = self._to.page_table()
        footer = Footer(
            shard=shard,
            partition=partition.id,
            start_ms=partition.start_ms,
            end_ms=partition.end_ms,
            rows=rows.rows,
            min_ms=min((run.min_ms for run in runs), default=partition.start_ms),
            max_ms=max((run.max_ms for run in runs), default=partition.start_ms),
            pages_offset=pages_offset,
            pages=pages,
            pages_crc=pages_crc,
            props=props,
            runs=runs,
            interleave=interleave,
            day_edges=self._edges.tolist(),
            day_table=day_table,
            days=any_days if not self._records else -1,
            writer=WRITER,
            any_days=any_days,
            any_all=any_all,
        )
        self._to.put(pack_footer(footer, self._to.position))
        self._to.flush()
        return footer

    # -- user order ----------------------------------------------------------------------------

    def _interleave(self) -> tuple[Stream, tuple[BuiltDays, BuiltDays] | None]:
        """The interleave; days of any event, and the whole partition as one day, when it has an
        index of its own: profile records are no behaviour, one run alone has all this itself.
        """
        rows = self._rows
        acts = [i for i in range(len(rows.names)) if i not in self._records]
        anybody = None
        if (
            len(acts) != 1
            and sum(int(rows.starts[i + 1] - rows.starts[i]) for i in acts) >= INDEX_ROWS
            and len(self._edges) > 1
        ):
            whole = np.array([self._edges[0], self._edges[-1]], np.int64)
            anybody = BuiltDays(self._base_ms, self._edges), BuiltDays(self._base_ms, whole)
        stream = self._to.open(np.uint16)
        for codes, keys in rows.walk(keys=anybody is not None):
            stream.add(codes)
            if anybody is None or keys is None:
                continue
            if self._records:
                keys = keys[~np.isin(codes, self._records)]
            ordinal, time = (keys >> np.uint64(32)).astype(np.uint32), keys.astype(np.uint32)
            for days in anybody:
                days.add(ordinal, time)
        return stream.end(), anybody

    def _any_event(
        self, runs: Sequence[RunMeta], anybody: tuple[BuiltDays, BuiltDays] | None
    ) -> tuple[int, int]:
        """First row of the days of any event, row of the whole partition; −1: not stored."""
        acts = [run for run in runs if run.event not in PROFILE_EVENTS]
        if len(acts) == 1:
            return acts[0].days, -1
        if anybody is None:
            return -1, -1
        return self._day_index(anybody[0]), self._day_index(anybody[1])

    # -- runs ----------------------------------------------------------------------------------

    def _run(self, i: int) -> RunMeta:
        """Keys and day index of one run; its columns come later, property by property."""
        rows = self._rows
        count = int(rows.starts[i + 1] - rows.starts[i])
        index = None
        if count >= INDEX_ROWS and len(self._edges) > 1:
            index = BuiltDays(self._base_ms, self._edges)
        users = self._to.open(np.uint32, ascending=True, held=True)
        offsets = self._to.open(np.uint32, ascending=True, held=True)
        unit, span = _Unit(TIME_UNITS), _Span()
        row, last, people = 0, -1, 0
        for ordinal, time in rows.keys(i):
            some, starts = csr(ordinal)
            again = int(some[0]) == last  # of a user whose rows began in the block before
            users.add(some[again:])
            offsets.add(starts[again:-1] + np.uint32(row))
            people += len(some) - again
            row, last = row + len(ordinal), int(some[-1])
            unit.add(time)
            span.add(time)
            if index is not None:
                index.add(ordinal, time)
        offsets.add(np.array([row], np.uint32))
        days = -1 if index is None else self._day_index(index)
        user_list, user_offsets = users.end(), offsets.end()
        stamps = self._to.open(np.uint32)
        for time in rows.times(i):
            stamps.add(time if unit.best == 1 else time // np.uint32(unit.best))
        times = stamps.end()
        tie = rows.ties(i)
        return RunMeta(
            event=rows.names[i],
            rows=count,
            users=people,
            min_ms=self._base_ms + span.low,
            max_ms=self._base_ms + span.high,
            user_list=user_list,
            offsets=user_offsets,
            times=times,
            time_unit=unit.best,
            ties=(0, 0) if tie is None or not tie.any() else self._to.ints(tie),
            received=self._received(i, count),
            columns=[],
            days=days,
        )

    def _received(self, i: int, count: int) -> Received:
        rows = self._rows
        fixed = rows.received_at(i)
        if fixed is not None:
            return Received(RECEIVED_ONE, fixed)
        span, lags = _Span(), _Span()
        codes: OpenStream | None = self._to.open(np.uint32, held=True)
        numbers: dict[int, int] = {}
        for received, time in zip(rows.received(i), rows.times(i), strict=True):
            span.add(received)
            lags.add(received - time)
            few = None if codes is None else few_values(received, FEW_RECEIVED)
            if few is not None:
                lut = [numbers.setdefault(value, len(numbers)) for value in few[0].tolist()]
            if few is None or len(numbers) > FEW_RECEIVED:
                codes = None
            elif codes is not None:
                codes.add(np.array(lut, np.uint32)[few[1]])
        if span.low == span.high:
            return Received(RECEIVED_ONE, span.low)
        if codes is not None:
            bits = (len(numbers) - 1).bit_length() * count + 64 * len(numbers)
            if bits < (lags.high - lags.low).bit_length() * count:
                values = np.array(list(numbers), np.int64)
                return Received(RECEIVED_FEW, 0, codes.end(), self._to.ints(values))
        lag = self._to.open(np.int64)
        for received, time in zip(rows.received(i), rows.times(i), strict=True):
            lag.add(received - time - self._base_ms)
        return Received(RECEIVED_LAG, 0, lag.end())

    # -- days ----------------------------------------------------------------------------------

    def _day_index(self, days: BuiltDays) -> int:
        first = len(self._days)
        for day in range(len(days.rows)):
            users, flags = days.user_list(day), days.flags(day)
            form, user_stream, multi_stream = DAY_LIST, (0, 0), (0, 0)
            if len(users):
                packed = _dense_bitmap(users)
                if packed is None:
                    user_stream = self._to.ints(users, ascending=True)
                    multi_stream = self._to.ints(flags)
                else:
                    form, user_stream = DAY_BITMAP, self._to.blob(packed)
                    more = bitmap(users[flags.view(np.bool_)])
                    more.run_optimize()
                    multi_stream = self._to.blob(more.serialize())
            self._days.append(
                (int(days.rows[day]), len(users), form, *user_stream, *multi_stream, 0)
            )
        return first

    # -- properties ----------------------------------------------------------------------------

    def _props(self) -> tuple[list[PropMeta], list[list[ColumnMeta]]]:
        rows = self._rows
        props: list[PropMeta] = []
        columns: list[list[ColumnMeta]] = [[] for _ in rows.names]
        for name, kind in rows.kinds.items():
            prop = rows.prop(name)
            having = prop.runs()
            for i in having:
                columns[i].append(self._column(len(props), kind, prop, i))
            if having:
                props.append(self._prop(name, kind, prop.dictionary))
        return props, columns

    def _prop(self, name: str, kind: Kind, dictionary: Dictionary | None) -> PropMeta:
        if dictionary is None or not len(dictionary):
            return PropMeta(name, int(kind))
        text = self._to.blob(dictionary.data.tobytes())
        offsets = self._to.ints(dictionary.offsets, ascending=True)
        return PropMeta(name, int(kind), len(dictionary), text, offsets)

    def _column(self, number: int, kind: Kind, prop: PropBlocks, i: int) -> ColumnMeta:
        presence = (0, 0)
        if (present := prop.presence(i)) is not None:
            flags = self._to.open(np.uint8)
            for block in present:
                flags.add(block)
            presence = flags.end()
        if kind == Kind.LIST:
            return self._list_column(number, presence, prop.blocks(i))
        unit, span, count = _Unit(TIME_UNITS if kind == Kind.DATETIME else ()), _Span(), 0
        if kind == Kind.DATETIME:
            for packed in prop.blocks(i):
                unit.add(packed.values)
        pack = kind in (Kind.INT, Kind.DATETIME)
        values = self._to.open(DTYPES[kind], pack=pack)
        for packed in prop.blocks(i):
            span.add(packed.values)
            count += packed.count
            values.add(packed.values if unit.best == 1 else packed.values // unit.best)
        low, high = span.low, span.high
        if kind == Kind.FLOAT:
            low, high = (int(np.float64(v).view(np.int64)) for v in (low, high))
        return ColumnMeta(number, count, low, high, unit.best, values.end(), presence)

    def _list_column(self, number: int, presence: Stream, blocks: Iterator[Packed]) -> ColumnMeta:
        ends = self._to.open(np.uint32, ascending=True)
        values = self._to.open(np.uint32, held=True)
        count = items = 0
        for packed in blocks:
            assert packed.offsets is not None
            if items + len(packed.values) > 0xFFFF_FFFF:
                raise OverflowError("the lists of one run have more than 2^32 - 1 items")
            ends.add(packed.offsets[:-1] + np.uint32(items))
            values.add(packed.values)
            count += packed.count
            items += len(packed.values)
        ends.add(np.array([items], np.uint32))
        offsets = ends.end()
        return ColumnMeta(number, count, 0, 0, 1, values.end(), presence, offsets, items)


class _Span:
    """Smallest and largest of values that come in blocks."""

    def __init__(self) -> None:
        self.low: Any = 0
        self.high: Any = 0
        self._any = False

    def add(self, values: Any) -> None:
        if len(values):
            low, high = values.min(), values.max()
            if self._any:
                low, high = np.minimum(low, self.low), np.maximum(high, self.high)
            self.low, self.high, self._any = low.item(), high.item(), True


class _Unit:
    """The largest unit that divides all values, which come in blocks; each divides the next.

    Most runs fail on the first few rows.
    """

    def __init__(self, units: Sequence[int]) -> None:
        self._units = units

    @property
    def best(self) -> int:
        return self._units[-1] if self._units else 1

    def add(self, values: Any) -> None:
        for i, unit in enumerate(self._units):
            if (values[:64] % unit).any() or (values % unit).any():
                self._units = self._units[:i]
                return


def _dense_bitmap(users: U32) -> bytes | None:
    """The users as a bitmap when that is about as small as their list, else None."""
    if not dense(users):
        return None
    widest = int(np.diff(users).max()) if len(users) > 1 else 1
    packed = bitmap(users)
    packed.run_optimize()
    raw: bytes = packed.serialize()
    return raw if len(raw) <= BITMAP_SLACK * (12 + len(users) * widest.bit_length() / 8) else None
