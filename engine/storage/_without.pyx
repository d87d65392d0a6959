# cython: auto_pickle=False, autotestdict=False
"""Arrays without some ranges of their values."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy


def drop_ranges(values not None, const int64_t[::1] starts not None, const int64_t[::1] ends not None):
    cdef int64_t n = values.shape[0], size = values.dtype.itemsize, ranges = starts.shape[0], i
    cdef int64_t done = 0, at = 0, gone = 0, part
    cdef bint bad = ends.shape[0] != ranges or values.ndim != 1
    if not bad:
        for i in range(ranges):
            bad |= starts[i] < at or ends[i] < starts[i] or ends[i] > n
            at = ends[i]
            gone += ends[i] - starts[i]
    if bad:
        raise ValueError("ranges do not ascend within the values")
    out = np.empty(n - gone, values.dtype)
    if n == gone:
        return out
    cdef const uint8_t[::1] source = np.ascontiguousarray(values).view(np.uint8)
    cdef uint8_t[::1] target = out.view(np.uint8)
    with nogil:
        at = 0
        for i in range(ranges + 1):
            part = (n if i == ranges else starts[i]) - at
            if part:
                memcpy(&target[done * size], &source[at * size], part * size)
                done += part
            if i < ranges:
                at = ends[i]
    return out
