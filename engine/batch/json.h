/* Reading JSON: one value at a time into the same mp_value as msgpack, and skipping one whole value.
 *
 * RFC 8259, strictly, with one addition: NaN, Infinity and -Infinity are read as floats, so that the
 * event that has them can be refused with its reason and the others kept. Text is not checked for
 * UTF-8 here; a lone surrogate becomes three bytes that are not UTF-8. An integer is a number without
 * fraction and exponent; other numbers are rounded to the nearest float64, exactly.
 *
 * Every length is checked against `end` before a read: any bytes are safe input. `room` is the end of
 * what can be read at all (>= end; the byte at `end`, if readable, is a line feed). Nothing recurses.
 * -DZJ_PLAIN leaves out SSE2: same results. strtod_l wants _GNU_SOURCE (Python.h defines it).
 */
#ifndef ZUJI_BATCH_JSON_H
#define ZUJI_BATCH_JSON_H

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif
#if defined(__SSE2__) && !defined(ZJ_PLAIN)
#define JS_SSE2 1
#include <emmintrin.h>
#endif

#include "batch/msgpack.h"

#define JS_LEVELS 256 /* deeper is malformed: nobody means it */

/* mp_value.text */
#define JS_ESCAPED 1 /* (in between) it has escapes */
#define JS_ASCII 2   /* it is ASCII */
#define JS_MADE 4    /* its bytes are in the reader's room for unescaped text, with 32 more after them */

typedef struct {
    const uint8_t *room;
    uint8_t *made;      /* unescaped text, never moved */
    size_t made_used;
    size_t made_room;   /* to be allocated when needed: no more than the document's bytes */
    int no_memory;
} js_reader;

static locale_t js_c_locale;

__attribute__((constructor)) static void js_init(void) {
    js_c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static inline void js_space(const uint8_t **at, const uint8_t *end) {
    const uint8_t *p = *at;
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) p++;
    *at = p;
}

static inline int js_hex(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at p, or -1. */
static inline int32_t js_hex4(const uint8_t *p) {
    int a = js_hex(p[0]), b = js_hex(p[1]), c = js_hex(p[2]), d = js_hex(p[3]);
    return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

#ifdef JS_SSE2
/* Which of the bytes are a quote, a backslash or a control character, a bit each. */
static inline uint32_t js_stops(__m128i x) {
    const __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    const __m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), control));
}
#endif

/* The first byte of p[0, end) that is a quote, a backslash or a control character, or `end`; bytes
 * from 0x80 on before it set *high. */
static inline const uint8_t *js_run(const uint8_t *p, const uint8_t *end, uint64_t *high) {
#ifdef JS_SSE2
    while (end - p >= 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)p);
        const uint32_t stops = js_stops(x);
        const uint32_t highs = (uint32_t)_mm_movemask_epi8(x);
        if (stops) {
            *high |= highs & (stops ^ (stops - 1));
            return p + __builtin_ctz(stops);
        }
        *high |= highs;
        p += 16;
    }
#else
    while (end - p >= 8) {
        const uint64_t ones = 0x0101010101010101ull, tops = 0x8080808080808080ull;
        uint64_t x;
        memcpy(&x, p, 8);
        const uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
        /* a byte below n: its top bit, where no byte before it borrowed; any hit ends the loop */
        const uint64_t stop = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
                              ((x - ones * 0x20) & ~x);
        if (stop & tops) break;
        *high |= x & tops;
        p += 8;
    }
#endif
    for (; p < end; p++) {
        if (*p == '"' || *p == '\\' || *p < 0x20) break;
        *high |= *p & 0x80;
    }
    return p;
}

