"""Writes segments: from a frame (:func:`write_frame`, a flush or bulk load) or from sources
(:func:`write_segment`).

tmp name -> write -> fsync -> rename; the caller syncs the directory once for all files it wrote,
before the manifest names them (I4). Streams are written one by one, so memory holds one property
of one run at a time besides the keys. Every kind of page, its choice and its checksum belong to
:mod:`codecs`; this file decides only what is a stream. Format: ``docs/format/segment.md``.
Functions are thread-safe: each call has its own state.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from zuji.engine.errors import ZujiError
from zuji.engine.storage import names as file_names
from zuji.engine.storage._rows import few_values, user_keys
from zuji.engine.storage._sort import csr
from zuji.engine.storage.days import BITMAP_SLACK, INDEX_ROWS, bitmap, days_from_rows, dense
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
from zuji.engine.storage.manifest import SegmentMeta
from zuji.engine.storage.merge import MergedRows
from zuji.engine.storage.partition import Partition, day_edges
from zuji.engine.storage.streams import StreamWriter
from zuji.engine.types import PROFILE_EVENTS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from zuji.engine.storage.build import Packed, SortedRows
    from zuji.engine.storage.days import ListedDays
    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.storage.files import Appender, Files
    from zuji.engine.storage.frame import Slice, Sliced
    from zuji.engine.storage.source import Source
    from zuji.engine.types import I64, U32

TIME_UNITS = (1_000, 60_000, 3_600_000)
"""Times and datetimes all divisible by one of these are stored divided: 10 bits a row less for
whole seconds.
"""
FEW_RECEIVED = 4_096
WRITER = "zuji 0.1"


def write_frame(
    files: Files,
    directory: str,
    frame: Sliced,
    *,
    tz: str,
    new_file: Callable[[], tuple[int, str]],
    pool: Executor | None = None,
) -> list[SegmentMeta]:
    """Writes a frame (or a memtable's rows) as one segment a shard and partition.

    Args:
        directory: of the project; the names that ``new_file`` gives are relative to it.
        tz: the project's time zone: it sets partitions and days.
        new_file: a fresh (id, name); called in the calling thread only. The id is the rank.
        pool: writes segments beside each other when given.

    Returns:
        What the manifest needs. Files are synced and renamed; their directory is not yet synced.

    Raises:
        StorageFull, StorageFailed, ReadOnly: files written so far are left to the caller.
    """
    pieces = [(piece, *new_file()) for piece in frame.slices(tz)]

    def write(item: tuple[Slice, int, str]) -> SegmentMeta:
        piece, ident, name = item
        return write_rows(
            files,
            file_names.path(directory, name),
            piece.sorted(),
            shard=piece.shard,
            partition=piece.partition,
            day_edges=day_edges(tz, piece.partition.start_ms, piece.partition.end_ms),
            segment_id=ident,
            file=name,
            rank=ident,
        )

    return list(map(write, pieces)) if pool is None else list(pool.map(write, pieces))


def write_segment(
    files: Files,
    path: str,
    *,
    shard: int,
    partition: Partition,
    sources: Sequence[Source],
    day_edges: I64,
    segment_id: int = 0,
    file: str = "",
    rank: int = 0,
) -> SegmentMeta:
    """Writes the rows of several sources of one shard and partition, oldest source first, as one
    segment.
    """
    return write_rows(
        files,
        path,
        MergedRows(sources),
        shard=shard,
        partition=partition,
        day_edges=day_edges,
        segment_id=segment_id,
        file=file,
        rank=rank,
    )


def write_rows(
    files: Files,
    path: str,
    rows: SortedRows,
    *,
    shard: int,
    partition: Partition,
    day_edges: I64,
    segment_id: int = 0,
    file: str = "",
    rank: int = 0,
) -> SegmentMeta:
    """Writes sorted rows to ``path``: tmp, fsync, rename. The caller syncs the directory.

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

    def __init__(self, out: Appender, rows: SortedRows, base_ms: int, edges: I64) -> None:
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
        interleave = self._to.ints(rows.interleave)
        heads = [self._run(i) for i in range(len(rows.names))]
        props, columns = self._props()
        runs = [
            msgspec.structs.replace(head, columns=mine)
            for head, mine in zip(heads, columns, strict=True)
        ]
        any_days, any_all = self._any_event(runs)
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

    # -- runs ----------------------------------------------------------------------------------

    def _run(self, i: int) -> RunMeta:
        """Keys and day index of one run; its columns come later, property by property."""
        rows = self._rows
        a, b = int(rows.starts[i]), int(rows.starts[i + 1])
        ordinal, time = rows.ordinal[a:b], rows.time[a:b]
        users, offsets = csr(ordinal)
        unit, scaled = _scaled(time, TIME_UNITS)
        tie = None if rows.tie is None else rows.tie[a:b]
        days = -1
        if b - a >= INDEX_ROWS and len(self._edges) > 1:
            days = self._day_index(days_from_rows(ordinal, time, self._base_ms, self._edges))
        return RunMeta(
            event=rows.names[i],
            rows=b - a,
            users=len(users),
            min_ms=self._base_ms + int(time.min()),
            max_ms=self._base_ms + int(time.max()),
            user_list=self._to.ints(users, ascending=True),
            offsets=self._to.ints(offsets, ascending=True),
            times=self._to.ints(scaled),
            time_unit=unit,
            ties=(0, 0) if tie is None or not tie.any() else self._to.ints(tie),
            received=self._received(i, time),
            columns=[],
            days=days,
        )

    def _received(self, i: int, time: U32) -> Received:
        received = self._rows.received(i)
        if isinstance(received, int):
            return Received(RECEIVED_ONE, received)
        low = int(received.min())
        if low == int(received.max()):
            return Received(RECEIVED_ONE, low)
        lag = received - time.astype(np.int64) - self._base_ms
        lag_bits = (int(lag.max()) - int(lag.min())).bit_length()
        few = few_values(received, FEW_RECEIVED)
        if few is not None:
            values, codes = few
            bits = (len(values) - 1).bit_length() * len(received) + 64 * len(values)
            if bits < lag_bits * len(received):
                return Received(RECEIVED_FEW, 0, self._to.ints(codes), self._to.ints(values))
        return Received(RECEIVED_LAG, 0, self._to.ints(lag))

    # -- days ----------------------------------------------------------------------------------

    def _any_event(self, runs: Sequence[RunMeta]) -> tuple[int, int]:
        """First row of the days of any event, and the row of the whole partition; −1: not stored.

        Profile records are no behaviour and left out. One run alone has all this itself.
        """
        rows = self._rows
        acts = [run for run in runs if run.event not in PROFILE_EVENTS]
        if len(acts) == 1:
            return acts[0].days, -1
        if sum(run.rows for run in acts) < INDEX_ROWS or len(self._edges) < 2:
            return -1, -1
        keys = np.empty(rows.rows, np.uint64)
        user_keys(rows.interleave, rows.ordinal, rows.time, rows.starts, keys)
        if self._records:
            keys = keys[~np.isin(rows.interleave, self._records)]
        ordinal = (keys >> np.uint64(32)).astype(np.uint32)
        time = keys.astype(np.uint32)
        days = self._day_index(days_from_rows(ordinal, time, self._base_ms, self._edges))
        whole = np.array([self._edges[0], self._edges[-1]], np.int64)
        return days, self._day_index(days_from_rows(ordinal, time, self._base_ms, whole))

    def _day_index(self, days: ListedDays) -> int:
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
            having = [i for i in range(len(rows.names)) if prop.has(i)]
            for i in having:
                columns[i].append(self._column(len(props), kind, prop.run(i)))
            if having:
                props.append(self._prop(name, kind, prop.dictionary))
        return props, columns

    def _prop(self, name: str, kind: Kind, dictionary: Dictionary | None) -> PropMeta:
        if dictionary is None or not len(dictionary):
            return PropMeta(name, int(kind))
        text = self._to.blob(dictionary.data.tobytes())
        offsets = self._to.ints(dictionary.offsets, ascending=True)
        return PropMeta(name, int(kind), len(dictionary), text, offsets)

    def _column(self, prop: int, kind: Kind, packed: Packed) -> ColumnMeta:
        values: Any = packed.values
        unit, presence, offsets = 1, (0, 0), (0, 0)
        if packed.present is not None:
            presence = self._to.ints(packed.present)
        if kind == Kind.FLOAT:
            low, high = (int(v.view(np.int64)) for v in (values.min(), values.max()))
            return ColumnMeta(prop, packed.count, low, high, 1, self._to.floats(values), presence)
        if packed.offsets is not None:
            offsets = self._to.ints(packed.offsets, ascending=True)
            stream = self._to.ints(values) if len(values) else (0, 0)
            return ColumnMeta(prop, packed.count, 0, 0, 1, stream, presence, offsets, len(values))
        low, high = int(values.min()), int(values.max())
        if kind == Kind.DATETIME:
            unit, values = _scaled(values, TIME_UNITS)
        stream = self._to.ints(values, pack=kind in (Kind.INT, Kind.DATETIME))
        return ColumnMeta(prop, packed.count, low, high, unit, stream, presence)


def _dense_bitmap(users: U32) -> bytes | None:
    """The users as a bitmap when that is about as small as their list, else None."""
    if not dense(users):
        return None
    widest = int(np.diff(users).max()) if len(users) > 1 else 1
    packed = bitmap(users)
    packed.run_optimize()
    raw: bytes = packed.serialize()
    return raw if len(raw) <= BITMAP_SLACK * (12 + len(users) * widest.bit_length() / 8) else None


def _scaled(values: Any, units: Sequence[int]) -> tuple[int, Any]:
    """The largest unit that divides every value, and the quotients.

    Most runs fail on the first few rows.
    """
    best = 1
    for unit in units:
        if (values[:64] % unit).any() or (values % unit).any():
            break
        best = unit
    return (best, values) if best == 1 else (best, values // values.dtype.type(best))
