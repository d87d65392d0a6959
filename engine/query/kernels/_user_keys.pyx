# cython: auto_pickle=False, autotestdict=False
"""Values of a user's rows, by equality. C in ``user_keys.h``; this file checks and converts.

Thread-safety: a free function without state; the GIL is released while rows are read.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free

import numpy as np

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, RowArrays, finish, pointer, zj_guard, zj_lane, zj_lane_sound

cdef extern from "user_keys.h" nogil:
    ctypedef struct zk_ask:
        const zj_lane *lanes
        int count, op
        int64_t from_ "from"
        int64_t to
        const int64_t **key
        const uint8_t **present
        const uint32_t **offsets
        size_t users
        uint32_t *number
        int64_t *most

    int zk_run(const zk_ask *q, zj_guard *guard)

_I64, _U32 = np.dtype(np.int64), np.dtype(np.uint32)
_OPS = {"distinct": 0, "most_frequent": 1}


def user_keys(lanes, keys, from_ms, to_ms, users, op, *, present=None, offsets=None, cancel=None, allowed=None):
    cdef LaneSet rows = LaneSet(lanes)
    cdef RowArrays there = RowArrays(rows, present, np.uint8, "present")
    cdef Guard guard = Guard(cancel, allowed)
    cdef zk_ask q
    cdef int i, status
    cdef const uint32_t *ends
    if users < 0:
        raise ValueError("users: 0 or more")
    keys, ends_of = list(keys), [None] * rows.count if offsets is None else list(offsets)
    if len(keys) != rows.count or len(ends_of) != rows.count:
        raise ValueError("keys, offsets: one a lane")
    number = np.zeros(users, _U32)
    most = np.zeros(users if op == "most_frequent" else 0, _I64)
    q.lanes, q.count, q.op = rows.lanes, rows.count, _OPS[op]
    q.from_, q.to, q.users = from_ms, to_ms, users
    q.number = <uint32_t *>pointer(number, _U32, users, "number")
    q.most = <int64_t *>pointer(most, _I64, -1, "most")
    q.present = <const uint8_t **>there.data
    cdef const void **places = <const void **>calloc(2 * rows.count + 1, sizeof(void *))
    if places == NULL:
        raise MemoryError
    try:
        q.key, q.offsets = <const int64_t **>places, <const uint32_t **>(places + rows.count)
        for i in range(rows.count):
            n = rows.lanes[i].n
            if keys[i] is None:
                continue
            if ends_of[i] is not None:
                ends = <const uint32_t *>pointer(ends_of[i], _U32, n + 1, "offsets")
                if not zj_lane_sound(ends, n, ends[n]):
                    raise ValueError("offsets do not ascend from 0")
                places[rows.count + i] = ends
                n = ends[n]
            places[i] = <const void *>pointer(keys[i], _I64, n, "keys")
        with nogil:
            status = zk_run(&q, &guard.c)
    finally:
        free(places)
    finish(status)
    return number, most
