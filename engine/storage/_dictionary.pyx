# cython: auto_pickle=False, autotestdict=False
"""Byte strings in bulk, for the dictionaries of segments: ranks by byte order, gathers, and which
strings a predicate holds for. The C is in ``dictionary.h``.

Threads: pure functions; all release the GIL.
"""

import numpy as np

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef extern from "storage/dictionary.h" nogil:
    ctypedef struct zj_word:
        uint64_t key
        const uint8_t *text
        uint32_t length
        uint32_t number

    enum:
        ZJ_CONTAINS
        ZJ_STARTS
        ZJ_ENDS

    uint64_t zj_word_key(const uint8_t *text, uint32_t length, uint32_t depth) noexcept
    void zj_sort_words(zj_word *w, int64_t n, uint32_t depth, uint64_t *chance) noexcept
    int zj_words_ascend(zj_word *w, int64_t n) noexcept
    zj_word *zj_merge_words(zj_word *w, zj_word *spare, int64_t *cuts, int64_t parts) noexcept
    int zj_text_order(const uint8_t *a, size_t n, const uint8_t *b, size_t m) noexcept
    void zj_flag_equal(
        const uint8_t *data, const int64_t *offsets, int64_t n, int ordered, const uint8_t *wanted,
        const int64_t *bounds, int64_t count, uint8_t *flags
    ) noexcept
    void zj_flag_part(
        const uint8_t *data, const int64_t *offsets, int64_t n, int where, const uint8_t *p, size_t m,
        uint8_t *flags
    ) noexcept
    void zj_flag_range(
        const uint8_t *data, const int64_t *offsets, int64_t n, int ordered, const uint8_t *low,
        size_t low_size, int low_open, const uint8_t *high, size_t high_size, int high_open,
        uint8_t *flags
    ) noexcept

_PARTS = {"contains": ZJ_CONTAINS, "starts_with": ZJ_STARTS, "ends_with": ZJ_ENDS}


cdef inline const uint8_t *_start(const uint8_t[::1] data) noexcept nogil:
    return &data[0] if data.shape[0] else <const uint8_t *>b""


cdef int64_t _checked(const uint8_t[::1] data, const int64_t[::1] offsets) except -1:
    """Number of strings; ValueError when the offsets do not lie in the data in order."""
    cdef int64_t n = offsets.shape[0] - 1, i
    cdef uint64_t longest = 0
    cdef bint bad
    if n < 0:
        raise ValueError("offsets must have one more entry than there are strings")
    bad = offsets[0] < 0 or offsets[n] > data.shape[0]
    with nogil:
        for i in range(n):  # a negative length is a very long one
            longest |= <uint64_t>offsets[i + 1] - <uint64_t>offsets[i]
    if bad or longest > 0x7FFFFFFF:
        raise ValueError("string offsets out of range")
    return n


cdef uint32_t _number(const zj_word *words, int64_t n, uint32_t *ranks, uint32_t *first) noexcept nogil:
    """Ranks of sorted words and one index of each; returns the last rank. REQUIRES: n > 0."""
    cdef uint32_t rank = 0
    cdef int64_t i
    first[0] = words[0].number
    ranks[words[0].number] = 0
    for i in range(1, n):
        if zj_text_order(words[i - 1].text, words[i - 1].length, words[i].text, words[i].length):
            rank += 1
            first[rank] = words[i].number
        ranks[words[i].number] = rank
    return rank


