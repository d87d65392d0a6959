# cython: auto_pickle=False, autotestdict=False
"""Merging a block at a time: the order of rows from the keys of the sources, and columns by it.

The C is in ``merging.h``. Every function takes contiguous arrays, checks what comes from outside and gives the
GIL back while it works. A :class:`KeyMerge` has one thread at a time.
"""

cimport cython

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

cdef extern from "merging.h" nogil:
    enum:
        MERGING_DONE

    ctypedef struct merging_source:
        const uint64_t *keys
        const uint16_t *codes
        int64_t at
        int64_t end
        int last

    ctypedef struct merging:
        merging_source *source
        uint64_t *head
        uint32_t *tree
        int64_t leaves
        int any_tie
        int64_t *event_at
        const int64_t *event_end
        uint8_t *sources
        uint16_t *ties

    void merging_build(merging *)
    void merging_replay(merging *, uint32_t)
    int64_t merging_run(merging *, int64_t, uint16_t *, uint64_t *, int64_t *)
    int merging_take_uint8_t(const uint8_t *, int64_t, const uint8_t *, int64_t *, const int64_t *, uint8_t *)
    int merging_take_uint16_t(const uint8_t *, int64_t, const uint16_t *, int64_t *, const int64_t *, uint16_t *)
    int merging_take_uint32_t(const uint8_t *, int64_t, const uint32_t *, int64_t *, const int64_t *, uint32_t *)
    int merging_take_uint64_t(const uint8_t *, int64_t, const uint64_t *, int64_t *, const int64_t *, uint64_t *)
    int64_t merging_take_some_uint8_t(const uint8_t *, int64_t, const uint8_t *, const uint8_t *, int64_t *,
                                      const int64_t *, uint8_t *)
    int64_t merging_take_some_uint16_t(const uint8_t *, int64_t, const uint8_t *, const uint16_t *, int64_t *,
                                       const int64_t *, uint16_t *)
    int64_t merging_take_some_uint32_t(const uint8_t *, int64_t, const uint8_t *, const uint32_t *, int64_t *,
                                       const int64_t *, uint32_t *)
    int64_t merging_take_some_uint64_t(const uint8_t *, int64_t, const uint8_t *, const uint64_t *, int64_t *,
                                       const int64_t *, uint64_t *)
    int64_t merging_expand(const uint32_t *, const uint32_t *, int64_t, int64_t *, int64_t *, uint32_t *, int64_t)

cdef enum:
    MOST_SOURCES = 256

MAX_SOURCES = MOST_SOURCES


