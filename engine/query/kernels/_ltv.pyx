# cython: auto_pickle=False, autotestdict=False
"""Lifetime value kernel. C in ``ltv.h``; this file checks arguments, allocates and converts.

Thread-safety: a free function without state; the GIL is released while rows are read.
"""

from collections import namedtuple

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

import numpy as np

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, RowArrays, finish, pointer, zj_guard, zj_lane, zj_lane_sound

cdef extern from "ltv.h" nogil:
    ctypedef struct zj_ltv:
        const zj_lane *lanes
        int count
        const double **value
        const int32_t *cohort
        const int64_t *entry
        const uint32_t *line
        const uint32_t *line_at
        size_t users
        const int64_t *edges
        int32_t period_buckets
        int64_t period_ms
        uint32_t lines
        int32_t cohorts, periods
        int64_t pick_line, pick_cohort
        int32_t pick_period
        int pick_so_far, picking

    ctypedef struct zj_ltv_out:
        double *sum
        double *lost
        int64_t *payers
        int64_t *first
        uint32_t *picked
        size_t n_picked

    int zj_ltv_run(const zj_ltv *q, zj_guard *guard, zj_ltv_out *out)

cdef extern from "ltv_fast.h" nogil:
    int zj_ltv_is_fast(const zj_ltv *q)
    int zj_ltv_fast(const zj_ltv *q, zj_guard *guard, zj_ltv_out *out)
    void zj_cohorts(const int64_t *entry, const uint8_t *known, size_t n, const int64_t *edges, int32_t buckets,
                    int32_t *cohort)

_U32, _I32, _I64, _F64 = np.dtype(np.uint32), np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.float64)
MAX_CELLS = 1 << 26
LtvCells = namedtuple("LtvCells", ("value", "lost", "payers", "first", "picked"))


def ltv_cells(
    lanes, values, *, cohort, entry, lines, n_lines, cohorts, periods, edges, period_ms=0, pick=None, cancel=None,
    allowed=None,
):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef RowArrays value_rows = RowArrays(lane_set, values, _F64, "values")
    cdef Guard guard = Guard(cancel, allowed)
    if any(one is None for one in values):
        raise ValueError("values: an array for each lane")
    if cohorts < 1 or periods < 1 or n_lines < 0 or n_lines * cohorts * periods > MAX_CELLS:
        raise ValueError(f"{n_lines} lines x {cohorts} cohorts x {periods} periods: 1 to {MAX_CELLS} cells")
    if edges.ndim != 1 or len(edges) < 2 or bool((np.diff(edges) < 0).any()) or bool((np.abs(edges) > 1 << 60).any()):
        raise ValueError("edges: at least two ascending instants within 2**60 ms are needed")
    if entry is None and len(edges) < cohorts + periods:
        raise ValueError(f"edges: at least {cohorts + periods} instants are needed, got {len(edges)}")
    if entry is not None and not 0 < period_ms <= 1 << 40:
        raise ValueError(f"period_ms: 1 to 2**40, got {period_ms}")
    users = len(cohort)
    cdef zj_ltv q
    q.lanes, q.count = lane_set.lanes, lane_set.count
    q.value = <const double **>value_rows.data
    q.users = users
    q.cohort = <const int32_t *>pointer(cohort, _I32, -1, "cohort")
    q.entry = NULL
    if entry is not None:
        q.entry = <const int64_t *>pointer(entry, _I64, users, "entry")
    q.line = q.line_at = NULL
    if isinstance(lines, tuple):
        offsets, lines = lines
        q.line_at = <const uint32_t *>pointer(offsets, _U32, users + 1, "lines")
        if users >= 0xFFFFFFFF or not zj_lane_sound(q.line_at, users, len(lines)):
            raise ValueError("lines: offsets do not ascend from 0 to the number of lines")
        q.line = <const uint32_t *>pointer(lines, _U32, -1, "lines")
    elif lines is not None:
        q.line = <const uint32_t *>pointer(lines, _U32, users, "lines")
    q.edges = <const int64_t *>pointer(edges, _I64, -1, "edges")
    q.period_buckets = len(edges) - 1
    q.period_ms = period_ms if entry is not None else 1
    q.lines, q.cohorts, q.periods = n_lines, cohorts, periods
    q.pick_line = q.pick_cohort = -1
    q.pick_period = q.pick_so_far = 0
    q.picking = pick is not None
    if pick is not None:
        q.pick_line, q.pick_cohort, q.pick_period, q.pick_so_far = pick
        if not 0 <= q.pick_period < periods:
            raise ValueError(f"pick: a period is 0 to {periods - 1}")
    shape = (n_lines, cohorts, periods)
    total, lost = np.zeros(shape, _F64), np.zeros(shape, _F64)
    payers, first = np.zeros(shape, _I64), np.zeros(shape, _I64)
    picked = np.empty(0 if pick is None else sum(len(lane.users) for lane in lanes), _U32)
    cdef zj_ltv_out out
    out.sum = <double *>pointer(total.ravel(), _F64, -1, "value")
    out.lost = <double *>pointer(lost.ravel(), _F64, -1, "value")
    out.payers = <int64_t *>pointer(payers.ravel(), _I64, -1, "payers")
    out.first = <int64_t *>pointer(first.ravel(), _I64, -1, "first")
    out.picked = <uint32_t *>pointer(picked, _U32, -1, "picked")
    out.n_picked = 0
    cdef int status
    with nogil:
        status = zj_ltv_fast(&q, &guard.c, &out) if zj_ltv_is_fast(&q) else zj_ltv_run(&q, &guard.c, &out)
    finish(status)
    return LtvCells(total, lost, payers, first, picked[: out.n_picked].copy())


def cohorts_of(entry, known, edges):
    cdef const int64_t *at = <const int64_t *>pointer(entry, _I64, -1, "entry")
    cdef size_t n = entry.shape[0]
    cdef const uint8_t *there = <const uint8_t *>pointer(known, np.dtype(np.uint8), n, "known")
    cdef const int64_t *edge = <const int64_t *>pointer(edges, _I64, -1, "edges")
    if not 2 <= edges.shape[0] <= MAX_CELLS or bool((np.diff(edges) < 0).any()):
        raise ValueError("edges: at least two ascending instants are needed")
    cdef int32_t buckets = <int32_t>(edges.shape[0] - 1)
    found = np.empty(n, _I32)
    cdef int32_t *out = <int32_t *>pointer(found, _I32, n, "cohort")
    with nogil:
        zj_cohorts(at, there, n, edge, buckets, out)
    return found
