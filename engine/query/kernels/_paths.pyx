# cython: auto_pickle=False, autotestdict=False
"""Session paths. C in ``paths.h`` and what it includes; this file checks, allocates and converts.

Thread-safety: free functions over counts that one thread uses at a time; the GIL is released while
rows are walked.
"""

cimport cython
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import secrets

import numpy as np

from zuji.engine.query.kernels.walk import LaidOut, PathCells, Steps

from zuji.engine.query.kernels._lanes cimport ZJ_OK, ZJ_REJECTED, Guard, finish, pointer, zj_guard

cdef extern from "paths_order.h" nogil:
    int zp_lay_out(zp_source *source, uint32_t *owner, uint32_t *end, uint32_t *time, uint16_t *run,
                   uint32_t *n_users, zj_guard *guard)

cdef extern from "paths.h" nogil:
    int ZP_BUCKETS

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

    ctypedef struct zp_links:
        uint64_t *count
        size_t side
        uint64_t open
        int beyond

    ctypedef struct zp_cells:
        uint32_t nodes
        uint32_t groups
        uint64_t *node
        uint64_t *group
        const uint32_t *line_at
        const uint32_t *lines
        const uint16_t *shown
        size_t side
        size_t stride
        uint64_t *count
        uint32_t *last
        size_t pick
        uint8_t *picked
        int beyond

    int zp_open(zp_keys *k, int steps, size_t width, uint64_t salt, size_t limit)
    void zp_close(zp_keys *k)
    int zp_move(const uint32_t **next, const uint32_t **end, zp_stream *s)
    int zp_rows_sound(const zp_source *s)
    int zp_run_walk(zp_source *sources, int count, uint32_t users, const zp_rule *rule, zp_keys *keys,
                    zp_links *links, zp_cells *cells, zj_guard *guard)
    int zp_pick(const zp_keys *k, const uint64_t *wanted, zp_set *set, zj_guard *guard)
    int zp_join(const zp_keys *k, zp_set *set, const zp_set *more, const uint64_t *wanted)
    void zp_best(const zp_keys *k, const zp_set *set, zp_top *heap, size_t *have, size_t n)

