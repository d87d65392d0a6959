/* Reading msgpack: one value at a time, and skipping one whole value with its contents bounded.
 *
 * Both functions check every length against `end` before they read, so any bytes are safe input,
 * also bytes that change while they are read. Neither allocates, recurses or keeps state.
 * Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
#ifndef ZUJI_BATCH_MSGPACK_H
#define ZUJI_BATCH_MSGPACK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MP_NIL, MP_BOOL, MP_INT, MP_BIG_UINT, MP_FLOAT, MP_STR, MP_BIN, MP_ARRAY, MP_MAP, MP_EXT,
       MP_HUGE /* JSON: an integer of more than 64 bits; its digits are in `bytes` */ };
enum { MP_OK, MP_TRUNCATED, MP_MALFORMED, MP_TOO_MANY };

typedef struct {
    uint8_t type;
    uint8_t text;         /* JSON, STR: JS_ASCII, JS_MADE */
    int8_t ext;           /* MP_EXT: its type */
    uint32_t size;        /* bytes of STR, BIN, EXT; members of ARRAY; pairs of MAP */
    int64_t integer;      /* BOOL, INT; BIG_UINT (> 2^63 - 1): the same bits */
    double number;        /* FLOAT */
    const uint8_t *bytes; /* STR, BIN, EXT */
} mp_value;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define MP_ENDIAN(bits, v) (v)
#else
#define MP_ENDIAN(bits, v) __builtin_bswap##bits(v)
#endif

static inline uint16_t mp_u16(const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return MP_ENDIAN(16, v);
}
static inline uint32_t mp_u32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return MP_ENDIAN(32, v);
}
static inline uint64_t mp_u64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return MP_ENDIAN(64, v);
}

/* Reads the value at *at: a scalar whole, of a container only the head. Moves *at past what was
 * read. Returns MP_OK, MP_TRUNCATED or MP_MALFORMED; on an error *at is unchanged. */
static inline int mp_read(const uint8_t **at, const uint8_t *end, mp_value *v) {
    const uint8_t *p = *at;
    if (p >= end) return MP_TRUNCATED;
    size_t left = (size_t)(end - p) - 1;
    uint8_t tag = *p++;
    uint32_t width;
#define MP_NEED(n) \
    do {           \
        if (left < (size_t)(n)) return MP_TRUNCATED; \
    } while (0)
    if (tag < 0x80) {
        v->type = MP_INT;
        v->integer = tag;
        *at = p;
        return MP_OK;
    }
    if ((tag & 0xe0) == 0xa0) {
        v->size = tag & 31;
        MP_NEED(v->size);
        v->type = MP_STR;
        v->bytes = p;
        *at = p + v->size;
        return MP_OK;
    }
    if (tag >= 0xe0) {
        v->type = MP_INT;
        v->integer = (int8_t)tag;
        *at = p;
        return MP_OK;
    }
    if (tag < 0x90) {
        v->type = MP_MAP;
        v->size = tag & 15;
        *at = p;
        return MP_OK;
    }
    if (tag < 0xa0) {
        v->type = MP_ARRAY;
        v->size = tag & 15;
        *at = p;
        return MP_OK;
    }
    switch (tag) {
        case 0xc0:
            v->type = MP_NIL;
            *at = p;
            return MP_OK;
        case 0xc2:
        case 0xc3:
            v->type = MP_BOOL;
            v->integer = tag & 1;
            *at = p;
            return MP_OK;
        case 0xca: {
            MP_NEED(4);
            uint32_t bits = mp_u32(p);
            float f;
            memcpy(&f, &bits, 4);
            v->type = MP_FLOAT;
            v->number = f;
            *at = p + 4;
            return MP_OK;
        }
        case 0xcb: {
            MP_NEED(8);
            uint64_t bits = mp_u64(p);
            memcpy(&v->number, &bits, 8);
            v->type = MP_FLOAT;
            *at = p + 8;
            return MP_OK;
        }
        case 0xcc:
        case 0xd0:
            MP_NEED(1);
            v->type = MP_INT;
            v->integer = tag == 0xcc ? (int64_t)p[0] : (int64_t)(int8_t)p[0];
            *at = p + 1;
            return MP_OK;
        case 0xcd:
        case 0xd1:
            MP_NEED(2);
            v->type = MP_INT;
            v->integer = tag == 0xcd ? (int64_t)mp_u16(p) : (int64_t)(int16_t)mp_u16(p);
            *at = p + 2;
            return MP_OK;
        case 0xce:
        case 0xd2:
            MP_NEED(4);
            v->type = MP_INT;
            v->integer = tag == 0xce ? (int64_t)mp_u32(p) : (int64_t)(int32_t)mp_u32(p);
            *at = p + 4;
            return MP_OK;
        case 0xcf:
        case 0xd3:
            MP_NEED(8);
            v->integer = (int64_t)mp_u64(p);
            v->type = tag == 0xcf && v->integer < 0 ? MP_BIG_UINT : MP_INT;
            *at = p + 8;
            return MP_OK;
        case 0xc4:
        case 0xd9:
            MP_NEED(1);
            v->size = p[0];
            width = 1;
            v->type = tag == 0xc4 ? MP_BIN : MP_STR;
            break;
        case 0xc5:
        case 0xda:
            MP_NEED(2);
            v->size = mp_u16(p);
            width = 2;
            v->type = tag == 0xc5 ? MP_BIN : MP_STR;
            break;
        case 0xc6:
        case 0xdb:
            MP_NEED(4);
            v->size = mp_u32(p);
            width = 4;
            v->type = tag == 0xc6 ? MP_BIN : MP_STR;
            break;
        case 0xdc:
        case 0xde:
            MP_NEED(2);
            v->size = mp_u16(p);
            v->type = tag == 0xdc ? MP_ARRAY : MP_MAP;
            *at = p + 2;
            return MP_OK;
        case 0xdd:
        case 0xdf:
            MP_NEED(4);
            v->size = mp_u32(p);
            v->type = tag == 0xdd ? MP_ARRAY : MP_MAP;
            *at = p + 4;
            return MP_OK;
        case 0xc7:
        case 0xc8:
        case 0xc9:
            width = tag == 0xc7 ? 1 : tag == 0xc8 ? 2 : 4;
            MP_NEED(width + 1);
            v->size = width == 1 ? p[0] : width == 2 ? mp_u16(p) : mp_u32(p);
            v->ext = (int8_t)p[width];
            width++;
            v->type = MP_EXT;
            break;
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xd7:
        case 0xd8:
            MP_NEED(1);
            v->size = 1u << (tag - 0xd4);
            v->ext = (int8_t)p[0];
            width = 1;
            v->type = MP_EXT;
            break;
        default: /* 0xc1 is never used */
            return MP_MALFORMED;
    }
    MP_NEED((uint64_t)width + v->size);
    v->bytes = p + width;
    *at = p + width + v->size;
    return MP_OK;
#undef MP_NEED
}

