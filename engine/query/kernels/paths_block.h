/* Blocks of session paths: the rows of whole users, in order, as times and codes beside each other.
 *
 * The interleave of a source names the run of every row in the order (ordinal, time, tie): a row's time
 * is the next one of its run. Two sources of one partition are merged by (time, rank) where their rows
 * of a user overlap.
 */
#ifndef ZUJI_PATHS_BLOCK_H
#define ZUJI_PATHS_BLOCK_H

#include "paths_streams.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#define ZP_AVX512
#endif

#define ZP_BLOCK 4096u  /* rows of a block; more when one user has more */
#define ZP_PAST 48u     /* readable bytes after the codes of a block: a key is read whole */
#define ZP_COPY 16u     /* rows copied at once; a block has room for as many more than asked for */

typedef struct {
    int64_t *time;   /* [room] */
    uint8_t *code;   /* [room * width + ZP_PAST] code + 1, or 0 where no step is; width 8: an item */
    uint64_t *first; /* [room / 64 + 1] rows that begin a session */
    uint32_t *begin; /* [room + 1] the same as a list, and the end */
    size_t room, n;
} zp_block;

static void zp_block_close(zp_block *b) {
    free(b->time);
    free(b->code);
    free(b->first);
    free(b->begin);
}

/* Room for `more` rows after those there. */
static int zp_block_reserve(zp_block *b, size_t more, size_t width) {
    if (b->n + more + ZP_COPY <= b->room) return ZJ_OK;
    const size_t room = (b->n + more + ZP_COPY) * 2;
    void *p;
    if ((p = realloc(b->time, room * 8)) == NULL) return ZJ_NO_MEMORY;
    b->time = (int64_t *)p;
    if ((p = realloc(b->code, room * width + ZP_PAST)) == NULL) return ZJ_NO_MEMORY;
    b->code = (uint8_t *)p;
    if ((p = realloc(b->first, (room / 64 + 1) * 8)) == NULL) return ZJ_NO_MEMORY;
    b->first = (uint64_t *)p;
    if ((p = realloc(b->begin, (room + 1) * 4)) == NULL) return ZJ_NO_MEMORY;
    b->begin = (uint32_t *)p;
    b->room = room;
    return ZJ_OK;
}

/* An item of eight bytes: code + 1, whether the row opens a path, its group. */
#define ZP_OPENS 32
#define ZP_GROUP 33

ZJ_INLINE void zp_put(uint8_t *codes, size_t at, uint64_t code, const size_t width) {
    const uint16_t narrow = (uint16_t)code;
    if (width == 1) codes[at] = (uint8_t)code;
    else if (width == 2) memcpy(codes + 2 * at, &narrow, 2);
    else memcpy(codes + 8 * at, &code, 8);
}

ZJ_INLINE uint64_t zp_get(const uint8_t *codes, size_t at, const size_t width) {
    uint16_t narrow;
    uint64_t wide;
    if (width == 1) return codes[at];
    if (width == 2) {
        memcpy(&narrow, codes + 2 * at, 2);
        return narrow;
    }
    memcpy(&wide, codes + 8 * at, 8);
    return wide;
}

/* What a row is to a path. code: that of its run. */
ZJ_INLINE uint64_t zp_item(const zp_run *run, size_t row, uint64_t code, const size_t width) {
    if (run->mask && !run->mask[row]) return 0;
    if (width < 8 || code == 0) return code;
    if (run->node) code = (uint64_t)run->node[row] + 1;
    code |= (uint64_t)(run->opens ? run->opens[row] != 0 : run->open) << ZP_OPENS;
    return run->group ? code | (uint64_t)run->group[row] << ZP_GROUP : code;
}

/* Appends the next m rows of a source to the block, which has room. plain: every row is seen, and a
 * step. narrow: bytes of a row of the interleave are 1. */
