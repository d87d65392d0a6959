# cython: auto_pickle=False, autotestdict=False
"""Attribution kernel. C in ``attribution.h``; this file checks arguments, allocates and converts.

Thread-safety: a free function without state; the GIL is released while rows are read.
"""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free

import numpy as np

from zuji.engine.query.kernels.credits import MODELS, CreditCells

from zuji.engine.query.kernels._lanes cimport (
    Guard,
    LaneSet,
    RowArrays,
    ZJ_NO_MEMORY,
    ZJ_OK,
    finish,
    pointer,
    zj_guard,
    zj_lane,
    zj_lane_sound,
)

cdef extern from *:
    ctypedef long long wide "__int128"

cdef extern from "attribution.h" nogil:
    const int64_t ZJ_WHOLE

    ctypedef struct zj_credit_model:
        int kind
        int64_t head, tail
        double half_life

    ctypedef struct zj_credit_cell:
        int64_t touches, conversions, assisted
        uint32_t users, stamp

    ctypedef struct zj_credit_value:
        double sum, lost

    ctypedef struct zj_credits:
        uint32_t lines, buckets, names
        int models, valued, sources, decays
        const zj_credit_model *model
        zj_credit_cell *cell
        wide *credit
        zj_credit_value *value
        zj_credit_cell *whole
        zj_credit_value *worth
        uint32_t *line_stamp
        uint32_t *line_users
        uint32_t stamp
        int64_t *share
        double *ratio

    ctypedef struct zj_attribution:
        const zj_lane *target
        const zj_lane *touch
        int n_target, n_touch
        const uint32_t **line
        const uint32_t **line_at
        const double **value
        const uint32_t **target_key
        const uint32_t **touch_key
        const uint32_t **name
        const uint32_t *fixed
        const uint8_t *direct
        const int64_t *edges
        int64_t lookback
        int once, matched
        int64_t pick_line, pick_bucket, pick_name
        int picking

    void zj_exp2_open()
    void zj_linear_open()
    int zj_attribution_run(const zj_attribution *q, zj_guard *guard, zj_credits *out, uint32_t *picked,
                           size_t *n_picked)

_U8, _U32, _I64, _F64 = np.dtype(np.uint8), np.dtype(np.uint32), np.dtype(np.int64), np.dtype(np.float64)
MAX_CELLS = 1 << 26
zj_exp2_open()
zj_linear_open()


@cython.final
cdef class _Lines:
    """Lines of each target lane's rows, checked."""

    cdef const uint32_t **line
    cdef const uint32_t **at
    cdef list keep

    def __cinit__(self, LaneSet lanes, object given):
        cdef int i
        cdef const uint32_t *offset
        self.keep = []
        self.line = <const uint32_t **>calloc(lanes.count + 1, sizeof(void *))
        self.at = <const uint32_t **>calloc(lanes.count + 1, sizeof(void *))
        if self.line == NULL or self.at == NULL:
            raise MemoryError
        if given is None:
            return
        items = list(given)
        if len(items) != lanes.count:
            raise ValueError(f"target_lines: {len(items)} for {lanes.count} lanes")
        for i, item in enumerate(items):
            if item is None:
                continue
            n = lanes.lanes[i].n
            if isinstance(item, tuple):
                offsets, item = item
                offset = <const uint32_t *>pointer(offsets, _U32, n + 1, "target_lines")
                if not zj_lane_sound(offset, n, len(item)):
                    raise ValueError("target_lines: offsets do not ascend from 0 to the number of lines")
                self.at[i] = offset
                self.keep.append(offsets)
                n = len(item)
            self.line[i] = <const uint32_t *>pointer(item, _U32, n, "target_lines")
            self.keep.append(item)

    def __dealloc__(self):
        free(self.line)
        free(self.at)


