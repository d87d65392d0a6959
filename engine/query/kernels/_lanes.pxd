cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

cdef extern from "lanes.h" nogil:
    int ZJ_OK, ZJ_CANCELLED, ZJ_NO_MEMORY, ZJ_REJECTED

    ctypedef struct zj_lane:
        const uint32_t *users
        const uint32_t *offsets
        const uint32_t *times
        const uint16_t *ties
        const uint8_t *mask
        int64_t base
        uint32_t nu
        uint32_t n
        uint32_t rank
        int holes

    ctypedef struct zj_guard:
        const uint8_t *allowed
        size_t n_allowed
        const uint8_t *cancel
        uint32_t until_poll

    int zj_lane_sound(const uint32_t *offsets, uint32_t nu, uint32_t n)


@cython.final
cdef class LaneSet:
    cdef zj_lane *lanes
    cdef readonly int count
    cdef list keep


@cython.final
cdef class RowArrays:
    cdef const void **data
    cdef int count
    cdef list keep


@cython.final
cdef class Guard:
    cdef zj_guard c
    cdef object keep


cdef const void *pointer(object array, object dtype, Py_ssize_t length, str name) except? NULL
cdef int finish(int status) except -1