/* The closing quote of the string whose content starts at *at. Moves *at there. */
static inline int js_string_end(const uint8_t **at, const uint8_t *end, const uint8_t *room,
                                uint8_t *text) {
    const uint8_t *p = *at;
    uint64_t high = 0;
    *text = 0;
    for (;;) {
        p = js_run(p, room, &high);
        if (p >= end) return MP_TRUNCATED;
        if (*p == '"') break;
        if (*p != '\\') return MP_MALFORMED;
        *text = JS_ESCAPED;
        if (end - p < 2) return MP_TRUNCATED;
        switch (p[1]) {
            case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
                p += 2;
                break;
            case 'u':
                if (end - p < 6) return MP_TRUNCATED;
                if (js_hex4(p + 2) < 0) return MP_MALFORMED;
                p += 6;
                break;
            default:
                return MP_MALFORMED;
        }
    }
    if (!high && !*text) *text = JS_ASCII;
    *at = p;
    return MP_OK;
}

static size_t js_put_utf8(uint8_t *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

/* [p, end), a string content that js_string_end accepted, without its escapes; never longer. */
static size_t js_unescape(uint8_t *out, const uint8_t *p, const uint8_t *end) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    uint8_t *start = out;
    while (p < end) {
        if (*p != '\\') {
            *out++ = *p++;
        } else if (p[1] != 'u') {
            const char *control = strchr(from, p[1]);
            *out++ = control ? (uint8_t)to[control - from] : p[1];
            p += 2;
        } else {
            uint32_t c = (uint32_t)js_hex4(p + 2);
            p += 6;
            if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
                uint32_t low = (uint32_t)js_hex4(p + 2);
                if (low >= 0xdc00 && low < 0xe000) {
                    c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                    p += 6;
                }
            }
            out += js_put_utf8(out, c);
        }
    }
    return (size_t)(out - start);
}

/* The string at *at, after its opening quote. */
static inline int js_string(js_reader *r, const uint8_t **at, const uint8_t *end, mp_value *v) {
    const uint8_t *p = *at;
    int failed = js_string_end(&p, end, r->room, &v->text);
    if (failed) return failed;
    v->type = MP_STR;
    v->bytes = *at;
    v->size = (uint32_t)(p - *at);
    if (v->text & JS_ESCAPED) {
        if (!r->made) {
            r->made = (uint8_t *)malloc(r->made_room + 32);
            if (!r->made) {
                r->no_memory = 1;
                return MP_MALFORMED;
            }
        }
        v->bytes = r->made + r->made_used;
        v->size = (uint32_t)js_unescape(r->made + r->made_used, *at, p);
        v->text = JS_MADE;
        r->made_used += v->size;
    }
    *at = p + 1;
    return MP_OK;
}

static inline int js_is_eight_digits(uint64_t x) {
    return (((x & 0xf0f0f0f0f0f0f0f0ull) |
             (((x + 0x0606060606060606ull) & 0xf0f0f0f0f0f0f0f0ull) >> 4)) == 0x3333333333333333ull);
}

static inline uint32_t js_eight_digits(uint64_t x) {
    x = (x & 0x0f0f0f0f0f0f0f0full) * 2561 >> 8;
    x = (x & 0x00ff00ff00ff00ffull) * 6553601 >> 16;
    return (uint32_t)((x & 0x0000ffff0000ffffull) * 42949672960001ull >> 32);
}

/* Decimal digits at *at into *m (modulo 2^64). */
static inline void js_digits(const uint8_t **at, const uint8_t *end, uint64_t *m) {
    const uint8_t *p = *at;
    uint64_t v = *m;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        if (!js_is_eight_digits(x)) break;
        v = v * 100000000 + js_eight_digits(x);
        p += 8;
    }
#endif
    for (; p < end && (uint32_t)*p - '0' < 10; p++) v = v * 10 + (*p - '0');
    *m = v;
    *at = p;
}

/* The 20th digit of an integer may still fit in 64 bits. */
static int js_whole(const uint8_t *digits, size_t n, uint64_t *m) {
    if (n > 20) return -1;
    *m = 0;
    for (size_t i = 0; i < n; i++)
        if (__builtin_mul_overflow(*m, 10u, m) || __builtin_add_overflow(*m, digits[i] - '0', m))
            return -1;
    return 0;
}

static int js_literal(const uint8_t **at, const uint8_t *end, const char *word, size_t n) {
    size_t left = (size_t)(end - *at);
    if (memcmp(*at, word, left < n ? left : n)) return MP_MALFORMED;
    if (left < n) return MP_TRUNCATED;
    *at += n;
    return MP_OK;
}

