/* Page codecs for integer streams. The format is docs/format/page.md; this is its only implementation.
 *
 * Encoding takes int64 values of one page (1 .. 65,536); decoding writes uint8, uint16, uint32 or int64.
 * Decoders trust nothing: each length is checked against the page's length before it is used, no byte
 * outside the page is read and nothing outside out[0..rows) is written, whatever the bytes are.
 * All arithmetic on values is modulo 2^64. Little-endian machines only.
 * Threads: pure functions; zj_codecs_init and zj_set_isa run under the GIL.
 */
#ifndef ZUJI_CODECS_H
#define ZUJI_CODECS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crc32c.h"
#include "section.h"

enum { ZJ_CONST = 0, ZJ_FOR = 1, ZJ_DELTA = 2, ZJ_RLE = 3, ZJ_RAW_LZ4 = 4, ZJ_RAW = 5,
       ZJ_DELTA32 = 6, ZJ_DICT = 7 };

static inline void zj_codecs_init(void) {
    zj_crc_init();
    zj_set_isa(2);
    zj_crc_use_hardware = zj_crc_supported();
}

/* ---- pages ---------------------------------------------------------------------------------------
 * CONST: value i64            FOR: section of n values
 * DELTA, DELTA32: first i64 | section of the n - 1 differences (DELTA32: modulo 2^32)
 * RLE:   runs u32 | bytes of the next section u32 | section of values | section of lengths
 * DICT:  entries u32 | bytes of the next section u32 | section of entries | section of n codes
 */
#define ZJ_PAIR_HEAD 8u
#define ZJ_DICT_MAX 4096u
#define ZJ_DICT_SLOTS 16384u
#define ZJ_DICT_SAMPLE 8192u
/* DICT costs a lookup a value: not tried where values take no more bits than this already. */
#define ZJ_DICT_MIN_BITS 3u

typedef struct {
    int64_t values[ZJ_PAGE_ROWS];
    int64_t deltas[ZJ_PAGE_ROWS];
    int64_t first[ZJ_PAGE_ROWS];  /* RLE: values of the runs; DICT: entries */
    int64_t second[ZJ_PAGE_ROWS]; /* RLE: lengths of the runs; DICT: codes */
    int64_t highs[ZJ_PAGE_ROWS / 2];
    uint16_t codes[ZJ_PAGE_ROWS];
    uint16_t slots[ZJ_DICT_SLOTS];
    int64_t entries[ZJ_DICT_MAX];
    uint32_t counts[ZJ_DICT_MAX];
    uint16_t ranks[ZJ_DICT_MAX];
    zj_plan plan, plan_deltas, plan_first, plan_second;
} zj_scratch;

typedef struct {
    int codec;
    size_t bytes;
    int64_t low, high;
} zj_page;

/* Largest page that zj_encode_page can write. */
#define ZJ_PAGE_BYTES_MAX (8u * ZJ_PAGE_ROWS + 9u * (ZJ_PAGE_ROWS / ZJ_BLOCK) + 64u)

/* Runs of s->values to first (values) and second (lengths); returns how many. */
static size_t zj_find_runs(zj_scratch *s, size_t n) {
    const int64_t *v = s->values;
    size_t runs = 0;
    for (size_t i = 1; i <= n; i++) { /* without branches: second holds the ends first */
        s->first[runs] = v[i - 1];
        s->second[runs] = (int64_t)i;
        runs += i == n || v[i] != v[i - 1];
    }
    for (size_t r = runs; --r > 0;) s->second[r] -= s->second[r - 1];
    return runs;
}

/* Adds rows [from, to) to the distinct values in s->entries, their s->counts and s->codes. Returns how
 * many there are now, or 0 when they are more than `most`. */
