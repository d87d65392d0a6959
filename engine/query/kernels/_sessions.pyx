# cython: auto_pickle=False, autotestdict=False
"""Sessions as records, and what they come to: cells, and users online. C in ``sessions.h``,
``sessions_cells.h`` and ``online.h``; this file checks, allocates and converts.

Thread-safety: free functions; objects are for one thread at a time. The GIL is released while rows
are walked.
"""

cimport cython
from cython.view cimport array as cython_array

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

import numpy as np

from zuji.engine.query.kernels.session import NO_MS, SessionCells, SessionRecords

from zuji.engine.query.kernels._lanes cimport (
    ZJ_CANCELLED,
    ZJ_NO_MEMORY,
    ZJ_OK,
    Guard,
    finish,
    pointer,
    zj_guard,
)
from zuji.engine.query.kernels._paths cimport Sources, sources_of, zp_block, zp_rule, zp_run_walk_to

cdef extern from "lanes.h" nogil:
    int zj_stop(zj_guard *g, uint32_t rows)

cdef extern from "sessions.h" nogil:
    ctypedef struct zs_record:
        int64_t start

    ctypedef int (*zs_sink)(void *into, const zs_record *record, size_t n)

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
        int every
        zs_sink sink
        void *into
        zs_record *record
        size_t n
        size_t limit
        int beyond
        int before

    int zs_hand_on(zs_taker *t)
    int zs_take(void *to, const zp_block *b, size_t pieces, const uint32_t *start, const uint32_t *owner,
                size_t users)

cdef extern from "sessions_cells.h" nogil:
    ctypedef struct zj_bins:
        int32_t count

    void zj_bins_open(zj_bins *t, const int64_t *edges, int32_t count)

    ctypedef struct zs_cell:
        int64_t sessions

    ctypedef struct zs_cells:
        zj_bins bins
        const uint32_t *line_at
        const uint32_t *lines
        uint32_t numbers
        const int64_t *slot
        int32_t slots
        int by_depth
        int64_t open_ms
        zs_cell *cell
        zs_cell *total

    int zs_add(void *into, const zs_record *record, size_t n)

cdef extern from "online.h" nogil:
    ctypedef struct zo_online:
        size_t slots
        size_t bytes
        int32_t *starts
        int32_t *leaves
        int64_t *came
        int64_t *moments

    int zo_open(zo_online *o, const int64_t *edges, int32_t buckets, int64_t tail, size_t limit)
    void zo_close(zo_online *o)
    int zo_add(void *to, const zs_record *record, size_t n)
    int zo_finish(zo_online *o)
    size_t zo_choose(const zo_online *o, const int64_t *starts, const int64_t *leaves, int64_t *online,
                     uint8_t *wanted)
    size_t zo_gather(const zo_online *o, const uint8_t *wanted, uint64_t *point)
    void zo_sweep(const zo_online *o, const int64_t *online, const uint8_t *wanted, const uint64_t *point,
                  size_t n, int64_t *peak, int64_t *at)

COUNTS, STARTS, ENDS = 1, 2, 4
MAX_GROUPS = 1 << 31
CELL = 8
_I64, _U8, _U32, _U64 = np.dtype(np.int64), np.dtype(np.uint8), np.dtype(np.uint32), np.dtype(np.uint64)
RECORD = np.dtype(
    [("start", "<i8"), ("end", "<i8"), ("user", "<u4"), ("depth", "<u4"), ("number", "<u4"), ("alone", "<u4")]
)


cdef size_t SOME = 65536  # records between two looks at the flag


cdef class _Sink:
    """Takes records as they come."""

    cdef zs_sink sink
    cdef void *into

    def add(self, records, cancel=None):
        cdef Guard guard = Guard(cancel, None)
        cdef const unsigned char[::1] bytes_of
        cdef const zs_record *record
        cdef size_t n = len(records), at = 0, some
        cdef int status = ZJ_OK
        if records.dtype != RECORD or not records.flags.c_contiguous:
            raise ValueError("records as session_records gives them")
        if n == 0:
            return
        bytes_of = records.view(np.uint8)
        record = <const zs_record *>&bytes_of[0]
        with nogil:
            while at < n and status == ZJ_OK:
                some = n - at if n - at < SOME else SOME
                status = ZJ_CANCELLED if zj_stop(&guard.c, <uint32_t>some) else self.sink(self.into, record + at, some)
                at += some
        finish(status)


