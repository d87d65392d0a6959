# cython: auto_pickle=False, autotestdict=False
"""Distribution kernel. C in ``distribution.h``; this file checks arguments, allocates and converts.

Thread-safety: a free function without state; the GIL is released while rows are read.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memset

import numpy as np

cimport numpy as cnp

from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.query.kernels.lane import UserValues

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, RowArrays, finish, pointer, zj_guard, zj_lane
from zuji.engine.query.kernels._taken cimport taken

cdef extern from "distribution.h" nogil:
    int ZD_FULL

    ctypedef struct zd_ask:
        const zj_lane *lanes
        int count
        const int64_t *edges
        const int32_t *period
        int32_t spans, periods
        const double **value
        const uint8_t **present
        int op, place
        size_t most

    ctypedef struct zd_records:
        uint32_t *user
        uint32_t *row
        int32_t *period
        int32_t *lane
        double *value
        size_t count, room
        int places

    int zd_run(const zd_ask *q, zj_guard *guard, zd_records *out)
    void zd_records_close(zd_records *out)

cnp.import_array()

_I64, _I32, _U8, _F64 = np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.uint8), np.dtype(np.float64)
_OPS = {"rows": 0, "spans": 1, "sum": 2, "avg": 3, "min": 4, "max": 5}
_PLACES = {None: 0, "first": 1, "last": 2}
MAX_SPANS = 1 << 26


def user_values(
    lanes, edges, periods, op, *, values=None, value_masks=None, place=None, most=1 << 40, cancel=None, allowed=None
):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef RowArrays value_rows = RowArrays(lane_set, values, _F64, "values")
    cdef RowArrays present = RowArrays(lane_set, value_masks, _U8, "value_masks")
    cdef Guard guard = Guard(cancel, allowed)
    cdef zd_ask q
    cdef zd_records out
    cdef int status
    q.edges = <const int64_t *>pointer(edges, _I64, -1, "edges")
    spans = len(edges) - 1
    if not 1 <= spans <= MAX_SPANS or bool((np.diff(edges) < 0).any()) or bool((np.abs(edges) > 1 << 60).any()):
        raise ValueError(f"edges: 2 to {MAX_SPANS + 1} ascending instants below 2**60 ms")
    q.period = <const int32_t *>pointer(periods, _I32, spans, "periods")
    if int(periods.min()) < 0 or int(periods.max()) >= spans:
        raise ValueError("periods: numbers from 0, fewer than there are spans")
    q.lanes, q.count = lane_set.lanes, lane_set.count
    q.spans, q.periods = spans, int(periods.max()) + 1
    q.value = <const double **>value_rows.data
    q.present = <const uint8_t **>present.data
    q.op, q.place = _OPS[op], _PLACES[place]
    q.most = most
    memset(&out, 0, sizeof(out))
    out.places = q.place != 0
    with nogil:
        status = zd_run(&q, &guard.c, &out)
    try:
        if status == ZD_FULL:
            raise QueryBudgetExceeded(
                "more users and periods than the query's memory holds; narrow the time range, take a coarser "
                "'time.grain', add a filter, or raise the budget"
            )
        finish(status)
        return UserValues(
            taken(<void **>&out.user, out.count, cnp.NPY_UINT32),
            taken(<void **>&out.period, out.count, cnp.NPY_INT32),
            taken(<void **>&out.value, out.count, cnp.NPY_FLOAT64),
            taken(<void **>&out.lane, out.count if out.places else 0, cnp.NPY_INT32),
            taken(<void **>&out.row, out.count if out.places else 0, cnp.NPY_UINT32),
        )
    finally:
        zd_records_close(&out)