/* Exact. */
static const double js_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static inline int js_number(const uint8_t **at, const uint8_t *end, const uint8_t *room, mp_value *v) {
    const uint8_t *p = *at, *const start = p;
    const int negative = *p == '-';
    p += negative;
    const uint8_t *digits = p;
    uint64_t m = 0;
    js_digits(&p, end, &m);
    size_t n = (size_t)(p - digits);
    if (n == 0) {
        if (p >= end) return MP_TRUNCATED;
        if (!negative || *p != 'I') return MP_MALFORMED;
        int failed = js_literal(&p, end, "Infinity", 8);
        if (failed) return failed;
        v->type = MP_FLOAT;
        v->number = -HUGE_VAL;
        *at = p;
        return MP_OK;
    }
    if (n > 1 && *digits == '0') return MP_MALFORMED;
    if (p >= end || (*p != '.' && (*p | 0x20) != 'e')) {
        *at = p;
        v->type = MP_HUGE;
        v->bytes = start;
        v->size = (uint32_t)(p - start);
        if (n > 19 && js_whole(digits, n, &m)) return MP_OK;
        v->integer = (int64_t)(negative ? 0 - m : m);
        if (m <= (uint64_t)INT64_MAX + (uint64_t)negative) v->type = MP_INT;
        else if (!negative) v->type = MP_BIG_UINT;
        return MP_OK;
    }
    int64_t power = 0;
    if (*p == '.') {
        const uint8_t *fraction = ++p;
        js_digits(&p, end, &m);
        if (p == fraction) return p >= end ? MP_TRUNCATED : MP_MALFORMED;
        n += (size_t)(p - fraction);
        power = fraction - p;
    }
    if (p < end && (*p | 0x20) == 'e') {
        int64_t exponent = 0;
        p++;
        const int down = p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+')) p++;
        const uint8_t *first = p;
        for (; p < end && (uint32_t)*p - '0' < 10; p++)
            if (exponent < 100000) exponent = exponent * 10 + (*p - '0');
        if (p == first) return p >= end ? MP_TRUNCATED : MP_MALFORMED;
        power += down ? -exponent : exponent;
    }
    v->type = MP_FLOAT;
    *at = p;
    /* Both operands are exact, so the one rounding is the right one (Clinger 1990). */
    if (n <= 19 && m <= (1ull << 53) && power >= -22 && power <= 22) {
        const double exact = (double)m;
        v->number = power < 0 ? exact / js_powers[-power] : exact * js_powers[power];
        if (negative) v->number = -v->number;
    } else {
        /* strtod stops where this did. A number that nothing follows is in no container: not wanted. */
        v->number = p < room ? strtod_l((const char *)start, NULL, js_c_locale) : 0;
    }
    return MP_OK;
}

/* Reads the value at *at, white space before it included: a scalar whole, of a container only the
 * bracket. `r` NULL: escapes are checked, not replaced. On an error *at is unchanged or moved past
 * white space. */
static inline __attribute__((always_inline)) int js_read(js_reader *r, const uint8_t **at,
                                                         const uint8_t *end, mp_value *v,
                                                         const uint8_t *room) {
    const uint8_t *p = *at;
    if (p < end && *p <= ' ') js_space(&p, end);
    if (p >= end) return MP_TRUNCATED;
    int failed = MP_OK;
    switch (*p) {
        case '"':
            p++;
            if (r) {
                failed = js_string(r, &p, end, v);
            } else {
                failed = js_string_end(&p, end, room, &v->text);
                v->type = MP_STR;
                p++;
            }
            break;
        case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7':
        case '8': case '9':
            failed = js_number(&p, end, r ? r->room : room, v);
            break;
        case '{':
        case '[':
            v->type = *p++ == '{' ? MP_MAP : MP_ARRAY;
            v->size = 0;
            break;
        case 't':
        case 'f':
            v->type = MP_BOOL;
            v->integer = *p == 't';
            failed = *p == 't' ? js_literal(&p, end, "true", 4) : js_literal(&p, end, "false", 5);
            break;
        case 'n':
            v->type = MP_NIL;
            failed = js_literal(&p, end, "null", 4);
            break;
        case 'N':
        case 'I':
            v->type = MP_FLOAT;
            v->number = *p == 'N' ? NAN : HUGE_VAL;
            failed = *p == 'N' ? js_literal(&p, end, "NaN", 3) : js_literal(&p, end, "Infinity", 8);
            break;
        default:
            failed = MP_MALFORMED;
    }
    if (!failed) *at = p;
    return failed;
}

