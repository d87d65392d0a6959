# cython: auto_pickle=False, autotestdict=False
"""Lifecycle and stickiness from sets of users. C in ``period_bits.h``; this file checks and converts.

Thread-safety: free functions without state; the GIL is released while bits are counted.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import numpy as np

from zuji.engine.errors import QueryCancelled

from zuji.engine.query.kernels._lanes cimport pointer

cdef extern from "period_bits.h" nogil:
    ctypedef struct zb_days:
        const uint64_t *users
        const uint64_t *multi
        size_t words

    ctypedef struct zb_rows:
        const int32_t *offsets
        const int32_t *run
        const int32_t *day

    ctypedef struct zp_lines:
        const uint32_t *offsets
        const uint32_t *line
        size_t users
        uint32_t lines

    ctypedef struct zp_query:
        const zb_days *days
        zb_rows rows
        zb_rows before
        const uint64_t *allowed
        size_t words
        int count
        zp_lines lines
        const uint8_t *cancel
        int64_t *anybody

    int zp_lifecycle(const zp_query *q, int64_t *cells, int level)
    int zp_stickiness(const zp_query *q, const int32_t *bucket, int buckets, int most, int64_t *counts, int level)

STATES = ("active", "new", "returning", "resurrected", "dormant")
MOST_ROWS = 65_535

_U8, _U32, _I32 = np.dtype(np.uint8), np.dtype(np.uint32), np.dtype(np.int32)
_I64, _U64 = np.dtype(np.int64), np.dtype(np.uint64)


@cython.final
cdef class _Query:
    """A checked query; holds what its pointers point to."""

    cdef zp_query c
    cdef zb_days *days
    cdef object keep
    cdef readonly object anybody

    def __cinit__(self, days, rows, before, allowed, words, count, lines, cancel):
        cdef Py_ssize_t i
        given = list(days)
        if words < 0 or not 0 < count <= MOST_ROWS:
            raise ValueError(f"rows: 1 to {MOST_ROWS}")
        self.days = <zb_days *>calloc(max(1, len(given)), sizeof(zb_days))
        if self.days == NULL:
            raise MemoryError
        for i, users in enumerate(given):
            if not isinstance(users, np.ndarray) or users.ndim != 2 or not users.flags.c_contiguous:
                raise TypeError("days: contiguous 2-d arrays are needed")
            if users.shape[1] > words:
                raise ValueError(f"days: {users.shape[1]} words, at most {words} are expected")
            self.days[i].users = <const uint64_t *>pointer(users.reshape(-1), _U64, -1, "days")
            self.days[i].words = users.shape[1]
        sizes = np.array([len(users) for users in given] or [0], np.int32)
        _rows(&self.c.rows, rows, count, sizes, "rows")
        _rows(&self.c.before, before, 1, sizes, "before")
        if allowed is not None:
            self.c.allowed = <const uint64_t *>pointer(allowed, _U64, words, "allowed")
        if cancel is not None:
            self.c.cancel = <const uint8_t *>pointer(cancel, _U8, 1, "cancel")
        self.c.days, self.c.words, self.c.count = self.days, words, count
        self.c.lines.lines = 1
        if lines is not None:
            offsets, line, number = lines
            if offsets[0] != 0 or offsets[-1] != len(line) or bool((offsets[1:] < offsets[:-1]).any()):
                raise ValueError("lines: offsets do not ascend from 0 to the number of lines")
            self.c.lines.offsets = <const uint32_t *>pointer(offsets, _U32, -1, "lines")
            self.c.lines.line = <const uint32_t *>pointer(line, _U32, -1, "lines")
            self.c.lines.users, self.c.lines.lines = len(offsets) - 1, number
        self.anybody = np.zeros(self.c.lines.lines, _I64)
        self.c.anybody = <int64_t *>pointer(self.anybody, _I64, -1, "anybody")
        self.keep = (given, rows, before, allowed, lines, cancel)

    def __dealloc__(self):
        free(self.days)


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


def lifecycle_bits(days, rows, before, allowed, *, words, periods, lines=None, cancel=None, level=-1):
    if periods < 1:
        raise ValueError("periods: at least 1")
    cdef _Query query = _Query(days, rows, before, allowed, words, periods + 1, lines, cancel)
    cells = np.zeros((len(query.anybody), periods, len(STATES)), _I64)
    cdef int64_t *to = <int64_t *>pointer(cells.reshape(-1), _I64, -1, "cells")
    cdef int status, code = level
    with nogil:
        status = zp_lifecycle(&query.c, to, code)
    if status:
        raise QueryCancelled("the query was cancelled")
    return cells, query.anybody


def stickiness_bits(days, rows, buckets, allowed, *, words, most, lines=None, cancel=None, level=-1):
    count = len(buckets)
    nothing = np.empty(0, _I32)
    cdef _Query query = _Query(
        days, rows, (np.zeros(2, _I32), nothing, nothing), allowed, words, count, lines, cancel
    )
    cdef const int32_t *bucket = <const int32_t *>pointer(buckets, _I32, count, "buckets")
    if buckets[0] < 0 or bool((np.diff(buckets) < 0).any()) or np.bincount(buckets).max() > most:
        raise ValueError("buckets: ascending from 0, none of more than ``most`` rows")
    cdef int number = int(buckets[-1]) + 1, largest = most
    counts = np.zeros((len(query.anybody), number, most + 1), _I64)
    cdef int64_t *to = <int64_t *>pointer(counts.reshape(-1), _I64, -1, "counts")
    cdef int status, code = level
    with nogil:
        status = zp_stickiness(&query.c, bucket, number, largest, to, code)
    if status:
        raise QueryCancelled("the query was cancelled")
    return counts, query.anybody