ZJ_INLINE int zp_take_as(zp_source *source, size_t m, zp_block *block, const int plain, const int narrow,
                         const size_t width) {
    const uint32_t **const next = source->time, **const end = source->time_end;
    const uint32_t *const codes = source->code;
    const int64_t base = source->base;
    while (m) {
        if (source->left == 0 && zp_move_rows(source) != ZJ_OK) return ZJ_REJECTED;
        const uint32_t k = m < source->left ? (uint32_t)m : source->left;
        const uint8_t *const at = (const uint8_t *)source->at;
        int64_t *const restrict time = block->time + block->n;
        uint8_t *const restrict code = block->code + block->n * width;
        size_t n = 0;
        for (size_t j = 0; j < k; j++) {
            const size_t r = narrow ? at[j] : ((const uint16_t *)(const void *)at)[j];
            if (__builtin_expect(next[r] == end[r], 0) &&
                zp_move(&next[r], &end[r], &source->run[r].time) != ZJ_OK)
                return ZJ_REJECTED;
            const uint32_t *const p = next[r];
            next[r] = p + 1;
            time[plain ? j : n] = base + (int64_t)*p;
            if (plain) {
                zp_put(code, j, codes[r], width);
            } else {
                const zp_run *run = &source->run[r];
                const size_t row = run->time.before + (size_t)(p - run->time.start);
                zp_put(code, n, zp_item(run, row, codes[r], width), width);
                n += (size_t)run->kept;
            }
        }
        block->n += plain ? k : n;
        source->at = at + (narrow ? k : 2 * (size_t)k);
        source->left -= k;
        m -= k;
    }
    return ZJ_OK;
}

/* The same of a source that is laid out. Every row is seen. */
ZJ_INLINE int zp_take_laid(zp_source *source, size_t m, zp_block *block, const int plain, const int narrow,
                           const size_t width) {
    const uint32_t *const codes = source->code;
    const int64_t base = source->base;
    while (m) {
        if (source->left == 0 && zp_move_rows(source) != ZJ_OK) return ZJ_REJECTED;
        const uint32_t k = m < source->left ? (uint32_t)m : source->left;
        const uint8_t *const at = (const uint8_t *)source->at;
        const uint32_t *const from = source->laid;
        int64_t *const restrict time = block->time + block->n;
        uint8_t *const restrict code = block->code + block->n * width;
        for (size_t j = 0; j < k; j++) time[j] = base + (int64_t)from[j];
        if (plain && width == 1 && source->same >= 0) {
            memset(code, source->same, k);
        } else {
            for (size_t j = 0; j < k; j++) {
                const size_t r = narrow ? at[j] : ((const uint16_t *)(const void *)at)[j];
                zp_run *run = &source->run[r];
                if (!plain && run->taken == run->rows) return ZJ_REJECTED;
                zp_put(code, j, plain ? codes[r] : zp_item(run, run->taken++, codes[r], width), width);
            }
        }
        block->n += k;
        source->laid += k;
        source->at = at + (narrow ? k : 2 * (size_t)k);
        source->left -= k;
        m -= k;
    }
    return ZJ_OK;
}

/* A function for each case, called: inlined, its loop runs out of registers. */
#define ZP_TAKE(plain, narrow, width)                                                                      \
    static __attribute__((noinline)) int zp_take_##plain##narrow##width(zp_source *source, size_t m,       \
                                                                        zp_block *block) {                 \
        return source->laid ? zp_take_laid(source, m, block, plain, narrow, width)                         \
                            : zp_take_as(source, m, block, plain, narrow, width);                          \
    }
ZP_TAKE(0, 0, 1)
ZP_TAKE(0, 0, 2)
ZP_TAKE(0, 1, 1)
ZP_TAKE(0, 1, 2)
ZP_TAKE(0, 0, 8)
ZP_TAKE(0, 1, 8)
ZP_TAKE(1, 0, 1)
ZP_TAKE(1, 0, 2)
ZP_TAKE(1, 1, 1)
ZP_TAKE(1, 1, 2)
#undef ZP_TAKE

