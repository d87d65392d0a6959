"""A batch that what the plan makes of it makes too large goes on as two, and so on.

Halves have ids that follow from the batch's, so that the batch sent again is a repeat, part by
part. Their results, put together, are the batch's own. Pure.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from zuji.engine.errors import ZujiError
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.writer import AppendResult
from zuji.server.plan.gate import Grown, halves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.server.plan.gate import Gate, Passed

    Stored = AppendResult | ZujiError


class Part(NamedTuple):
    """Part of a batch: the position of its first event there."""

    first: int
    passed: Passed


def parts_of(gate: Gate, data: bytes, now_ms: int, first: int = 0) -> list[Part]:
    """A batch as it may be stored, in as many parts as it takes.

    Raises:
        InvalidEvent: the batch as a whole cannot be read, or one event alone is too large.
    """
    try:
        return [Part(first, gate.passed(data, now_ms))]
    except Grown as grown:
        if grown.events < 2:
            raise
        middle = grown.events // 2
        left, right = halves(data, grown, [_id(grown.batch_id, side) for side in (b"1", b"2")])
        return [
            *parts_of(gate, left, now_ms, first),
            *parts_of(gate, right, now_ms, first + middle),
        ]


def _id(batch_id: bytes | None, side: bytes) -> bytes | None:
    if batch_id is None:
        return None
    made = batch_id + b"/" + side
    if len(made) <= DEFAULT_LIMITS.id_bytes:
        return made
    return blake2b(made, digest_size=24).hexdigest().encode()


def together(parts: Sequence[Part], stored: Sequence[Stored]) -> Stored:
    """The result of a batch from those of its parts; an error of one is that of the batch, whose
    other parts are repeats when it is sent again.
    """
    if len(parts) == 1:
        return stored[0]
    total = AppendResult()
    for part, one in zip(parts, stored, strict=True):
        if isinstance(one, ZujiError):
            return one
        rejected = tuple(
            type(r)(r.index + part.first, r.reason, r.path, r.message, r.raw) for r in one.rejected
        )
        repeated = tuple(index + part.first for index in one.repeated)
        total += AppendResult(one.accepted, one.duplicates, rejected, repeated)
    return total
