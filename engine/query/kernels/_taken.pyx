# cython: auto_pickle=False, autotestdict=False
"""Results of a kernel whose number is known at its end: memory that C grew, as an array, not copied."""

cimport cython
from libc.stdlib cimport free

import numpy as np

cimport numpy as cnp

cnp.import_array()


@cython.final
cdef class _Memory:
    """Memory that C made, freed with the array over it."""

    cdef void *data

    def __dealloc__(self):
        free(self.data)


cdef object taken(void **source, size_t count, int kind):
    """An array over memory from malloc, which is not C's any more: ``source`` becomes NULL. ``kind``: NPY_UINT32 …"""
    cdef cnp.npy_intp shape = <cnp.npy_intp>count
    cdef _Memory memory
    if not count:
        return np.empty(0, cnp.PyArray_DescrFromType(kind))
    memory = _Memory()
    memory.data = source[0]
    source[0] = NULL
    out = cnp.PyArray_SimpleNewFromData(1, &shape, kind, memory.data)
    cnp.set_array_base(out, memory)
    return out