static size_t zj_find_distinct(zj_scratch *s, size_t from, size_t to, size_t found, size_t most) {
    const int64_t *v = s->values;
    for (size_t i = from; i < to; i++) {
        uint32_t at = (uint32_t)((uint64_t)v[i] * 0x9E3779B97F4A7C15u >> 50);
        while (s->slots[at] && s->entries[s->slots[at] - 1] != v[i]) at = (at + 1) % ZJ_DICT_SLOTS;
        if (!s->slots[at]) {
            if (found == most) return 0;
            s->entries[found] = v[i];
            s->counts[found++] = 0;
            s->slots[at] = (uint16_t)found;
        }
        const uint16_t code = (uint16_t)(s->slots[at] - 1);
        s->counts[code]++;
        s->codes[i] = code;
    }
    return found;
}

/* Class of a count, frequent first: eight to an octave, which is order enough to keep the codes of
 * frequent values short. */
static inline size_t zj_count_class(uint32_t count) {
    const int top = 31 - __builtin_clz(count);
    const uint32_t eighths = top >= 3 ? (count >> (top - 3)) & 7 : (count << (3 - top)) & 7;
    return 8u * (size_t)(16 - top) + 7 - eighths;
}

/* Entries, the most frequent first, to first and codes to second. */
static void zj_rank(zj_scratch *s, size_t n, size_t distinct) {
    uint16_t starts[8 * 17 + 1] = {0};
    for (size_t i = 0; i < distinct; i++) starts[zj_count_class(s->counts[i]) + 1]++;
    for (size_t c = 1; c < 8 * 17; c++) starts[c] = (uint16_t)(starts[c] + starts[c - 1]);
    for (size_t i = 0; i < distinct; i++) {
        s->ranks[i] = starts[zj_count_class(s->counts[i])]++;
        s->first[s->ranks[i]] = s->entries[i];
    }
    for (size_t i = 0; i < n; i++) s->second[i] = s->ranks[s->codes[i]];
}

/* Bytes that n codes take at least: their entropy, from below (log2 by its chord in each octave). */
static size_t zj_codes_bound(const zj_scratch *s, size_t n, size_t distinct) {
    double bits = 0;
    for (size_t i = 0; i < distinct; i++) {
        const double share = (double)n / s->counts[i];
        uint64_t raw;
        memcpy(&raw, &share, 8);
        /* exponent and mantissa of a double, read as a fixed-point number, are that chord */
        bits += s->counts[i] * ((double)(int64_t)(raw - 0x3FF0000000000000u) / 4503599627370496.0);
    }
    return (size_t)(bits / 8);
}

/* Whether n rows of `distinct` values could pay as a dictionary, were the page of `bytes` like them.
 * Widths and patches come within an eighth of the entropy at best. */
static int zj_dict_may_pay(const zj_scratch *s, size_t n, size_t distinct, size_t bytes) {
    const size_t bound = zj_codes_bound(s, n, distinct);
    return distinct > 0 && bound + bound / 8 < bytes - bytes / 16;
}

/* Makes first the entries and second the codes of a dictionary; returns its entries, 0 when it cannot
 * be smaller than `bytes`. Most pages that have none are known by their first rows. */
static size_t zj_find_dict(zj_scratch *s, size_t n, size_t bytes) {
    const size_t sample = n < ZJ_DICT_SAMPLE ? n : ZJ_DICT_SAMPLE;
    const size_t most = n / 8 < ZJ_DICT_MAX ? n / 8 : ZJ_DICT_MAX;
    memset(s->slots, 0, sizeof s->slots);
    size_t distinct = zj_find_distinct(s, 0, sample, 0, most);
    if (!zj_dict_may_pay(s, sample, distinct, bytes * sample / n)) return 0;
    distinct = zj_find_distinct(s, sample, n, distinct, most);
    if (!zj_dict_may_pay(s, n, distinct, bytes)) return 0;
    zj_rank(s, n, distinct);
    return distinct;
}

/* Two sections with their head: RLE and DICT. */
static size_t zj_write_pair(zj_scratch *s, size_t n_first, size_t n_second, uint8_t *out) {
    const uint32_t head[2] = {(uint32_t)n_first, (uint32_t)s->plan_first.bytes};
    memcpy(out, head, sizeof head);
    size_t at = ZJ_PAIR_HEAD;
    at += zj_write_section(s->first, n_first, &s->plan_first, out + at, s->highs);
    at += zj_write_section(s->second, n_second, &s->plan_second, out + at, s->highs);
    return at;
}

