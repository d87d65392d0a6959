"""What was refused of a batch that comes again: who lost the answer is told the same once more.

The engine knows that a batch of this id was stored, not what it refused of it then. The refusals of
the last batches that had some are remembered; of others (the server was started anew since) reading
the batch says the most. Bounded memory. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from zuji.engine.errors import ZujiError
from zuji.engine.writer import AppendResult
from zuji.server.plan.judging import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zuji.engine.batch import Rejected

MOST_BATCHES = 4_096
MOST_REFUSALS = 65_536
"""Of all remembered batches together; some 20 MB."""


@dataclass(frozen=True, slots=True)
class ToldAgain(AppendResult):
    """The result of a batch that was stored before: what was refused then is refused, what was
    stored is a duplicate. Nothing of it is counted again.
    """


class _Head(msgspec.Struct):
    """What is read of a batch."""

    batch_id: str | None = None


class Repeats:
    """Refusals of batches by their id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Rejected, ...]] = OrderedDict()
        self._count = 0

    def told(
        self, batch: bytes, passed: Sequence[bytes], stored: AppendResult | ZujiError
    ) -> AppendResult | ZujiError:
        """The result to answer with. ``batch``: as it was sent; ``passed``: as it went to the
        engine, in one part or more.
        """
        if isinstance(stored, ZujiError):
            return stored
        again = not stored.accepted and stored.duplicates > len(stored.repeated)
        if not (stored.rejected or again):
            return stored
        name = _id_of(batch)
        if name is None:
            return stored
        if not again:
            self._remember(name, stored.rejected)
            return stored
        with self._lock:
            known = self._known.get(name)
        if known is None:
            known = tuple(_refused_in(passed))
        return ToldAgain(0, max(0, stored.duplicates - len(known)), known) if known else stored

    def _remember(self, name: str, refused: tuple[Rejected, ...]) -> None:
        if len(refused) > MOST_REFUSALS:
            return
        plain = tuple(map(_without_bytes, refused))
        with self._lock:
            self._count += len(plain) - len(self._known.pop(name, ()))
            self._known[name] = plain
            while len(self._known) > MOST_BATCHES or self._count > MOST_REFUSALS:
                _, gone = self._known.popitem(last=False)
                self._count -= len(gone)


def _id_of(batch: bytes) -> str | None:
    """The id of a batch, if it has one."""
    try:
        if batch[:1] in (b"{", b"["):
            return msgspec.json.decode(batch, type=_Head).batch_id if batch[:1] == b"{" else None
        return msgspec.msgpack.decode(batch, type=_Head).batch_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None  # lines, or a list of events


def _refused_in(parts: Sequence[bytes]) -> Iterator[Rejected]:
    """What reading a batch refuses."""
    try:
        _, refused = read(parts)
    except ZujiError:
        return
    yield from map(_without_bytes, refused)


def _without_bytes(one: Rejected) -> Rejected:
    return type(one)(one.index, one.reason, one.path, one.message, b"")
