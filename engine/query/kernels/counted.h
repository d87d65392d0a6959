/* The rows of a block that count, drawn together: in what each is counted, and where users change.
 *
 * Whether rows count is kept in bits, 64 rows a word: `counts` rows that count, `starts` first rows of users,
 * `fresh` first rows that count of each user. Fresh rows are found without looking at rows: rows that do not
 * count are runs of ones in ~counts, and adding the starts within a run carries out of its end, onto the
 * next row that counts. Drawn together, a row is a number: its slot, and ZJ_FRESH where it is fresh.
 * A step is a row that is fresh or in another slot than the row before; rows of a step are counted together.
 *
 * A slot is a code as it is stored (zj_table says its group), or a group or cell itself.
 */
#ifndef ZUJI_COUNTED_H
#define ZUJI_COUNTED_H

#include "buckets.h"
#include "groups.h"

#if defined(__x86_64__) && defined(__GNUC__) && defined(__gnu_linux__)
#include <immintrin.h>
#define ZJ_COMPRESS 1
#endif

#define ZJ_BLOCK 2048u
#define ZJ_WORDS (ZJ_BLOCK / 64)
#define ZJ_FRESH 0x80000000u
#define ZJ_SLOT 0x7FFFFFFFu

typedef struct {
    uint32_t slot[ZJ_BLOCK];
    uint64_t counts[ZJ_WORDS], starts[ZJ_WORDS], fresh[ZJ_WORDS];
    uint8_t in[ZJ_BLOCK];
    uint32_t kept[ZJ_BLOCK + 17];  /* from index 1 on; kept[0] is the row before */
    uint32_t step[ZJ_BLOCK + 18];  /* indices into kept, and one past the last */
    uint32_t words;                /* in use */
} zj_block;

/* ---- bits */

/* Eight bytes of 0 and 1 as bits. */
ZJ_INLINE uint64_t zj_eight_bits(const uint8_t *byte) {
    uint64_t eight;
    memcpy(&eight, byte, 8);
    return eight * 0x0102040810204080ull >> 56;
}

/* Bits of n bytes of 0 and 1. REQUIRES: byte is zero from n to the end of the last word. O(n). */
static void zj_bits_of_bytes(const uint8_t *byte, uint32_t n, uint64_t *bits) {
    for (uint32_t i = 0; i < n; i += 64, byte += 64) {
        uint64_t word = 0;
        for (uint32_t k = 0; k < 64; k += 8) word |= zj_eight_bits(byte + k) << k;
        bits[i >> 6] = word;
    }
}

ZJ_INLINE int zj_bit(const uint64_t *bits, uint32_t at) { return (int)(bits[at >> 6] >> (at & 63)) & 1; }

ZJ_INLINE void zj_clear_bits(uint64_t *bits, uint32_t from, uint32_t to) {
    for (; from < to && (from & 63); from++) bits[from >> 6] &= ~(1ull << (from & 63));
    for (; from + 64 <= to; from += 64) bits[from >> 6] = 0;
    for (; from < to; from++) bits[from >> 6] &= ~(1ull << (from & 63));
}

ZJ_CLONES static uint32_t zj_popcount(const uint64_t *bits, uint32_t words) {
    uint32_t n = 0;
    for (uint32_t w = 0; w < words; w++) n += (uint32_t)__builtin_popcountll(bits[w]);
    return n;
}

/* Fresh rows of a block; `pending`: a user began after the last row that counted. Bits past the block's
 * end count as rows that do not. */
ZJ_INLINE void zj_fresh_rows(const uint64_t *counts, const uint64_t *starts, uint32_t words, uint64_t *pending,
                             uint64_t *fresh) {
    uint64_t carry = *pending;
    for (uint32_t w = 0; w < words; w++) {
        const uint64_t idle = ~counts[w], begun = starts[w] | carry;
        uint64_t sum;
        carry = __builtin_add_overflow(idle, begun & idle, &sum);
        fresh[w] = (sum | begun) & counts[w];
    }
    *pending = carry;
}

