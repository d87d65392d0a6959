# cython: auto_pickle=False, autotestdict=False
"""Sums by cell. C in ``cell_sums.h``; this file checks and converts.

Thread-safety: a free function without state; the GIL is released while values are added.
"""

from libc.stdint cimport int64_t, uint32_t

import numpy as np

from zuji.engine.query.kernels._lanes cimport pointer

cdef extern from "cell_sums.h" nogil:
    void zj_cell_sums(const uint32_t *cell, const double *value, const double *rest, size_t n, size_t size,
                      double *sum, double *lost)
    void zj_cell_counts(const uint32_t *cell, const int64_t *x, const int64_t *y, size_t n, size_t size, int64_t *count,
                        int64_t *a, int64_t *b)

_U32, _I64, _F64 = np.dtype(np.uint32), np.dtype(np.int64), np.dtype(np.float64)


def cell_sums(cells, values, size, rests=None):
    cdef const uint32_t *cell = <const uint32_t *>pointer(cells, _U32, -1, "cells")
    cdef size_t n = cells.shape[0]
    cdef size_t most = size
    cdef const double *value = <const double *>pointer(values, _F64, n, "values")
    cdef const double *rest = NULL
    if rests is not None:
        rest = <const double *>pointer(rests, _F64, n, "rests")
    total, lost = np.zeros(most, _F64), np.zeros(most, _F64)
    cdef double *sum_out = <double *>pointer(total, _F64, most, "sum")
    cdef double *lost_out = <double *>pointer(lost, _F64, most, "lost")
    with nogil:
        zj_cell_sums(cell, value, rest, n, most, sum_out, lost_out)
    return total, lost


def cell_counts(cells, x, y, size):
    cdef const uint32_t *cell = <const uint32_t *>pointer(cells, _U32, -1, "cells")
    cdef size_t n = cells.shape[0]
    cdef size_t most = size
    cdef const int64_t *first = <const int64_t *>pointer(x, _I64, n, "x")
    cdef const int64_t *second = <const int64_t *>pointer(y, _I64, n, "y")
    found = np.zeros((3, most), _I64)
    cdef int64_t *out = <int64_t *>pointer(found.ravel(), _I64, 3 * most, "counts")
    with nogil:
        zj_cell_counts(cell, first, second, n, most, out, out + most, out + 2 * most)
    return found
