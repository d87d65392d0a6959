"""Storing rejected events after all: each is mended, appended again, and leaves the quarantine if
it is stored now.

An event without an insert id of its own gets one that follows from its entry's id, so that what a
crash leaves in the quarantine though it is stored already is a repeat when it is replayed again.
The log has these batches under a kind of their own: what is refused again is no second entry, the
old one stays. One replay at a time; thread-safe.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import msgpack

from zuji.engine.batch import encode_events
from zuji.engine.errors import InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zuji.engine.quarantine import Kept, Key
    from zuji.engine.writer import AppendResult, Writer

    Mend = Callable[[dict[str, Any]], dict[str, Any] | bytes | None]

TOGETHER = 500
"""Events of a batch."""
_MAP_OF_15 = 0x8F


@dataclass(frozen=True, slots=True)
class Left:
    """A rejected event that could not be stored this time either, and why."""

    id: str
    reason: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of rejected events: ``stored`` now; ``duplicates`` were stored before; ``left``
    were refused again; ``skipped`` were left by who was to mend them. The first two are in the
    quarantine no more.
    """

    stored: int = 0
    duplicates: int = 0
    left: tuple[Left, ...] = ()
    skipped: int = 0


def replay(writer: Writer, entries: Iterable[Kept], mend: Mend | None) -> Replayed:
    """Appends entries again, and takes those that are stored now out of the quarantine.

    When something raises, those that were stored before it are out as well.
    """
    run = _Run(writer, mend)
    try:
        rest = iter(entries)
        while part := list(islice(rest, TOGETHER)):
            run.append(part)
    finally:
        if run.gone:
            writer.quarantine.remove(run.gone)
    return Replayed(run.stored, run.duplicates, tuple(run.left), run.skipped)


class _Run:
    """One replay as far as it got."""

    def __init__(self, writer: Writer, mend: Mend | None) -> None:
        self._writer = writer
        self._mend = mend
        self.gone: set[Key] = set()
        self.left: list[Left] = []
        self.stored = self.duplicates = self.skipped = 0

    def append(self, entries: Sequence[Kept]) -> None:
        ready = list(self._ready(entries))
        for is_json, group in groupby(ready, lambda one: _is_json(one[1])):
            self._append_group(list(group), is_json=is_json)

    def _ready(self, entries: Sequence[Kept]) -> Iterator[tuple[Kept, bytes]]:
        for kept in entries:
            event: dict[str, Any] | bytes | None = kept.rejected.raw
            if self._mend is not None:
                event = self._mend(kept.to_dict())
            if event is None:
                self.skipped += 1
                continue
            try:
                yield kept, _with_insert_id(event, f"$replay-{kept.id}")
            except InvalidEvent as problem:
                self._leave(kept, problem.reason or problem.code, "", str(problem))
            except ValueError as problem:
                self._leave(kept, "malformed", "", f"its bytes are no event: {problem}")

    def _append_group(self, group: list[tuple[Kept, bytes]], *, is_json: bool) -> None:
        batch = _batch([event for _, event in group], is_json=is_json)
        try:
            result = self._writer.replay_batch(batch)
        except InvalidEvent as problem:
            # One event is no event, or all are too much for a batch.
            if len(group) == 1:
                self._leave(group[0][0], problem.reason or problem.code, "", str(problem))
                return
            for one in group:
                self._append_group([one], is_json=is_json)
        else:
            self._count([kept for kept, _ in group], result)

    def _count(self, group: list[Kept], result: AppendResult) -> None:
        refused = {one.index for one in result.rejected}
        for one in result.rejected:
            self._leave(group[one.index], one.reason, one.path, one.message)
        self.gone.update(kept.key for at, kept in enumerate(group) if at not in refused)
        self.stored += result.accepted
        self.duplicates += result.duplicates

    def _leave(self, kept: Kept, reason: str, path: str, message: str) -> None:
        self.left.append(Left(kept.id, reason, path, message))


def _is_json(event: bytes) -> bool:
    return event[:1] in (b"{", b" ", b"\t", b"\r", b"\n", b"[")


def _batch(events: list[bytes], *, is_json: bool) -> bytes:
    if is_json:
        return b"[" + b",".join(events) + b"]"
    return b"\xdd" + len(events).to_bytes(4, "big") + b"".join(events)


def _with_insert_id(event: dict[str, Any] | bytes, insert_id: str) -> bytes:
    """The event's bytes, with ``insert_id`` if it has none; bytes stay what they are otherwise, so
    that what is wrong with them is not mended by reading and writing them.

    Raises ValueError for bytes that are no value at all, InvalidEvent for what msgpack cannot hold.
    """
    if isinstance(event, bytes):
        if not event:
            raise ValueError("there are none")
        found = _read(event)
        if not isinstance(found, dict) or found.get("insert_id") not in (None, ""):
            return event
        if "insert_id" not in found:
            return _spliced(event, insert_id, empty=not found)
        event = found
    if event.get("insert_id") in (None, ""):
        event = {**event, "insert_id": insert_id}
    (batch,) = encode_events([event])
    return batch[1:]


def _read(event: bytes) -> Any:
    try:
        if _is_json(event):
            return json.loads(event)
        return msgpack.unpackb(event, strict_map_key=False, unicode_errors="replace", timestamp=3)
    except Exception as problem:  # whatever is raised on bytes that were refused
        raise ValueError(str(problem) or type(problem).__name__) from None


def _spliced(event: bytes, insert_id: str, *, empty: bool) -> bytes:
    """The bytes of a map with one more pair in front."""
    if _is_json(event):
        member = b'"insert_id":' + json.dumps(insert_id).encode()
        return b"{" + member + (b"" if empty else b",") + event.lstrip()[1:]
    pair: bytes = msgpack.packb("insert_id") + msgpack.packb(insert_id)
    head = event[0]
    if head < _MAP_OF_15:
        return bytes([head + 1]) + pair + event[1:]
    if head == _MAP_OF_15:
        return b"\xde\x00\x10" + pair + event[1:]
    width = 2 if head == 0xDE else 4
    count = int.from_bytes(event[1 : 1 + width], "big") + 1
    return b"\xdf" + count.to_bytes(4, "big") + pair + event[1 + width :]
