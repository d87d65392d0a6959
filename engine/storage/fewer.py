"""Fewer: a source without some of its rows, read forwards to be written anew: erasure, time to
live, users whose rows belong to somebody else by now.

A row that is left out leaves nothing behind: properties that only such rows have are none of the
run's, and strings that only they use are not in the dictionary. Which rows: those of users, or
all of an event. Cursors skip them as they go along, so that what is held is the positions of the
rows that go (8 bytes each) and what :mod:`cursors` holds; finding the strings in use reads each
column of codes once more. Queries read :mod:`without`. Used by one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import numpy as np

from zuji.engine.storage import cursors, point
from zuji.engine.storage.cursors import Cells, Keys, Receipts, Users
from zuji.engine.storage.dictionary import Dictionary, as_dictionary
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import I64, U8, U16, U32, U64

BLOCK: Final = 1 << 17
"""Values that are read at once where some are skipped."""
FEW_USERS: Final = 64
"""Of so many users a run is asked for each by itself, by its pages; of more, its list is read."""
_DROPPED: Final = 0xFFFF
_NONE: I64 = np.empty(0, np.int64)


class Cursor(Protocol):
    """Gives the next values of a stream."""

    def read(self, out: Any) -> None:
        """Fills ``out``."""


class Fewer:
    """A source without the rows of ``users`` (ordinals, ascending) and the runs of ``events``."""

    def __init__(
        self, source: Source, users: U32 | None = None, events: Collection[str] = ()
    ) -> None:
        self.source = source
        self.shard = source.shard
        self.partition = source.partition
        self.base_ms = source.base_ms
        self.end_ms = source.end_ms
        self.rank = source.rank
        self.runs: dict[str, FewerRun] = {}
        for name, run in source.runs.items():
            if name in events:
                continue
            gone = _NONE if users is None or not len(users) else positions(run, users)
            if len(gone) < run.rows:
                self.runs[name] = FewerRun(self, run, gone)
        self.rows = sum(run.rows for run in self.runs.values())
        self._strings: dict[str, tuple[Dictionary, U32 | None]] = {}

    @property
    def dropped(self) -> int:
        """Rows that are left out."""
        return self.source.rows - self.rows

    def dictionary(self, prop: str) -> Dictionary | None:
        """Strings of a property that its rows use."""
        if self.source.dictionary(prop) is None:
            return None
        if not any(prop in run.props for run in self.runs.values()):
            return None
        return self.strings(prop)[0]

    def strings(self, prop: str) -> tuple[Dictionary, U32 | None]:
        """The same, and uint32 stored code → code in it; None when nothing changes."""
        found = self._strings.get(prop)
        if found is None:
            stored = as_dictionary(self.source.dictionary(prop))
            used = np.zeros(len(stored), np.uint8)
            for run in self.runs.values():
                if prop in run.props:
                    run.mark_used(prop, used)
            if used.all():
                found = stored, None
            else:
                kept = np.flatnonzero(used).astype(np.uint32)
                lut = np.zeros(len(stored), np.uint32)
                lut[kept] = np.arange(len(kept), dtype=np.uint32)
                found = stored.pick(kept), lut
            self._strings[prop] = found
        return found


class FewerRun:
    """One event of it; the part of :class:`~zuji.engine.storage.source.Run` that merging reads."""

    def __init__(self, owner: Fewer, run: Run, gone: I64) -> None:
        self.owner = owner
        self.run = run
        self.gone = gone
        self.event = run.event
        self.rows = run.rows - len(gone)
        self.base_ms = run.base_ms
        self.received_at = run.received_at
        self._gone_values: dict[str, I64] = {}
        self._props: dict[str, Kind] | None = None

    @property
    def props(self) -> Mapping[str, Kind]:
        """Properties that a row that is left has."""
        if self._props is None:
            self._props = {
                name: kind for name, kind in self.run.props.items() if self.values_of(name)
            }
        return self._props

    def values_of(self, name: str) -> int:
        """Number of values that are left."""
        return self.run.presence_count(name) - len(self.gone_values(name))

    def gone_values(self, name: str) -> I64:
        """Positions, among the values of a property, of those of the rows that go."""
        if not len(self.gone):
            return _NONE
        found = self._gone_values.get(name)
        if found is None:
            presence = Cells(self.run, name).presence
            found = self.gone if presence is None else _ranks(presence, self.run.rows, self.gone)
            self._gone_values[name] = found
        return found

    def mark_used(self, name: str, used: U8) -> None:
        """Sets ``used`` at every code that a value which is left has."""
        cells = self.cells(name, relabelled=False)
        count = self.values_of(name)
        if self.run.props[name] == Kind.LIST:
            items = 0
            for at in range(0, count, BLOCK):
                lengths = np.empty(min(BLOCK, count - at), np.uint32)
                cells.lengths(lengths)
                items += int(lengths.sum(dtype=np.int64))
            count = items
        codes = np.empty(min(count, BLOCK), np.uint32)
        for at in range(0, count, BLOCK):
            some = codes[: min(BLOCK, count - at)]
            cells.values.read(some)
            used[some] = 1

    def cells(self, name: str, *, relabelled: bool = True) -> Cells:
        """The property's presence and values."""
        cells: Any = Cells(self.run, name)
        kind = self.run.props[name]
        gone = self.gone_values(name)
        items = gone
        if kind == Kind.LIST and len(gone):
            total = self.run.presence_count(name)
            items = _items(Cells(self.run, name), total, gone)
            cells.offsets = _Ends(Cells(self.run, name), gone)
        dtype = np.dtype(DTYPES[kind])
        cells.values = Skipping(cells.values, items, dtype)
        if cells.presence is not None:
            full = self.values_of(name) == self.rows
            cells.presence = None if full else Skipping(cells.presence, self.gone, np.uint8)
        if relabelled and kind in (Kind.STRING, Kind.LIST):
            lut = self.owner.strings(name)[1]
            if lut is not None:
                cells.values = _Relabelled(cells.values, lut)
        return cast("Cells", cells)


