"""Reading segments: the mapped file and its runs, which are a :class:`Source` and its :class:`Run`
s.

A :class:`Segment` maps its file and decodes what is asked for into new arrays; nothing handed out
points into the map. Dictionaries are decoded once; with a :class:`ColumnCache` what is read
through :func:`shared` is kept there. Checksums are checked at the first read of a page and
remembered for the life of the mapping. Damage raises ``Corruption`` with the file and offset;
:meth:`Segment.scrub` looks at every page and yields what it finds. Opening reads footer and page
table only. Immutable and thread-safe: caches are filled idempotently. Format:
``docs/format/segment.md``.
"""

from __future__ import annotations

import os
import struct
import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from zuji.engine.errors import Corruption
from zuji.engine.storage._rows import expand_users
from zuji.engine.storage.build import Packed
from zuji.engine.storage.cache import serials
from zuji.engine.storage.codecs import CodecError, decode_bytes, decode_floats, decode_ints
from zuji.engine.storage.days import INDEX_ROWS, bitmap, days_from_rows, users_of_runs
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.storage.format import (
    DAY_BITMAP,
    DAY_DTYPE,
    DAY_LIST,
    RECEIVED_FEW,
    RECEIVED_ONE,
    ColumnMeta,
    Footer,
    RunMeta,
    Stream,
    read_footer,
)
from zuji.engine.storage.frame import DTYPES
from zuji.engine.storage.kept import KeptRun
from zuji.engine.storage.manifest import SegmentMeta
from zuji.engine.storage.source import DayViews
from zuji.engine.storage.source import Run as Run
from zuji.engine.storage.source import Source as Source
from zuji.engine.types import PROFILE_EVENTS, Column, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.days import Days
    from zuji.engine.storage.files import Files
    from zuji.engine.storage.source import Zone
    from zuji.engine.types import I64, U8, U16, U32


