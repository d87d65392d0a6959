"""The gate: batches as they may be stored, made of batches as they came.

A pure function of (plan, batch, clock). A batch with which nothing is wrong comes back as the same
object. In others the events that the plan changes are written anew, and those that it refuses
become *refusals*: in their place stands a record of which the engine makes a quarantined event with
our code and the event's own bytes (docs/format/batch.md), so positions are the sender's, and a
batch sent again is a repeat as a whole. Thread-safe: every thread borrows a :class:`.lane.Lane`.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgpack
import msgspec
import numpy as np

from zuji.engine.batch import slice_events
from zuji.engine.errors import InvalidEvent
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.quarantine import refusal
from zuji.server.plan.client import client_of
from zuji.server.plan.lane import Lane
from zuji.server.plan.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zuji.engine.batch import EventBatch, Rejected
    from zuji.engine.limits import Limits
    from zuji.server.plan.rules import Rules, Verdict

LANE_BYTES = 16 << 20
"""Tables of a lane larger than this are thrown away."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about an event, at its position in the batch. ``sdk``: "name version"."""

    index: int
    code: str
    path: str
    severity: str
    sdk: str = ""
    app: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """A batch as it may be stored, and what was found in it."""

    batch: bytes
    findings: tuple[Finding, ...] = ()


class Grown(InvalidEvent):
    """With what the plan makes of it a batch of ``events`` is too large."""

    def __init__(self, events: int, batch: EventBatch) -> None:
        text = "with what the plan makes of it the batch is too large: send smaller ones"
        super().__init__(text, reason="batch_too_large")
        self.events = events
        self.batch = batch

    @property
    def batch_id(self) -> bytes | None:
        """Id of the batch."""
        return self.batch.batch_id


def halves(data: bytes, grown: Grown, ids: Sequence[bytes | None]) -> list[bytes]:
    """A batch as two, with these ids."""
    middle = grown.events // 2
    raws = slice_events(data, np.arange(grown.events, dtype=np.int64))
    form = _form(data)
    return [
        form.joined(part, replace(grown.batch, batch_id=batch_id))
        for part, batch_id in zip((raws[:middle], raws[middle:]), ids, strict=True)
    ]


class Gate:
    """One version of a plan, before an engine."""

    def __init__(self, rules: Rules, limits: Limits = DEFAULT_LIMITS) -> None:
        self.rules = rules
        self._limits = limits
        self._lanes: deque[Lane] = deque()
        self.cast = False
        """Whether values were cast here since somebody looked: the engine may do it by now."""

    def passed(self, data: bytes, now_ms: int) -> Passed:
        """A batch, native, in any form, as it may be stored.

        Raises:
            InvalidEvent: the batch as a whole cannot be read, or would be too large.
        """
        try:
            lane = self._lanes.pop()
        except IndexError:
            lane = Lane(self.rules, self._limits)
        batch = lane.decoded(data)  # a lane that failed is not used again
        rows = lane.suspects(batch, data, now_ms)
        if lane.nbytes < LANE_BYTES:
            self._lanes.append(lane)
        wrong = batch.rejected if self.rules.scrub else ()
        if len(rows) == 0 and not wrong:
            return Passed(data)
        return self._looked(data, batch, rows.tolist(), wrong, now_ms)

    def scrubbed(self, refused: Sequence[Rejected]) -> Sequence[Rejected]:
        """What a protocol refused, without sensitive values."""
        if not self.rules.scrub:
            return refused
        return [replace(one, raw=self.rules.scrub.record(one.raw)) for one in refused]

    def forget(self) -> None:
        """Makes lanes anew: what the engine casts has changed."""
        self._lanes.clear()

    def _looked(
        self,
        data: bytes,
        batch: EventBatch,
        rows: Sequence[int],
        wrong: Sequence[Rejected],
        now_ms: int,
    ) -> Passed:
        positions = batch.index[rows].astype(np.int64)
        form = _form(data)
        verdicts: dict[int, Verdict] = {}
        findings: list[Finding] = []
        for row, raw in zip(rows, slice_events(data, positions), strict=True):
            event = form.read(raw)
            sdk, app = client_of(event)
            at = int(batch.index[row])
            verdict = self.rules.judge(event, int(batch.time[row]), now_ms)
            if verdict.changed or verdict.refused is not None:
                verdicts[at] = verdict
                self.cast = self.cast or verdict.cast
            findings += [Finding(at, *one, sdk, app) for one in verdict.found]
        if not verdicts and not wrong:
            return Passed(data, tuple(findings))
        retype = form is _JSON and any(v.retype for v in verdicts.values())
        total = batch.n + len(batch.rejected)
        raws = slice_events(data, np.arange(total, dtype=np.int64))
        mine = {one.index: one for one in (batch.rejected if retype else wrong)}
        out = form if not retype else _MSGPACK
        parts: list[bytes] = []
        for at, raw in enumerate(raws):
            if (verdict_here := verdicts.get(at)) is not None:
                parts.append(_written(verdict_here, raw, out))
            elif (rejected := mine.get(at)) is not None:
                kept = self.rules.scrub.record(raw) if self.rules.scrub else raw
                parts.append(out.refusal(rejected.reason, rejected.path, rejected.message, kept))
            else:
                parts.append(raw if not retype else _MSGPACK.write(form.read(raw)))
        written = out.joined(parts, batch)
        if len(written) > self._limits.batch_bytes:
            raise Grown(total, batch)
        return Passed(written, tuple(findings))


