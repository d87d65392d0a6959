"""Reading sources forwards, a part at a time: keys in user order and columns, for merges.

A cursor over a stream of a segment holds one decoded page of it; over a source in memory it walks
the array that the source gives. So what a merge holds of its sources grows with their runs, not
with their rows: at most 1 MiB for each run of each source, less where a run is shorter than a page.
Damage raises ``Corruption``, as reading whole columns does. Used by one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.storage._merging import expand_some
from zuji.engine.storage._rows import user_keys
from zuji.engine.storage.format import RECEIVED_FEW, RECEIVED_ONE
from zuji.engine.storage.frame import DTYPES
from zuji.engine.storage.segment import Segment, SegmentRun
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.storage.format import Stream
    from zuji.engine.storage.segment_file import SegmentFile
    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import I64, U8, U16, U32, U64

USERS = 1 << 14
"""Users of a run that are read at once."""
DISAGREE = "users do not add up to the rows"


class Pages:
    """Values of an integer or float stream of a segment."""

    def __init__(self, segment: SegmentFile, stream: Stream, dtype: Any, unit: int = 1) -> None:
        self._segment = segment
        self._stream = stream
        self._unit = unit
        first, pages = stream
        self._sizes: list[int] = segment.page_table()["rows"][first : first + pages].tolist()
        self._next = 0  # page
        self._dtype = np.dtype(dtype)
        self._held: Any = None  # values of the page before, from _at on
        self._at = 0

    def read(self, out: Any) -> None:
        """Fills ``out`` with the next values."""
        done, size = 0, len(out)
        while done < size:
            if self._held is not None:
                part = self._held[self._at : self._at + size - done]
                out[done : done + len(part)] = part
                done += len(part)
                self._at += len(part)
                if self._at == len(self._held):
                    self._held = None
                continue
            end, rows = self._next, 0
            while end < len(self._sizes) and done + rows + self._sizes[end] <= size:
                rows += self._sizes[end]
                end += 1
            if rows:
                self._decode(end - self._next, out[done : done + rows])
                done += rows
            elif self._next < len(self._sizes):
                self._held, self._at = np.empty(self._sizes[self._next], self._dtype), 0
                self._decode(1, self._held)
            else:
                raise self._segment.damage("a stream has too few values", self._stream)

    def _decode(self, pages: int, out: Any) -> None:
        read = self._segment.floats if self._dtype == np.float64 else self._segment.ints
        read((self._stream[0] + self._next, pages), out)
        if self._unit != 1:
            out *= self._dtype.type(self._unit)
        self._next += pages


class Held:
    """Values of an array."""

    def __init__(self, values: Any) -> None:
        self._values = values
        self._at = 0

    def read(self, out: Any) -> None:
        """Fills ``out`` with the next values."""
        out[:] = self._values[self._at : self._at + len(out)]
        self._at += len(out)


class Users:
    """The user of each row of a run."""

    def __init__(self, run: Run) -> None:
        self._left = run.user_count
        self._rows = run.rows
        self._users: Pages | Held
        self._ends: Pages | Held
        self._damage: Callable[[str], Exception] = ValueError
        if isinstance(run, SegmentRun):
            meta, segment = run.meta, run.owner
            self._users = Pages(segment, meta.user_list, np.uint32)
            self._ends = Pages(segment, meta.offsets, np.uint32)
            self._damage = lambda message: segment.damage(message, meta.offsets)
        else:
            users, offsets = run.users()
            self._users, self._ends = Held(users), Held(offsets)
        first = np.empty(1, np.uint32)
        self._ends.read(first)
        if first[0]:
            raise self._damage(DISAGREE)
        self._some: U32 = first[:0]
        self._upto: U32 = first[:0]
        self._at = self._row = 0

    def read(self, out: U32) -> None:
        """Fills ``out`` with the users of the next rows."""
        done = 0
        while done < len(out):
            if self._at == len(self._some) and not self._load():
                raise self._damage(DISAGREE)
            try:
                more, self._at, self._row = expand_some(
                    self._some, self._upto, self._at, self._row, out[done:]
                )
            except ValueError:
                raise self._damage(DISAGREE) from None
            done += more
        if self._row == self._rows and not self._left and self._at < len(self._some):
            raise self._damage(DISAGREE)

    def _load(self) -> bool:
        size = min(USERS, self._left)
        self._some, self._upto = np.empty(size, np.uint32), np.empty(size, np.uint32)
        self._users.read(self._some)
        self._ends.read(self._upto)
        self._left -= size
        self._at = 0
        return size > 0


def times(run: Run) -> Pages | Held:
    """Cursor over the times of a run, uint32 ms after the base."""
    if isinstance(run, SegmentRun):
        return Pages(run.owner, run.meta.times, np.uint32, run.meta.time_unit)
    return Held(run.times())


class Keys:
    """Keys ``ordinal << 32 | time`` and event codes of a source in user order."""

    def __init__(self, source: Source, place: dict[str, int]) -> None:
        self._codes: Pages | Held
        if isinstance(source, Segment):
            self._codes = Pages(source.file, source.footer.interleave, np.uint16)
            names = list(source.runs)
        else:
            codes, names = source.interleave()
            self._codes = Held(codes)
        self._events = np.array([place[name] for name in names] or [0], np.uint16)
        self._runs = [(Users(source.runs[name]), times(source.runs[name])) for name in names]
        self._counts = [source.runs[name].rows for name in names]
        self._source = source
        self.left = source.rows

    def read(self, rows: int) -> tuple[U64, U16]:
        """The next rows, at most so many."""
        rows = min(rows, self.left)
        self.left -= rows
        codes = np.empty(rows, np.uint16)
        self._codes.read(codes)
        counts = np.bincount(codes, minlength=len(self._runs))
        if len(counts) > len(self._runs):
            raise self._disagree()
        starts = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=starts[1:])
        ordinal, time = np.empty(rows, np.uint32), np.empty(rows, np.uint32)
        cuts = starts.tolist()
        for i, (users, stamps) in enumerate(self._runs):
            a, b = cuts[i], cuts[i + 1]
            if a == b:
                continue
            self._counts[i] -= b - a
            if self._counts[i] < 0:
                raise self._disagree()
            users.read(ordinal[a:b])
            stamps.read(time[a:b])
        keys = np.empty(rows, np.uint64)
        user_keys(codes, ordinal, time, starts, keys)
        return keys, self._events[codes]

    def _disagree(self) -> Exception:
        message = "the interleave does not agree with the runs"
        if isinstance(self._source, Segment):
            return self._source.file.damage(message, self._source.footer.interleave)
        return ValueError(message)


class Receipts:
    """When the rows of a run were received, ms UTC."""

    def __init__(self, run: Run) -> None:
        self._base = 0
        self._few: I64 | None = None
        self._fixed: int | None = None
        self._times: Pages | Held | None = None
        if not isinstance(run, SegmentRun):
            self._values: Pages | Held = Held(run.received())
            return
        segment, stored = run.owner, run.meta.received
        if stored.mode == RECEIVED_ONE:
            self._fixed = stored.value
        elif stored.mode == RECEIVED_FEW:
            first, pages = stored.values
            size = int(segment.page_table()["rows"][first : first + pages].sum())
            self._few = segment.ints(stored.values, np.empty(size, np.int64))
            if segment.top(stored.codes) >= size:
                raise segment.damage("a code is outside the list of receive times", stored.codes)
            self._values = Pages(segment, stored.codes, np.uint32)
        else:
            self._values = Pages(segment, stored.codes, np.int64)
            self._times, self._base = times(run), run.base_ms

    def read(self, out: I64) -> None:
        """Fills ``out`` with the next ones."""
        if self._fixed is not None:
            out[:] = self._fixed
        elif self._few is not None:
            codes = np.empty(len(out), np.uint32)
            self._values.read(codes)
            np.take(self._few, codes, out=out)
        else:
            self._values.read(out)
            if self._times is not None:
                time = np.empty(len(out), np.uint32)
                self._times.read(time)
                out += time
                out += self._base


class Cells:
    """One property of one run: presence and values. ``presence`` is None when every row has one."""

    def __init__(self, run: Run, name: str) -> None:
        self.kind = run.props[name]
        self.presence: Pages | Held | None = None
        self.offsets: Pages | Held | None = None
        self.values: Pages | Held
        self.damage: Callable[[str], Exception] = ValueError
        self._end = 0
        if not isinstance(run, SegmentRun):
            packed = run.packed(name)
            assert packed is not None
            self.values = Held(packed.values)
            if packed.present is not None:
                self.presence = Held(packed.present)
            if packed.offsets is not None:
                self.offsets = Held(packed.offsets)
        else:
            segment, meta = run.owner, run.column_meta(name)
            assert meta is not None
            stream = meta.offsets if self.kind == Kind.LIST else meta.values
            self.damage = lambda message: segment.damage(message, stream)
            self.values = Pages(segment, meta.values, DTYPES[self.kind], meta.unit)
            if meta.presence[1]:
                self.presence = Pages(segment, meta.presence, np.uint8)
            if self.kind == Kind.LIST:
                self.offsets = Pages(segment, meta.offsets, np.uint32)
            if self.kind in (Kind.STRING, Kind.LIST):
                size = segment.footer.props[meta.prop].size
                if segment.top(meta.values) >= size:
                    raise segment.damage(
                        f"a code of {name!r} is outside its dictionary", meta.values
                    )
        if self.offsets is not None:
            first = np.empty(1, np.uint32)
            self.offsets.read(first)
            self._end = int(first[0])

    def lengths(self, out: U32) -> None:
        """Fills ``out`` with the lengths of the next lists."""
        assert self.offsets is not None
        if not len(out):
            return
        self.offsets.read(out)
        last = int(out[-1])
        if int(out[0]) < self._end or (out[1:] < out[:-1]).any():
            raise self.damage("lists do not add up to their items")
        out[1:] -= out[:-1].copy()
        out[0] -= np.uint32(self._end)
        self._end = last


def presence_of(cells: Cells | None, out: U8) -> None:
    """Fills ``out`` with the presence of the next rows; of a source without the property, zeros."""
    if cells is None:
        out[:] = 0
    elif cells.presence is None:
        out[:] = 1
    else:
        cells.presence.read(out)


def cuts_of(counts: Sequence[int]) -> I64:
    """Where each of several parts begins, and the end."""
    cuts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=cuts[1:])
    return cuts
