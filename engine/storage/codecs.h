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

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "zuji stores little-endian words and does not support big-endian machines"
#endif

#define ZJ_PAGE_ROWS 65536u
#define ZJ_BLOCK 512u

enum { ZJ_CONST = 0, ZJ_FOR = 1, ZJ_DELTA = 2, ZJ_RLE = 3, ZJ_RAW_LZ4 = 4, ZJ_RAW = 5 };

typedef struct {
    void (*unpack)(const uint8_t *, uint32_t *, int);
    void (*pack)(const uint32_t *, uint8_t *, int);
    void (*range)(const int64_t *, size_t, int64_t *, int64_t *);
    size_t (*changes)(const int64_t *, size_t, int *);
    void (*differences)(const int64_t *, size_t, int64_t *);
    void (*offsets_low)(const int64_t *, size_t, uint64_t, uint32_t *);
    void (*offsets_high)(const int64_t *, size_t, uint64_t, uint32_t *);
    void (*add_uint8_t)(const uint32_t *, size_t, uint64_t, uint8_t *);
    void (*add_uint16_t)(const uint32_t *, size_t, uint64_t, uint16_t *);
    void (*add_uint32_t)(const uint32_t *, size_t, uint64_t, uint32_t *);
    void (*add_int64_t)(const uint32_t *, size_t, uint64_t, int64_t *);
    void (*add2_uint8_t)(const uint32_t *, const uint32_t *, size_t, uint64_t, uint8_t *);
    void (*add2_uint16_t)(const uint32_t *, const uint32_t *, size_t, uint64_t, uint16_t *);
    void (*add2_uint32_t)(const uint32_t *, const uint32_t *, size_t, uint64_t, uint32_t *);
    void (*add2_int64_t)(const uint32_t *, const uint32_t *, size_t, uint64_t, int64_t *);
    void (*widen_uint8_t)(const uint8_t *, size_t, int64_t *);
    void (*widen_uint16_t)(const uint16_t *, size_t, int64_t *);
    void (*widen_uint32_t)(const uint32_t *, size_t, int64_t *);
    int (*decimals)(const double *, size_t, double, int64_t *);
    void (*undecimals)(const int64_t *, size_t, double, double *);
} zj_isa;

#define ZJ_ISA(name) zj_base_##name
#define ZJ_TARGET
#include "bitpack.h"
#undef ZJ_ISA
#undef ZJ_TARGET

#if defined(__x86_64__) && defined(__GNUC__)
#define ZJ_X86 1
#define ZJ_ISA(name) zj_avx2_##name
#define ZJ_TARGET __attribute__((target("avx2")))
#include "bitpack.h"
#undef ZJ_ISA
#undef ZJ_TARGET
#define ZJ_ISA(name) zj_avx512_##name
#define ZJ_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#include "bitpack.h"
#undef ZJ_ISA
#undef ZJ_TARGET
#endif

static const zj_isa *zj_ops = &zj_base_isa;

/* Best level of this CPU: 0 baseline, 1 AVX2, 2 AVX-512. */
static inline int zj_best_isa(void) {
#ifdef ZJ_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 2;
    if (__builtin_cpu_supports("avx2")) return 1;
#endif
    return 0;
}

/* Uses `level`, or the best below it that this CPU has; returns the level in use. */
static inline int zj_set_isa(int level) {
    const int best = zj_best_isa();
    if (level > best) level = best;
    if (level < 0) level = 0;
    zj_ops = &zj_base_isa;
#ifdef ZJ_X86
    if (level == 1) zj_ops = &zj_avx2_isa;
    if (level == 2) zj_ops = &zj_avx512_isa;
#endif
    return level;
}

static inline void zj_codecs_init(void) {
    zj_crc_init();
    zj_set_isa(2);
    zj_crc_use_hardware = zj_crc_supported();
}