static size_t zj_plan_pair(zj_scratch *s, size_t n_first, size_t n_second) {
    zj_plan_section(s->first, n_first, &s->plan_first, s->highs);
    zj_plan_section(s->second, n_second, &s->plan_second, s->highs);
    return ZJ_PAIR_HEAD + s->plan_first.bytes + s->plan_second.bytes;
}

/* Encodes s->values[0..n) to out by the smallest of CONST, FOR, RLE, (when asked for and when the
 * values ascend) DELTA, and DELTA32 and DICT where they pay.
 * REQUIRES: 1 <= n <= ZJ_PAGE_ROWS; out has ZJ_PAGE_BYTES_MAX bytes. */
static zj_page zj_encode_page(zj_scratch *s, size_t n, int try_delta, uint8_t *out) {
    const int64_t *v = s->values;
    zj_page page;
    size_t falls, runs = 0;
    const size_t changes = zj_ops->changes(v, n, &falls);
    zj_ops->range(v, n, &page.low, &page.high);
    if (changes == 0) {
        memcpy(out, &v[0], 8);
        page.codec = ZJ_CONST;
        page.bytes = 8;
        return page;
    }
    zj_plan_section(v, n, &s->plan, s->highs);
    page.codec = ZJ_FOR;
    page.bytes = s->plan.bytes;
    if (try_delta && falls == 0) {
        zj_ops->differences(v, n - 1, s->deltas);
        zj_plan_section(s->deltas, n - 1, &s->plan_deltas, s->highs);
        if (8 + s->plan_deltas.bytes < page.bytes) {
            page.codec = ZJ_DELTA;
            page.bytes = 8 + s->plan_deltas.bytes;
        }
    } else if (n > ZJ_BLOCK && falls < changes / 8 * 3 && page.low >= 0 && page.high <= UINT32_MAX) {
        /* Half of the changes of unordered values are falls. */
        zj_ops->differences(v, n - 1, s->deltas);
        for (size_t i = 0; i < n - 1; i++) s->deltas[i] &= UINT32_MAX;
        zj_plan_section(s->deltas, n - 1, &s->plan_deltas, s->highs);
        /* It decodes at a quarter of the speed of FOR, and funnels read little but times. */
        if ((8 + s->plan_deltas.bytes) * 8 <= page.bytes * 7) {
            page.codec = ZJ_DELTA32;
            page.bytes = 8 + s->plan_deltas.bytes;
        }
    }
    /* A run costs about what a value costs, and a bit and a half of length. */
    if ((changes + 1) * (16 * page.bytes + 3 * n) < 16 * page.bytes * n) {
        runs = zj_find_runs(s, n);
        const size_t bytes = zj_plan_pair(s, runs, runs);
        if (bytes < page.bytes) {
            page.codec = ZJ_RLE;
            page.bytes = bytes;
        }
    }
    if ((page.codec == ZJ_FOR || (page.codec == ZJ_RLE && runs > n / 4)) && n > ZJ_BLOCK &&
        page.bytes > n * ZJ_DICT_MIN_BITS / 8) {
        const size_t distinct = zj_find_dict(s, n, page.bytes);
        if (distinct && zj_pays(zj_plan_pair(s, distinct, n), page.bytes)) {
            page.codec = ZJ_DICT;
            page.bytes = zj_write_pair(s, distinct, n, out);
            return page;
        }
        if (distinct && page.codec == ZJ_RLE) { /* the dictionary has overwritten the runs */
            zj_find_runs(s, n);
            zj_plan_pair(s, runs, runs);
        }
    }
    if (page.codec == ZJ_RLE) {
        zj_write_pair(s, runs, runs, out);
        return page;
    }
    if (page.codec == ZJ_FOR) {
        zj_write_section(v, n, &s->plan, out, s->highs);
    } else {
        memcpy(out, &v[0], 8);
        zj_write_section(s->deltas, n - 1, &s->plan_deltas, out + 8, s->highs);
    }
    return page;
}

