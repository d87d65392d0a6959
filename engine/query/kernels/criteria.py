"""What a retention kernel is asked for beside its rows: checked the same for rows and for sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.types import I32

MAX_PERIODS = 366
BRACKET = 4
"""The criterion that has a cell a bracket; the others have one a period, 0 to n."""


def cells_of(
    n: int, cohort: int, criterion: int, brackets: Sequence[tuple[int, int]] | None
) -> tuple[I32, int]:
    """First and last period of each bracket, int32[2 * K], and the number of cells of a cohort.

    Raises ValueError for numbers that no kernel knows and for brackets that leave 0..n.
    """
    if not 0 <= n <= MAX_PERIODS:
        raise ValueError(f"n: 0 to {MAX_PERIODS} periods, got {n}")
    if cohort not in (0, 1, 2) or criterion not in (0, 1, 2, 3, BRACKET):
        raise ValueError(f"cohort {cohort} or criterion {criterion} is unknown")
    if criterion != BRACKET:
        return np.zeros(0, np.int32), n + 1
    ranges = np.array(() if brackets is None else brackets, np.int32).reshape(-1, 2)
    first, last = ranges[:, 0], ranges[:, 1]
    if not len(ranges) or bool(((first < 0) | (last > n) | (first > last)).any()):
        raise ValueError(f"brackets: pairs a <= b within 0..{n} are needed")
    return ranges.ravel(), len(ranges)
