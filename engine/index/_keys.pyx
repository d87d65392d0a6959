# cython: auto_pickle=False, autotestdict=False
"""KeyTable: ids to dense uint32 codes and back, packed: tens of millions of them in little memory.

The C is in ``keypack.h`` (an id as few bytes), ``keytable.h`` (table), ``keybulk.h`` (many ids at once). Codes
are given in order of first appearance from 0 and never change. Lookup is O(1) expected, and exact.

Threads: not thread-safe. The caller holds a lock; bulk calls release the GIL, and a call that finds the table
in use by another thread raises RuntimeError.
"""

import secrets

import numpy as np

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cdef extern from "index/keybulk.h" nogil:
    ctypedef struct zj_keys:
        uint64_t count

    uint32_t ZJ_NO_KEY
    int zj_keys_init(zj_keys *t, uint64_t salt) noexcept
    void zj_keys_free(zj_keys *t) noexcept
    uint64_t zj_keys_bytes(const zj_keys *t) noexcept
    int zj_keys_expect(zj_keys *t, uint64_t keys) noexcept
    uint64_t zj_keys_hash(const zj_keys *t, const uint8_t *p, size_t n) noexcept
    int64_t zj_keys_find(const zj_keys *t, const uint8_t *p, size_t n) noexcept
    uint32_t zj_keys_intern(zj_keys *t, const uint8_t *p, size_t n, uint64_t hash) noexcept
    int zj_keys_blank(zj_keys *t, uint32_t code) noexcept
    void zj_keys_find_bulk(
        zj_keys **tables, size_t shards, const uint8_t *data, const int64_t *offsets, size_t n,
        uint16_t *shard_of, int64_t *out
    ) noexcept
    int zj_keys_resolve_bulk(
        zj_keys **tables, size_t shards, const uint8_t *data, const int64_t *offsets, size_t n,
        uint16_t *shard_of, uint32_t *out
    ) noexcept
    int zj_keys_append_bulk(zj_keys *t, const uint8_t *data, const int64_t *offsets, size_t n) noexcept
    int zj_keys_measure(const zj_keys *t, const uint32_t *codes, size_t n, int64_t *offsets) noexcept
    void zj_keys_copy(
        const zj_keys *t, const uint32_t *codes, size_t n, const int64_t *offsets, uint8_t *out
    ) noexcept
    void zj_keys_measure_run(const zj_keys *t, uint64_t first, size_t n, int64_t *offsets) noexcept
    void zj_keys_copy_run(
        const zj_keys *t, uint64_t first, size_t n, const int64_t *offsets, uint8_t *out
    ) noexcept

cdef extern from "index/stringbulk.h" nogil:
    int zj_offsets_valid(const int64_t *offsets, size_t n, int64_t bytes) noexcept


cdef inline const uint8_t *_start(const uint8_t[::1] data) noexcept nogil:
    return &data[0] if data.shape[0] else <const uint8_t *>b""


cdef size_t _checked(const uint8_t[::1] data, const int64_t[::1] offsets) except? 0:
    """Number of keys; ValueError when the offsets do not lie in the data in order."""
    if offsets.shape[0] == 0:
        raise ValueError("offsets must have one more entry than there are keys")
    cdef size_t n = <size_t>(offsets.shape[0] - 1)
    cdef int valid
    with nogil:
        valid = zj_offsets_valid(&offsets[0], n, data.shape[0])
    if not valid:
        raise ValueError("offsets must ascend and lie within the data")
    return n


