# cython: auto_pickle=False, autotestdict=False
"""Session paths. C in ``paths.h`` and what it includes; this file checks, allocates and converts.

Thread-safety: free functions over counts that one thread uses at a time; the GIL is released while
rows are walked.
"""

cimport cython
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import secrets

import numpy as np

from zuji.engine.query.kernels._lanes cimport ZJ_OK, ZJ_REJECTED, Guard, finish, pointer, zj_guard

cdef extern from "paths.h" nogil:
    int ZP_BUCKETS, ZP_USERS
    uint64_t ZJ_FEED_ROWS
    const char *ZJ_FEED_NAME

    ctypedef struct zj_feed:
        uint64_t rows
        int width

    ctypedef struct zp_set:
        uint64_t *slot
        size_t used

    ctypedef struct zp_keys:
        uint32_t *bound
        uint64_t sessions
        size_t bytes
        int words
        size_t width

    ctypedef struct zp_top:
        uint64_t count
        uint64_t key[5]

    ctypedef struct zp_stream:
        const uint32_t *stop
        zj_feed *feed
        uint32_t *room

    ctypedef struct zp_run:
        zp_stream time
        zp_stream user
        zp_stream offset
        const uint32_t *users
        const uint32_t *users_end
        const uint32_t *offsets
        const uint32_t *offsets_end
        const uint32_t *first
        const uint8_t *mask
        int kept

    ctypedef struct zp_source:
        zp_run *run
        const uint32_t **time
        const uint32_t **time_end
        uint16_t *code
        int runs
        int partition
        int64_t base
        const void *at
        uint32_t left
        size_t width
        zj_feed *feed
        void *room
        uint64_t rest
        int whole
        uint32_t *rows
        uint32_t *unseen

    ctypedef struct zp_rule:
        int64_t gap
        int64_t from_ms
        int64_t to_ms
        int steps
        int collapse
        int plain

    int zp_open(zp_keys *k, int steps, size_t width, uint64_t salt, size_t limit)
    void zp_close(zp_keys *k)
    int zp_move(const uint32_t **next, const uint32_t **end, zp_stream *s)
    int zp_rows_sound(const zp_source *s)
    int zp_run_walk(zp_source *sources, int count, uint32_t users, const zp_rule *rule, zp_keys *keys,
                    zj_guard *guard)
    int zp_pick(const zp_keys *k, const uint64_t *wanted, zp_set *set, zj_guard *guard)
    int zp_join(const zp_keys *k, zp_set *set, const zp_set *more, const uint64_t *wanted)
    void zp_best(const zp_keys *k, const zp_set *set, zp_top *heap, size_t *have, size_t n)

IGNORED, HIDDEN, MAX_STEPS = 0xFFFF, 0xFFFE, 20
MAX_CODES = 0xFFFD
PART_SESSIONS = 1 << 21
_U8, _U16, _U32, _U64 = np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32), np.dtype(np.uint64)
_SALT = secrets.randbits(64)  # one for the process: keys are compared with each other


@cython.final
cdef class PathCounts:
    cdef zp_keys keys

    def __dealloc__(self):
        zp_close(&self.keys)

    @property
    def sessions(self):
        return self.keys.sessions

    @property
    def nbytes(self):
        return self.keys.bytes


