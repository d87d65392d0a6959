# cython: auto_pickle=False, autotestdict=False
"""Keys of the ids of table rows, natively; the C is in ``keys.h``. Pure functions, without the GIL."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t


cdef extern from "bulk/keys.h" nogil:
    ctypedef struct zj_texts:
        const uint8_t *data
        const int64_t *offsets
        const uint8_t *valid

    void zj_id_states(const zj_texts *, const zj_texts *, int64_t, int64_t, uint8_t *)
    int64_t zj_id_keys(const zj_texts *, const zj_texts *, const uint8_t *, const uint8_t *, int64_t, uint8_t,
                       uint8_t, uint8_t *, int64_t *)


# One column given as (data, offsets, valid or None), or None. The caller keeps the arrays alive.
cdef zj_texts _texts(column, int64_t n) except *:
    cdef zj_texts t
    cdef const uint8_t[::1] data, valid
    cdef const int64_t[::1] offsets
    cdef int64_t i
    cdef bint bad = False
    t.data, t.offsets, t.valid = NULL, NULL, NULL
    if column is None:
        return t
    data, offsets, valid = column
    if offsets.shape[0] != n + 1 or (valid is not None and valid.shape[0] != n):
        raise ValueError("a column of texts has the wrong length")
    with nogil:
        for i in range(n):
            bad |= offsets[i + 1] < offsets[i]
    if bad or offsets[0] < 0 or offsets[n] > data.shape[0]:
        raise ValueError("offsets must ascend and lie within the data")
    t.data = &data[0] if data.shape[0] else <const uint8_t *>b""
    t.offsets = &offsets[0]
    if valid is not None and n:
        t.valid = &valid[0]
    return t


def id_states(user, device, Py_ssize_t n, Py_ssize_t most):
    cdef zj_texts u = _texts(user, n), d = _texts(device, n)
    states = np.empty(n, np.uint8)
    cdef uint8_t[::1] out = states
    if n:
        with nogil:
            zj_id_states(&u, &d, n, most, &out[0])
    return states


def id_keys(user, device, state, keep, Py_ssize_t n, int first, int second):
    cdef zj_texts u = _texts(user, n), d = _texts(device, n)
    cdef const uint8_t[::1] sv = state, kv = keep
    cdef const uint8_t *sp = NULL
    cdef const uint8_t *kp = NULL
    cdef int64_t size = 0, i
    cdef bint bad = False
    if (sv is not None and sv.shape[0] != n) or (kv is not None and kv.shape[0] != n):
        raise ValueError("states or kept rows have the wrong length")
    if n and sv is not None:
        sp = &sv[0]
        with nogil:
            for i in range(n):
                bad |= (sv[i] > 1 or (sv[i] == 1 and d.offsets == NULL) or (sv[i] == 0 and u.offsets == NULL)) and (
                    kv is None or kv[i] != 0)
    elif n:
        bad = u.offsets == NULL
    if bad:
        raise ValueError("a kept row has no id")
    if n and kv is not None:
        kp = &kv[0]
    rows = n if kv is None else int(np.count_nonzero(keep))
    offsets = np.zeros(rows + 1, np.int64)
    cdef int64_t[::1] ov = offsets
    if rows == 0:
        return np.empty(0, np.uint8), offsets
    with nogil:
        size = zj_id_keys(&u, &d, sp, kp, n, <uint8_t>first, <uint8_t>second, NULL, NULL)
    data = np.empty(size, np.uint8)
    cdef uint8_t[::1] dv = data
    with nogil:
        zj_id_keys(&u, &d, sp, kp, n, <uint8_t>first, <uint8_t>second, &dv[0], &ov[0])
    return data, offsets