IGNORED, HIDDEN, MAX_STEPS = 0xFFFFFFFF, 0xFFFFFFFE, 20  # codes of runs
MAX_CODES = 0xFFFD
NARROW_CODES = 253  # a byte a step, with the two ends
MAX_NODES = MAX_GROUPS = 1 << 31  # of items
LINE_HEAD = 2
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
cdef class Sources:
    """Sources as C structs, with everything that they point to."""

    def __cinit__(self, list given, int64_t n_codes, int64_t n_groups=1):
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
            if isinstance(lanes, LaidOut):
                self._open_laid(&self.sources[i], lanes, list(codes), n_codes, n_groups)
            else:
                self._open_runs(&self.sources[i], list(lanes), list(codes), n_codes, n_groups)
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

    cdef int _open_runs(
        self, zp_source *source, list lanes, list codes, int64_t n_codes, int64_t n_groups
    ) except -1:
        cdef int r
        cdef zp_run *run
        if len(codes) != len(lanes):
            raise ValueError("a source has a code for each run")
        self._room_for_runs(source, len(lanes))
        for r, (lane, steps) in enumerate(zip(lanes, codes)):
            run = &source.run[r]
            self._open_code(source, r, steps, n_codes)
            if lane.base_ms != lanes[0].base_ms:
                raise ValueError("the runs of a source count from one instant")
            source.base = lane.base_ms
            run.users = run.users_end = self._open_stream(&run.user, lane.users, "users")
            run.offsets = run.offsets_end = self._open_stream(&run.offset, lane.offsets, "offsets")
            source.time[r] = source.time_end[r] = self._open_stream(&run.time, lane.times, "times")
            if zp_move(&run.offsets, &run.offsets_end, &run.offset) != ZJ_OK or run.offsets[0] != 0:
                raise ValueError("offsets ascend from 0")
            run.offsets += 1
            self._open_steps(run, steps, len(lane.times), lane.mask, n_codes, n_groups)
            source.whole = source.whole and run.kept
            self.plain = self.plain and (source.code[r] or not run.kept) and run.mask == NULL
        return 0

    cdef int _room_for_runs(self, zp_source *source, Py_ssize_t runs) except -1:
        source.runs = <int>runs
        source.run = <zp_run *>calloc(max(1, runs), sizeof(zp_run))
        source.time = <const uint32_t **>calloc(max(1, runs), sizeof(uint32_t *))
        source.time_end = <const uint32_t **>calloc(max(1, runs), sizeof(uint32_t *))
        source.code = <uint32_t *>calloc(max(1, runs), sizeof(uint32_t))
        if source.run == NULL or source.time == NULL or source.time_end == NULL or source.code == NULL:
            raise MemoryError
        source.whole, source.same = True, -1
        return 0

    cdef int _open_code(self, zp_source *source, int r, object steps, int64_t n_codes) except -1:
        code = steps.code if isinstance(steps, Steps) else steps
        if code not in (IGNORED, HIDDEN) and not 0 <= code < n_codes:
            raise ValueError(f"code {code} of a run is not below {n_codes}")
        source.code[r] = 0 if code in (IGNORED, HIDDEN) else code + 1
        source.run[r].kept = code != IGNORED
        return 0

    cdef int _open_laid(self, zp_source *source, object laid, list codes, int64_t n_codes, int64_t n_groups) except -1:
        """Rows in the order of users."""
        cdef int r
        cdef zp_run *run
        if len(codes) != len(laid.runs):
            raise ValueError("a source has a code for each run")
        if len(laid.times) != <Py_ssize_t>source.rest or sum(laid.runs) != source.rest:
            raise ValueError("rows that are laid out: a time each, and those of the runs")
        self.keep.append(laid)
        self._room_for_runs(source, len(codes))
        source.base = laid.base_ms
        source.laid = <const uint32_t *>pointer(laid.times, _U32, -1, "times")
        source.owners = <const uint32_t *>pointer(laid.users, _U32, -1, "users")
        source.owners_end = source.owners + len(laid.users)
        source.ends = <const uint32_t *>pointer(laid.ends, _U32, len(laid.users), "ends")
        shown = set()
        for r, (rows, steps) in enumerate(zip(laid.runs, codes)):
            run = &source.run[r]
            self._open_code(source, r, steps, n_codes)
            if not run.kept and rows:
                raise ValueError("rows of an ignored run are not laid out")
            run.rows = rows
            self._open_steps(run, steps, rows, None, n_codes, n_groups)
            if rows:
                shown.add(source.code[r])
            self.plain = self.plain and (source.code[r] or not run.kept) and run.mask == NULL
        if len(shown) == 1 and max(shown) < 256:
            source.same = shown.pop()
        return 0

    cdef int _open_steps(
        self, zp_run *run, object steps, Py_ssize_t rows, object mask, int64_t n_codes, int64_t n_groups
    ) except -1:
        """What the rows of a run are to a path."""
        run.open = True
        if isinstance(steps, Steps):
            mask = mask if steps.mask is None else steps.mask
            if isinstance(steps.opens, bool):
                run.open = steps.opens
            else:
                self.keep.append(steps.opens)
                run.opens = <const uint8_t *>pointer(steps.opens, _U8, rows, "opens")
            run.node = self._numbers(steps.nodes, rows, n_codes, "nodes")
            run.group = self._numbers(steps.groups, rows, n_groups, "groups")
        if mask is not None:
            self.keep.append(mask)
            run.mask = <const uint8_t *>pointer(mask, _U8, rows, "mask")
        return 0

    cdef const uint32_t *_numbers(self, object given, Py_ssize_t rows, int64_t end, str name) except? NULL:
        """An array of numbers below ``end``, or NULL."""
        if given is None:
            return NULL
        self.keep.append(given)
        start = <const uint32_t *>pointer(given, _U32, rows, name)
        if rows and given.max() >= end:
            raise ValueError(f"{name}: {given.max()} is not below {end}")
        return start

    cdef const uint32_t *_open_stream(self, zp_stream *stream, object given, str name) except? NULL:
        """An empty window at the start."""
        cdef const uint32_t *start
        if isinstance(given, np.ndarray):
            self.keep.append(given)
            start = <const uint32_t *>pointer(given, _U32, -1, name)
            stream.start = start
            stream.stop = start + len(given)
            return start
        stream.feed = self._feed(given)
        if stream.feed.width != 4:
            raise ValueError(f"{name}: a feed of four bytes a value")
        stream.room = <uint32_t *>self._room(min(ZJ_FEED_ROWS, stream.feed.rows), _U32)
        stream.start = stream.stop = stream.room
        return stream.room


