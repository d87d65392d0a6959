"""Whether time ranges are made of whole local days of every run, so that the day index can answer.

Runs of one partition share their days, so each partition is looked at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from zuji.engine.query.plan import Scan
    from zuji.engine.types import I64


def unions_of_days(scan: Scan, edges: I64) -> bool:
    """Whether every edge that lies within the days of a run is one of them. O(partitions × edges).

    ``edges``: int64 ms UTC, ascending.
    """
    seen: set[int] = set()
    for ref in scan.runs or ():
        if ref.source.base_ms in seen:
            continue
        seen.add(ref.source.base_ms)
        days = ref.run.days
        assert days is not None
        low, high = np.searchsorted(edges, (days[0], days[-1]), side="right").tolist()
        inner = edges[low:high]
        if len(inner) and not (days[np.searchsorted(days, inner)] == inner).all():
            return False
    return True
