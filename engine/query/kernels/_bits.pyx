# cython: language_level=3
"""Sets of users as rows of bits. See _bits.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "bits.h" nogil:
    int zb_set(const uint32_t *users, size_t n, uint64_t *row, size_t words)
    int64_t zb_count_and(const uint64_t *a, const uint64_t *b, size_t words)


def set_bits(const uint32_t[::1] users, uint64_t[::1] row):
    cdef int beyond = 0
    if users.shape[0]:
        if not row.shape[0]:
            raise ValueError("a user lies beyond the row of bits")
        with nogil:
            beyond = zb_set(&users[0], users.shape[0], &row[0], row.shape[0])
    if beyond:
        raise ValueError("a user lies beyond the row of bits")


def count_and(const uint64_t[:, ::1] rows, const uint64_t[::1] members):
    cdef size_t i, n = rows.shape[0], words = rows.shape[1]
    if words != <size_t>members.shape[0]:
        raise ValueError("rows and members have different lengths")
    out = np.zeros(n, dtype=np.int64)
    cdef int64_t[::1] counts = out
    if n and words:
        with nogil:
            for i in range(n):
                counts[i] = zb_count_and(&rows[i, 0], &members[0], words)
    return out