static inline int zj_width(uint64_t range) { return range ? 64 - __builtin_clzll(range) : 0; }
static inline size_t zj_blocks(size_t n) { return (n + ZJ_BLOCK - 1) / ZJ_BLOCK; }
static inline size_t zj_block_rows(size_t n, size_t block) {
    const size_t left = n - block * ZJ_BLOCK;
    return left < ZJ_BLOCK ? left : ZJ_BLOCK;
}
/* Bytes of a packed block: whole blocks are vertical, a shorter last one is a plain bit stream. */
static inline size_t zj_packed_bytes(size_t rows, int width) { return (rows * (size_t)width + 7) / 8; }

/* ---- a section: n values in frames of reference -------------------------------------------------
 * reference i64 | base_bytes u8 | width u8 [blocks] | base [blocks] of base_bytes each | packed blocks
 */
#define ZJ_SECTION_HEAD 9u

typedef struct {
    int64_t low;   /* of all values: the reference */
    size_t bytes;  /* of the encoded section */
    int base_bytes;
    uint8_t widths[ZJ_PAGE_ROWS / ZJ_BLOCK];
    uint64_t bases[ZJ_PAGE_ROWS / ZJ_BLOCK]; /* block minimum - low */
} zj_plan;

static void zj_plan_section(const int64_t *v, size_t n, zj_plan *plan) {
    const size_t blocks = zj_blocks(n);
    int64_t lows[ZJ_PAGE_ROWS / ZJ_BLOCK], low = INT64_MAX;
    uint64_t furthest = 0;
    size_t packed = 0;
    for (size_t b = 0; b < blocks; b++) {
        const size_t rows = zj_block_rows(n, b);
        int64_t high;
        zj_ops->range(v + b * ZJ_BLOCK, rows, &lows[b], &high);
        plan->widths[b] = (uint8_t)zj_width((uint64_t)high - (uint64_t)lows[b]);
        packed += zj_packed_bytes(rows, plan->widths[b]);
        if (lows[b] < low) low = lows[b];
    }
    for (size_t b = 0; b < blocks; b++) {
        plan->bases[b] = (uint64_t)lows[b] - (uint64_t)low;
        if (plan->bases[b] > furthest) furthest = plan->bases[b];
    }
    plan->low = low;
    plan->base_bytes = furthest == 0            ? 0
                       : furthest <= 0xFF       ? 1
                       : furthest <= 0xFFFF     ? 2
                       : furthest <= 0xFFFFFFFF ? 4
                                                : 8;
    plan->bytes = ZJ_SECTION_HEAD + blocks * (1 + (size_t)plan->base_bytes) + packed;
}

/* Plain bit stream of fewer than 512 values, lowest bits first. */
static void zj_pack_tail(const int64_t *v, size_t n, uint64_t base, int width, uint8_t *out) {
    __uint128_t word = 0;
    int held = 0;
    for (size_t i = 0; i < n; i++) {
        word |= (__uint128_t)((uint64_t)v[i] - base) << held;
        for (held += width; held >= 8; held -= 8, word >>= 8) *out++ = (uint8_t)word;
    }
    if (held > 0) *out = (uint8_t)word;
}

/* REQUIRES: in[0..size) holds the n values: size == zj_packed_bytes(n, width), 1 <= width <= 64. */
static void zj_unpack_tail(const uint8_t *in, size_t size, size_t n, int width, uint32_t *low,
                           uint32_t *high) {
    const uint64_t mask = width == 64 ? ~(uint64_t)0 : ((uint64_t)1 << width) - 1;
    for (size_t i = 0; i < n; i++) {
        const size_t bit = i * (size_t)width, at = bit >> 3;
        const size_t have = size - at < 16 ? size - at : 16;
        __uint128_t word = 0;
        memcpy(&word, in + at, have);
        const uint64_t value = (uint64_t)(word >> (bit & 7)) & mask;
        low[i] = (uint32_t)value;
        high[i] = (uint32_t)(value >> 32);
    }
}