def rank_strings(const uint8_t[::1] data, const int64_t[::1] offsets, const int64_t[::1] cuts=None):
    cdef int64_t n = _checked(data, offsets), i, k, parts = 0
    cdef uint32_t rank
    cdef zj_word *words
    cdef zj_word *sorted_words
    cdef const uint8_t *base = _start(data)
    cdef uint64_t chance
    cdef bint ascend
    cdef int64_t[::1] ends
    ranks = np.empty(n, np.uint32)
    first = np.empty(n, np.uint32)
    if n == 0:
        return ranks, first
    if cuts is not None:
        parts = cuts.shape[0] - 1
        if parts < 1 or cuts[0] != 0 or cuts[parts] != n or (np.diff(cuts) < 0).any():
            raise ValueError("cuts must ascend from 0 to the number of strings")
        ends = np.array(cuts)
    cdef uint32_t[::1] rv = ranks, fv = first
    words = <zj_word *>malloc(<size_t>n * (2 if parts > 1 else 1) * sizeof(zj_word))
    if words == NULL:
        raise MemoryError
    chance = <uint64_t>words
    sorted_words = words
    with nogil:
        for i in range(n):
            words[i].text = base + offsets[i]
            words[i].length = <uint32_t>(offsets[i + 1] - offsets[i])
            words[i].number = <uint32_t>i
        ascend = parts > 0
        for k in range(parts):
            ascend = ascend and zj_words_ascend(words + ends[k], ends[k + 1] - ends[k])
        if ascend:
            sorted_words = zj_merge_words(words, words + n, &ends[0], parts)
        else:
            for i in range(n):
                words[i].key = zj_word_key(words[i].text, words[i].length, 0)
            zj_sort_words(words, n, 0, &chance)
        rank = _number(sorted_words, n, &rv[0], &fv[0])
        free(words)
    return ranks, first[:rank + 1]


def ascends(const uint8_t[::1] data, const int64_t[::1] offsets):
    cdef int64_t n = _checked(data, offsets), i
    cdef const uint8_t *base = _start(data)
    cdef bint rising = True
    with nogil:
        for i in range(1, n):
            if zj_text_order(
                base + offsets[i - 1], <size_t>(offsets[i] - offsets[i - 1]),
                base + offsets[i], <size_t>(offsets[i + 1] - offsets[i]),
            ) >= 0:
                rising = False
                break
    return rising


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


def flag_equal(
    const uint8_t[::1] data, const int64_t[::1] offsets, const uint8_t[::1] wanted,
    const int64_t[::1] bounds, bint ordered
):
    cdef int64_t n = _checked(data, offsets), count = _checked(wanted, bounds)
    out = np.empty(n, np.uint8)
    cdef uint8_t[::1] flags = out
    if n:
        with nogil:
            zj_flag_equal(
                _start(data), &offsets[0], n, ordered, _start(wanted), &bounds[0], count, &flags[0]
            )
    return out


def flag_part(const uint8_t[::1] data, const int64_t[::1] offsets, str where, bytes part not None):
    cdef int64_t n = _checked(data, offsets)
    cdef int place = _PARTS[where]
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(part)
    cdef size_t m = <size_t>PyBytes_GET_SIZE(part)
    out = np.empty(n, np.uint8)
    cdef uint8_t[::1] flags = out
    if n:
        with nogil:
            zj_flag_part(_start(data), &offsets[0], n, place, p, m, &flags[0])
    return out


def flag_range(
    const uint8_t[::1] data, const int64_t[::1] offsets, bytes low, bint low_open, bytes high,
    bint high_open, bint ordered
):
    cdef int64_t n = _checked(data, offsets)
    cdef const uint8_t *p = NULL
    cdef const uint8_t *q = NULL
    cdef size_t low_size = 0, high_size = 0
    out = np.empty(n, np.uint8)
    cdef uint8_t[::1] flags = out
    if low is not None:
        p = <const uint8_t *>PyBytes_AS_STRING(low)
        low_size = <size_t>PyBytes_GET_SIZE(low)
    if high is not None:
        q = <const uint8_t *>PyBytes_AS_STRING(high)
        high_size = <size_t>PyBytes_GET_SIZE(high)
    if n:
        with nogil:
            zj_flag_range(
                _start(data), &offsets[0], n, ordered, p, low_size, low_open, q, high_size,
                high_open, &flags[0]
            )
    return out
