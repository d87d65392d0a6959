"""C-level API of StringTable, for modules that intern while they parse (no GIL, no objects).

From another module: ``from zuji.engine.index._strings cimport StringTable``. Call
``begin_write()`` before and ``end_write()`` after a stretch of ``intern_c`` without the GIL.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "index/stringtable.h" nogil:
    ctypedef struct zj_hash_key:
        uint64_t s[4]

    ctypedef struct zj_strings:
        zj_hash_key key
        uint64_t count
        uint8_t *arena
        uint64_t arena_used

    uint32_t ZJ_NO_CODE
    zj_hash_key zj_hash_key_of(uint64_t salt) noexcept
    uint64_t zj_hash64(const zj_hash_key *key, const uint8_t *p, size_t n) noexcept
    int zj_strings_init(zj_strings *t, uint64_t salt) noexcept
    void zj_strings_free(zj_strings *t) noexcept
    uint64_t zj_strings_bytes(const zj_strings *t) noexcept
    uint64_t zj_strings_hash(const zj_strings *t, const uint8_t *p, size_t n) noexcept
    const uint8_t *zj_strings_get(const zj_strings *t, uint32_t code, size_t *n) noexcept
    uint32_t zj_strings_intern(zj_strings *t, const uint8_t *p, size_t n) noexcept
    uint32_t zj_strings_intern_hashed(zj_strings *t, const uint8_t *p, size_t n, uint64_t hash) noexcept
    int64_t zj_strings_find_hashed(const zj_strings *t, const uint8_t *p, size_t n, uint64_t hash) noexcept
    uint64_t zj_strings_start(const zj_strings *t, uint64_t code) noexcept
    int zj_strings_expect(zj_strings *t, uint64_t strings) noexcept
    int zj_strings_reserve(zj_strings *t, uint64_t strings, uint64_t bytes) noexcept


@cython.final
cdef class StringTable:
    cdef zj_strings table
    cdef readonly uint64_t salt
    cdef int writing
    cdef int reading
    # What a decoder keeps with the table (batch/recall.h): malloc'd blocks, freed with it.
    cdef void *aside[2]
    cdef object __weakref__

    cdef int begin_write(self) except -1
    cdef void end_write(self) noexcept
    cdef int begin_read(self) except -1
    cdef void end_read(self) noexcept
    # Code of the string, inserted when new; UINT32_MAX when memory ran out.
    cdef uint32_t intern_c(self, const uint8_t *p, size_t n) noexcept nogil
    # The same with a hash from hash_c of this table.
    cdef uint32_t intern_hashed_c(self, const uint8_t *p, size_t n, uint64_t hash) noexcept nogil
    cdef uint64_t hash_c(self, const uint8_t *p, size_t n) noexcept nogil
    # -1 when absent.
    cdef int64_t find_c(self, const uint8_t *p, size_t n) noexcept nogil
    # NULL when the code is unknown; the pointer is valid until the next insertion.
    cdef const uint8_t *get_c(self, uint32_t code, size_t *n) noexcept nogil