def lay_out(interleave, lanes, ignored, cancel=None):
    codes = [IGNORED if skipped else r for r, skipped in enumerate(ignored)]
    cdef Sources walk = sources_of([(interleave, lanes, codes, 0)], 0, len(codes), MAX_CODES, 1)
    cdef Guard guard = Guard(cancel, None)
    rows = sum(len(lane.times) for lane, skipped in zip(lanes, ignored) if not skipped)
    most = min(walk.sources.rest, sum(len(lane.users) for lane in lanes))
    users, ends = np.empty(most, _U32), np.empty(most, _U32)
    times, runs = np.empty(rows, _U32), np.empty(rows, _U16)
    cdef uint32_t n = 0
    cdef int status, r
    for r in range(walk.sources.runs):
        walk.sources.run[r].mask = NULL
    if walk.sources.rest != sum(len(lane.times) for lane in lanes):
        raise ValueError("interleave: the rows of the runs do not add up")
    cdef uint32_t *owner = <uint32_t *>pointer(users, _U32, -1, "users")
    cdef uint32_t *end = <uint32_t *>pointer(ends, _U32, -1, "ends")
    cdef uint32_t *time = <uint32_t *>pointer(times, _U32, -1, "times")
    cdef uint16_t *run = <uint16_t *>pointer(runs, _U16, -1, "runs")
    with nogil:
        status = zp_lay_out(walk.sources, owner, end, time, run, &n, &guard.c)
    finish(status)
    narrow = runs.astype(np.uint8) if len(codes) <= 256 else runs
    return narrow, users[:n].copy(), ends[:n].copy(), times


def session_paths(
    sources, *, users, n_codes, gap_ms, steps, from_ms, to_ms, collapse=False, memory_bytes=1 << 31,
    allowed=None, cancel=None,
):
    cdef Sources walks = sources_of(sources, users, n_codes, MAX_CODES, 1)
    cdef Guard guard = Guard(cancel, allowed)
    cdef zp_rule rule = _rule(
        gap_ms, from_ms, to_ms, steps, collapse, False, False, 1 << 62, 1 << 62, walks.plain
    )
    cdef PathCounts counts = PathCounts.__new__(PathCounts)
    cdef size_t limit = memory_bytes
    cdef uint32_t n_users = users
    finish(zp_open(&counts.keys, rule.steps, 1 if n_codes < 256 else 2, _SALT, limit))
    cdef int status
    with nogil:
        status = zp_run_walk(walks.sources, walks.count, n_users, &rule, &counts.keys, NULL, NULL, &guard.c)
    finish(status)
    return counts


def path_links(sources, *, users, n_codes, rule, allowed=None, cancel=None):
    if rule.reverse or rule.every:
        raise ValueError("links of paths that begin with their session")
    cdef Sources walks = sources_of(sources, users, n_codes, NARROW_CODES, 1)
    cdef Guard guard = Guard(cancel, allowed)
    cdef zp_rule c_rule = _ruled(rule, walks.plain)
    cdef zp_links links
    side = n_codes + 2
    count = np.zeros((rule.steps - 1, side, side), np.uint64)
    cdef uint64_t[:, :, ::1] cells = count
    links.count = &cells[0, 0, 0] if rule.steps > 1 else NULL
    links.side, links.open, links.beyond = side, 0, 0
    cdef uint32_t n_users = users
    cdef int status
    with nogil:
        status = zp_run_walk(
            walks.sources, walks.count, n_users, &c_rule, NULL, &links, NULL, &guard.c
        )
    finish(status)
    # Of the kernel: 0 dropped, 1 … nodes, then elsewhere.
    order = np.append(np.arange(1, n_codes + 1), [0, side - 1])
    return count[:, order][:, :, order].astype(np.int64), int(links.open), bool(links.beyond)


def path_tally(sources, *, users, nodes, groups, rule, allowed=None, cancel=None):
    cdef Sources walks = sources_of(sources, users, nodes, MAX_NODES, groups)
    cdef Guard guard = Guard(cancel, allowed)
    cdef zp_rule c_rule = _ruled(rule, walks.plain)
    cdef zp_cells cells = _cells(nodes, groups)
    by_node = np.zeros((rule.steps, max(1, nodes)), np.uint64)
    by_group = np.zeros(max(1, groups), np.uint64)
    cdef uint64_t[:, ::1] node = by_node
    cdef uint64_t[::1] group = by_group
    cells.node, cells.group = &node[0, 0], &group[0]
    _walk_cells(walks, users, &c_rule, &cells, guard)
    return by_node[:, :nodes].astype(np.int64), by_group[:groups].astype(np.int64), bool(cells.beyond)


