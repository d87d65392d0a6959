"""SegmentFile: the mapped file of a segment: its footer, its pages, and what is decoded of it.

Decodes what is asked for into new arrays; nothing handed out points into the map. Dictionaries are
decoded once. Checksums are checked at the first read of a page and remembered for the life of the
mapping. It knows nothing of the :class:`zuji.engine.storage.segment.Segment` and the runs that read
it: they hold it and nothing holds them, so a segment that was merged goes, mapping and all, with
its last reader and needs no garbage collector. Damage raises ``Corruption`` with the file and the
offset. Immutable and thread-safe: caches are filled idempotently. Format:
``docs/format/segment.md``.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from zuji.engine.errors import Corruption
from zuji.engine.storage.cache import serials
from zuji.engine.storage.codecs import (
    CodecError,
    decode_bytes,
    decode_floats,
    decode_ints,
    decode_part,
)
from zuji.engine.storage.days import bitmap
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.storage.format import (
    DAY_BITMAP,
    DAY_DTYPE,
    DAY_LIST,
    Footer,
    Stream,
    read_footer,
)
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.storage.cache import ColumnCache
    from zuji.engine.storage.files import Files
    from zuji.engine.types import I64, U8, U32


class SegmentFile:
    """One mapped segment file."""

    def __init__(self, files: Files, path: str) -> None:
        """Maps and checks header, footer and page table.

        Raises:
            Corruption, UnsupportedFormat, NotFound.
        """
        self.path = path
        self._view = files.map(path)
        footer, self._pages = read_footer(self._view, path)
        self.footer: Footer = footer
        self._verified: U8 = np.zeros(len(self._pages), np.uint8)
        self._kinds = [Kind(prop.kind) for prop in footer.props]
        self._props = {prop.name: i for i, prop in enumerate(footer.props)}
        self._dictionaries: dict[str, Dictionary] = {}
        self.serial = next(serials)
        self.cache: ColumnCache | None = None
        self.day_edges: I64 = np.array(footer.day_edges, np.int64)
        """Edges of the partition's local days, int64[n+1] ms UTC."""
        self.day_edges.flags.writeable = False
        self._day_table: np.ndarray[Any, Any] | None = None
        self._ends: I64 | None = None
        self._ones: dict[int, int] = {}
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Numbers of the footer must fit each other, so that no array is sized by a wrong one."""
        footer = self.footer
        rows = sum(run.rows for run in footer.runs)
        good = (
            rows == footer.rows
            and len({run.event for run in footer.runs}) == len(footer.runs)
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

    @property
    def nbytes(self) -> int:
        """Bytes of the file."""
        return len(self._view)

    def keep_in(self, cache: ColumnCache) -> None:
        """Lets queries keep what they decode. Idempotent."""
        if self.cache is cache or not cache.budget:
            return
        weakref.finalize(self, cache.gone, self.serial)
        self.cache = cache

    def close(self) -> None:
        """Forgets the mapping; it ends when nothing reads it any more."""
        self._view = memoryview(b"")
        self._dictionaries.clear()
        if self.cache is not None:
            self.cache.forget(self.serial)

    def unverified(self) -> None:
        """Checks every checksum again when it is read next."""
        self._verified[:] = 0

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

    def stored_days(self, first: int) -> StoredDays:
        """The day index that starts at a row of the day table."""
        return StoredDays(self, self.day_table(first), self.day_edges)

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

    def between(self, stream: Stream, start: int, end: int, dtype: Any) -> Any:
        """Values [start, end) of a stream of numbers, without decoding all others.

        Raises Corruption: also when the stream is shorter.
        """
        first, last = self._bounds(stream)
        if end <= start:
            return np.empty(0, dtype)
        ends = self._row_ends()[first : last + 1]  # of the page before the stream, and of its own
        low, high = int(ends[0]) + start, int(ends[0]) + end
        if high > ends[-1]:
            raise self.damage("a stream is shorter than its rows", stream)
        at = int(ends.searchsorted(low, "right"))
        parts = []
        while low < high:
            before, stop = int(ends[at - 1]), min(high, int(ends[at]))
            page = first + at - 1
            try:
                part = decode_part(
                    self._view,
                    self._pages,
                    page,
                    low - before,
                    stop - before,
                    dtype,
                    verify=self._verified,
                )
            except (CodecError, ValueError) as error:
                raise self._located(error, 0 if isinstance(error, CodecError) else page) from error
            parts.append(part)
            low = stop
            at += 1
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def ones(self, stream: Stream, end: int) -> int:
        """How many of the first ``end`` values of a stream of 0 and 1 are 1. Whole pages are
        counted once and the count is kept. Raises Corruption.
        """
        first, last = self._bounds(stream)
        ends = self._row_ends()
        limit, found, page = int(ends[first]) + end, 0, first
        while page < last and ends[page + 1] <= limit:
            count = self._ones.get(page)
            if count is None:
                rows = int(self._pages["rows"][page])
                flags = self.ints((page, 1), np.empty(rows, np.uint8))
                count = self._ones[page] = int(np.count_nonzero(flags))
            found += count
            page += 1
        start = int(ends[page]) - int(ends[first])
        return found + int(np.count_nonzero(self.between(stream, start, end, np.uint8)))

    def _row_ends(self) -> I64:
        """Rows of all pages before each, and of all."""
        if self._ends is None:
            self._ends = np.zeros(len(self._pages) + 1, np.int64)
            np.cumsum(self._pages["rows"], out=self._ends[1:])
        return self._ends

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


class StoredDays:
    """Day index read from a segment, day by day."""

    __slots__ = ("_owner", "_table", "cards", "edges", "rows")

    def __init__(self, owner: SegmentFile, table: np.ndarray[Any, Any], edges: I64) -> None:
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