#define MP_DEPTH 16

/* Skips the value at *at with all that it contains. *items grows by the number of values seen,
 * keys and containers included; past max_items the answer is MP_TOO_MANY. *deep becomes 1 when
 * containers nest deeper than max_depth (the value itself, if a container, is level 1); deeper
 * levels are skipped by counting, so depth costs nothing. REQUIRES: max_depth <= MP_DEPTH. */
static inline int mp_skip(const uint8_t **at, const uint8_t *end, uint64_t *items,
                          uint64_t max_items, uint32_t max_depth, int *deep) {
    uint64_t need = 1; /* values still to come */
    uint64_t closes[MP_DEPTH]; /* values that come after each open container */
    uint32_t depth = 0;
    uint64_t seen = *items;
    const uint8_t *p = *at;
    int failed = MP_OK;
    while (need) {
        if (p >= end) {
            failed = MP_TRUNCATED;
            break;
        }
        uint8_t tag = *p;
        need--;
        seen++;
        if (tag < 0x80 || tag >= 0xe0) {
            p++;
        } else if ((tag & 0xe0) == 0xa0) {
            if ((size_t)(end - p) <= (tag & 31u)) {
                failed = MP_TRUNCATED;
                break;
            }
            p += 1 + (tag & 31);
        } else {
            mp_value v;
            failed = mp_read(&p, end, &v);
            if (failed) break;
            if (v.type == MP_ARRAY || v.type == MP_MAP) {
                uint64_t members = v.type == MP_MAP ? 2ULL * v.size : v.size;
                while (depth && closes[depth - 1] > need) depth--;
                if (depth < max_depth) {
                    closes[depth++] = need;
                } else {
                    *deep = 1;
                }
                need += members;
                if (need > (uint64_t)(end - p)) {
                    /* every value takes a byte: the rest cannot be there */
                    failed = MP_TRUNCATED;
                    break;
                }
            }
        }
        if (seen > max_items) {
            failed = MP_TOO_MANY;
            break;
        }
    }
    *items = seen;
    *at = p;
    return failed;
}

#endif
