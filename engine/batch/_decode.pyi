from typing import Final

import numpy as np
import numpy.typing as npt

from zuji.engine.batch.columns import EventBatch
from zuji.engine.index._strings import StringTable as StringTable
from zuji.engine.limits import Limits

EVENT_CODES: Final[tuple[str, ...]]
BATCH_CODES: Final[tuple[str, ...]]

def decode_batch(
    data: bytes | memoryview, *, limits: Limits, names: StringTable, strings: StringTable
) -> EventBatch: ...
def count_items(data: bytes | memoryview | npt.NDArray[np.uint8]) -> int: ...
