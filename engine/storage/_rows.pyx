# cython: auto_pickle=False, autotestdict=False
"""Order of rows: keys of a source, expansion of users, and the users of each local day."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "rows.h" nogil:
    int rows_keys(const uint16_t *, int64_t, const uint32_t *, const uint32_t *, int64_t *, const int64_t *, int64_t,
                  uint64_t *)
    int64_t rows_day_count(const uint32_t *, const uint32_t *, int64_t, const int64_t *, int64_t, int64_t *, int64_t *)
    void rows_day_fill(const uint32_t *, const uint32_t *, int64_t, const int64_t *, int64_t, int64_t *, uint32_t *,
                       uint8_t *)


def user_keys(const uint16_t[::1] codes, const uint32_t[::1] ordinal, const uint32_t[::1] time,
              const int64_t[::1] run_start, uint64_t[::1] out):
    cdef int64_t n = codes.shape[0], runs = run_start.shape[0] - 1
    cdef int bad = 0
    if ordinal.shape[0] != n or time.shape[0] != n or out.shape[0] != n or runs < 0 or run_start[runs] != n:
        raise ValueError("keys: arrays differ in length")
    if n == 0:
        return
    cursor = np.array(run_start[:runs])
    cdef int64_t[::1] c = cursor
    with nogil:
        bad = rows_keys(&codes[0], n, &ordinal[0], &time[0], &c[0], &run_start[1], runs, &out[0])
    if bad:
        raise ValueError("the interleave does not agree with the runs")


def expand_users(const uint32_t[::1] users, const uint32_t[::1] offsets, uint32_t[::1] out):
    cdef Py_ssize_t nu = users.shape[0], n = out.shape[0], i
    cdef uint32_t j
    cdef bint bad = offsets.shape[0] != nu + 1 or (nu > 0 and offsets[0] != 0) or (nu == 0 and n != 0)
    if bad:
        raise ValueError("offsets do not agree with the users")
    with nogil:
        for i in range(nu):
            if offsets[i + 1] < offsets[i] or offsets[i + 1] > n:
                bad = True
                break
            for j in range(offsets[i], offsets[i + 1]):
                out[j] = users[i]
    if bad or (nu and offsets[nu] != n):
        raise ValueError("offsets do not agree with the rows")


def days_of(const uint32_t[::1] ordinal, const uint32_t[::1] time, const int64_t[::1] edges):
    cdef int64_t n = ordinal.shape[0], days = edges.shape[0] - 1, total = 0
    if time.shape[0] != n or days < 1:
        raise ValueError("days: arrays differ in length")
    rows, cards = np.zeros(days, np.int64), np.zeros(days, np.int64)
    cdef int64_t[::1] rv = rows, cv = cards
    if n:
        with nogil:
            total = rows_day_count(&ordinal[0], &time[0], n, &edges[0], days, &rv[0], &cv[0])
    starts = np.zeros(days + 1, np.int64)
    np.cumsum(cards, out=starts[1:])
    users, multi = np.empty(total, np.uint32), np.empty(total, np.uint8)
    cdef int64_t[::1] cursor = starts[:days].copy()
    cdef uint32_t[::1] uv = users
    cdef uint8_t[::1] mv = multi
    if n:
        with nogil:
            rows_day_fill(&ordinal[0], &time[0], n, &edges[0], days, &cursor[0], &uv[0], &mv[0])
    return rows, starts, users, multi


def few_values(const int64_t[::1] values, Py_ssize_t most):
    """Distinct values by a small open-addressing table, given up when there are more than ``most``."""
    cdef Py_ssize_t n = values.shape[0], i, size = 16, used = 0
    cdef uint64_t h
    cdef int64_t last = 0
    cdef uint32_t code = 0
    cdef bint full = False
    while size < 4 * most:
        size *= 2
    codes = np.empty(n, np.uint32)
    found = np.empty(most, np.int64)
    cdef uint32_t[::1] c = codes
    cdef int64_t[::1] f = found
    cdef uint32_t[::1] table = np.full(size, 0xFFFFFFFF, np.uint32)
    cdef uint64_t mask = <uint64_t>(size - 1)
    with nogil:
        for i in range(n):
            if i == 0 or values[i] != last:
                last = values[i]
                h = <uint64_t>last * <uint64_t>0x9E3779B97F4A7C15ULL
                h = (h ^ (h >> 29)) & mask
                while table[h] != 0xFFFFFFFFu and f[table[h]] != last:
                    h = (h + 1) & mask
                if table[h] == 0xFFFFFFFFu:
                    if used == most:
                        full = True
                        break
                    f[used] = last
                    table[h] = <uint32_t>used
                    used += 1
                code = table[h]
            c[i] = code
    if full:
        return None
    return found[:used], codes
