"""Saying: what is said of ids by hand, and what stored rows say of them.

A bind, an unbind, an undo and the setting of shared devices are records of the log, and applied
where a batch would be. When links need every moment at which a device was seen with a customer,
and not the first alone, the customer's rows are read. REQUIRES: the writer's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine.errors import NotFound
from zuji.engine.index.catalog import USER_PREFIX
from zuji.engine.index.links import place_of, split
from zuji.engine.ingest.seen import UNBIND
from zuji.engine.storage import point
from zuji.engine.storage.dictionary import as_dictionary
from zuji.engine.storage.gathered import DEVICE_ID, ORIGIN
from zuji.engine.storage.source import MEMTABLE_RANK
from zuji.engine.types import TYPED_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import Flags
    from zuji.engine.writer.state import State

BIND, UNBOUND, UNDO, SHARE = "bind", "unbind", "undo", "shared_device"
SAYINGS: Final = (BIND, UNBOUND, UNDO, SHARE)


def check(state: State, entry: dict[str, Any]) -> None:
    """Raises NotFound when there is nothing to undo, also when it was undone already."""
    if entry["what"] != UNDO:
        return
    user, device = b"u" + entry["user_id"].encode(), b"d" + entry["device_id"].encode()
    place, facts = state.identity.find(user), state.links.said_of(device)
    pair = None if place is None or facts is None else facts.pairs.get(place_of(*place))
    if pair is not None and (pair.together or pair.apart):
        return
    undone = pair is not None and pair.undone_ms is not None
    was = "was said since it was undone" if undone else "was ever said"
    raise NotFound(
        f"nothing {was} of the device {entry['device_id']!r} and the customer "
        f"{entry['user_id']!r}: there is nothing to undo"
    )


def apply(state: State, entry: dict[str, Any], received_ms: int, seq: int) -> None:
    """Says it. ``seq``: the log record that it stands in."""
    what, links = entry["what"], state.links
    noted = {"n": seq, "received_ms": received_ms, **entry}
    if what == SHARE:
        links.set_shared(entry["shared"])
        state.link_store.say(noted)
        return
    device = b"d" + entry["device_id"].encode()
    place = None
    if entry.get("user_id") is not None:
        key = b"u" + entry["user_id"].encode()
        known = state.identity.find(key)
        data, offsets = np.frombuffer(key, np.uint8), np.array([0, len(key)], np.int64)
        shard, ordinal = state.identity.resolve(data, offsets)
        place = place_of(int(shard[0]), int(ordinal[0]))
        if known is None:
            noted["place"] = place
    if what == BIND:
        assert place is not None
        links.together(
            np.frombuffer(device, np.uint8),
            np.array([0, len(device)], np.int64),
            np.array([place], np.int64),
            np.array([entry["time"]], np.int64),
        )
    elif what == UNBOUND:
        links.apart(device, place, entry["time"])
    else:
        assert place is not None
        links.undo(device, place, received_ms)
    state.link_store.say(noted)


def recall(state: State, device: bytes, place: int, after: int | None) -> list[int]:
    """See :class:`~zuji.engine.index.links.Links`."""
    shard, ordinal = split(place)
    found: set[int] = set()
    for source in _sources(state, shard):
        for run in source.runs.values():
            if run.event != UNBIND:
                found.update(_together(run, ordinal, device[1:].decode(), after))
    # What was bound by hand has no row.
    for entry in state.link_store.log:
        if entry["what"] == BIND and b"d" + entry["device_id"].encode() == device:
            known = state.identity.find(b"u" + entry["user_id"].encode())
            late = after is None or entry["received_ms"] > after
            if late and known is not None and place_of(*known) == place:
                found.add(entry["time"])
    return sorted(found)


def record_of(state: State, device: bytes, place: int, time: int) -> dict[str, Any] | None:
    """What says that a device and a customer were together at a moment: ``{"event",
    "received_ms"}`` of the row that came first, or ``{"n"}``, the number in the log of what was
    said by hand; None when the row is gone. Reads the customer's rows.
    """
    shard, ordinal = split(place)
    text = device[1:].decode()
    found: list[tuple[int, int, int, str]] = []
    for source in _sources(state, shard):
        for run in source.runs.values():
            if run.event == UNBIND or not run.min_ms <= time <= run.max_ms:
                continue
            start, end = point.rows_of_user(run, ordinal)
            at = start + np.flatnonzero(point.times_of(run, start, end) == time)
            for row in at.tolist():
                if _carries(run, text, row, row + 1).all():
                    received = int(point.received_of(run, row, row + 1)[0])
                    tie = int(point.ties_of(run, row, row + 1)[0])
                    found.append((received, source.rank, tie, run.event))
    if found:
        received, _, _, event = min(found)
        return {"event": event, "received_ms": received}
    for entry in state.link_store.log:
        if entry["what"] == BIND and entry["device_id"] == text and entry["time"] == time:
            known = state.identity.find(b"u" + entry["user_id"].encode())
            if known is not None and place_of(*known) == place:
                return {"n": entry["n"]}
    return None


def _sources(state: State, shard: int) -> Iterator[Source]:
    """Sources of a shard as they are stored."""
    for segment in state.segments:
        if segment.shard == shard:
            yield segment
    for order, mem in enumerate((*(grown.mem for grown in state.frozen), state.active.mem)):
        for source in mem.views(MEMTABLE_RANK + order):
            if source.shard == shard:
                yield source


def _together(run: Run, ordinal: int, device: str, after: int | None) -> list[int]:
    """Moments of a customer's rows that carry a device."""
    start, end = point.rows_of_user(run, ordinal)
    if start == end:
        return []
    has = _carries(run, device, start, end)
    if after is not None:
        has &= point.received_of(run, start, end) > after
    moments: list[int] = point.times_of(run, start, end)[has].tolist()
    return moments


def _carries(run: Run, device: str, start: int, end: int) -> Flags:
    """Whether each of some rows of a customer came with a device, or with a typed id."""
    has = _has(run, DEVICE_ID, device, start, end)
    if has.any() and (moved := point.column_of(run, ORIGIN, start, end)) is not None:
        has &= np.zeros(end - start, np.bool_) if moved.present is None else moved.present == 0
    if device.startswith(TYPED_ID) and "+" in device:
        name, value = device.split("+", 1)
        for stored in (name, USER_PREFIX + name):
            has |= _has(run, stored, value, start, end)
    return has


def _has(run: Run, name: str, text: str, start: int, end: int) -> Flags:
    column = point.column_of(run, name, start, end)
    if column is None or column.dictionary is None or column.offsets is not None:
        return np.zeros(end - start, np.bool_)
    code = as_dictionary(column.dictionary).find(text)
    if code < 0:
        return np.zeros(end - start, np.bool_)
    has: Flags = column.values == code
    return has if column.present is None else has & (column.present != 0)
