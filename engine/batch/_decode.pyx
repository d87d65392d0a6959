# cython: autotestdict=False
"""Decoder, decode_batch, decode_json: a batch of bytes to columns. The C is in ``decode.h``,
``event.h``, ``keep.h``, ``json.h`` and ``msgpack.h``.

Threads: the GIL is released while bytes are read; the two string tables are written, so the
caller holds a lock over them. The input must not change during the call.
"""

import numpy as np

cimport cython
cimport numpy as cnp

from zuji.engine.batch.columns import EventBatch, Rejected
from zuji.engine.batch.reasons import BATCH_REASONS as _BATCH_REASONS
from zuji.engine.batch.reasons import EVENT_REASONS as _EVENT_REASONS
from zuji.engine.errors import InvalidEvent

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from zuji.engine.batch._decode cimport Decoder, zj_columns
from zuji.engine.index._strings cimport StringTable, zj_strings

cnp.import_array()


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
    int ZJ_BATCH_ENVELOPE, ZJ_F_PROPERTIES, MP_DEPTH, ZJ_MSGPACK, ZJ_JSON

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
        uint64_t start, end

    ctypedef struct zj_keeper:
        zj_columns out

    ctypedef struct zj_reader:
        zj_keeper keep

    ctypedef struct zj_batch:
        zj_limits limits
        uint64_t max_events, max_items
        zj_reader reader
        int has_sent_at
        int64_t sent_at
        zj_text batch_id
        const char *envelope_fault
        uint64_t fault_at
        zj_reject *rejects
        size_t rejected

    int zj_form_of(const uint8_t *data, size_t n) noexcept
    ctypedef struct zj_table:
        zj_strings *strings
        void **aside

    int zj_batch_decode(zj_batch *b, const uint8_t *data, size_t n, int form, zj_table names,
                        zj_table strings) noexcept
    void zj_batch_reset(zj_batch *b) noexcept
    void zj_batch_free(zj_batch *b) noexcept
    int zj_slices(const uint8_t *data, size_t n, const int64_t *wanted, size_t count,
                  uint64_t *bounds) noexcept
    int mp_skip(const uint8_t **at, const uint8_t *end, uint64_t *items, uint64_t max_items,
                uint32_t max_depth, int *deep) noexcept


cdef list _names(const char *const *table, int count):
    return [table[i].decode() for i in range(1, count)]


EVENT_CODES = tuple(_names(zj_reason_names, ZJ_REASON_COUNT))
BATCH_CODES = tuple(_names(zj_batch_reason_names, ZJ_BATCH_REASON_COUNT))
cdef tuple _FIELDS = (
    "", "type", "event", "time", "user_id", "device_id", "insert_id", "properties", "time_free"
)


# Owns the C side of a decoder, whose buffers serve one batch after the other.
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


cdef _copy(const void *source, size_t n, int dtype, size_t width):
    cdef cnp.npy_intp size = <cnp.npy_intp>n
    out = cnp.PyArray_SimpleNew(1, &size, dtype)
    if n:
        memcpy(cnp.PyArray_DATA(<cnp.ndarray>out), source, n * width)
    return out


cdef inline _u8(const uint8_t *source, size_t n):
    return _copy(source, n, cnp.NPY_UINT8, 1)


cdef inline _u32(const uint32_t *source, size_t n):
    return _copy(source, n, cnp.NPY_UINT32, 4)


cdef inline _i64(const int64_t *source, size_t n):
    return _copy(source, n, cnp.NPY_INT64, 8)


cdef _refuse(int reason, zj_batch *b, limits):
    code = zj_batch_reason_names[reason].decode()
    text = _BATCH_REASONS[code].format(limits=limits)
    if reason == ZJ_BATCH_ENVELOPE:
        text = f"{b.envelope_fault.decode()}; {text}"
    return InvalidEvent(f"{text} (at byte {b.fault_at})", reason=code)


cdef _set_limits(zj_batch *b, limits):
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