@cython.final
cdef class _Cells:
    """The sums of one call."""

    cdef zj_credits c
    cdef zj_credit_model *model

    def __cinit__(self, Py_ssize_t lines, Py_ssize_t buckets, Py_ssize_t names, object models, bint valued):
        cdef size_t places = lines * buckets
        cdef size_t cells = places * (names + 1)
        cdef size_t m = len(models)
        cdef int i
        self.c.lines, self.c.buckets, self.c.names = lines, buckets, names
        self.c.models = m
        self.c.valued = valued
        self.c.cell = <zj_credit_cell *>calloc(cells + 1, sizeof(zj_credit_cell))
        self.c.credit = <wide *>calloc(cells * m + 1, sizeof(wide))
        self.c.whole = <zj_credit_cell *>calloc(places + 1, sizeof(zj_credit_cell))
        self.c.line_stamp = <uint32_t *>calloc(lines + 1, sizeof(uint32_t))
        self.c.line_users = <uint32_t *>calloc(lines + 1, sizeof(uint32_t))
        self.c.share = <int64_t *>calloc(<size_t>(names + 1) * m + 1, sizeof(int64_t))
        self.c.ratio = <double *>calloc(<size_t>(names + 1) * m + 1, sizeof(double))
        self.model = <zj_credit_model *>calloc(m + 1, sizeof(zj_credit_model))
        if valued:
            self.c.value = <zj_credit_value *>calloc(cells * m + 1, sizeof(zj_credit_value))
            self.c.worth = <zj_credit_value *>calloc(places + 1, sizeof(zj_credit_value))
        if (
            self.c.cell == NULL or self.c.credit == NULL or self.c.whole == NULL or self.c.line_stamp == NULL
            or self.c.line_users == NULL or self.c.share == NULL or self.c.ratio == NULL
            or self.model == NULL
            or (valued and (self.c.value == NULL or self.c.worth == NULL))
        ):
            raise MemoryError
        self.c.model = self.model
        for i, (kind, first, second) in enumerate(models):
            self.model[i].kind = MODELS[kind]
            if kind == "last_non_direct":
                self.c.sources = 1
            elif kind == "time_decay":
                if not first > 0:
                    raise ValueError(f"models: a half-life of {first} ms")
                self.model[i].half_life = first
                self.c.decays += 1
            elif kind == "position":
                if first != int(first) or second != int(second) or first < 0 or second < 0 or first + second > 100:
                    raise ValueError(f"models: {first} % and {second} % for the ends")
                self.model[i].head = int(first) * ZJ_WHOLE // 100
                self.model[i].tail = int(second) * ZJ_WHOLE // 100

    def __dealloc__(self):
        free(self.c.cell)
        free(self.c.credit)
        free(self.c.whole)
        free(self.c.line_stamp)
        free(self.c.line_users)
        free(self.c.share)
        free(self.c.ratio)
        free(self.c.value)
        free(self.c.worth)
        free(self.model)

    cdef list counts(self, zj_credit_cell *cell, tuple shape):
        """touches, conversions, assisted and users as arrays."""
        cdef size_t n = 1
        cdef size_t i
        for side in shape:
            n *= side
        made = [np.empty(shape, _I64) for _ in range(4)]
        cdef int64_t *touches = <int64_t *>pointer(made[0].ravel(), _I64, n, "touches")
        cdef int64_t *conversions = <int64_t *>pointer(made[1].ravel(), _I64, n, "conversions")
        cdef int64_t *assisted = <int64_t *>pointer(made[2].ravel(), _I64, n, "assisted")
        cdef int64_t *users = <int64_t *>pointer(made[3].ravel(), _I64, n, "users")
        for i in range(n):
            touches[i] = cell[i].touches
            conversions[i] = cell[i].conversions
            assisted[i] = cell[i].assisted
            users[i] = cell[i].users
        return made

    cdef object values(self, zj_credit_value *value, tuple shape):
        """Sums and what rounding took off them as arrays, None without values."""
        if value == NULL:
            return None
        cdef size_t n = 1
        cdef size_t i
        for side in shape:
            n *= side
        made, rest = np.empty(shape, _F64), np.empty(shape, _F64)
        cdef double *out = <double *>pointer(made.ravel(), _F64, n, "values")
        cdef double *lost = <double *>pointer(rest.ravel(), _F64, n, "values")
        for i in range(n):
            out[i] = value[i].sum
            lost[i] = value[i].lost
        return made, rest