def _written(verdict: Verdict, raw: bytes, form: _Form) -> bytes:
    if verdict.refused is None:
        return form.write(verdict.event)
    code, path = verdict.refused
    kept = raw
    if verdict.changed:
        kept = _JSON.write(verdict.event) if raw[0] < 0x80 else _MSGPACK.write(verdict.event)
    return form.refusal(code, path, REASONS[code], kept)


class _Form:
    """A form of batches."""

    def read(self, raw: bytes) -> dict[str, Any]:
        """An event that the decoder took."""
        raise NotImplementedError

    def write(self, event: Mapping[str, Any]) -> bytes:
        """Its bytes."""
        raise NotImplementedError

    def refusal(self, reason: str, path: str, message: str, raw: bytes) -> bytes:
        """What stands in place of an event that is refused."""
        raise NotImplementedError

    def joined(self, parts: Sequence[bytes], batch: EventBatch) -> bytes:
        """A batch of events, with the envelope that it had."""
        raise NotImplementedError


class _Msgpack(_Form):
    def read(self, raw: bytes) -> dict[str, Any]:
        event: dict[str, Any] = msgpack.unpackb(raw, timestamp=0)
        return event

    def write(self, event: Mapping[str, Any]) -> bytes:
        packed: bytes = msgpack.packb(event)
        return packed

    def refusal(self, reason: str, path: str, message: str, raw: bytes) -> bytes:
        return refusal(reason, path, message, raw)

    def joined(self, parts: Sequence[bytes], batch: EventBatch) -> bytes:
        packer = msgpack.Packer()
        events: bytes = packer.pack_array_header(len(parts)) + b"".join(parts)
        head = _envelope(batch)
        if not head:
            return events
        start: bytes = packer.pack_map_header(1 + len(head))
        return (
            start
            + b"".join(
                [*(packer.pack(k) + packer.pack(v) for k, v in head.items()), packer.pack("events")]
            )
            + events
        )


class _Json(_Form):
    def read(self, raw: bytes) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(raw)
        return event

    def write(self, event: Mapping[str, Any]) -> bytes:
        return msgspec.json.encode(event)

    def refusal(self, reason: str, path: str, message: str, raw: bytes) -> bytes:
        return refusal(reason, path, message, raw, as_json=True)

    def joined(self, parts: Sequence[bytes], batch: EventBatch) -> bytes:
        if any(one.reason == "bad_json" for one in batch.rejected):  # only lines have these
            return b"\n".join(part.replace(b"\n", b" ") for part in parts)
        events = b"[" + b",".join(parts) + b"]"
        head = _envelope(batch)
        if not head:
            return events
        return msgspec.json.encode(head)[:-1] + b',"events":' + events + b"}"


_MSGPACK, _JSON = _Msgpack(), _Json()


def _form(data: bytes) -> _Form:
    return _JSON if data[:1] in (b"{", b"[") or data[:1].isspace() else _MSGPACK


def _envelope(batch: EventBatch) -> dict[str, Any]:
    head: dict[str, Any] = {}
    if batch.batch_id is not None:
        head["batch_id"] = batch.batch_id.decode()
    if batch.sent_at is not None:
        head["sent_at"] = batch.sent_at
    return head
