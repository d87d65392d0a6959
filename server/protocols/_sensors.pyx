# cython: auto_pickle=False, autotestdict=False
# The native half of .sensors: form.h unpacks a request, sensors.h makes events of its records.
# No Python object an event; the GIL is released while many bytes are read. For few it is kept: who
# lets go of it may wait for milliseconds until it comes back.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free


cdef extern from "form.h" nogil:
    ctypedef struct zf_text:
        const uint8_t *p
        size_t n
    zf_text zf_field(const uint8_t *form, size_t size, const char *name)
    size_t zf_unescape(uint8_t *out, const uint8_t *data, size_t n)
    uint32_t zf_hash(const uint8_t *p, size_t n)
    size_t zf_join(uint8_t *out, const uint8_t *data, size_t n)
    int64_t zf_unbase64(uint8_t *out, const uint8_t *p, size_t n)


cdef extern from "sensors.h" nogil:
    ctypedef struct pk_out:
        uint8_t *start
    ctypedef struct zs_refusal:
        int64_t index
        uint8_t reason
        const uint8_t *start
        const uint8_t *end
        char *path
        uint8_t path_n
    ctypedef struct zs_part:
        uint32_t count
        uint32_t items
        size_t start
        size_t end
    ctypedef struct zs_run:
        int64_t received_ms
        int64_t offset_ms
        uint32_t max_events
        uint32_t max_items
        uint32_t max_bytes
        uint32_t list_values
        uint8_t keep_ip
        pk_out out
        zs_part *parts
        size_t parts_used
        zs_refusal *refused
        size_t refused_used
        uint8_t *token
        uint32_t token_n
    const char *zs_reasons[]
    int zs_add_login(zs_run *r, const uint8_t *key, size_t n)
    int zs_document(zs_run *r, const uint8_t *p, size_t size)
    void zs_free(zs_run *r)


cdef extern from "quick.h" nogil:
    ctypedef struct zq_sent:
        const uint8_t *query
        const uint8_t *body
        size_t query_n
        size_t body_n
        int64_t received_ms
    ctypedef struct zq_reader:
        zs_run run
        size_t inflated
    int zq_take(zq_reader *r, const zq_sent *s)
    void zq_renew(zq_reader *r, size_t most)
    void zq_free(zq_reader *r)
    enum:
        ZQ_NO_MEMORY
        ZQ_UNSURE


cdef enum:
    KEPT_BYTES = 256 << 10  # of each buffer of a run that waits for its next use
    FEW_BYTES = 32 << 10  # read in less than 100 us


def field(const uint8_t[::1] form not None, bytes name not None):
    cdef size_t size = <size_t>form.shape[0]
    cdef zf_text found
    if size == 0:
        return None
    found = zf_field(&form[0], size, PyBytes_AS_STRING(name))
    if found.p == NULL:
        return None
    value = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>found.n)
    size = zf_unescape(<uint8_t *>PyBytes_AS_STRING(value), found.p, found.n)
    return value if size == found.n else value[:size]


