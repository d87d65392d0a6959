"""Parcels: consecutive rows of a source as one native batch, which is stored or sent as a whole.

The batch id of a parcel follows from the import and the rows it covers, and where parcels are cut
follows from the file alone: whatever is sent again after a kill is the same batch under the same
id, which the engine does not store twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.quarantine import refusal
from zuji.server.importer.readers.base import Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PARCEL_ROWS = 1_000
PARCEL_BYTES = 512 << 10
"""Of a batch, so that it passes proxies that take a megabyte."""
PARCEL_ITEMS = DEFAULT_LIMITS.batch_items - 16
EVENT_BYTES = 2 << 20
"""Larger events are refused here; no event that the engine takes is as large."""
_SHOWN = 500
KEPT_ITEM = "kept_item"
"""Marks records of items for the engine, which stores them; those of details, and events of items,
stay in its quarantine under this reason.
"""


class About(NamedTuple):
    """An event for people. ``number``: of its row. ``kept``: that the engine refuses it with
    ``kept_item`` is no refusal, since it keeps it aside (details).
    """

    number: int
    values: Any
    kept: bool = False


class Packed(NamedTuple):
    """One native event. ``number``: of its row. ``items``: msgpack values, keys counted. ``show``:
    the row of a number. ``kept``: see :class:`About`. ``ordered``: it must not overtake others.
    """

    number: int
    data: bytes
    items: int
    show: Callable[[int], Any]
    kept: bool = False
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Parcel:
    """``end``: position after it, None when the import cannot go on from there. ``progress``: bytes
    of the file. ``rows``: of the source that it covers. ``batch``: b"" when nothing is to be
    stored. ``event``: what is to be said about an event of the batch, by its index.
    """

    end: int | None
    progress: int
    rows: int
    batch: bytes = b""
    event: Callable[[int], About] | None = None
    rejects: list[Reject] = field(default_factory=list)
    ordered: bool = False
    skipped: int = 0


def _batch(key: str, start: int, part: int, events: Sequence[Packed]) -> bytes:
    return batch_of(key, start, part, len(events), b"".join(event.data for event in events))


def too_large(event: Packed) -> Reject | None:
    """The refusal of an event that no batch can hold."""
    if len(event.data) <= EVENT_BYTES and event.items <= PARCEL_ITEMS:
        return None
    message = (
        f"the event has {len(event.data):,} bytes and {event.items:,} values; "
        f"at most {EVENT_BYTES:,} and {PARCEL_ITEMS:,} fit"
    )
    return Reject(event.number, "too_large", message, shown(event.show(event.number)))


def shown(values: Any) -> Any:
    """Values for the file of refused rows, no longer than a person reads."""
    return values[:_SHOWN] if isinstance(values, str) else values


def cut(events: Iterable[Packed]) -> Iterator[list[Packed]]:
    """Events in groups that a batch can hold. REQUIRES: none is too large alone."""
    group: list[Packed] = []
    size = items = 0
    for event in events:
        if group and (
            len(group) == PARCEL_ROWS
            or size + len(event.data) > PARCEL_BYTES
            or items + event.items > PARCEL_ITEMS
        ):
            yield group
            group, size, items = [], 0, 0
        group.append(event)
        size += len(event.data)
        items += event.items
    if group:
        yield group


def batch_of(key: str, start: int, part: int, count: int, data: bytes) -> bytes:
    """A native batch of the import ``key``; its id says which rows it covers.

    ``data``: its ``count`` events, one after the other.
    """
    packer = msgpack.Packer()
    head: bytes = packer.pack_map_header(2)
    head += packer.pack("batch_id") + packer.pack(f"import:{key[-32:]}:{start}:{part}")
    head += packer.pack("events") + packer.pack_array_header(count)
    return head + data


def kept_item(raw: bytes) -> bytes:
    """What stands in a batch for an item. ``raw``: its record, in the JSON of Sensors Analytics."""
    return refusal(KEPT_ITEM, "type", "there is no place for details and events of items", raw)


def _about(events: Sequence[Packed], index: int) -> About:
    event = events[index]
    return About(event.number, shown(event.show(event.number)), event.kept)


def parcels_of(
    key: str,
    start: int,
    events: Iterable[Packed],
    *,
    end: int,
    progress: int,
    rows: int,
    rejects: list[Reject],
    skipped: int = 0,
) -> Iterator[Parcel]:
    """Parcels of the rows from ``start`` to ``end``; only after the last can an import go on.

    ``key``: of the import. ``start`` names these rows in it: no other rows have the same.
    """
    good: list[Packed] = []
    for event in events:
        wrong = too_large(event)
        if wrong is None:
            good.append(event)
        else:
            rejects.append(wrong)
    rejects.sort(key=lambda reject: reject.row)
    groups = list(cut(good)) or [[]]
    for part, group in enumerate(groups):
        last = part == len(groups) - 1
        yield Parcel(
            end=end if last else None,
            progress=progress,
            rows=rows if last else 0,
            batch=_batch(key, start, part, group) if group else b"",
            event=partial(_about, group),
            rejects=rejects if last else [],
            ordered=any(event.ordered for event in group),
            skipped=skipped if last else 0,
        )
