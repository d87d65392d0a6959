# cython: auto_pickle=False, autotestdict=False
"""Native part of the page codecs: one page in, one page out; many pages in, one array out.

The C is in ``codecs.h`` (pages), ``section.h`` (their building block), ``bitpack.h`` (blocks of 512,
compiled for three instruction sets, chosen at import) and ``crc32c.h``. ``codecs.py`` is the public
side; the format is docs/format/page.md.

Threads: functions are pure and release the GIL; ``set_isa`` is for tests only.
"""

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cnp.import_array()


cdef extern from "storage/codecs.h" nogil:
    ctypedef struct zj_scratch:
        int64_t *values

    ctypedef struct zj_decode_scratch:
        pass

    ctypedef struct zj_page:
        int codec
        size_t bytes
        int64_t low
        int64_t high

    ctypedef struct zj_entry:
        pass

    enum:
        ZJ_PAGE_ROWS
        ZJ_PAGE_BYTES_MAX
        ZJ_FLOAT_BITS
        ZJ_U8
        ZJ_U16
        ZJ_U32
        ZJ_I64
        ZJ_F64

    int zj_crc_use_hardware
    const double *zj_scales
    void zj_codecs_init() noexcept
    int zj_set_isa(int level) noexcept
    int zj_crc_supported() noexcept
    uint32_t zj_crc32c(uint32_t crc, const uint8_t *p, size_t n) noexcept
    void zj_load(zj_scratch *s, int type, const void *values, size_t n) noexcept
    int zj_load_floats(zj_scratch *s, const double *values, size_t n) noexcept
    zj_page zj_encode_page(zj_scratch *s, size_t n, int try_delta, uint8_t *out) noexcept
    int zj_decode_pages(
        const uint8_t *data, size_t size, const zj_entry *pages, size_t first, size_t last,
        int type, void *out, size_t rows, uint8_t *verified, zj_decode_scratch *s, size_t *at,
        size_t *raw,
    ) noexcept


cdef extern from "storage/part.h" nogil:
    int ZJ_PART_NO_MEMORY
    int zj_decode_part(
        const uint8_t *data, size_t size, const zj_entry *entry, size_t start, size_t stop, int type, int64_t *out,
        uint8_t *verified, int *raw,
    ) noexcept


zj_codecs_init()

STATUS = ("ok", "bad directory entry", "checksum mismatch", "malformed page",
          "values do not fit the type", "wrong number of rows")

_TYPES = {"|u1": ZJ_U8, "<u2": ZJ_U16, "<u4": ZJ_U32, "<i8": ZJ_I64, "<f8": ZJ_F64}


cdef enum:
    BRIEF_BYTES = 1 << 18  # in some 20 µs: not worth leaving the interpreter's lock (briefly.h)


cdef int _type_of(values, str name) except -1:
    """Type number of a contiguous one-dimensional array."""
    if not isinstance(values, np.ndarray):
        raise TypeError(f"{name} must be a numpy array")
    kind = _TYPES.get(values.dtype.str)
    if kind is None:
        raise TypeError(f"{name} must be uint8, uint16, uint32, int64 or float64, not {values.dtype}")
    if values.ndim != 1 or not values.flags.c_contiguous or not values.flags.aligned:
        raise ValueError(f"{name} must be contiguous, aligned and one-dimensional")
    return kind


def set_isa(int level=2, *, int hardware_crc=1):
    global zj_crc_use_hardware
    zj_crc_use_hardware = hardware_crc and zj_crc_supported()
    return zj_set_isa(level)


def crc32c(const uint8_t[::1] data not None, uint32_t value=0):
    cdef uint32_t crc = value
    cdef size_t n = <size_t>data.shape[0]
    if n == 0:
        return value
    if n <= BRIEF_BYTES:
        return zj_crc32c(crc, &data[0], n)
    with nogil:
        crc = zj_crc32c(crc, &data[0], n)
    return crc


