# cython: auto_pickle=False, autotestdict=False
"""StringTable: byte strings to dense uint32 codes and back, and the keyed hash that places users.

The C is in ``stringtable.h`` (table), ``stringbulk.h`` (many strings at once), ``area.h`` (its memory)
and ``hash64.h`` (hash; its values are part of the format).
Codes are given in order of first appearance from 0 and never change. Lookup is O(1) expected; the
table's hash is salted, so a client cannot choose strings that collide.

Threads: not thread-safe. The caller holds a lock; bulk calls release the GIL, and a call that finds
the table in use by another thread raises RuntimeError instead of reading freed memory.
"""

import secrets

import numpy as np

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef extern from "index/stringbulk.h" nogil:
    int zj_strings_intern_bulk(
        zj_strings *t, const uint8_t *data, const int64_t *offsets, size_t n, uint32_t *out
    ) noexcept
    void zj_strings_find_bulk(
        const zj_strings *t, const uint8_t *data, const int64_t *offsets, size_t n, int64_t *out
    ) noexcept
    int zj_strings_append_bulk(
        zj_strings *t, const uint8_t *data, const int64_t *offsets, size_t n
    ) noexcept
    int zj_resolve_bulk(
        zj_strings **tables, size_t shards, const uint8_t *data, const int64_t *offsets, size_t n,
        uint16_t *shard_of, uint32_t *out
    ) noexcept
    int zj_strings_measure(
        const zj_strings *t, const uint32_t *codes, size_t n, size_t before, int64_t *offsets
    ) noexcept
    void zj_strings_copy(
        const zj_strings *t, const uint32_t *codes, size_t n, const uint8_t *prefix, size_t before,
        const int64_t *offsets, uint8_t *out
    ) noexcept
    void zj_strings_blank(zj_strings *t, uint32_t code) noexcept
    int zj_offsets_valid(const int64_t *offsets, size_t n, int64_t bytes) noexcept


cdef inline const uint8_t *_start(const uint8_t[::1] data) noexcept nogil:
    return &data[0] if data.shape[0] else <const uint8_t *>b""


cdef size_t _checked(const uint8_t[::1] data, const int64_t[::1] offsets) except? 0:
    """Number of strings; ValueError when the offsets do not lie in the data in order."""
    if offsets.shape[0] == 0:
        raise ValueError("offsets must have one more entry than there are strings")
    cdef size_t n = <size_t>(offsets.shape[0] - 1)
    cdef int valid
    with nogil:
        valid = zj_offsets_valid(&offsets[0], n, data.shape[0])
    if not valid:
        raise ValueError("offsets must ascend and lie within the data")
    return n


