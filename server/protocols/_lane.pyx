# cython: auto_pickle=False, autotestdict=False
# Requests of Sensors' SDKs from the bytes of a read to events, many at a time and without a Python
# object each. plain.h reads the HTTP, quick.h the form and the records.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memchr, memcmp, memcpy


cdef extern from "time.h" nogil:
    ctypedef int clockid_t
    struct timespec:
        int64_t tv_sec
        long tv_nsec
    int clock_gettime(clockid_t clock, timespec *now)
    clockid_t CLOCK_MONOTONIC
    clockid_t CLOCK_REALTIME


cdef extern from "../collector/plain.h" nogil:
    ctypedef struct zp_text:
        const uint8_t *p
        size_t n
    ctypedef struct zp_limits:
        int max_target
        int max_fields
        int max_head
        int64_t max_body
    ctypedef struct zp_request:
        int is_post
        zp_text path
        zp_text query
        zp_text body
        const uint8_t *after
    int zp_read(zp_request *r, const uint8_t *at, const uint8_t *end, const zp_limits *limits)
    zp_text zp_value(const zp_request *r, const char *lower)


cdef extern from "sensors.h" nogil:
    ctypedef struct pk_out:
        uint8_t *start
    ctypedef struct zs_part:
        uint32_t count
        uint32_t items
        size_t start
        size_t end
    ctypedef struct zs_run:
        int64_t offset_ms
        uint32_t max_events
        uint32_t max_items
        uint32_t max_bytes
        uint32_t list_values
        uint8_t keep_ip
        pk_out out
        zs_part *parts
        size_t parts_used
    int zs_add_login(zs_run *r, const uint8_t *key, size_t n)


cdef extern from "quick.h" nogil:
    ctypedef struct zf_text:
        const uint8_t *p
        size_t n
    zf_text zf_field(const uint8_t *form, size_t size, const char *name)
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
    int zq_usual(const zq_sent *s)
    void zq_renew(zq_reader *r, size_t most)
    void zq_free(zq_reader *r)
    enum:
        ZQ_NO_MEMORY
        ZQ_TAKEN
        ZQ_GZIP


cdef enum:
    CUT_REQUESTS = 1024
    CUT_BYTES = 1 << 20
    CUT_WORK = 4 << 20  # bytes to be read, as far as can be told
    PACKED = 12  # times as many as came, where they are compressed
    LARGEST = 64 << 10  # a request: larger ones are better prepared beside others
    KEPT_BYTES = 4 << 20
    OWN = 512  # bytes that a waiting request holds beside its own

cdef struct Asked:
    size_t start  # of the query in the cut's bytes; the body follows
    uint32_t query_n
    uint32_t body_n
    uint32_t first  # parts that have its events
    uint32_t end
    int64_t received_ms
    uint8_t is_post
    uint8_t is_gif
    uint8_t taken


cdef inline int64_t _now_ns(clockid_t clock) noexcept nogil:
    cdef timespec now
    clock_gettime(clock, &now)
    return now.tv_sec * 1_000_000_000 + now.tv_nsec


