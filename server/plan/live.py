"""The live view: events as they are stored or refused, for those who watch, with what was found.

Nobody watching costs one look at an empty tuple. A watcher gets at most :data:`MOST_A_BATCH` events
of a batch (it is told how many it missed) and waits for nobody: who does not read is cut off.
Values of properties are for admin keys only; others see their kinds. ``publish`` is called on the
threads that store, everything else on the loop's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack
import msgspec
import numpy as np

from zuji.engine.batch import Rejected, decode_batch, slice_events
from zuji.engine.errors import Overloaded
from zuji.engine.index._strings import StringTable
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.quarantine import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zuji.engine.batch import EventBatch
    from zuji.engine.types import Flags
    from zuji.engine.writer import AppendResult
    from zuji.server.plan.gate import Finding

MOST_WATCHERS = 16
MOST_A_BATCH = 200
MOST_WAITING = 1_000
"""Events that wait to be read by one watcher."""


@dataclass(slots=True, eq=False)
class Watcher:
    """Somebody who watches; ``device``, ``user``: only theirs; ``values``: may see values."""

    device: str
    user: str
    values: bool
    loop: asyncio.AbstractEventLoop
    leave: Callable[[Watcher], None]
    waiting: deque[bytes] = field(default_factory=deque)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    slow: bool = False
    """Cut off."""

    def put(self, messages: Sequence[bytes]) -> None:
        """Takes messages, on the loop's thread."""
        if self.slow:
            return
        if len(self.waiting) + len(messages) > MOST_WAITING:
            self.slow = True
            self.leave(self)
        else:
            self.waiting.extend(messages)
        self.came.set()


class Live:
    """The live view of one project."""

    def __init__(self) -> None:
        self._watchers: tuple[Watcher, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def watch(self, device: str, user: str, *, values: bool) -> Watcher:
        """Begins to watch.

        Raises:
            Overloaded: too many watch already.
        """
        if len(self._watchers) >= MOST_WATCHERS:
            raise Overloaded(f"{MOST_WATCHERS} watch this project already", 10.0)
        watcher = Watcher(device, user, values, asyncio.get_running_loop(), self.leave)
        self._watchers = (*self._watchers, watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Ends it."""
        self._watchers = tuple(one for one in self._watchers if one is not watcher)

    def publish(
        self, data: bytes, result: AppendResult, findings: Sequence[Finding], now_ms: int
    ) -> None:
        """Tells what became of a batch, as it was stored."""
        strings = StringTable()
        batch = decode_batch(data, limits=DEFAULT_LIMITS, names=StringTable(), strings=strings)
        for watcher in self._watchers:
            rows = np.flatnonzero(_wanted(watcher, batch, strings)).tolist()
            refused = {one.index: one for one in result.rejected}
            told = list(_stored(watcher, batch, data, rows, result, findings, refused, now_ms))
            told += _refused(watcher, result.rejected, findings, now_ms)
            if len(rows) > MOST_A_BATCH:
                told.append(_message("missed", {"events": len(rows) - MOST_A_BATCH}))
            _send(watcher, told)

    def publish_refused(self, refused: Sequence[Rejected], now_ms: int) -> None:
        """Tells of records that a protocol refused."""
        for watcher in self._watchers:
            _send(watcher, _refused(watcher, refused, (), now_ms))


def _send(watcher: Watcher, told: Sequence[bytes]) -> None:
    if told:
        try:
            watcher.loop.call_soon_threadsafe(watcher.put, told)
        except RuntimeError:  # the loop is closed: nobody watches
            return


def _wanted(watcher: Watcher, batch: EventBatch, strings: StringTable) -> Flags:
    wanted = np.ones(batch.n, bool)
    if watcher.device:
        wanted &= batch.device == strings.find(watcher.device.encode())
    if watcher.user:
        wanted &= batch.user == strings.find(watcher.user.encode())
    return wanted


def _stored(
    watcher: Watcher,
    batch: EventBatch,
    data: bytes,
    rows: Sequence[int],
    result: AppendResult,
    findings: Sequence[Finding],
    refused: dict[int, Rejected],
    now_ms: int,
) -> Iterator[bytes]:
    positions = [int(batch.index[row]) for row in rows[:MOST_A_BATCH]]
    again = set(result.repeated)
    whole = result.duplicates > 0 and not result.accepted and not result.rejected
    for at, raw in zip(positions, slice_events(data, positions), strict=True):
        if at in refused:
            continue
        outcome = "repeat" if whole or at in again else "stored"
        event = Kept(Rejected(at, "", "", "", raw), 0).to_dict()["event"]
        yield _told(watcher, outcome, None, event, _notes(findings, at), now_ms)


def _refused(
    watcher: Watcher, refused: Sequence[Rejected], findings: Sequence[Finding], now_ms: int
) -> list[bytes]:
    told = []
    for one in refused[:MOST_A_BATCH]:
        event = Kept(one, now_ms).to_dict()["event"]
        if _is_of(watcher, event):
            told.append(_told(watcher, "rejected", one, event, _notes(findings, one.index), now_ms))
    return told


def _is_of(watcher: Watcher, event: Any) -> bool:
    known: dict[Any, Any] = event if isinstance(event, dict) else {}
    return (not watcher.device or known.get("device_id") == watcher.device) and (
        not watcher.user or known.get("user_id") == watcher.user
    )


def _notes(findings: Sequence[Finding], at: int) -> list[dict[str, str]]:
    return [
        {"code": one.code, "path": one.path, "severity": one.severity}
        for one in findings
        if one.index == at and one.severity != "rejected"
    ]


def _told(
    watcher: Watcher,
    outcome: str,
    refused: Rejected | None,
    event: Any,
    notes: list[dict[str, str]],
    now_ms: int,
) -> bytes:
    said: dict[str, Any] = {"outcome": outcome, "received_ms": now_ms}
    if refused is not None:
        said |= {"code": refused.reason, "path": refused.path, "message": refused.message}
    return _message("event", {**said, "notes": notes, "event": shown(event, watcher.values)})


def _message(kind: str, said: dict[str, Any]) -> bytes:
    body = msgspec.json.encode(said, enc_hook=plain)
    return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"


def plain(value: Any) -> str:
    """A value that JSON has no form for, as text."""
    if isinstance(value, msgpack.Timestamp):
        text: str = value.to_datetime().isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")
    return str(value)


_SHOWN = ("type", "event", "time", "user_id", "device_id", "insert_id", "time_free")


def shown(event: Any, values: bool) -> Any:
    """An event for somebody who may, or may not, see values of properties."""
    if values:
        return _with_text_keys(event)
    if not isinstance(event, dict):
        return None
    said = {name: event[name] for name in _SHOWN if name in event}
    properties = event.get("properties")
    if isinstance(properties, dict):
        said["properties"] = {str(name): _kind(value) for name, value in properties.items()}
    return _with_text_keys(said)


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _with_text_keys(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_text_keys(one) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    return value


def _kind(value: Any) -> str:
    words = {bool: "bool", int: "int64", float: "float64", str: "string", list: "list"}
    return words.get(type(value), "null" if value is None else "datetime")