@cython.final
cdef class StringTable:
    def __cinit__(self, salt=None):
        self.salt = <uint64_t>(secrets.randbits(64) if salt is None else salt)
        if zj_strings_init(&self.table, self.salt) != 0:
            raise MemoryError("no memory for a string table")

    def __dealloc__(self):
        zj_strings_free(&self.table)
        free(self.aside[0])
        free(self.aside[1])

    cdef int begin_write(self) except -1:
        if self.writing or self.reading:
            raise RuntimeError("StringTable is in use by another thread: hold a lock around it")
        self.writing = 1
        return 0

    cdef void end_write(self) noexcept:
        self.writing = 0

    cdef int begin_read(self) except -1:
        if self.writing:
            raise RuntimeError("StringTable is being written by another thread: hold a lock around it")
        self.reading += 1
        return 0

    cdef void end_read(self) noexcept:
        self.reading -= 1

    cdef uint32_t intern_c(self, const uint8_t *p, size_t n) noexcept nogil:
        return zj_strings_intern(&self.table, p, n)

    cdef uint32_t intern_hashed_c(self, const uint8_t *p, size_t n, uint64_t hash) noexcept nogil:
        return zj_strings_intern_hashed(&self.table, p, n, hash)

    cdef uint64_t hash_c(self, const uint8_t *p, size_t n) noexcept nogil:
        return zj_strings_hash(&self.table, p, n)

    cdef int64_t find_c(self, const uint8_t *p, size_t n) noexcept nogil:
        return zj_strings_find_hashed(&self.table, p, n, zj_strings_hash(&self.table, p, n))

    cdef const uint8_t *get_c(self, uint32_t code, size_t *n) noexcept nogil:
        if code >= self.table.count:
            n[0] = 0
            return NULL
        return zj_strings_get(&self.table, code, n)

    def __len__(self):
        return self.table.count

    @property
    def nbytes(self):
        return zj_strings_bytes(&self.table)

    def intern(self, bytes b not None):
        self.begin_write()
        cdef uint32_t code = self.intern_c(
            <const uint8_t *>PyBytes_AS_STRING(b), <size_t>PyBytes_GET_SIZE(b)
        )
        self.end_write()
        if code == ZJ_NO_CODE:
            raise MemoryError("no memory for another string")
        return code

    def find(self, bytes b not None):
        self.begin_read()
        cdef int64_t code = self.find_c(
            <const uint8_t *>PyBytes_AS_STRING(b), <size_t>PyBytes_GET_SIZE(b)
        )
        self.end_read()
        return code

    def get(self, code):
        if not 0 <= code < self.table.count:
            raise IndexError(f"code {code} of a table of {self.table.count} strings")
        cdef size_t n = 0
        cdef const uint8_t *p
        self.begin_read()
        try:
            p = self.get_c(<uint32_t>code, &n)
            return PyBytes_FromStringAndSize(<const char *>p, <Py_ssize_t>n)
        finally:
            self.end_read()

    def intern_bulk(self, const uint8_t[::1] data not None, const int64_t[::1] offsets not None):
        cdef size_t n = _checked(data, offsets)
        out = np.empty(n, np.uint32)
        cdef uint32_t[::1] codes = out
        cdef int failed
        if n == 0:
            return out
        self.begin_write()
        with nogil:
            failed = zj_strings_intern_bulk(&self.table, _start(data), &offsets[0], n, &codes[0])
        self.end_write()
        if failed:
            raise MemoryError("no memory for more strings")
        return out

    def find_bulk(self, const uint8_t[::1] data not None, const int64_t[::1] offsets not None):
        cdef size_t n = _checked(data, offsets)
        out = np.empty(n, np.int64)
        cdef int64_t[::1] codes = out
        if n == 0:
            return out
        self.begin_read()
        with nogil:
            zj_strings_find_bulk(&self.table, _start(data), &offsets[0], n, &codes[0])
        self.end_read()
        return out

    def expect(self, uint64_t strings):
        cdef int failed
        self.begin_write()
        with nogil:
            failed = zj_strings_expect(&self.table, strings)
        self.end_write()
        if failed:
            raise MemoryError("no memory for more strings")

    def append_bulk(self, const uint8_t[::1] data not None, const int64_t[::1] offsets not None):
        cdef size_t n = _checked(data, offsets)
        cdef int failed
        if n == 0:
            return
        self.begin_write()
        with nogil:
            failed = zj_strings_append_bulk(&self.table, _start(data), &offsets[0], n)
        self.end_write()
        if failed:
            raise MemoryError("no memory for more strings")

    def blank(self, const uint32_t[::1] codes not None):
        cdef Py_ssize_t i
        cdef int bad = 0
        self.begin_write()
        with nogil:
            for i in range(codes.shape[0]):
                if codes[i] >= self.table.count:
                    bad = 1
                    break
                zj_strings_blank(&self.table, codes[i])
        self.end_write()
        if bad:
            raise IndexError(f"a code outside a table of {self.table.count} strings")

    def gather(self, const uint32_t[::1] codes not None, bytes prefix not None=b""):
        cdef size_t n = <size_t>codes.shape[0]
        offsets = np.zeros(n + 1, np.int64)
        cdef int64_t[::1] bounds = offsets
        cdef uint8_t[::1] text
        cdef const uint8_t *front = <const uint8_t *>PyBytes_AS_STRING(prefix)
        cdef size_t before = <size_t>PyBytes_GET_SIZE(prefix)
        cdef int bad
        if n == 0:
            return np.empty(0, np.uint8), offsets
        self.begin_read()
        try:
            with nogil:
                bad = zj_strings_measure(&self.table, &codes[0], n, before, &bounds[0])
            if bad:
                raise IndexError(f"a code outside a table of {self.table.count} strings")
            data = np.empty(bounds[n], np.uint8)
            if bounds[n]:
                text = data
                with nogil:
                    zj_strings_copy(
                        &self.table, &codes[0], n, front, before, &bounds[0], &text[0]
                    )
        finally:
            self.end_read()
        return data, offsets

    def to_list(self, start=0):
        self.begin_read()
        try:
            return _decoded(&self.table, start)
        finally:
            self.end_read()

    def dump(self, start=0, stop=None):
        cdef uint64_t first, last, base, size
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError("start and stop must not be negative")
        self.begin_read()
        try:
            last = self.table.count if stop is None else min(stop, self.table.count)
            first = min(start, last)
            base = zj_strings_start(&self.table, first)
            size = zj_strings_start(&self.table, last) - base
            data = np.empty(size, np.uint8)
            offsets = np.zeros(last - first + 1, np.int64)
            _copy(&self.table, data, offsets, first, base)
        finally:
            self.end_read()
        return data, offsets