class Segment:
    """One mapped segment file."""

    def __init__(self, files: Files, path: str, meta: SegmentMeta | None = None) -> None:
        """Maps and checks header, footer and page table.

        Raises:
            Corruption, UnsupportedFormat, NotFound.
        """
        self.path = path
        self._view = files.map(path)
        footer, self._pages = read_footer(self._view, path)
        self.footer: Footer = footer
        self._verified: U8 = np.zeros(len(self._pages), np.uint8)
        self.shard = footer.shard
        self.partition = footer.partition
        self.base_ms = footer.start_ms
        self.end_ms = footer.end_ms
        self.meta = meta or self._own_meta()
        self.rank = self.meta.rank
        self.rows = footer.rows
        self.runs: Mapping[str, SegmentRun] = {
            run.event: SegmentRun(self, run) for run in footer.runs
        }
        self._kinds = [Kind(prop.kind) for prop in footer.props]
        self._props = {prop.name: i for i, prop in enumerate(footer.props)}
        self._dictionaries: dict[str, Dictionary] = {}
        self.serial = next(serials)
        self.cache: ColumnCache | None = None
        self._index: Days | None = None
        self._everybody: StoredDays | None = None
        self._user_count = -1
        self.day_edges: I64 = np.array(footer.day_edges, np.int64)
        """Edges of the partition's local days, int64[n+1] ms UTC."""
        self.day_edges.flags.writeable = False
        self._day_table: np.ndarray[Any, Any] | None = None
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Numbers of the footer must fit each other, so that no array is sized by a wrong one."""
        footer = self.footer
        rows = sum(run.rows for run in footer.runs)
        good = (
            rows == footer.rows
            and len(self.runs) == len(footer.runs)
            and footer.start_ms < footer.end_ms
        )
        good = good and all(
            0 <= column.prop < len(footer.props) and column.count <= run.rows
            for run in footer.runs
            for column in run.columns
        )
        if not good:
            raise Corruption(
                "the numbers of the footer contradict each other", self.path, len(self._view)
            )

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
            bytes=len(self._view),
            min_ms=footer.min_ms,
            max_ms=footer.max_ms,
            rank=0,
        )

    def interleave(self) -> tuple[U16, list[str]]:
        """See :class:`Source`."""
        codes = self.ints(self.footer.interleave, np.empty(self.rows, np.uint16))
        return codes, list(self.runs)

    def keep_in(self, cache: ColumnCache) -> None:
        """Lets queries keep what they decode. Idempotent."""
        if self.cache is cache or not cache.budget:
            return
        weakref.finalize(self, cache.gone, self.serial)
        self.cache = cache

    def dictionary(self, prop: str) -> Dictionary | None:
        """See :class:`Source`. Decoded once and kept with the segment: codes of a view's texts go
        by the dictionary, so it must not change for another.
        """
        found = self._dictionaries.get(prop)
        if found is None:
            number = self._props.get(prop)
            if number is None or self._kinds[number] not in (Kind.STRING, Kind.LIST):
                return None
            found = self._dictionaries[prop] = self._read_dictionary(number)
        return found

    def _read_dictionary(self, number: int) -> Dictionary:
        meta = self.footer.props[number]
        offsets = np.zeros(meta.size + 1, np.int64)
        if not meta.size:
            return Dictionary(np.empty(0, np.uint8), offsets, ordered=True)
        self.ints(meta.text_offsets, offsets)
        data = np.frombuffer(self.blob(meta.text), np.uint8)
        if offsets[0] != 0 or offsets[-1] != len(data) or (np.diff(offsets) < 0).any():
            raise self.damage("a dictionary contradicts its offsets", meta.text)
        return Dictionary(data, offsets, ordered=True)

    @property
    def index(self) -> Days | None:
        """See :class:`Source`; from the interleave when it is not stored."""
        if self._index is None and len(self.footer.day_edges) > 1:
            first = self.footer.any_days
            if first < 0 and not any(name in self.runs for name in PROFILE_EVENTS):
                first = self.footer.days
            if first >= 0:
                self._index = self.stored_days(first)
            elif self.rows < INDEX_ROWS:
                self._index = self._index_from_rows()
        return self._index

    def _index_from_rows(self) -> Days:
        from zuji.engine.storage.merge import behaviour_in_order

        ordinal, time = behaviour_in_order(self)
        return days_from_rows(ordinal, time, self.base_ms, self.day_edges)

    def stored_days(self, first: int) -> StoredDays:
        """The day index that starts at a row of the day table."""
        return StoredDays(self, self.day_table(first), self.day_edges)

    @property
    def everybody(self) -> StoredDays | None:
        """The whole partition as one day of any event; None when it is not stored."""
        if self._everybody is None and self.footer.any_all >= 0:
            row = self.day_table(self.footer.any_all, 1)
            self._everybody = StoredDays(self, row, self.day_edges[[0, -1]])
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

    def day_table(self, first: int, days: int = -1) -> np.ndarray[Any, Any]:
        """Rows of the day table from ``first`` on: ``days``, or those of the whole partition."""
        if self._day_table is None:
            raw = self.blob(self.footer.day_table)
            if len(raw) % DAY_DTYPE.itemsize:
                raise self.damage("the day table has a broken row", self.footer.day_table)
            self._day_table = np.frombuffer(raw, DAY_DTYPE)
        days = len(self.footer.day_edges) - 1 if days < 0 else days
        part = self._day_table[first : first + days]
        if len(part) != days:
            raise self.damage("a run's days lie outside the day table", self.footer.day_table)
        return part

    def close(self) -> None:
        """Forgets the mapping; it ends when nothing reads it any more."""
        self._view = memoryview(b"")
        self._dictionaries.clear()
        if self.cache is not None:
            self.cache.forget(self.serial)

    # -- streams -------------------------------------------------------------------------------

    def ints(self, stream: Stream, out: Any) -> Any:
        """Decodes an integer stream into ``out`` and returns it. Raises Corruption."""
        first, last = self._bounds(stream)
        try:
            decode_ints(self._view, self._pages[first:last], out, verify=self._verified[first:last])
        except (CodecError, ValueError) as error:
            raise self._located(error, first) from error
        return out

    def floats(self, stream: Stream, out: Any) -> Any:
        """Decodes a float stream into ``out`` and returns it. Raises Corruption."""
        first, last = self._bounds(stream)
        try:
            decode_floats(
                self._view, self._pages[first:last], out, verify=self._verified[first:last]
            )
        except (CodecError, ValueError) as error:
            raise self._located(error, first) from error
        return out

    def blob(self, stream: Stream) -> bytes:
        """A byte stream. Raises Corruption."""
        first, last = self._bounds(stream)
        try:
            return decode_bytes(self._view, self._pages[first:last])
        except (CodecError, ValueError) as error:
            raise self._located(error, first) from error

    def stored_bytes(self, *streams: Stream) -> int:
        """Encoded bytes of streams."""
        return sum(int(self._pages["length"][a : a + n].sum()) for a, n in streams if n)

    def page_table(self) -> np.ndarray[Any, Any]:
        """Every page of the file, offsets absolute; read-only."""
        return self._pages

    def top(self, stream: Stream) -> int:
        """Largest value of an integer stream, from its pages' zone maps; -1 when empty."""
        first, last = self._bounds(stream)
        return int(self._pages["max"][first:last].max()) if last > first else -1

    def _bounds(self, stream: Stream) -> tuple[int, int]:
        first, pages = stream
        if first < 0 or pages < 0 or first + pages > len(self._pages):
            raise Corruption(
                "a stream lies outside the page table", self.path, self.footer.pages_offset
            )
        return first, first + pages

    def damage(self, message: str, stream: Stream) -> Corruption:
        """A Corruption at the start of a stream."""
        first, last = self._bounds(stream)
        at = int(self._pages["offset"][first]) if last > first else self.footer.pages_offset
        return Corruption(message, self.path, at)

    def _located(self, error: Exception, first: int) -> Corruption:
        page = first + (error.page if isinstance(error, CodecError) else 0)
        at = int(self._pages["offset"][page]) if page < len(self._pages) else 0
        text = error.args[0] if error.args else "damaged"
        return Corruption(f"page {page}: {text}", self.path, at)

    def scrub(self) -> Iterator[Corruption]:
        """Decodes everything, checksums included, and yields what is wrong.

        Nothing when all is well.
        """
        from zuji.engine.storage.scrub import scrub

        self._verified[:] = 0
        yield from scrub(self)