@cython.final
cdef class KeyTable:
    cdef zj_keys table
    cdef readonly uint64_t salt
    cdef int writing
    cdef int reading

    def __cinit__(self, salt=None):
        self.salt = <uint64_t>(secrets.randbits(64) if salt is None else salt)
        if zj_keys_init(&self.table, self.salt) != 0:
            raise MemoryError("no memory for a table of ids")

    def __dealloc__(self):
        zj_keys_free(&self.table)

    cdef int begin_write(self) except -1:
        if self.writing or self.reading:
            raise RuntimeError("KeyTable is in use by another thread: hold a lock around it")
        self.writing = 1
        return 0

    cdef int begin_read(self) except -1:
        if self.writing:
            raise RuntimeError("KeyTable is being written by another thread: hold a lock around it")
        self.reading += 1
        return 0

    def __len__(self):
        return self.table.count

    @property
    def nbytes(self):
        return zj_keys_bytes(&self.table)

    def intern(self, bytes b not None):
        cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(b)
        cdef size_t n = <size_t>PyBytes_GET_SIZE(b)
        self.begin_write()
        cdef uint32_t code = zj_keys_intern(&self.table, p, n, zj_keys_hash(&self.table, p, n))
        self.writing = 0
        if code == ZJ_NO_KEY:
            raise MemoryError("no memory for another id")
        return code

    def find(self, bytes b not None):
        self.begin_read()
        cdef int64_t code = zj_keys_find(
            &self.table, <const uint8_t *>PyBytes_AS_STRING(b), <size_t>PyBytes_GET_SIZE(b)
        )
        self.reading -= 1
        return code

    def get(self, code):
        if not 0 <= code < self.table.count:
            raise IndexError(f"code {code} of a table of {self.table.count} ids")
        return self.gather(np.array([code], np.uint32))[0].tobytes()

    def intern_bulk(self, const uint8_t[::1] data not None, const int64_t[::1] offsets not None):
        return resolve_keys([self], data, offsets)[1]

    def find_bulk(self, const uint8_t[::1] data not None, const int64_t[::1] offsets not None):
        return find_keys([self], data, offsets)[1]

    def expect(self, uint64_t keys):
        cdef int failed
        self.begin_write()
        with nogil:
            failed = zj_keys_expect(&self.table, keys)
        self.writing = 0
        if failed:
            raise MemoryError("no memory for more ids")

    def append_bulk(self, const uint8_t[::1] data not None, const int64_t[::1] offsets not None):
        cdef size_t n = _checked(data, offsets)
        cdef int failed
        self.begin_write()
        with nogil:
            failed = zj_keys_append_bulk(&self.table, _start(data), &offsets[0], n)
        self.writing = 0
        if failed:
            raise MemoryError("no memory for more ids")

    def blank(self, const uint32_t[::1] codes not None):
        cdef Py_ssize_t i
        cdef int bad = 0
        self.begin_write()
        with nogil:
            for i in range(codes.shape[0]):
                if codes[i] >= self.table.count:
                    bad = 1
                elif zj_keys_blank(&self.table, codes[i]) != 0:
                    bad = 2
                if bad:
                    break
        self.writing = 0
        if bad == 2:
            raise MemoryError("no memory for a look at an id")
        if bad:
            raise IndexError(f"a code outside a table of {self.table.count} ids")

    def gather(self, const uint32_t[::1] codes not None):
        cdef size_t n = <size_t>codes.shape[0]
        offsets = np.zeros(n + 1, np.int64)
        cdef int64_t[::1] bounds = offsets
        cdef uint8_t[::1] text
        cdef int bad
        if n == 0:
            return np.empty(0, np.uint8), offsets
        self.begin_read()
        try:
            with nogil:
                bad = zj_keys_measure(&self.table, &codes[0], n, &bounds[0])
            if bad:
                raise IndexError(f"a code outside a table of {self.table.count} ids")
            data = np.empty(bounds[n], np.uint8)
            if bounds[n]:
                text = data
                with nogil:
                    zj_keys_copy(&self.table, &codes[0], n, &bounds[0], &text[0])
        finally:
            self.reading -= 1
        return data, offsets

    def dump(self, start=0, stop=None):
        cdef uint64_t first, last
        cdef size_t n
        cdef int64_t[::1] bounds
        cdef uint8_t[::1] text
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError("start and stop must not be negative")
        self.begin_read()
        try:
            last = self.table.count if stop is None else min(stop, self.table.count)
            first = min(start, last)
            n = <size_t>(last - first)
            offsets = np.zeros(n + 1, np.int64)
            bounds = offsets
            with nogil:
                zj_keys_measure_run(&self.table, first, n, &bounds[0])
            data = np.empty(bounds[n], np.uint8)
            if bounds[n]:
                text = data
                with nogil:
                    zj_keys_copy_run(&self.table, first, n, &bounds[0], &text[0])
        finally:
            self.reading -= 1
        return data, offsets


cdef zj_keys **_tables(list tables) except NULL:
    """The tables of shards, to be freed."""
    cdef Py_ssize_t shards = len(tables), i
    cdef zj_keys **all
    if not 1 <= shards <= 65536 or shards & (shards - 1):
        raise ValueError("the number of tables must be a power of two, 65,536 at most")
    if len({(<KeyTable?>each).salt for each in tables}) != 1 or len(set(map(id, tables))) < shards:
        raise ValueError("tables must differ and have one salt")
    all = <zj_keys **>malloc(<size_t>shards * sizeof(zj_keys *))
    if all == NULL:
        raise MemoryError
    for i in range(shards):
        all[i] = &(<KeyTable>tables[i]).table
    return all


def resolve_keys(
    list tables not None, const uint8_t[::1] data not None, const int64_t[::1] offsets not None
):
    cdef size_t n = _checked(data, offsets), shards = <size_t>len(tables)
    cdef Py_ssize_t begun = 0
    cdef zj_keys **all = _tables(tables)
    cdef int failed = 0
    shard_of = np.empty(n, np.uint16)
    out = np.empty(n, np.uint32)
    cdef uint16_t[::1] places = shard_of
    cdef uint32_t[::1] codes = out
    try:
        while begun < <Py_ssize_t>shards:
            (<KeyTable>tables[begun]).begin_write()
            begun += 1
        if n:
            with nogil:
                failed = zj_keys_resolve_bulk(all, shards, _start(data), &offsets[0], n, &places[0], &codes[0])
    finally:
        while begun:
            begun -= 1
            (<KeyTable>tables[begun]).writing = 0
        free(all)
    if failed:
        raise MemoryError("no memory for more ids")
    return shard_of, out


def find_keys(
    list tables not None, const uint8_t[::1] data not None, const int64_t[::1] offsets not None
):
    cdef size_t n = _checked(data, offsets), shards = <size_t>len(tables)
    cdef Py_ssize_t begun = 0
    cdef zj_keys **all = _tables(tables)
    shard_of = np.empty(n, np.uint16)
    out = np.empty(n, np.int64)
    cdef uint16_t[::1] places = shard_of
    cdef int64_t[::1] codes = out
    try:
        while begun < <Py_ssize_t>shards:
            (<KeyTable>tables[begun]).begin_read()
            begun += 1
        if n:
            with nogil:
                zj_keys_find_bulk(all, shards, _start(data), &offsets[0], n, &places[0], &codes[0])
    finally:
        while begun:
            begun -= 1
            (<KeyTable>tables[begun]).reading -= 1
        free(all)
    return shard_of, out
