# cython: auto_pickle=False, autotestdict=False
"""What the rows of each user come to. C in ``user_rows.h``; this file checks and converts.

Thread-safety: a free function without state; the GIL is released while rows are read.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

import numpy as np

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, RowArrays, finish, pointer, zj_guard, zj_lane

cdef extern from "user_rows.h" nogil:
    ctypedef struct zu_users:
        size_t users
        uint32_t *count
        double *sum
        double *rest
        int64_t *time
        int32_t *lane
        uint32_t *row

    void zu_round(zu_users *to)
    int zu_lane(const zj_lane *lanes, int number, const double *values, const uint8_t *present,
                int64_t from_ms, int64_t to_ms, int last, zu_users *to, zj_guard *guard)

_U32, _I32, _I64, _F64 = np.dtype(np.uint32), np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.float64)


@cython.final
cdef class UserRows:
    cdef readonly object count
    cdef readonly object sum
    cdef readonly object rest
    cdef readonly object time
    cdef readonly object lane
    cdef readonly object row


def user_rows(lanes, from_ms, to_ms, users, *, values=None, present=None, last=False, cancel=None, allowed=None):
    cdef LaneSet rows = LaneSet(lanes)
    cdef RowArrays numbers = RowArrays(rows, values, np.float64, "values")
    cdef RowArrays there = RowArrays(rows, present, np.uint8, "present")
    cdef Guard guard = Guard(cancel, allowed)
    cdef UserRows out = UserRows.__new__(UserRows)
    cdef zu_users to
    cdef int64_t low = from_ms, high = to_ms
    cdef int i, status = 0, latest = bool(last)
    if users < 0:
        raise ValueError("users: 0 or more")
    to.users = users
    out.count, out.time = np.zeros(users, _U32), np.zeros(users, _I64)
    out.lane, out.row = np.full(users, -1, _I32), np.zeros(users, _U32)
    to.count = <uint32_t *>pointer(out.count, _U32, users, "count")
    to.time = <int64_t *>pointer(out.time, _I64, users, "time")
    to.lane = <int32_t *>pointer(out.lane, _I32, users, "lane")
    to.row = <uint32_t *>pointer(out.row, _U32, users, "row")
    to.sum = to.rest = NULL
    if values is not None:
        out.sum, out.rest = np.zeros(users, _F64), np.zeros(users, _F64)
        to.sum = <double *>pointer(out.sum, _F64, users, "sum")
        to.rest = <double *>pointer(out.rest, _F64, users, "rest")
    with nogil:
        for i in range(rows.count):
            if status == 0:
                status = zu_lane(rows.lanes, i, <const double *>numbers.data[i],
                                 <const uint8_t *>there.data[i], low, high, latest, &to, &guard.c)
        if to.sum != NULL:
            zu_round(&to)
    finish(status)
    return out