def shared(run: Run) -> Run | KeptRun:
    """The run to read in a query: its arrays are read-only, and of segments kept in the cache."""
    return run.kept if isinstance(run, SegmentRun) else run


class SegmentRun(DayViews):
    """One run of a segment."""

    __slots__ = (
        "_columns",
        "_index",
        "_kept",
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

    def __init__(self, owner: Segment, meta: RunMeta) -> None:
        props = owner.footer.props
        self._owner = owner
        self._meta = meta
        self._index: Days | None = None
        self._kept: KeptRun | None = None
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
    def owner(self) -> Segment:
        """The segment that it is a run of."""
        return self._owner

    @property
    def kept(self) -> SegmentRun | KeptRun:
        """This run read through the segment's cache; itself without one."""
        if self._kept is None:
            cache = self._owner.cache
            if cache is None:
                return self
            self._kept = KeptRun(self, self._owner.serial, cache)
        return self._kept

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


class StoredDays:
    """Day index read from a segment, day by day."""

    __slots__ = ("_owner", "_table", "cards", "edges", "rows")

    def __init__(self, owner: Segment, table: np.ndarray[Any, Any], edges: I64) -> None:
        self._owner = owner
        self._table = table
        self.edges = edges
        self.rows: I64 = self._table["rows"].astype(np.int64)
        self.cards: U32 = np.ascontiguousarray(self._table["users"])

    def users(self, day: int) -> BitMap:
        """See :class:`days.Days`."""
        entry = self._table[day]
        if not entry["users"]:
            return BitMap()
        stream = (int(entry["page"]), int(entry["pages"]))
        if entry["form"] == DAY_BITMAP:
            return self._bitmap(stream, int(entry["users"]))
        return bitmap(self._list(entry, stream))

    def people(self, day: int) -> BitMap | U32:
        """See :class:`days.Days`."""
        stored = self._table["form"][day] == DAY_BITMAP
        return self.users(day) if stored else self.user_list(day)

    def multi(self, day: int) -> BitMap:
        """See :class:`days.Days`."""
        entry = self._table[day]
        if not entry["users"]:
            return BitMap()
        stream = (int(entry["multi_page"]), int(entry["multi_pages"]))
        if entry["form"] == DAY_BITMAP:
            return self._bitmap(stream, None)
        users = self._list(entry, (int(entry["page"]), int(entry["pages"])))
        flags = self._owner.ints(stream, np.empty(len(users), np.uint8))
        return bitmap(users[flags != 0])

    def user_list(self, day: int) -> U32:
        """See :class:`days.Days`."""
        entry = self._table[day]
        if not entry["users"]:
            return np.empty(0, np.uint32)
        stream = (int(entry["page"]), int(entry["pages"]))
        if entry["form"] == DAY_BITMAP:
            return np.frombuffer(self._bitmap(stream, int(entry["users"])).to_array(), np.uint32)
        return self._list(entry, stream)

    def multi_list(self, day: int) -> U32:
        """See :class:`days.Days`."""
        entry = self._table[day]
        if not entry["users"]:
            return np.empty(0, np.uint32)
        stream = (int(entry["multi_page"]), int(entry["multi_pages"]))
        if entry["form"] == DAY_BITMAP:
            return np.frombuffer(self._bitmap(stream, None).to_array(), np.uint32)
        users = self._list(entry, (int(entry["page"]), int(entry["pages"])))
        flags: U8 = self._owner.ints(stream, np.empty(len(users), np.uint8))
        twice: U32 = users[flags != 0]
        return twice

    def _list(self, entry: Any, stream: Stream) -> U32:
        if entry["form"] != DAY_LIST:
            raise self._owner.damage("a day of an unknown form", stream)
        users: U32 = self._owner.ints(stream, np.empty(int(entry["users"]), np.uint32))
        return users

    def _bitmap(self, stream: Stream, users: int | None) -> BitMap:
        try:
            found: BitMap = BitMap.deserialize(self._owner.blob(stream))
        except (ValueError, IndexError, MemoryError) as error:
            raise self._owner.damage(f"a bitmap cannot be read: {error}", stream) from error
        if users is not None and len(found) != users:
            raise self._owner.damage("a bitmap has another number of users than its day", stream)
        return found
