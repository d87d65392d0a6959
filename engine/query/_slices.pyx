"""Slices of columns of numbers. Rules of shape are checked here, loops are in slices.h.

Thread-safety: free functions without state; the GIL is released while rows are read.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t

cdef extern from "slices.h" nogil:
    void zs_cut_i64(const int64_t *, const uint8_t *, int64_t, const int64_t *, int32_t, uint8_t *, int64_t *,
                    int64_t *)
    void zs_cut_f64(const double *, const uint8_t *, int64_t, const double *, int32_t, uint8_t *, double *, double *)
    void zs_within_i64(const uint8_t *, const int64_t *, int64_t, uint8_t, uint8_t, uint8_t, uint8_t, int64_t,
                       int64_t, uint8_t *)
    void zs_within_f64(const uint8_t *, const double *, int64_t, uint8_t, uint8_t, uint8_t, uint8_t, double, double,
                       uint8_t *)


ctypedef fused number_t:
    int64_t
    double


def cut(const number_t[::1] values not None, const uint8_t[::1] present, const number_t[::1] starts not None,
        number_t[::1] least not None, number_t[::1] greatest not None):
    cdef int64_t n = values.shape[0], m = starts.shape[0]
    cdef const uint8_t *p = NULL
    if not 1 <= m <= 254 or least.shape[0] != m or greatest.shape[0] != m:
        raise ValueError(f"1 to 254 slices with their ends, got {m}")
    if present is not None:
        if present.shape[0] != n:
            raise ValueError(f"present has {present.shape[0]} rows, the column {n}")
        p = &present[0] if n else NULL
    codes = np.empty(n, np.uint8)
    cdef uint8_t[::1] c = codes
    if n:
        with nogil:
            if number_t is int64_t:
                zs_cut_i64(&values[0], p, n, &starts[0], <int32_t>m, &c[0], &least[0], &greatest[0])
            else:
                zs_cut_f64(&values[0], p, n, &starts[0], <int32_t>m, &c[0], &least[0], &greatest[0])
    return codes


def within(const uint8_t[::1] codes not None, const number_t[::1] values not None, uint8_t first, uint8_t last,
           uint8_t one, uint8_t two, number_t low, number_t high):
    cdef int64_t n = codes.shape[0]
    if values.shape[0] != n:
        raise ValueError(f"{n} codes for {values.shape[0]} values")
    out = np.empty(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n:
        with nogil:
            if number_t is int64_t:
                zs_within_i64(&codes[0], &values[0], n, first, last, one, two, low, high, &o[0])
            else:
                zs_within_f64(&codes[0], &values[0], n, first, last, one, two, low, high, &o[0])
    return out
