/* What reads events: a place for the open one, limits, and steps through either form.
 *
 * `json` is a constant in every call, so each form gets its own compiled code; fast paths take and
 * give places by value, so that they stay in registers.
 * REQUIRES everywhere: the bytes do not change during a call (if they do, values may be wrong, but no
 * read leaves [p, room)). One zj_reader belongs to one thread.
 */
#ifndef ZUJI_BATCH_READER_H
#define ZUJI_BATCH_READER_H

#include "batch/json.h"
#include "batch/keep.h"
#include "batch/times.h"

#define ZJ_ALWAYS static inline __attribute__((always_inline))
#define ZJ_NEVER static __attribute__((noinline))

typedef struct {
    zj_limits limits;
    zj_keeper keep;
    js_reader json;
    const uint8_t *data; /* the first byte */
    const uint8_t *room; /* the end of what can be read */
    const uint8_t *safe; /* from here back 64 bytes can be read; NULL: nowhere */
    uint32_t *seen; /* set of the names of this event: stamp << 16 | cell */
    uint32_t seen_mask, stamp;
    zj_reject reject; /* why the last event failed */
    int failed;       /* with a NULL for the next place: the reason, or ZJ_NO_MEMORY */
} zj_reader;

static inline void zj_reader_free(zj_reader *r) {
    zj_keeper_free(&r->keep);
    free(r->seen);
    free(r->json.made);
    memset(r, 0, sizeof *r);
}

/* Ready for a batch. 0, or -1 without memory. REQUIRES: *r is zero or was used before;
 * limits->properties < 2^15, limits->depth <= MP_DEPTH. */
static inline int zj_reader_begin(zj_reader *r, const zj_limits *limits, const uint8_t *data,
                                  size_t n, zj_table names, zj_table strings) {
    if (!r->seen || r->limits.properties != limits->properties) {
        uint32_t room = 16;
        while (room < 2 * limits->properties) room *= 2;
        free(r->seen);
        r->seen = (uint32_t *)calloc(room, sizeof(uint32_t));
        if (!r->seen) return -1;
        r->seen_mask = room - 1;
        r->stamp = 0;
    }
    r->limits = *limits;
    r->data = data;
    r->room = r->json.room = data + n;
    r->safe = n >= 64 ? data + n - 64 : NULL;
    r->json.made_room = n;
    return zj_keeper_begin(&r->keep, names, strings, limits->properties, limits->id_bytes);
}

/* A key of the open row stands at p. REQUIRES: room for the mark. */
ZJ_ALWAYS void zj_mark(zj_reader *r, const uint8_t *p) {
    r->keep.out.mark[r->keep.out.marks + r->keep.row.marks++] = (uint32_t)(p - r->data);
}

static int zj_fail_at(zj_reader *r, uint8_t reason, uint8_t field, zj_text key, int32_t item) {
    r->reject.reason = reason;
    r->reject.field = field;
    r->reject.key = key;
    r->reject.item = item;
    return reason;
}

static int zj_fail(zj_reader *r, uint8_t reason, uint8_t field) {
    return zj_fail_at(r, reason, field, (zj_text){NULL, 0}, -1);
}

/* memcmp == 0 for the few bytes of a name, without a call. */
static inline int zj_equal(const uint8_t *p, const uint8_t *q, uint32_t n) {
    uint64_t a, b, c, d;
    if (n >= 8) {
        if (n > 16) return memcmp(p, q, n) == 0;
        memcpy(&a, p, 8);
        memcpy(&b, q, 8);
        memcpy(&c, p + n - 8, 8);
        memcpy(&d, q + n - 8, 8);
        return ((a ^ b) | (c ^ d)) == 0;
    }
    if (n >= 4) {
        uint32_t e, f, g, h;
        memcpy(&e, p, 4);
        memcpy(&f, q, 4);
        memcpy(&g, p + n - 4, 4);
        memcpy(&h, q + n - 4, 4);
        return ((e ^ f) | (g ^ h)) == 0;
    }
    return n == 0 || (p[0] == q[0] && p[n / 2] == q[n / 2] && p[n - 1] == q[n - 1]);
}

