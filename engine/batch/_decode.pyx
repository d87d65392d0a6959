# cython: autotestdict=False
"""decode_batch: the native batch format to columns. The C is in ``decode.h`` and ``event.h``.

Threads: the GIL is released while bytes are read; the two string tables are written, so the
caller holds a lock over them. The input must not change during the call.
"""

import numpy as np

cimport cython

from zuji.engine.batch.columns import EventBatch, Rejected
from zuji.engine.batch.reasons import BATCH_REASONS as _BATCH_REASONS
from zuji.engine.batch.reasons import EVENT_REASONS as _EVENT_REASONS
from zuji.engine.errors import InvalidEvent

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from zuji.engine.index._strings cimport StringTable, zj_strings


cdef extern from "batch/decode.h" nogil:
    """
    #define ZJ_NAME(id, text) text,
    static const char *const zj_reason_names[] = {ZJ_REASONS(ZJ_NAME) NULL};
    static const char *const zj_batch_reason_names[] = {ZJ_BATCH_REASONS(ZJ_NAME) NULL};
    #undef ZJ_NAME
    """
    const char *const *zj_reason_names
    const char *const *zj_batch_reason_names
    int ZJ_REASON_COUNT, ZJ_BATCH_REASON_COUNT, ZJ_BATCH_NO_MEMORY, ZJ_BATCH_TOO_LARGE
    int ZJ_BATCH_ENVELOPE, ZJ_F_PROPERTIES, MP_DEPTH
    uint64_t ZJ_DEEP

    ctypedef struct zj_limits:
        uint32_t depth, properties, string_bytes, name_bytes, id_bytes, list_values
        int64_t time_min, time_max

    ctypedef struct zj_text:
        const uint8_t *p
        uint32_t n

    ctypedef struct zj_reject:
        uint8_t reason, field
        int32_t item
        uint32_t index
        zj_text key

    ctypedef struct zj_columns:
        uint8_t *kind
        uint32_t *event
        uint32_t *user
        uint32_t *device
        uint32_t *insert
        uint32_t *index
        int64_t *time
        int64_t *cell_start
        uint32_t rows
        uint32_t *cell_prop
        uint8_t *cell_kind
        int64_t *cell_value
        size_t cells
        int64_t *list_start
        size_t lists
        uint32_t *list_item
        size_t items

    ctypedef struct zj_batch:
        zj_limits limits
        uint64_t max_events, max_items
        uint64_t *starts
        uint32_t events
        uint64_t items
        int has_sent_at
        int64_t sent_at
        zj_text batch_id
        const char *envelope_fault
        uint64_t fault_at
        zj_reject *rejects
        size_t rejected
        zj_columns out

    int zj_batch_open(zj_batch *b, const uint8_t *data, size_t n) noexcept
    int zj_batch_decode(zj_batch *b, zj_strings *names, zj_strings *strings) noexcept
    void zj_batch_free(zj_batch *b) noexcept
    int mp_skip(const uint8_t **at, const uint8_t *end, uint64_t *items, uint64_t max_items,
                uint32_t max_depth, int *deep) noexcept


cdef list _names(const char *const *table, int count):
    return [table[i].decode() for i in range(1, count)]


EVENT_CODES = tuple(_names(zj_reason_names, ZJ_REASON_COUNT))
BATCH_CODES = tuple(_names(zj_batch_reason_names, ZJ_BATCH_REASON_COUNT))
cdef tuple _FIELDS = (
    "", "type", "event", "time", "user_id", "device_id", "insert_id", "properties"
)


# Owns the C side of one decode, so that any exit frees it.
@cython.auto_pickle(False)
cdef class _Batch:

    cdef zj_batch b

    def __cinit__(self):
        memset(&self.b, 0, sizeof(zj_batch))

    def __dealloc__(self):
        zj_batch_free(&self.b)


cdef str _text(zj_text text, size_t most):
    cdef size_t n = text.n if text.n < most else most
    return PyBytes_FromStringAndSize(<const char *>text.p, <Py_ssize_t>n).decode("utf-8", "replace")


cdef str _path(zj_reject *reject, size_t most):
    path = _FIELDS[reject.field]
    if reject.key.p != NULL:
        key = _text(reject.key, most)
        path = f"{path}.{key}" if path else key
    return f"{path}[{reject.item}]" if reject.item >= 0 else path


cdef _copy(const void *source, size_t n, dtype):
    out = np.empty(n, dtype)
    cdef uint8_t[::1] view
    if n:
        view = out.view(np.uint8)
        memcpy(&view[0], source, <size_t>view.shape[0])
    return out


cdef _refuse(int reason, zj_batch *b, limits):
    code = zj_batch_reason_names[reason].decode()
    text = _BATCH_REASONS[code].format(limits=limits)
    if reason == ZJ_BATCH_ENVELOPE:
        text = f"{b.envelope_fault.decode()}; {text}"
    return InvalidEvent(f"{text} (at byte {b.fault_at})", reason=code)


