# cython: auto_pickle=False, autotestdict=False
"""Columns to native events in msgpack, row by row.

A column is plain arrays by now (``columnar.py`` checked them), so this is one pass that writes. The
caller says how many bytes there may be at most; writing past that is a programmer's error and
raises before it happens.
"""

import numpy as np

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cdef enum:
    INT = 0
    UINT = 1
    FLOAT = 2
    BOOL = 3
    INSTANT = 4
    TEXT = 5
    LIST = 6

cdef struct Column:
    int kind
    const char *key
    size_t key_bytes
    const uint8_t *valid  # NULL: all
    const int64_t *ints
    const double *floats
    const uint8_t *bytes
    const int64_t *start  # of texts
    const int64_t *lists  # of lists, in texts


cdef inline uint8_t *_word(uint8_t *at, uint8_t mark, uint64_t value) noexcept nogil:
    cdef int i
    at[0] = mark
    for i in range(8):
        at[1 + i] = <uint8_t>(value >> (56 - 8 * i))
    return at + 9


cdef inline uint8_t *_text(uint8_t *at, const uint8_t *text, size_t size) noexcept nogil:
    if size < 32:
        at[0] = 0xA0 | <uint8_t>size
        at += 1
    else:
        at[0] = 0xDB
        at[1], at[2], at[3], at[4] = size >> 24 & 255, size >> 16 & 255, size >> 8 & 255, size & 255
        at += 5
    memcpy(at, text, size)
    return at + size


cdef uint8_t *_cell(uint8_t *at, const Column *c, int64_t row, int64_t *items) noexcept nogil:
    cdef uint64_t word
    cdef int64_t value, i, first, end
    memcpy(at, c.key, c.key_bytes)
    at += c.key_bytes
    items[0] += 2
    if c.kind == TEXT:
        return _text(at, c.bytes + c.start[row], c.start[row + 1] - c.start[row])
    if c.kind == INT:
        value = c.ints[row]
        if 0 <= value < 128:
            at[0] = <uint8_t>value
            return at + 1
        return _word(at, 0xD3, <uint64_t>value)
    if c.kind == UINT:
        return _word(at, 0xCF, <uint64_t>c.ints[row])
    if c.kind == FLOAT:
        memcpy(&word, &c.floats[row], 8)
        return _word(at, 0xCB, word)
    if c.kind == BOOL:
        at[0] = 0xC3 if c.bytes[row] else 0xC2
        return at + 1
    if c.kind == INSTANT:  # timestamp 96: nanoseconds, then seconds
        value = c.ints[row] // 1000
        if value * 1000 > c.ints[row]:
            value -= 1
        i = (c.ints[row] - value * 1000) * 1_000_000
        at[0], at[1], at[2] = 0xC7, 12, 0xFF
        at[3], at[4], at[5] = i >> 24 & 255, i >> 16 & 255, i >> 8 & 255
        _word(at + 6, i & 255, <uint64_t>value)
        return at + 15
    first, end = c.lists[row], c.lists[row + 1]
    at[0] = 0xDD
    at[1], at[2], at[3], at[4] = (
        (end - first) >> 24 & 255, (end - first) >> 16 & 255, (end - first) >> 8 & 255, (end - first) & 255
    )
    at += 5
    items[0] += end - first
    for i in range(first, end):
        at = _text(at, c.bytes + c.start[i], c.start[i + 1] - c.start[i])
    return at


cdef int64_t _size(const Column *c, int64_t row) noexcept nogil:
    if c.kind == TEXT:
        return c.key_bytes + 5 + c.start[row + 1] - c.start[row]
    if c.kind == LIST:
        return c.key_bytes + 5 + 5 * (c.lists[row + 1] - c.lists[row]) + (
            c.start[c.lists[row + 1]] - c.start[c.lists[row]]
        )
    return c.key_bytes + 15


cdef bint _there(const Column *c, int64_t row) noexcept nogil:
    return c.valid == NULL or c.valid[row] != 0