@cython.final
cdef class Cut:
    cdef uint8_t *bytes
    cdef size_t used, room, work  # work: bytes to be read, about
    cdef Asked *asked
    cdef int asked_room
    cdef readonly int count
    cdef readonly Py_ssize_t size
    cdef readonly list connections

    def __cinit__(self):
        self.connections = []

    def __dealloc__(self):
        free(self.bytes)
        free(self.asked)

    cdef bint fits(self, size_t more) noexcept:
        return self.count < CUT_REQUESTS and self.used + more <= CUT_BYTES and self.work <= CUT_WORK

    cdef bint grow(self, size_t more) noexcept:
        """Room for one more request. False: no memory."""
        cdef void *moved
        if self.used + more > self.room:
            moved = realloc(self.bytes, 2 * self.room + more + 16_384)
            if moved == NULL:
                return False
            self.bytes, self.room = <uint8_t *>moved, 2 * self.room + more + 16_384
        if self.count == self.asked_room:
            moved = realloc(self.asked, (2 * self.asked_room + 32) * sizeof(Asked))
            if moved == NULL:
                return False
            self.asked, self.asked_room = <Asked *>moved, 2 * self.asked_room + 32
        return True

    cdef void add(self, const zp_request *r, int64_t received_ms, bint packed) noexcept:
        cdef Asked *one = &self.asked[self.count]
        one.start, one.received_ms = self.used, received_ms
        one.query_n, one.body_n = <uint32_t>r.query.n, <uint32_t>r.body.n
        one.is_post, one.is_gif = r.is_post, r.path.n == 7
        one.taken, one.first, one.end = False, 0, 0
        memcpy(self.bytes + self.used, r.query.p, r.query.n)
        self.used += r.query.n
        if r.body.n:
            memcpy(self.bytes + self.used, r.body.p, r.body.n)
            self.used += r.body.n
        self.work += (PACKED if packed else 1) * (r.query.n + r.body.n)
        self.size += <Py_ssize_t>(r.query.n + r.body.n + OWN)
        self.count += 1

    cdef int read(self, zq_reader *reader) noexcept nogil:
        """Events of all requests into the reader's run. -1: no memory."""
        cdef zq_sent sent
        cdef zs_run *run = &reader.run
        cdef Asked *one
        cdef size_t before
        cdef uint32_t events
        cdef int i, taken
        for i in range(self.count):
            one = &self.asked[i]
            sent.query, sent.query_n = self.bytes + one.start, one.query_n
            sent.body, sent.body_n = sent.query + one.query_n, one.body_n
            sent.received_ms = one.received_ms
            before = run.parts_used
            events = run.parts[before - 1].count if before else 0
            taken = zq_take(reader, &sent)
            if taken == ZQ_NO_MEMORY:
                return -1
            one.taken = taken == ZQ_TAKEN
            if before and run.parts[before - 1].count > events:
                before -= 1
            one.first, one.end = <uint32_t>before, <uint32_t>run.parts_used
        return 0

    def unsure(self):
        return [i for i in range(self.count) if not self.asked[i].taken]

    def parts_of(self, int i):
        self.check(i)
        return self.asked[i].first, self.asked[i].end

    def is_post(self, int i):
        self.check(i)
        return bool(self.asked[i].is_post)

    def sent(self, int i):
        self.check(i)
        cdef Asked *one = &self.asked[i]
        cdef const char *query = <const char *>self.bytes + one.start
        return (
            "POST" if one.is_post else "GET",
            "/sa.gif" if one.is_gif else "/sa",
            PyBytes_FromStringAndSize(query, one.query_n),
            PyBytes_FromStringAndSize(query + one.query_n, one.body_n),
            one.received_ms,
        )

    cdef check(self, int i):
        if not 0 <= i < self.count:
            raise IndexError(i)


