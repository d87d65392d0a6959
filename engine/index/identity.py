"""Ids to users: which (shard, ordinal) an event belongs to, and back.

Today one id is one user: an event with a ``user_id`` belongs to that customer, an event with only a
``device_id`` to that device's own user; the raw device id is kept with the event. Late links (an
anonymous user turns out to be a customer) will be edges kept beside this index;
:attr:`Identity.pending` is the place of the bitmap of ordinals whose merge is not yet physical,
which queries take out of the main pass. It is empty for now, and every query asks for it.

A key is ``u`` + user id or ``d`` + device id (UTF-8). The shard is the low bits of a salted hash of
the key. Ordinals are dense in a shard, in the order of first arrival. Files:
``docs/format/ids.md``. Thread-safety: the writer's lock guards :meth:`resolve`; :meth:`external`
may run beside it (tables only grow).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.index._strings import StringTable, hash_bulk
from zuji.engine.index.id_files import read_ids, write_ids
from zuji.engine.storage import names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.storage.files import Files
    from zuji.engine.types import I64, U8, U16, U32

IdChunk = tuple[str, int, int]
"""File name in the project, first ordinal, number of ids."""


class Identity:
    """The id index of a project: one native hash table a shard."""

    def __init__(
        self,
        files: Files,
        root: str,
        shards: int,
        salt: int,
        chunks: Sequence[Sequence[IdChunk]],
    ) -> None:
        self.shards = shards
        self._files = files
        self._root = root
        self._salt = salt
        self._chunks = [list(c) for c in chunks] or [[] for _ in range(shards)]
        self._tables: list[StringTable] | None = None
        self._saved = [sum(c[2] for c in chunk) for chunk in self._chunks]
        self._load_lock = threading.Lock()

    @property
    def pending(self) -> dict[int, U32]:
        """Ordinals by shard whose users are merged logically, not yet physically: none so far."""
        return {}

    def counts(self) -> list[int]:
        """Number of users in each shard."""
        if self._tables is None:
            return list(self._saved)
        return [len(t) for t in self._tables]

    def tables(self) -> list[StringTable]:
        """The hash tables, loaded from their files at first use (≈5 M ids a second)."""
        if self._tables is None:
            with self._load_lock:
                if self._tables is None:
                    self._tables = self._load()
        return self._tables

    def _load(self) -> list[StringTable]:
        tables = []
        for shard in range(self.shards):
            table = StringTable(salt=self._salt)
            for name, first, count in self._chunks[shard]:
                data, offsets = read_ids(
                    self._files, names.path(self._root, name), shard, first, count
                )
                table.intern_bulk(data, offsets)
            tables.append(table)
        return tables

    def resolve(self, data: U8, offsets: I64) -> tuple[U16, U32]:
        """Shard and ordinal of each key (``u…`` or ``d…`` bytes, concatenated), new users added.

        ``data`` uint8[total], ``offsets`` int64[n+1] → uint16[n], uint32[n]. O(n).
        """
        tables = self.tables()
        hashes = hash_bulk(data, offsets, self._salt)
        shard = (hashes & np.uint64(self.shards - 1)).astype(np.uint16)
        ordinal = np.empty(len(shard), dtype=np.uint32)
        for s in range(self.shards):
            rows = np.flatnonzero(shard == s)
            if len(rows):
                part, bounds = gather_bytes(data, offsets, rows)
                ordinal[rows] = tables[s].intern_bulk(part, bounds)
        return shard, ordinal

    def find(self, key: bytes) -> tuple[int, int] | None:
        """Shard and ordinal of one key, None when unknown."""
        data = np.frombuffer(key, dtype=np.uint8)
        bounds = np.array([0, len(key)], dtype=np.int64)
        shard = int(hash_bulk(data, bounds, self._salt)[0]) & (self.shards - 1)
        ordinal = self.tables()[shard].find(key)
        return None if ordinal < 0 else (shard, int(ordinal))

    def external(self, shard: int, ordinals: U32) -> list[tuple[str | None, str | None]]:
        """(user_id, device_id) of each ordinal; one of the two is None."""
        table = self.tables()[shard]
        found: list[tuple[str | None, str | None]] = []
        for ordinal in ordinals:
            key = table.get(int(ordinal)).decode()
            found.append((key[1:], None) if key[0] == "u" else (None, key[1:]))
        return found

    def unsaved(self) -> list[int]:
        """Number of users in each shard, to be handed to :meth:`save` later (a freeze point)."""
        return self.counts()

    def take(self, upto: Sequence[int]) -> list[tuple[int, int, U8, I64]]:
        """The ids added since the last save, up to ``upto`` users a shard: (shard, first, data,
        offsets).
        """
        taken = []
        for shard, table in enumerate(self.tables()):
            first, last = self._saved[shard], upto[shard]
            if last > first:
                data, offsets = table.dump(first, last)
                taken.append((shard, first, data, offsets))
        return taken

    def save(
        self,
        taken: Sequence[tuple[int, int, U8, I64]],
        new_name: Callable[[], str],
    ) -> list[list[IdChunk]]:
        """Writes what :meth:`take` gave; returns all chunks that the manifest shall name.

        Nothing is forgotten when the manifest commit that follows fails: :meth:`saved` confirms.
        """
        chunks = [list(c) for c in self._chunks]
        for shard, first, data, offsets in taken:
            count = len(offsets) - 1
            name = new_name()
            write_ids(self._files, names.path(self._root, name), shard, first, data, offsets)
            chunks[shard].append((name, first, count))
        return chunks

    def saved(self, chunks: Sequence[Sequence[IdChunk]]) -> None:
        """Confirms that the manifest names ``chunks``."""
        self._chunks = [list(c) for c in chunks]
        self._saved = [sum(c[2] for c in chunk) for chunk in self._chunks]

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