/* Where users start in rows [r, r + n); `next`: cursor over the lane's users, moved along. `in` is used up. */
ZJ_INLINE void zj_block_starts(const zj_lane *lane, uint32_t r, uint32_t n, uint32_t *next, zj_block *b) {
    uint32_t u = *next;
    memset(b->in, 0, b->words * 64); /* bytes first: setting bits would wait for the bit before */
    for (; u < lane->nu && lane->offsets[u] < r + n; u++) b->in[lane->offsets[u] - r] = 1;
    zj_bits_of_bytes(b->in, n, b->starts);
    *next = u;
}

/* Rows of users outside the audience do not count; `owner`: another cursor over the lane's users. */
ZJ_INLINE void zj_block_allowed(const zj_lane *lane, const zj_guard *guard, uint32_t r, uint32_t n, uint32_t *owner,
                                zj_block *b) {
    if (guard->allowed == NULL) return;
    for (; *owner < lane->nu && lane->offsets[*owner] < r + n; ++*owner) {
        const uint32_t from = lane->offsets[*owner], to = lane->offsets[*owner + 1];
        if (!zj_allowed(guard, lane->users[*owner]))
            zj_clear_bits(b->counts, from > r ? from - r : 0, to < r + n ? to - r : n);
        if (to > r + n) break; /* goes on in the next block */
    }
}

/* ---- slots */

/* The relative times of one bucket, both ends inside. */
typedef struct {
    uint32_t low, high, never;
} zj_span;

ZJ_INLINE zj_span zj_span_of(const zj_buckets *k) {
    const int64_t after = k->edges[0] - k->base, until = k->edges[1] - k->base - 1, most = 0xFFFFFFFFll;
    zj_span s;
    s.low = after < 0 ? 0 : after > most ? 0xFFFFFFFFu : (uint32_t)after;
    s.high = until < 0 ? 0 : until > most ? 0xFFFFFFFFu : (uint32_t)until;
    s.never = until < 0 || after > most || after > until;
    return s;
}

/* in[i]: row r + i is within the span and passes the filter; times are not read when all are within. */
ZJ_CLONES static void zj_rows_inside(const zj_lane *lane, const zj_span *span, uint32_t r, uint32_t n, uint8_t *in) {
    const uint32_t low = span->low, high = span->high, *times = lane->times + r;
    if (span->never) memset(in, 0, n);
    else if (low == 0 && high == 0xFFFFFFFFu) memset(in, 1, n);
    else
        for (uint32_t i = 0; i < n; i++) in[i] = (uint8_t)((times[i] >= low) & (times[i] <= high));
    if (lane->mask) {
        const uint8_t *mask = lane->mask + r;
        for (uint32_t i = 0; i < n; i++) in[i] &= mask[i] != 0;
    }
}

#define ZJ_TAKE_CODES(TYPE)                                                                            \
    do {                                                                                               \
        const TYPE *codes = (const TYPE *)g->codes + r;                                                \
        for (uint32_t i = 0; i < n; i++) slot[i] = codes[i] < size ? codes[i] : past;                 \
    } while (0)

/* slot[i]: code of row r + i, `past` from `size` on; `absent` where it has no value. REQUIRES: codes. O(n). */
ZJ_CLONES static void zj_slots_of_codes(const zj_groups *g, uint32_t size, uint32_t past, uint32_t absent, uint32_t r,
                                        uint32_t n, uint32_t *slot) {
    if (g->width == 1) ZJ_TAKE_CODES(uint8_t);
    else if (g->width == 2) ZJ_TAKE_CODES(uint16_t);
    else ZJ_TAKE_CODES(uint32_t);
    if (g->present) {
        const uint8_t *present = g->present + r;
        for (uint32_t i = 0; i < n; i++) slot[i] = present[i] ? slot[i] : absent;
    }
}

/* Rows whose slot is not below `end` are not in. */
ZJ_CLONES static void zj_slots_below(const uint32_t *slot, uint32_t n, uint32_t end, uint8_t *in) {
    for (uint32_t i = 0; i < n; i++) in[i] &= slot[i] < end;
}