typedef struct {
    int64_t values[ZJ_PAGE_ROWS];
    uint32_t words[ZJ_PAGE_ROWS]; /* lengths of runs; differences modulo 2^32; codes, as uint16 */
    uint32_t highs[ZJ_PAGE_ROWS];
} zj_decode_scratch;

/* Splits RLE and DICT pages: *first and *second are checked sections, of *count and n or *count
 * values. 0, or -1. */
static int zj_check_pair(const uint8_t *in, size_t size, size_t most, size_t n, size_t *count,
                         const uint8_t **second) {
    uint32_t head[2];
    if (size < ZJ_PAIR_HEAD) return -1;
    memcpy(head, in, sizeof head);
    in += ZJ_PAIR_HEAD;
    size -= ZJ_PAIR_HEAD;
    if (head[0] == 0 || head[0] > most || head[1] > size) return -1;
    *count = head[0];
    *second = in + head[1];
    if (zj_check_section(in, head[1], head[0], 1) != 0) return -1;
    return zj_check_section(*second, size - head[1], n ? n : head[0], 1);
}

/* Differences modulo 2^32 and their sums, to s->words. 0, or -1. */
static int zj_read_sums(const uint8_t *in, size_t size, size_t n, zj_decode_scratch *s) {
    if (size < 8 || zj_check_section(in + 8, size - 8, n - 1, 1) != 0) return -1;
    memcpy(s->words, in, 4);
    zj_read_section_uint32_t(in + 8, n - 1, s->words + 1, s->highs);
    zj_ops->sums(s->words, n, 0);
    return 0;
}

/* 0, or -1 when the bytes are not a page of `codec` with n rows. DICT: see zj_decode_dict. */
#define ZJ_DECODE_PAGE(T)                                                                        \
    static int zj_decode_page_##T(int codec, const uint8_t *in, size_t size, size_t n, T *out,   \
                                  zj_decode_scratch *s) {                                        \
        int64_t first;                                                                           \
        if (n == 0 || n > ZJ_PAGE_ROWS) return -1;                                               \
        if (codec == ZJ_DELTA && sizeof(T) <= 4) codec = ZJ_DELTA32;                             \
        switch (codec) {                                                                         \
            case ZJ_CONST:                                                                       \
                if (size != 8) return -1;                                                        \
                memcpy(&first, in, 8);                                                           \
                for (size_t i = 0; i < n; i++) out[i] = (T)first;                                \
                return 0;                                                                        \
            case ZJ_FOR:                                                                         \
                if (zj_check_section(in, size, n, 1) != 0) return -1;                            \
                zj_read_section_##T(in, n, out, s->highs);                                       \
                return 0;                                                                        \
            case ZJ_DELTA: {                                                                     \
                if (size < 8 || zj_check_section(in + 8, size - 8, n - 1, 1) != 0) return -1;    \
                memcpy(&first, in, 8);                                                           \
                zj_read_section_int64_t(in + 8, n - 1, s->values, s->highs);                     \
                uint64_t sum = (uint64_t)first;                                                  \
                out[0] = (T)sum;                                                                 \
                for (size_t i = 1; i < n; i++) {                                                 \
                    sum += (uint64_t)s->values[i - 1];                                           \
                    out[i] = (T)sum;                                                             \
                }                                                                                \
                return 0;                                                                        \
            }                                                                                    \
            case ZJ_DELTA32:                                                                     \
                if (zj_read_sums(in, size, n, s) != 0) return -1;                                \
                for (size_t i = 0; i < n; i++) out[i] = (T)s->words[i];                          \
                return 0;                                                                        \
            case ZJ_RLE: {                                                                       \
                size_t runs, total = 0;                                                          \
                const uint8_t *lengths;                                                          \
                if (zj_check_pair(in, size, n, 0, &runs, &lengths) != 0) return -1;              \
                zj_read_section_int64_t(in + ZJ_PAIR_HEAD, runs, s->values, s->highs);           \
                zj_read_section_uint32_t(lengths, runs, s->words, s->highs);                     \
                for (size_t r = 0; r < runs; r++) total += s->words[r];                          \
                if (total != n) return -1;                                                       \
                for (size_t r = 0; r < runs; r++) {                                              \
                    const T value = (T)s->values[r];                                             \
                    for (uint32_t i = 0; i < s->words[r]; i++) *out++ = value;                   \
                }                                                                                \
                return 0;                                                                        \
            }                                                                                    \
            default: return -1;                                                                  \
        }                                                                                        \
    }
