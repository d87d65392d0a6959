# cython: auto_pickle=False, autotestdict=False
"""Retention kernel. C in ``retention.h``; this file checks arguments, allocates and converts.

Thread-safety: a free function without state; the GIL is released while rows are read.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

import numpy as np

from zuji.engine.query.kernels.criteria import cells_of
from zuji.engine.query.kernels.lane import RetentionCells

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, RowArrays, finish, pointer, zj_guard, zj_lane

cdef extern from "retention.h" nogil:
    ctypedef struct zj_retention:
        const zj_lane *start
        const zj_lane *back
        const zj_lane *metric
        int n_start, n_back, n_metric
        const uint32_t **group
        const uint8_t **back_start_row
        const uint8_t *back_start
        const double **value
        const int64_t *start_edges
        const int64_t *period_edges
        int32_t periods, period_buckets
        int rolling
        int64_t period_ms
        int n
        int cohort, criterion
        const int32_t *bracket
        int k_count
        uint32_t groups
        int64_t pick_group, pick_period, pick_k
        int pick_returned

    ctypedef struct zj_retention_out:
        int64_t *size
        int64_t *returned
        double *sum
        double *lost
        int64_t *count
        uint32_t *picked
        size_t n_picked

    int zj_retention_run(const zj_retention *q, zj_guard *guard, zj_retention_out *out)

_U8, _U32, _I64, _F64 = np.dtype(np.uint8), np.dtype(np.uint32), np.dtype(np.int64), np.dtype(np.float64)
_I32 = np.dtype(np.int32)
MAX_CELLS = 1 << 26
_MODES = {"calendar": 0, "rolling": 1}


def _ascending(edges, name):
    """Checks instants: ascending, and small enough for sums."""
    if edges.ndim != 1 or len(edges) < 2 or bool((np.diff(edges) < 0).any()):
        raise ValueError(f"{name}: at least two ascending instants are needed")
    if bool((np.abs(edges) > 1 << 60).any()):
        raise ValueError(f"{name}: instants beyond 2**60 ms")


def retention_cells(
    start_lanes, start_groups, n_groups, return_lanes, return_is_start, *, start_edges, period_edges, mode,
    period_ms, n, cohort, criterion, brackets=None, metric_lanes=None, metric_values=None, pick=None,
    cancel=None, allowed=None,
):
    cdef LaneSet start = LaneSet(start_lanes, return_lanes)
    cdef LaneSet back = LaneSet(return_lanes, start_lanes)
    cdef LaneSet metric = LaneSet(() if metric_lanes is None else metric_lanes)
    cdef RowArrays groups = RowArrays(start, start_groups, _U32, "start_groups")
    cdef RowArrays values = RowArrays(metric, metric_values, _F64, "metric_values")
    cdef Guard guard = Guard(cancel, allowed)
    given = list(return_is_start)
    if len(given) != back.count:
        raise ValueError(f"return_is_start: {len(given)} items for {back.count} lanes")
    cdef RowArrays is_start = RowArrays(
        back, [m if isinstance(m, np.ndarray) else None for m in given], _U8, "return_is_start"
    )
    fixed = np.array([0 if isinstance(m, np.ndarray) else int(bool(m)) for m in given] or [0], np.uint8)
    _ascending(start_edges, "start_edges")
    _ascending(period_edges, "period_edges")
    periods = len(start_edges) - 1
    if len(period_edges) < periods + n + 1:
        raise ValueError(f"period_edges: at least {periods + n + 1} instants are needed, got {len(period_edges)}")
    if not 0 < period_ms <= 1 << 40:
        raise ValueError(f"period_ms: 1 to 2**40, got {period_ms}")
    ranges, k_count = cells_of(n, cohort, criterion, brackets)
    if n_groups < 0 or n_groups * periods * k_count > MAX_CELLS:
        raise ValueError(f"{n_groups} groups x {periods} cohorts x {k_count} periods: more than {MAX_CELLS} cells")
    shape = (n_groups, periods, k_count)
    size, returned = np.zeros(shape[:2], _I64), np.zeros(shape, _I64)
    with_metric = metric_lanes is not None
    m_shape = shape if with_metric else (0, 0, 0)
    total, lost, count = np.zeros(m_shape, _F64), np.zeros(m_shape, _F64), np.zeros(m_shape, _I64)
    picked = np.empty(0 if pick is None else sum(len(lane.users) for lane in start_lanes), _U32)
    cdef zj_retention q
    cdef zj_retention_out out
    q.start, q.back, q.metric = start.lanes, back.lanes, metric.lanes
    q.n_start, q.n_back, q.n_metric = start.count, back.count, metric.count
    q.group = <const uint32_t **>groups.data
    q.back_start_row = <const uint8_t **>is_start.data
    q.back_start = <const uint8_t *>pointer(fixed, _U8, -1, "return_is_start")
    q.value = <const double **>values.data
    q.start_edges = <const int64_t *>pointer(start_edges, _I64, -1, "start_edges")
    q.period_edges = <const int64_t *>pointer(period_edges, _I64, -1, "period_edges")
    q.periods = periods
    q.period_buckets = len(period_edges) - 1
    q.rolling = _MODES[mode]
    q.period_ms = period_ms
    q.n = n
    q.cohort = cohort
    q.criterion = criterion
    q.bracket = <const int32_t *>pointer(ranges, _I32, -1, "brackets")
    q.k_count = k_count
    q.groups = n_groups
    q.pick_group = q.pick_period = q.pick_k = -1
    q.pick_returned = -2
    if pick is not None:
        group, period, k, did_return = pick
        q.pick_group, q.pick_period = group, period
        q.pick_returned = -1 if did_return is None else int(bool(did_return))
        q.pick_k = 0 if did_return is None else k
        if not 0 <= q.pick_k < k_count:
            raise ValueError(f"pick: k is 0 to {k_count - 1}, got {k}")
    out.size = <int64_t *>pointer(size.ravel(), _I64, -1, "size")
    out.returned = <int64_t *>pointer(returned.ravel(), _I64, -1, "returned")
    out.sum = <double *>pointer(total.ravel(), _F64, -1, "sum")
    out.lost = <double *>pointer(lost.ravel(), _F64, -1, "lost")
    out.count = <int64_t *>pointer(count.ravel(), _I64, -1, "count")
    out.picked = <uint32_t *>pointer(picked, _U32, -1, "picked")
    out.n_picked = 0
    cdef int status
    with nogil:
        status = zj_retention_run(&q, &guard.c, &out)
    finish(status)
    return RetentionCells(
        size, returned, total if with_metric else None, lost if with_metric else None,
        count if with_metric else None, picked[: out.n_picked].copy(),
    )
