"""Shipping: parcels of one file go to a target, in order, and the place follows what it
acknowledged.

After each acknowledgement, in the order of the file: refused rows into their file (synced), then
the place. A kill between an acknowledgement and that loses nothing: the parcel is sent again, is
known, and what was refused of it is told again. Memory: the parcels that are ahead and in flight.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from zuji.server.importer.ahead import Ahead
from zuji.server.importer.parcels import KEPT_ITEM
from zuji.server.importer.readers.base import Reject
from zuji.server.importer.run import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from zuji.server.importer.parcels import Parcel
    from zuji.server.importer.place import Place
    from zuji.server.importer.rejects import RejectsFile

AHEAD_PARCELS = 64


class Refusal(Protocol):
    """An event that the target refused."""

    index: int
    reason: str
    message: str


class Result(Protocol):
    """What became of a batch."""

    @property
    def accepted(self) -> int:
        """Events stored."""

    @property
    def duplicates(self) -> int:
        """Events that were there."""

    @property
    def rejected(self) -> Sequence[Any]:
        """Events that were refused."""


class Target(Protocol):
    """Where parcels go."""

    def stored(self, parcels: Iterator[Parcel]) -> Iterator[tuple[Parcel, Result | None]]:
        """Stores parcels; gives each, in order, once it is durable. None: it had no batch.

        :raises ZujiError: it cannot go on.
        """


class Source(Protocol):
    """A file that gives parcels."""

    path: Path
    size_bytes: int
    rows_known: int | None

    def parcels(self, key: str, position: int) -> Iterator[Parcel]:
        """Parcels of the import ``key`` from a position on."""


class Stopped(Exception):
    """The import was asked to stop while it waited."""


def ship_file(
    source: Source,
    target: Target,
    place: Place,
    rejects: RejectsFile,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    stop: threading.Event | None = None,
    limit_rows: int | None = None,
) -> Progress:
    """Imports one file from where it stopped.

    :returns: what was done; ``stopped`` when ``stop`` was set before the end.
    :raises InvalidInput: a damaged or changed file. :raises ZujiError: from the target.
    """
    stop = stop or threading.Event()
    state = Progress(source.path, source.size_bytes, source.rows_known)
    state.resumed_at = place.position
    if place.finished:
        state.already_done = True
        return state
    began = time.monotonic()
    with Ahead(source.parcels(place.key, place.position), AHEAD_PARCELS) as parcels:
        wanted = _wanted(parcels, place, stop, limit_rows)
        seen = False
        try:
            for parcel, result in target.stored(wanted):
                if not seen:
                    rejects.resume(source.path, place.key)
                seen = True
                _note(state, parcel, result, rejects, place)
                state.seconds = time.monotonic() - began
                on_progress(state)
        except Stopped:
            state.stopped = True
        finally:
            if seen:
                place.save()
    state.already_done = not seen and state.resumed_at > 0
    state.stopped |= stop.is_set()
    if not state.stopped and (limit_rows is None or state.rows < limit_rows):
        place.finish()
    state.seconds = time.monotonic() - began
    return state


def _wanted(
    parcels: Iterator[Parcel], place: Place, stop: threading.Event, limit_rows: int | None
) -> Iterator[Parcel]:
    """Parcels until the import is to stop; never ends inside of rows that belong together."""
    rows = 0
    begun = False
    for parcel in parcels:
        if not begun:
            place.begin()
            begun = True
        yield parcel
        rows += parcel.rows
        if parcel.end is not None and (
            stop.is_set() or (limit_rows is not None and rows >= limit_rows)
        ):
            return


def _note(
    state: Progress, parcel: Parcel, result: Result | None, rejects: RejectsFile, place: Place
) -> None:
    refused = list(parcel.rejects)
    state.skipped += parcel.skipped
    if result is not None:
        state.accepted += result.accepted
        state.duplicates += result.duplicates
        for one in result.rejected:
            assert parcel.event is not None
            about = parcel.event(one.index)
            if about.kept and one.reason == KEPT_ITEM:
                state.kept += 1
            else:
                refused.append(Reject(about.number, one.reason, one.message, about.values))
    refused.sort(key=lambda reject: reject.row)
    state.rows += parcel.rows
    state.rejected += len(refused)
    rejects.add(state.path, refused, place.key)
    state.bytes_done = max(state.bytes_done, parcel.progress)
    if parcel.end is not None:
        place.reached(parcel.end, parcel.rows)
