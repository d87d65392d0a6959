from collections.abc import Sequence
from typing import Self, final

import numpy as np
import numpy.typing as npt

from zuji.engine.query.kernels.lane import Lane

MAX_LANES: int
__pyx_capi__: dict[str, object]  # how Cython modules find each other's functions

@final
class LaneSet:
    """Checked lanes as C structs; ``beside``: lanes whose rows are compared with these."""

    @property
    def count(self) -> int: ...
    def __new__(cls, lanes: Sequence[Lane], beside: Sequence[Lane] = ()) -> Self: ...

@final
class RowArrays:
    """One array of the lane's rows, or None, per lane."""

    def __new__(
        cls,
        lanes: LaneSet,
        arrays: Sequence[npt.NDArray[np.generic] | None] | None,
        dtype: npt.DTypeLike,
        name: str,
    ) -> Self: ...

@final
class Guard:
    """Audience by ordinal and the cancel flag."""

    def __new__(
        cls, cancel: npt.NDArray[np.uint8] | None, allowed: npt.NDArray[np.uint8] | None
    ) -> Self: ...
