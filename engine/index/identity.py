"""Ids to users: which (shard, ordinal) an event belongs to, and back.

An event is stored under the id that it came with: with a ``user_id`` under that customer, with only
a ``device_id`` under the device. Whose it is, :mod:`links` know, and :mod:`resolved` sees to it
that queries find it there.

A key is ``u`` + user id or ``d`` + device id (UTF-8). The shard is the low bits of a salted hash of
the key. Ordinals are dense in a shard, in the order of first arrival. Files:
``docs/format/ids.md``. Thread-safety: the writer's lock guards :meth:`resolve`; :meth:`external`
may run beside it (tables only grow).
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.index._keys import KeyTable, find_keys, resolve_keys
from zuji.engine.index._strings import stable_hash64
from zuji.engine.index.erased import Erased
from zuji.engine.index.id_files import read_ids, write_ids
from zuji.engine.storage import names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.index.erased import Ordinals
    from zuji.engine.storage.files import Files
    from zuji.engine.types import I64, U8, U16, U32

    Resolved = Callable[[U8, I64, U16, U32], None]

IdChunk = tuple[str, int, int]
"""File name in the project, first ordinal, number of ids."""
_LOAD_THREADS = 2
MOST_IDS = 1_000_000
"""Of one chunk: who loads it has its ids unpacked in memory beside the table."""
_USER = ord("u")


def _nothing(data: U8, offsets: I64, shard: U16, ordinal: U32) -> None:
    """Nobody wants to know."""


class Identity:
    """The id index of a project: one native hash table a shard."""

    def __init__(
        self,
        files: Files,
        root: str,
        shards: int,
        salt: int,
        chunks: Sequence[Sequence[IdChunk]],
        erased: Erased | None = None,
    ) -> None:
        self.shards = shards
        self.erased = erased or Erased(shards)
        self.epoch = 0
        """Changes when ids that were resolved before may be other users now."""
        self.resolved: Resolved = _nothing
        """Called with keys and the users that they were resolved to, some of them new."""
        self._files = files
        self._root = root
        self._salt = salt
        self._chunks = [list(c) for c in chunks] or [[] for _ in range(shards)]
        self._tables: list[KeyTable] | None = None
        self._saved = [sum(c[2] for c in chunk) for chunk in self._chunks]
        self._load_lock = threading.Lock()

    def counts(self) -> list[int]:
        """Number of users in each shard."""
        if self._tables is None:
            return list(self._saved)
        return [len(t) for t in self._tables]

    def tables(self) -> list[KeyTable]:
        """The hash tables, loaded from their files at first use (7 to 10 M ids a CPU-second)."""
        if self._tables is None:
            with self._load_lock:
                if self._tables is None:
                    self._tables = self._load()
        return self._tables

    def _load(self) -> list[KeyTable]:
        with ThreadPoolExecutor(_LOAD_THREADS, thread_name_prefix="zuji-ids") as pool:
            return list(pool.map(self._load_shard, range(self.shards)))

    def _load_shard(self, shard: int) -> KeyTable:
        table = KeyTable(salt=self._salt)
        table.expect(self._saved[shard])
        for name, first, count in self._chunks[shard]:
            path = names.path(self._root, name)
            data, offsets = read_ids(self._files, path, shard, first, count)
            table.append_bulk(*self.blanked(shard, first, data, offsets))
        return table

    def blanked(self, shard: int, first: int, data: U8, offsets: I64) -> tuple[U8, I64]:
        """A chunk whose erased ids are empty. ``first``: ordinal of its first id."""
        gone = self.erased.among(shard, first, first + len(offsets) - 1)
        if not len(gone):
            return data, offsets
        lengths = np.diff(offsets)
        keep = np.ones(len(lengths), np.bool_)
        keep[gone - first] = False
        left = data[offsets[0] : offsets[-1]][np.repeat(keep, lengths)]
        bounds = np.zeros(len(offsets), np.int64)
        np.cumsum(np.where(keep, lengths, 0), out=bounds[1:])
        return np.ascontiguousarray(left), bounds

    def erase(self, ordinals: Ordinals, applied: int = 0) -> None:
        """Makes ordinals nobody's: their ids are not known any more, and who comes with one of
        them is a new user. ``applied``: see :class:`Erased`. REQUIRES: the writer's lock.
        """
        tables = self.tables()
        for shard, mine in ordinals.items():
            tables[shard].blank(np.ascontiguousarray(mine, np.uint32))
        self.erased.add(ordinals, applied)
        self.epoch += 1

    def resolve(self, data: U8, offsets: I64) -> tuple[U16, U32]:
        """Shard and ordinal of each key (``u…`` or ``d…`` bytes, concatenated), new users added.

        ``data`` uint8[total], ``offsets`` int64[n+1] → uint16[n], uint32[n]. O(n).
        """
        return resolve_keys(self.tables(), data, offsets)

    def find(self, key: bytes) -> tuple[int, int] | None:
        """Shard and ordinal of one key, None when unknown."""
        shard = stable_hash64(key, self._salt) & (self.shards - 1)
        ordinal = self.tables()[shard].find(key)
        return None if ordinal < 0 else (shard, int(ordinal))

    def look_up(self, data: U8, offsets: I64) -> tuple[I64, I64]:
        """Shards and ordinals of keys (end to end, int64[n+1]), -1 where unknown. O(bytes)."""
        shards, ordinals = find_keys(self.tables(), data, offsets)
        found: I64 = shards.astype(np.int64)
        found[ordinals < 0] = -1
        return found, ordinals

    def external(self, shard: int, ordinals: U32) -> list[tuple[str | None, str | None]]:
        """(user_id, device_id) of each ordinal; one of the two is None, both of an erased one."""
        data, offsets = self.tables()[shard].gather(np.ascontiguousarray(ordinals, np.uint32))
        raw, cuts = data.tobytes(), offsets.tolist()
        found: list[tuple[str | None, str | None]] = []
        for start, end in pairwise(cuts):
            if start == end or not raw[start]:
                found.append((None, None))
                continue
            text = raw[start + 1 : end].decode()
            found.append((text, None) if raw[start] == _USER else (None, text))
        return found

    def is_saved(self, shard: int, ordinal: int) -> bool:
        """Whether the manifest names the id of an ordinal."""
        return ordinal < self._saved[shard]

    def unsaved(self) -> list[int]:
        """Number of users in each shard, to be handed to :meth:`save` later (a freeze point)."""
        return self.counts()

    def take(
        self, upto: Sequence[int], after: Sequence[int] | None = None
    ) -> list[tuple[int, int, U8, I64]]:
        """The ids added since the last save (``after``: behind so many users a shard), up to
        ``upto`` users a shard: (shard, first, data, offsets).
        """
        taken = []
        for shard, table in enumerate(self.tables()):
            first, last = (self._saved if after is None else after)[shard], upto[shard]
            if last > first:
                data, offsets = table.dump(first, last)
                taken.append((shard, first, data, offsets))
        return taken

    def save(
        self,
        taken: Sequence[tuple[int, int, U8, I64]],
        new_name: Callable[[], str],
        beside: Sequence[Sequence[IdChunk]] | None = None,
    ) -> list[list[IdChunk]]:
        """Writes what :meth:`take` gave; returns all chunks that the manifest shall name, those of
        ``beside`` (what an earlier call gave) among them.

        Nothing is forgotten when the manifest commit that follows fails: :meth:`saved` confirms.
        """
        chunks = [list(c) for c in (self._chunks if beside is None else beside)]
        for shard, first, data, offsets in taken:
            for start in range(0, len(offsets) - 1, MOST_IDS):
                some = offsets[start : start + MOST_IDS + 1]
                name = new_name()
                path = names.path(self._root, name)
                write_ids(self._files, path, shard, first + start, data, some)
                chunks[shard].append((name, first + start, len(some) - 1))
        return chunks

    def saved(self, chunks: Sequence[Sequence[IdChunk]]) -> None:
        """Confirms that the manifest names ``chunks``."""
        self._chunks = [list(c) for c in chunks]
        self._saved = [sum(c[2] for c in chunk) for chunk in self._chunks]

    def rewritten(
        self, ordinals: Ordinals, new_name: Callable[[], str]
    ) -> tuple[list[list[IdChunk]], list[str]]:
        """Writes anew the chunks that hold the id of an erased ordinal; all chunks that the
        manifest shall name, and the names of those that it shall name no more. :meth:`saved`
        confirms. O(ids of their chunks).
        """
        chunks = [list(c) for c in self._chunks]
        gone = []
        for shard, mine in ordinals.items():
            for place, (name, first, count) in enumerate(chunks[shard]):
                low, high = np.searchsorted(mine, (first, first + count))
                if low == high:
                    continue
                path = names.path(self._root, name)
                data, offsets = read_ids(self._files, path, shard, first, count)
                data, offsets = self.blanked(shard, first, data, offsets)
                fresh = new_name()
                path = names.path(self._root, fresh)
                write_ids(self._files, path, shard, first, data, offsets)
                chunks[shard][place] = (fresh, first, count)
                gone.append(name)
        return chunks, gone

    @property
    def nbytes(self) -> int:
        """Resident bytes of the loaded tables."""
        return sum(t.nbytes for t in self._tables) if self._tables else 0


def gather_bytes(data: U8, offsets: I64, rows: I64) -> tuple[U8, I64]:
    """The byte strings ``rows`` of a concatenated array, concatenated again. O(bytes)."""
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    bounds = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=bounds[1:])
    total = int(bounds[-1])
    index = np.arange(total, dtype=np.int64) + np.repeat(starts - bounds[:-1], lengths)
    return np.ascontiguousarray(data[index]), bounds
