# cython: auto_pickle=False, autotestdict=False
"""Cells to columns and back to rows: the pivot of the memtable, sparse gathers and null expansion.

Every function takes contiguous arrays and gives the GIL back while it works. Bounds that come from
outside (cell starts, property codes, positions) are checked here, once, before the unchecked loops.
"""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "pivot.h" nogil:
    int pivot_count(const uint32_t *, int64_t, const int64_t *, int64_t, const uint16_t *, int64_t, int64_t, int64_t *)
    void pivot_emit(const uint32_t *, int64_t, const int64_t *, const uint16_t *, const int64_t *, int64_t *,
                    const int64_t *, int64_t *, uint8_t *)
    void pivot_group_uint16_t(const uint16_t *, int64_t, int64_t, int64_t *, uint32_t *, uint32_t *)
    void pivot_group_uint32_t(const uint32_t *, int64_t, int64_t, int64_t *, uint32_t *, uint32_t *)
    int64_t pivot_gather_uint8_t(const uint32_t *, const uint32_t *, int64_t, const uint8_t *, uint8_t *, uint8_t *)
    int64_t pivot_gather_uint32_t(const uint32_t *, const uint32_t *, int64_t, const uint32_t *, uint32_t *, uint8_t *)
    int64_t pivot_gather_uint64_t(const uint32_t *, const uint32_t *, int64_t, const uint64_t *, uint64_t *, uint8_t *)
    int64_t pivot_expand_uint8_t(const uint8_t *, int64_t, const uint8_t *, int64_t, uint8_t *)
    int64_t pivot_expand_uint32_t(const uint32_t *, int64_t, const uint8_t *, int64_t, uint32_t *)
    int64_t pivot_expand_uint64_t(const uint64_t *, int64_t, const uint8_t *, int64_t, uint64_t *)


def emit_cells(const uint32_t[::1] rows, const int64_t[::1] cell_start, const uint16_t[::1] prop,
               const int64_t[::1] value, Py_ssize_t props):
    cdef int64_t n = rows.shape[0], all_rows = cell_start.shape[0] - 1, cells = prop.shape[0], sparse = 0
    cdef Py_ssize_t i
    cdef int bad = 0
    counts = np.zeros(props, np.int64)
    starts = np.zeros(props + 1, np.int64)
    presence = np.full(props, -1, np.int64)
    cdef int64_t[::1] cv = counts, pv = presence
    if value.shape[0] != cells:
        raise ValueError("cell arrays differ in length")
    if n and cells and props:
        with nogil:
            bad = pivot_count(&rows[0], n, &cell_start[0], all_rows, &prop[0], cells, props, &cv[0])
    if bad:
        raise ValueError("cells out of order or a property code out of range")
    np.cumsum(counts, out=starts[1:])
    for i in range(props):
        if 0 < cv[i] < n:
            pv[i] = sparse
            sparse += n
        elif cv[i] > n:
            raise ValueError("a row has a property twice")
    values = np.empty(starts[props], np.int64)
    present = np.zeros(sparse, np.uint8)
    cdef int64_t[::1] cursor = starts[:props].copy(), vv = values
    cdef uint8_t[::1] sv = present
    if vv.shape[0]:
        with nogil:
            pivot_emit(&rows[0], n, &cell_start[0], &prop[0], &value[0], &cursor[0], &pv[0], &vv[0],
                       &sv[0] if sparse else NULL)
    return starts, values, presence, present


def mark_codes(const int64_t[::1] codes, uint8_t[::1] used):
    cdef Py_ssize_t i, n = codes.shape[0], size = used.shape[0]
    cdef bint bad = False
    with nogil:
        for i in range(n):
            if codes[i] < 0 or codes[i] >= size:
                bad = True
                break
            used[codes[i]] = 1
    if bad:
        raise ValueError("string code out of range")


def recode(const int64_t[::1] codes, const uint32_t[::1] lut):
    cdef Py_ssize_t i, n = codes.shape[0], size = lut.shape[0]
    cdef bint bad = False
    out = np.empty(n, np.uint32)
    cdef uint32_t[::1] o = out
    with nogil:
        for i in range(n):
            if codes[i] < 0 or codes[i] >= size:
                bad = True
                break
            o[i] = lut[codes[i]]
    if bad:
        raise ValueError("string code out of range")
    return out


ctypedef fused group_key:
    uint16_t
    uint32_t


def group_rows(const group_key[::1] key, Py_ssize_t buckets):
    cdef Py_ssize_t n = key.shape[0], i
    starts = np.zeros(buckets + 1, np.int64)
    order = np.empty(n, np.uint32)
    local = np.empty(n, np.uint32)
    cdef int64_t[::1] s = starts
    cdef uint32_t[::1] o = order, l = local
    if n == 0:
        return order, local, starts
    with nogil:
        for i in range(n):
            if key[i] >= buckets:
                with gil:
                    raise ValueError("key out of range")
        if group_key is uint16_t:
            pivot_group_uint16_t(&key[0], n, buckets, &s[0], &o[0], &l[0])
        else:
            pivot_group_uint32_t(&key[0], n, buckets, &s[0], &o[0], &l[0])
    return order, local, starts


