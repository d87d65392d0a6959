"""Parcels into an engine: groups of batches, each group with one sync of the log.

A parcel that was stored before a kill, but not noted, is a repeat. What the engine refused of it
then is found in its quarantine, so that the rows are listed after all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import msgpack

from zuji.engine.errors import ZujiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zuji.server.importer.parcels import Parcel
    from zuji.server.importer.shipping import Result

GROUP = 16
"""Batches of one sync."""


class Batches(Protocol):
    """The part of the engine that takes batches."""

    def append_many(self, batches: Sequence[bytes], refused: Sequence[Any] = ()) -> Sequence[Any]:
        """Stores batches durably: a result or an error for each."""

    def rejected(self) -> Iterator[dict[str, Any]]:
        """Events in the quarantine."""


@dataclass(frozen=True, slots=True)
class Again:
    """The result of a parcel that was stored before."""

    accepted: int
    duplicates: int
    rejected: list[Refused]


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that was refused."""

    index: int
    reason: str
    message: str


class LocalTarget:
    """See ``shipping.Target``."""

    def __init__(self, engine: Batches) -> None:
        self._engine = engine
        self._kept: dict[tuple[int, str], tuple[str, str]] | None = None

    def stored(self, parcels: Iterator[Parcel]) -> Iterator[tuple[Parcel, Result | None]]:
        """See ``shipping.Target``."""
        while group := list(islice(parcels, GROUP)):
            batches = [parcel.batch for parcel in group if parcel.batch]
            results = iter(self._engine.append_many(batches) if batches else ())
            for parcel in group:
                result = next(results) if parcel.batch else None
                if isinstance(result, ZujiError):
                    raise result
                if result is not None and result.duplicates > len(result.repeated):
                    result = self._again(parcel.batch, result)
                yield parcel, result

    def _again(self, batch: bytes, result: Any) -> Again:
        """What became of a batch when it was stored."""
        if self._kept is None:  # once, after a kill: there are few of them
            self._kept = {
                (one["index"], _same(one["event"])): (one["reason"], one["message"])
                for one in self._engine.rejected()
            }
        refused = []
        if self._kept:
            for index, event in enumerate(_events(batch)):
                found = self._kept.get((index, _same(event)))
                if found is not None:
                    refused.append(Refused(index, *found))
        return Again(0, result.duplicates - len(refused), refused)


def _events(batch: bytes) -> list[Any]:
    """Events of a parcel, as the quarantine shows them; of a refused one what it stands for."""
    head = msgpack.unpackb(batch, strict_map_key=False, unicode_errors="replace", timestamp=3)
    return [_meant(event) for event in head["events"]]


def _meant(event: Any) -> Any:
    said = event.get("$refused") if isinstance(event, dict) else None
    if said is None:
        return event
    try:
        return json.loads(said[3])
    except ValueError:
        return event


def _same(event: Any) -> str:
    return repr(event)