ZJ_INLINE int zp_take(zp_source *source, size_t m, zp_block *block, const int plain, const size_t width) {
    const int narrow = source->width == 1;
    if (width == 8) return narrow ? zp_take_018(source, m, block) : zp_take_008(source, m, block);
    if (plain && width == 1) return narrow ? zp_take_111(source, m, block) : zp_take_101(source, m, block);
    if (plain) return narrow ? zp_take_112(source, m, block) : zp_take_102(source, m, block);
    if (width == 1) return narrow ? zp_take_011(source, m, block) : zp_take_001(source, m, block);
    return narrow ? zp_take_012(source, m, block) : zp_take_002(source, m, block);
}

/* Appends m rows of another block, from `at` on, with room for ZP_COPY more than m. */
ZJ_INLINE void zp_copy(zp_block *to, const zp_block *from, size_t at, size_t m, const size_t width) {
    for (size_t i = 0; i < m; i += ZP_COPY) {
        memcpy(to->time + to->n + i, from->time + at + i, ZP_COPY * 8);
        memcpy(to->code + (to->n + i) * width, from->code + (at + i) * width, ZP_COPY * width);
    }
    to->n += m;
}

/* Brings rows [first, n) of the block, in order, and m rows of another, in order too, to one order, at
 * the end of the block; the former go first at one instant. Most of a newer source is late by little or
 * not at all: what comes after all that is there is copied at once, and for each row before it, from
 * the last, those there move up in one piece. */
static void zp_merge(zp_block *to, size_t first, const zp_block *from, size_t at, size_t m,
                     const size_t width) {
    const int64_t *time = from->time + at;
    size_t late = 0, end = to->n;
    while (late < m && time[late] < to->time[end - 1]) late++;
    to->n += late;
    zp_copy(to, from, at + late, m - late, width);
    while (late) {
        size_t a = end;
        while (a > first && to->time[a - 1] > time[late - 1]) a--;
        memmove(to->time + a + late, to->time + a, (end - a) * 8);
        memmove(to->code + (a + late) * width, to->code + a * width, (end - a) * width);
        end = a;
        late--;
        to->time[a + late] = time[late];
        zp_put(to->code, a + late, zp_get(from->code, at + late, width), width);
    }
}

/* Bit i of out: row i is more than a gap after row i - 1. Row 0 is left to the caller; bits past n are 0. */
static void zp_gaps_plain(const int64_t *time, size_t from, size_t n, int64_t gap, uint64_t *out) {
    for (size_t word = from / 64; word * 64 < n; word++) {
        const size_t to = n - word * 64 < 64 ? n - word * 64 : 64;
        uint64_t bits = 0;
        for (size_t i = word == 0; i < to; i++) {
            const int64_t *t = time + word * 64 + i;
            bits |= (uint64_t)(t[0] - t[-1] > gap) << i;
        }
        out[word] = bits;
    }
}

#ifdef ZP_AVX512
/* Eight rows a comparison. */
__attribute__((target("avx512f"))) static void zp_gaps_512(const int64_t *time, size_t n, int64_t gap,
                                                           uint64_t *out) {
    const __m512i limit = _mm512_set1_epi64(gap);
    size_t word = 1;
    zp_gaps_plain(time, 0, n < 64 ? n : 64, gap, out);
    for (; word * 64 + 64 <= n; word++) {
        uint64_t bits = 0;
        for (int byte = 0; byte < 8; byte++) {
            const int64_t *t = time + word * 64 + 8 * byte;
            const __m512i step = _mm512_sub_epi64(_mm512_loadu_si512(t), _mm512_loadu_si512(t - 1));
            bits |= (uint64_t)_mm512_cmpgt_epi64_mask(step, limit) << (8 * byte);
        }
        out[word] = bits;
    }
    zp_gaps_plain(time, word * 64, n, gap, out);
}
#endif

static void zp_gaps(const int64_t *time, size_t n, int64_t gap, uint64_t *out) {
#ifdef ZP_AVX512
    if (__builtin_cpu_supports("avx512f")) {
        zp_gaps_512(time, n, gap, out);
        return;
    }
#endif
    zp_gaps_plain(time, 0, n, gap, out);
}

#endif
