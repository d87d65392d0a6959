# cython: auto_pickle=False, autotestdict=False
"""Binding of regular batches, natively; the C is in ``bind.h`` and ``take.h``, what it may leave out in ``by_column.py``.

Threads: the GIL is released while rows and cells are walked; the caller holds a lock over the arrays and the tables.
"""

import numpy as np

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from zuji.engine.batch._decode cimport Decoder, zj_columns
from zuji.engine.index._strings cimport StringTable, zj_hash_key, zj_hash_key_of, zj_strings


cdef extern from "briefly.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState *zj_leave(size_t rows)
    void zj_return(PyThreadState *left)

cdef extern from "ingest/take.h" nogil:
    int ZJ_TYPES

    ctypedef struct zj_catalog:
        int64_t names, props
        const int32_t *event_of
        const int32_t *event_prop_of
        const int32_t *user_prop_of
        const int32_t *profile_event
        const uint8_t *prop_kind
        uint8_t *pairs
        int64_t pair_rows, pair_columns

    ctypedef struct zj_known:
        const uint16_t *shard[2]
        const uint32_t *ordinal[2]
        uint32_t *there
        const zj_strings *strings "from"
        zj_strings *to

    ctypedef struct zj_log:
        uint16_t *shard
        uint16_t *event
        uint16_t *prop
        uint32_t *ordinal
        uint32_t *list_end
        uint32_t *items
        int64_t *time
        int64_t *cell_start
        int64_t *value
        int64_t rows, cells, lists, item_count

    int zj_bind_codes(const zj_columns *, const zj_catalog *, uint16_t *, uint16_t *)
    int64_t zj_bind_fresh(const uint32_t *, const uint32_t *, const uint8_t *, int64_t, uint8_t *, uint8_t *, int64_t,
                          uint32_t *, uint8_t *)
    int64_t zj_bind_rows(const uint32_t *, const uint32_t *, const uint8_t *, int64_t, const uint16_t *,
                         const uint32_t *, const uint16_t *, const uint32_t *, uint16_t *, uint32_t *)
    int zj_bind_strings(const uint16_t *, int64_t *, int64_t, const uint8_t *, int64_t, uint32_t *, int64_t,
                        const zj_strings *, zj_strings *, uint32_t *)
    int64_t zj_bind_keys(const zj_strings *, const uint32_t *, const uint8_t *, uint8_t, uint8_t, int64_t, uint8_t *,
                         int64_t *)
    int64_t zj_insert_keys(const zj_columns *, const zj_hash_key *, uint64_t *, uint64_t *)
    int64_t zj_insert_repeats(const zj_columns *, const uint8_t *, uint8_t *)
    int64_t zj_both_ids(const zj_columns *, const uint8_t *)
    int zj_take_rows(const zj_columns *, const zj_catalog *, const uint16_t *, const uint16_t *, const uint8_t *,
                     int32_t, const zj_known *, zj_log *)