@cython.final
cdef class PageEncoder:
    cdef zj_scratch *scratch
    cdef uint8_t *out

    def __cinit__(self):
        self.scratch = <zj_scratch *>malloc(sizeof(zj_scratch))
        self.out = <uint8_t *>malloc(ZJ_PAGE_BYTES_MAX)
        if self.scratch == NULL or self.out == NULL:
            raise MemoryError("no memory for a page")

    def __dealloc__(self):
        free(self.scratch)
        free(self.out)

    def encode(self, values, bint ascending=False):
        cdef int kind = _type_of(values, "values")
        cdef size_t n = <size_t>values.shape[0]
        cdef const void *source = cnp.PyArray_DATA(values)
        cdef zj_page page
        cdef int param = 0
        cdef double low = 0
        cdef double high = 0
        if not 1 <= n <= ZJ_PAGE_ROWS:
            raise ValueError(f"a page holds 1 to {ZJ_PAGE_ROWS} values, not {n}")
        with nogil:
            if kind == ZJ_F64:
                param = zj_load_floats(self.scratch, <const double *>source, n)
            else:
                zj_load(self.scratch, kind, source, n)
            page = zj_encode_page(self.scratch, n, ascending, self.out)
        data = PyBytes_FromStringAndSize(<const char *>self.out, <Py_ssize_t>page.bytes)
        if kind != ZJ_F64:
            return page.codec, 0, data, page.low, page.high
        if param == ZJ_FLOAT_BITS:
            return page.codec, param, data, None, None
        low = <double>page.low / zj_scales[param]
        high = <double>page.high / zj_scales[param]
        memcpy(&page.low, &low, 8)
        memcpy(&page.high, &high, 8)
        return page.codec, param, data, page.low, page.high


def decode_pages(
    const uint8_t[::1] data not None,
    pages,
    out,
    size_t first,
    size_t last,
    uint8_t[::1] verify=None,
):
    cdef int kind = _type_of(out, "out")
    cdef size_t at = 0
    cdef size_t raw = 0
    cdef size_t rows = <size_t>out.shape[0]
    cdef size_t size = <size_t>data.shape[0]
    cdef const uint8_t *source = &data[0] if size else NULL
    cdef uint8_t *verified = NULL
    cdef const zj_entry *entries
    cdef void *target = cnp.PyArray_DATA(out)
    cdef zj_decode_scratch *scratch
    cdef int status
    if not isinstance(pages, np.ndarray) or pages.dtype.itemsize != sizeof(zj_entry):
        raise TypeError("pages must be an array of PAGE_DTYPE")
    if pages.ndim != 1 or not pages.flags.c_contiguous:
        raise ValueError("pages must be contiguous and one-dimensional")
    if not first <= last <= <size_t>pages.shape[0]:
        raise ValueError(f"pages {first} to {last} of {pages.shape[0]}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable")
    if verify is not None:
        if verify.shape[0] != pages.shape[0]:
            raise ValueError("verify must have one flag a page")
        if verify.shape[0]:
            verified = &verify[0]
    entries = <const zj_entry *>cnp.PyArray_DATA(pages)
    scratch = <zj_decode_scratch *>malloc(sizeof(zj_decode_scratch))
    if scratch == NULL:
        raise MemoryError("no memory to decode a page")
    with nogil:
        status = zj_decode_pages(
            source, size, entries, first, last, kind, target, rows, verified, scratch, &at, &raw
        )
        free(scratch)
    return status, at, raw


def decode_part(
    const uint8_t[::1] data not None,
    pages,
    size_t page,
    size_t start,
    size_t stop,
    dtype,
    uint8_t[::1] verify=None,
):
    cdef int raw = 0
    cdef size_t size = <size_t>data.shape[0]
    cdef uint8_t *verified = NULL
    cdef const zj_entry *entries
    cdef int status
    if not isinstance(pages, np.ndarray) or pages.dtype.itemsize != sizeof(zj_entry):
        raise TypeError("pages must be an array of PAGE_DTYPE")
    if pages.ndim != 1 or not pages.flags.c_contiguous:
        raise ValueError("pages must be contiguous and one-dimensional")
    if page >= <size_t>pages.shape[0]:
        raise ValueError(f"page {page} of {pages.shape[0]}")
    if not start <= stop <= ZJ_PAGE_ROWS:
        raise ValueError(f"rows {start} to {stop} of a page")
    if verify is not None:
        if verify.shape[0] != pages.shape[0]:
            raise ValueError("verify must have one flag a page")
        verified = &verify[page]
    kind = np.dtype(dtype)
    out = np.empty(stop - start, np.float64 if kind == np.float64 else np.int64)
    cdef int type = _TYPES.get(kind.str, -1)
    if type < 0:
        raise TypeError(f"dtype must be uint8, uint16, uint32, int64 or float64, not {kind}")
    cdef int64_t *target = <int64_t *>cnp.PyArray_DATA(out)
    entries = <const zj_entry *>cnp.PyArray_DATA(pages) + page
    with nogil:
        status = zj_decode_part(&data[0] if size else NULL, size, entries, start, stop, type, target, verified, &raw)
    if status == ZJ_PART_NO_MEMORY:
        raise MemoryError("no memory to decode a page")
    return status, None if raw or status else out.astype(kind, copy=False)