cdef list _decoded(const zj_strings *table, start):
    cdef uint64_t code, first
    cdef size_t n = 0
    cdef const uint8_t *p
    if start < 0:
        raise ValueError("start must not be negative")
    first = min(start, table.count)
    out = []
    for code in range(first, table.count):
        p = zj_strings_get(table, <uint32_t>code, &n)
        out.append(PyUnicode_DecodeUTF8(<const char *>p, <Py_ssize_t>n, NULL))
    return out


cdef void _copy(
    const zj_strings *table, uint8_t[::1] data, int64_t[::1] offsets, uint64_t first, uint64_t base
) noexcept:
    cdef Py_ssize_t i
    with nogil:
        if data.shape[0]:
            memcpy(&data[0], table.arena + base, <size_t>data.shape[0])
        for i in range(1, offsets.shape[0]):
            offsets[i] = <int64_t>(zj_strings_start(table, first + <uint64_t>i) - base)


def resolve_bulk(
    list tables not None, const uint8_t[::1] data not None, const int64_t[::1] offsets not None
):
    cdef size_t n = _checked(data, offsets)
    cdef size_t shards = <size_t>len(tables), begun = 0
    cdef StringTable table
    cdef zj_strings **all
    cdef int failed = 0
    shard_of = np.empty(n, np.uint16)
    out = np.empty(n, np.uint32)
    cdef uint16_t[::1] places = shard_of
    cdef uint32_t[::1] codes = out
    if not 1 <= shards <= 65536 or shards & (shards - 1):
        raise ValueError("the number of tables must be a power of two, 65,536 at most")
    if len({(<StringTable?>each).salt for each in tables}) != 1 or len(set(map(id, tables))) < <Py_ssize_t>shards:
        raise ValueError("tables must differ and have one salt")
    if n == 0:
        return shard_of, out
    all = <zj_strings **>malloc(shards * sizeof(zj_strings *))
    if all == NULL:
        raise MemoryError
    try:
        while begun < shards:
            table = tables[begun]
            table.begin_write()
            all[begun] = &table.table
            begun += 1
        with nogil:
            failed = zj_resolve_bulk(
                all, shards, _start(data), &offsets[0], n, &places[0], &codes[0]
            )
    finally:
        while begun:
            begun -= 1
            (<StringTable>tables[begun]).end_write()
        free(all)
    if failed:
        raise MemoryError("no memory for more strings")
    return shard_of, out


def stable_hash64(bytes b not None, uint64_t salt):
    cdef zj_hash_key key = zj_hash_key_of(salt)
    return zj_hash64(&key, <const uint8_t *>PyBytes_AS_STRING(b), <size_t>PyBytes_GET_SIZE(b))


def hash_bulk(
    const uint8_t[::1] data not None, const int64_t[::1] offsets not None, uint64_t salt
):
    cdef size_t i, n = _checked(data, offsets)
    out = np.empty(n, np.uint64)
    cdef uint64_t[::1] hashes = out
    cdef zj_hash_key key = zj_hash_key_of(salt)
    cdef const uint8_t *p = _start(data)
    with nogil:
        for i in range(n):
            hashes[i] = zj_hash64(&key, p + offsets[i], <size_t>(offsets[i + 1] - offsets[i]))
    return out