static inline int zj_same(zj_text a, const uint8_t *p, uint32_t n) {
    return a.n == n && a.p != NULL && zj_equal(a.p, p, n);
}

#define ZJ_IS(v, literal) \
    ((v).size == sizeof(literal) - 1 && memcmp((v).bytes, literal, sizeof(literal) - 1) == 0)

/* Names that a query reads as columns of the event itself. */
static inline int zj_reserved(const mp_value *v) {
    return v->bytes[0] == '$' && (ZJ_IS(*v, "$name") || ZJ_IS(*v, "$time") ||
                                  ZJ_IS(*v, "$received") || ZJ_IS(*v, "$device_id"));
}

ZJ_NEVER int zj_check_name(const zj_reader *r, const mp_value *v) {
    if (v->type != MP_STR || v->size == 0 || v->size > r->limits.name_bytes) return ZJ_BAD_NAME;
    if (!zj_utf8_ok(v->bytes, v->size)) return ZJ_BAD_UTF8;
    for (uint32_t i = 0; i < v->size; i++)
        if (v->bytes[i] < 0x20 || v->bytes[i] == 0x7f) return ZJ_BAD_NAME;
    return ZJ_ACCEPTED;
}

static inline int zj_read_time(const mp_value *v, int64_t *ms) {
    switch (v->type) {
        case MP_INT:
            *ms = v->integer;
            return ZJ_TIME_OK;
        case MP_BIG_UINT:
        case MP_HUGE:
            return ZJ_TIME_RANGE;
        case MP_FLOAT:
            return zj_time_float(v->number, ms);
        case MP_STR:
            return zj_time_text(v->bytes, v->size, ms);
        case MP_EXT:
            return v->ext == -1 ? zj_time_ext(v->bytes, v->size, ms) : ZJ_TIME_BAD;
        default:
            return ZJ_TIME_BAD;
    }
}

/* 1 when keys[at] is already in the set; else it is put there. */
static int zj_seen_before(zj_reader *r, const zj_text *keys, uint32_t at) {
    zj_text name = keys[at];
    uint32_t h = name.n * 0x9E3779B1u;
    for (uint32_t i = 0; i < name.n; i++) h = (h ^ name.p[i]) * 0x01000193u;
    for (h ^= h >> 15;; h++) {
        uint32_t slot = r->seen[h & r->seen_mask];
        if (slot >> 16 != r->stamp) {
            r->seen[h & r->seen_mask] = r->stamp << 16 | at;
            return 0;
        }
        if (zj_same(keys[slot & 0xffff], name.p, name.n)) return 1;
    }
}

static void zj_forget_seen(zj_reader *r) {
    if (++r->stamp > 0xffff) {
        memset(r->seen, 0, ((size_t)r->seen_mask + 1) * sizeof *r->seen);
        r->stamp = 1;
    }
}

/* The value at *at; white space before it is skipped. */
ZJ_ALWAYS int zj_read(zj_reader *r, const uint8_t **at, const uint8_t *end, mp_value *v,
                      const int json) {
    if (json) return js_read(&r->json, at, end, v, r->room);
    return mp_read(at, end, v);
}

/* Can n bytes at the text of v be read? */
ZJ_ALWAYS int zj_wide(const zj_reader *r, const mp_value *v, size_t n, const int json) {
    return (json && v->text & JS_MADE) || (size_t)(r->room - v->bytes) >= n;
}

/* The members of a container, one after the other. */
typedef struct {
    uint32_t left;  /* msgpack */
    uint32_t first; /* JSON */
} zj_walk;

ZJ_ALWAYS zj_walk zj_walk_of(const mp_value *v) {
    return (zj_walk){v->size, 1};
}

/* 1: another member is at *at; 0: the container is over; -1: neither. */
ZJ_ALWAYS int zj_next(const uint8_t **at, const uint8_t *end, zj_walk *walk, uint8_t close,
                      const int json) {
    if (json) return js_next(at, end, &walk->first, close);
    return walk->left ? (walk->left--, 1) : 0;
}

