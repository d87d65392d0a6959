"""What becomes of an erased id that comes again: it is a new user (``accept``, the default), or
what comes under it is refused (``refuse``), which is counted and stored nowhere.

The setting stands in the catalogue of the ledger of erasures. While it refuses, the hashes of the
ledger are in memory, 16 to 48 bytes an erased id, and the writer asks for ids that nobody has
(:mod:`zuji.engine.writer.refusing`). Thread-safe: the writer's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine.errors import InvalidInput
from zuji.engine.index._hashset import Set128
from zuji.engine.items.record import BadItem, may_be_item, read_item
from zuji.engine.people.carrying import carries
from zuji.engine.quarantine import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.people.ledger import Ledger
    from zuji.engine.writer import Writer

ACCEPT: Final = "accept"
REFUSE: Final = "refuse"
SETTINGS: Final = (ACCEPT, REFUSE)


class Returning:
    """The setting of an open project, and what follows from it."""

    def __init__(self, writer: Writer, ledger: Ledger) -> None:
        self._writer = writer
        self._ledger = ledger
        self._hashes = Set128()
        self.take_in()

    @property
    def setting(self) -> str:
        """``accept`` or ``refuse``."""
        return self._ledger.setting

    def set(self, setting: str) -> None:
        """Changes it, durable on return. Who came again before stays.

        Raises:
            InvalidInput, StorageFull, StorageFailed, ReadOnly.
        """
        if setting not in SETTINGS:
            raise InvalidInput(f"erased_ids is 'accept' or 'refuse', got {str(setting)[:40]!r}")
        self._ledger.set(setting)
        self.take_in()

    def take_in(self) -> None:
        """Takes in what the ledger says by now."""
        refusing = self._writer.refusing
        with self._writer.lock:
            if self.setting == ACCEPT:
                refusing.erased, self._hashes = None, Set128()
                return
            self._hashes = Set128()
            for entry in self._ledger.entries():
                self._add(entry["hashes"])
            refusing.erased, refusing.carrying = self._has, self._carries

    def erased(self, entry: dict[str, Any]) -> None:
        """A new entry of the ledger."""
        with self._writer.lock:
            if self._writer.refusing.erased is not None:
                self._add(entry["hashes"])

    def counts(self) -> dict[str, int]:
        """Events refused since the project was opened, by reason."""
        with self._writer.lock:
            return dict(self._writer.refusing.counts)

    def _add(self, hashes: Iterable[str]) -> None:
        raw = bytes.fromhex("".join(hashes))
        halves = np.frombuffer(raw, np.uint64).reshape(-1, 2)
        hi, lo = np.ascontiguousarray(halves[:, 0]), np.ascontiguousarray(halves[:, 1])
        self._hashes.add_bulk(hi, lo)

    def _has(self, key: bytes) -> bool:
        halves = np.frombuffer(self._ledger.hash(key), np.uint64)
        return bool(self._hashes.contains_bulk(halves[:1].copy(), halves[1:].copy())[0])

    def _carries(self, one: Rejected) -> bool:
        """Whether an event that nobody could store has an erased id that nobody has."""
        return not _is_item(one) and carries(Kept(one, 0), self._named, lambda _raw: False)

    def _named(self, text: str) -> bool:
        own = text.encode(errors="replace")
        return any(
            self._has(key) and self._writer.find_owner(key) is None
            for key in (b"u" + own, b"d" + own)
        )


def _is_item(one: Rejected) -> bool:
    """Records of items come as refused events."""
    try:
        return may_be_item(one.reason, one.raw) and read_item(one.raw, 0) is not None
    except BadItem:
        return True
