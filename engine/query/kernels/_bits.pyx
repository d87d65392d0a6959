# cython: language_level=3
"""Sets of users as rows of bits. See _bits.pyi."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "bits.h" nogil:
    int zb_set(const uint32_t *users, size_t n, uint64_t *row, size_t words)
    int zb_add_rows(const uint32_t *users, const uint32_t *offsets, size_t n, uint32_t *counts, size_t limit)
    int zb_seen(const uint32_t *users, size_t n, const uint8_t *allowed, uint8_t *fresh, size_t limit,
                int64_t *here, int64_t *first)


def set_bits(const uint32_t[::1] users, uint64_t[::1] row):
    cdef int beyond = 0
    if users.shape[0]:
        if not row.shape[0]:
            raise ValueError("a user lies beyond the row of bits")
        with nogil:
            beyond = zb_set(&users[0], users.shape[0], &row[0], row.shape[0])
    if beyond:
        raise ValueError("a user lies beyond the row of bits")


def add_rows(const uint32_t[::1] users, const uint32_t[::1] offsets, uint32_t[::1] counts):
    cdef int beyond = 0
    cdef size_t n = users.shape[0]
    if <size_t>offsets.shape[0] != n + 1:
        raise ValueError("offsets: one more than users are needed")
    if n:
        if not counts.shape[0]:
            raise ValueError("a user lies beyond the counts")
        with nogil:
            beyond = zb_add_rows(&users[0], &offsets[0], n, &counts[0], counts.shape[0])
    if beyond:
        raise ValueError("a user lies beyond the counts")


def seen(const uint32_t[::1] users, const uint8_t[::1] allowed, uint8_t[::1] fresh):
    cdef int beyond = 0
    cdef int64_t here = 0, first = 0
    cdef size_t n = users.shape[0], limit = fresh.shape[0]
    cdef const uint8_t *counts = NULL
    if allowed is not None:
        if <size_t>allowed.shape[0] != limit:
            raise ValueError("allowed and fresh have different lengths")
        if limit:
            counts = &allowed[0]
    if n:
        if not limit:
            raise ValueError("a user lies beyond the marks")
        with nogil:
            beyond = zb_seen(&users[0], n, counts, &fresh[0], limit, &here, &first)
    if beyond:
        raise ValueError("a user lies beyond the marks")
    return here, first