@cython.final
cdef class SessionTally(_Sink):
    cdef zs_cells cells
    cdef tuple keep
    cdef object count, total

    def __cinit__(self, *, edges, lines, n_lines, slots=None, by_depth=False, open_ms=1 << 62):
        offsets, numbers = lines
        if len(offsets) < 1 or offsets[0] != 0 or offsets[len(offsets) - 1] != len(numbers) or (
            np.diff(offsets.astype(np.int64)) < 0
        ).any():
            raise ValueError("lines: offsets ascend from 0 to the number of lines")
        if len(numbers) and numbers.max() >= n_lines:
            raise ValueError("lines: a line that is not there")
        self.keep = (edges, offsets, numbers, slots)
        zj_bins_open(&self.cells.bins, _edges(edges), <int32_t>(len(edges) - 1))
        self.cells.line_at = <const uint32_t *>pointer(offsets, _U32, -1, "offsets of lines")
        self.cells.lines = <const uint32_t *>pointer(numbers, _U32, -1, "lines")
        self.cells.numbers, self.cells.slots = len(offsets) - 1, 1
        if slots is not None:
            if len(slots) < 1 or (np.diff(slots) <= 0).any():
                raise ValueError("slots ascend")
            self.cells.slot = <const int64_t *>pointer(slots, _I64, -1, "slots")
            self.cells.slots = len(slots) + 1
        self.cells.by_depth, self.cells.open_ms = bool(by_depth), min(open_ms, 1 << 62)
        self.count = np.zeros((max(1, n_lines), len(edges) - 1, self.cells.slots, CELL), np.int64)
        self.total = np.zeros((max(1, n_lines), CELL), np.int64)
        cdef int64_t[:, :, :, ::1] counts = self.count
        cdef int64_t[:, ::1] totals = self.total
        self.cells.cell, self.cells.total = <zs_cell *>&counts[0, 0, 0, 0], <zs_cell *>&totals[0, 0]
        self.sink, self.into = zs_add, &self.cells

    @property
    def nbytes(self):
        return self.count.nbytes + self.total.nbytes

    def found(self, n_lines):
        return SessionCells(self.count[:n_lines, :, :, : CELL - 1], self.total[:n_lines, : CELL - 1])


@cython.final
cdef class Online(_Sink):
    cdef zo_online c
    cdef object edges

    def __cinit__(self, edges, *, tail_ms=0, memory_bytes=1 << 31):
        self.edges = edges
        cdef const int64_t *edge = _edges(edges)
        finish(zo_open(&self.c, edge, <int32_t>(len(edges) - 1), max(0, tail_ms), memory_bytes))
        self.sink, self.into = zo_add, &self.c

    def __dealloc__(self):
        zo_close(&self.c)

    @property
    def nbytes(self):
        return self.c.bytes + 8 * self.c.slots

    cdef tuple counts(self):
        cdef Py_ssize_t slots = <Py_ssize_t>self.c.slots, buckets = len(self.edges) - 1
        finish(zo_finish(&self.c))
        return (
            np.asarray(<int32_t[:slots]>self.c.starts).astype(np.int64),
            np.asarray(<int32_t[:slots]>self.c.leaves).astype(np.int64),
            np.asarray(<int64_t[:buckets]>self.c.came).copy(),
            np.asarray(<int64_t[:buckets]>self.c.moments).copy(),
        )


cdef const int64_t *_edges(object edges) except NULL:
    if len(edges) < 2 or (np.diff(edges) <= 0).any():
        raise ValueError("edges ascend")
    return <const int64_t *>pointer(edges, _I64, -1, "edges")


