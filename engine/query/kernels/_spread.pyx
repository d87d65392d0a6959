# cython: auto_pickle=False, autotestdict=False
"""Values by cell, in bins. C in ``spread.h``; this file checks, allocates and converts.

Thread-safety: free functions without state; the GIL is released while values are read.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

import numpy as np

from zuji.engine.query.kernels._lanes cimport finish, pointer

cdef extern from "spread.h" nogil:
    int zv_tally(const uint32_t *owner, const uint32_t *cell, size_t n, size_t cells, uint32_t *last, int64_t *pairs,
                 int64_t *users)
    int zv_bin(const uint32_t *cell, const double *value, size_t n, int shift, int64_t first, uint64_t bins,
               uint64_t cells, uint32_t *key, int64_t *count)
    size_t zv_members(const uint8_t *wanted, const uint32_t *key, const double *value, size_t n, uint32_t *out_key,
                      double *out_value)

_U8, _U32, _I64, _F64 = np.dtype(np.uint8), np.dtype(np.uint32), np.dtype(np.int64), np.dtype(np.float64)


def tally(owner, cell, cells):
    cdef Py_ssize_t n = len(owner)
    cdef size_t size = cells
    cdef int status
    cdef const uint32_t *owners = <const uint32_t *>pointer(owner, _U32, -1, "owner")
    cdef const uint32_t *cell_of = <const uint32_t *>pointer(cell, _U32, n, "cell")
    last, pairs, users = np.full(cells, 0xFFFFFFFF, _U32), np.zeros(cells, _I64), np.zeros(cells, _I64)
    cdef uint32_t *lasts = <uint32_t *>pointer(last, _U32, -1, "last")
    cdef int64_t *pair = <int64_t *>pointer(pairs, _I64, -1, "pairs")
    cdef int64_t *user = <int64_t *>pointer(users, _I64, -1, "users")
    with nogil:
        status = zv_tally(owners, cell_of, n, size, lasts, pair, user)
    finish(status)
    return pairs, users


def binned(cell, value, cells, shift, first, bins):
    cdef Py_ssize_t n = len(cell)
    cdef uint64_t n_cells = cells, n_bins = bins
    cdef int64_t begin = first
    cdef int bits = shift, status
    if not 0 <= shift < 64 or cells * bins >= 0xFFFFFFFF:
        raise ValueError("at most 2**32 - 2 bins")
    cdef const uint32_t *cell_of = <const uint32_t *>pointer(cell, _U32, -1, "cell")
    cdef const double *values = <const double *>pointer(value, _F64, n, "value")
    key, count = np.empty(n, _U32), np.zeros(cells * bins, _I64)
    cdef uint32_t *keys = <uint32_t *>pointer(key, _U32, -1, "key")
    cdef int64_t *counts = <int64_t *>pointer(count, _I64, -1, "count")
    with nogil:
        status = zv_bin(cell_of, values, n, bits, begin, n_bins, n_cells, keys, counts)
    finish(status)
    return key, count


def members(wanted, key, value):
    cdef Py_ssize_t n = len(key)
    cdef const uint8_t *want = <const uint8_t *>pointer(wanted, _U8, -1, "wanted")
    cdef const uint32_t *keys = <const uint32_t *>pointer(key, _U32, -1, "key")
    cdef const double *values = <const double *>pointer(value, _F64, n, "value")
    if n and key.max() >= len(wanted):
        raise ValueError("key: one of the bins of wanted")
    if wanted.max(initial=0) > 1:
        raise ValueError("wanted: 0 or 1")
    chosen, held = np.empty(n + 1, _U32), np.empty(n + 1, _F64)
    cdef uint32_t *out_key = <uint32_t *>pointer(chosen, _U32, -1, "key")
    cdef double *out_value = <double *>pointer(held, _F64, -1, "value")
    cdef size_t m
    with nogil:
        m = zv_members(want, keys, values, n, out_key, out_value)
    return chosen[:m].copy(), held[:m].copy()
