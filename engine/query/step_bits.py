"""Which of several places (steps, exclusions) each row of a run matches, as bits for kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.types import U8, U32


def step_bits(masks: Sequence[U8 | bool], rows: int) -> int | U32:
    """One bit a place for each row; one number when it is the same for all rows."""
    constant = sum(1 << i for i, mask in enumerate(masks) if mask is True)
    varying = [(i, mask) for i, mask in enumerate(masks) if not isinstance(mask, bool)]
    if not varying:
        return constant
    bits = np.full(rows, constant, dtype=np.uint32)
    for i, mask in varying:
        bits |= mask.astype(np.uint32) << np.uint32(i)
    return bits
