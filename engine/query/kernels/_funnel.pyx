"""Funnel kernels: levels of plain funnels (hot), and canonical chains for everything else.

C in ``funnel_fast.h`` and ``funnel_chains.h``; this file checks arguments and converts.
Thread-safety: free functions without state; the GIL is released while rows are read.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free

import numpy as np

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, RowArrays, finish, pointer, zj_guard, zj_lane

cdef extern from "funnel_fast.h" nogil:
    ctypedef struct zj_funnel:
        const zj_lane *lanes
        int count
        const uint32_t *step_mask
        const uint32_t **row_mask
        int steps
        int64_t window
        int ties
        int64_t from_ "from"
        int64_t to

    int zj_funnel_fast(const zj_funnel *f, zj_guard *guard, int64_t *levels)

_U32, _I64 = np.dtype(np.uint32), np.dtype(np.int64)
MAX_STEPS = 32
FAR_MS = 1 << 60
TIES = {"sequence": 0, "any": 1, "strict": 2}


def _far(value):
    """Instants and windows cut to what the kernels can add without overflow."""
    return max(-FAR_MS, min(FAR_MS, int(value)))


cdef class StepMasks:
    """One uint32 per lane or uint32[n] per row, as the kernels want them."""

    cdef RowArrays rows
    cdef uint32_t *fixed

    def __cinit__(self, LaneSet lanes, object masks, str name):
        cdef int i
        self.fixed = <uint32_t *>calloc(max(1, lanes.count), sizeof(uint32_t))
        if self.fixed == NULL:
            raise MemoryError
        given = list(masks)
        if len(given) != lanes.count:
            raise ValueError(f"{name}: {len(given)} masks for {lanes.count} lanes")
        self.rows = RowArrays(
            lanes, [m if isinstance(m, np.ndarray) else None for m in given], _U32, name
        )
        for i, m in enumerate(given):
            if not isinstance(m, np.ndarray):
                self.fixed[i] = m

    def __dealloc__(self):
        free(self.fixed)


def funnel_fast(lanes, step_masks, k, window_ms, ties, from_ms, to_ms, cancel=None, allowed=None):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef StepMasks masks = StepMasks(lane_set, step_masks, "step_masks")
    cdef Guard guard = Guard(cancel, allowed)
    cdef zj_funnel f
    cdef int status
    if not 1 <= k <= MAX_STEPS:
        raise ValueError(f"k: 1 to {MAX_STEPS} steps, got {k}")
    levels = np.zeros(k + 1, _I64)
    cdef int64_t *out = <int64_t *>pointer(levels, _I64, -1, "levels")
    f.lanes = lane_set.lanes
    f.count = lane_set.count
    f.step_mask = masks.fixed
    f.row_mask = <const uint32_t **>masks.rows.data
    f.steps = k
    f.window = max(0, _far(window_ms))
    f.ties = TIES[ties]
    f.from_ = _far(from_ms)
    f.to = _far(to_ms)
    with nogil:
        status = zj_funnel_fast(&f, &guard.c, out)
    finish(status)
    return levels
