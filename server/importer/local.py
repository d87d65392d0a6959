"""Parcels into an engine: groups of batches, each group with one sync of the log."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

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


class LocalTarget:
    """See ``shipping.Target``."""

    def __init__(self, engine: Batches) -> None:
        self._engine = engine

    def stored(self, parcels: Iterator[Parcel]) -> Iterator[tuple[Parcel, Result | None]]:
        """See ``shipping.Target``."""
        while group := list(islice(parcels, GROUP)):
            batches = [parcel.batch for parcel in group if parcel.batch]
            results = iter(self._engine.append_many(batches) if batches else ())
            for parcel in group:
                result = next(results) if parcel.batch else None
                if isinstance(result, ZujiError):
                    raise result
                yield parcel, result
