"""Arrays without some ranges of their values."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from zuji.engine.types import I64

_T = TypeVar("_T", bound=np.generic)

def drop_ranges(values: npt.NDArray[_T], starts: I64, ends: I64) -> npt.NDArray[_T]:
    """A copy of ``values`` (one dimension) without rows ``starts[i]:ends[i]``, int64, ascending.

    ValueError when the ranges overlap or leave the values. Releases the GIL. O(rows + ranges).
    """