@cython.final
cdef class Lane:
    cdef object limits, began
    cdef int64_t offset_ms
    cdef bint keep_ip, closed, calling
    cdef tuple login_keys
    cdef Cut open
    cdef list cuts, idle
    cdef Py_ssize_t most, inflated
    cdef readonly int count
    cdef readonly Py_ssize_t size
    cdef public Py_ssize_t others

    def __cinit__(self, limits not None, int64_t offset_ms, bint keep_ip, Py_ssize_t most, began not None,
                  tuple login_keys=(), Py_ssize_t inflated=0):
        self.inflated = max(inflated, 0)
        self.limits, self.offset_ms, self.keep_ip = limits, offset_ms, keep_ip
        self.login_keys = login_keys
        self.most, self.began = most, began
        self.cuts, self.idle = [], []

    cdef bint add(self, const zp_request *r, connection, bint packed):
        cdef size_t more = r.query.n + r.body.n
        cdef Py_ssize_t size = <Py_ssize_t>more + OWN, held = self.size + self.others
        cdef Cut cut = self.open
        if self.closed or (held and held + size > self.most):
            return False
        if cut is None or not cut.fits(more):
            cut = Cut()
            self.cuts.append(cut)
            self.open = cut
        # From here on no other thread comes in between: nothing below lets go of the GIL.
        if not cut.grow(more):
            return False
        cut.connections.append(connection)
        cut.add(r, _now_ns(CLOCK_REALTIME) // 1_000_000, packed)
        self.count += 1
        self.size += size
        if not self.calling:
            self.calling = True
            self.began()
        return True

    def looked(self):
        self.calling = False

    def shut(self):
        self.closed = True

    def cut(self):
        if not self.cuts:
            return None
        cdef Cut cut = self.cuts.pop(0)
        if cut is self.open:
            self.open = None
        self.count -= cut.count
        self.size -= cut.size
        return cut

    def events(self, Cut cut not None):
        cdef _Run run
        if self.idle:
            run = self.idle.pop()
        else:
            run = _Run(self.limits, self.offset_ms, self.keep_ip, self.login_keys, self.inflated)
        cdef zs_run *made = &run.own.run
        cdef zs_part *part
        cdef size_t i
        cdef int failed
        cdef list parts = []
        try:
            with nogil:
                failed = cut.read(run.own)
            if failed:
                raise MemoryError("no memory to read requests")
            for i in range(made.parts_used):
                part = &made.parts[i]
                data = PyBytes_FromStringAndSize(
                    <const char *>made.out.start + part.start, <Py_ssize_t>(part.end - part.start)
                )
                parts.append((part.count, part.items, data))
            return parts
        finally:
            zq_renew(run.own, KEPT_BYTES)
            self.idle.append(run)


@cython.final
cdef class _Run:
    cdef zq_reader *own

    def __cinit__(self, limits not None, int64_t offset_ms, bint keep_ip, tuple login_keys,
                  Py_ssize_t inflated):
        self.own = <zq_reader *>calloc(1, sizeof(zq_reader))
        if self.own == NULL:
            raise MemoryError("no memory to read requests")
        cdef zs_run *run = &self.own.run
        self.own.inflated = <size_t>inflated
        run.offset_ms = offset_ms
        run.max_events = limits.batch_events
        run.max_items = limits.batch_items - 1
        run.max_bytes = limits.batch_bytes - 64
        run.list_values = limits.list_values
        run.keep_ip = keep_ip
        for key in login_keys:
            raw = (<str?>key).encode()
            if zs_add_login(run, <const uint8_t *>PyBytes_AS_STRING(raw), <size_t>len(raw)):
                raise ValueError("login keys are at most 4, of 1 to 100 bytes")

    def __dealloc__(self):
        if self.own != NULL:
            zq_free(self.own)
            free(self.own)


@cython.final
cdef class Door:
    cdef zp_limits limits
    cdef dict lanes
    cdef int64_t until, known_ns

    def __cinit__(self, int max_target, int max_fields, int max_head, int64_t max_body, int known_ms):
        self.known_ns = known_ms * <int64_t>1_000_000
        self.limits.max_target, self.limits.max_fields = max_target, max_fields
        self.limits.max_head, self.limits.max_body = max_head, min(max_body, LARGEST)
        self.lanes = {}

    def open(self, bytes token not None, Lane lane not None):
        cdef int64_t now = _now_ns(CLOCK_MONOTONIC)
        if now > self.until:
            self.lanes.clear()
            self.until = now + self.known_ns
        self.lanes[token] = lane

    def take(self, bytes data not None, connection):
        cdef const uint8_t *start = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef const uint8_t *end = start + PyBytes_GET_SIZE(data)
        cdef zp_request r
        cdef zf_text token
        cdef zq_sent sent
        cdef PyObject *found
        if end - start > LARGEST or not zp_read(&r, start, end, &self.limits) or r.after != end:
            return False
        if r.query.n == 0 or not (r.path.n == 3 and memcmp(r.path.p, b"/sa", 3) == 0):
            if r.path.n != 7 or memcmp(r.path.p, b"/sa.gif", 7) != 0:
                return False
        if zp_value(&r, b"origin").p != NULL or zp_value(&r, b"content-encoding").p != NULL:
            return False
        token = zf_field(r.query.p, r.query.n, b"token")
        if token.n == 0 or token.n > 255 or memchr(token.p, 37, token.n) != NULL:  # %
            return False
        sent.query, sent.query_n = r.query.p, r.query.n
        sent.body, sent.body_n = r.body.p, r.body.n
        cdef int usual = zq_usual(&sent)
        if not usual:
            return False
        if _now_ns(CLOCK_MONOTONIC) > self.until:
            return False
        found = PyDict_GetItem(self.lanes, PyBytes_FromStringAndSize(<const char *>token.p, token.n))
        if found == NULL:
            return False
        return (<Lane>found).add(&r, connection, usual == ZQ_GZIP)
