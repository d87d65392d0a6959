# cython: auto_pickle=False, autotestdict=False
"""Event kernels: cells of rows, users and values; picks; counts by user; time buckets; expansion.

C in ``events.h`` and ``buckets.h``; this file checks arguments, allocates and converts.
Thread-safety: free functions without state; the GIL is released while rows are read.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

from zuji.engine.query.kernels.groups import RowGroups
from zuji.engine.query.kernels.lane import EventCells, Lane

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

cdef extern from "events.h" nogil:
    ctypedef struct zj_groups:
        const void *codes
        const uint8_t *present
        const uint32_t *lut
        uint32_t size, missing
        int width

    ctypedef struct zj_buckets:
        int32_t count

    ctypedef struct zj_cell:
        int64_t rows
        uint32_t users, fresh

    ctypedef struct zj_value_cell:
        double sum, lost, low, high
        int64_t count

    ctypedef struct zj_event_cells:
        zj_cell *cell
        zj_value_cell *value
        int64_t anybody
        uint32_t rest

    int zj_draw_limit
    int zj_draw_isa()
    ctypedef struct zj_ranks:
        uint32_t count

    int zj_rank_groups(zj_ranks *k, const zj_groups *g, const uint32_t *size, int dims, uint32_t n, uint32_t product,
                       uint32_t *number)
    void zj_ranked_numbers(const zj_ranks *k, uint32_t product, int64_t *out)
    void zj_ranks_close(zj_ranks *k)
    int zj_buckets_open(zj_buckets *k, const int64_t *edges, int32_t count, int64_t base)
    void zj_buckets_close(zj_buckets *k)
    zj_buckets *zj_buckets_of(const zj_lane *lanes, int count, const int64_t *edges, int32_t nb)
    void zj_buckets_free(zj_buckets *all, int count)
    void zj_bucketize(const uint32_t *times, uint32_t n, const zj_buckets *k, int32_t *out)
    double zj_value_sum(const zj_value_cell *v, double *lost)
    int zj_event_open(zj_event_cells *c, uint32_t groups, int32_t buckets, int values)
    void zj_event_close(zj_event_cells *c)
    int zj_events_run(const zj_lane *lanes, int count, const zj_buckets *buckets, const zj_groups *groups,
                      const double **values, const uint8_t **present, zj_guard *guard, zj_event_cells *out)
    int zj_code_rows(const zj_lane *lane, const zj_buckets *k, const zj_groups *groups, uint32_t size, zj_guard *guard,
                     uint32_t *rows)
    int zj_pick_users(const zj_lane *lanes, int count, const zj_buckets *buckets, const zj_groups *groups,
                      uint32_t ng, int32_t bucket, int64_t group, zj_guard *guard, uint32_t *out, size_t *picked)
    int zj_count_by_user(const zj_lane *lane, int64_t start, int64_t stop, const double *values,
                         const uint8_t *present, zj_guard *guard, size_t n_ordinals, uint32_t *counts,
                         double *sums)

cdef extern from "streams.h" nogil:
    int zj_expand_users(const uint32_t *users, const uint32_t *offsets, uint32_t nu, const void *values,
                        size_t n_values, size_t width, void *out)
    size_t zj_expand_lists(const zj_lane *lane, const uint32_t *offsets, const uint32_t *codes, uint32_t *out_offsets,
                           uint32_t *out_row, uint32_t *out_code)

_I64, _U32, _U8, _F64 = np.dtype(np.int64), np.dtype(np.uint32), np.dtype(np.uint8), np.dtype(np.float64)
MAX_CELLS = 1 << 26
MAX_MIXED = 1 << 22
cdef enum:
    MAX_DIMENSIONS = 32
cdef int64_t FAR = <int64_t>1 << 60


cdef class _GroupArrays:
    """Groups of each lane's rows, checked: None, an array of groups, or RowGroups per lane."""

    cdef zj_groups *data
    cdef list keep

    def __cinit__(self, LaneSet lanes, object groups):
        cdef int i
        self.keep = []
        self.data = <zj_groups *>calloc(max(1, lanes.count), sizeof(zj_groups))
        if self.data == NULL:
            raise MemoryError
        if groups is None:
            return
        given = list(groups)
        if len(given) != lanes.count:
            raise ValueError(f"groups: {len(given)} for {lanes.count} lanes")
        for i, group in enumerate(given):
            if group is not None:
                self.take(i, group if isinstance(group, RowGroups) else RowGroups(group), lanes.lanes[i].n)

    cdef int take(self, int i, object group, Py_ssize_t n) except -1:
        codes, lut, present = group.codes, group.lut, group.present
        cdef zj_groups *into = &self.data[i]
        width = codes.dtype.itemsize if isinstance(codes, np.ndarray) else 4
        dtype = {1: _U8, 2: np.dtype(np.uint16)}.get(width, _U32)
        into.width = dtype.itemsize
        into.missing = group.missing
        if lut is not None and not len(lut):
            lut = np.full(1, 0xFFFFFFFF, _U32)
        if lut is not None:
            into.lut = <const uint32_t *>pointer(lut, _U32, -1, "lut")
            into.size = lut.shape[0]
        if present is not None:
            into.present = <const uint8_t *>pointer(present, _U8, n, "present")
        into.codes = pointer(codes, dtype, n, "groups")
        self.keep.append((codes, lut, present))
        return 0

    def __dealloc__(self):
        free(self.data)


