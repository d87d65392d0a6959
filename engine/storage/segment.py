"""Reading segments: a file and its runs, which are a :class:`Source` and its :class:`Run` s.

A :class:`Segment` decodes what is asked for through its :class:`SegmentFile` into new arrays; with
a :class:`ColumnCache` what is read through :func:`shared` is kept there. Damage raises
``Corruption`` with file and offset; :meth:`Segment.scrub` looks at every page and yields what it
finds. Opening reads footer and page table only. Immutable and thread-safe: caches are filled
idempotently. Format: ``docs/format/segment.md``.
"""

from __future__ import annotations

import os
import struct
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.errors import Corruption
from zuji.engine.storage._rows import expand_users
from zuji.engine.storage.build import Packed
from zuji.engine.storage.days import INDEX_ROWS, days_from_rows, users_of_runs
from zuji.engine.storage.format import (
    RECEIVED_FEW,
    RECEIVED_ONE,
    ColumnMeta,
    RunMeta,
    Stream,
)
from zuji.engine.storage.frame import DTYPES
from zuji.engine.storage.kept import KeptRun
from zuji.engine.storage.manifest import SegmentMeta
from zuji.engine.storage.segment_file import SegmentFile, StoredDays
from zuji.engine.storage.source import DayViews
from zuji.engine.storage.source import Run as Run
from zuji.engine.storage.source import Source as Source
from zuji.engine.types import PROFILE_EVENTS, Column, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.days import Days
    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.storage.files import Files
    from zuji.engine.storage.source import Zone
    from zuji.engine.types import I64, U8, U16, U32


class Segment:
    """One segment: its :class:`SegmentFile` and runs. Neither of these holds the segment."""

    def __init__(self, files: Files, path: str, meta: SegmentMeta | None = None) -> None:
        """Maps and checks header, footer and page table.

        Raises:
            Corruption, UnsupportedFormat, NotFound.
        """
        self.file = SegmentFile(files, path)
        self.path = path
        self.footer = footer = self.file.footer
        self.serial = self.file.serial
        self.shard = footer.shard
        self.partition = footer.partition
        self.base_ms = footer.start_ms
        self.end_ms = footer.end_ms
        self.meta = meta or self._own_meta()
        self.rank = self.meta.rank
        self.rows = footer.rows
        self.runs: Mapping[str, SegmentRun] = {
            run.event: SegmentRun(self.file, run) for run in footer.runs
        }
        self.day_edges = self.file.day_edges
        self._index: Days | None = None
        self._everybody: StoredDays | None = None
        self._user_count = -1

    def _own_meta(self) -> SegmentMeta:
        """What the manifest would say of the file, but for its id and rank."""
        footer = self.footer
        return SegmentMeta(
            id=0,
            file=os.path.basename(self.path),
            shard=footer.shard,
            partition=footer.partition,
            start_ms=footer.start_ms,
            end_ms=footer.end_ms,
            rows=footer.rows,
            bytes=self.file.nbytes,
            min_ms=footer.min_ms,
            max_ms=footer.max_ms,
            rank=0,
        )

    def interleave(self) -> tuple[U16, list[str]]:
        """See :class:`Source`."""
        codes: U16 = self.file.ints(self.footer.interleave, np.empty(self.rows, np.uint16))
        return codes, list(self.runs)

    @property
    def cache(self) -> ColumnCache | None:
        """Where queries keep what they decode."""
        return self.file.cache

    def keep_in(self, cache: ColumnCache) -> None:
        """Lets queries keep what they decode. Idempotent."""
        self.file.keep_in(cache)

    def dictionary(self, prop: str) -> Dictionary | None:
        """See :class:`Source`."""
        return self.file.dictionary(prop)

    @property
    def index(self) -> Days | None:
        """See :class:`Source`; from the interleave when it is not stored."""
        if self._index is None and len(self.footer.day_edges) > 1:
            first = self.footer.any_days
            if first < 0 and not any(name in self.runs for name in PROFILE_EVENTS):
                first = self.footer.days
            if first >= 0:
                self._index = self.file.stored_days(first)
            elif self.rows < INDEX_ROWS:
                self._index = self._index_from_rows()
        return self._index

    def _index_from_rows(self) -> Days:
        from zuji.engine.storage.merge import behaviour_in_order

        ordinal, time = behaviour_in_order(self)
        return days_from_rows(ordinal, time, self.base_ms, self.day_edges)

    @property
    def everybody(self) -> StoredDays | None:
        """The whole partition as one day of any event; None when it is not stored."""
        if self._everybody is None and self.footer.any_all >= 0:
            row = self.file.day_table(self.footer.any_all, 1)
            self._everybody = StoredDays(self.file, row, self.day_edges[[0, -1]])
        return self._everybody

    @cached_property
    def newest_ms(self) -> int | None:
        """See :class:`Source`."""
        shown = (run.max_ms for name, run in self.runs.items() if name not in PROFILE_EVENTS)
        return max(shown, default=None)

    @property
    def user_count(self) -> int:
        """See :class:`Source`; counted once when it is not stored."""
        if self._user_count < 0:
            whole = self.everybody
            self._user_count = len(self.user_list()) if whole is None else int(whole.cards[0])
        return self._user_count

    def user_list(self) -> U32:
        """See :class:`Source`."""
        whole = self.everybody
        return users_of_runs(self) if whole is None else whole.user_list(0)

    def close(self) -> None:
        """Forgets the mapping; it ends when nothing reads it any more."""
        self.file.close()

    def scrub(self) -> Iterator[Corruption]:
        """Decodes everything, checksums included, and yields what is wrong.

        Nothing when all is well.
        """
        from zuji.engine.storage.scrub import scrub

        self.file.unverified()
        yield from scrub(self)