class Skipping:
    """The values of a cursor but for those at ``gone``, positions in ascending order."""

    def __init__(self, cursor: Cursor, gone: I64, dtype: Any) -> None:
        self._cursor = cursor
        self._gone = gone
        self._dtype = dtype
        self._at = 0

    def read(self, out: Any) -> None:
        """Fills ``out`` with the next values."""
        if not len(self._gone):
            self._cursor.read(out)
            return
        done = 0
        while done < len(out):
            size = min(len(out) - done, BLOCK)
            some = np.empty(size, self._dtype)
            self._cursor.read(some)
            kept = _without(some, self._gone, self._at)
            out[done : done + len(kept)] = kept
            done += len(kept)
            self._at += size


class _Ends:
    """Ends of lists, counted over those that are left."""

    def __init__(self, cells: Cells, gone: I64) -> None:
        self._lengths = Skipping(_Lengths(cells), gone, np.uint32)
        self._end = 0

    def read(self, out: U32) -> None:
        self._lengths.read(out)
        np.cumsum(out, out=out)
        out += np.uint32(self._end)
        if len(out):
            self._end = int(out[-1])


class _Lengths:
    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def read(self, out: U32) -> None:
        self._cells.lengths(out)


class _Relabelled:
    def __init__(self, cursor: Cursor, lut: U32) -> None:
        self._cursor = cursor
        self._lut = lut

    def read(self, out: U32) -> None:
        self._cursor.read(out)
        out[:] = self._lut[out]


class _FewerKeys:
    """:class:`Keys` of the rows that are left."""

    def __init__(self, source: Fewer, place: dict[str, int]) -> None:
        stored = source.source.runs
        there = {name: place[name] if name in source.runs else _DROPPED for name in stored}
        self._keys = Keys(source.source, there)
        self._gone = {place[name]: run.gone for name, run in source.runs.items() if len(run.gone)}
        self._at = dict.fromkeys(self._gone, 0)
        self.left = source.rows

    def read(self, rows: int) -> tuple[U64, U16]:
        """The next rows, at most so many; none only at the end."""
        while True:
            keys, codes = self._keys.read(rows)
            keep = codes != _DROPPED
            for code, gone in self._gone.items():
                mine = np.flatnonzero(codes == code)
                at = self._at[code]
                low, high = np.searchsorted(gone, (at, at + len(mine)))
                keep[mine[gone[low:high] - at]] = False
                self._at[code] += len(mine)
            kept = int(np.count_nonzero(keep))
            if kept or not self._keys.left:
                self.left -= kept
                return keys[keep], codes[keep]


