# cython: auto_pickle=False, autotestdict=False
"""Set128: a set of 128-bit keys for deduplication, filled and asked in bulk.

The C is in ``hashset128.h``. 16 bytes a slot at a load of at most 5/8; add and look up are O(1)
expected, with the cache misses of 16 keys overlapped. Growing moves keys a few at a time, so no call
takes much longer than others.

Threads: not thread-safe. The caller holds a lock; bulk calls release the GIL, and a call that finds
the set in use by another thread raises RuntimeError.
"""

import secrets

import numpy as np

cimport cython
from libc.stdint cimport uint8_t, uint64_t


cdef extern from "briefly.h":
    ctypedef struct PyThreadState:
        pass
    PyThreadState *zj_leave(size_t rows)
    void zj_return(PyThreadState *left)

cdef extern from "index/hashset128.h" nogil:
    ctypedef struct zj_key128:
        uint64_t hi
        uint64_t lo

    ctypedef struct zj_set128:
        zj_key128 *slots
        uint64_t capacity
        uint64_t count
        int has_zero
        zj_key128 *old
        uint64_t old_capacity

    int zj_set128_init(zj_set128 *t, uint64_t salt) noexcept
    void zj_set128_free(zj_set128 *t) noexcept
    int zj_set128_reserve(zj_set128 *t, uint64_t more) noexcept
    int zj_set128_add(
        zj_set128 *t, const uint64_t *hi, const uint64_t *lo, size_t n, uint8_t *added, size_t *done
    ) noexcept
    int zj_set128_add_new(
        zj_set128 *t, const uint64_t *hi, const uint64_t *lo, size_t n, const uint8_t *skip, uint8_t *added,
        size_t *done, uint64_t *fresh
    ) noexcept
    void zj_set128_contains(
        const zj_set128 *t, const uint64_t *hi, const uint64_t *lo, size_t n, uint8_t *found
    ) noexcept
    int zj_set128_discard(zj_set128 *t, uint64_t hi, uint64_t lo) noexcept


@cython.final
cdef class Set128:
    cdef zj_set128 table
    cdef int writing
    cdef int reading

    def __cinit__(self, salt=None):
        if zj_set128_init(&self.table, secrets.randbits(64) if salt is None else salt) != 0:
            raise MemoryError("no memory for a key set")

    def __dealloc__(self):
        zj_set128_free(&self.table)

    cdef int _begin_write(self) except -1:
        if self.writing or self.reading:
            raise RuntimeError("Set128 is in use by another thread: hold a lock around it")
        self.writing = 1
        return 0

    cdef int _begin_read(self) except -1:
        if self.writing:
            raise RuntimeError("Set128 is being written by another thread: hold a lock around it")
        self.reading += 1
        return 0

    def __len__(self):
        return self.table.count + <uint64_t>self.table.has_zero

    @property
    def nbytes(self):
        return (self.table.capacity + self.table.old_capacity) * sizeof(zj_key128)

    @property
    def moving(self):
        return self.table.old != NULL

    def reserve(self, uint64_t keys):
        self._begin_write()
        cdef int failed
        with nogil:
            failed = zj_set128_reserve(&self.table, keys)
        self.writing = 0
        if failed:
            raise MemoryError(f"no memory for {keys} more keys")

    def add_bulk(self, const uint64_t[::1] hi not None, const uint64_t[::1] lo not None):
        cdef size_t n = _length(hi, lo)
        cdef size_t done = 0
        cdef PyThreadState *left
        cdef int failed
        out = np.empty(n, np.uint8)
        cdef uint8_t[::1] added = out
        if n == 0:
            return out
        self._begin_write()
        his, los, new = &hi[0], &lo[0], &added[0]
        left = zj_leave(n)
        failed = zj_set128_add(&self.table, his, los, n, new, &done)
        if failed:
            _undo(&self.table, his, los, done, new)
        zj_return(left)
        self.writing = 0
        if failed:
            raise MemoryError("no memory for more keys")
        return out

    def add_new(self, const uint64_t[::1] hi not None, const uint64_t[::1] lo not None, known):
        cdef const uint8_t[::1] skip = known
        cdef size_t n = _length(hi, lo), done = 0
        cdef uint64_t fresh = 0
        cdef int failed = 0
        out = np.empty(n, np.uint8)
        cdef uint8_t[::1] added = out
        if skip is not None and <size_t>skip.shape[0] != n:
            raise ValueError("the flags and the keys must have the same length")
        if n == 0:
            return out, 0
        self._begin_write()
        with nogil:
            failed = zj_set128_add_new(&self.table, &hi[0], &lo[0], n, NULL if skip is None else &skip[0], &added[0],
                                       &done, &fresh)
            if failed:
                _undo(&self.table, &hi[0], &lo[0], done, &added[0])
        self.writing = 0
        if failed:
            raise MemoryError("no memory for more keys")
        return out, fresh

    def contains_bulk(self, const uint64_t[::1] hi not None, const uint64_t[::1] lo not None):
        cdef size_t n = _length(hi, lo)
        out = np.empty(n, np.uint8)
        cdef uint8_t[::1] found = out
        if n == 0:
            return out
        self._begin_read()
        with nogil:
            zj_set128_contains(&self.table, &hi[0], &lo[0], n, &found[0])
        self.reading -= 1
        return out

    def discard_bulk(self, const uint64_t[::1] hi not None, const uint64_t[::1] lo not None):
        cdef size_t i, n = _length(hi, lo)
        out = np.empty(n, np.uint8)
        cdef uint8_t[::1] removed = out
        self._begin_write()
        with nogil:
            for i in range(n):
                removed[i] = <uint8_t>zj_set128_discard(&self.table, hi[i], lo[i])
        self.writing = 0
        return out

    def keys(self):
        self._begin_read()
        try:
            hi = np.zeros(len(self), np.uint64)
            lo = np.zeros(len(self), np.uint64)
            # The key (0, 0), which has no slot, is already there.
            _copy_keys(&self.table, hi, lo, self.table.has_zero)
        finally:
            self.reading -= 1
        return hi, lo


cdef void _copy_keys(
    const zj_set128 *table, uint64_t[::1] hi, uint64_t[::1] lo, Py_ssize_t at
) noexcept:
    cdef uint64_t i
    cdef zj_key128 key
    with nogil:
        for i in range(table.capacity):
            key = table.slots[i]
            if key.hi | key.lo:
                hi[at] = key.hi
                lo[at] = key.lo
                at += 1
        for i in range(table.old_capacity):
            key = table.old[i]
            if key.hi | key.lo:
                hi[at] = key.hi
                lo[at] = key.lo
                at += 1


cdef void _undo(
    zj_set128 *table, const uint64_t *hi, const uint64_t *lo, size_t n, const uint8_t *added
) noexcept nogil:
    cdef size_t i
    for i in range(n):
        if added[i]:
            zj_set128_discard(table, hi[i], lo[i])


cdef size_t _length(const uint64_t[::1] hi, const uint64_t[::1] lo) except? 0:
    if hi.shape[0] != lo.shape[0]:
        raise ValueError("both halves of the keys must have the same length")
    return <size_t>hi.shape[0]