def session_records(
    sources, *, users, rule, groups=None, memory_bytes=1 << 31, allowed=None, cancel=None, into=None
):
    cdef int wide = groups is not None
    cdef Sources walks = sources_of(sources, users, 8, 8, groups if wide else 1)
    cdef Guard guard = Guard(cancel, allowed)
    cdef zp_rule walked
    cdef zs_taker taker
    cdef _Sink sink
    cdef void *less
    memset(&walked, 0, sizeof(walked))
    memset(&taker, 0, sizeof(taker))
    if not wide and (rule.starts or rule.ends):
        raise ValueError("starts and ends are flags of rows: groups are needed")
    walked.gap = taker.gap = min(max(0, int(rule.gap_ms)), 1 << 60)
    walked.plain = taker.every = walks.plain and not wide
    taker.from_ms, taker.to_ms = max(-(1 << 62), rule.from_ms), min(1 << 62, rule.to_ms)
    taker.since_ms, taker.reach_ms = max(-(1 << 61), rule.since_ms), min(1 << 62, rule.reach_ms)
    taker.alive_ms, taker.whole = max(-(1 << 62), rule.alive_ms), rule.from_ms <= -NO_MS
    taker.starts, taker.ends, taker.wide, taker.last = rule.starts, rule.ends, wide, rule.last
    if rule.days is not None:
        taker.days, taker.n_days = <const int64_t *>pointer(rule.days, _I64, -1, "days"), len(rule.days)
    taker.limit = min(memory_bytes // RECORD.itemsize, (1 << 32) - 2)
    if into is not None:
        sink = into
        taker.sink, taker.into = sink.sink, sink.into
    cdef uint32_t n_users = users
    cdef int status
    try:
        with nogil:
            status = zp_run_walk_to(
                walks.sources, walks.count, n_users, &walked, wide, zs_take, &taker, &guard.c
            )
            if status == ZJ_OK and taker.sink != NULL:
                status = zs_hand_on(&taker)
        finish(status)
        if taker.n == 0:
            return SessionRecords(np.empty(0, RECORD), bool(taker.beyond), bool(taker.before))
        less = realloc(taker.record, taker.n * sizeof(zs_record))
        if less != NULL:
            taker.record = <zs_record *>less
        out = _owned(taker.record, taker.n * sizeof(zs_record)).view(RECORD)
        taker.record = NULL
    finally:
        free(taker.record)
    return SessionRecords(out, bool(taker.beyond), bool(taker.before))


cdef object _owned(void *start, size_t n):
    """Bytes as an array that frees them."""
    cdef cython_array given = <uint8_t[:n]><uint8_t *>start
    given.callback_free_data = free
    return np.asarray(given)


def session_cells(records, *, n_lines, cancel=None, **asked):
    tally = SessionTally(n_lines=n_lines, **asked)
    tally.add(records, cancel)
    return tally.found(n_lines)


def online_peaks(given, cancel=None, each=None):
    cdef Online one = given[0], other
    cdef Guard guard = Guard(cancel, None)
    cdef size_t slots = one.c.slots, n
    counts = [_counts(other) for other in given]
    starts, leaves, came, moments = (sum(parts) for parts in zip(*counts))
    edges = one.edges
    online, wanted = np.empty(slots + 1, np.int64), np.empty(slots, np.uint8)
    cdef const int64_t *start = <const int64_t *>pointer(starts, _I64, -1, "starts")
    cdef const int64_t *leave = <const int64_t *>pointer(leaves, _I64, -1, "leaves")
    cdef int64_t *now = <int64_t *>pointer(online, _I64, -1, "online")
    cdef uint8_t *want = <uint8_t *>pointer(wanted, _U8, -1, "wanted")
    n = zo_choose(&one.c, start, leave, now, want)
    if n == <size_t>-1:
        finish(ZJ_NO_MEMORY)
    gathered = (each or map)(lambda part: _gathered(part[0], wanted, part[1]), list(zip(given, counts)))
    points = np.sort(np.concatenate(list(gathered)), kind="stable")
    if zj_stop(&guard.c, 0):
        finish(ZJ_CANCELLED)
    peak, at = np.zeros(len(edges) - 1, np.int64), np.full(len(edges) - 1, -1, np.int64)
    cdef int64_t *peaks = <int64_t *>pointer(peak, _I64, -1, "peak")
    cdef int64_t *when = <int64_t *>pointer(at, _I64, -1, "at")
    cdef const uint64_t *point = <const uint64_t *>pointer(points, _U64, -1, "points")
    with nogil:
        zo_sweep(&one.c, now, want, point, n, peaks, when)
    lengths = np.diff(edges)
    begun = np.cumsum(came) - came
    return peak, at, (begun + came) * lengths - moments


def _counts(Online one):
    return one.counts()


def _gathered(Online one, wanted, counts):
    """Points in the wanted slots of one shard, ascending."""
    chosen = wanted.view(np.bool_)
    points = np.empty(int(counts[0][chosen].sum() + counts[1][chosen].sum()), np.uint64)
    cdef uint64_t *point = <uint64_t *>pointer(points, _U64, -1, "points")
    cdef const uint8_t *want = <const uint8_t *>pointer(wanted, _U8, -1, "wanted")
    with nogil:
        zo_gather(&one.c, want, point)
    points.sort()
    return points