@cython.final
cdef class _Sources:
    """Sources as C structs, with everything that they point to."""

    cdef zp_source *sources
    cdef int count
    cdef int plain
    cdef list keep

    def __cinit__(self, list given, int n_codes):
        cdef int i
        self.count = <int>len(given)
        self.plain = True
        self.keep = []
        self.sources = <zp_source *>calloc(max(1, self.count), sizeof(zp_source))
        if self.sources == NULL:
            raise MemoryError
        for i, (interleave, lanes, codes, partition) in enumerate(given):
            self.sources[i].partition = partition
            self.sources[i].rows = <uint32_t *>self._room(ZP_USERS, _U32)
            self.sources[i].unseen = <uint32_t *>self._room(ZP_USERS, _U32)
            self._open_interleave(&self.sources[i], interleave)
            self._open_runs(&self.sources[i], list(lanes), list(codes), n_codes)
            if not zp_rows_sound(&self.sources[i]):
                raise ValueError("interleave: a run that is not there")

    def __dealloc__(self):
        cdef int i
        if self.sources == NULL:
            return
        for i in range(self.count):
            free(self.sources[i].run)
            free(self.sources[i].time)
            free(self.sources[i].time_end)
            free(self.sources[i].code)
        free(self.sources)

    cdef void *_room(self, size_t n, object dtype) except? NULL:
        room = np.empty(n, dtype)
        self.keep.append(room)
        return <void *>pointer(room, dtype, -1, "room")

    cdef zj_feed *_feed(self, object given) except NULL:
        self.keep.append(given)
        return <zj_feed *>PyCapsule_GetPointer(given.capsule, ZJ_FEED_NAME)

    cdef int _open_interleave(self, zp_source *source, object given) except -1:
        if not isinstance(given, np.ndarray):
            source.feed = self._feed(given)
            source.width = <size_t>source.feed.width
            source.rest = source.feed.rows
            if source.width not in (1, 2):
                raise ValueError("interleave: a feed of one or two bytes a row")
            source.room = self._room(min(ZJ_FEED_ROWS, source.rest), _U8 if source.width == 1 else _U16)
            return 0
        if len(given) >= 0xFFFFFFFF:
            raise ValueError("a source has at most 2**32 - 2 rows")
        self.keep.append(given)
        source.width = 1 if given.dtype == _U8 else 2
        source.at = pointer(given, _U8 if source.width == 1 else _U16, -1, "interleave")
        source.left = <uint32_t>len(given)
        source.rest = source.left
        return 0

    cdef int _open_runs(self, zp_source *source, list lanes, list codes, int n_codes) except -1:
        cdef int r
        cdef zp_run *run
        if len(codes) != len(lanes):
            raise ValueError("a source has a code for each run")
        source.runs = <int>len(lanes)
        source.run = <zp_run *>calloc(max(1, source.runs), sizeof(zp_run))
        source.time = <const uint32_t **>calloc(max(1, source.runs), sizeof(uint32_t *))
        source.time_end = <const uint32_t **>calloc(max(1, source.runs), sizeof(uint32_t *))
        source.code = <uint16_t *>calloc(max(1, source.runs), sizeof(uint16_t))
        if source.run == NULL or source.time == NULL or source.time_end == NULL or source.code == NULL:
            raise MemoryError
        source.whole = True
        for r, (lane, code) in enumerate(zip(lanes, codes)):
            run = &source.run[r]
            if code not in (IGNORED, HIDDEN) and not 0 <= code < n_codes:
                raise ValueError(f"code {code} of a run is not below {n_codes}")
            if lane.base_ms != lanes[0].base_ms:
                raise ValueError("the runs of a source count from one instant")
            source.base = lane.base_ms
            source.code[r] = 0 if code in (IGNORED, HIDDEN) else code + 1
            run.kept = code != IGNORED
            run.users = run.users_end = self._open_stream(&run.user, lane.users, "users")
            run.offsets = run.offsets_end = self._open_stream(&run.offset, lane.offsets, "offsets")
            source.time[r] = source.time_end[r] = self._open_stream(&run.time, lane.times, "times")
            if zp_move(&run.offsets, &run.offsets_end, &run.offset) != ZJ_OK or run.offsets[0] != 0:
                raise ValueError("offsets ascend from 0")
            run.offsets += 1
            if lane.mask is not None:
                self.keep.append(lane.mask)
                run.first = source.time[r]
                run.mask = <const uint8_t *>pointer(lane.mask, _U8, len(lane.times), "mask")
            source.whole = source.whole and run.kept
            self.plain = self.plain and code != HIDDEN and lane.mask is None
        return 0

    cdef const uint32_t *_open_stream(self, zp_stream *stream, object given, str name) except? NULL:
        """An empty window at the start."""
        cdef const uint32_t *start
        if isinstance(given, np.ndarray):
            self.keep.append(given)
            start = <const uint32_t *>pointer(given, _U32, -1, name)
            stream.stop = start + len(given)
            return start
        stream.feed = self._feed(given)
        if stream.feed.width != 4:
            raise ValueError(f"{name}: a feed of four bytes a value")
        stream.room = <uint32_t *>self._room(min(ZJ_FEED_ROWS, stream.feed.rows), _U32)
        stream.stop = stream.room
        return stream.room


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
    cdef _Sources walks = _Sources(given, n_codes)
    cdef Guard guard = Guard(cancel, allowed)
    cdef zp_rule rule
    rule.gap = min(max(0, int(gap_ms)), 1 << 60)
    rule.from_ms, rule.to_ms = max(-(1 << 62), from_ms), min(1 << 62, to_ms)
    rule.steps, rule.collapse, rule.plain = steps, bool(collapse), walks.plain and not collapse
    cdef PathCounts counts = PathCounts.__new__(PathCounts)
    cdef size_t limit = memory_bytes
    cdef uint32_t n_users = users
    finish(zp_open(&counts.keys, rule.steps, 1 if n_codes < 256 else 2, _SALT, limit))
    cdef int status
    with nogil:
        status = zp_run_walk(walks.sources, walks.count, n_users, &rule, &counts.keys, &guard.c)
    finish(status)
    return counts