def attribution_cells(
    target_lanes, target_lines, n_lines, target_values, touch_lanes, touch_names, n_names, *, edges, lookback_ms,
    models, direct=None, once=False, target_keys=None, touch_keys=None, pick=None, cancel=None, allowed=None,
):
    cdef LaneSet target = LaneSet(target_lanes, touch_lanes)
    cdef LaneSet touch = LaneSet(touch_lanes, target_lanes)
    cdef _Lines lines = _Lines(target, target_lines)
    cdef RowArrays values = RowArrays(target, target_values, _F64, "target_values")
    if (target_keys is None) != (touch_keys is None):
        raise ValueError("target_keys and touch_keys: both or none")
    cdef RowArrays target_key = RowArrays(target, target_keys, _U32, "target_keys")
    cdef RowArrays touch_key = RowArrays(touch, touch_keys, _U32, "touch_keys")
    cdef Guard guard = Guard(cancel, allowed)
    given = list(touch_names)
    if len(given) != touch.count:
        raise ValueError(f"touch_names: {len(given)} for {touch.count} lanes")
    cdef RowArrays names = RowArrays(
        touch, [one if isinstance(one, np.ndarray) else None for one in given], _U32, "touch_names"
    )
    if any(not isinstance(one, np.ndarray) and not 0 <= one < n_names for one in given):
        raise ValueError(f"touch_names: a name is 0 to {n_names - 1}")
    fixed = np.array([0 if isinstance(one, np.ndarray) else one for one in given] or [0], _U32)
    passed = np.zeros(n_names + 1, _U8)
    if direct is not None:
        passed[:n_names] = np.asarray(direct, _U8)
    if edges.ndim != 1 or len(edges) < 2 or bool((np.diff(edges) < 0).any()) or bool((np.abs(edges) > 1 << 60).any()):
        raise ValueError("edges: at least two ascending instants within 2**60 ms are needed")
    buckets = len(edges) - 1
    asked = list(models)
    if n_lines < 0 or not 0 <= n_names < 1 << 31 or len(asked) > 64:
        raise ValueError("too many names or models")
    if n_lines * buckets * (n_names + 1) > MAX_CELLS:
        raise ValueError(f"{n_lines} lines x {buckets} buckets x {n_names} names: more than {MAX_CELLS} cells")
    if not 0 <= lookback_ms <= 1 << 40:
        raise ValueError(f"lookback_ms: 0 to 2**40, got {lookback_ms}")
    cdef _Cells cells = _Cells(n_lines, buckets, n_names, asked, target_values is not None)
    cdef zj_attribution q
    q.target, q.touch = target.lanes, touch.lanes
    q.n_target, q.n_touch = target.count, touch.count
    q.line, q.line_at = lines.line, lines.at
    q.value = <const double **>values.data
    q.target_key, q.touch_key = <const uint32_t **>target_key.data, <const uint32_t **>touch_key.data
    q.name = <const uint32_t **>names.data
    q.fixed = <const uint32_t *>pointer(fixed, _U32, -1, "touch_names")
    q.direct = <const uint8_t *>pointer(passed, _U8, -1, "direct")
    q.edges = <const int64_t *>pointer(edges, _I64, -1, "edges")
    q.lookback = lookback_ms
    q.once = bool(once)
    q.matched = target_keys is not None
    q.picking = pick is not None
    q.pick_line = q.pick_bucket = q.pick_name = -1
    if pick is not None:
        q.pick_line, q.pick_bucket, q.pick_name = pick
        if q.pick_name > <int64_t>cells.c.names:
            raise ValueError(f"pick: a name is at most {n_names}")
    picked = np.empty(0 if pick is None else sum(len(lane.users) for lane in target_lanes), _U32)
    cdef uint32_t *picked_out = <uint32_t *>pointer(picked, _U32, -1, "picked")
    cdef size_t n_picked = 0
    cdef int status
    with nogil:
        status = zj_attribution_run(&q, &guard.c, &cells.c, picked_out, &n_picked)
    finish(status)
    return _answer(cells, picked[:n_picked].copy())


cdef object _answer(_Cells cells, object picked):
    cdef Py_ssize_t m = cells.c.models
    shape = (cells.c.lines, cells.c.buckets, cells.c.names + 1)
    touches, conversions, assisted, users = cells.counts(cells.c.cell, shape)
    touched, everything, _none, everybody = cells.counts(cells.c.whole, shape[:2])
    whole, part = np.empty((*shape, m), _I64), np.empty((*shape, m), _I64)
    cdef int64_t *whole_out = <int64_t *>pointer(whole.ravel(), _I64, -1, "whole")
    cdef int64_t *part_out = <int64_t *>pointer(part.ravel(), _I64, -1, "part")
    cdef size_t n = whole.size
    cdef size_t i
    for i in range(n):
        whole_out[i] = <int64_t>(cells.c.credit[i] >> 56)
        part_out[i] = <int64_t>(cells.c.credit[i] & (ZJ_WHOLE - 1))
    line_users = np.array([cells.c.line_users[i] for i in range(cells.c.lines)], _I64)
    return CreditCells(
        touches, conversions, assisted, users, whole, part, cells.values(cells.c.value, (*shape, m)),
        everything, touched, everybody, cells.values(cells.c.worth, shape[:2]), line_users, picked,
    )