/* From slots and `in` of rows [r, r + n): which count, and where users start. */
ZJ_INLINE void zj_block_counts(const zj_lane *lane, const zj_guard *guard, uint32_t r, uint32_t n, uint32_t *next,
                               uint32_t *owner, zj_block *b) {
    b->words = (n + 63) / 64;
    for (uint32_t i = n; i < b->words * 64; i++) b->slot[i] = b->in[i] = 0;
    zj_bits_of_bytes(b->in, n, b->counts);
    zj_block_starts(lane, r, n, next, b);
    zj_block_allowed(lane, guard, r, n, owner, b);
}

/* Drops rows whose slot is not set in `some`. */
static __attribute__((noinline)) void zj_slots_among(const uint32_t *slot, uint32_t words, const uint64_t *some,
                                                     uint64_t *counts) {
    for (uint32_t w = 0; w < words; w++) {
        if (counts[w] == 0) continue;
        const uint32_t *of = slot + 64 * w;
        uint64_t word = 0;
        for (uint32_t i = 0; i < 64; i++) word |= (some[of[i] >> 6] >> (of[i] & 63) & 1) << i;
        counts[w] &= word;
    }
}

/* What the slots of a lane stand for. Codes with a table: slots 0 … size - 1 are codes, then "no value", then
 * codes past the table, which are in no group. Else a slot is a group. */
typedef struct {
    uint32_t *group;      /* [size + 1], or NULL: the slot is the group */
    uint64_t *live, *own; /* bits by slot: in a group; in one beside `rest`; NULL: all below `end` are */
    uint32_t size, absent, end; /* codes from `size` on become `end` */
} zj_table;

static void zj_table_close(zj_table *t) {
    free(t->group);
    free(t->live);
    free(t->own);
}

/* groups below ng; `rest` is one of them, or ng: none. O(size of the table). */
static int zj_table_open(zj_table *t, const zj_groups *g, uint32_t ng, uint32_t rest) {
    memset(t, 0, sizeof *t);
    if (g->codes == NULL || g->lut == NULL) {
        t->size = t->end = ng;
        t->absent = g->missing < ng ? g->missing : ng;
        return ZJ_OK;
    }
    const uint32_t size = g->size;
    const size_t words = (size_t)(size + 2) / 64 + 1;
    uint32_t idle = 0, spared = 0;
    t->size = t->absent = size;
    t->end = size + 1;
    t->group = (uint32_t *)malloc(((size_t)size + 1) * sizeof(uint32_t));
    if (t->group == NULL) return ZJ_NO_MEMORY;
    for (uint32_t i = 0; i <= size; i++) {
        const uint32_t to = i < size ? g->lut[i] : g->missing;
        t->group[i] = to < ng ? to : ng;
        idle |= to >= ng && (i < size || g->present != NULL);
        spared |= to == rest;
    }
    spared &= rest < ng;
    if (idle) t->live = (uint64_t *)calloc(words, sizeof(uint64_t));
    if (spared) t->own = (uint64_t *)calloc(words, sizeof(uint64_t));
    if ((idle && t->live == NULL) || (spared && t->own == NULL)) return ZJ_NO_MEMORY;
    for (uint32_t i = 0; idle && i <= size; i++) t->live[i >> 6] |= (uint64_t)(t->group[i] < ng) << (i & 63);
    for (uint32_t i = 0; spared && i <= size; i++)
        t->own[i >> 6] |= (uint64_t)((t->group[i] < ng) & (t->group[i] != rest)) << (i & 63);
    return ZJ_OK;
}

/* Rows [r, r + n) within one span of time: slots are codes, or groups where there is no table. */
ZJ_INLINE void zj_block_of_codes(const zj_lane *lane, const zj_span *span, const zj_groups *groups, const zj_table *t,
                                 const zj_guard *guard, uint32_t r, uint32_t n, uint32_t *next, uint32_t *owner,
                                 zj_block *b) {
    zj_rows_inside(lane, span, r, n, b->in);
    if (groups->codes) zj_slots_of_codes(groups, t->size, t->end, t->absent, r, n, b->slot);
    else memset(b->slot, 0, n * sizeof(uint32_t));
    zj_slots_below(b->slot, n, t->end, b->in);
    zj_block_counts(lane, guard, r, n, next, owner, b);
    if (t->live) zj_slots_among(b->slot, b->words, t->live, b->counts);
}