def positions(const uint32_t[::1] rows, Py_ssize_t n):
    out = np.full(n, 0xFFFFFFFF, np.uint32)
    cdef uint32_t[::1] o = out
    cdef Py_ssize_t i, m = rows.shape[0]
    cdef bint bad = False
    with nogil:
        for i in range(m):
            if rows[i] >= n:
                bad = True
                break
            o[rows[i]] = <uint32_t>i
    if bad:
        raise ValueError("row number out of range")
    return out


def gather_present(const uint32_t[::1] position, const uint32_t[::1] perm, values):
    cdef Py_ssize_t n = perm.shape[0], size = values.dtype.itemsize
    cdef int64_t count = 0
    out = np.empty(n, values.dtype)
    present = np.empty(n, np.uint8)
    cdef uint8_t[::1] p = present
    cdef const uint8_t[::1] f1
    cdef const uint32_t[::1] f4
    cdef const uint64_t[::1] f8
    cdef uint8_t[::1] t1
    cdef uint32_t[::1] t4
    cdef uint64_t[::1] t8
    if n == 0 or values.shape[0] == 0:
        present[:] = 0
        return out[:0], present
    if size == 1:
        f1, t1 = values.view(np.uint8), out.view(np.uint8)
        with nogil:
            count = pivot_gather_uint8_t(&position[0], &perm[0], n, &f1[0], &t1[0], &p[0])
    elif size == 4:
        f4, t4 = values.view(np.uint32), out.view(np.uint32)
        with nogil:
            count = pivot_gather_uint32_t(&position[0], &perm[0], n, &f4[0], &t4[0], &p[0])
    elif size == 8:
        f8, t8 = values.view(np.uint64), out.view(np.uint64)
        with nogil:
            count = pivot_gather_uint64_t(&position[0], &perm[0], n, &f8[0], &t8[0], &p[0])
    else:
        raise TypeError("values of 1, 4 or 8 bytes are expected")
    return out[:count], present


def expand(values, const uint8_t[::1] present):
    cdef Py_ssize_t n = present.shape[0], size = values.dtype.itemsize
    cdef int64_t count = values.shape[0], used = 0
    out = np.zeros(n, values.dtype)
    cdef const uint8_t[::1] f1
    cdef const uint32_t[::1] f4
    cdef const uint64_t[::1] f8
    cdef uint8_t[::1] t1
    cdef uint32_t[::1] t4
    cdef uint64_t[::1] t8
    if n == 0 or count == 0:
        return out
    if size == 1:
        f1, t1 = values.view(np.uint8), out.view(np.uint8)
        with nogil:
            used = pivot_expand_uint8_t(&f1[0], count, &present[0], n, &t1[0])
    elif size == 4:
        f4, t4 = values.view(np.uint32), out.view(np.uint32)
        with nogil:
            used = pivot_expand_uint32_t(&f4[0], count, &present[0], n, &t4[0])
    elif size == 8:
        f8, t8 = values.view(np.uint64), out.view(np.uint64)
        with nogil:
            used = pivot_expand_uint64_t(&f8[0], count, &present[0], n, &t8[0])
    else:
        raise TypeError("values of 1, 4 or 8 bytes are expected")
    if used != count:
        raise ValueError("presence does not agree with the number of values")
    return out


def gather_lists(const uint32_t[::1] offsets, const uint32_t[::1] items, const uint32_t[::1] index):
    cdef Py_ssize_t n = index.shape[0], m = offsets.shape[0] - 1, i
    cdef uint64_t total = 0
    cdef uint32_t a, b, j
    cdef bint bad = False
    new_offsets = np.empty(n + 1, np.uint32)
    cdef uint32_t[::1] no = new_offsets
    with nogil:
        no[0] = 0
        for i in range(n):
            if index[i] >= m:
                bad = True
                break
            a = offsets[index[i]]
            b = offsets[index[i] + 1]
            if b < a or b > items.shape[0]:
                bad = True
                break
            total += b - a
            no[i + 1] = <uint32_t>total
    if bad or total > 0xFFFFFFFF:
        raise ValueError("list offsets out of range")
    new_items = np.empty(total, np.uint32)
    cdef uint32_t[::1] ni = new_items
    cdef Py_ssize_t to = 0
    with nogil:
        for i in range(n):
            for j in range(offsets[index[i]], offsets[index[i] + 1]):
                ni[to] = items[j]
                to += 1
    return new_offsets, new_items