cdef int32_t bucket_count(object edges) except -1:
    """Number of buckets of checked edges."""
    cdef const int64_t *edge = <const int64_t *>pointer(edges, _I64, -1, "edges")
    cdef Py_ssize_t n = edges.shape[0]
    cdef Py_ssize_t i
    if n < 2 or n > MAX_CELLS:
        raise ValueError("edges: at least two instants are needed")
    for i in range(n):
        if i and edge[i] < edge[i - 1]:
            raise ValueError("edges: instants must ascend")
        if edge[i] > FAR or edge[i] < -FAR:
            raise ValueError("edges: instants beyond 2**60 ms")
    return <int32_t>(n - 1)


def event_cells(lanes, edges, groups=None, n_groups=1, values=None, value_masks=None, cancel=None, allowed=None,
                rest=-1):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef int32_t buckets = bucket_count(edges)
    if n_groups < 0 or n_groups * buckets > MAX_CELLS:
        raise ValueError(f"{n_groups} groups x {buckets} buckets: more than {MAX_CELLS} cells")
    cdef _GroupArrays group_rows = _GroupArrays(lane_set, groups)
    cdef RowArrays value_rows = RowArrays(lane_set, values, _F64, "values")
    cdef RowArrays present = RowArrays(lane_set, value_masks, _U8, "value_masks")
    cdef Guard guard = Guard(cancel, allowed)
    cdef uint32_t ng = <uint32_t>n_groups
    cdef uint32_t apart = <uint32_t>rest if 0 <= rest < n_groups else ng
    cdef int with_values = values is not None
    cdef size_t cells = <size_t>ng * <size_t>buckets
    shape = (n_groups, buckets)
    rows, users, fresh = np.zeros(shape, _I64), np.zeros(shape, _I64), np.zeros(shape, _I64)
    cdef int64_t *rows_out = <int64_t *>pointer(rows.ravel(), _I64, -1, "rows")
    cdef int64_t *users_out = <int64_t *>pointer(users.ravel(), _I64, -1, "users")
    cdef int64_t *fresh_out = <int64_t *>pointer(fresh.ravel(), _I64, -1, "fresh")
    cdef double *sum_out = NULL
    cdef double *lost_out = NULL
    cdef double *low_out = NULL
    cdef double *high_out = NULL
    cdef int64_t *count_out = NULL
    total = lost = low = high = valued = None
    if with_values:
        total, lost = np.zeros(shape, _F64), np.zeros(shape, _F64)
        low, high, valued = np.zeros(shape, _F64), np.zeros(shape, _F64), np.zeros(shape, _I64)
        sum_out = <double *>pointer(total.ravel(), _F64, -1, "sum")
        lost_out = <double *>pointer(lost.ravel(), _F64, -1, "lost")
        low_out = <double *>pointer(low.ravel(), _F64, -1, "vmin")
        high_out = <double *>pointer(high.ravel(), _F64, -1, "vmax")
        count_out = <int64_t *>pointer(valued.ravel(), _I64, -1, "nvals")
    cdef const int64_t *edge = <const int64_t *>pointer(edges, _I64, -1, "edges")
    cdef zj_event_cells work
    cdef int64_t anybody = 0
    cdef zj_buckets *tables
    cdef size_t i
    cdef int status
    with nogil:
        tables = zj_buckets_of(lane_set.lanes, lane_set.count, edge, buckets)
        status = ZJ_NO_MEMORY if tables == NULL else zj_event_open(&work, ng, buckets, with_values)
        if status == ZJ_OK:
            work.rest = apart
            status = zj_events_run(lane_set.lanes, lane_set.count, tables, group_rows.data,
                                   <const double **>value_rows.data, <const uint8_t **>present.data, &guard.c, &work)
            anybody = work.anybody
            if status == ZJ_OK:
                for i in range(cells):
                    rows_out[i] = work.cell[i].rows
                    users_out[i] = work.cell[i].users
                    fresh_out[i] = work.cell[i].fresh
                    if with_values:
                        sum_out[i] = zj_value_sum(&work.value[i], &lost_out[i])
                        low_out[i] = work.value[i].low
                        high_out[i] = work.value[i].high
                        count_out[i] = work.value[i].count
            zj_event_close(&work)
        zj_buckets_free(tables, lane_set.count)
    finish(status)
    return EventCells(rows, users, fresh, anybody, total, lost, low, high, valued)


