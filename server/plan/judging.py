"""What a plan makes of events that are not stored, for a developer who asks: the debug view.

The kinds that properties have in the store are not looked at; storing them does that. Pure but for
the gate's tables; safe on any thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zuji.engine.batch import Decoder, Rejected
from zuji.engine.errors import InvalidEvent
from zuji.engine.index._strings import StringTable
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.quarantine import opened
from zuji.engine.writer import AppendResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.server.plan.gate import Finding, Gate


@dataclass(frozen=True, slots=True)
class Judged(AppendResult):
    """What would become of events. ``notes``: what was found in those that would be stored."""

    notes: tuple[Finding, ...] = ()


def judged(gate: Gate | None, batch: bytes, now_ms: int) -> Judged:
    """What a plan (None: there is none) makes of a batch."""
    notes: tuple[Finding, ...] = ()
    try:
        if gate is not None:
            passed = gate.passed(batch, now_ms)
            batch, notes = passed.batch, passed.findings
        accepted, refused = read([batch])
    except InvalidEvent as problem:
        wrong = Rejected(max(0, problem.index), problem.reason, "", str(problem), b"")
        return Judged(0, 0, (wrong,))
    bad = {one.index for one in refused}
    return Judged(accepted, 0, tuple(refused), notes=tuple(n for n in notes if n.index not in bad))


def read(parts: Sequence[bytes]) -> tuple[int, list[Rejected]]:
    """Events that reading a batch takes, and what it refuses, by their positions in all of it.

    Raises:
        InvalidEvent: it cannot be read as a whole.
    """
    decoder = Decoder(DEFAULT_LIMITS, StringTable(), StringTable())
    found: list[Rejected] = []
    good = 0
    for part in parts:
        decoder.decode(part)
        columns = decoder.columns()
        decoder.release()
        first = good + len(found)
        found += [
            type(r)(first + r.index, r.reason, r.path, r.message, r.raw)
            for r in opened(columns.rejected)
        ]
        good += columns.n
    return good, found
