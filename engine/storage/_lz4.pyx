# cython: auto_pickle=False, autotestdict=False
"""pack_marked: a batch as an lz4 block, by way of where its keys stand. The C is in ``lz4marks.h``.

Threads: a pure function; the GIL is released.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t


cdef extern from "storage/lz4marks.h" nogil:
    size_t ZJ_LZ4_BOUND(size_t n)
    size_t zj_lz4_marks(const uint8_t *head, size_t head_bytes, const uint8_t *data, size_t n, const uint32_t *mark,
                        const uint32_t *first, size_t events, uint8_t *out) noexcept


def pack_marked(bytes head not None, data not None, const uint32_t[::1] mark not None,
                const uint32_t[::1] first not None):
    cdef const uint8_t[::1] view = memoryview(data).cast("B")
    cdef size_t n = <size_t>view.shape[0], head_bytes = <size_t>len(head), events = <size_t>first.shape[0] - 1, size
    cdef const uint8_t *front = <const uint8_t *><const char *>head
    cdef uint32_t plain = <uint32_t>(head_bytes + n)
    cdef uint8_t *to
    if first.shape[0] < 1 or first[events] > <size_t>mark.shape[0] or n + head_bytes > 1 << 30:
        raise ValueError("the marks are not those of the data")
    out = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(4 + ZJ_LZ4_BOUND(head_bytes + n)))
    to = <uint8_t *><char *>out
    to[0], to[1], to[2], to[3] = plain & 255, plain >> 8 & 255, plain >> 16 & 255, plain >> 24
    with nogil:
        size = zj_lz4_marks(front, head_bytes, &view[0] if n else NULL, n, &mark[0] if mark.shape[0] else NULL,
                            &first[0], events, to + 4)
    return out[: 4 + size]