@cython.final
@cython.auto_pickle(False)
cdef class Decoder:

    def __cinit__(self, limits not None, StringTable names not None, StringTable strings not None):
        cdef _Batch batch = _Batch()
        self._limits, self.names, self.strings = limits, names, strings
        self._batch = batch
        self.out = &batch.b.reader.keep.out

    def decode(self, data not None):
        cdef const uint8_t[::1] view = memoryview(data).cast("B")
        cdef size_t size = <size_t>view.shape[0]
        self.read(view, zj_form_of(&view[0], size) if size else ZJ_MSGPACK)

    cdef read(self, const uint8_t[::1] view, int form):
        cdef _Batch batch = <_Batch>self._batch
        cdef zj_batch *b = &batch.b
        cdef const uint8_t *start = &view[0] if view.shape[0] else NULL
        cdef size_t size = <size_t>view.shape[0]
        cdef zj_table names, strings
        cdef int failed
        limits = self._limits
        self.release()
        names.strings, names.aside = &self.names.table, &self.names.aside[0]
        strings.strings, strings.aside = &self.strings.table, &self.strings.aside[0]
        _set_limits(b, limits)
        if size > <size_t>limits.batch_bytes:
            raise _refuse(ZJ_BATCH_TOO_LARGE, b, limits)
        self.names.begin_write()
        try:
            if self.strings is not self.names:
                self.strings.begin_write()
            try:
                with nogil:
                    failed = zj_batch_decode(b, start, size, form, names, strings)
            finally:
                self.strings.end_write()
        finally:
            self.names.end_write()
        if failed == ZJ_BATCH_NO_MEMORY:
            self.release()
            raise MemoryError("no memory to decode a batch")
        if failed:
            problem = _refuse(failed, b, limits)
            self.release()
            raise problem
        self.n = b.reader.keep.out.rows
        if b.rejected:
            self.rejected = _rejected(b, start, limits)
        if b.batch_id.p != NULL:
            self.batch_id = PyBytes_FromStringAndSize(<const char *>b.batch_id.p, b.batch_id.n)
        if b.has_sent_at:
            self.sent_at = b.sent_at

    def release(self):
        self.n = 0
        self.rejected = []
        self.batch_id = self.sent_at = None
        zj_batch_reset(&(<_Batch>self._batch).b)

    def marks(self):
        cdef cnp.npy_intp marks = <cnp.npy_intp>self.out.marks, rows = <cnp.npy_intp>self.n + 1
        if self.n == 0 or marks == 0:
            return None
        return (cnp.PyArray_SimpleNewFromData(1, &marks, cnp.NPY_UINT32, self.out.mark),
                cnp.PyArray_SimpleNewFromData(1, &rows, cnp.NPY_UINT32, self.out.row_mark))

    def columns(self):
        cdef const zj_columns *out = self.out
        cdef size_t n = self.n
        if out.rows != n or out.cell_start == NULL:
            raise ValueError("no batch was decoded, or it was given up")
        return EventBatch(
            n,
            _u8(out.kind, n),
            _u32(out.event, n),
            _u32(out.user, n),
            _u32(out.device, n),
            _i64(out.time, n),
            _u8(out.insert, out.insert_bytes),
            _i64(out.insert_start, n + 1),
            _u32(out.index, n),
            _i64(out.cell_start, n + 1),
            _u32(out.cell_prop, out.cells),
            _u8(out.cell_kind, out.cells),
            _i64(out.cell_value, out.cells),
            _i64(out.list_start, out.lists + 1),
            _u32(out.list_item, out.items),
            self.names,
            self.strings,
            self.batch_id,
            self.sent_at,
            self.rejected,
        )


def decode_batch(data not None, *, limits not None, StringTable names not None,
                 StringTable strings not None):
    decoder = Decoder(limits, names, strings)
    decoder.decode(data)
    return decoder.columns()


def decode_json(data not None, *, limits not None, StringTable names not None,
                StringTable strings not None):
    cdef Decoder decoder = Decoder(limits, names, strings)
    decoder.read(memoryview(data).cast("B"), ZJ_JSON)
    return decoder.columns()


cdef list _rejected(zj_batch *b, const uint8_t *start, limits):
    cdef size_t i
    cdef zj_reject *reject
    rejected = []
    if b.rejected == 0:
        return rejected
    messages = {code: text.format(limits=limits) for code, text in _EVENT_REASONS.items()}
    for i in range(b.rejected):
        reject = &b.rejects[i]
        code = zj_reason_names[reject.reason].decode()
        raw = PyBytes_FromStringAndSize(
            <const char *>start + reject.start, <Py_ssize_t>(reject.end - reject.start)
        )
        path = _path(reject, b.limits.name_bytes)
        rejected.append(Rejected(reject.index, code, path, messages[code], raw))
    return rejected


def slice_events(data not None, indexes not None):
    cdef const uint8_t[::1] view = memoryview(data).cast("B")
    cdef const int64_t[::1] wanted = np.ascontiguousarray(indexes, np.int64)
    cdef size_t i, count = <size_t>wanted.shape[0]
    cdef uint64_t[::1] bounds = np.empty(2 * count + 1, np.uint64)
    cdef const uint8_t *start = &view[0] if view.shape[0] else NULL
    if count == 0:
        return []
    if zj_slices(start, <size_t>view.shape[0], &wanted[0], count, &bounds[0]):
        raise ValueError("the batch has no such events, or they are not asked for in order")
    return [
        PyBytes_FromStringAndSize(
            <const char *>start + bounds[2 * i], <Py_ssize_t>(bounds[2 * i + 1] - bounds[2 * i])
        )
        for i in range(count)
    ]


def count_items(const uint8_t[::1] data not None):
    cdef uint64_t items = 0
    cdef int deep = 0
    cdef const uint8_t *at = &data[0] if data.shape[0] else NULL
    cdef const uint8_t *end = at + data.shape[0]
    if mp_skip(&at, end, &items, <uint64_t>-1, MP_DEPTH, &deep) or at != end:
        raise ValueError("not one whole msgpack value")
    return items