def unbase64(bytes text not None):
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(text)
    cdef size_t n = <size_t>len(text)
    cdef int64_t size
    value = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(3 * (n // 4) + 3))
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(value)
    if n < FEW_BYTES:
        size = zf_unbase64(out, p, n)
    else:
        with nogil:
            size = zf_unbase64(out, p, n)
    return None if size < 0 else value[:size]


def joined(bytes text not None):
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(text)
    cdef size_t size, n = <size_t>len(text)
    if b"\xed" not in text:
        return text
    value = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(value)
    with nogil:
        size = zf_join(out, p, n)
    return value[:size]


def hash_code(bytes text not None):
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(text)
    cdef size_t n = <size_t>len(text)
    cdef uint32_t found
    if n < FEW_BYTES:
        return zf_hash(p, n)
    with nogil:
        found = zf_hash(p, n)
    return found


cdef _limit(zs_run *run, limits, int64_t offset_ms, bint keep_ip, tuple login_keys):
    for key in login_keys:
        raw = (<str?>key).encode()
        if zs_add_login(run, <const uint8_t *>PyBytes_AS_STRING(raw), <size_t>len(raw)):
            raise ValueError("login keys are at most 4, of 1 to 100 bytes")
    run.offset_ms = offset_ms
    run.max_events = limits.batch_events
    run.max_items = limits.batch_items - 1
    run.max_bytes = limits.batch_bytes - 64
    run.list_values = limits.list_values
    run.keep_ip = keep_ip


cdef list _parts(zs_run *run):
    cdef list parts = []
    cdef size_t i
    cdef zs_part *part
    for i in range(run.parts_used):
        part = &run.parts[i]
        data = PyBytes_FromStringAndSize(
            <const char *>run.out.start + part.start, <Py_ssize_t>(part.end - part.start)
        )
        parts.append((part.count, part.items, data))
    return parts


def transcode(bytes document not None, int64_t received_ms, int64_t offset_ms, limits not None,
              bint keep_ip=False, tuple login_keys=()):
    cdef const uint8_t *p = <const uint8_t *>PyBytes_AS_STRING(document)
    cdef size_t i, size = <size_t>len(document)
    cdef int failed
    cdef zs_refusal *one
    cdef zs_run *run = <zs_run *>calloc(1, sizeof(zs_run))
    if run == NULL:
        raise MemoryError("no memory to read records")
    try:
        _limit(run, limits, offset_ms, keep_ip, login_keys)
        run.received_ms = received_ms
        if size < FEW_BYTES:
            failed = zs_document(run, p, size)
        else:
            with nogil:
                failed = zs_document(run, p, size)
        if failed:
            raise MemoryError("no memory to read records")
        parts = _parts(run)
        refused = []
        for i in range(run.refused_used):
            one = &run.refused[i]
            raw = PyBytes_FromStringAndSize(<const char *>one.start, one.end - one.start)
            path = PyBytes_FromStringAndSize(one.path, one.path_n).decode("utf-8", "replace")
            refused.append((one.index, zs_reasons[one.reason].decode(), path, raw))
        token = PyBytes_FromStringAndSize(<const char *>run.token, run.token_n)
        return parts, refused, token.decode("utf-8", "replace")
    finally:
        zs_free(run)
        free(run)


@cython.final
cdef class Quick:
    cdef zq_reader *own

    def __cinit__(self, limits not None, int64_t offset_ms, bint keep_ip=False,
                  tuple login_keys=(), Py_ssize_t inflated=0):
        self.own = <zq_reader *>calloc(1, sizeof(zq_reader))
        if self.own == NULL:
            raise MemoryError("no memory to read records")
        self.own.inflated = <size_t>max(inflated, 0)
        _limit(&self.own.run, limits, offset_ms, keep_ip, login_keys)

    def __dealloc__(self):
        if self.own != NULL:
            zq_free(self.own)
            free(self.own)

    def events(self, bytes query not None, bytes body not None, int64_t received_ms):
        cdef zq_reader *own = self.own
        cdef zq_sent sent
        cdef int taken
        self.own = NULL  # a thread that comes meanwhile is told to go the other way
        if own == NULL:
            return None
        sent.query, sent.query_n = <const uint8_t *>PyBytes_AS_STRING(query), <size_t>len(query)
        sent.body, sent.body_n = <const uint8_t *>PyBytes_AS_STRING(body), <size_t>len(body)
        sent.received_ms = received_ms
        try:
            if sent.query_n + sent.body_n < FEW_BYTES:
                taken = zq_take(own, &sent)
            else:
                with nogil:
                    taken = zq_take(own, &sent)
            if taken == ZQ_NO_MEMORY:
                raise MemoryError("no memory to read records")
            return None if taken == ZQ_UNSURE else _parts(&own.run)
        finally:
            zq_renew(own, KEPT_BYTES)
            self.own = own
