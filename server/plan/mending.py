"""Quarantined events sent again: mended if wanted, judged by the plan that counts now, stored.

A mend is data, so that it can be kept, shown and given to a server. Times are judged by the clock
of the day on which the event came. Pure but for :func:`replayed`, which is the engine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from zuji.engine.batch import Rejected, encode_events, slice_events
from zuji.engine.errors import InvalidEvent, InvalidInput
from zuji.engine.quarantine import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from zuji.engine.engine import Engine
    from zuji.server.plan.gate import Gate

MOST_IDS = 10_000


class Mend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is changed about events, in this order: names of events and of properties (old → new),
    properties dropped, properties set; ``time_free``: whether old and future times are meant.
    """

    rename_event: dict[str, str] = {}
    rename_property: dict[str, str] = {}
    drop: tuple[str, ...] = ()
    set: dict[str, str | int | float | bool | list[str] | None] = {}
    time_free: bool | None = None

    def of(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """An event with these changes."""
        mended = dict(event)
        name = mended.get("event")
        if isinstance(name, str) and name in self.rename_event:
            mended["event"] = self.rename_event[name]
        properties = mended.get("properties")
        if isinstance(properties, dict) or self.set:
            had = properties if isinstance(properties, dict) else {}
            made = {self.rename_property.get(n, n): v for n, v in had.items()}
            made = {n: v for n, v in made.items() if n not in self.drop}
            mended["properties"] = {**made, **self.set}
        if self.time_free is not None:
            mended["time_free"] = self.time_free
        return mended


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which events of the quarantine: by id, or all that came in ``[from_ms, to_ms)`` with this
    reason.
    """

    ids: tuple[str, ...] | None = None
    reason: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def check(self) -> None:
        """Raises InvalidInput when that is too much or nothing at all."""
        if self.ids is not None and len(self.ids) > MOST_IDS:
            raise InvalidInput(f"at most {MOST_IDS:,} ids at once")
        if self == Which():
            raise InvalidInput("say which events: ids, a reason, or from_ms and to_ms")


def read_mend(text: bytes | str) -> Mend:
    """A mend's JSON document.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return msgspec.json.decode(text, type=Mend)
    except msgspec.MsgspecError as problem:
        raise InvalidInput(f"the mend is wrong: {problem}") from None


@dataclass(frozen=True, slots=True)
class Tried:
    """An entry as it would be stored (``event``), or why it would not (``code``, ``path``)."""

    id: str
    event: bytes | None
    code: str = ""
    path: str = ""
    message: str = ""


def tried(entry: Mapping[str, Any], mend: Mend | None, gate: Gate | None) -> Tried:
    """What a plan, and a mend, make of an entry of ``Engine.rejected``."""
    event = entry["event"]
    if not isinstance(event, dict):
        return Tried(entry["id"], None, entry["reason"], entry["path"], "it is not an event")
    try:
        (batch,) = encode_events([event if mend is None else mend.of(event)])
        if gate is not None:
            passed = gate.passed(batch, entry["received_ms"])
            for one in passed.findings:
                if one.severity == "rejected":
                    return Tried(entry["id"], None, one.code, one.path, "refused by the plan")
            batch = passed.batch
    except InvalidEvent as problem:
        return Tried(entry["id"], None, problem.reason, "", str(problem))
    return Tried(entry["id"], slice_events(batch, [0])[0])


def replayed(engine: Engine, which: Which, mend: Mend | None, gate: Gate | None) -> dict[str, Any]:
    """Stores events of the quarantine that can be stored now: ``stored``, ``duplicates``, and
    ``left``: those that stay, each with why.

    Raises:
        InvalidInput: an id is none. StorageFull, StorageFailed, ReadOnly, EngineClosed, Corruption.
    """
    refused: list[dict[str, Any]] = []

    def mended(entry: dict[str, Any]) -> bytes | None:
        one = tried(entry, mend, gate)
        if one.event is None:
            refused.append(_left(one))
        return one.event

    found = engine.replay_rejected(
        which.ids,
        reason=which.reason,
        from_ms=which.from_ms,
        to_ms=which.to_ms,
        mend=mended,
    )
    return {
        "stored": found.stored,
        "duplicates": found.duplicates,
        "left": [*refused, *(_left(one) for one in found.left)],
    }


def _left(one: Any) -> dict[str, Any]:
    code = one.code if isinstance(one, Tried) else one.reason
    return {"id": one.id, "code": code, "path": one.path, "message": one.message}


def chosen(engine: Engine, which: Which, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Entries of the quarantine."""
    entries = engine.rejected(reason=which.reason, from_ms=which.from_ms, to_ms=which.to_ms)
    wanted = None if which.ids is None else set(which.ids)
    return islice((one for one in entries if wanted is None or one["id"] in wanted), limit)


def forecast(
    engine: Engine, which: Which, mend: Mend | None, gate: Gate | None, limit: int
) -> list[dict[str, Any]]:
    """What :func:`replayed` would do, for the first ``limit`` events; the engine may still refuse
    what the plan would take.
    """
    made = []
    for entry in chosen(engine, which, limit):
        one = tried(entry, mend, gate)
        if one.event is None:
            made.append(_left(one))
        else:
            event = Kept(Rejected(0, "", "", "", one.event), 0).to_dict()["event"]
            made.append({"id": one.id, "event": event})
    return made