def code_rows(lane, edges, groups, size, cancel=None, allowed=None):
    cdef LaneSet lane_set = LaneSet([lane])
    if bucket_count(edges) != 1:
        raise ValueError("edges: two instants")
    if not 0 <= size < 0x7FFFFFF0:
        raise ValueError(f"{size} codes are too many")
    cdef _GroupArrays codes = _GroupArrays(lane_set, [groups])
    cdef Guard guard = Guard(cancel, allowed)
    rows = np.zeros(size + 2, _U32)
    cdef uint32_t *out = <uint32_t *>pointer(rows, _U32, -1, "rows")
    cdef const int64_t *edge = <const int64_t *>pointer(edges, _I64, -1, "edges")
    cdef uint32_t most = <uint32_t>size
    cdef int status
    cdef zj_buckets *tables
    with nogil:
        tables = zj_buckets_of(lane_set.lanes, 1, edge, 1)
        status = ZJ_NO_MEMORY
        if tables != NULL:
            status = zj_code_rows(lane_set.lanes, tables, codes.data, most, &guard.c, out)
        zj_buckets_free(tables, 1)
    finish(status)
    return rows[:size + 1]


def set_isa(int level=1):
    global zj_draw_limit
    zj_draw_limit = level
    return zj_draw_isa()


