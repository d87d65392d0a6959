"""Slices of columns of numbers. Rules of shape are checked here, loops are in slices.h.

Thread-safety: free functions without state; the GIL is released while rows are read.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

cdef extern from "slices.h" nogil:
    void zs_cut_i64_u8(const int64_t *, const uint8_t *, int64_t, const int64_t *, int32_t, uint8_t *, int64_t *,
                       int64_t *)
    void zs_cut_f64_u8(const double *, const uint8_t *, int64_t, const double *, int32_t, uint8_t *, double *,
                       double *)
    void zs_cut_i64_u16(const int64_t *, const uint8_t *, int64_t, const int64_t *, int32_t, uint16_t *, int64_t *,
                        int64_t *)
    void zs_cut_f64_u16(const double *, const uint8_t *, int64_t, const double *, int32_t, uint16_t *, double *,
                        double *)
    void zs_within_i64_u8(const uint8_t *, const int64_t *, int64_t, uint8_t, uint8_t, uint8_t, uint8_t, int64_t,
                          int64_t, uint8_t *)
    void zs_within_f64_u8(const uint8_t *, const double *, int64_t, uint8_t, uint8_t, uint8_t, uint8_t, double,
                          double, uint8_t *)
    void zs_within_i64_u16(const uint16_t *, const int64_t *, int64_t, uint16_t, uint16_t, uint16_t, uint16_t,
                           int64_t, int64_t, uint8_t *)
    void zs_within_f64_u16(const uint16_t *, const double *, int64_t, uint16_t, uint16_t, uint16_t, uint16_t, double,
                           double, uint8_t *)


ctypedef fused number_t:
    int64_t
    double

ctypedef fused code_t:
    uint8_t
    uint16_t


def cut(const number_t[::1] values not None, const uint8_t[::1] present, const number_t[::1] starts not None,
        number_t[::1] least not None, number_t[::1] greatest not None, code_t[::1] codes not None):
    cdef int64_t n = values.shape[0], m = starts.shape[0]
    cdef int64_t most = (1 << 8 * sizeof(code_t)) - 2
    cdef const uint8_t *p = NULL
    if not 1 <= m <= most or least.shape[0] != m or greatest.shape[0] != m:
        raise ValueError(f"1 to {most} slices with their ends, got {m}")
    if codes.shape[0] != n:
        raise ValueError(f"{codes.shape[0]} codes for {n} values")
    if present is not None:
        if present.shape[0] != n:
            raise ValueError(f"present has {present.shape[0]} rows, the column {n}")
        p = &present[0] if n else NULL
    if n:
        with nogil:
            if number_t is int64_t and code_t is uint8_t:
                zs_cut_i64_u8(&values[0], p, n, &starts[0], <int32_t>m, &codes[0], &least[0], &greatest[0])
            elif number_t is int64_t:
                zs_cut_i64_u16(&values[0], p, n, &starts[0], <int32_t>m, &codes[0], &least[0], &greatest[0])
            elif code_t is uint8_t:
                zs_cut_f64_u8(&values[0], p, n, &starts[0], <int32_t>m, &codes[0], &least[0], &greatest[0])
            else:
                zs_cut_f64_u16(&values[0], p, n, &starts[0], <int32_t>m, &codes[0], &least[0], &greatest[0])


def within(const code_t[::1] codes not None, const number_t[::1] values not None, code_t first, code_t last,
           code_t one, code_t two, number_t low, number_t high):
    cdef int64_t n = codes.shape[0]
    if values.shape[0] != n:
        raise ValueError(f"{n} codes for {values.shape[0]} values")
    out = np.empty(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n:
        with nogil:
            if number_t is int64_t and code_t is uint8_t:
                zs_within_i64_u8(&codes[0], &values[0], n, first, last, one, two, low, high, &o[0])
            elif number_t is int64_t:
                zs_within_i64_u16(&codes[0], &values[0], n, first, last, one, two, low, high, &o[0])
            elif code_t is uint8_t:
                zs_within_f64_u8(&codes[0], &values[0], n, first, last, one, two, low, high, &o[0])
            else:
                zs_within_f64_u16(&codes[0], &values[0], n, first, last, one, two, low, high, &o[0])
    return out
