# cython: auto_pickle=False, autotestdict=False
"""Stream kernels: the whole per-user order of a source, sessions, and as-of joins.

C in ``streams.h``; this file checks arguments, allocates and converts.
Thread-safety: free functions without state; the GIL is released while rows are read.
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free

import numpy as np

from zuji.engine.query.kernels.lane import Lane

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, finish, pointer, zj_guard, zj_lane

cdef extern from "streams.h" nogil:
    int zj_stream(const zj_lane *run, int count, const uint16_t *interleave, uint32_t n, zj_guard *guard,
                  uint32_t *users, uint32_t *offsets, uint32_t *times, uint16_t *ties, uint32_t *row,
                  uint32_t *n_users, int *any_tie)
    int zj_sessions(const zj_lane *lanes, int count, int64_t gap, zj_guard *guard, int64_t **out, int64_t *total)
    int zj_asof(const uint32_t *users, const int64_t *times, size_t n, const zj_lane *lane, zj_guard *guard,
                int64_t *out)

_U16, _U32, _I64 = np.dtype(np.uint16), np.dtype(np.uint32), np.dtype(np.int64)


def stream_lane(runs, interleave, base_ms, rank=0, cancel=None):
    cdef LaneSet lanes = LaneSet([Lane(users, offsets, times, base_ms, rank) for users, offsets, times in runs])
    cdef Guard guard = Guard(cancel, None)
    cdef const uint16_t *code = <const uint16_t *>pointer(interleave, _U16, -1, "interleave")
    rows = [len(times) for _users, _offsets, times in runs]
    if sum(rows) != len(interleave) or len(interleave) >= 0xFFFFFFFF:
        raise ValueError(f"interleave: {len(interleave)} rows, the runs have {sum(rows)}")
    if len(interleave) and np.bincount(interleave, minlength=len(rows)).tolist() != rows:
        raise ValueError("interleave: the rows of the runs do not add up")
    cdef uint32_t n = <uint32_t>len(interleave)
    room = min(n, sum(len(users) for users, _offsets, _times in runs))
    # a user may come back only in broken data, which is refused at once: one place to spare
    users, offsets = np.empty(room + 1, _U32), np.empty(room + 2, _U32)
    times, ties, row = np.empty(n, _U32), np.empty(n, _U16), np.empty(n, _U32)
    cdef uint32_t *users_out = <uint32_t *>pointer(users, _U32, -1, "users")
    cdef uint32_t *offsets_out = <uint32_t *>pointer(offsets, _U32, -1, "offsets")
    cdef uint32_t *times_out = <uint32_t *>pointer(times, _U32, -1, "times")
    cdef uint16_t *ties_out = <uint16_t *>pointer(ties, _U16, -1, "ties")
    cdef uint32_t *row_out = <uint32_t *>pointer(row, _U32, -1, "row")
    cdef uint32_t n_users = 0
    cdef int any_tie = 0
    cdef int status
    with nogil:
        status = zj_stream(lanes.lanes, lanes.count, code, n, &guard.c, users_out, offsets_out, times_out,
                           ties_out, row_out, &n_users, &any_tie)
    finish(status)
    lane = Lane(users[:n_users].copy(), offsets[: n_users + 1].copy(), times, base_ms, rank, ties if any_tie else None)
    return lane, interleave, row


def sessions(lanes, gap_ms, cancel=None):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef Guard guard = Guard(cancel, None)
    cdef int64_t gap = min(max(0, int(gap_ms)), 1 << 60)
    cdef int64_t total = 0
    cdef int i
    cdef int status
    cdef int64_t **into = <int64_t **>calloc(max(1, lane_set.count), sizeof(int64_t *))
    if into == NULL:
        raise MemoryError
    try:
        out = [np.empty(lane.rows, _I64) for lane in lanes]
        for i in range(lane_set.count):
            into[i] = <int64_t *>pointer(out[i], _I64, -1, "sessions")
        with nogil:
            status = zj_sessions(lane_set.lanes, lane_set.count, gap, &guard.c, into, &total)
        finish(status)
    finally:
        free(into)
    return out


def asof(hist_users, hist_times, lane, cancel=None):
    cdef LaneSet lanes = LaneSet([lane])
    cdef Guard guard = Guard(cancel, None)
    cdef const uint32_t *users = <const uint32_t *>pointer(hist_users, _U32, -1, "hist_users")
    cdef size_t n = hist_users.shape[0]
    cdef const int64_t *times = <const int64_t *>pointer(hist_times, _I64, n, "hist_times")
    out = np.empty(lane.rows, _I64)
    cdef int64_t *into = <int64_t *>pointer(out, _I64, -1, "out")
    cdef int status
    with nogil:
        status = zj_asof(users, times, n, lanes.lanes, &guard.c, into)
    finish(status)
    return out