def mix_groups(groups, sizes):
    cdef uint64_t product = 1
    cdef int status = ZJ_OK
    cdef int d, dims = len(groups)
    cdef zj_groups own[MAX_DIMENSIONS]
    cdef uint32_t size[MAX_DIMENSIONS]
    cdef _GroupArrays one
    if not 1 <= dims <= MAX_DIMENSIONS or dims != len(sizes):
        raise ValueError(f"a size for each of 1 to {MAX_DIMENSIONS} groups")
    for each in sizes:
        product *= <uint64_t>each
        if product > MAX_MIXED or each < 1:
            raise ValueError(f"more than {MAX_MIXED} combinations of groups")
    if len(groups[0].codes) >= 0xFFFFFFFF:
        raise ValueError("at most 2**32 - 2 rows")
    cdef uint32_t n = <uint32_t>len(groups[0].codes)
    keep = []
    for d in range(dims):
        one = _GroupArrays(LaneSet([]), None)
        one.take(0, groups[d], n)
        own[d] = one.data[0]
        size[d] = <uint32_t>sizes[d]
        keep.append(one)
    numbers = np.empty(n, _U32)
    cdef uint32_t *out = <uint32_t *>pointer(numbers, _U32, -1, "numbers")
    cdef zj_ranks ranks
    cdef int64_t *into
    memset(&ranks, 0, sizeof(ranks))
    try:
        with nogil:
            status = zj_rank_groups(&ranks, own, size, dims, n, <uint32_t>product, out)
        finish(status)
        found = np.empty(ranks.count, _I64)
        into = <int64_t *>pointer(found, _I64, -1, "found")
        with nogil:
            zj_ranked_numbers(&ranks, <uint32_t>product, into)
    finally:
        zj_ranks_close(&ranks)
    return numbers, found


def pick_users(lanes, edges, groups=None, bucket=-1, group=-1, cancel=None, allowed=None):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef int32_t buckets = bucket_count(edges)
    cdef _GroupArrays group_rows = _GroupArrays(lane_set, groups)
    cdef Guard guard = Guard(cancel, allowed)
    cdef int32_t want_bucket = bucket
    cdef int64_t want_group = group
    cdef size_t picked = 0
    cdef int status
    cdef zj_buckets *tables
    out = np.empty(sum(len(lane.users) for lane in lanes), _U32)
    cdef uint32_t *found = <uint32_t *>pointer(out, _U32, -1, "out")
    cdef const int64_t *edge = <const int64_t *>pointer(edges, _I64, -1, "edges")
    with nogil:
        tables = zj_buckets_of(lane_set.lanes, lane_set.count, edge, buckets)
        status = ZJ_NO_MEMORY
        if tables != NULL:
            status = zj_pick_users(lane_set.lanes, lane_set.count, tables, group_rows.data,
                                   <uint32_t>0xFFFFFFFF, want_bucket, want_group, &guard.c, found, &picked)
        zj_buckets_free(tables, lane_set.count)
    finish(status)
    return out[:picked].copy()


def bucketize(times, base_ms, edges, out=None):
    cdef const uint32_t *time = <const uint32_t *>pointer(times, _U32, -1, "times")
    cdef int32_t buckets = bucket_count(edges)
    cdef const int64_t *edge = <const int64_t *>pointer(edges, _I64, -1, "edges")
    cdef int64_t base = base_ms
    cdef zj_buckets table
    cdef int status
    if times.shape[0] >= 0xFFFFFFFF:
        raise ValueError("times: at most 2**32 - 2 rows")
    cdef uint32_t n = <uint32_t>times.shape[0]
    if out is None:
        out = np.empty(n, np.int32)
    cdef int32_t *into = <int32_t *>pointer(out, np.dtype(np.int32), n, "out")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    with nogil:
        status = zj_buckets_open(&table, edge, buckets, base)
        if status == ZJ_OK:
            zj_bucketize(time, n, &table, into)
            zj_buckets_close(&table)
    finish(status)
    return out