/* A key, and the colon after it. */
ZJ_ALWAYS int zj_read_key(zj_reader *r, const uint8_t **at, const uint8_t *end, mp_value *v,
                          const int json) {
    if (!json) return mp_read(at, end, v);
    if (*at >= end || **at != '"') return MP_MALFORMED;
    int failed = js_read(&r->json, at, end, v, r->room);
    return failed ? failed : js_colon(at, end);
}


#define ZJ_LONG UINT32_MAX

/* Length of the short text at p: up to 31 bytes, in JSON without escapes; it starts at p + 1. ZJ_LONG
 * when there is no such text. REQUIRES: p <= r->safe. */
ZJ_ALWAYS uint32_t zj_short_text(const uint8_t *p, int *ascii, const int json) {
    *ascii = 0;
    if (!json) return (*p & 0xe0) == 0xa0 ? *p & 31u : ZJ_LONG;
#ifdef JS_SSE2
    if (*p != '"') return ZJ_LONG;
    uint32_t n = 0, highs = 0;
    for (; n < 32; n += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(p + 1 + n));
        const uint32_t stops = js_stops(x), high = (uint32_t)_mm_movemask_epi8(x);
        if (stops) {
            highs |= high & (stops ^ (stops - 1));
            n += (uint32_t)__builtin_ctz(stops);
            *ascii = highs == 0;
            return p[1 + n] == '"' ? n : ZJ_LONG;
        }
        highs |= high;
    }
#endif
    return ZJ_LONG;
}

/* Past the short text at p. */
ZJ_ALWAYS const uint8_t *zj_after_text(const uint8_t *p, uint32_t n, const int json) {
    return p + 1 + n + json;
}

/* A number of at most 18 digits: ZJ_INT or ZJ_FLOAT and its bits, ZJ_UNSET when it is another or
 * none. Moves *at past it. REQUIRES: *at <= r->safe. */
ZJ_ALWAYS uint8_t zj_short_number(const uint8_t **at, int64_t *bits, const int json) {
    const uint8_t *p = *at;
    if (!json) {
        const uint8_t tag = *p;
        if (tag < 0x80) {
            *bits = tag;
            *at = p + 1;
            return ZJ_INT;
        }
        if (tag == 0xcb) {
            *bits = (int64_t)mp_u64(p + 1);
            *at = p + 9;
            return (~*bits & 0x7ff0000000000000ll) ? ZJ_FLOAT : ZJ_UNSET;
        }
        if (tag == 0xcd || tag == 0xce) {
            *bits = tag == 0xcd ? (int64_t)mp_u16(p + 1) : (int64_t)mp_u32(p + 1);
            *at = p + (tag == 0xcd ? 3 : 5);
            return ZJ_INT;
        }
        if (tag == 0xcf || tag == 0xd3) {
            *bits = (int64_t)mp_u64(p + 1);
            *at = p + 9;
            return tag == 0xcf && *bits < 0 ? ZJ_UNSET : ZJ_INT;
        }
        return ZJ_UNSET;
    }
    const uint8_t *const digits = p;
    uint64_t m = 0;
    js_digits(&p, digits + 20, &m);
    const ptrdiff_t n = p - digits;
    if (n == 0 || n > 18 || (n > 1 && *digits == '0')) return ZJ_UNSET;
    if (*p != '.') {
        *at = p;
        *bits = (int64_t)m;
        return (*p | 0x20) == 'e' ? ZJ_UNSET : ZJ_INT;
    }
    const uint8_t *const fraction = ++p;
    js_digits(&p, fraction + 20, &m);
    const ptrdiff_t places = p - fraction;
    if (places == 0 || n + places > 18 || m > 1ull << 53 || (*p | 0x20) == 'e') return ZJ_UNSET;
    const double number = (double)m / js_powers[places];
    memcpy(bits, &number, 8);
    *at = p;
    return ZJ_FLOAT;
}

#endif