@cython.final
cdef class KeyMerge:
    cdef merging m
    cdef int64_t sources
    cdef int64_t[::1] at
    cdef const int64_t[::1] starts
    cdef uint8_t[::1] source
    cdef uint16_t[::1] tie
    cdef list held
    cdef bint built

    def __cinit__(self, Py_ssize_t sources, const int64_t[::1] starts not None, uint8_t[::1] source not None,
                  uint16_t[::1] tie not None):
        cdef Py_ssize_t events = starts.shape[0] - 1, i
        if not 0 < sources <= MOST_SOURCES:
            raise ValueError(f"a merge has 1 to {MOST_SOURCES} sources, not {sources}")
        if events < 1 or starts[0] != 0 or source.shape[0] != starts[events] or tie.shape[0] != starts[events]:
            raise ValueError("merge: arrays differ in length")
        self.sources = sources
        self.starts, self.source, self.tie = starts, source, tie
        self.at = np.array(starts[:events])
        self.held = [None] * sources
        self.m.leaves = 1
        while self.m.leaves < sources:
            self.m.leaves *= 2
        self.m.source = <merging_source *>calloc(sources, sizeof(merging_source))
        self.m.head = <uint64_t *>calloc(self.m.leaves, sizeof(uint64_t))
        self.m.tree = <uint32_t *>calloc(2 * self.m.leaves, sizeof(uint32_t))
        if self.m.source == NULL or self.m.head == NULL or self.m.tree == NULL:
            raise MemoryError("no memory for the sources of a merge")
        memset(self.m.head, 0xFF, self.m.leaves * sizeof(uint64_t))
        self.m.event_at = &self.at[0]
        self.m.event_end = &starts[1]
        self.m.sources = &source[0] if source.shape[0] else NULL
        self.m.ties = &tie[0] if tie.shape[0] else NULL

    def __dealloc__(self):
        free(self.m.source)
        free(self.m.head)
        free(self.m.tree)

    @property
    def any_tie(self):
        return bool(self.m.any_tie)

    def feed(self, Py_ssize_t number, const uint64_t[::1] keys not None, const uint16_t[::1] codes not None,
             bint last):
        cdef Py_ssize_t n = keys.shape[0], i, events = self.starts.shape[0] - 1
        cdef bint bad = False
        if not 0 <= number < self.sources or codes.shape[0] != n or (n == 0 and not last):
            raise ValueError("merge: a source was fed wrongly")
        if self.m.source[number].at < self.m.source[number].end:
            raise ValueError("merge: a source was fed too early")
        with nogil:
            for i in range(n):
                if codes[i] >= events or keys[i] == <uint64_t>0xFFFFFFFFFFFFFFFFULL:
                    bad = True
                    break
        if bad:
            raise ValueError("merge: an event code or a key is out of range")
        self.held[number] = (keys, codes)
        self.m.source[number] = merging_source(NULL, NULL, 0, n, last)
        self.m.head[number] = <uint64_t>0xFFFFFFFFFFFFFFFFULL
        if n:
            self.m.source[number].keys, self.m.source[number].codes = &keys[0], &codes[0]
            self.m.head[number] = keys[0]
        if self.built:
            merging_replay(&self.m, <uint32_t>number)

    def run(self, uint16_t[::1] interleave not None, uint64_t[::1] keys not None):
        cdef int64_t n, needed = -1
        if interleave.shape[0] != keys.shape[0] or keys.shape[0] == 0:
            raise ValueError("merge: arrays differ in length")
        with nogil:
            if not self.built:
                merging_build(&self.m)
                self.built = True
            n = merging_run(&self.m, keys.shape[0], &interleave[0], &keys[0], &needed)
        if n == -1:
            raise ValueError("merge: rows of a source are out of order")
        if n < 0:
            raise ValueError("merge: an event has more rows than its runs")
        return n, needed


def count_sources(const uint8_t[::1] source not None, Py_ssize_t sources):
    cdef Py_ssize_t n = source.shape[0], i
    cdef int64_t[MOST_SOURCES] counts
    memset(counts, 0, sizeof(counts))
    with nogil:
        for i in range(n):
            counts[source[i]] += 1
    return [counts[i] for i in range(sources)]


def take_rows(const uint8_t[::1] source not None, values, const int64_t[::1] cuts not None, out):
    cdef int64_t[MOST_SOURCES] at
    cdef int64_t[MOST_SOURCES] end
    cdef Py_ssize_t n = source.shape[0]
    cdef int bad = 0, size = values.dtype.itemsize
    cdef const uint8_t[::1] f1
    cdef const uint16_t[::1] f2
    cdef const uint32_t[::1] f4
    cdef const uint64_t[::1] f8
    cdef uint8_t[::1] t1
    cdef uint16_t[::1] t2
    cdef uint32_t[::1] t4
    cdef uint64_t[::1] t8
    cut(cuts, values.shape[0], at, end)
    if out.shape[0] != n or out.dtype != values.dtype:
        raise ValueError("take: arrays differ in length or type")
    if n == 0:
        return
    if values.shape[0] == 0:
        raise ValueError("take: a source has fewer values than rows")
    if size == 1:
        f1, t1 = values.view(np.uint8), out.view(np.uint8)
        with nogil:
            bad = merging_take_uint8_t(&source[0], n, &f1[0], at, end, &t1[0])
    elif size == 2:
        f2, t2 = values.view(np.uint16), out.view(np.uint16)
        with nogil:
            bad = merging_take_uint16_t(&source[0], n, &f2[0], at, end, &t2[0])
    elif size == 4:
        f4, t4 = values.view(np.uint32), out.view(np.uint32)
        with nogil:
            bad = merging_take_uint32_t(&source[0], n, &f4[0], at, end, &t4[0])
    else:
        f8, t8 = values.view(np.uint64), out.view(np.uint64)
        with nogil:
            bad = merging_take_uint64_t(&source[0], n, &f8[0], at, end, &t8[0])
    if bad:
        raise ValueError("take: a source has fewer values than rows")