/* Writes plan->bytes bytes. */
static size_t zj_write_section(const int64_t *v, size_t n, const zj_plan *plan, uint8_t *out) {
    const size_t blocks = zj_blocks(n);
    uint32_t half[ZJ_BLOCK];
    uint8_t *p = out;
    memcpy(p, &plan->low, 8);
    p[8] = (uint8_t)plan->base_bytes;
    p += ZJ_SECTION_HEAD;
    memcpy(p, plan->widths, blocks);
    p += blocks;
    for (size_t b = 0; b < blocks; b++, p += plan->base_bytes)
        memcpy(p, &plan->bases[b], (size_t)plan->base_bytes);
    for (size_t b = 0; b < blocks; b++) {
        const size_t rows = zj_block_rows(n, b);
        const int64_t *values = v + b * ZJ_BLOCK;
        const int width = plan->widths[b];
        const uint64_t base = (uint64_t)plan->low + plan->bases[b];
        if (width == 0) continue;
        if (rows < ZJ_BLOCK) {
            zj_pack_tail(values, rows, base, width, p);
        } else {
            zj_ops->offsets_low(values, rows, base, half);
            zj_ops->pack(half, p, width < 32 ? width : 32);
            if (width > 32) {
                zj_ops->offsets_high(values, rows, base, half);
                zj_ops->pack(half, p + 64 * 32, width - 32);
            }
        }
        p += zj_packed_bytes(rows, width);
    }
    return (size_t)(p - out);
}

/* 0, or -1 when the bytes are not a section of n values that fills exactly `size` bytes. */
static int zj_check_section(const uint8_t *in, size_t size, size_t n) {
    const size_t blocks = zj_blocks(n);
    size_t need;
    if (n == 0 || n > ZJ_PAGE_ROWS || size < ZJ_SECTION_HEAD) return -1;
    const uint8_t wide = in[8];
    if (!(wide == 0 || wide == 1 || wide == 2 || wide == 4 || wide == 8)) return -1;
    need = ZJ_SECTION_HEAD + blocks * (1 + (size_t)wide);
    if (size < need) return -1;
    for (size_t b = 0; b < blocks; b++) {
        const int width = in[ZJ_SECTION_HEAD + b];
        if (width > 64) return -1;
        need += zj_packed_bytes(zj_block_rows(n, b), width);
    }
    return need == size ? 0 : -1;
}

/* Decodes n values to T. REQUIRES: zj_check_section(in, ., n) == 0. */
#define ZJ_READ_SECTION(T)                                                                      \
    static void zj_read_section_##T(const uint8_t *in, size_t n, T *out) {                      \
        const size_t blocks = zj_blocks(n);                                                     \
        const int wide = in[8];                                                                 \
        const uint8_t *widths = in + ZJ_SECTION_HEAD, *bases = widths + blocks;                 \
        const uint8_t *p = bases + blocks * (size_t)wide;                                       \
        uint32_t low[ZJ_BLOCK], high[ZJ_BLOCK];                                                 \
        int64_t reference;                                                                      \
        memcpy(&reference, in, 8);                                                              \
        for (size_t b = 0; b < blocks; b++, out += ZJ_BLOCK) {                                  \
            const size_t rows = zj_block_rows(n, b);                                            \
            const int width = widths[b];                                                        \
            const size_t bytes = zj_packed_bytes(rows, width);                                  \
            uint64_t base = 0;                                                                  \
            memcpy(&base, bases + b * (size_t)wide, (size_t)wide);                              \
            base += (uint64_t)reference;                                                        \
            if (width == 0) {                                                                   \
                for (size_t i = 0; i < rows; i++) out[i] = (T)base;                             \
                continue;                                                                       \
            }                                                                                   \
            if (rows < ZJ_BLOCK) {                                                              \
                zj_unpack_tail(p, bytes, rows, width, low, high);                               \
            } else {                                                                            \
                zj_ops->unpack(p, low, width < 32 ? width : 32);                                \
                if (width > 32) zj_ops->unpack(p + 64 * 32, high, width - 32);                  \
            }                                                                                   \
            if (width > 32) zj_ops->add2_##T(low, high, rows, base, out);                       \
            else zj_ops->add_##T(low, rows, base, out);                                         \
            p += bytes;                                                                         \
        }                                                                                       \
    }
