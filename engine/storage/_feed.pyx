# cython: auto_pickle=False, autotestdict=False
"""Feeds: streams of a segment that a kernel reads a page at a time, decoded where they are used.

A decoded stream of a large segment leaves every cache, and the memory that a query may hold. The C
side of a feed is ``feed.h``, handed over in a capsule; pages are decoded by ``codecs.h``.

Threads: a feed and its scratch memory belong to one thread at a time; ``verify`` flags are shared as
in ``codecs.py``. Pulling takes no GIL.
"""

cimport cython
cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

import numpy as np

cnp.import_array()

cdef extern from "storage/codecs.h" nogil:
    ctypedef struct zj_decode_scratch:
        pass

    ctypedef struct zj_entry:
        uint32_t rows
        uint8_t codec

    enum:
        ZJ_OK
        ZJ_U8
        ZJ_U16
        ZJ_U32
        ZJ_RAW
        ZJ_RAW_LZ4
        ZJ_BAD_PAGE
        ZJ_PAGE_ROWS

    void zj_codecs_init() noexcept
    int zj_decode_pages(
        const uint8_t *data, size_t size, const zj_entry *pages, size_t first, size_t last,
        int type, void *out, size_t rows, uint8_t *verified, zj_decode_scratch *s, size_t *at,
        size_t *raw,
    ) noexcept

cdef extern from "storage/feed.h" nogil:
    const char *ZJ_FEED_NAME

    ctypedef struct zj_feed:
        int (*pull)(zj_feed *self, void *out, uint32_t *n) noexcept
        uint64_t rows
        int width

ctypedef struct page_feed:
    zj_feed feed  # first: the reader knows no more
    const uint8_t *data
    size_t size
    const zj_entry *pages
    size_t next
    size_t last
    int type
    uint32_t unit
    uint64_t left
    uint8_t *verified
    zj_decode_scratch *scratch
    int status

zj_codecs_init()

_TYPES = {1: ZJ_U8, 2: ZJ_U16, 4: ZJ_U32}


@cython.final
cdef class Scratch:
    cdef zj_decode_scratch *c

    def __cinit__(self):
        self.c = <zj_decode_scratch *>malloc(sizeof(zj_decode_scratch))
        if self.c == NULL:
            raise MemoryError("no memory to decode a page")

    def __dealloc__(self):
        free(self.c)


@cython.final
cdef class PageFeed:
    cdef page_feed c
    cdef object keep
    cdef const uint8_t[::1] view
    cdef readonly object capsule

    def __cinit__(
        self, const uint8_t[::1] data not None, pages, uint8_t[::1] verify not None,
        size_t rows, int width, Scratch scratch not None, uint32_t unit=1,
    ):
        if not isinstance(pages, np.ndarray) or pages.dtype.itemsize != sizeof(zj_entry):
            raise TypeError("pages must be an array of PAGE_DTYPE")
        if pages.ndim != 1 or not pages.flags.c_contiguous or verify.shape[0] != pages.shape[0]:
            raise ValueError("pages must be contiguous, with a flag each")
        self.view = data
        self.keep = (pages, verify, scratch)
        self.c.feed.pull = pull
        self.c.feed.rows = rows
        self.c.feed.width = width
        self.c.type = _TYPES[width]
        self.c.unit = unit
        self.c.left = rows
        self.c.data = &data[0] if data.shape[0] else NULL
        self.c.size = <size_t>data.shape[0]
        self.c.pages = <const zj_entry *>cnp.PyArray_DATA(pages)
        self.c.last = <size_t>pages.shape[0]
        self.c.verified = &verify[0] if verify.shape[0] else NULL
        self.c.scratch = scratch.c
        self.capsule = PyCapsule_New(&self.c, ZJ_FEED_NAME, NULL)

    def __len__(self):
        return self.c.feed.rows

    @property
    def damage(self):
        return (self.c.status, self.c.next) if self.c.status else None


cdef int pull(zj_feed *feed, void *out, uint32_t *n) noexcept nogil:
    """One page to ``out``, which has room for one or for all that is left."""
    cdef page_feed *self = <page_feed *>feed
    cdef size_t at = 0, raw = 0
    cdef uint32_t rows, i
    n[0] = 0
    if self.status or self.next == self.last:
        return self.status
    rows = self.pages[self.next].rows
    if rows > self.left or rows > ZJ_PAGE_ROWS:
        self.status = ZJ_BAD_PAGE
        return self.status
    self.status = zj_decode_pages(
        self.data, self.size, self.pages, self.next, self.next + 1, self.type, out, rows,
        self.verified, self.scratch, &at, &raw,
    )
    if raw:  # keys, codes and times are never stored so
        self.status = ZJ_BAD_PAGE
    if self.status != ZJ_OK:
        return self.status
    if self.unit != 1:
        for i in range(rows):
            (<uint32_t *>out)[i] *= self.unit
    self.next += 1
    self.left -= rows
    n[0] = rows
    return ZJ_OK
