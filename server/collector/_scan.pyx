# cython: auto_pickle=False, autotestdict=False
"""A plain request that lies whole in the bytes of one read, taken apart in one pass.

Nearly all requests of SDKs are so. Whatever is not beyond doubt is left to llhttp and ``guard.py``,
which know why it is wrong: this reader knows right from unsure only. It takes GET and POST of
HTTP/1.1 that keep the connection, one Host, visible ASCII targets without escapes in the path,
every name once, and a body announced by Content-Length alone. A test holds what it takes against
what the other reader makes of the same bytes.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Contains, PyDict_SetItem, PyDict_Size
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp

cdef extern from *:
    """
    /* Where visible ASCII but # ends. 32 bytes at a time, which the compiler makes wide. */
    static const uint8_t *zs_target_end(const uint8_t *at, const uint8_t *end) {
        while (end - at >= 32) {
            uint8_t bad = 0;
            for (int i = 0; i < 32; i++) bad |= (uint8_t)(at[i] - 0x21) > 0x5D || at[i] == '#';
            if (bad) break;
            at += 32;
        }
        while (at < end && (uint8_t)(*at - 0x21) <= 0x5D && *at != '#') at++;
        return at;
    }
    """
    const uint8_t *zs_target_end(const uint8_t *at, const uint8_t *end) noexcept nogil

cdef enum:
    TOKEN = 1  # part of a header's name, RFC 9110 §5.6.2
    VALUE = 2  # part of a header's value
    HOST = 4  # what a host may have here

cdef uint8_t[256] KINDS
cdef uint8_t[256] LOWER

cdef void _fill() noexcept:
    cdef int c
    for c in range(256):
        KINDS[c] = 0
        LOWER[c] = c + 32 if 65 <= c <= 90 else c
        if 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or (c and c < 128 and chr(c) in "!#$%&'*+-.^_`|~"):
            KINDS[c] |= TOKEN
        if 0x20 <= c < 0x7F or c == 9:
            KINDS[c] |= VALUE
        if 0x20 < c < 0x7F and c not in (35, 44, 47, 63, 64, 92):
            KINDS[c] |= HOST

_fill()

cdef bytes HOST_NAME = b"host"
cdef bytes LENGTH_NAME = b"content-length"
cdef object UNSURE = frozenset(
    (b"transfer-encoding", b"upgrade", b"expect", b"proxy-connection", b"te", b"trailer", b"http2-settings")
)
cdef str GET = "GET"
cdef str POST = "POST"
cdef bytes NOTHING = b""


def scan(bytes data not None, Py_ssize_t start, int max_target, int max_fields, int max_head, long max_body):
    cdef const char *base = PyBytes_AS_STRING(data)
    cdef const uint8_t *at = <const uint8_t *>base + start
    cdef const uint8_t *end = <const uint8_t *>base + PyBytes_GET_SIZE(data)
    cdef const uint8_t *target
    cdef const uint8_t *mark
    cdef const uint8_t *name
    cdef const uint8_t *value
    cdef const uint8_t *stop
    cdef const uint8_t *line
    cdef Py_ssize_t size, i
    cdef long length = 0
    cdef bint announced = False, is_post
    cdef int head = 0
    cdef bytes key, held
    cdef char *small
    cdef dict fields

    if start < 0 or end - at < 18:
        return None
    if memcmp(at, b"GET /", 5) == 0:
        is_post, target = False, at + 4
    elif memcmp(at, b"POST /", 6) == 0:
        is_post, target = True, at + 5
    else:
        return None
    at = zs_target_end(target, end)
    size = at - target
    mark = <const uint8_t *>memchr(target, 63, size)  # ?
    if memchr(target, 37, size if mark == NULL else mark - target) != NULL:  # %
        return None
    if size > max_target or end - at < 11 or memcmp(at, b" HTTP/1.1\r\n", 11) != 0:
        return None
    stop = at
    line = at + 11
    fields = {}
    while True:
        if end - line < 2:
            return None
        if line[0] == 13:
            if line[1] != 10:
                return None
            at = line + 2
            break
        name = at = line
        while at < end and KINDS[at[0]] & TOKEN:
            at += 1
        size = at - name
        if size == 0 or at >= end or at[0] != 58:  # :
            return None
        at += 1
        value = at
        while at < end and KINDS[at[0]] & VALUE:
            at += 1
        if end - at < 2 or at[0] != 13 or at[1] != 10:
            return None
        line = at + 2
        head += <int>(at - name) + 3
        key = PyBytes_FromStringAndSize(NULL, size)
        small = PyBytes_AS_STRING(key)
        for i in range(size):
            small[i] = <char>LOWER[name[i]]
        while value < at and (value[0] == 32 or value[0] == 9):
            value += 1
        while at > value and ((at - 1)[0] == 32 or (at - 1)[0] == 9):
            at -= 1
        if PyDict_Contains(fields, key) or key in UNSURE:
            return None
        held = PyBytes_FromStringAndSize(<const char *>value, at - value)
        PyDict_SetItem(fields, key, held)
        if size == 14 and key == LENGTH_NAME:
            if not 0 < at - value <= 12:
                return None
            announced = True
            while value < at:
                if not 48 <= value[0] <= 57:
                    return None
                length = length * 10 + (value[0] - 48)
                value += 1
            if length > max_body:
                return None
        elif size == 4 and key == HOST_NAME:
            if value == at:
                return None
            while value < at:
                if not KINDS[value[0]] & HOST:
                    return None
                value += 1
        elif size == 10 and key == b"connection" and held.lower() != b"keep-alive":
            return None
        if PyDict_Size(fields) > max_fields or head > max_head:
            return None
    if not PyDict_Contains(fields, HOST_NAME) or (is_post and not announced) or end - at < length:
        return None
    if mark == NULL:
        path = PyUnicode_DecodeLatin1(<const char *>target, stop - target, NULL)
        query = NOTHING
    else:
        path = PyUnicode_DecodeLatin1(<const char *>target, mark - target, NULL)
        query = PyBytes_FromStringAndSize(<const char *>mark + 1, stop - mark - 1)
    body = PyBytes_FromStringAndSize(<const char *>at, length) if length else NOTHING
    return (POST if is_post else GET), path, query, fields, body, <const char *>at + length - base
