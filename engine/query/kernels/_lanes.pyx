# cython: auto_pickle=False, autotestdict=False
"""Python arrays to C lanes: the one place where shapes and dtypes are checked.

``LaneSet`` checks every array of every lane, keeps a reference to each and hands C structs to the
kernels; ``RowArrays`` does the same for "one array of n rows or None per lane" arguments; ``Guard``
for the audience and the cancel flag. A kernel that got these three cannot read past an array.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free

import numpy as np

cimport numpy as cnp

from zuji.engine.errors import QueryCancelled

cnp.import_array()

MAX_LANES = 32767
_U8, _U16, _U32 = np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32)


cdef const void *pointer(object array, object dtype, Py_ssize_t length, str name) except? NULL:
    """Address of the data of a checked 1-d contiguous array; ``length`` -1 = any."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected a numpy array, got {type(array).__name__}")
    if array.dtype != dtype or array.ndim != 1 or not array.flags.c_contiguous:
        raise TypeError(
            f"{name}: expected a contiguous 1-d {dtype} array, got {array.dtype}, ndim {array.ndim}"
        )
    if not array.flags.aligned:
        raise TypeError(f"{name}: the array is not aligned")
    if length >= 0 and array.shape[0] != length:
        raise ValueError(f"{name}: expected {length} items, got {array.shape[0]}")
    return cnp.PyArray_DATA(<cnp.ndarray>array)


cdef int finish(int status) except -1:
    """Turns a kernel's status into the exception it means."""
    if status == ZJ_CANCELLED:
        raise QueryCancelled("the query was cancelled")
    if status == ZJ_NO_MEMORY:
        raise MemoryError("a kernel could not allocate its work space")
    if status == ZJ_REJECTED:
        raise ValueError("the arrays do not belong together")
    return 0


@cython.final
cdef class LaneSet:
    """Checked lanes as C structs. O(users).

    Ranks are made dense, keeping their order, over ``lanes`` and ``beside``: sets whose rows are
    compared with each other name each other's lanes there.
    """

    def __cinit__(self, object lanes, object beside=()):
        cdef Py_ssize_t nu, n
        cdef int i
        given = list(lanes)
        if len(given) > MAX_LANES:
            raise ValueError(f"{len(given)} lanes, at most {MAX_LANES} are supported")
        self.count = <int>len(given)
        self.keep = []
        self.lanes = <zj_lane *>calloc(max(1, self.count), sizeof(zj_lane))
        if self.lanes == NULL:
            raise MemoryError
        dense = {rank: i for i, rank in enumerate(sorted({int(lane.rank) for lane in [*given, *beside]}))}
        for i, lane in enumerate(given):
            users, offsets, times, ties, mask = (
                lane.users, lane.offsets, lane.times, lane.ties, lane.mask
            )
            self.keep.append((users, offsets, times, ties, mask))
            self.lanes[i].users = <const uint32_t *>pointer(users, _U32, -1, "users")
            nu = users.shape[0]
            self.lanes[i].offsets = <const uint32_t *>pointer(offsets, _U32, nu + 1, "offsets")
            self.lanes[i].times = <const uint32_t *>pointer(times, _U32, -1, "times")
            n = times.shape[0]
            if n >= 0xFFFFFFFF:
                raise ValueError("a lane holds at most 2**32 - 2 rows")
            if ties is not None:
                self.lanes[i].ties = <const uint16_t *>pointer(ties, _U16, n, "ties")
            if mask is not None:
                self.lanes[i].mask = <const uint8_t *>pointer(mask, _U8, n, "mask")
            self.lanes[i].base = lane.base_ms
            self.lanes[i].nu = <uint32_t>nu
            self.lanes[i].n = <uint32_t>n
            self.lanes[i].rank = dense[int(lane.rank)]
            sound = zj_lane_sound(self.lanes[i].offsets, <uint32_t>nu, <uint32_t>n)
            self.lanes[i].holes = sound == 2
            if not sound:
                raise ValueError("offsets do not ascend from 0 to the number of rows")

    def __dealloc__(self):
        free(self.lanes)


@cython.final
cdef class RowArrays:
    """One array of the lane's rows, or None, per lane. ``arrays`` None = None for every lane."""

    def __cinit__(self, LaneSet lanes, object arrays, object dtype, str name):
        cdef int i
        self.count = lanes.count
        self.data = <const void **>calloc(max(1, self.count), sizeof(void *))
        if self.data == NULL:
            raise MemoryError
        self.keep = []
        if arrays is None:
            return
        given = list(arrays)
        if len(given) != lanes.count:
            raise ValueError(f"{name}: {len(given)} arrays for {lanes.count} lanes")
        for i, array in enumerate(given):
            if array is not None:
                self.data[i] = pointer(array, np.dtype(dtype), lanes.lanes[i].n, f"{name}[{i}]")
                self.keep.append(array)

    def __dealloc__(self):
        free(self.data)


@cython.final
cdef class Guard:
    """Audience by ordinal and the cancel flag; None means everybody, and never."""

    def __cinit__(self, object cancel, object allowed):
        self.keep = (cancel, allowed)
        self.c.until_poll = 0  # the flag is read once before any work
        if cancel is not None:
            self.c.cancel = <const uint8_t *>pointer(cancel, _U8, 1, "cancel")
        if allowed is not None:
            self.c.allowed = <const uint8_t *>pointer(allowed, _U8, -1, "allowed")
            self.c.n_allowed = allowed.shape[0]
