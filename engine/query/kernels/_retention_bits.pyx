# cython: auto_pickle=False, autotestdict=False
"""Retention from sets of users. C in ``retention_bits.h``; this file checks and converts.

Thread-safety: a free function without state; the GIL is released while bits are counted.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free

import numpy as np

from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels.criteria import cells_of

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, finish, pointer, zj_guard, zj_lane

cdef extern from "retention_bits.h" nogil:
    ctypedef struct zb_days:
        const uint64_t *users
        const uint64_t *multi
        size_t words

    ctypedef struct zb_rows:
        const int32_t *offsets
        const int32_t *run
        const int32_t *day

    ctypedef struct zb_retention:
        const zb_days *days
        zb_rows start
        zb_rows back
        zb_rows zero
        zb_rows before
        const uint64_t *allowed
        size_t words
        int periods
        int n
        int cohort
        int criterion
        const int32_t *bracket
        int k_count
        const uint8_t *cancel
        int64_t *size
        int64_t *returned

    int zb_retention_run(const zb_retention *q, int level)

cdef extern from "rows_bits.h" nogil:
    ctypedef struct zj_buckets:
        pass

    zj_buckets *zj_buckets_of(const zj_lane *lanes, int count, const int64_t *edges, int nb)
    void zj_buckets_free(zj_buckets *all, int count)
    int zb_rows_bits(const zj_lane *lane, const zj_buckets *buckets, uint64_t *users, uint64_t *multi,
                     size_t words, uint64_t *scratch, zj_guard *guard)

_U8, _I32, _I64, _U64 = np.dtype(np.uint8), np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.uint64)


cdef const uint64_t *_matrix(object bits, object shape, str name) except? NULL:
    if not isinstance(bits, np.ndarray) or bits.ndim != 2 or not bits.flags.c_contiguous:
        raise TypeError(f"{name}: a contiguous 2-d array is needed")
    if shape is not None and bits.shape != shape:
        raise ValueError(f"{name}: shape {bits.shape}, expected {shape}")
    return <const uint64_t *>pointer(bits.reshape(-1), _U64, -1, name)


cdef int _rows(zb_rows *to, object rows, Py_ssize_t count, object sizes, str name) except -1:
    """Checks that rows name days that are there."""
    offsets, run, day = rows
    to.offsets = <const int32_t *>pointer(offsets, _I32, count + 1, name)
    to.run = <const int32_t *>pointer(run, _I32, -1, name)
    to.day = <const int32_t *>pointer(day, _I32, run.shape[0], name)
    if offsets[0] != 0 or offsets[count] != len(run) or bool((np.diff(offsets) < 0).any()):
        raise ValueError(f"{name}: offsets do not ascend from 0 to the number of days")
    if len(run) and (run.min() < 0 or run.max() >= len(sizes) or day.min() < 0
                     or bool((day >= sizes[run]).any())):
        raise ValueError(f"{name}: a day that is not there")
    return 0


def retention_bits(
    days, starts, backs, zeros, before, allowed, *, words, periods, n, cohort, criterion, brackets=None,
    cancel=None, level=-1,
):
    if periods < 1 or words < 0:
        raise ValueError("periods: at least 1")
    ranges, k_count = cells_of(n, cohort, criterion, brackets)
    size, returned = np.zeros(periods, _I64), np.zeros((periods, k_count), _I64)
    cdef zb_retention q
    cdef Py_ssize_t i
    cdef int status
    cdef int code = level
    given = list(days)
    sizes = np.array([len(users) for users, _ in given] or [0], np.int32)
    cdef zb_days *runs = <zb_days *>calloc(max(1, len(given)), sizeof(zb_days))
    if runs == NULL:
        raise MemoryError
    try:
        for i, (users, multi) in enumerate(given):
            runs[i].users = _matrix(users, None, "days")
            runs[i].words = users.shape[1]
            if users.shape[1] > words:
                raise ValueError(f"days: {users.shape[1]} words, at most {words} are expected")
            if multi is not None:
                runs[i].multi = _matrix(multi, users.shape, "days")
            elif zeros is not None and bool((zeros[1] == i).any()):
                raise ValueError("days: users with two rows are needed")
        _rows(&q.start, starts, periods, sizes, "starts")
        _rows(&q.back, backs, periods + n, sizes, "backs")
        _rows(&q.before, before, 1, sizes, "before")
        q.zero.offsets = NULL
        if zeros is not None:
            _rows(&q.zero, zeros, periods, sizes, "zeros")
        q.days = runs
        q.allowed = NULL
        if allowed is not None:
            q.allowed = <const uint64_t *>pointer(allowed, _U64, words, "allowed")
        q.cancel = NULL
        if cancel is not None:
            q.cancel = <const uint8_t *>pointer(cancel, _U8, 1, "cancel")
        q.words, q.periods, q.n, q.cohort, q.criterion = words, periods, n, cohort, criterion
        q.bracket = <const int32_t *>pointer(ranges, _I32, -1, "brackets")
        q.k_count = k_count
        q.size = <int64_t *>pointer(size, _I64, -1, "size")
        q.returned = <int64_t *>pointer(returned.reshape(-1), _I64, -1, "returned")
        with nogil:
            status = zb_retention_run(&q, code)
    finally:
        free(runs)
    if status == 1:
        raise QueryCancelled("the query was cancelled")
    if status == 2:
        raise MemoryError("a kernel could not allocate its work space")
    return size, returned


def rows_bits(lanes, edges, words, *, multi=False, cancel=None):
    cdef LaneSet rows = LaneSet(lanes)
    cdef Guard guard = Guard(cancel, None)
    cdef const int64_t *cuts = <const int64_t *>pointer(edges, _I64, -1, "edges")
    cdef int count = <int>len(edges) - 1
    if count < 1 or bool((np.diff(edges) < 0).any()) or bool((np.abs(edges) > 1 << 60).any()):
        raise ValueError("edges: at least two ascending instants within 2**60 ms are needed")
    cdef size_t width = words
    users = np.zeros((count + 2, words), _U64)
    again = np.zeros((count + 2, words), _U64) if multi else None
    cdef uint64_t *into = <uint64_t *>_matrix(users, None, "users")
    cdef uint64_t *twice = NULL
    if multi:
        twice = <uint64_t *>_matrix(again, None, "multi")
    cdef zj_buckets *buckets = zj_buckets_of(rows.lanes, rows.count, cuts, count)
    cdef int i, status = 0
    cdef uint64_t *scratch = <uint64_t *>calloc(2 * (count + 2), sizeof(uint64_t))
    with nogil:
        for i in range(rows.count):
            if buckets != NULL and scratch != NULL and status == 0:
                status = zb_rows_bits(&rows.lanes[i], &buckets[i], into, twice, width, scratch, &guard.c)
        zj_buckets_free(buckets, rows.count)
        free(scratch)
    if buckets == NULL or scratch == NULL:
        raise MemoryError
    finish(status)
    return users, again
