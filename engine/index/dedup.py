"""Which batches and events have been stored before: I2, "a batch sent twice is stored once".

Keys are 128-bit salted hashes of ``b`` + batch id or ``i`` + insert id. They live in two
generations of native hash sets: when the young one holds ``window`` keys it becomes the old one and
the old one is dropped. So a repeat is recognised if fewer than ``window`` keys came between (at
least; up to twice as many). Keys are written with each flush, so the window survives a restart; the
WAL brings back those after it. Files: ``docs/format/dedup.md``. Thread-safety: the writer's lock.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.errors import Corruption, UnsupportedFormat, ZujiError
from zuji.engine.index._hashset import Set128
from zuji.engine.index._strings import hash_bulk
from zuji.engine.storage import names
from zuji.engine.storage.codecs import crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.storage.files import Files
    from zuji.engine.types import I64, U8, U64

log = logging.getLogger(__name__)

MAGIC = b"ZUJIDUP1"
VERSION = 1
_HEADER = struct.Struct("<8sHHIQI")
"""magic, version, reserved, reserved, keys, CRC32C of the keys."""
DEFAULT_WINDOW_KEYS = 4_000_000

DedupFile = tuple[str, int, int]
"""File name in the project, generation, number of keys."""


@dataclass(slots=True)
class Frozen:
    """Keys taken at a freeze point, to be written by the flush: (generation, hi, lo) parts."""

    parts: list[tuple[int, U64, U64]] = field(default_factory=list)


class Dedup:
    """The window of keys seen."""

    def __init__(
        self,
        files: Files,
        root: str,
        salt: int,
        window: int,
        saved: Sequence[DedupFile],
        generation: int = 0,
    ) -> None:
        self._files = files
        self._root = root
        self._salt = salt
        self._window = window
        self._saved: list[DedupFile] = [tuple(s) for s in saved]  # type: ignore[misc]
        self._sets: dict[int, Set128] | None = None
        self.generation = generation or max([0, *[s[1] for s in self._saved]])
        self._fresh: list[tuple[int, U64, U64]] = []
        self.salts = ((salt * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & (2**64 - 1), salt)

    @property
    def nbytes(self) -> int:
        """Bytes of memory: of the window, and of the keys that no file has yet."""
        sets = sum(keys.nbytes for keys in (self._sets or {}).values())
        return sets + sum(hi.nbytes + lo.nbytes for _, hi, lo in self._fresh)

    def keys(self, data: U8, offsets: I64) -> tuple[U64, U64]:
        """128-bit keys of byte strings (``b…`` or ``i…``)."""
        hi, lo = self.salts
        return hash_bulk(data, offsets, hi), hash_bulk(data, offsets, lo)

    def seen(self, hi: U64, lo: U64) -> U8:
        """uint8[n]: 1 where the key is in the window. Adds nothing."""
        sets = self._load()
        found = np.zeros(len(hi), dtype=np.uint8)
        for keys in sets.values():
            found |= keys.contains_bulk(hi, lo)
        return found

    def add(self, hi: U64, lo: U64) -> U8:
        """Adds keys; uint8[n]: 1 where the key is new (a repeat within the call counts once)."""
        sets = self._load()
        known: U8 | None = None
        for generation, keys in sets.items():
            if generation != self.generation and len(keys):
                found = keys.contains_bulk(hi, lo)
                known = found if known is None else known | found
        new, fresh = sets[self.generation].add_new(hi, lo, known)
        if fresh == len(hi):
            self._fresh.append((self.generation, hi, lo))
        elif fresh:
            kept = np.flatnonzero(new)
            self._fresh.append((self.generation, hi[kept], lo[kept]))
        if len(sets[self.generation]) >= self._window:
            self.generation += 1
            sets.pop(self.generation - 2, None)
            sets.setdefault(self.generation, Set128())
        return new

    def freeze(self) -> Frozen:
        """Takes the keys added since the last freeze."""
        frozen = Frozen(self._fresh)
        self._fresh = []
        return frozen

    def thaw(self, frozen: Frozen) -> None:
        """Gives back what :meth:`freeze` took: it belongs to rows that are frozen later."""
        self._fresh = [*frozen.parts, *self._fresh]

    def forget(self, frozen: Frozen | None) -> None:
        """Takes back keys whose rows were not stored."""
        for generation, hi, lo in frozen.parts if frozen is not None else []:
            keys = self._load().get(generation)
            if keys is not None:
                keys.discard_bulk(hi, lo)

    def save(
        self, frozen: Frozen, new_name: Callable[[], str], generation: int | None = None
    ) -> list[DedupFile]:
        """Writes frozen keys as one file a generation; returns what the manifest is to name.

        ``generation``: the one in which the oldest record that only the WAL holds was compared, the
        present one when there is none; keys older than the one before it are named no more.
        """
        oldest = (self.generation if generation is None else generation) - 1
        files = list(self._saved)
        by_generation: dict[int, list[tuple[U64, U64]]] = {}
        for generation, hi, lo in frozen.parts:
            by_generation.setdefault(generation, []).append((hi, lo))
        for of_part, parts in sorted(by_generation.items()):
            if of_part < oldest:
                continue  # forgotten before they were written
            keys = np.empty((sum(len(p[0]) for p in parts), 2), dtype="<u8")
            keys[:, 0] = np.concatenate([p[0] for p in parts])
            keys[:, 1] = np.concatenate([p[1] for p in parts])
            name = new_name()
            _write(self._files, names.path(self._root, name), keys.tobytes(), len(keys))
            files.append((name, of_part, len(keys)))
        return [f for f in files if f[1] >= oldest]

    def saved(self, files: Sequence[DedupFile]) -> None:
        """Confirms that the manifest names ``files``; removes those that it names no more."""
        named = {name for name, _, _ in files}
        before, self._saved = self._saved, list(files)
        for name, _, _ in before:
            if name not in named:
                try:
                    self._files.remove(names.path(self._root, name))
                except ZujiError:
                    log.warning("could not remove path=%s", name)  # the next start does

    def _load(self) -> dict[int, Set128]:
        if self._sets is None:
            sets = {self.generation: Set128()}
            if self.generation:
                sets[self.generation - 1] = Set128()
            for name, generation, count in self._saved:
                if generation >= self.generation - 1:  # loads may have saved later ones
                    hi, lo = read_keys(self._files, names.path(self._root, name), count)
                    sets.setdefault(generation, Set128()).add_bulk(hi, lo)
            self._sets = sets
        return self._sets


def _write(files: Files, path: str, keys: bytes, count: int) -> None:
    head = _HEADER.pack(MAGIC, VERSION, 0, 0, count, crc32c(keys))
    out = files.create(path)
    try:
        out.write(head + struct.pack("<I", crc32c(head)) + keys)
        out.sync()
    finally:
        out.close()


def read_keys(files: Files, path: str, count: int) -> tuple[U64, U64]:
    """Keys of one file, checked. Raises Corruption, UnsupportedFormat."""
    blob = files.read(path)
    start = _HEADER.size + 4
    if len(blob) < start:
        raise Corruption("dedup file is too short", path, len(blob))
    magic, version, _, _, keys, crc = _HEADER.unpack_from(blob)
    if magic != MAGIC or struct.unpack_from("<I", blob, _HEADER.size)[0] != crc32c(
        blob[: _HEADER.size]
    ):
        raise Corruption("dedup file header fails its checksum", path, 0)
    if version > VERSION:
        raise UnsupportedFormat(
            f"{path} has format version {version}; this release reads up to {VERSION}"
        )
    if keys != count or len(blob) != start + 16 * count:
        raise Corruption("dedup file does not hold what the manifest says", path, 0)
    if crc32c(blob[start:]) != crc:
        raise Corruption("dedup file fails its checksum", path, start)
    pairs = np.frombuffer(blob, dtype="<u8", offset=start).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
