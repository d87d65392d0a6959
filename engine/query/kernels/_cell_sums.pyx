# cython: auto_pickle=False, autotestdict=False
"""Sums by cell. C in ``cell_sums.h``; this file checks and converts.

Thread-safety: a free function without state; the GIL is released while values are added.
"""

from libc.stdint cimport uint32_t

import numpy as np

from zuji.engine.query.kernels._lanes cimport pointer

cdef extern from "cell_sums.h" nogil:
    void zj_cell_sums(const uint32_t *cell, const double *value, const double *rest, size_t n, size_t size,
                      double *sum, double *lost)

_U32, _F64 = np.dtype(np.uint32), np.dtype(np.float64)


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