def shared(run: Run) -> Run | KeptRun:
    """The run to read in a query: its arrays are read-only, and of segments kept in the cache."""
    return run.kept if isinstance(run, SegmentRun) else run


class SegmentRun(DayViews):
    """One run of a segment."""

    __slots__ = (
        "_columns",
        "_index",
        "_meta",
        "_owner",
        "_sizes",
        "base_ms",
        "event",
        "max_ms",
        "min_ms",
        "props",
        "rows",
        "user_count",
    )

    def __init__(self, owner: SegmentFile, meta: RunMeta) -> None:
        props = owner.footer.props
        self._owner = owner
        self._meta = meta
        self._index: Days | None = None
        self._sizes: dict[str | None, int] = {}
        self.event = meta.event
        self.rows = meta.rows
        self.user_count = meta.users
        self.base_ms = owner.footer.start_ms
        self.min_ms = meta.min_ms
        self.max_ms = meta.max_ms
        try:
            self._columns = {props[column.prop].name: column for column in meta.columns}
            self.props: Mapping[str, Kind] = {
                props[column.prop].name: Kind(props[column.prop].kind) for column in meta.columns
            }
        except (IndexError, ValueError) as error:
            raise Corruption(
                f"run {meta.event!r} has a column of an unknown property", owner.path
            ) from error

    @property
    def meta(self) -> RunMeta:
        """As stored in the footer."""
        return self._meta

    @property
    def owner(self) -> SegmentFile:
        """The file that it is read from."""
        return self._owner

    @property
    def kept(self) -> SegmentRun | KeptRun:
        """This run read through the segment's cache; itself without one."""
        cache = self._owner.cache
        return self if cache is None else KeptRun(self, self._owner.serial, cache)

    @property
    def received_at(self) -> int | None:
        """See :class:`Run`."""
        received = self._meta.received
        return received.value if received.mode == RECEIVED_ONE else None

    @property
    def index(self) -> Days | None:
        """See :class:`Run`."""
        if self._index is None and len(self._owner.footer.day_edges) > 1:
            if self._meta.days >= 0:
                self._index = self._owner.stored_days(self._meta.days)
            else:
                ordinal = np.empty(self.rows, np.uint32)
                expand_users(*self.users(), ordinal)
                self._index = days_from_rows(
                    ordinal, self.times(), self.base_ms, self._owner.day_edges
                )
        return self._index

    def users(self) -> tuple[U32, U32]:
        """See :class:`Run`."""
        meta, owner = self._meta, self._owner
        users = owner.ints(meta.user_list, np.empty(meta.users, np.uint32))
        offsets = owner.ints(meta.offsets, np.empty(meta.users + 1, np.uint32))
        if offsets[0] != 0 or offsets[-1] != meta.rows:
            raise owner.damage("users do not add up to the rows", meta.offsets)
        return users, offsets

    def times(self) -> U32:
        """See :class:`Run`."""
        times: U32 = self._owner.ints(self._meta.times, np.empty(self.rows, np.uint32))
        if self._meta.time_unit != 1:
            times *= np.uint32(self._meta.time_unit)
        return times

    def ties(self) -> U16 | None:
        """See :class:`Run`."""
        if not self._meta.ties[1]:
            return None
        ties: U16 = self._owner.ints(self._meta.ties, np.empty(self.rows, np.uint16))
        return ties

    def received(self) -> I64:
        """See :class:`Run`."""
        stored = self._meta.received
        if stored.mode == RECEIVED_ONE:
            return np.full(self.rows, stored.value, np.int64)
        if stored.mode == RECEIVED_FEW:
            codes = self._owner.ints(stored.codes, np.empty(self.rows, np.uint32))
            size = self._rows_in(stored.values)
            values: I64 = self._owner.ints(stored.values, np.empty(size, np.int64))
            try:
                found: I64 = values[codes]
            except IndexError:
                raise self._owner.damage(
                    "a code is outside the list of receive times", stored.codes
                ) from None
            return found
        lag: I64 = self._owner.ints(stored.codes, np.empty(self.rows, np.int64))
        lag += self.times()
        lag += self.base_ms
        return lag

    def packed(self, name: str) -> Packed | None:
        """See :class:`Run`."""
        meta = self._columns.get(name)
        if meta is None:
            return None
        owner, kind = self._owner, self.props[name]
        present: U8 | None = None
        if meta.presence[1]:
            present = owner.ints(meta.presence, np.empty(self.rows, np.uint8))
        offsets: U32 | None = None
        count = meta.count
        if kind == Kind.LIST:
            offsets = owner.ints(meta.offsets, np.empty(meta.count + 1, np.uint32))
            count = meta.items
            if offsets[0] != 0 or offsets[-1] != count:
                raise owner.damage("lists do not add up to their items", meta.offsets)
        values: Any = np.empty(count, DTYPES[kind])
        if count:
            (owner.floats if kind == Kind.FLOAT else owner.ints)(meta.values, values)
        if meta.unit != 1:
            values *= values.dtype.type(meta.unit)
        if kind in (Kind.STRING, Kind.LIST):
            size = owner.footer.props[meta.prop].size
            if owner.top(meta.values) >= size:
                raise owner.damage(f"a code of {name!r} is outside its dictionary", meta.values)
        return Packed(values, present, offsets)

    def column(self, name: str) -> Column | None:
        """See :class:`Run`."""
        packed = self.packed(name)
        if packed is None:
            return None
        try:
            return packed.column(self.props[name], self._owner.dictionary(name))
        except ValueError as error:
            raise self._owner.damage(
                f"presence of {name!r}: {error}", self._columns[name].presence
            ) from error

    def presence_count(self, name: str) -> int:
        """See :class:`Run`."""
        meta = self._columns.get(name)
        return 0 if meta is None else meta.count

    def zone(self, name: str) -> Zone | None:
        """See :class:`Run`."""
        meta = self._columns.get(name)
        if meta is None or not meta.count:
            return None
        kind = self.props[name]
        if kind == Kind.LIST:
            return None
        if kind == Kind.STRING:
            strings = self._owner.dictionary(name)
            assert strings is not None
            return strings[meta.low], strings[meta.high]
        if kind == Kind.FLOAT:
            low, high = struct.unpack("<2d", struct.pack("<2q", meta.low, meta.high))
            return None if low != low or high != high else (low, high)
        return (bool(meta.low), bool(meta.high)) if kind == Kind.BOOL else (meta.low, meta.high)

    def nbytes(self, name: str | None) -> int:
        """See :class:`Run`; summed once."""
        found = self._sizes.get(name)
        if found is None:
            found = self._sizes[name] = self._nbytes(name)
        return found

    def _nbytes(self, name: str | None) -> int:
        meta = self._meta
        if name is None:
            return self._owner.stored_bytes(meta.user_list, meta.offsets, meta.times, meta.ties)
        column = self._columns.get(name)
        if column is None:
            return 0
        return self._owner.stored_bytes(column.values, column.presence, column.offsets)

    def column_meta(self, name: str) -> ColumnMeta | None:
        """As stored in the footer."""
        return self._columns.get(name)

    def _rows_in(self, stream: Stream) -> int:
        first, pages = stream
        return int(self._owner.page_table()["rows"][first : first + pages].sum())