/* ---- drawing together */

static uint32_t zj_draw_plain(const zj_block *b, uint32_t n, uint32_t *kept) {
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i++) {
        kept[m] = b->slot[i] | (uint32_t)zj_bit(b->fresh, i) << 31;
        m += (uint32_t)zj_bit(b->counts, i);
    }
    return m;
}

static uint32_t zj_steps_plain(const uint32_t *kept, uint32_t m, uint32_t *step) {
    uint32_t steps = 0;
    for (uint32_t i = 1; i <= m; i++) {
        step[steps] = i;
        steps += (i == 1) | (kept[i] >> 31) | ((kept[i] ^ kept[i - 1]) << 1 != 0);
    }
    return steps;
}

#ifdef ZJ_COMPRESS
__attribute__((target("avx512f,popcnt"))) static uint32_t zj_draw_512(const zj_block *b, uint32_t n, uint32_t *kept) {
    const __m512i flag = _mm512_set1_epi32((int)ZJ_FRESH);
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i += 16) {
        const __mmask16 in = (__mmask16)(b->counts[i >> 6] >> (i & 63));
        const __mmask16 fresh = (__mmask16)(b->fresh[i >> 6] >> (i & 63));
        const __m512i slot = _mm512_loadu_si512(b->slot + i);
        const __m512i row = _mm512_mask_or_epi32(slot, fresh, slot, flag);
        _mm512_storeu_si512(kept + m, _mm512_maskz_compress_epi32(in, row));
        m += (uint32_t)__builtin_popcount(in);
    }
    return m;
}

__attribute__((target("avx512f,popcnt"))) static uint32_t zj_steps_512(const uint32_t *kept, uint32_t m,
                                                                        uint32_t *step) {
    const __m512i zero = _mm512_setzero_si512(), up = _mm512_set1_epi32(16);
    __m512i at = _mm512_add_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                  _mm512_set1_epi32(1));
    uint32_t steps = 0;
    for (uint32_t i = 1; i <= m; i += 16) {
        const __m512i row = _mm512_loadu_si512(kept + i), before = _mm512_loadu_si512(kept + i - 1);
        const __m512i other = _mm512_slli_epi32(_mm512_xor_si512(row, before), 1);
        __mmask16 is = _mm512_test_epi32_mask(other, other) | _mm512_cmplt_epi32_mask(row, zero);
        if (i == 1) is |= 1;
        if (m - i < 15) is &= (__mmask16)((2u << (m - i)) - 1);
        _mm512_storeu_si512(step + steps, _mm512_maskz_compress_epi32(is, at));
        steps += (uint32_t)__builtin_popcount(is);
        at = _mm512_add_epi32(at, up);
    }
    return steps;
}
#endif

static int zj_draw_limit = 1; /* for tests */

/* 1 where rows are drawn together by AVX-512, else 0. */
static int zj_draw_isa(void) {
#ifdef ZJ_COMPRESS
    __builtin_cpu_init();
    if (zj_draw_limit > 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("popcnt")) return 1;
#endif
    return 0;
}

/* Rows of the block that count go to kept[1..m]; returns m. */
ZJ_INLINE uint32_t zj_draw(int isa, zj_block *b, uint32_t n) {
#ifdef ZJ_COMPRESS
    if (isa) return zj_draw_512(b, n, b->kept + 1);
#endif
    (void)isa;
    return zj_draw_plain(b, n, b->kept + 1);
}

/* Their steps; returns how many. The first row of a block always is one. step[steps] = m + 1. */
ZJ_INLINE uint32_t zj_draw_steps(int isa, zj_block *b, uint32_t m) {
    uint32_t steps;
#ifdef ZJ_COMPRESS
    if (isa) steps = zj_steps_512(b->kept, m, b->step);
    else
#endif
        steps = zj_steps_plain(b->kept, m, b->step);
    (void)isa;
    b->step[steps] = m + 1;
    return steps;
}

#endif
