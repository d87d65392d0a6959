cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from zuji.engine.query.kernels._lanes cimport zj_guard

cdef extern from "paths.h" nogil:
    int ZP_USERS
    uint64_t ZJ_FEED_ROWS
    const char *ZJ_FEED_NAME

    ctypedef struct zj_feed:
        uint64_t rows
        int width

    ctypedef struct zp_block:
        int64_t *time
        uint8_t *code
        uint32_t *begin
        size_t n

    ctypedef struct zp_stream:
        const uint32_t *start
        const uint32_t *stop
        zj_feed *feed
        uint32_t *room

    ctypedef struct zp_run:
        zp_stream time
        zp_stream user
        zp_stream offset
        const uint32_t *users
        const uint32_t *users_end
        const uint32_t *offsets
        const uint32_t *offsets_end
        const uint8_t *mask
        const uint32_t *node
        const uint8_t *opens
        const uint32_t *group
        uint32_t rows
        int open
        int kept

    ctypedef struct zp_source:
        zp_run *run
        const uint32_t **time
        const uint32_t **time_end
        uint32_t *code
        int runs
        int partition
        int64_t base
        const void *at
        uint32_t left
        size_t width
        zj_feed *feed
        void *room
        uint64_t rest
        const uint32_t *laid
        const uint32_t *owners
        const uint32_t *owners_end
        const uint32_t *ends
        int whole
        int same
        uint32_t *rows
        uint32_t *unseen

    ctypedef struct zp_rule:
        int64_t gap
        int64_t from_ms
        int64_t to_ms
        int steps
        int collapse
        int plain
        int reverse
        int every
        int64_t open_ms
        int64_t reach_ms

    ctypedef int (*zp_taker)(void *to, const zp_block *b, size_t sessions, const uint32_t *start,
                             const uint32_t *owner, size_t users)

    int zp_run_walk_to(zp_source *sources, int count, uint32_t users, const zp_rule *rule, int wide,
                       zp_taker take, void *to, zj_guard *guard)


@cython.final
cdef class Sources:
    cdef zp_source *sources
    cdef int count
    cdef int plain
    cdef list keep

    cdef void *_room(self, size_t n, object dtype) except? NULL
    cdef zj_feed *_feed(self, object given) except NULL
    cdef int _open_interleave(self, zp_source *source, object given) except -1
    cdef int _open_runs(
        self, zp_source *source, list lanes, list codes, int64_t n_codes, int64_t n_groups
    ) except -1
    cdef int _room_for_runs(self, zp_source *source, Py_ssize_t runs) except -1
    cdef int _open_laid(self, zp_source *source, object laid, list codes, int64_t n_codes, int64_t n_groups) except -1
    cdef int _open_code(self, zp_source *source, int r, object steps, int64_t n_codes) except -1
    cdef int _open_steps(
        self, zp_run *run, object steps, Py_ssize_t rows, object mask, int64_t n_codes, int64_t n_groups
    ) except -1
    cdef const uint32_t *_numbers(self, object given, Py_ssize_t rows, int64_t end, str name) except? NULL
    cdef const uint32_t *_open_stream(self, zp_stream *stream, object given, str name) except? NULL


cdef Sources sources_of(object sources, object users, int64_t codes, int64_t most, int64_t groups)
