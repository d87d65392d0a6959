# cython: auto_pickle=False, autotestdict=False
"""Byte strings in bulk: ranks by byte order and gathers, for the dictionaries of segments."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

cdef extern from *:
    """
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    typedef struct { uint64_t prefix; const uint8_t *text; uint32_t length, number; } dict_key;
    static int dict_compare(const void *left, const void *right) {
        const dict_key *a = left, *b = right;
        if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
        uint32_t shorter = a->length < b->length ? a->length : b->length;
        int order = shorter > 8 ? memcmp(a->text + 8, b->text + 8, shorter - 8) : 0;
        if (order) return order;
        return a->length < b->length ? -1 : a->length > b->length;
    }
    static uint64_t dict_prefix(const uint8_t *text, uint32_t length) {
        uint64_t prefix = 0;
        for (uint32_t i = 0; i < 8; i++) prefix = prefix << 8 | (i < length ? text[i] : 0);
        return prefix;
    }
    /* qsort of the C library gives no order among equals and needs none: equal strings get one rank. */
    static void dict_sort(dict_key *keys, int64_t n) { qsort(keys, (size_t)n, sizeof *keys, dict_compare); }
    """
    ctypedef struct dict_key:
        uint64_t prefix
        const uint8_t *text
        uint32_t length
        uint32_t number
    int dict_compare(const void *, const void *) nogil
    uint64_t dict_prefix(const uint8_t *, uint32_t) nogil
    void dict_sort(dict_key *, int64_t) nogil


def rank_strings(const uint8_t[::1] data, const int64_t[::1] offsets):
    cdef int64_t n = offsets.shape[0] - 1, i, total = data.shape[0]
    cdef uint32_t rank = 0
    cdef dict_key *keys
    cdef const uint8_t *base = &data[0] if total else NULL
    cdef bint bad = False
    ranks = np.empty(n, np.uint32)
    first = np.empty(n, np.uint32)
    if n <= 0:
        return ranks, first
    cdef uint32_t[::1] rv = ranks, fv = first
    keys = <dict_key *>malloc(<size_t>n * sizeof(dict_key))
    if keys == NULL:
        raise MemoryError
    with nogil:
        for i in range(n):
            if offsets[i] < 0 or offsets[i + 1] < offsets[i] or offsets[i + 1] > total:
                bad = True
                break
            keys[i].text = base + offsets[i] if base != NULL else <const uint8_t *>b""
            keys[i].length = <uint32_t>(offsets[i + 1] - offsets[i])
            keys[i].number = <uint32_t>i
            keys[i].prefix = dict_prefix(keys[i].text, keys[i].length)
        if not bad:
            dict_sort(keys, n)
            for i in range(n):
                if i and dict_compare(&keys[i - 1], &keys[i]) != 0:
                    rank += 1
                if i == 0 or dict_compare(&keys[i - 1], &keys[i]) != 0:
                    fv[rank] = keys[i].number
                rv[keys[i].number] = rank
    free(keys)
    if bad:
        raise ValueError("string offsets out of range")
    return ranks, first[:rank + 1]


def gather_strings(const uint8_t[::1] data, const int64_t[::1] offsets, const uint32_t[::1] codes):
    cdef Py_ssize_t n = codes.shape[0], m = offsets.shape[0] - 1, i
    cdef int64_t total = 0, size
    cdef bint bad = False
    out_offsets = np.zeros(n + 1, np.int64)
    cdef int64_t[::1] o = out_offsets
    with nogil:
        for i in range(n):
            if codes[i] >= m or offsets[codes[i]] < 0 or offsets[codes[i] + 1] < offsets[codes[i]] \
                    or offsets[codes[i] + 1] > data.shape[0]:
                bad = True
                break
            total += offsets[codes[i] + 1] - offsets[codes[i]]
            o[i + 1] = total
    if bad:
        raise ValueError("string code out of range")
    out = np.empty(total, np.uint8)
    cdef uint8_t[::1] t = out
    with nogil:
        for i in range(n):
            size = offsets[codes[i] + 1] - offsets[codes[i]]
            if size:
                memcpy(&t[o[i]], &data[offsets[codes[i]]], <size_t>size)
    return out, out_offsets