cdef void _write(
    const Column *columns, int own, int count, int64_t rows, uint8_t *out, int64_t *ends, int64_t *items
) noexcept nogil:
    cdef int64_t row
    cdef int i, there
    cdef uint8_t *at = out
    for row in range(rows):
        items[row] = 1
        there = 1 if count > own else 0
        for i in range(own):
            there += _there(&columns[i], row)
        at[0] = 0x80 | <uint8_t>there  # at most 8
        at += 1
        for i in range(own):
            if _there(&columns[i], row):
                at = _cell(at, &columns[i], row, &items[row])
        if count > own:
            memcpy(at, b"\xaaproperties\xde", 12)
            there = 0
            for i in range(own, count):
                there += _there(&columns[i], row)
            at[12], at[13] = there >> 8 & 255, there & 255
            at += 14
            items[row] += 2
            for i in range(own, count):
                if _there(&columns[i], row):
                    at = _cell(at, &columns[i], row, &items[row])
        ends[row] = at - out


cdef int64_t _bound(const Column *columns, int count, int64_t rows, int64_t most) noexcept nogil:
    """Bytes that rows take at most; stops past ``most``."""
    cdef int64_t total = rows * 15, row
    cdef int i
    for i in range(count):
        for row in range(rows):
            if _there(&columns[i], row):
                total += _size(&columns[i], row)
        if total > most:
            break
    return total


def pack_rows(Py_ssize_t rows, list own not None, list properties not None, int64_t most):
    cdef list given = own + properties
    cdef int count = len(given), fields = len(own), i
    cdef Column *columns = <Column *>calloc(count + 1, sizeof(Column))
    cdef const int64_t[::1] ints
    cdef const double[::1] floats
    cdef const uint8_t[::1] raw
    cdef const uint8_t[::1] valid
    cdef const int64_t[::1] start
    cdef const int64_t[::1] lists
    cdef int64_t[::1] ends = np.zeros(rows, np.int64)
    cdef int64_t[::1] items = np.zeros(rows, np.int64)
    cdef uint8_t[::1] out
    cdef int64_t bound
    cdef bytes key
    if columns == NULL:
        raise MemoryError
    try:
        if fields > 8 or rows == 0:
            raise ValueError("rows, and at most 8 fields of an event")
        for i in range(count):
            key, kind, value, validity, starts, list_starts = given[i]
            columns[i].kind = kind
            columns[i].key = PyBytes_AS_STRING(key)
            columns[i].key_bytes = PyBytes_GET_SIZE(key)
            if validity is not None:
                valid = validity
                _check(valid.shape[0] == rows)
                columns[i].valid = &valid[0]
            if kind in (INT, UINT, INSTANT):
                ints = value
                _check(ints.shape[0] == rows)
                columns[i].ints = &ints[0]
            elif kind == FLOAT:
                floats = value
                _check(floats.shape[0] == rows)
                columns[i].floats = &floats[0]
            else:
                raw = value
                columns[i].bytes = &raw[0] if raw.shape[0] else NULL
                if kind == BOOL:
                    _check(raw.shape[0] == rows)
                else:
                    start = starts
                    _check(start.shape[0] > 0 and _rising(start, raw.shape[0]))
                    columns[i].start = &start[0]
                    if kind == LIST:
                        lists = list_starts
                        _check(lists.shape[0] == rows + 1 and _rising(lists, start.shape[0] - 1))
                        columns[i].lists = &lists[0]
                    else:
                        _check(kind == TEXT and start.shape[0] == rows + 1)
        with nogil:
            bound = _bound(columns, count, rows, most)
        if bound > most:
            return None
        out = np.empty(bound, np.uint8)
        with nogil:
            _write(columns, fields, count, rows, &out[0], &ends[0], &items[0])
        return np.asarray(out)[: ends[rows - 1]].tobytes(), np.asarray(ends), np.asarray(items)
    finally:
        free(columns)


cdef bint _rising(const int64_t[::1] start, int64_t end):
    cdef Py_ssize_t i
    if start[0] < 0 or start[start.shape[0] - 1] > end:
        return False
    for i in range(start.shape[0] - 1):
        if start[i] > start[i + 1]:
            return False
    return True


cdef _check(bint fits):
    if not fits:
        raise ValueError("the arrays of a column do not fit each other")