@cython.final
cdef class _Picked:
    """Sessions of the paths in some buckets."""

    cdef zp_set c

    def __dealloc__(self):
        free(self.c.slot)


def _pick(PathCounts counts, const uint64_t[::1] wanted, cancel):
    cdef _Picked picked = _Picked.__new__(_Picked)
    cdef Guard guard = Guard(cancel, None)
    cdef int status
    with nogil:
        status = zp_pick(&counts.keys, &wanted[0], &picked.c, &guard.c)
    finish(status)
    return picked


def top_paths(counts, n, cancel=None, each=None):
    cdef list given = list(counts)
    cdef PathCounts one
    cdef int b
    if len({((<PathCounts>c).keys.width, (<PathCounts>c).keys.words) for c in given}) > 1:
        raise ValueError("paths of different lengths or codes")
    n = max(0, min(n, sum(c.sessions for c in given)))
    if not n:
        return []
    bounds = np.zeros(ZP_BUCKETS, np.int64)
    cdef int64_t[::1] total = bounds
    for one in given:
        for b in range(ZP_BUCKETS):
            total[b] += one.keys.bound[b]
    each = each or (lambda work, items: [work(item) for item in items])
    least = _guess(bounds, n)
    found = _best(given, bounds, least, n, cancel, each)
    known = found[n - 1][1] if len(found) == n else 1
    if known < least:
        least = known
        found = _best(given, bounds, least, n, cancel, each)
    return found


def _guess(bounds, n):
    """Sessions that the n-th best path has, or somewhat less: a wrong guess costs a second pass."""
    if n > ZP_BUCKETS // 4:
        return 1
    nth = int(np.partition(bounds, ZP_BUCKETS - n)[ZP_BUCKETS - n])
    return max(1, nth * 3 // 4 - 2 * int(bounds.mean()))


def _best(list given, bounds, least, n, cancel, each):
    """The n best among the paths in buckets of ``least`` sessions or more."""
    cdef zp_top *heap
    cdef size_t have = 0, i
    cdef size_t wanted_n
    cdef _Picked all_of, part
    cdef PathCounts one = given[0]
    cdef int status
    buckets = np.flatnonzero(bounds >= least)
    # A part of the buckets at a time, so that a table has an end whatever the paths are.
    parts = np.split(buckets, np.flatnonzero(np.diff(np.cumsum(bounds[buckets]) // PART_SESSIONS)) + 1)
    wanted_n = min(n, bounds[buckets].sum())
    heap = <zp_top *>calloc(max(1, wanted_n), sizeof(zp_top))
    if heap == NULL:
        raise MemoryError
    try:
        for chosen in parts:
            flags = np.zeros(ZP_BUCKETS, np.uint8)
            flags[chosen] = 1
            wanted = np.packbits(flags, bitorder="little").view(np.uint64)
            picked = each(lambda c: _pick(c, wanted, cancel), given)
            all_of = picked[0]
            for part in picked[1:]:
                with nogil:
                    status = zp_join(&one.keys, &all_of.c, &part.c, NULL)
                finish(status)
            with nogil:
                zp_best(&one.keys, &all_of.c, heap, &have, wanted_n)
        found = []
        for i in range(have):
            key = b"".join(int(heap[i].key[w]).to_bytes(8, "little") for w in range(one.keys.words))
            found.append((-int(heap[i].count), _codes(key, one.keys.width)))
    finally:
        free(heap)
    return [(codes, -number) for number, codes in sorted(found)]


def _codes(key, width):
    """Codes of a path from its key."""
    stored = (int.from_bytes(key[i : i + width], "little") for i in range(0, len(key), width))
    return tuple(code - 1 for code in stored if code)
