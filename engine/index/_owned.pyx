# cython: auto_pickle=False, autotestdict=False
"""Owned: whose each device is, for the many that are one customer's for ever. The C is in ``owned.h``.

Threads: not thread-safe, the caller holds a lock; calls keep the GIL, so none sees a table half written.
"""

import numpy as np

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "index/owned.h" nogil:
    ctypedef struct zj_owned:
        uint64_t shards
        uint32_t count
        uint32_t used

    int64_t ZJ_OWNED_LOWEST
    int64_t ZJ_OWNED_HIGHEST
    int zj_owned_init(zj_owned *t, uint64_t shards) noexcept
    void zj_owned_free(zj_owned *t) noexcept
    uint64_t zj_owned_bytes(const zj_owned *t) noexcept
    uint32_t zj_owned_number(const zj_owned *t, int64_t at) noexcept
    int zj_owned_tell(
        zj_owned *t, const int64_t *at, const int64_t *place, const int64_t *time, size_t n, uint8_t *states
    ) noexcept
    void zj_owned_look(
        const zj_owned *t, const int64_t *at, size_t n, int64_t *place, int64_t *first, uint8_t *known
    ) noexcept
    int zj_owned_set(
        zj_owned *t, const int64_t *at, const int64_t *place, const int64_t *first, size_t n
    ) noexcept
    void zj_owned_clear(zj_owned *t, int64_t at) noexcept
    int zj_owned_move(zj_owned *t, int64_t source, int64_t to) noexcept


@cython.final
cdef class Owned:
    cdef zj_owned table

    def __cinit__(self, shards):
        if not 1 <= shards <= 1 << 16:
            raise ValueError(f"a project has 1 to 65,535 shards, got {shards - 1}")
        if zj_owned_init(&self.table, shards) != 0:
            raise MemoryError("no memory for the links of devices")

    def __dealloc__(self):
        zj_owned_free(&self.table)

    def __len__(self):
        return self.table.count

    @property
    def nbytes(self):
        return zj_owned_bytes(&self.table)

    @property
    def numbers(self):
        return self.table.used

    cdef size_t _checked(self, const int64_t[::1] at, const int64_t[::1] place, const int64_t[::1] time) except? 0:
        """Number of devices; ValueError for what the table cannot hold."""
        cdef Py_ssize_t i, n = at.shape[0]
        cdef int64_t shards = <int64_t>self.table.shards
        cdef int bad = 0
        if place.shape[0] != n or time.shape[0] != n:
            raise ValueError("as many customers and moments as devices")
        with nogil:
            for i in range(n):
                bad |= at[i] < 0 or at[i] >> 32 >= shards or place[i] < -1 or place[i] >> 32 >= shards
                bad |= time[i] < ZJ_OWNED_LOWEST or time[i] > ZJ_OWNED_HIGHEST
        if bad:
            raise ValueError("a device, a customer or a moment that there cannot be")
        return <size_t>n

    def tell(
        self, const int64_t[::1] at not None, const int64_t[::1] place not None, const int64_t[::1] time not None
    ):
        cdef size_t n = self._checked(at, place, time)
        cdef uint8_t[::1] states
        out = np.empty(n, np.uint8)
        if n:
            states = out
            if zj_owned_tell(&self.table, &at[0], &place[0], &time[0], n, &states[0]) != 0:
                raise MemoryError("no memory for the links of devices")
        return out

    def set(
        self, const int64_t[::1] at not None, const int64_t[::1] place not None, const int64_t[::1] first not None
    ):
        cdef size_t n = self._checked(at, place, first)
        if n and zj_owned_set(&self.table, &at[0], &place[0], &first[0], n) != 0:
            raise MemoryError("no memory for the links of devices")

    def owners(self, const int64_t[::1] at not None):
        cdef Py_ssize_t n = at.shape[0]
        cdef int64_t[::1] places
        out = np.empty(n, np.int64)
        if n:
            places = out
            zj_owned_look(&self.table, &at[0], <size_t>n, &places[0], NULL, NULL)
        return out

    def firsts(self, const int64_t[::1] at not None):
        cdef Py_ssize_t n = at.shape[0]
        cdef int64_t[::1] moments
        out = np.empty(n, np.int64)
        if n:
            moments = out
            zj_owned_look(&self.table, &at[0], <size_t>n, NULL, &moments[0], NULL)
        return out

    def known(self, const int64_t[::1] at not None):
        cdef Py_ssize_t n = at.shape[0]
        cdef uint8_t[::1] flags
        out = np.empty(n, np.uint8)
        if n:
            flags = out
            zj_owned_look(&self.table, &at[0], <size_t>n, NULL, NULL, &flags[0])
        return out.view(np.bool_)

    def numbers_of(self, const int64_t[::1] at not None):
        cdef Py_ssize_t i, n = at.shape[0]
        out = np.empty(n, np.uint32)
        cdef uint32_t[::1] numbers = out
        for i in range(n):
            numbers[i] = zj_owned_number(&self.table, at[i])
        return out

    def clear(self, const int64_t[::1] at not None):
        cdef Py_ssize_t i
        for i in range(at.shape[0]):
            zj_owned_clear(&self.table, at[i])

    def move(self, int64_t source, int64_t to):
        if to < 0 or to >> 32 >= <int64_t>self.table.shards or zj_owned_number(&self.table, to):
            raise ValueError("a device moves to a place that is nobody's")
        if zj_owned_move(&self.table, source, to) != 0:
            raise MemoryError("no memory for the links of devices")
