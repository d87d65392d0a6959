# cython: auto_pickle=False, autotestdict=False
"""Folding of profile records: what a user's property is after each record.

Thread-safety: a free function without state; the GIL is released while rows are walked.
"""

from libc.float cimport DBL_MAX
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from zuji.engine.types import Kind

cdef enum:
    SET, NOTHING, ONCE, INCREMENT  # folding.py

cdef int FLOAT = Kind.FLOAT


cdef inline int64_t add_ints(int64_t a, int64_t b) noexcept nogil:
    if b > 0 and a > INT64_MAX - b:
        return INT64_MAX
    if b < 0 and a < INT64_MIN - b:
        return INT64_MIN
    return a + b


cdef inline int64_t add_floats(int64_t a, int64_t b) noexcept nogil:
    cdef double x, y
    cdef int64_t bits
    memcpy(&x, &a, 8)
    memcpy(&y, &b, 8)
    x = min(max(x + y, -DBL_MAX), DBL_MAX)
    memcpy(&bits, &x, 8)
    return bits


def fold(const uint32_t[::1] users not None, const uint8_t[::1] ops not None, int64_t[::1] values not None,
         uint8_t[::1] present not None, int kind):
    cdef Py_ssize_t n = users.shape[0], i
    cdef uint8_t op
    cdef int has = 0
    cdef int64_t state = 0
    if ops.shape[0] != n or values.shape[0] != n or present.shape[0] != n:
        raise ValueError("the columns of profile records differ in length")
    with nogil:
        for i in range(n):
            if i and users[i] != users[i - 1]:
                has = 0
            op = ops[i]
            if op == NOTHING:
                has = 0
            elif op == SET or not has:
                state, has = values[i], 1
            elif op == INCREMENT:
                state = add_floats(state, values[i]) if kind == FLOAT else add_ints(state, values[i])
            values[i], present[i] = state if has else 0, has