@cython.final
@cython.auto_pickle(False)
cdef class Regular:
    cdef readonly Decoder decoder
    cdef zj_catalog catalog
    cdef object _held  # the arrays that catalog points into
    cdef uint16_t[::1] _event
    cdef uint16_t[::1] _prop
    cdef uint8_t[::1] _keep
    cdef uint32_t[::1] _fresh
    cdef uint8_t[::1] _is_device

    def __cinit__(self, Decoder decoder not None):
        self.decoder = decoder
        self._event, self._prop = np.empty(0, np.uint16), np.empty(0, np.uint16)

    cdef _reserve(self):
        cdef size_t rows = self.decoder.out.rows, cells = self.decoder.out.cells
        if <size_t>self._event.shape[0] < rows + 1:
            self._event, self._keep = np.empty(2 * rows + 64, np.uint16), np.empty(2 * rows + 64, np.uint8)
            self._fresh, self._is_device = np.empty(2 * rows + 64, np.uint32), np.empty(2 * rows + 64, np.uint8)
        if <size_t>self._prop.shape[0] < cells + 1:
            self._prop = np.empty(2 * cells + 64, np.uint16)

    cdef _know(self, const int32_t[::1] event_of, const int32_t[::1] event_prop_of, const int32_t[::1] user_prop_of,
               const int32_t[::1] profile_events, const uint8_t[::1] prop_kind, uint8_t[:, ::1] pairs):
        cdef zj_catalog *c = &self.catalog
        c.names = min(event_of.shape[0], event_prop_of.shape[0], user_prop_of.shape[0])
        c.event_of, c.event_prop_of, c.user_prop_of = &event_of[0], &event_prop_of[0], &user_prop_of[0]
        c.profile_event = &profile_events[0]
        c.prop_kind, c.props = &prop_kind[0] if prop_kind.shape[0] else NULL, prop_kind.shape[0]
        c.pairs, c.pair_rows, c.pair_columns = &pairs[0, 0], pairs.shape[0], pairs.shape[1]

    def codes(self, event_of, props_of, profile_events, prop_kind, pairs):
        cdef size_t rows = self.decoder.out.rows
        cdef PyThreadState *left
        cdef int irregular
        if len(profile_events) != ZJ_TYPES:
            raise ValueError("each type of record needs the code of its event")
        self._held = (event_of, props_of, profile_events, prop_kind, pairs)
        self._know(event_of, props_of[0], props_of[1], profile_events, prop_kind, pairs)
        self._reserve()
        event, prop, keep = &self._event[0], &self._prop[0], &self._keep[0]
        left = zj_leave(rows)
        irregular = zj_bind_codes(self.decoder.out, &self.catalog, event, prop)
        memset(keep, 1, rows)
        zj_return(left)
        return not irregular

    def insert_keys(self, uint64_t hi_salt, uint64_t lo_salt):
        cdef const zj_columns *b = self.decoder.out
        cdef zj_hash_key[2] salts
        cdef uint64_t[::1] hv, lv
        cdef int64_t count
        if b.insert_bytes == 0:
            return None
        hi, lo = np.empty(b.rows, np.uint64), np.empty(b.rows, np.uint64)
        hv, lv = hi, lo
        salts[0], salts[1] = zj_hash_key_of(hi_salt), zj_hash_key_of(lo_salt)
        count = zj_insert_keys(b, salts, &hv[0], &lv[0])
        if count < 0:
            raise ValueError("an insert id is longer than 255 bytes")
        return (hi, lo) if <size_t>count == b.rows else (hi[:count], lo[:count])

    def drop_repeats(self, const uint8_t[::1] is_new not None):
        return zj_insert_repeats(self.decoder.out, &is_new[0], &self._keep[0]) if is_new.shape[0] else 0

    def fresh_ids(self, uint8_t[::1] user_known not None, uint8_t[::1] device_known not None):
        cdef const zj_columns *b = self.decoder.out
        cdef int64_t count = zj_bind_fresh(b.user, b.device, &self._keep[0], b.rows, &user_known[0], &device_known[0],
                                           min(user_known.shape[0], device_known.shape[0]), &self._fresh[0],
                                           &self._is_device[0])
        if count < 0:
            raise ValueError("an id code is out of range")
        if count == 0:
            return None
        return np.array(self._fresh[:count]), np.array(self._is_device[:count])

    def both_ids(self):
        return zj_both_ids(self.decoder.out, &self._keep[0])

    def unseen(self, const uint32_t[::1] user_known not None, const int64_t[::1] time_known not None, int parting):
        cdef const zj_columns *b = self.decoder.out
        cdef int64_t i, count = 0, known = min(user_known.shape[0], time_known.shape[0]), parted = 0
        cdef bint bad = False
        cdef uint32_t none = <uint32_t>-1
        cdef uint32_t[::1] dv, uv
        cdef int64_t[::1] tv
        with nogil:
            for i in range(<int64_t>b.rows):
                if not self._keep[i]:
                    continue
                parted += self._event[i] == parting
                if b.user[i] == none or b.device[i] == none:
                    continue
                if b.device[i] >= known:
                    bad = True
                    break
                if user_known[b.device[i]] != b.user[i] or b.time[i] < time_known[b.device[i]]:
                    self._fresh[count] = <uint32_t>i
                    count += 1
        if bad:
            raise ValueError("an id code is out of range")
        if parted:
            return None
        device, user, time = np.empty(count, np.uint32), np.empty(count, np.uint32), np.empty(count, np.int64)
        dv, uv, tv = device, user, time
        for i in range(count):
            dv[i], uv[i], tv[i] = b.device[self._fresh[i]], b.user[self._fresh[i]], b.time[self._fresh[i]]
        return device, user, time

    @property
    def cells(self):
        return self.decoder.out.cells

    @property
    def lists(self):
        return self.decoder.out.lists

    @property
    def items(self):
        return self.decoder.out.items

    def take(self, ends, columns, known, uint32_t[::1] there not None, StringTable target not None, int device_prop,
             uint8_t[:, ::1] pairs not None):
        cdef const zj_columns *b = self.decoder.out
        cdef zj_known k
        cdef zj_log log
        cdef uint16_t[::1] shard = columns[0], event = columns[2], prop = columns[5]
        cdef uint32_t[::1] ordinal = columns[1], list_end = columns[7], items = columns[8]
        cdef int64_t[::1] time = columns[3], cell_start = columns[4], value = columns[6]
        cdef const uint16_t[::1] user_shard = known[0][0], device_shard = known[0][1]
        cdef const uint32_t[::1] user_ordinal = known[1][0], device_ordinal = known[1][1]
        cdef StringTable source = self.decoder.strings
        cdef int64_t extra = b.rows if device_prop >= 0 else 0
        cdef PyThreadState *left
        cdef int failed
        log.rows, log.cells, log.lists, log.item_count = ends
        if (<uint64_t>there.shape[0] < source.table.count or source is target
                or min(shard.shape[0], ordinal.shape[0], event.shape[0], time.shape[0]) < log.rows + <int64_t>b.rows
                or cell_start.shape[0] <= log.rows + <int64_t>b.rows
                or min(prop.shape[0], value.shape[0]) < log.cells + <int64_t>b.cells + extra
                or list_end.shape[0] <= log.lists + <int64_t>b.lists
                or items.shape[0] < log.item_count + <int64_t>b.items or device_prop >= pairs.shape[1]
                or pairs.shape[0] < self.catalog.pair_rows):
            raise ValueError("too little room for a batch")
        self.catalog.pairs, self.catalog.pair_columns = &pairs[0, 0], pairs.shape[1]
        log.shard, log.ordinal, log.event, log.time = &shard[0], &ordinal[0], &event[0], &time[0]
        log.cell_start, log.prop, log.value = &cell_start[0], &prop[0], &value[0]
        log.list_end, log.items = &list_end[0], &items[0] if items.shape[0] else NULL
        k.shard[0], k.shard[1], k.ordinal[0], k.ordinal[1] = (
            &user_shard[0], &device_shard[0], &user_ordinal[0], &device_ordinal[0])
        k.there, k.strings, k.to = &there[0], &source.table, &target.table
        target.begin_write()
        source.reading += 1
        try:
            codes, props, keep = &self._event[0], &self._prop[0], &self._keep[0]
            left = zj_leave(b.rows)
            failed = zj_take_rows(b, &self.catalog, codes, props, keep, device_prop, &k, &log)
            zj_return(left)
        finally:
            source.reading -= 1
            target.end_write()
        if failed:
            raise MemoryError("no memory for more strings")
        return log.rows, log.cells, log.lists, log.item_count


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


