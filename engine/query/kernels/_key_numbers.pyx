# cython: auto_pickle=False, autotestdict=False
"""Numbers of keys. C in ``key_numbers.h``; this file checks and converts.

Thread-safety: a table is used by one thread at a time; the GIL is released while keys are numbered.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

cimport cython
import numpy as np

from zuji.engine.query.kernels._lanes cimport finish, pointer

cdef extern from "key_numbers.h" nogil:
    ctypedef struct zn_table:
        int64_t *key
        uint32_t *slot
        uint32_t count, room

    int zn_numbers(zn_table *t, const int64_t *key, size_t n, uint32_t *out)
    void zn_close(zn_table *t)

_I64, _U32 = np.dtype(np.int64), np.dtype(np.uint32)


@cython.final
cdef class KeyNumbers:
    cdef zn_table table

    def __dealloc__(self):
        zn_close(&self.table)

    def __len__(self):
        return self.table.count

    def numbers(self, keys):
        cdef const int64_t *key = <const int64_t *>pointer(keys, _I64, -1, "keys")
        cdef size_t n = keys.shape[0]
        cdef int status
        out = np.empty(n, _U32)
        cdef uint32_t *into = <uint32_t *>pointer(out, _U32, -1, "out")
        with nogil:
            status = zn_numbers(&self.table, key, n, into)
        finish(status)
        return out

    def keys(self):
        out = np.empty(self.table.count, _I64)
        cdef int64_t *into = <int64_t *>pointer(out, _I64, -1, "out")
        if self.table.count:
            memcpy(into, self.table.key, self.table.count * sizeof(int64_t))
        return out

    def key(self, number):
        cdef uint32_t at = number
        if at >= self.table.count:
            raise IndexError(f"there are {self.table.count} keys")
        return self.table.key[at]
