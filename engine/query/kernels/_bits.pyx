# cython: language_level=3
"""Sets of users as rows of bits. See _bits.pyi."""

from libc.stdint cimport uint32_t, uint64_t


cdef extern from "bits.h" nogil:
    int zb_set(const uint32_t *users, size_t n, uint64_t *row, size_t words)


def set_bits(const uint32_t[::1] users, uint64_t[::1] row):
    cdef int beyond = 0
    if users.shape[0]:
        if not row.shape[0]:
            raise ValueError("a user lies beyond the row of bits")
        with nogil:
            beyond = zb_set(&users[0], users.shape[0], &row[0], row.shape[0])
    if beyond:
        raise ValueError("a user lies beyond the row of bits")