def path_cells(
    sources, *, users, shown, columns, lines, n_lines, rule, by_user=False, pick=None, allowed=None,
    cancel=None,
):
    steps, nodes = shown.shape
    offsets, numbers = lines
    cdef Sources walks = sources_of(sources, users, nodes, MAX_NODES, len(offsets) - 1)
    if steps != rule.steps or (shown.size and shown.max() >= columns):
        raise ValueError("shown: a column of each step and node")
    if offsets[0] != 0 or offsets[len(offsets) - 1] != len(numbers) or (np.diff(offsets.astype(np.int64)) < 0).any():
        raise ValueError("lines: offsets ascend from 0 to the number of lines")
    if len(numbers) and numbers.max() >= n_lines:
        raise ValueError("lines: a line that is not there")
    cdef Guard guard = Guard(cancel, allowed)
    cdef zp_rule c_rule = _ruled(rule, walks.plain)
    cdef zp_cells cells = _cells(nodes, len(offsets) - 1)
    side = columns + 2
    stride = LINE_HEAD + steps * side + (steps - 1) * side * side
    count = np.zeros((max(1, n_lines), stride), np.uint64)
    last = np.zeros((max(1, n_lines), stride) if by_user else (1, 1), np.uint32)
    marks = np.zeros(max(1, users if pick is not None else 1), np.uint8)
    shown = np.ascontiguousarray(shown.reshape(-1))
    cdef uint64_t[:, ::1] counts = count
    cdef uint32_t[:, ::1] lasts = last
    cdef uint8_t[::1] picked = marks
    cells.count, cells.side, cells.stride = &counts[0, 0], side, stride
    if by_user:
        cells.last = &lasts[0, 0]
    cells.shown = <const uint16_t *>pointer(shown, _U16, steps * nodes, "shown")
    cells.line_at = <const uint32_t *>pointer(offsets, _U32, -1, "offsets of lines")
    cells.lines = <const uint32_t *>pointer(numbers, _U32, -1, "lines")
    if pick is not None:
        if not 0 <= pick < n_lines * stride:
            raise ValueError(f"there is no cell {pick}")
        cells.pick, cells.picked = pick, &picked[0]
    _walk_cells(walks, users, &c_rule, &cells, guard)
    found = count[:n_lines].astype(np.int64)
    at = LINE_HEAD + steps * side
    return PathCells(
        found[:, 0],
        found[:, 1],
        found[:, LINE_HEAD:at].reshape(n_lines, steps, side),
        found[:, at:].reshape(n_lines, steps - 1, side, side),
        np.flatnonzero(marks).astype(np.uint32),
        bool(cells.beyond),
    )


cdef Sources sources_of(object sources, object users, int64_t codes, int64_t most, int64_t groups):
    """Checked sources."""
    if not 0 <= codes <= most or not 0 <= users < 0xFFFFFFFF or not 0 <= groups < MAX_GROUPS:
        raise ValueError(
            f"at most {most} codes, {MAX_GROUPS} groups and 2**32 - 2 users, got {codes}, {groups}, {users}"
        )
    given = list(sources)
    if [walk[3] for walk in given] != sorted(walk[3] for walk in given):
        raise ValueError("sources are sorted by partition")
    return Sources(given, codes, groups)


cdef zp_rule _rule(
    object gap_ms, object from_ms, object to_ms, int steps, object collapse, object reverse,
    object every, object open_ms, object reach_ms, int plain,
):
    cdef zp_rule rule
    if not 1 <= steps <= MAX_STEPS:
        raise ValueError(f"steps: 1 to {MAX_STEPS}, got {steps}")
    rule.gap = min(max(0, int(gap_ms)), 1 << 60)
    rule.from_ms, rule.to_ms = max(-(1 << 62), from_ms), min(1 << 62, to_ms)
    rule.steps, rule.collapse, rule.plain = steps, bool(collapse), plain and not collapse
    rule.reverse, rule.every = bool(reverse), bool(every)
    rule.open_ms, rule.reach_ms = min(1 << 62, open_ms), min(1 << 62, reach_ms)
    return rule


cdef zp_rule _ruled(object rule, int plain):
    return _rule(
        rule.gap_ms, rule.from_ms, rule.to_ms, rule.steps, rule.collapse, rule.reverse, rule.every,
        rule.open_ms, rule.reach_ms, plain,
    )


cdef zp_cells _cells(object nodes, object groups):
    """Nothing to count yet."""
    cdef zp_cells cells
    memset(&cells, 0, sizeof(zp_cells))
    cells.nodes, cells.groups, cells.pick = nodes, groups, <size_t>-1
    return cells


cdef int _walk_cells(Sources walks, object users, zp_rule *rule, zp_cells *cells, Guard guard) except -1:
    cdef uint32_t n_users = users
    cdef int status
    with nogil:
        status = zp_run_walk(walks.sources, walks.count, n_users, rule, NULL, NULL, cells, &guard.c)
    finish(status)
    return 0


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