ZJ_DECODE_PAGE(uint8_t)
ZJ_DECODE_PAGE(uint16_t)
ZJ_DECODE_PAGE(uint32_t)
ZJ_DECODE_PAGE(int64_t)

/* ---- streams ----------------------------------------------------------------------------------- */

/* One entry of a page directory: PAGE_DTYPE in codecs.py. */
typedef struct __attribute__((packed)) {
    uint64_t offset;
    uint32_t length, rows, crc;
    uint8_t codec, param;
    uint16_t reserved;
    int64_t low, high;
} zj_entry;

enum { ZJ_OK = 0, ZJ_BAD_ENTRY = 1, ZJ_BAD_CRC = 2, ZJ_BAD_PAGE = 3, ZJ_BAD_RANGE = 4, ZJ_BAD_ROWS = 5 };

/* The types that pages decode to. */
enum { ZJ_U8 = 0, ZJ_U16 = 1, ZJ_U32 = 2, ZJ_I64 = 3, ZJ_F64 = 4 };

#define ZJ_FLOAT_BITS 255
static const double zj_scales[5] = {1.0, 10.0, 100.0, 1000.0, 10000.0};

/* Turns the int64 of a float page into its doubles, in place; -1 for an unknown param. */
static int zj_finish_floats(double *out, size_t n, int param) {
    int64_t ints[ZJ_BLOCK];
    if (param == ZJ_FLOAT_BITS) return 0;
    if (param > 4) return -1;
    for (size_t at = 0; at < n; at += ZJ_BLOCK) {
        const size_t m = n - at < ZJ_BLOCK ? n - at : ZJ_BLOCK;
        memcpy(ints, out + at, m * 8);
        zj_ops->undecimals(ints, m, zj_scales[param], out + at);
    }
    return 0;
}

/* Decodes a DICT page of n values of `type`; decimals are divided once an entry. 0, or -1. */
static int zj_decode_dict(const uint8_t *in, size_t size, size_t n, int type, int param, void *out,
                          zj_decode_scratch *s) {
    uint16_t *codes = (uint16_t *)s->words;
    size_t entries;
    const uint8_t *second;
    if (zj_check_pair(in, size, ZJ_DICT_MAX, n, &entries, &second) != 0) return -1;
    zj_read_section_uint16_t(second, n, codes, s->highs);
    if (zj_ops->largest(codes, n) >= entries) return -1;
    in += ZJ_PAIR_HEAD;
#define ZJ_TAKE(T)                                                                  \
    {                                                                               \
        T table[ZJ_DICT_MAX];                                                       \
        zj_read_section_##T(in, entries, table, s->highs);                          \
        zj_ops->take_##T(table, codes, n, (T *)out);                                \
        return 0;                                                                   \
    }
    switch (type) {
        case ZJ_U8: ZJ_TAKE(uint8_t)
        case ZJ_U16: ZJ_TAKE(uint16_t)
        case ZJ_U32: ZJ_TAKE(uint32_t)
        case ZJ_I64: ZJ_TAKE(int64_t)
        default:
            zj_read_section_int64_t(in, entries, s->values, s->highs);
            if (zj_finish_floats((double *)s->values, entries, param) != 0) return -1;
            int64_t table[ZJ_DICT_MAX];
            memcpy(table, s->values, entries * 8);
            zj_ops->take_int64_t(table, codes, n, (int64_t *)out);
            return 0;
    }
#undef ZJ_TAKE
}

/* Decodes pages[first..last) to out, `rows` values of `type`. RAW and RAW_LZ4 pages are checked and
 * left to the caller, counted in *raw. `verified` (may be NULL) holds a flag a page: a set flag skips
 * the checksum, a good checksum sets it. Returns ZJ_OK or what is wrong with page *at. */
