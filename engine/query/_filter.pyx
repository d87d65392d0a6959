"""Filter predicates over one column and their combination. Rules of shape are checked here, loops are in filter.h."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

cdef extern from "filter.h" nogil:
    void zj_between_i64(const int64_t *, const uint8_t *, int64_t, int64_t, int64_t, uint8_t *)
    void zj_between_f64(const double *, const uint8_t *, int64_t, double, double, uint8_t *)
    void zj_between_u32(const uint32_t *, const uint8_t *, int64_t, uint32_t, uint32_t, uint8_t *)
    void zj_between_u8(const uint8_t *, const uint8_t *, int64_t, uint8_t, uint8_t, uint8_t *)
    void zj_member_i64(const int64_t *, const uint8_t *, int64_t, const int64_t *, int64_t, uint8_t *)
    void zj_member_f64(const double *, const uint8_t *, int64_t, const double *, int64_t, uint8_t *)
    void zj_between_u16(const uint16_t *, const uint8_t *, int64_t, uint16_t, uint16_t, uint8_t *)
    void zj_lookup_u8(const uint8_t *, const uint8_t *, int64_t, const uint8_t *, uint32_t, uint8_t *)
    void zj_lookup_u16(const uint16_t *, const uint8_t *, int64_t, const uint8_t *, uint32_t, uint8_t *)
    void zj_lookup_u32(const uint32_t *, const uint8_t *, int64_t, const uint8_t *, uint32_t, uint8_t *)
    void zj_list_any(const uint32_t *, int64_t, const uint32_t *, const uint8_t *, int64_t, const uint8_t *,
                     uint32_t, uint8_t *)
    void zj_list_all(const uint32_t *, int64_t, const uint32_t *, const uint8_t *, int64_t, const uint32_t *,
                     uint32_t, uint32_t, uint32_t *, uint8_t *)
    void zj_list_empty(const uint32_t *, const uint8_t *, int64_t, uint8_t *)
    void zj_and(uint8_t *, const uint8_t *, int64_t)
    void zj_or(uint8_t *, const uint8_t *, int64_t)
    void zj_not(uint8_t *, int64_t)


ctypedef fused code_t:
    uint8_t
    uint16_t
    uint32_t


cdef inline const uint8_t *_flags(const uint8_t[::1] present, int64_t n) except? NULL:
    if present is None:
        return NULL
    if present.shape[0] != n:
        raise ValueError(f"present has {present.shape[0]} rows, the column {n}")
    return &present[0] if n else NULL


def between_i64(const int64_t[::1] values not None, const uint8_t[::1] present, int64_t low, int64_t high):
    cdef int64_t n = values.shape[0]
    cdef const uint8_t *p = _flags(present, n)
    out = np.empty(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n:
        with nogil:
            zj_between_i64(&values[0], p, n, low, high, &o[0])
    return out


def between_f64(const double[::1] values not None, const uint8_t[::1] present, double low, double high):
    cdef int64_t n = values.shape[0]
    cdef const uint8_t *p = _flags(present, n)
    out = np.empty(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n:
        with nogil:
            zj_between_f64(&values[0], p, n, low, high, &o[0])
    return out


def equal(const code_t[::1] codes not None, const uint8_t[::1] present, code_t code):
    cdef int64_t n = codes.shape[0]
    cdef const uint8_t *p = _flags(present, n)
    out = np.empty(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n:
        with nogil:
            if code_t is uint8_t:
                zj_between_u8(&codes[0], p, n, code, code, &o[0])
            elif code_t is uint16_t:
                zj_between_u16(&codes[0], p, n, code, code, &o[0])
            else:
                zj_between_u32(&codes[0], p, n, code, code, &o[0])
    return out


def member_i64(const int64_t[::1] values not None, const uint8_t[::1] present, const int64_t[::1] ascending not None):
    cdef int64_t n = values.shape[0], m = ascending.shape[0]
    cdef const uint8_t *p = _flags(present, n)
    out = np.zeros(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n and m:
        with nogil:
            zj_member_i64(&values[0], p, n, &ascending[0], m, &o[0])
    return out


def member_f64(const double[::1] values not None, const uint8_t[::1] present, const double[::1] ascending not None):
    cdef int64_t n = values.shape[0], m = ascending.shape[0]
    cdef const uint8_t *p = _flags(present, n)
    out = np.zeros(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n and m:
        with nogil:
            zj_member_f64(&values[0], p, n, &ascending[0], m, &o[0])
    return out


def lookup(const code_t[::1] codes not None, const uint8_t[::1] present, const uint8_t[::1] table not None):
    cdef int64_t n = codes.shape[0]
    cdef uint32_t size = <uint32_t>table.shape[0]
    cdef const uint8_t *p = _flags(present, n)
    out = np.zeros(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n and size:
        with nogil:
            if code_t is uint8_t:
                zj_lookup_u8(&codes[0], p, n, &table[0], size, &o[0])
            elif code_t is uint16_t:
                zj_lookup_u16(&codes[0], p, n, &table[0], size, &o[0])
            else:
                zj_lookup_u32(&codes[0], p, n, &table[0], size, &o[0])
    return out


def list_any(const uint32_t[::1] codes not None, const uint32_t[::1] offsets not None, const uint8_t[::1] present,
             const uint8_t[::1] table not None):
    cdef int64_t n = offsets.shape[0] - 1, total = codes.shape[0]
    cdef uint32_t size = <uint32_t>table.shape[0]
    if n < 0:
        raise ValueError("offsets of a list column have one item more than it has rows")
    cdef const uint8_t *p = _flags(present, n)
    out = np.zeros(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n and size and total:
        with nogil:
            zj_list_any(&codes[0], total, &offsets[0], p, n, &table[0], size, &o[0])
    return out


def list_all(const uint32_t[::1] codes not None, const uint32_t[::1] offsets not None, const uint8_t[::1] present,
             const uint32_t[::1] place not None, uint32_t wanted):
    cdef int64_t n = offsets.shape[0] - 1, total = codes.shape[0]
    cdef uint32_t size = <uint32_t>place.shape[0]
    if n < 0 or n >= 0xFFFFFFFF:
        raise ValueError("offsets of a list column have one item more than it has rows")
    if size and int(np.max(place)) > wanted:
        raise ValueError("a place lies past the wanted items")
    cdef const uint8_t *p = _flags(present, n)
    out = np.zeros(n, np.uint8)
    cdef uint8_t[::1] o = out
    cdef uint32_t[::1] stamp = np.zeros(max(wanted, 1), np.uint32)
    if n and size and total:
        with nogil:
            zj_list_all(&codes[0], total, &offsets[0], p, n, &place[0], size, wanted, &stamp[0], &o[0])
    return out


def list_empty(const uint32_t[::1] offsets not None, const uint8_t[::1] present):
    cdef int64_t n = offsets.shape[0] - 1
    if n < 0:
        raise ValueError("offsets of a list column have one item more than it has rows")
    cdef const uint8_t *p = _flags(present, n)
    out = np.empty(n, np.uint8)
    cdef uint8_t[::1] o = out
    if n:
        with nogil:
            zj_list_empty(&offsets[0], p, n, &o[0])
    return out


def and_into(uint8_t[::1] out not None, const uint8_t[::1] other not None):
    cdef int64_t n = out.shape[0]
    if other.shape[0] != n:
        raise ValueError("masks differ in length")
    if n:
        with nogil:
            zj_and(&out[0], &other[0], n)


def or_into(uint8_t[::1] out not None, const uint8_t[::1] other not None):
    cdef int64_t n = out.shape[0]
    if other.shape[0] != n:
        raise ValueError("masks differ in length")
    if n:
        with nogil:
            zj_or(&out[0], &other[0], n)


def invert(uint8_t[::1] out not None):
    cdef int64_t n = out.shape[0]
    if n:
        with nogil:
            zj_not(&out[0], n)
