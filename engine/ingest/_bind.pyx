# cython: auto_pickle=False, autotestdict=False
"""Binding of regular batches, natively; the C is in ``bind.h``, what it may leave out in ``by_column.py``.

Threads: the GIL is released while rows and cells are walked; the caller holds a lock over the arrays and the tables.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from zuji.engine.index._strings cimport StringTable, zj_strings


cdef extern from "ingest/bind.h" nogil:
    ctypedef struct zj_bind:
        int64_t rows, cells, names
        const uint8_t *kind
        const uint32_t *event
        const int64_t *cell_start
        const uint32_t *cell_prop
        const uint8_t *cell_kind
        const int64_t *cell_value
        const int32_t *event_of
        const int32_t *event_prop_of
        const int32_t *user_prop_of
        int32_t profile_event
        const uint8_t *prop_kind
        int64_t props
        const uint8_t *pairs
        int64_t pair_rows, pair_columns
        uint8_t int_kind, float_kind

    int zj_bind_codes(const zj_bind *, uint16_t *, uint16_t *, int64_t *)
    int64_t zj_bind_fresh(const uint32_t *, const uint32_t *, const uint8_t *, int64_t, uint8_t *, uint8_t *, int64_t,
                          uint32_t *, uint8_t *)
    int64_t zj_bind_rows(const uint32_t *, const uint32_t *, const uint8_t *, int64_t, const uint16_t *,
                         const uint32_t *, const uint16_t *, const uint32_t *, uint16_t *, uint32_t *)
    int64_t zj_bind_compact(const uint32_t *, const uint32_t *, const uint8_t *, int64_t, const int64_t *, int32_t,
                            uint16_t *, const int64_t *, const uint16_t *, const int64_t *, int64_t *, int64_t *,
                            uint16_t *, int64_t *)
    int zj_bind_strings(const uint16_t *, int64_t *, int64_t, const uint8_t *, int64_t, uint8_t, uint32_t *, int64_t,
                        const zj_strings *, zj_strings *, uint32_t *)
    int64_t zj_bind_keys(const zj_strings *, const uint32_t *, const uint8_t *, uint8_t, uint8_t, int64_t, uint8_t *,
                         int64_t *)


def bind_codes(const uint8_t[::1] kind not None, const uint32_t[::1] event not None,
               const int64_t[::1] cell_start not None, const uint32_t[::1] cell_prop not None,
               const uint8_t[::1] cell_kind not None, const int64_t[::1] cell_value not None,
               const int32_t[::1] event_of not None, const int32_t[::1] event_prop_of not None,
               const int32_t[::1] user_prop_of not None, int profile_event,
               const uint8_t[::1] prop_kind not None, const uint8_t[:, ::1] pairs not None,
               int int_kind, int float_kind):
    cdef zj_bind b
    cdef int64_t n = kind.shape[0], cells = cell_prop.shape[0]
    cdef int irregular
    if (event.shape[0] != n or cell_start.shape[0] != n + 1 or cell_kind.shape[0] != cells
            or cell_value.shape[0] != cells):
        raise ValueError("the columns of a batch differ in length")
    if n == 0 or prop_kind.shape[0] == 0 or pairs.shape[0] == 0:
        return None
    events, props, values = np.empty(n, np.uint16), np.empty(cells, np.uint16), np.empty(cells, np.int64)
    cdef uint16_t[::1] ev = events, pv = props
    cdef int64_t[::1] vv = values
    b.rows, b.cells = n, cells
    b.names = min(event_of.shape[0], event_prop_of.shape[0], user_prop_of.shape[0])
    b.kind, b.event, b.cell_start = &kind[0], &event[0], &cell_start[0]
    b.cell_prop = &cell_prop[0] if cells else NULL
    b.cell_kind = &cell_kind[0] if cells else NULL
    b.cell_value = &cell_value[0] if cells else NULL
    b.event_of, b.event_prop_of, b.user_prop_of = &event_of[0], &event_prop_of[0], &user_prop_of[0]
    b.profile_event = profile_event
    b.prop_kind, b.props = &prop_kind[0], prop_kind.shape[0]
    b.pairs, b.pair_rows, b.pair_columns = &pairs[0, 0], pairs.shape[0], pairs.shape[1]
    b.int_kind, b.float_kind = <uint8_t>int_kind, <uint8_t>float_kind
    with nogil:
        irregular = zj_bind_codes(&b, &ev[0], &pv[0] if cells else NULL, &vv[0] if cells else NULL)
    return None if irregular else (events, props, values)


def fresh_ids(const uint32_t[::1] user not None, const uint32_t[::1] device not None, keep,
              uint8_t[::1] user_known not None, uint8_t[::1] device_known not None):
    cdef int64_t n = user.shape[0], count = 0
    cdef int64_t known = min(user_known.shape[0], device_known.shape[0])
    cdef const uint8_t[::1] kv = keep
    if device.shape[0] != n or (kv is not None and kv.shape[0] != n):
        raise ValueError("the columns of a batch differ in length")
    codes, is_device = np.empty(n, np.uint32), np.empty(n, np.uint8)
    cdef uint32_t[::1] cv = codes
    cdef uint8_t[::1] dv = is_device
    if n:
        with nogil:
            count = zj_bind_fresh(&user[0], &device[0], NULL if kv is None else &kv[0], n, &user_known[0],
                                  &device_known[0], known, &cv[0], &dv[0])
    if count < 0:
        raise ValueError("an id code is out of range")
    return codes[:count], is_device[:count]


def keys_of(StringTable table not None, const uint32_t[::1] codes not None, is_second, int first, int second):
    cdef int64_t n = codes.shape[0], i, size = 0
    cdef const uint8_t[::1] sv = is_second
    cdef bint bad = sv is not None and sv.shape[0] != n
    offsets = np.zeros(n + 1, np.int64)
    cdef int64_t[::1] ov = offsets
    cdef uint8_t[::1] dv
    for i in range(n):
        bad |= codes[i] >= table.table.count
    if bad:
        raise ValueError("a string code is out of range")
    if n == 0:
        return np.empty(0, np.uint8), offsets
    table.begin_read()
    try:
        size = zj_bind_keys(&table.table, &codes[0], NULL if sv is None else &sv[0], <uint8_t>first,
                            <uint8_t>second, n, NULL, &ov[0])
        data = np.empty(size, np.uint8)
        dv = data
        with nogil:
            zj_bind_keys(&table.table, &codes[0], NULL if sv is None else &sv[0], <uint8_t>first,
                         <uint8_t>second, n, &dv[0], &ov[0])
    finally:
        table.end_read()
    return data, offsets


def rows_of(const uint32_t[::1] user not None, const uint32_t[::1] device not None, keep, Py_ssize_t rows,
            const uint16_t[::1] user_shard not None, const uint32_t[::1] user_ordinal not None,
            const uint16_t[::1] device_shard not None, const uint32_t[::1] device_ordinal not None):
    cdef int64_t n = user.shape[0]
    cdef const uint8_t[::1] kv = keep
    shards, ordinals = np.empty(rows, np.uint16), np.empty(rows, np.uint32)
    cdef uint16_t[::1] sv = shards
    cdef uint32_t[::1] ov = ordinals
    if rows:
        with nogil:
            zj_bind_rows(&user[0], &device[0], NULL if kv is None else &kv[0], n, &user_shard[0], &user_ordinal[0],
                         &device_shard[0], &device_ordinal[0], &sv[0], &ov[0])
    return shards, ordinals


def compact(const uint32_t[::1] user not None, const uint32_t[::1] device not None, keep, Py_ssize_t rows,
            Py_ssize_t extra, const int64_t[::1] start not None, int device_prop, events,
            const int64_t[::1] time not None, const uint16_t[::1] prop not None, const int64_t[::1] value not None):
    cdef int64_t n = user.shape[0], cells = prop.shape[0], used = 0
    cdef const uint8_t[::1] kv = keep
    times, starts = np.empty(rows + 1, np.int64), np.zeros(rows + 1, np.int64)
    props, values = np.empty(cells + extra + 1, np.uint16), np.empty(cells + extra + 1, np.int64)
    cdef uint16_t[::1] ev = events, po = props
    cdef int64_t[::1] to = times, so = starts, vo = values
    if n:
        with nogil:
            used = zj_bind_compact(&user[0], &device[0], NULL if kv is None else &kv[0], n, &start[0], device_prop,
                                   &ev[0], &time[0], &prop[0] if cells else NULL, &value[0] if cells else NULL,
                                   &to[0], &so[0], &po[0], &vo[0])
    return events[:rows], times[:rows], starts, props[:used], values[:used]


def adopt_strings(const uint16_t[::1] prop not None, int64_t[::1] value not None, uint32_t[::1] items not None,
                  const uint8_t[::1] prop_kind not None, int string_kind, StringTable source not None,
                  StringTable target not None, uint32_t[::1] map not None):
    cdef int64_t cells = prop.shape[0], count = items.shape[0], props = prop_kind.shape[0]
    cdef int bad
    if value.shape[0] != cells or <uint64_t>map.shape[0] < source.table.count or source is target:
        raise ValueError("cells or the map of codes have the wrong length")
    target.begin_write()
    source.reading += 1
    try:
        with nogil:
            bad = zj_bind_strings(&prop[0] if cells else NULL, &value[0] if cells else NULL, cells,
                                  &prop_kind[0] if props else NULL, props, <uint8_t>string_kind,
                                  &items[0] if count else NULL, count, &source.table, &target.table,
                                  &map[0] if map.shape[0] else NULL)
    finally:
        source.reading -= 1
        target.end_write()
    if bad < 0:
        raise MemoryError("no memory for more strings")
    if bad:
        raise ValueError("a string code is out of range")