def positions(run: Run, users: U32) -> I64:
    """Rows of a run that belong to some users (ordinals, ascending): int64, ascending."""
    if len(users) <= FEW_USERS:
        spans = [point.rows_of_user(run, int(user)) for user in users]
        found = np.array(spans, np.int64).reshape(-1, 2)
        return _spans(found[:, 0], found[:, 1])
    there, offsets = run.users()
    at = np.flatnonzero(np.isin(there, users, assume_unique=True))
    return _spans(offsets[at].astype(np.int64), offsets[at + 1].astype(np.int64))


def has_any(source: Source, users: U32) -> bool:
    """Whether a source has a row of one of the users. O(runs · users · log) for few users."""
    return any(len(positions(run, users)) for run in source.runs.values())


def _spans(starts: I64, ends: I64) -> I64:
    """All numbers of the spans [start, end), which ascend."""
    lengths = ends - starts
    total = int(lengths.sum())
    before = np.cumsum(lengths) - lengths
    found: I64 = np.arange(total, dtype=np.int64) + np.repeat(starts - before, lengths)
    return found


def _without(values: Any, gone: I64, at: int) -> Any:
    """``values``, the first of which is number ``at``, but for those that go."""
    low, high = np.searchsorted(gone, (at, at + len(values)))
    return values if low == high else np.delete(values, gone[low:high] - at)


def _ranks(presence: Cursor, rows: int, gone: I64) -> I64:
    """Of the rows that go and have a value: the value's number."""
    found = []
    before = 0
    for at in range(0, rows, BLOCK):
        flags = np.empty(min(BLOCK, rows - at), np.uint8)
        presence.read(flags)
        upto = np.cumsum(flags != 0)
        low, high = np.searchsorted(gone, (at, at + len(flags)))
        mine = gone[low:high] - at
        mine = mine[flags[mine] != 0]
        found.append(before + upto[mine] - 1)
        before += int(upto[-1])
    return np.concatenate(found).astype(np.int64) if found else _NONE


def _items(cells: Cells, count: int, gone: I64) -> I64:
    """Items of the lists that go."""
    found = []
    base = 0
    for at in range(0, count, BLOCK):
        lengths = np.empty(min(BLOCK, count - at), np.uint32)
        cells.lengths(lengths)
        ends = base + np.cumsum(lengths, dtype=np.int64)
        low, high = np.searchsorted(gone, (at, at + len(lengths)))
        mine = gone[low:high] - at
        found.append(_spans(ends[mine] - lengths[mine], ends[mine]))
        base = int(ends[-1])
    return np.concatenate(found) if found else _NONE


# -- cursors over a run or source, whether it has all rows or fewer --------------------------------


def users_of(run: Run | FewerRun) -> Cursor:
    """The user of each row."""
    if isinstance(run, FewerRun):
        return Skipping(Users(run.run), run.gone, np.uint32)
    return Users(run)


def times_of(run: Run | FewerRun) -> Cursor:
    """Times, uint32 ms after the base."""
    if isinstance(run, FewerRun):
        return Skipping(cursors.times(run.run), run.gone, np.uint32)
    return cursors.times(run)


def receipts_of(run: Run | FewerRun) -> Cursor:
    """When rows were received, ms UTC."""
    if isinstance(run, FewerRun):
        return Skipping(Receipts(run.run), run.gone, np.int64)
    return Receipts(run)


def cells_of(run: Run | FewerRun, name: str) -> Cells:
    """One property."""
    return run.cells(name) if isinstance(run, FewerRun) else Cells(run, name)


def keys_of(source: Source | Fewer, place: dict[str, int]) -> Keys | _FewerKeys:
    """Keys and event codes in user order."""
    return _FewerKeys(source, place) if isinstance(source, Fewer) else Keys(source, place)
