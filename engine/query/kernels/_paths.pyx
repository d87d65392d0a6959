# cython: auto_pickle=False, autotestdict=False
"""Session paths. C in ``paths.h`` and ``paths_table.h``; this file checks, allocates and converts.

Thread-safety: free functions over a table that one thread uses at a time; the GIL is released while
rows are walked.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import secrets

import numpy as np

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, finish, pointer, zj_guard, zj_lane

cdef extern from "paths.h" nogil:
    int ZP_MAX_WORDS

    ctypedef struct zp_table:
        size_t used
        size_t bytes
        uint64_t sessions
        int words
        size_t width

    ctypedef struct zp_top:
        uint64_t count
        uint64_t key[5]

    ctypedef struct zp_cursor:
        const uint32_t *next
        const uint32_t *end
        const uint8_t *mask
        uint32_t n
        uint16_t code
        uint16_t kept

    ctypedef struct zp_source:
        const uint16_t *interleave
        uint32_t n
        uint32_t at
        int first_run
        int runs
        int partition
        int64_t base
        uint32_t *rows

    ctypedef struct zp_rule:
        int64_t gap
        int64_t from_ms
        int64_t to_ms
        int steps
        int collapse
        int plain

    void zp_open(zp_table *t, int steps, size_t width, uint64_t salt, size_t limit)
    void zp_close(zp_table *t)
    int zp_count_rows(const zj_lane *lanes, zp_source *source, uint32_t users)
    uint16_t zp_greatest(const uint16_t *interleave, uint32_t n)
    int zp_run(zp_source *sources, int count, zp_cursor *cursors, uint32_t users, const zp_rule *rule,
               zp_table *table, zj_guard *guard)
    int zp_most(const zp_table *const *tables, int count, size_t n, zp_top *heap, size_t *have, zj_guard *guard)

IGNORED, HIDDEN, MAX_STEPS = 0xFFFF, 0xFFFE, 20
MAX_CODES = 0xFFFD
_U16, _U32 = np.dtype(np.uint16), np.dtype(np.uint32)
_SALT = secrets.randbits(64)  # one for the process: tables are compared with each other


@cython.final
cdef class PathCounts:
    cdef zp_table table
    cdef bint open

    def __dealloc__(self):
        if self.open:
            zp_close(&self.table)

    @property
    def sessions(self):
        return self.table.sessions

    @property
    def paths(self):
        return self.table.used

    @property
    def nbytes(self):
        return self.table.bytes


def session_paths(
    sources, *, users, n_codes, gap_ms, steps, from_ms, to_ms, collapse=False, memory_bytes=1 << 31,
    allowed=None, cancel=None,
):
    if not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"steps: 1 to {MAX_STEPS}, got {steps}")
    if not 0 <= n_codes <= MAX_CODES or not 0 <= users < 0xFFFFFFFF:
        raise ValueError(f"at most {MAX_CODES} codes and 2**32 - 2 users, got {n_codes} and {users}")
    given = list(sources)
    if [walk[3] for walk in given] != sorted(walk[3] for walk in given):
        raise ValueError("sources are sorted by partition")
    cdef LaneSet lanes = LaneSet([lane for walk in given for lane in walk[1]])
    cdef Guard guard = Guard(cancel, allowed)
    cdef zp_rule rule
    rule.gap = min(max(0, int(gap_ms)), 1 << 60)
    rule.from_ms, rule.to_ms = max(-(1 << 62), from_ms), min(1 << 62, to_ms)
    rule.steps, rule.collapse, rule.plain = steps, bool(collapse), not collapse
    cdef size_t width = 1 if n_codes < 256 else 2
    cdef PathCounts counts = PathCounts.__new__(PathCounts)
    cdef uint64_t salt = _SALT
    cdef size_t limit = memory_bytes
    zp_open(&counts.table, rule.steps, width, salt, limit)
    counts.open = True
    rows = np.zeros((len(given), users), _U32)
    flat = rows.reshape(-1)
    cdef uint32_t *rows_at = <uint32_t *>pointer(flat, _U32, -1, "rows")
    cdef zp_source *walks = <zp_source *>calloc(max(1, len(given)), sizeof(zp_source))
    cdef zp_cursor *cursors = <zp_cursor *>calloc(max(1, lanes.count), sizeof(zp_cursor))
    cdef int i, c, at = 0, status = 0, n_walks = <int>len(given)
    cdef uint32_t n_users = users
    cdef uint16_t greatest
    try:
        if walks == NULL or cursors == NULL:
            raise MemoryError
        for i, (interleave, own, codes, partition) in enumerate(given):
            if len(interleave) >= 0xFFFFFFFF or len(codes) != len(own):
                raise ValueError("a source has a code for each run, and at most 2**32 - 2 rows")
            walks[i].interleave = <const uint16_t *>pointer(interleave, _U16, -1, "interleave")
            walks[i].n = <uint32_t>len(interleave)
            walks[i].first_run, walks[i].runs, walks[i].partition = at, <int>len(own), partition
            walks[i].rows = rows_at + <size_t>i * n_users
            for c, (lane, code) in enumerate(zip(own, codes)):
                if code not in (IGNORED, HIDDEN) and not 0 <= code < n_codes:
                    raise ValueError(f"code {code} of a run is not below {n_codes}")
                if lane.base_ms != own[0].base_ms:
                    raise ValueError("the runs of a source count from one instant")
                walks[i].base = lane.base_ms
                cursors[at].next = lanes.lanes[at].times
                cursors[at].end = lanes.lanes[at].times + lanes.lanes[at].n
                cursors[at].n = lanes.lanes[at].n
                cursors[at].mask = lanes.lanes[at].mask
                cursors[at].code = 0 if code in (IGNORED, HIDDEN) else code + 1
                cursors[at].kept = code != IGNORED
                rule.plain = rule.plain and code != HIDDEN and lane.mask is None
                at += 1
            with nogil:
                greatest = zp_greatest(walks[i].interleave, walks[i].n)
                status = zp_count_rows(lanes.lanes, &walks[i], n_users)
            if walks[i].n and greatest >= walks[i].runs:
                raise ValueError("interleave: a run that is not there")
            finish(status)
        with nogil:
            status = zp_run(walks, n_walks, cursors, n_users, &rule, &counts.table, &guard.c)
        finish(status)
    finally:
        free(walks)
        free(cursors)
    return counts


def top_paths(counts, n, cancel=None):
    cdef list given = list(counts)
    cdef int count = <int>len(given)
    cdef size_t wanted = max(0, min(n, sum(c.paths for c in given)))
    cdef size_t have = 0, i
    cdef int status, w
    cdef Guard guard = Guard(cancel, None)
    cdef PathCounts one
    if not given or not wanted:
        return []
    cdef const zp_table **tables = <const zp_table **>calloc(count, sizeof(zp_table *))
    cdef zp_top *heap = <zp_top *>calloc(wanted, sizeof(zp_top))
    found = []
    try:
        if tables == NULL or heap == NULL:
            raise MemoryError
        for w in range(count):
            one = given[w]
            if one.table.width != (<PathCounts>given[0]).table.width or one.table.words != (<PathCounts>given[0]).table.words:
                raise ValueError("paths of different lengths or codes")
            tables[w] = &one.table
        with nogil:
            status = zp_most(tables, count, wanted, heap, &have, &guard.c)
        finish(status)
        one = given[0]
        for i in range(have):
            key = b"".join(int(heap[i].key[w]).to_bytes(8, "little") for w in range(one.table.words))
            found.append((-int(heap[i].count), _codes(key, one.table.width)))
    finally:
        free(tables)
        free(heap)
    return [(codes, -number) for number, codes in sorted(found)]


def _codes(key, width):
    """Codes of a path from its key."""
    stored = (int.from_bytes(key[i : i + width], "little") for i in range(0, len(key), width))
    return tuple(code - 1 for code in stored if code)
