# cython: auto_pickle=False, autotestdict=False
"""Final order of rows that lie in the order they came, place by place, in one call without the GIL. See _fresh.pyi."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

cdef extern from "storage/fresh.h" nogil:
    ctypedef struct zj_fresh_out:
        uint32_t *perm
        uint32_t *ordinal
        uint32_t *time
        uint16_t *interleave
        uint16_t *tie
        int64_t *place_start
        int64_t *place_run
        uint8_t *tied
        uint16_t *run_rank
        int64_t *run_start
        int64_t runs
    int zj_fresh(const uint16_t *, const uint32_t *, const uint16_t *, const int64_t *, size_t, const int64_t *, size_t,
                 size_t, const uint16_t *, size_t, size_t, zj_fresh_out *)


def order_places(const uint16_t[::1] shard, const uint32_t[::1] ordinal, const uint16_t[::1] event,
                 const int64_t[::1] time, const int64_t[::1] edges, Py_ssize_t shards, const uint16_t[::1] rank):
    cdef size_t n = shard.shape[0], months = edges.shape[0] - 1, codes = rank.shape[0], ranks = 0, i
    cdef zj_fresh_out out
    cdef int failed = 0
    if ordinal.shape[0] != <Py_ssize_t>n or event.shape[0] != <Py_ssize_t>n or time.shape[0] != <Py_ssize_t>n:
        raise ValueError("order: arrays differ in length")
    if not 0 < n < 0xFFFFFFFF or edges.shape[0] < 2 or shards < 1 or codes < 1:
        raise ValueError("order: no rows, months, shards or events, or too many")
    for i in range(codes):
        if rank[i] >= ranks:
            ranks = <size_t>rank[i] + 1
    perm, ordinals, times = (np.empty(n, np.uint32) for _ in range(3))
    interleave, tie, run_rank = (np.empty(n, np.uint16) for _ in range(3))
    place_start, place_run = (np.zeros(months * shards + 1, np.int64) for _ in range(2))
    tied, run_start = np.zeros(months * shards, np.uint8), np.empty(n, np.int64)
    cdef uint32_t[::1] pv = perm, ov = ordinals, mv = times
    cdef uint16_t[::1] iv = interleave, tv = tie, rv = run_rank
    cdef int64_t[::1] psv = place_start, prv = place_run, rsv = run_start
    cdef uint8_t[::1] dv = tied
    out.perm, out.ordinal, out.time, out.interleave, out.tie = &pv[0], &ov[0], &mv[0], &iv[0], &tv[0]
    out.place_start, out.place_run, out.tied, out.run_rank, out.run_start = &psv[0], &prv[0], &dv[0], &rv[0], &rsv[0]
    with nogil:
        failed = zj_fresh(&shard[0], &ordinal[0], &event[0], &time[0], n, &edges[0], months, shards, &rank[0], codes,
                          ranks, &out)
    if failed < 0:
        raise MemoryError(f"no memory to sort {n} rows")
    if failed:
        raise ValueError("order: a shard, an event or a time is out of range")
    return (perm, ordinals, times, interleave, tie, place_start, place_run, tied,
            run_rank[:out.runs].copy(), run_start[:out.runs].copy())
