# cython: auto_pickle=False, autotestdict=False
"""Funnel kernels: counts of plain funnels (hot), and canonical chains for everything else.

C in ``funnel_runs.h`` (a block of users at a time, vectorised), ``funnel_fast.h`` (what that leaves over) and
``funnel_chains.h``; this file checks arguments and converts.
Thread-safety: free functions without state; the GIL is released while rows are read.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

import numpy as np

from zuji.engine.query.kernels.lane import Chains

from zuji.engine.query.kernels._lanes cimport Guard, LaneSet, RowArrays, ZJ_REJECTED, finish, pointer, zj_guard, zj_lane

cdef extern from "funnel_plain.h" nogil:
    ctypedef struct zj_funnel:
        const zj_lane *lanes
        int count
        const uint32_t *step_mask
        const uint32_t **row_mask
        int steps
        int64_t window
        int ties
        int64_t from_ "from"
        int64_t to

cdef extern from "funnel_runs.h" nogil:
    ctypedef struct zj_funnel_cells:
        const uint32_t **code
        uint32_t groups
        const int64_t *edges
        int32_t buckets
        uint8_t *complete
        size_t room

    int zj_funnel_runs(const zj_funnel *f, const zj_funnel_cells *ask, zj_guard *guard, int64_t *cells,
                       uint32_t **leftover, size_t *left)
    int zj_runs_isa_limit
    int zj_runs_isa()

cdef extern from "funnel_fast.h" nogil:
    int zj_funnel_fast(const zj_funnel *f, zj_guard *guard, const uint32_t *only, size_t n_only, int64_t *cells,
                       uint8_t *complete, size_t room)

cdef extern from "funnel_chains.h" nogil:
    ctypedef struct zj_rules:
        int steps, levels
        uint32_t optional
        int *level_step
        int order, ties_strict, window_kind
        int64_t window
        int n_exclusions, any_remove
        int *low
        int *high
        int *remove

    ctypedef struct zj_chains:
        zj_rules rules
        const zj_lane *lanes
        int n_lanes
        const uint32_t *step_mask
        const uint32_t *exclusion_mask
        const uint32_t **step_row
        const uint32_t **exclusion_row
        int holds
        uint32_t held
        const int64_t **hold
        int entry_first, count, ties_any
        const int64_t *day_edges
        int32_t days
        const int64_t **session
        uint32_t step_bits, exclusion_bits
        int64_t from_ "from"
        int64_t to
        const int64_t *trend
        int32_t buckets

    ctypedef struct zj_records:
        uint32_t *user
        uint32_t *reached
        int32_t *bucket
        int16_t *lane
        int64_t *row
        int64_t *time
        size_t count
        int steps

    int zj_funnel_chains(const zj_chains *q, zj_guard *guard, zj_records *out)
    void zj_records_close(zj_records *r)

_U32, _I64 = np.dtype(np.uint32), np.dtype(np.int64)
MAX_STEPS = 32
FAR_MS = 1 << 60
MAX_EXCLUSIONS = 32
TIES = {"sequence": 0, "any": 1, "strict": 2}
ORDERS = {"ordered": 0, "strict": 1, "any_order": 2}
COUNTS = {"users": 0, "entries": 1, "sessions": 2}
WINDOWS = {"ms": 0, "same_day": 1, "session": 2}
ENTRIES = {"any": 0, "first": 1}


def _far(value):
    """Instants and windows cut to what the kernels can add without overflow."""
    return max(-FAR_MS, min(FAR_MS, int(value)))


cdef class _StepMasks:
    """One uint32 per lane or uint32[n] per row, as the kernels want them."""

    cdef RowArrays rows
    cdef uint32_t *fixed

    def __cinit__(self, LaneSet lanes, object masks, str name):
        cdef int i
        self.fixed = <uint32_t *>calloc(max(1, lanes.count), sizeof(uint32_t))
        if self.fixed == NULL:
            raise MemoryError
        given = list(masks)
        if len(given) != lanes.count:
            raise ValueError(f"{name}: {len(given)} masks for {lanes.count} lanes")
        self.rows = RowArrays(
            lanes, [m if isinstance(m, np.ndarray) else None for m in given], _U32, name
        )
        for i, m in enumerate(given):
            if not isinstance(m, np.ndarray):
                self.fixed[i] = m

    def __dealloc__(self):
        free(self.fixed)


cdef class _Plain:
    """A plain funnel in C."""

    cdef zj_funnel c
    cdef LaneSet lanes
    cdef _StepMasks masks
    cdef Guard guard

    def __cinit__(self, lanes, step_masks, k, window_ms, ties, from_ms, to_ms, cancel, allowed):
        if not 1 <= k <= MAX_STEPS:
            raise ValueError(f"k: 1 to {MAX_STEPS} steps, got {k}")
        self.lanes = LaneSet(lanes)
        self.masks = _StepMasks(self.lanes, step_masks, "step_masks")
        self.guard = Guard(cancel, allowed)
        self.c.lanes = self.lanes.lanes
        self.c.count = self.lanes.count
        self.c.step_mask = self.masks.fixed
        self.c.row_mask = <const uint32_t **>self.masks.rows.data
        self.c.steps = k
        self.c.window = max(0, _far(window_ms))
        self.c.ties = TIES[ties]
        self.c.from_ = _far(from_ms)
        self.c.to = _far(to_ms)


def set_isa(int level=2):
    global zj_runs_isa_limit
    zj_runs_isa_limit = level
    return zj_runs_isa()


cdef object _cells(_Plain plain, object trend_edges, object groups, object n_groups):
    """(cells, users left over), or None when the runs do not go together."""
    cdef RowArrays codes = RowArrays(plain.lanes, groups, _U32, "groups")
    cdef zj_funnel_cells ask
    cdef uint32_t *leftover = NULL
    cdef size_t left = 0
    cdef int status
    if not 1 <= n_groups <= 1 << 31:
        raise ValueError(f"n_groups: 1 to 2**31, got {n_groups}")
    ask.code = NULL if groups is None else <const uint32_t **>codes.data
    ask.groups = n_groups
    ask.complete, ask.room = NULL, 0
    ask.edges = NULL
    ask.buckets = 1
    if trend_edges is not None:
        _edges(trend_edges, "trend_edges")
        ask.edges = <const int64_t *>pointer(trend_edges, _I64, -1, "trend_edges")
        ask.buckets = len(trend_edges) - 1
    cells = np.zeros((n_groups, ask.buckets, plain.c.steps + 1), _I64)
    cdef int64_t *out = <int64_t *>pointer(cells.reshape(-1), _I64, -1, "cells")
    try:
        with nogil:
            status = zj_funnel_runs(&plain.c, &ask, &plain.guard.c, out, &leftover, &left)
        if status == ZJ_REJECTED:
            return None
        finish(status)
        return cells, _copied(leftover, left, _U32)
    finally:
        free(leftover)


def funnel_cells(
    lanes, step_masks, k, window_ms, ties, from_ms, to_ms, trend_edges=None, groups=None, n_groups=1, cancel=None,
    allowed=None,
):
    plain = _Plain(lanes, step_masks, k, window_ms, ties, from_ms, to_ms, cancel, allowed)
    return _cells(plain, trend_edges, groups, n_groups)


def funnel_fast(lanes, step_masks, k, window_ms, ties, from_ms, to_ms, cancel=None, allowed=None):
    cdef _Plain plain = _Plain(lanes, step_masks, k, window_ms, ties, from_ms, to_ms, cancel, allowed)
    cdef const uint32_t *only = NULL
    cdef size_t n = 0
    cdef int status
    found = _cells(plain, None, None, 1)
    levels, leftover = (np.zeros(k + 1, _I64), None) if found is None else (found[0].reshape(-1), found[1])
    cdef int64_t *out = <int64_t *>pointer(levels, _I64, -1, "levels")
    if leftover is None or len(leftover):
        if leftover is not None:
            only = <const uint32_t *>pointer(leftover, _U32, -1, "leftover")
            n = len(leftover)
        with nogil:
            status = zj_funnel_fast(&plain.c, &plain.guard.c, only, n, out, NULL, 0)
        if status == ZJ_REJECTED:
            return _levels_of_chains(lanes, step_masks, k, window_ms, ties, from_ms, to_ms, cancel, allowed)
        finish(status)
    levels[1:] = levels[:0:-1].cumsum()[::-1]
    return levels


def _levels_of_chains(lanes, step_masks, k, window_ms, ties, from_ms, to_ms, cancel, allowed):
    """The same from whole chains, for lanes whose (time, rank, tie) need more than 63 bits."""
    chains = funnel_chains(
        lanes, step_masks, None, None, None, 0, k, "ordered", "any", "users", ties, ("ms", window_ms), None, None,
        from_ms, to_ms, None, cancel, allowed,
    )
    levels = np.zeros(k + 1, _I64)
    for s in range(k):
        levels[s + 1] = np.count_nonzero(chains.reached >> s & 1)
    return levels


def _levels(exclusions, k, optional, order):
    """Step of each level, and the levels [low, high) that each exclusion clears."""
    required = [s for s in range(k) if not optional >> s & 1]
    if not required or required[0] != 0:
        raise ValueError("the first step is required")
    if order == "any_order" and optional:
        raise ValueError("optional steps have no place in order any_order")
    cleared = []
    for i, j, on in exclusions:
        if not 1 <= i < j <= k or on not in ("drop", "remove"):
            raise ValueError(f"exclusion ({i}, {j}, {on}): steps 1 <= i < j <= {k}, drop or remove")
        if order == "any_order" and (i, j) != (1, k):
            raise ValueError(f"with order any_order an exclusion lies between steps 1 and {k}")
        low = sum(s < i for s in required)
        cleared.append((low, sum(s < j - 1 for s in required) + 1, on == "remove"))
    return required, cleared


def _edges(edges, name):
    """Checks ascending int64 instants."""
    pointer(edges, _I64, -1, name)
    if len(edges) < 2 or len(edges) > 1 << 26 or bool((np.diff(edges) < 0).any()):
        raise ValueError(f"{name}: at least two ascending instants are needed")
    if bool((np.abs(edges) > FAR_MS).any()):
        raise ValueError(f"{name}: instants beyond 2**60 ms")


def funnel_chains(
    lanes, step_masks, excl_masks, exclusions, hold, optional, k, order, entry, count, ties, window, day_edges,
    sessions, from_ms, to_ms, trend_edges, cancel=None, allowed=None,
):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef _StepMasks masks = _StepMasks(lane_set, step_masks, "step_masks")
    excl_given = excl_masks if excl_masks is not None else [0] * lane_set.count
    cdef _StepMasks excl = _StepMasks(lane_set, excl_given, "excl_masks")
    cdef Guard guard = Guard(cancel, allowed)
    cdef zj_chains q
    cdef zj_records out
    cdef int status, s, i
    memset(&q, 0, sizeof(q))
    memset(&out, 0, sizeof(out))
    if not 1 <= k <= MAX_STEPS:
        raise ValueError(f"k: 1 to {MAX_STEPS} steps, got {k}")
    exclusions = list(exclusions or ())
    if len(exclusions) > MAX_EXCLUSIONS:
        raise ValueError(f"at most {MAX_EXCLUSIONS} exclusions, got {len(exclusions)}")
    optional = int(optional or 0) & ((1 << k) - 1)
    required, cleared = _levels(exclusions, k, optional, order)
    window_kind, window_ms = window

    # held codes: a row of pointers per step
    held = 0
    hold_steps = list(hold) if hold is not None else [None] * k
    if len(hold_steps) != k:
        raise ValueError(f"hold: {len(hold_steps)} lists for {k} steps")
    cdef int n_lanes = lane_set.count
    cdef const int64_t **hold_data = <const int64_t **>calloc(max(1, k * n_lanes), sizeof(void *))
    cdef RowArrays codes
    keep = []
    if hold_data == NULL:
        raise MemoryError
    try:
        for s in range(k):
            if hold_steps[s] is None:
                continue
            held |= 1 << s
            codes = RowArrays(lane_set, hold_steps[s], _I64, f"hold[{s}]")
            keep.append(codes)
            for i in range(n_lanes):
                hold_data[s * n_lanes + i] = <const int64_t *>codes.data[i]

        q.rules.steps = k
        q.rules.levels = len(required)
        q.rules.optional = optional
        for i, step in enumerate(required):
            q.rules.level_step[i] = step
        q.rules.order = ORDERS[order]
        q.rules.ties_strict = ties == "strict"
        q.rules.window_kind = WINDOWS[window_kind]
        q.rules.window = max(0, _far(window_ms or 0))
        q.rules.n_exclusions = len(cleared)
        for i, (low, high, remove) in enumerate(cleared):
            q.rules.low[i] = low
            q.rules.high[i] = high
            q.rules.remove[i] = remove
            q.rules.any_remove |= remove
        q.lanes = lane_set.lanes
        q.n_lanes = n_lanes
        q.step_mask = masks.fixed
        q.step_row = <const uint32_t **>masks.rows.data
        q.exclusion_mask = excl.fixed
        q.exclusion_row = <const uint32_t **>excl.rows.data
        q.holds = held != 0
        q.held = held
        q.hold = hold_data
        q.entry_first = ENTRIES[entry]
        q.count = COUNTS[count]
        q.ties_any = TIES[ties] == 1
        q.step_bits = (1 << k) - 1
        q.exclusion_bits = (1 << len(cleared)) - 1
        q.from_ = _far(from_ms)
        q.to = _far(to_ms)
        if window_kind == "same_day":
            _edges(day_edges, "day_edges")
            q.day_edges = <const int64_t *>pointer(day_edges, _I64, -1, "day_edges")
            q.days = len(day_edges) - 1
        if window_kind == "session" or count == "sessions":
            if sessions is None or any(numbers is None for numbers in sessions):
                raise ValueError("sessions: an array per lane is needed")
            codes = RowArrays(lane_set, sessions, _I64, "sessions")
            keep.append(codes)
            q.session = <const int64_t **>codes.data
        if trend_edges is not None:
            _edges(trend_edges, "trend_edges")
            q.trend = <const int64_t *>pointer(trend_edges, _I64, -1, "trend_edges")
            q.buckets = len(trend_edges) - 1
        out.steps = k
        with nogil:
            status = zj_funnel_chains(&q, &guard.c, &out)
        finish(status)
        return _chains(&out, k)
    finally:
        zj_records_close(&out)
        free(hold_data)


cdef object _copied(const void *data, object shape, object dtype):
    """A numpy array with a copy of C memory."""
    array = np.empty(shape, dtype)
    if array.nbytes:
        memcpy(<void *>pointer(array.ravel(), array.dtype, -1, "out"), data, array.nbytes)
    return array


cdef object _chains(zj_records *out, int k):
    m = out.count
    return Chains(
        _copied(out.user, m, np.uint32),
        _copied(out.bucket, m, np.int32),
        _copied(out.reached, m, np.uint32),
        _copied(out.lane, (m, k), np.int16),
        _copied(out.row, (m, k), np.int64),
        _copied(out.time, (m, k), np.int64),
    )