ZJ_READ_SECTION(uint8_t)
ZJ_READ_SECTION(uint16_t)
ZJ_READ_SECTION(uint32_t)
ZJ_READ_SECTION(int64_t)

/* ---- pages ---------------------------------------------------------------------------------------
 * CONST: value i64            FOR: section of n values
 * DELTA: first i64 | section of the n - 1 differences
 * RLE:   runs u32 | bytes of the next section u32 | section of values | section of lengths
 */
#define ZJ_RLE_HEAD 8u

typedef struct {
    int64_t values[ZJ_PAGE_ROWS];
    int64_t deltas[ZJ_PAGE_ROWS];
    int64_t run_values[ZJ_PAGE_ROWS];
    int64_t run_lengths[ZJ_PAGE_ROWS];
    zj_plan plan, plan_deltas, plan_values, plan_lengths;
} zj_scratch;

typedef struct {
    int codec;
    size_t bytes;
    int64_t low, high;
} zj_page;

/* Largest page that zj_encode_page can write. */
#define ZJ_PAGE_BYTES_MAX (8u * ZJ_PAGE_ROWS + 9u * (ZJ_PAGE_ROWS / ZJ_BLOCK) + 64u)

/* Encodes s->values[0..n) to out by the smallest of CONST, FOR, RLE and (when asked for and when the
 * values ascend) DELTA. REQUIRES: 1 <= n <= ZJ_PAGE_ROWS; out has ZJ_PAGE_BYTES_MAX bytes. */
static zj_page zj_encode_page(zj_scratch *s, size_t n, int try_delta, uint8_t *out) {
    const int64_t *v = s->values;
    zj_page page;
    int ascends;
    const size_t changes = zj_ops->changes(v, n, &ascends);
    zj_ops->range(v, n, &page.low, &page.high);
    if (changes == 0) {
        memcpy(out, &v[0], 8);
        page.codec = ZJ_CONST;
        page.bytes = 8;
        return page;
    }
    zj_plan_section(v, n, &s->plan);
    page.codec = ZJ_FOR;
    page.bytes = s->plan.bytes;
    if (try_delta && ascends) {
        zj_ops->differences(v, n - 1, s->deltas);
        zj_plan_section(s->deltas, n - 1, &s->plan_deltas);
        if (8 + s->plan_deltas.bytes < page.bytes) {
            page.codec = ZJ_DELTA;
            page.bytes = 8 + s->plan_deltas.bytes;
        }
    }
    /* A run costs at least a bit of length and a bit of value; below that FOR cannot be beaten. */
    if ((changes + 1) / 4 < page.bytes && changes + 1 <= n - n / 4) {
        size_t runs = 0, start = 0;
        for (size_t i = 1; i <= n; i++) {
            if (i < n && v[i] == v[i - 1]) continue;
            s->run_values[runs] = v[start];
            s->run_lengths[runs++] = (int64_t)(i - start);
            start = i;
        }
        zj_plan_section(s->run_values, runs, &s->plan_values);
        zj_plan_section(s->run_lengths, runs, &s->plan_lengths);
        if (ZJ_RLE_HEAD + s->plan_values.bytes + s->plan_lengths.bytes < page.bytes) {
            const uint32_t head[2] = {(uint32_t)runs, (uint32_t)s->plan_values.bytes};
            memcpy(out, head, sizeof head);
            zj_write_section(s->run_values, runs, &s->plan_values, out + ZJ_RLE_HEAD);
            zj_write_section(s->run_lengths, runs, &s->plan_lengths,
                             out + ZJ_RLE_HEAD + s->plan_values.bytes);
            page.codec = ZJ_RLE;
            page.bytes = ZJ_RLE_HEAD + s->plan_values.bytes + s->plan_lengths.bytes;
            return page;
        }
    }
    if (page.codec == ZJ_DELTA) {
        memcpy(out, &v[0], 8);
        zj_write_section(s->deltas, n - 1, &s->plan_deltas, out + 8);
    } else {
        zj_write_section(v, n, &s->plan, out);
    }
    return page;
}

