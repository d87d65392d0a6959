/* Writing msgpack into a buffer that grows: what native transcoders make native events with.
 *
 * REQUIRES: pk_room before every write; a write itself checks nothing. After a failed pk_room nothing
 * may be written. Not thread-safe: one buffer, one thread.
 */
#ifndef ZUJI_PROTOCOLS_PACK_H
#define ZUJI_PROTOCOLS_PACK_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "batch/msgpack.h"

typedef struct {
    uint8_t *start;
    size_t used, room;
} pk_out;

#define PK_TEXT 5  /* the longest head of a text */
#define PK_VALUE 15 /* the longest value that is no text: a timestamp */

/* Room for `more` bytes; -1: no memory. Doubles, so that n bytes cost O(n). */
static inline int pk_room(pk_out *out, size_t more) {
    if (__builtin_expect(out->room - out->used >= more, 1)) return 0;
    size_t room = 2 * out->room + more + 4096;
    uint8_t *moved = (uint8_t *)realloc(out->start, room);
    if (!moved) return -1;
    out->start = moved;
    out->room = room;
    return 0;
}

static inline void pk_byte(pk_out *out, uint8_t byte) { out->start[out->used++] = byte; }

static inline void pk_u16(uint8_t *p, uint16_t v) {
    v = MP_ENDIAN(16, v);
    memcpy(p, &v, 2);
}
static inline void pk_u32(uint8_t *p, uint32_t v) {
    v = MP_ENDIAN(32, v);
    memcpy(p, &v, 4);
}
static inline void pk_u64(uint8_t *p, uint64_t v) {
    v = MP_ENDIAN(64, v);
    memcpy(p, &v, 8);
}

static inline void pk_text_head(pk_out *out, size_t n) {
    uint8_t *p = out->start + out->used;
    if (n < 32) {
        *p = (uint8_t)(0xa0 | n);
        out->used += 1;
    } else if (n < 256) {
        p[0] = 0xd9;
        p[1] = (uint8_t)n;
        out->used += 2;
    } else if (n < 65536) {
        p[0] = 0xda;
        pk_u16(p + 1, (uint16_t)n);
        out->used += 3;
    } else {
        p[0] = 0xdb;
        pk_u32(p + 1, (uint32_t)n);
        out->used += 5;
    }
}

static inline void pk_text(pk_out *out, const uint8_t *p, size_t n) {
    pk_text_head(out, n);
    if (n) memcpy(out->start + out->used, p, n);
    out->used += n;
}

static inline void pk_int(pk_out *out, int64_t v) {
    uint8_t *p = out->start + out->used;
    if (v >= 0 && v < 128) {
        *p = (uint8_t)v;
        out->used += 1;
    } else {
        p[0] = 0xd3;
        pk_u64(p + 1, (uint64_t)v);
        out->used += 9;
    }
}

static inline void pk_float(pk_out *out, double v) {
    uint64_t bits;
    uint8_t *p = out->start + out->used;
    memcpy(&bits, &v, 8);
    p[0] = 0xcb;
    pk_u64(p + 1, bits);
    out->used += 9;
}

static inline void pk_bool(pk_out *out, int v) { pk_byte(out, v ? 0xc3 : 0xc2); }

/* Milliseconds since 1970 as a timestamp. */
static inline void pk_time(pk_out *out, int64_t ms) {
    uint8_t *p = out->start + out->used;
    int64_t seconds = ms / 1000, rest = ms % 1000;
    if (rest < 0) rest += 1000, seconds--;
    const uint64_t nanos = (uint64_t)rest * 1000000u;
    if (seconds >= 0 && seconds < (1ll << 34)) {
        p[0] = 0xd7;
        p[1] = 0xff;
        pk_u64(p + 2, nanos << 34 | (uint64_t)seconds);
        out->used += 10;
    } else {
        p[0] = 0xc7;
        p[1] = 12;
        p[2] = 0xff;
        pk_u32(p + 3, (uint32_t)nanos);
        pk_u64(p + 7, (uint64_t)seconds);
        out->used += 15;
    }
}

/* A list or map of n, of up to 65,535. */
static inline void pk_head(pk_out *out, uint8_t tag /* 0xdc list, 0xde map */, uint32_t n) {
    uint8_t *p = out->start + out->used;
    p[0] = tag;
    pk_u16(p + 1, (uint16_t)n);
    out->used += 3;
}

#endif