def count_by_user(lanes, from_ms, to_ms, n_ord, values=None, value_masks=None, cancel=None, allowed=None):
    cdef LaneSet lane_set = LaneSet(lanes)
    cdef RowArrays value_rows = RowArrays(lane_set, values, _F64, "values")
    cdef RowArrays present = RowArrays(lane_set, value_masks, _U8, "value_masks")
    cdef Guard guard = Guard(cancel, allowed)
    cdef int64_t start = from_ms
    cdef int64_t stop = to_ms
    cdef size_t n = n_ord
    cdef int i
    cdef int status = ZJ_OK
    counts = np.zeros(n_ord, _U32)
    sums = np.zeros(n_ord if values is not None else 0, _F64)
    cdef uint32_t *count = <uint32_t *>pointer(counts, _U32, -1, "counts")
    cdef double *total = <double *>pointer(sums, _F64, -1, "sums")
    if values is None:
        total = NULL
    with nogil:
        for i in range(lane_set.count):
            status = zj_count_by_user(&lane_set.lanes[i], start, stop, <const double *>value_rows.data[i],
                                      <const uint8_t *>present.data[i], &guard.c, n, count, total)
            if status != ZJ_OK:
                break
    finish(status)
    return counts if values is None else (counts, sums)


def expand_users(users, offsets, per_user, fill=0):
    if not isinstance(per_user, np.ndarray) or per_user.ndim != 1 or per_user.dtype.itemsize not in (1, 2, 4, 8):
        raise TypeError("per_user: expected a 1-d numpy array with items of 1, 2, 4 or 8 bytes")
    cdef const uint32_t *user = <const uint32_t *>pointer(users, _U32, -1, "users")
    cdef const uint32_t *offset = <const uint32_t *>pointer(offsets, _U32, users.shape[0] + 1, "offsets")
    if users.shape[0] >= 0xFFFFFFFF or not zj_lane_sound(offset, users.shape[0], offset[users.shape[0]]):
        raise ValueError("offsets do not ascend from 0")
    padded = np.concatenate([per_user, np.asarray([fill]).astype(per_user.dtype)])
    out = np.empty(offset[users.shape[0]], per_user.dtype)
    cdef const void *source = pointer(padded, padded.dtype, -1, "per_user")
    cdef void *into = <void *>pointer(out, out.dtype, -1, "out")
    cdef uint32_t nu = <uint32_t>users.shape[0]
    cdef size_t n_values = len(per_user)
    cdef size_t width = padded.dtype.itemsize
    with nogil:
        zj_expand_users(user, offset, nu, source, n_values, width, into)
    return out


def expand_lists(lane, offsets, codes):
    cdef LaneSet lane_set = LaneSet([lane])
    cdef uint32_t n = lane_set.lanes[0].n
    cdef const uint32_t *offset = <const uint32_t *>pointer(offsets, _U32, <Py_ssize_t>n + 1, "offsets")
    cdef const uint32_t *code = <const uint32_t *>pointer(codes, _U32, -1, "codes")
    if not zj_lane_sound(offset, n, offset[n]) or offset[n] > codes.shape[0]:
        raise ValueError("offsets of the list do not ascend from 0 to the number of codes")
    room = int(offsets[n]) + n
    if room >= 0xFFFFFFFF:
        raise ValueError("the lists expand to more than 2**32 - 2 rows")
    row, value = np.empty(room, _U32), np.empty(room, _U32)
    new_offsets = np.empty(len(lane.offsets), _U32)
    cdef uint32_t *out_row = <uint32_t *>pointer(row, _U32, -1, "row")
    cdef uint32_t *out_code = <uint32_t *>pointer(value, _U32, -1, "code")
    cdef uint32_t *out_offsets = <uint32_t *>pointer(new_offsets, _U32, -1, "offsets")
    cdef size_t m
    with nogil:
        m = zj_expand_lists(lane_set.lanes, offset, code, out_offsets, out_row, out_code)
    row, value = row[:m].copy(), value[:m].copy()
    expanded = Lane(
        lane.users,
        new_offsets,
        lane.times[row],
        lane.base_ms,
        lane.rank,
        None if lane.ties is None else lane.ties[row],
        None if lane.mask is None else lane.mask[row],
    )
    return expanded, row, value
