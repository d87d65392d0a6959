"""C-level view of a decoder: its columns, for modules that bind them without copying."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t

from zuji.engine.index._strings cimport StringTable


cdef extern from "batch/columns.h" nogil:
    ctypedef struct zj_columns:
        uint8_t *kind
        uint32_t *event
        uint32_t *user
        uint32_t *device
        uint32_t *index
        int64_t *time
        int64_t *cell_start
        size_t rows
        uint32_t *cell_prop
        uint8_t *cell_kind
        int64_t *cell_value
        size_t cells
        int64_t *list_start
        size_t lists
        uint32_t *list_item
        size_t items
        uint8_t *insert
        int64_t *insert_start
        size_t insert_bytes
        uint32_t *mark
        uint32_t *row_mark
        size_t marks


@cython.final
cdef class Decoder:
    cdef object _batch
    cdef object _limits
    # Those of the batch that was decoded last; they are good until the next one, or release().
    cdef const zj_columns *out
    cdef readonly StringTable names
    cdef readonly StringTable strings
    cdef readonly size_t n
    cdef readonly list rejected
    cdef readonly object batch_id
    cdef readonly object sent_at
    cdef read(self, const uint8_t[::1] view, int form)
