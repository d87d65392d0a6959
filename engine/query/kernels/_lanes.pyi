from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zuji.engine.query.kernels.lane import Lane

MAX_LANES: int

class LaneSet:
    @property
    def count(self) -> int: ...
    def __init__(self, lanes: Sequence[Lane], beside: Sequence[Lane] = ()) -> None: ...

class RowArrays:
    def __init__(
        self, lanes: LaneSet, arrays: Sequence[npt.NDArray[np.generic] | None] | None, dtype: npt.DTypeLike, name: str
    ) -> None: ...

class Guard:
    def __init__(self, cancel: npt.NDArray[np.uint8] | None, allowed: npt.NDArray[np.uint8] | None) -> None: ...
