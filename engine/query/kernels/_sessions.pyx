# cython: auto_pickle=False, autotestdict=False
"""Sessions as records, and cells of them. C in ``sessions.h`` and ``sessions_cells.h``; this file
checks, allocates and converts.

Thread-safety: free functions without state; the GIL is released while rows are walked.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

import numpy as np

from zuji.engine.query.kernels.session import NO_MS, SessionCells, SessionRecords

from zuji.engine.query.kernels._lanes cimport Guard, finish, pointer, zj_guard
from zuji.engine.query.kernels._paths cimport Sources, sources_of, zp_block, zp_rule, zp_run_walk_to

cdef extern from "sessions.h" nogil:
    ctypedef struct zs_record:
        int64_t start

    ctypedef struct zs_taker:
        int64_t gap
        int64_t from_ms
        int64_t to_ms
        int64_t since_ms
        int64_t reach_ms
        const int64_t *days
        size_t n_days
        int64_t alive_ms
        int starts
        int ends
        int wide
        int last
        int whole
        zs_record *record
        size_t n
        size_t limit
        int beyond
        int before

    int zs_take(void *to, const zp_block *b, size_t pieces, const uint32_t *start, const uint32_t *owner,
                size_t users)

cdef extern from "sessions_cells.h" nogil:
    ctypedef struct zs_cell:
        int64_t sessions

    ctypedef struct zs_cells:
        const int64_t *edges
        int32_t buckets
        const uint32_t *line_at
        const uint32_t *lines
        uint32_t numbers
        const int64_t *slot
        int32_t slots
        int by_depth
        int64_t open_ms
        zs_cell *cell
        zs_cell *total

    int zs_add(zs_cells *c, const zs_record *record, size_t n, zj_guard *guard)

cdef extern from "online.h" nogil:
    int zo_peaks(const int64_t *start, const int64_t *end, size_t n, const int64_t *edges, size_t buckets,
                 int64_t *peak, int64_t *at, zj_guard *guard)

COUNTS, STARTS, ENDS = 1, 2, 4
MAX_GROUPS = 1 << 31
CELL = 8
_I64, _U32 = np.dtype(np.int64), np.dtype(np.uint32)
RECORD = np.dtype(
    [("start", "<i8"), ("end", "<i8"), ("user", "<u4"), ("depth", "<u4"), ("number", "<u4"), ("alone", "<u4")]
)


def session_records(sources, *, users, rule, groups=None, memory_bytes=1 << 31, allowed=None, cancel=None):
    cdef int wide = groups is not None
    cdef Sources walks = sources_of(sources, users, 8, 8, groups if wide else 1)
    cdef Guard guard = Guard(cancel, allowed)
    cdef zp_rule walked
    cdef zs_taker taker
    memset(&walked, 0, sizeof(walked))
    memset(&taker, 0, sizeof(taker))
    if not wide and (rule.starts or rule.ends):
        raise ValueError("starts and ends are flags of rows: groups are needed")
    walked.gap = taker.gap = min(max(0, int(rule.gap_ms)), 1 << 60)
    walked.plain = walks.plain and not wide
    taker.from_ms, taker.to_ms = max(-(1 << 62), rule.from_ms), min(1 << 62, rule.to_ms)
    taker.since_ms, taker.reach_ms = max(-(1 << 61), rule.since_ms), min(1 << 62, rule.reach_ms)
    taker.alive_ms, taker.whole = max(-(1 << 62), rule.alive_ms), rule.from_ms <= -NO_MS
    taker.starts, taker.ends, taker.wide, taker.last = rule.starts, rule.ends, wide, rule.last
    if rule.days is not None:
        taker.days, taker.n_days = <const int64_t *>pointer(rule.days, _I64, -1, "days"), len(rule.days)
    taker.limit = min(memory_bytes // RECORD.itemsize, (1 << 32) - 2)
    cdef uint32_t n_users = users
    cdef int status
    try:
        with nogil:
            status = zp_run_walk_to(
                walks.sources, walks.count, n_users, &walked, wide, zs_take, &taker, &guard.c
            )
        finish(status)
        out = np.empty(taker.n, RECORD)
        if taker.n:
            _copy(out, taker.record, taker.n * sizeof(zs_record))
    finally:
        free(taker.record)
    return SessionRecords(out, bool(taker.beyond), bool(taker.before))


cdef _copy(object out, const void *record, size_t n):
    cdef unsigned char[::1] to = out.view(np.uint8)
    memcpy(&to[0], record, n)


def session_cells(records, *, edges, lines, n_lines, slots=None, by_depth=False, open_ms=1 << 62, cancel=None):
    cdef Guard guard = Guard(cancel, None)
    cdef zs_cells cells
    cdef const unsigned char[::1] bytes_of
    cdef size_t n = len(records)
    offsets, numbers = lines
    memset(&cells, 0, sizeof(cells))
    if records.dtype != RECORD or not records.flags.c_contiguous:
        raise ValueError("records as session_records gives them")
    if len(offsets) < 1 or offsets[0] != 0 or offsets[len(offsets) - 1] != len(numbers) or (
        np.diff(offsets.astype(np.int64)) < 0
    ).any():
        raise ValueError("lines: offsets ascend from 0 to the number of lines")
    if len(numbers) and numbers.max() >= n_lines:
        raise ValueError("lines: a line that is not there")
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError("edges ascend")
    cells.edges, cells.buckets = <const int64_t *>pointer(edges, _I64, -1, "edges"), len(edges) - 1
    cells.line_at = <const uint32_t *>pointer(offsets, _U32, -1, "offsets of lines")
    cells.lines = <const uint32_t *>pointer(numbers, _U32, -1, "lines")
    cells.numbers, cells.slots = len(offsets) - 1, 1
    if slots is not None:
        if len(slots) < 1 or (np.diff(slots) <= 0).any():
            raise ValueError("slots ascend")
        cells.slot, cells.slots = <const int64_t *>pointer(slots, _I64, -1, "slots"), len(slots) + 1
    cells.by_depth, cells.open_ms = bool(by_depth), min(open_ms, 1 << 62)
    count = np.zeros((max(1, n_lines), len(edges) - 1, cells.slots, CELL), np.int64)
    total = np.zeros((max(1, n_lines), CELL), np.int64)
    cdef int64_t[:, :, :, ::1] counts = count
    cdef int64_t[:, ::1] totals = total
    cells.cell, cells.total = <zs_cell *>&counts[0, 0, 0, 0], <zs_cell *>&totals[0, 0]
    cdef int status = 0
    if n:
        bytes_of = records.view(np.uint8)
        with nogil:
            status = zs_add(&cells, <const zs_record *>&bytes_of[0], n, &guard.c)
        finish(status)
    return SessionCells(count[:n_lines, :, :, : CELL - 1], total[:n_lines, : CELL - 1])


def online_peaks(starts, ends, edges, cancel=None):
    cdef Guard guard = Guard(cancel, None)
    cdef size_t n = len(starts), buckets = len(edges) - 1
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError("edges ascend")
    peak, at = np.zeros(buckets, np.int64), np.full(buckets, -1, np.int64)
    cdef int64_t[::1] peaks = peak, when = at
    cdef const int64_t *s = <const int64_t *>pointer(starts, _I64, -1, "starts")
    cdef const int64_t *e = <const int64_t *>pointer(ends, _I64, n, "ends")
    cdef const int64_t *edge = <const int64_t *>pointer(edges, _I64, -1, "edges")
    cdef int status
    with nogil:
        status = zo_peaks(s, e, n, edge, buckets, &peaks[0], &when[0], &guard.c)
    finish(status)
    return peak, at