static int zj_decode_pages(const uint8_t *data, size_t size, const zj_entry *pages, size_t first,
                           size_t last, int type, void *out, size_t rows, uint8_t *verified,
                           zj_decode_scratch *s, size_t *at, size_t *raw) {
    static const int64_t limits[5] = {UINT8_MAX, UINT16_MAX, UINT32_MAX, 0, 0};
    static const size_t sizes[5] = {1, 2, 4, 8, 8};
    size_t done = 0;
    *raw = 0;
    for (size_t i = first; i < last; i++) {
        const zj_entry e = pages[i];
        const uint8_t *in;
        int status = -1;
        *at = i;
        if (e.offset > size || e.length > size - e.offset || e.rows == 0 || e.rows > ZJ_PAGE_ROWS)
            return ZJ_BAD_ENTRY;
        in = data + e.offset;
        if (e.rows > rows - done) return ZJ_BAD_ROWS;
        if (!verified || !verified[i]) {
            if (zj_crc32c(0, in, e.length) != e.crc) return ZJ_BAD_CRC;
            if (verified) verified[i] = 1;
        }
        if (type < ZJ_I64 && (e.low < 0 || e.high > limits[type])) return ZJ_BAD_RANGE;
        if (e.codec == ZJ_RAW || e.codec == ZJ_RAW_LZ4) {
            ++*raw;
            done += e.rows;
            continue;
        }
        if (e.codec == ZJ_DICT) {
            uint8_t *to = (uint8_t *)out + done * sizes[type];
            if (zj_decode_dict(in, e.length, e.rows, type, e.param, to, s) != 0) return ZJ_BAD_PAGE;
            done += e.rows;
            continue;
        }
        switch (type) {
            case ZJ_U8:
                status = zj_decode_page_uint8_t(e.codec, in, e.length, e.rows, (uint8_t *)out + done, s);
                break;
            case ZJ_U16:
                status = zj_decode_page_uint16_t(e.codec, in, e.length, e.rows, (uint16_t *)out + done, s);
                break;
            case ZJ_U32:
                status = zj_decode_page_uint32_t(e.codec, in, e.length, e.rows, (uint32_t *)out + done, s);
                break;
            case ZJ_I64:
                status = zj_decode_page_int64_t(e.codec, in, e.length, e.rows, (int64_t *)out + done, s);
                break;
            default:
                status = zj_decode_page_int64_t(e.codec, in, e.length, e.rows, (int64_t *)out + done, s);
                if (status == 0) status = zj_finish_floats((double *)out + done, e.rows, e.param);
        }
        if (status != 0) return ZJ_BAD_PAGE;
        done += e.rows;
    }
    *at = last;
    return done == rows ? ZJ_OK : ZJ_BAD_ROWS;
}

/* Loads n values of `type` (not F64) into s->values. */
static void zj_load(zj_scratch *s, int type, const void *values, size_t n) {
    switch (type) {
        case ZJ_U8: zj_ops->widen_uint8_t((const uint8_t *)values, n, s->values); break;
        case ZJ_U16: zj_ops->widen_uint16_t((const uint16_t *)values, n, s->values); break;
        case ZJ_U32: zj_ops->widen_uint32_t((const uint32_t *)values, n, s->values); break;
        default: memcpy(s->values, values, n * 8);
    }
}

/* Loads n doubles: as ints and the exponent k when every one is exactly int / 10^k, else as bits and
 * ZJ_FLOAT_BITS. Returns what was chosen. */
static int zj_load_floats(zj_scratch *s, const double *values, size_t n) {
    for (int k = 0; k < 5; k++) {
        size_t at = 0;
        for (; at < n; at += ZJ_BLOCK) {
            const size_t m = n - at < ZJ_BLOCK ? n - at : ZJ_BLOCK;
            if (!zj_ops->decimals(values + at, m, zj_scales[k], s->values + at)) break;
        }
        if (at >= n) return k;
    }
    memcpy(s->values, values, n * 8);
    return ZJ_FLOAT_BITS;
}

#endif
