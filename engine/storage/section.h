/* Sections: integers in frames of reference, packed in blocks of 512, outliers patched. The building
 * block of the page codecs in codecs.h; format: docs/format/page.md. Also the choice of the instruction
 * set in which bitpack.h runs.
 *
 * A section is planned (what would it cost?), then perhaps written. A reader checks the whole section
 * against its size before it reads; the readers themselves trust a checked section.
 * All arithmetic on values is modulo 2^64. Little-endian machines only.
 * Threads: pure functions; zj_set_isa runs under the GIL.
 */
#ifndef ZUJI_SECTION_H
#define ZUJI_SECTION_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "zuji stores little-endian words and does not support big-endian machines"
#endif

#define ZJ_PAGE_ROWS 65536u
#define ZJ_BLOCK 512u

typedef struct {
    void (*unpack)(const uint8_t *, uint32_t *, int);
    void (*pack)(const uint32_t *, uint8_t *, int);
    void (*range)(const int64_t *, size_t, int64_t *, int64_t *);
    size_t (*changes)(const int64_t *, size_t, size_t *);
    void (*differences)(const int64_t *, size_t, int64_t *);
    void (*offsets)(const int64_t *, size_t, uint64_t, int, uint32_t *);
    void (*mask)(uint32_t *, uint32_t);
    uint32_t (*above)(const uint32_t *, uint32_t);
    void (*flags)(const uint32_t *, uint32_t, uint64_t *);
    void (*sums)(uint32_t *, size_t, uint32_t);
    uint16_t (*largest)(const uint16_t *, size_t);
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
    void (*take_uint8_t)(const uint8_t *, const uint16_t *, size_t, uint8_t *);
    void (*take_uint16_t)(const uint16_t *, const uint16_t *, size_t, uint16_t *);
    void (*take_uint32_t)(const uint32_t *, const uint16_t *, size_t, uint32_t *);
    void (*take_int64_t)(const int64_t *, const uint16_t *, size_t, int64_t *);
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

static inline int zj_width(uint64_t range) { return range ? 64 - __builtin_clzll(range) : 0; }
static inline size_t zj_blocks(size_t n) { return (n + ZJ_BLOCK - 1) / ZJ_BLOCK; }
static inline size_t zj_block_rows(size_t n, size_t block) {
    const size_t left = n - block * ZJ_BLOCK;
    return left < ZJ_BLOCK ? left : ZJ_BLOCK;
}
/* Bytes of a packed block: whole blocks are vertical, a shorter last one is a plain bit stream. */
static inline size_t zj_packed_bytes(size_t rows, int width) { return (rows * (size_t)width + 7) / 8; }

/* ---- a section: n values in frames of reference -------------------------------------------------
 * reference i64 | form u8 | width u8 [blocks] | base [blocks] of base_bytes each
 *   | [patched: patches u8 x 2 for each whole block] | packed blocks
 *   | [patched: places of the patches of each block | section, not patched, of their high bits]
 * form = base_bytes + ZJ_PATCHED when whole blocks hold the low bits of their values only and the few
 * values that need more are patched.
 */
#define ZJ_SECTION_HEAD 9u
#define ZJ_PAGE_BLOCKS (ZJ_PAGE_ROWS / ZJ_BLOCK)
#define ZJ_PATCHED 0x10
/* From this many patches of a block on, a bitmap of 512 bits says where they are. */
#define ZJ_PLACES_BITMAP 64u
#define ZJ_PATCHES_MAX 255u

/* Whether `bytes` is so much less than `than` that slower decoding is worth it. */
static inline int zj_pays(size_t bytes, size_t than) { return bytes < than - than / 32; }
static inline size_t zj_places_bytes(size_t patches) {
    return patches < ZJ_PLACES_BITMAP ? patches : ZJ_BLOCK / 8;
}

typedef struct {
    int64_t low;   /* of all values: the reference */
    size_t bytes;  /* of the encoded section */
    int base_bytes;
    uint8_t widths[ZJ_PAGE_BLOCKS];
    uint64_t bases[ZJ_PAGE_BLOCKS]; /* block minimum - low */
} zj_frames;

typedef struct {
    zj_frames frames;
    zj_frames highs;   /* of the patches */
    size_t bytes;      /* of the encoded section */
    size_t patches;    /* 0: not patched */
    uint8_t widths[ZJ_PAGE_BLOCKS]; /* bits that are packed, when patched */
} zj_plan;

static void zj_plan_frames(const int64_t *v, size_t n, zj_frames *plan) {
    const size_t blocks = zj_blocks(n);
    int64_t lows[ZJ_PAGE_BLOCKS], low = INT64_MAX;
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

/* Splits a whole block at bit `width`: which values have bits above (bitmap), and those bits, which
 * must fit 32. Returns how many. REQUIRES: 0 <= width < full <= 64, full - width <= 32, where `full`
 * bits hold every value. */
static size_t zj_split(const int64_t *v, uint64_t base, int width, int full, uint64_t *where,
                       int64_t *highs) {
    const int shift = full > 32 ? full - 32 : 0;
    uint32_t lead[ZJ_BLOCK];
    size_t found = 0;
    zj_ops->offsets(v, ZJ_BLOCK, base, shift, lead);
    zj_ops->flags(lead, ((uint32_t)1 << (width - shift)) - 1, where);
    for (size_t word = 0; word < ZJ_BLOCK / 64; word++)
        for (uint64_t bits = where[word]; bits; bits &= bits - 1) {
            const size_t i = 64 * word + (size_t)__builtin_ctzll(bits);
            highs[found++] = (int64_t)(((uint64_t)v[i] - base) >> width);
        }
    return found;
}

/* Width to pack a whole block in so that packed values and patches are smallest; `full` when no patch
 * pays. Few widths are tried: patches grow fast as the width falls, and end at ZJ_PATCHES_MAX. */
static int zj_patched_width(const int64_t *v, uint64_t base, int full) {
    const int shift = full > 32 ? full - 32 : 0;
    uint32_t lead[ZJ_BLOCK];
    size_t least = 64 * (size_t)full;
    int best = full;
    if (full == 0) return 0;
    zj_ops->offsets(v, ZJ_BLOCK, base, shift, lead);
    for (int width = full - 1; width >= shift; width--) {
        const size_t patches = zj_ops->above(lead, ((uint32_t)1 << (width - shift)) - 1);
        const size_t bytes = 64 * (size_t)width + zj_places_bytes(patches) +
                             (patches * (size_t)(full - width) + 7) / 8;
        if (patches > ZJ_PATCHES_MAX) break;
        if (bytes < least) {
            least = bytes;
            best = width;
        }
    }
    return best;
}

/* highs: scratch of ZJ_PAGE_ROWS / 2 values. */
static void zj_plan_section(const int64_t *v, size_t n, zj_plan *plan, int64_t *highs) {
    const size_t whole = n / ZJ_BLOCK;
    zj_frames *frames = &plan->frames;
    size_t bytes, saved = 0;
    zj_plan_frames(v, n, frames);
    plan->bytes = frames->bytes;
    plan->patches = 0;
    for (size_t b = 0; b < whole; b++) {
        const uint64_t base = (uint64_t)frames->low + frames->bases[b];
        plan->widths[b] = (uint8_t)zj_patched_width(v + b * ZJ_BLOCK, base, frames->widths[b]);
        saved += 64 * (size_t)(frames->widths[b] - plan->widths[b]);
    }
    if (n % ZJ_BLOCK) plan->widths[whole] = frames->widths[whole];
    bytes = frames->bytes - saved + 2 * whole;
    if (!zj_pays(bytes, frames->bytes)) return;
    size_t patches = 0;
    for (size_t b = 0; b < whole; b++) {
        uint64_t where[ZJ_BLOCK / 64];
        const uint64_t base = (uint64_t)frames->low + frames->bases[b];
        if (plan->widths[b] == frames->widths[b]) continue;
        const size_t found = zj_split(v + b * ZJ_BLOCK, base, plan->widths[b], frames->widths[b],
                                      where, highs + patches);
        patches += found;
        bytes += zj_places_bytes(found);
    }
    zj_plan_frames(highs, patches, &plan->highs);
    bytes += plan->highs.bytes;
    if (!zj_pays(bytes, frames->bytes)) return;
    plan->bytes = bytes;
    plan->patches = patches;
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

/* Reference, form, widths and bases; returns the bytes written. */
static size_t zj_write_head(const zj_frames *frames, const uint8_t *widths, size_t blocks, int form,
                            uint8_t *out) {
    uint8_t *p = out;
    memcpy(p, &frames->low, 8);
    p[8] = (uint8_t)(frames->base_bytes | form);
    p += ZJ_SECTION_HEAD;
    memcpy(p, widths, blocks);
    p += blocks;
    for (size_t b = 0; b < blocks; b++, p += frames->base_bytes)
        memcpy(p, &frames->bases[b], (size_t)frames->base_bytes);
    return (size_t)(p - out);
}

/* The low widths[b] bits of every block; returns the bytes written. */
static size_t zj_write_blocks(const int64_t *v, size_t n, const zj_frames *frames,
                              const uint8_t *widths, uint8_t *out) {
    const size_t blocks = zj_blocks(n);
    uint32_t half[ZJ_BLOCK];
    uint8_t *p = out;
    for (size_t b = 0; b < blocks; b++) {
        const size_t rows = zj_block_rows(n, b);
        const int64_t *values = v + b * ZJ_BLOCK;
        const int width = widths[b];
        const uint64_t base = (uint64_t)frames->low + frames->bases[b];
        if (width == 0) continue;
        if (rows < ZJ_BLOCK) {
            zj_pack_tail(values, rows, base, width, p);
        } else {
            zj_ops->offsets(values, rows, base, 0, half);
            if (width < 32 && width < frames->widths[b]) zj_ops->mask(half, ((uint32_t)1 << width) - 1);
            zj_ops->pack(half, p, width < 32 ? width : 32);
            if (width > 32) {
                zj_ops->offsets(values, rows, base, 32, half);
                if (width < frames->widths[b]) zj_ops->mask(half, ((uint32_t)1 << (width - 32)) - 1);
                zj_ops->pack(half, p + 64 * 32, width - 32);
            }
        }
        p += zj_packed_bytes(rows, width);
    }
    return (size_t)(p - out);
}

/* Writes plan->bytes bytes. highs: scratch as in zj_plan_section. */
static size_t zj_write_section(const int64_t *v, size_t n, const zj_plan *plan, uint8_t *out,
                               int64_t *highs) {
    const zj_frames *frames = &plan->frames;
    const size_t blocks = zj_blocks(n), whole = n / ZJ_BLOCK;
    uint8_t *p = out;
    if (plan->patches == 0) {
        p += zj_write_head(frames, frames->widths, blocks, 0, p);
        p += zj_write_blocks(v, n, frames, frames->widths, p);
        return (size_t)(p - out);
    }
    p += zj_write_head(frames, plan->widths, blocks, ZJ_PATCHED, p);
    uint8_t *counts = p;
    p += 2 * whole;
    p += zj_write_blocks(v, n, frames, plan->widths, p);
    size_t patches = 0;
    for (size_t b = 0; b < whole; b++, counts += 2) {
        const uint64_t base = (uint64_t)frames->low + frames->bases[b];
        uint64_t where[ZJ_BLOCK / 64];
        counts[0] = counts[1] = 0;
        if (plan->widths[b] == frames->widths[b]) continue;
        const size_t found = zj_split(v + b * ZJ_BLOCK, base, plan->widths[b], frames->widths[b],
                                      where, highs + patches);
        for (size_t word = 0; word < ZJ_BLOCK / 64; word++)
            counts[word / 4] += (uint8_t)__builtin_popcountll(where[word]);
        if (found >= ZJ_PLACES_BITMAP) {
            memcpy(p, where, sizeof where);
            p += sizeof where;
        } else {
            for (size_t word = 0; word < ZJ_BLOCK / 64; word++)
                for (uint64_t bits = where[word]; bits; bits &= bits - 1)
                    *p++ = (uint8_t)(64 * word + (size_t)__builtin_ctzll(bits));
        }
        patches += found;
    }
    p += zj_write_head(&plan->highs, plan->highs.widths, zj_blocks(patches), 0, p);
    p += zj_write_blocks(highs, patches, &plan->highs, plan->highs.widths, p);
    return (size_t)(p - out);
}

/* 0, or -1 when the bytes are not a section of n values that fills exactly `size` bytes. */
static int zj_check_section(const uint8_t *in, size_t size, size_t n, int may_patch) {
    const size_t blocks = zj_blocks(n), whole = n / ZJ_BLOCK;
    size_t need;
    if (n == 0 || n > ZJ_PAGE_ROWS || size < ZJ_SECTION_HEAD) return -1;
    const int patched = in[8] & ZJ_PATCHED;
    const uint8_t wide = (uint8_t)(in[8] & ~ZJ_PATCHED);
    if (!(wide == 0 || wide == 1 || wide == 2 || wide == 4 || wide == 8)) return -1;
    if (patched && !may_patch) return -1;
    need = ZJ_SECTION_HEAD + blocks * (1 + (size_t)wide);
    const uint8_t *counts = in + need;
    if (patched) need += 2 * whole;
    if (size < need) return -1;
    for (size_t b = 0; b < blocks; b++) {
        const int width = in[ZJ_SECTION_HEAD + b];
        if (width > 64) return -1;
        need += zj_packed_bytes(zj_block_rows(n, b), width);
    }
    if (!patched) return need == size ? 0 : -1;
    size_t patches = 0;
    for (size_t b = 0; b < whole; b++, counts += 2) {
        const size_t found = (size_t)counts[0] + counts[1];
        if (found == 0) continue;
        const size_t places = zj_places_bytes(found);
        if (in[ZJ_SECTION_HEAD + b] > 63 || need > size || places > size - need) return -1;
        if (found >= ZJ_PLACES_BITMAP) {
            uint64_t where[ZJ_BLOCK / 64];
            size_t set[2] = {0, 0};
            memcpy(where, in + need, sizeof where);
            for (size_t word = 0; word < ZJ_BLOCK / 64; word++)
                set[word / 4] += (size_t)__builtin_popcountll(where[word]);
            if (set[0] != counts[0] || set[1] != counts[1]) return -1;
        }
        need += places;
        patches += found;
    }
    if (need > size) return -1;
    return zj_check_section(in + need, size - need, patches, 0);
}

/* Bytes of the packed blocks of a checked section. */
static inline size_t zj_all_packed(const uint8_t *widths, size_t n) {
    const size_t blocks = zj_blocks(n);
    size_t bytes = 0;
    for (size_t b = 0; b < blocks; b++) bytes += zj_packed_bytes(zj_block_rows(n, b), widths[b]);
    return bytes;
}

/* First byte of the high bits of a checked patched section, and how many there are. */
static const uint8_t *zj_find_highs(const uint8_t *counts, const uint8_t *places, size_t whole,
                                    size_t *patches) {
    *patches = 0;
    for (size_t b = 0; b < whole; b++, counts += 2) {
        const size_t found = (size_t)counts[0] + counts[1];
        places += zj_places_bytes(found);
        *patches += found;
    }
    return places;
}

/* zj_read_section_T decodes n values to T; highs is scratch of ZJ_PAGE_ROWS values, used only by
 * patched sections. REQUIRES: zj_check_section(in, ., n, .) == 0. */
#define ZJ_READ_BLOCKS(T)                                                                       \
    static inline void zj_read_block_##T(const uint8_t *p, size_t rows, int width,              \
                                         uint64_t base, T *out) {                               \
        uint32_t low[ZJ_BLOCK], high[ZJ_BLOCK];                                                 \
        if (width == 0) {                                                                       \
            for (size_t i = 0; i < rows; i++) out[i] = (T)base;                                 \
            return;                                                                             \
        }                                                                                       \
        if (rows < ZJ_BLOCK) {                                                                  \
            zj_unpack_tail(p, zj_packed_bytes(rows, width), rows, width, low, high);            \
        } else {                                                                                \
            zj_ops->unpack(p, low, width < 32 ? width : 32);                                    \
            if (width > 32) zj_ops->unpack(p + 64 * 32, high, width - 32);                      \
        }                                                                                       \
        if (width > 32) zj_ops->add2_##T(low, high, rows, base, out);                           \
        else zj_ops->add_##T(low, rows, base, out);                                             \
    }
ZJ_READ_BLOCKS(uint8_t)
ZJ_READ_BLOCKS(uint16_t)
ZJ_READ_BLOCKS(uint32_t)
ZJ_READ_BLOCKS(int64_t)

static inline uint64_t zj_base(const uint8_t *in, const uint8_t *bases, size_t b, int wide) {
    uint64_t base = 0, reference;
    memcpy(&reference, in, 8);
    memcpy(&base, bases + b * (size_t)wide, (size_t)wide);
    return reference + base;
}

/* The high bits of patches: a section that is not patched itself. */
static void zj_read_highs(const uint8_t *in, size_t n, uint32_t *out) {
    const size_t blocks = zj_blocks(n);
    const int wide = in[8];
    const uint8_t *widths = in + ZJ_SECTION_HEAD, *bases = widths + blocks;
    const uint8_t *p = bases + blocks * (size_t)wide;
    for (size_t b = 0; b < blocks; b++) {
        const size_t rows = zj_block_rows(n, b);
        zj_read_block_uint32_t(p, rows, widths[b], zj_base(in, bases, b, wide), out + b * ZJ_BLOCK);
        p += zj_packed_bytes(rows, widths[b]);
    }
}

#define ZJ_PATCH(T, value, high, width) \
    (value) = (T)((uint64_t)(value) + ((uint64_t)(high) << (width)))

#define ZJ_READ_SECTION(T)                                                                      \
    static void zj_read_section_##T(const uint8_t *in, size_t n, T *out, uint32_t *highs) {     \
        const size_t blocks = zj_blocks(n), whole = n / ZJ_BLOCK;                               \
        const int wide = in[8] & ~ZJ_PATCHED, patched = in[8] & ZJ_PATCHED;                     \
        const uint8_t *widths = in + ZJ_SECTION_HEAD, *bases = widths + blocks;                 \
        const uint8_t *p = bases + blocks * (size_t)wide, *counts = p, *places = NULL;          \
        if (patched) {                                                                          \
            size_t patches;                                                                     \
            p += 2 * whole;                                                                     \
            places = p + zj_all_packed(widths, n);                                              \
            const uint8_t *found = zj_find_highs(counts, places, whole, &patches);              \
            zj_read_highs(found, patches, highs);                                               \
        }                                                                                       \
        for (size_t b = 0; b < blocks; b++, out += ZJ_BLOCK) {                                  \
            const size_t rows = zj_block_rows(n, b);                                            \
            const int width = widths[b];                                                        \
            zj_read_block_##T(p, rows, width, zj_base(in, bases, b, wide), out);                \
            p += zj_packed_bytes(rows, width);                                                  \
            if (!patched || rows < ZJ_BLOCK) continue;                                          \
            const size_t first = counts[2 * b], all = first + counts[2 * b + 1];                \
            if (all < ZJ_PLACES_BITMAP) {                                                       \
                for (size_t i = 0; i < first; i++)                                              \
                    ZJ_PATCH(T, out[places[i]], highs[i], width);                               \
                for (size_t i = first; i < all; i++)                                            \
                    ZJ_PATCH(T, out[256 + (size_t)places[i]], highs[i], width);                 \
            } else {                                                                            \
                const uint32_t *high = highs;                                                   \
                for (size_t word = 0; word < ZJ_BLOCK / 64; word++) {                           \
                    uint64_t bits;                                                              \
                    memcpy(&bits, places + 8 * word, 8);                                        \
                    for (; bits; bits &= bits - 1)                                              \
                        ZJ_PATCH(T, out[64 * word + (size_t)__builtin_ctzll(bits)], *high++,    \
                                 width);                                                        \
                }                                                                               \
            }                                                                                   \
            places += zj_places_bytes(all);                                                     \
            highs += all;                                                                       \
        }                                                                                       \
    }
ZJ_READ_SECTION(uint8_t)
ZJ_READ_SECTION(uint16_t)
ZJ_READ_SECTION(uint32_t)
ZJ_READ_SECTION(int64_t)

#endif