def take_present(const uint8_t[::1] source not None, const uint8_t[::1] present not None, values,
                 const int64_t[::1] cuts not None, out):
    cdef int64_t[MOST_SOURCES] at
    cdef int64_t[MOST_SOURCES] end
    cdef Py_ssize_t n = source.shape[0]
    cdef int64_t count = 0
    cdef int size = values.dtype.itemsize
    cdef const uint8_t[::1] f1
    cdef const uint16_t[::1] f2
    cdef const uint32_t[::1] f4
    cdef const uint64_t[::1] f8
    cdef uint8_t[::1] t1
    cdef uint16_t[::1] t2
    cdef uint32_t[::1] t4
    cdef uint64_t[::1] t8
    cut(cuts, values.shape[0] - 1, at, end)
    if present.shape[0] != n or out.shape[0] != n + 1 or out.dtype != values.dtype:
        raise ValueError("take: arrays differ in length or type")
    if n == 0:
        return 0
    if size == 1:
        f1, t1 = values.view(np.uint8), out.view(np.uint8)
        with nogil:
            count = merging_take_some_uint8_t(&source[0], n, &present[0], &f1[0], at, end, &t1[0])
    elif size == 2:
        f2, t2 = values.view(np.uint16), out.view(np.uint16)
        with nogil:
            count = merging_take_some_uint16_t(&source[0], n, &present[0], &f2[0], at, end, &t2[0])
    elif size == 4:
        f4, t4 = values.view(np.uint32), out.view(np.uint32)
        with nogil:
            count = merging_take_some_uint32_t(&source[0], n, &present[0], &f4[0], at, end, &t4[0])
    else:
        f8, t8 = values.view(np.uint64), out.view(np.uint64)
        with nogil:
            count = merging_take_some_uint64_t(&source[0], n, &present[0], &f8[0], at, end, &t8[0])
    if count < 0:
        raise ValueError("take: a source has fewer values than rows")
    return count


cdef int cut(const int64_t[::1] cuts, Py_ssize_t size, int64_t *at, int64_t *end) except -1:
    """Cursors of the sources; a number that is none has no rows."""
    cdef Py_ssize_t sources = cuts.shape[0] - 1, i
    memset(at, 0, MOST_SOURCES * sizeof(int64_t))
    memset(end, 0, MOST_SOURCES * sizeof(int64_t))
    if not 0 <= sources <= MOST_SOURCES or cuts[0] < 0 or cuts[sources] > size:
        raise ValueError("take: cuts out of range")
    for i in range(sources):
        if cuts[i] > cuts[i + 1]:
            raise ValueError("take: cuts descend")
        at[i], end[i] = cuts[i], cuts[i + 1]
    return 0


def expand_some(const uint32_t[::1] users not None, const uint32_t[::1] ends not None, int64_t at, int64_t row,
                uint32_t[::1] out not None):
    cdef int64_t size = users.shape[0], n = out.shape[0], done = 0
    if ends.shape[0] != size or not 0 <= at <= size:
        raise ValueError("users: arrays differ in length")
    if size and n:
        with nogil:
            done = merging_expand(&users[0], &ends[0], size, &at, &row, &out[0], n)
    if done < 0:
        raise ValueError("users: the rows descend")
    return done, at, row


def relabel(uint32_t[::1] codes not None, const uint32_t[::1] lut not None):
    cdef Py_ssize_t n = codes.shape[0], size = lut.shape[0], i
    cdef bint bad = False
    with nogil:
        for i in range(n):
            if codes[i] >= size:
                bad = True
                break
            codes[i] = lut[codes[i]]
    if bad:
        raise IndexError(f"a code is not below {size}")
