# cython: auto_pickle=False, autotestdict=False
"""Row order of a source: sorting permutations, gather, tie ranks and the CSR of users.

The C is in ``radix.h``. Everything is stable, runs without the GIL and checks its indices.
Complexity: order_rows O(n x digits) with 20 bytes of scratch a row; the rest O(n).

Threads: pure functions of their arguments.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cnp.import_array()


cdef extern from "storage/radix.h" nogil:
    int zj_order_rows(
        const uint32_t *ordinal, const uint32_t *time, const uint16_t *event, const uint32_t *low,
        size_t n, uint32_t *perm_time, uint32_t *perm_event,
    ) noexcept
    int zj_indices_below(const uint32_t *idx, size_t n, size_t limit) noexcept
    void zj_take(const void *src, const uint32_t *idx, size_t n, void *out, int width) noexcept
    void zj_ties(
        const uint32_t *ordinal, const uint32_t *time, const uint32_t *perm, size_t n, uint16_t *out
    ) noexcept
    size_t zj_distinct_sorted(const uint32_t *v, size_t n) noexcept
    void zj_csr(const uint32_t *v, size_t n, uint32_t *users, uint32_t *offsets) noexcept


def order_rows(
    const uint32_t[::1] ordinal not None,
    const uint32_t[::1] time not None,
    const uint16_t[::1] event not None,
    const uint32_t[::1] low=None,
):
    cdef size_t n = <size_t>ordinal.shape[0]
    cdef int failed
    cdef const uint32_t *lows = NULL
    if time.shape[0] != ordinal.shape[0] or event.shape[0] != ordinal.shape[0]:
        raise ValueError("ordinal, time and event must have the same length")
    if low is not None and low.shape[0] != ordinal.shape[0]:
        raise ValueError("low must have the length of ordinal")
    if n >= <size_t>0xFFFFFFFF:
        raise OverflowError("more than 2^32 - 2 rows in one source")
    by_time = np.empty(n, np.uint32)
    by_event = np.empty(n, np.uint32)
    cdef uint32_t[::1] perm_time = by_time
    cdef uint32_t[::1] perm_event = by_event
    if n == 0:
        return by_time, by_event
    if low is not None:
        lows = &low[0]
    with nogil:
        failed = zj_order_rows(
            &ordinal[0], &time[0], &event[0], lows, n, &perm_time[0], &perm_event[0]
        )
    if failed:
        raise MemoryError(f"no memory to sort {n} rows")
    return by_time, by_event


def take(src, const uint32_t[::1] idx not None, out):
    if not isinstance(src, np.ndarray) or not isinstance(out, np.ndarray):
        raise TypeError("src and out must be numpy arrays")
    if src.dtype != out.dtype or src.dtype.itemsize not in (1, 2, 4, 8) or src.dtype.hasobject:
        raise TypeError("src and out must have the same type, of 1, 2, 4 or 8 bytes")
    if src.ndim != 1 or out.ndim != 1 or not src.flags.c_contiguous or not out.flags.c_contiguous:
        raise ValueError("src and out must be contiguous and one-dimensional")
    if not out.flags.writeable or not src.flags.aligned or not out.flags.aligned:
        raise ValueError("out must be writeable, src and out aligned")
    if out.shape[0] != idx.shape[0]:
        raise ValueError("out must have the length of idx")
    cdef size_t n = <size_t>idx.shape[0]
    cdef size_t limit = <size_t>src.shape[0]
    cdef int width = src.dtype.itemsize
    cdef const void *source = cnp.PyArray_DATA(src)
    cdef void *target = cnp.PyArray_DATA(out)
    cdef int valid = 1
    if n == 0:
        return
    with nogil:
        valid = zj_indices_below(&idx[0], n, limit)
        if valid:
            zj_take(source, &idx[0], n, target, width)
    if not valid:
        raise IndexError(f"an index is not below {limit}")


def ties(
    const uint32_t[::1] ordinal not None,
    const uint32_t[::1] time not None,
    const uint32_t[::1] perm_time not None,
):
    cdef size_t n = <size_t>ordinal.shape[0]
    cdef int valid = 1
    if time.shape[0] != ordinal.shape[0] or perm_time.shape[0] != ordinal.shape[0]:
        raise ValueError("ordinal, time and perm_time must have the same length")
    out = np.zeros(n, np.uint16)
    cdef uint16_t[::1] ranks = out
    if n == 0:
        return out
    with nogil:
        valid = zj_indices_below(&perm_time[0], n, n)
        if valid:
            zj_ties(&ordinal[0], &time[0], &perm_time[0], n, &ranks[0])
    if not valid:
        raise IndexError(f"an index is not below {n}")
    return out


def csr(const uint32_t[::1] ordinals_sorted not None):
    cdef size_t n = <size_t>ordinals_sorted.shape[0]
    cdef size_t distinct = 0
    if n >= <size_t>0xFFFFFFFF:
        raise OverflowError("more than 2^32 - 2 rows in one source")
    if n:
        with nogil:
            distinct = zj_distinct_sorted(&ordinals_sorted[0], n)
    if distinct == <size_t>-1:
        raise ValueError("ordinals must ascend")
    users_out = np.empty(distinct, np.uint32)
    offsets_out = np.zeros(distinct + 1, np.uint32)
    cdef uint32_t[::1] users = users_out
    cdef uint32_t[::1] offsets = offsets_out
    if n:
        with nogil:
            zj_csr(&ordinals_sorted[0], n, &users[0], &offsets[0])
    return users_out, offsets_out