def put_users(const uint32_t[::1] codes not None, const uint8_t[::1] is_device not None,
              const uint16_t[::1] shard not None, const uint32_t[::1] ordinal not None, shards, ordinals):
    cdef uint16_t[::1] user_shard = shards[0], device_shard = shards[1]
    cdef uint32_t[::1] user_ordinal = ordinals[0], device_ordinal = ordinals[1]
    cdef int64_t i, n = codes.shape[0]
    cdef int64_t known = min(user_shard.shape[0], device_shard.shape[0], user_ordinal.shape[0], device_ordinal.shape[0])
    if is_device.shape[0] != n or shard.shape[0] != n or ordinal.shape[0] != n:
        raise ValueError("the columns of users differ in length")
    for i in range(n):
        if codes[i] >= known:
            raise ValueError("an id code is out of range")
        if is_device[i]:
            device_shard[codes[i]], device_ordinal[codes[i]] = shard[i], ordinal[i]
        else:
            user_shard[codes[i]], user_ordinal[codes[i]] = shard[i], ordinal[i]


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


def adopt_strings(const uint16_t[::1] prop not None, int64_t[::1] value not None, uint32_t[::1] items not None,
                  const uint8_t[::1] prop_kind not None, StringTable source not None, StringTable target not None,
                  uint32_t[::1] map not None):
    cdef int64_t cells = prop.shape[0], count = items.shape[0], props = prop_kind.shape[0]
    cdef int bad
    if value.shape[0] != cells or <uint64_t>map.shape[0] < source.table.count or source is target:
        raise ValueError("cells or the map of codes have the wrong length")
    target.begin_write()
    source.reading += 1
    try:
        with nogil:
            bad = zj_bind_strings(&prop[0] if cells else NULL, &value[0] if cells else NULL, cells,
                                  &prop_kind[0] if props else NULL, props,
                                  &items[0] if count else NULL, count, &source.table, &target.table,
                                  &map[0] if map.shape[0] else NULL)
    finally:
        source.reading -= 1
        target.end_write()
    if bad < 0:
        raise MemoryError("no memory for more strings")
    if bad:
        raise ValueError("a string code is out of range")
