# cython: auto_pickle=False, autotestdict=False
# Requests that plain.h takes apart, as Python's values.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_SetItem
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport int64_t, uint8_t

cdef extern from "plain.h" nogil:
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
        int fields
        zp_text path
        zp_text query
        zp_text body
        zp_text *names
        zp_text *values
        const uint8_t *after
    const uint8_t *zp_lower
    int zp_read(zp_request *r, const uint8_t *at, const uint8_t *end, const zp_limits *limits)

cdef str GET = "GET"
cdef str POST = "POST"
cdef bytes NOTHING = b""


cdef bytes _bytes(zp_text text):
    return PyBytes_FromStringAndSize(<const char *>text.p, <Py_ssize_t>text.n) if text.n else NOTHING


cdef bytes _name(zp_text text):
    cdef bytes name = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>text.n)
    cdef char *small = PyBytes_AS_STRING(name)
    cdef size_t i
    for i in range(text.n):
        small[i] = <char>zp_lower[text.p[i]]
    return name


def scan(bytes data not None, Py_ssize_t start, int max_target, int max_fields, int max_head, int64_t max_body):
    cdef const uint8_t *base = <const uint8_t *>PyBytes_AS_STRING(data)
    cdef const uint8_t *end = base + PyBytes_GET_SIZE(data)
    cdef zp_limits limits
    cdef zp_request r
    cdef dict headers = {}
    cdef int i
    limits.max_target, limits.max_fields, limits.max_head = max_target, max_fields, max_head
    limits.max_body = max_body
    if start < 0 or start > end - base or not zp_read(&r, base + start, end, &limits):
        return None
    for i in range(r.fields):
        PyDict_SetItem(headers, _name(r.names[i]), _bytes(r.values[i]))
    path = PyUnicode_DecodeLatin1(<const char *>r.path.p, <Py_ssize_t>r.path.n, NULL)
    return (POST if r.is_post else GET), path, _bytes(r.query), headers, _bytes(r.body), r.after - base
