# cython: auto_pickle=False, autotestdict=False
"""What each user did, by ordinal. C in ``of_users.h``; ``funnel_runs.h`` and ``funnel_fast.h`` for sequences.

Thread-safety: free functions without state; the GIL is released while rows are read.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free

import numpy as np

cimport numpy as cnp

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, RowArrays, finish, pointer, zj_guard, zj_lane

cdef extern from "of_users.h" nogil:
    int ZJ_OK, ZJ_REJECTED
    int zu_counts(const zj_lane *lane, int64_t from_, int64_t to, zj_guard *guard, size_t room, uint32_t *counts)
    int zu_values(const zj_lane *lane, int64_t from_, int64_t to, const double *value, const uint8_t *present, int op,
                  zj_guard *guard, size_t room, uint32_t *counts, double *acc, double *lost)

cdef extern from "funnel_plain.h" nogil:
    int ZJ_TIES_SEQUENCE, ZJ_MAX_STEPS

    ctypedef struct zj_funnel:
        const zj_lane *lanes
        int count
        const uint32_t *step_mask
        const uint32_t **row_mask
        int steps, ties
        int64_t window
        int64_t from_ "from"
        int64_t to

cdef extern from "funnel_runs.h" nogil:
    ctypedef struct zj_funnel_cells:
        const uint32_t **code
        uint32_t groups
        const int64_t *edges
        int32_t buckets
        uint8_t *complete
        size_t room

    int zj_funnel_runs(const zj_funnel *f, const zj_funnel_cells *ask, zj_guard *guard, int64_t *cells,
                       uint32_t **leftover, size_t *left)

cdef extern from "funnel_fast.h" nogil:
    int zj_funnel_fast(const zj_funnel *f, zj_guard *guard, const uint32_t *only, size_t n_only, int64_t *cells,
                       uint8_t *complete, size_t room)

cnp.import_array()

_I64, _U32, _U8, _F64 = np.dtype(np.int64), np.dtype(np.uint32), np.dtype(np.uint8), np.dtype(np.float64)
_OPS = {"sum": 0, "avg": 0, "min": 1, "max": 2}
_START = {"sum": 0.0, "avg": 0.0, "min": np.inf, "max": -np.inf}
FAR_MS = 1 << 60
FEW = 16
"""Of so many users at most one is sought by himself; of more all are walked over."""


def _far(value):
    return max(-FAR_MS, min(FAR_MS, int(value)))


def counts_of(lanes, from_ms, to_ms, users, cancel=None, allowed=None):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef Guard guard = Guard(cancel, allowed)
    cdef int64_t start = _far(from_ms), stop = _far(to_ms)
    cdef size_t room = users
    cdef int i, status = ZJ_OK
    counts = np.zeros(users, _U32)
    cdef uint32_t *count = <uint32_t *>pointer(counts, _U32, -1, "counts")
    with nogil:
        for i in range(lane_set.count):
            status = zu_counts(&lane_set.lanes[i], start, stop, &guard.c, room, count)
            if status != ZJ_OK:
                break
    finish(status)
    return counts


def values_of(lanes, from_ms, to_ms, users, op, values, value_masks, cancel=None, allowed=None):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef RowArrays value_rows = RowArrays(lane_set, values, _F64, "values")
    cdef RowArrays present = RowArrays(lane_set, value_masks, _U8, "value_masks")
    cdef Guard guard = Guard(cancel, allowed)
    cdef int64_t start = _far(from_ms), stop = _far(to_ms)
    cdef size_t room = users
    cdef int i, status = ZJ_OK, what = _OPS[op]
    counts, acc = np.zeros(users, _U32), np.full(users, _START[op], _F64)
    lost = np.zeros(users if what == 0 else 0, _F64)
    cdef uint32_t *count = <uint32_t *>pointer(counts, _U32, -1, "counts")
    cdef double *total = <double *>pointer(acc, _F64, -1, "acc")
    cdef double *rest = <double *>pointer(lost, _F64, -1, "lost")
    with nogil:
        for i in range(lane_set.count):
            if value_rows.data[i] == NULL:
                continue
            status = zu_values(&lane_set.lanes[i], start, stop, <const double *>value_rows.data[i],
                               <const uint8_t *>present.data[i], what, &guard.c, room, count, total, rest)
            if status != ZJ_OK:
                break
    finish(status)
    if what == 0:
        acc += lost
    if op == "avg":
        np.divide(acc, counts, out=acc, where=counts > 0)
    return counts, acc


def completed(lanes, step_masks, k, window_ms, from_ms, to_ms, users, cancel=None, allowed=None):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef Guard guard = Guard(cancel, allowed)
    cdef zj_funnel q
    cdef zj_funnel_cells ask
    cdef uint32_t *leftover = NULL
    cdef size_t left = 0, n_few = 0
    cdef const uint32_t *chosen = NULL
    cdef int i, status, some = 0
    cdef size_t room = users
    if not 1 <= k <= ZJ_MAX_STEPS:
        raise ValueError(f"k: 1 to {ZJ_MAX_STEPS} steps, got {k}")
    if len(step_masks) != lane_set.count:
        raise ValueError(f"step_masks: {len(step_masks)} masks for {lane_set.count} lanes")
    cdef RowArrays rows = RowArrays(
        lane_set, [m if isinstance(m, np.ndarray) else None for m in step_masks], _U32, "step_masks"
    )
    found, cells = np.zeros(users, _U8), np.zeros(k + 1, _I64)
    cdef uint8_t *who = <uint8_t *>pointer(found, _U8, -1, "found")
    cdef int64_t *levels = <int64_t *>pointer(cells, _I64, -1, "cells")
    cdef uint32_t *fixed = <uint32_t *>calloc(max(1, lane_set.count), sizeof(uint32_t))
    if fixed == NULL:
        raise MemoryError
    try:
        for i in range(lane_set.count):
            if not isinstance(step_masks[i], np.ndarray):
                fixed[i] = step_masks[i]
        q.lanes, q.count, q.steps, q.ties = lane_set.lanes, lane_set.count, k, ZJ_TIES_SEQUENCE
        q.step_mask, q.row_mask = fixed, <const uint32_t **>rows.data
        q.window, q.from_, q.to = max(0, _far(window_ms)), _far(from_ms), _far(to_ms)
        ask.code, ask.groups, ask.edges, ask.buckets = NULL, 1, NULL, 1
        ask.complete, ask.room = who, room
        if allowed is not None:  # few are sought one by one, without a look at the rows of others
            few = np.flatnonzero(allowed).astype(np.uint32)
            n_few = len(few)
            some = n_few * FEW < users
            if some:
                chosen = <const uint32_t *>pointer(few, _U32, -1, "few")
        with nogil:
            if some:
                status = zj_funnel_fast(&q, &guard.c, chosen, n_few, levels, who, room)
            else:
                status = zj_funnel_runs(&q, &ask, &guard.c, levels, &leftover, &left)
            if some:
                pass
            elif status == ZJ_REJECTED:  # the runs do not go together: user by user
                status = zj_funnel_fast(&q, &guard.c, NULL, 0, levels, who, room)
            elif status == ZJ_OK and left:
                status = zj_funnel_fast(&q, &guard.c, leftover, left, levels, who, room)
    finally:
        free(leftover)
        free(fixed)
    if status == ZJ_REJECTED:
        return None
    finish(status)
    return found
