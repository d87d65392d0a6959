# cython: auto_pickle=False, autotestdict=False
"""Interval kernel. C in ``interval.h``; this file checks arguments, allocates and converts.

Thread-safety: a free function without state; the GIL is released while rows are read.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memset

import numpy as np

cimport numpy as cnp

from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.query.kernels.lane import Pairs

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, RowArrays, finish, pointer, zj_guard, zj_lane
from zuji.engine.query.kernels._taken cimport taken

cdef extern from "interval.h" nogil:
    int ZI_FULL

    ctypedef struct zi_ask:
        const zj_lane *lanes
        int count
        const uint8_t **roles
        const uint8_t *role
        const uint32_t **start_key
        const uint32_t **end_key
        int held, nearest_end, strict, places
        int64_t cap, first
        const int64_t *edges
        int32_t buckets
        size_t most

    ctypedef struct zi_pairs:
        uint32_t *user
        uint32_t *start_row
        uint32_t *end_row
        int32_t *bucket
        int32_t *start_lane
        int32_t *end_lane
        int64_t *gap
        size_t count, room
        int places

    int zi_run(const zi_ask *q, zj_guard *guard, zi_pairs *out)
    void zi_pairs_close(zi_pairs *out)
    size_t zi_numbered(const uint32_t *owner, const uint32_t *label, size_t n, uint32_t size, uint32_t *last,
                       uint32_t *scratch, uint32_t *number, uint32_t *first)

cnp.import_array()

_U8, _U32, _I32, _I64 = np.dtype(np.uint8), np.dtype(np.uint32), np.dtype(np.int32), np.dtype(np.int64)
_NEAREST = {"start": 0, "end": 1}
START, END = 1, 2
NO_KEY = 0xFFFFFFFF
FAR = 1 << 60


def interval_pairs(
    lanes, roles, edges, *, nearest="start", strict=False, cap_ms=None, first_ms=None, start_keys=None,
    end_keys=None, places=False, most=1 << 40, cancel=None, allowed=None,
):
    cdef LaneSet lane_set = LaneSet(lanes)
    given = list(roles)
    if len(given) != lane_set.count:
        raise ValueError(f"roles: {len(given)} for {lane_set.count} lanes")
    cdef RowArrays by_row = RowArrays(
        lane_set, [r if isinstance(r, np.ndarray) else None for r in given], _U8, "roles"
    )
    fixed = np.array([0 if isinstance(r, np.ndarray) else int(r) & 3 for r in given] or [0], np.uint8)
    if (start_keys is None) != (end_keys is None):
        raise ValueError("keys of starts and of ends belong together")
    cdef RowArrays starts = RowArrays(lane_set, start_keys, _U32, "start_keys")
    cdef RowArrays ends = RowArrays(lane_set, end_keys, _U32, "end_keys")
    cdef Guard guard = Guard(cancel, allowed)
    buckets = len(edges) - 1
    if buckets < 1 or bool((np.diff(edges) < 0).any()) or bool((np.abs(edges) > FAR).any()):
        raise ValueError("edges: at least two ascending instants below 2**60 ms")
    if cap_ms is not None and not 0 <= cap_ms <= FAR:
        raise ValueError(f"cap_ms: 0 to 2**60, got {cap_ms}")
    cdef zi_ask q
    cdef zi_pairs out
    cdef int status
    q.lanes, q.count = lane_set.lanes, lane_set.count
    q.roles = <const uint8_t **>by_row.data
    q.role = <const uint8_t *>pointer(fixed, _U8, -1, "roles")
    q.start_key = <const uint32_t **>starts.data
    q.end_key = <const uint32_t **>ends.data
    q.held = start_keys is not None
    q.nearest_end = _NEAREST[nearest]
    q.strict, q.places = bool(strict), bool(places)
    q.cap = 2 * FAR if cap_ms is None else cap_ms
    q.first = int(edges[0]) if first_ms is None else first_ms
    q.edges = <const int64_t *>pointer(edges, _I64, -1, "edges")
    q.buckets = buckets
    q.most = most
    memset(&out, 0, sizeof(out))
    out.places = q.places
    with nogil:
        status = zi_run(&q, &guard.c, &out)
    try:
        if status == ZI_FULL:
            raise QueryBudgetExceeded(
                "more pairs than the query's memory holds; narrow the time range, add a filter to 'start' or 'end', "
                "or raise the budget"
            )
        finish(status)
        placed = out.count if out.places else 0
        return Pairs(
            taken(<void **>&out.user, out.count, cnp.NPY_UINT32),
            taken(<void **>&out.bucket, out.count, cnp.NPY_INT32),
            taken(<void **>&out.gap, out.count, cnp.NPY_INT64),
            taken(<void **>&out.start_lane, placed, cnp.NPY_INT32),
            taken(<void **>&out.start_row, placed, cnp.NPY_UINT32),
            taken(<void **>&out.end_lane, placed, cnp.NPY_INT32),
            taken(<void **>&out.end_row, placed, cnp.NPY_UINT32),
        )
    finally:
        zi_pairs_close(&out)


def numbered(owner, label, size):
    cdef Py_ssize_t n = len(owner)
    cdef const uint32_t *owners = <const uint32_t *>pointer(owner, _U32, -1, "owner")
    cdef const uint32_t *labels = <const uint32_t *>pointer(label, _U32, n, "label")
    if not 0 <= size < 0xFFFFFFFF or n >= 0xFFFFFFFF:
        raise ValueError("at most 2**32 - 2 labels and rows")
    last, scratch = np.full(size + 1, 0xFFFFFFFF, _U32), np.empty(size + 1, _U32)
    number, first = np.empty(n, _U32), np.empty(n, _U32)
    cdef uint32_t *lasts = <uint32_t *>pointer(last, _U32, -1, "last")
    cdef uint32_t *rooms = <uint32_t *>pointer(scratch, _U32, -1, "scratch")
    cdef uint32_t *numbers = <uint32_t *>pointer(number, _U32, -1, "number")
    cdef uint32_t *firsts = <uint32_t *>pointer(first, _U32, -1, "first")
    cdef uint32_t most = size
    cdef size_t count
    with nogil:
        count = zi_numbered(owners, labels, n, most, lasts, rooms, numbers, firsts)
    if count > <size_t>n:
        raise ValueError(f"label: numbers below {size}")
    return number, first[:count].copy()