/* To the next member of a container: 1 and *at is at it, 0 and *at is past the closing bracket, -1
 * when neither is there. */
static inline int js_next(const uint8_t **at, const uint8_t *end, uint32_t *first, uint8_t close) {
    const uint8_t *p = *at;
    int more = -1;
    if (p < end && *p <= ' ') js_space(&p, end);
    if (p < end) {
        if (*p == close) {
            p++;
            more = 0;
        } else if (*first) {
            more = 1;
        } else if (*p == ',') {
            p++;
            if (p < end && *p <= ' ') js_space(&p, end);
            more = 1;
        }
    }
    *first = 0;
    *at = p;
    return more;
}

/* Past the colon after a key. */
static inline int js_colon(const uint8_t **at, const uint8_t *end) {
    const uint8_t *p = *at;
    if (p < end && *p <= ' ') js_space(&p, end);
    *at = p;
    if (p >= end) return MP_TRUNCATED;
    if (*p != ':') return MP_MALFORMED;
    *at = p + 1;
    return MP_OK;
}

/* As mp_skip, for JSON. */
static int js_skip(const uint8_t **at, const uint8_t *end, const uint8_t *room, uint64_t *items,
                   uint64_t max_items, uint32_t max_depth, int *deep) {
    uint64_t maps[JS_LEVELS / 64] = {0}; /* which open containers are maps */
    uint32_t depth = 0, first = 0;
    for (;;) {
        mp_value v;
        int failed = js_read(NULL, at, end, &v, room);
        if (failed) return failed;
        if (++*items > max_items) return MP_TOO_MANY;
        if (v.type == MP_MAP || v.type == MP_ARRAY) {
            if (depth == JS_LEVELS) return MP_MALFORMED;
            uint64_t bit = 1ull << (depth & 63);
            maps[depth / 64] = v.type == MP_MAP ? maps[depth / 64] | bit : maps[depth / 64] & ~bit;
            if (++depth > max_depth) *deep = 1;
            first = 1;
        }
        for (;;) {
            if (depth == 0) return MP_OK;
            int map = (int)(maps[(depth - 1) / 64] >> ((depth - 1) & 63) & 1);
            int more = js_next(at, end, &first, map ? '}' : ']');
            if (more < 0) return *at >= end ? MP_TRUNCATED : MP_MALFORMED;
            if (more) {
                if (!map) break;
                if (*at >= end) return MP_TRUNCATED;
                if (**at != '"') return MP_MALFORMED;
                failed = js_read(NULL, at, end, &v, room);
                if (failed) return failed;
                if (++*items > max_items) return MP_TOO_MANY;
                failed = js_colon(at, end);
                if (failed) return failed;
                break;
            }
            depth--;
        }
    }
}

/* Members (pairs) of the container whose bracket *p is; -1 when it is not whole. */
static int64_t js_count(const uint8_t *p, const uint8_t *end, const uint8_t *room) {
    const int map = *p++ == '{';
    uint32_t first = 1;
    for (int64_t n = 0;; n++) {
        int more = js_next(&p, end, &first, map ? '}' : ']'), deep = 0;
        if (more <= 0) return more < 0 ? -1 : n;
        uint64_t items = 0;
        if (map && (p >= end || *p != '"' ||
                    js_skip(&p, end, room, &items, UINT64_MAX, JS_LEVELS, &deep) ||
                    js_colon(&p, end)))
            return -1;
        if (js_skip(&p, end, room, &items, UINT64_MAX, JS_LEVELS, &deep)) return -1;
    }
}

#endif