typedef struct {
    int64_t values[ZJ_PAGE_ROWS];
    uint32_t lengths[ZJ_PAGE_ROWS];
} zj_decode_scratch;

/* 0, or -1 when the bytes are not a page of `codec` with n rows. */
#define ZJ_DECODE_PAGE(T)                                                                        \
    static int zj_decode_page_##T(int codec, const uint8_t *in, size_t size, size_t n, T *out,   \
                                  zj_decode_scratch *s) {                                        \
        int64_t first;                                                                           \
        if (n == 0 || n > ZJ_PAGE_ROWS) return -1;                                               \
        switch (codec) {                                                                         \
            case ZJ_CONST:                                                                       \
                if (size != 8) return -1;                                                        \
                memcpy(&first, in, 8);                                                           \
                for (size_t i = 0; i < n; i++) out[i] = (T)first;                                \
                return 0;                                                                        \
            case ZJ_FOR:                                                                         \
                if (zj_check_section(in, size, n) != 0) return -1;                               \
                zj_read_section_##T(in, n, out);                                                 \
                return 0;                                                                        \
            case ZJ_DELTA: {                                                                     \
                if (size < 8 || zj_check_section(in + 8, size - 8, n - 1) != 0) return -1;       \
                memcpy(&first, in, 8);                                                           \
                zj_read_section_int64_t(in + 8, n - 1, s->values);                               \
                uint64_t sum = (uint64_t)first;                                                  \
                out[0] = (T)sum;                                                                 \
                for (size_t i = 1; i < n; i++) {                                                 \
                    sum += (uint64_t)s->values[i - 1];                                           \
                    out[i] = (T)sum;                                                             \
                }                                                                                \
                return 0;                                                                        \
            }                                                                                    \
            case ZJ_RLE: {                                                                       \
                uint32_t head[2];                                                                \
                size_t total = 0;                                                                \
                if (size < ZJ_RLE_HEAD) return -1;                                               \
                memcpy(head, in, sizeof head);                                                   \
                const size_t runs = head[0], bytes = head[1];                                    \
                in += ZJ_RLE_HEAD;                                                               \
                size -= ZJ_RLE_HEAD;                                                             \
                if (runs == 0 || runs > n || bytes > size ||                                     \
                    zj_check_section(in, bytes, runs) != 0 ||                                    \
                    zj_check_section(in + bytes, size - bytes, runs) != 0)                       \
                    return -1;                                                                   \
                zj_read_section_int64_t(in, runs, s->values);                                    \
                zj_read_section_uint32_t(in + bytes, runs, s->lengths);                          \
                for (size_t r = 0; r < runs; r++) total += s->lengths[r];                        \
                if (total != n) return -1;                                                       \
                for (size_t r = 0; r < runs; r++) {                                              \
                    const T value = (T)s->values[r];                                             \
                    for (uint32_t i = 0; i < s->lengths[r]; i++) *out++ = value;                 \
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

/* Decodes pages[first..last) to out, `rows` values of `type`. RAW and RAW_LZ4 pages are checked and
 * left to the caller, counted in *raw. `verified` (may be NULL) holds a flag a page: a set flag skips
 * the checksum, a good checksum sets it. Returns ZJ_OK or what is wrong with page *at. */
static int zj_decode_pages(const uint8_t *data, size_t size, const zj_entry *pages, size_t first,
                           size_t last, int type, void *out, size_t rows, uint8_t *verified,
                           zj_decode_scratch *s, size_t *at, size_t *raw) {
    static const int64_t limits[5] = {UINT8_MAX, UINT16_MAX, UINT32_MAX, 0, 0};
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