cdef _limits(zj_batch *b, limits):
    b.max_events = limits.batch_events
    b.max_items = limits.batch_items
    b.limits.depth = min(limits.event_depth, MP_DEPTH)
    b.limits.properties = min(limits.event_properties, 32767)
    b.limits.string_bytes = limits.string_bytes
    b.limits.name_bytes = limits.name_bytes
    b.limits.id_bytes = limits.id_bytes
    b.limits.list_values = limits.list_values
    b.limits.time_min = limits.time_min_ms
    b.limits.time_max = limits.time_max_ms


def decode_batch(data not None, *, limits not None, StringTable names not None,
                 StringTable strings not None):
    cdef const uint8_t[::1] view = memoryview(data).cast("B")
    cdef _Batch batch = _Batch()
    cdef zj_batch *b = &batch.b
    cdef zj_columns *out = &b.out
    cdef const uint8_t *start = &view[0] if view.shape[0] else NULL
    cdef size_t size = <size_t>view.shape[0]
    cdef int failed
    _limits(b, limits)
    if size > <size_t>limits.batch_bytes:
        raise _refuse(ZJ_BATCH_TOO_LARGE, b, limits)
    with nogil:
        failed = zj_batch_open(b, start, size)
    if failed == ZJ_BATCH_NO_MEMORY:
        raise MemoryError("no memory to decode a batch")
    if failed:
        raise _refuse(failed, b, limits)

    cdef Py_ssize_t events = b.events
    cdef uint8_t[::1] kind = np.empty(events + 1, np.uint8)
    cdef uint32_t[:, ::1] codes = np.empty((5, events + 1), np.uint32)
    cdef int64_t[::1] time = np.empty(events + 1, np.int64)
    cdef int64_t[::1] cell_start = np.empty(events + 1, np.int64)
    out.kind = &kind[0]
    out.event = &codes[0, 0]
    out.user = &codes[1, 0]
    out.device = &codes[2, 0]
    out.insert = &codes[3, 0]
    out.index = &codes[4, 0]
    out.time = &time[0]
    out.cell_start = &cell_start[0]
    names.begin_write()
    try:
        if strings is not names:
            strings.begin_write()
        try:
            with nogil:
                failed = zj_batch_decode(b, &names.table, &strings.table)
        finally:
            strings.end_write()
    finally:
        names.end_write()
    if failed:
        raise MemoryError("no memory to decode a batch")

    n = out.rows
    return EventBatch(
        n=n,
        kind=np.asarray(kind)[:n],
        event=np.asarray(codes[0])[:n],
        user=np.asarray(codes[1])[:n],
        device=np.asarray(codes[2])[:n],
        time=np.asarray(time)[:n],
        insert=np.asarray(codes[3])[:n],
        index=np.asarray(codes[4])[:n],
        cell_start=np.asarray(cell_start)[: n + 1],
        cell_prop=_copy(out.cell_prop, out.cells, np.uint32),
        cell_kind=_copy(out.cell_kind, out.cells, np.uint8),
        cell_value=_copy(out.cell_value, out.cells, np.int64),
        list_start=_copy(out.list_start, out.lists + 1, np.int64),
        list_item=_copy(out.list_item, out.items, np.uint32),
        names=names,
        strings=strings,
        batch_id=None if b.batch_id.p == NULL else (
            PyBytes_FromStringAndSize(<const char *>b.batch_id.p, b.batch_id.n)
        ),
        sent_at=b.sent_at if b.has_sent_at else None,
        rejected=_rejected(b, start, limits),
    )


cdef list _rejected(zj_batch *b, const uint8_t *start, limits):
    cdef size_t i
    cdef uint64_t first, last
    cdef zj_reject *reject
    rejected = []
    if b.rejected == 0:
        return rejected
    messages = {code: text.format(limits=limits) for code, text in _EVENT_REASONS.items()}
    for i in range(b.rejected):
        reject = &b.rejects[i]
        first = b.starts[reject.index] & ~ZJ_DEEP
        last = b.starts[reject.index + 1] & ~ZJ_DEEP
        code = zj_reason_names[reject.reason].decode()
        raw = PyBytes_FromStringAndSize(<const char *>start + first, <Py_ssize_t>(last - first))
        path = _path(reject, b.limits.name_bytes)
        rejected.append(Rejected(reject.index, code, path, messages[code], raw))
    return rejected


def count_items(const uint8_t[::1] data not None):
    cdef uint64_t items = 0
    cdef int deep = 0
    cdef const uint8_t *at = &data[0] if data.shape[0] else NULL
    cdef const uint8_t *end = at + data.shape[0]
    if mp_skip(&at, end, &items, <uint64_t>-1, MP_DEPTH, &deep) or at != end:
        raise ValueError("not one whole msgpack value")
    return items
