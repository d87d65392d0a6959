/* The lanes of one funnel step as sources of rows, and the place of a block of users in them.
 *
 * A source is read forward, a block of ordinals at a time. Of a filtered one the rows of the block that
 * match are copied first, without looking at users: 64 rows make a word of bits, and the bits and a count
 * before each word then tell where each user's rows lie.
 *
 * Times count from a common origin. Where lanes have different bases, rows outside [from, to + window)
 * are left out: nobody needs them, and the others fit.
 */
#ifndef ZUJI_FUNNEL_SOURCES_H
#define ZUJI_FUNNEL_SOURCES_H

#include "funnel_plain.h"

/* Room that grows. */
typedef struct {
    void *own;
    size_t room; /* items */
} zj_room;

/* Room for n items; what was there stays. */
ZJ_INLINE int zj_room_fit(zj_room *r, size_t n, size_t item) {
    if (n <= r->room) return ZJ_OK;
    n += n / 2 + 64;
    void *more = realloc(r->own, n * item);
    if (more == NULL) return ZJ_NO_MEMORY;
    r->own = more;
    r->room = n;
    return ZJ_OK;
}

typedef struct {
    const uint32_t *users, *offsets, *times;
    const uint32_t *steps; /* uint32[n]: rows that match have `bit`; or NULL: all do */
    const uint8_t *mask;   /* uint8[n] or NULL */
    const uint32_t *code;  /* group of each row, uint32[n], or NULL: all 0 */
    uint32_t bit, nu, n, next; /* next: the first user of no block yet */
    int64_t shift;             /* times + shift count from the origin */
    int64_t low, high;         /* rows at times in [low, high) matter */
    int plain;                 /* all rows match */
} zj_source;

/* Rows of the users [first, last) of a source: those of user first + i are [offsets[i], offsets[i + 1]). */
typedef struct {
    const uint32_t *users, *offsets, *times, *code;
    uint32_t count, n; /* n: rows that may be read */
} zj_slices;

/* Where matching rows of one block are copied to. */
typedef struct {
    zj_room times, code, offsets, words;
} zj_picked;

/* Step s of lane l. */
static zj_source zj_source_of(const zj_funnel *f, int l, int s, int64_t origin, const uint32_t *const *code) {
    const zj_lane *lane = &f->lanes[l];
    return (zj_source){
        .users = lane->users,
        .offsets = lane->offsets,
        .times = lane->times,
        .steps = f->row_mask[l],
        .mask = lane->mask,
        .code = code ? code[l] : NULL,
        .bit = 1u << s,
        .nu = lane->nu,
        .n = lane->n,
        .shift = lane->base - origin,
        .low = f->from - lane->base,
        .high = f->to + f->window - lane->base,
        .plain = !f->row_mask[l] && !lane->mask,
    };
}

/* First place in [p, nu) of a user >= user. */
static uint32_t zj_users_seek(const uint32_t *users, uint32_t p, uint32_t nu, uint32_t user) {
    uint32_t step = 1, high;
    if (p >= nu || users[p] >= user) return p;
    for (; nu - p > step && users[p + step] < user; step *= 2) p += step;
    high = nu - p > step ? p + step : nu; /* users[p] < user <= users[high] */
    while (high - p > 1) {
        const uint32_t middle = p + (high - p) / 2;
        if (users[middle] < user) p = middle;
        else high = middle;
    }
    return high;
}

/* First row of [a, b) at or after t. */
ZJ_INLINE uint32_t zj_row_seek(const uint32_t *times, uint32_t a, uint32_t b, int64_t t) {
    while (a < b) {
        const uint32_t middle = a + (b - a) / 2;
        if (times[middle] < t) a = middle + 1;
        else b = middle;
    }
    return a;
}

/* Cuts a user's rows [*a, *b) to those in [low, high). */
ZJ_INLINE void zj_slice_cut(const uint32_t *times, int64_t low, int64_t high, uint32_t *a, uint32_t *b) {
    if (*a < *b && times[*a] < low) *a = zj_row_seek(times, *a, *b, low);
    if (*a < *b && times[*b - 1] >= high) *b = zj_row_seek(times, *a, *b, high);
}

/* Which of `rows` <= 64 rows from r on match: a bit each. */
ZJ_INLINE uint64_t zj_source_bits(const zj_source *from, uint32_t r, uint32_t rows) {
    uint64_t bits = 0;
    if (from->steps) {
        for (uint32_t i = 0; i < rows; i++) bits |= (uint64_t)((from->steps[r + i] & from->bit) != 0) << i;
    } else if (rows == 64) {
        for (uint32_t i = 0; i < 64; i += 8) { /* eight bytes to their "not 0", to eight bits */
            uint64_t x;
            memcpy(&x, from->mask + r + i, 8);
            x = (((x & 0x7F7F7F7F7F7F7F7Full) + 0x7F7F7F7F7F7F7F7Full) | x) >> 7 & 0x0101010101010101ull;
            bits |= x * 0x0102040810204080ull >> 56 << i;
        }
        return bits;
    } else {
        bits = (1ull << rows) - 1;
    }
    for (uint32_t i = 0; from->mask && i < rows; i++) bits &= ~((uint64_t)!from->mask[r + i] << i);
    return bits;
}

/* Copies the rows [a, b) that match, whose words of bits and counts before them are noted. */
ZJ_CLONES static uint32_t zj_source_pick(const zj_source *from, uint32_t a, uint32_t b, uint64_t *bits,
                                         uint32_t *before, uint32_t *times, uint32_t *code) {
    uint32_t n = 0;
    for (uint32_t r = a, i = 0; r < b; r += 64, i++) {
        uint64_t left = bits[i] = zj_source_bits(from, r, b - r < 64 ? b - r : 64);
        before[i] = n;
        if (code) {
            uint32_t *out = code + n;
            for (uint64_t more = left; more; more &= more - 1)
                *out++ = from->code ? from->code[r + (uint32_t)__builtin_ctzll(more)] : 0;
        }
        for (; left; left &= left - 1) times[n++] = from->times[r + (uint32_t)__builtin_ctzll(left)];
    }
    return n;
}

/* The slices of a filtered source: copies of the rows that match. */
ZJ_CLONES static int zj_slices_filter(const zj_source *from, zj_picked *to, int coded, zj_slices *slices) {
    const uint32_t count = slices->count, a = slices->offsets[0], b = slices->offsets[count];
    const size_t rows = b - a, words = rows / 64 + 2;
    if (zj_room_fit(&to->times, rows + 1, 4) != ZJ_OK || zj_room_fit(&to->code, coded ? rows + 1 : 0, 4) != ZJ_OK ||
        zj_room_fit(&to->offsets, (size_t)count + 1, 4) != ZJ_OK || zj_room_fit(&to->words, words, 12) != ZJ_OK)
        return ZJ_NO_MEMORY;
    uint32_t *times = (uint32_t *)to->times.own, *code = coded ? (uint32_t *)to->code.own : NULL;
    uint32_t *offsets = (uint32_t *)to->offsets.own, *before;
    uint64_t *bits = (uint64_t *)to->words.own;
    before = (uint32_t *)(bits + words);
    const uint32_t n = zj_source_pick(from, a, b, bits, before, times, code);
    if (rows % 64 == 0) { /* the end lies in a word of its own */
        bits[rows / 64] = 0;
        before[rows / 64] = n;
    }
    for (uint32_t i = 0; i <= count; i++) {
        const uint32_t o = slices->offsets[i] - a;
        offsets[i] = before[o / 64] + (uint32_t)__builtin_popcountll(bits[o / 64] & ((1ull << o % 64) - 1));
    }
    slices->offsets = offsets;
    slices->times = times;
    slices->code = code;
    slices->n = n;
    return ZJ_OK;
}

/* Rows of the source's users in [base, base + block); returns how many rows were read. */
static int zj_source_block(zj_source *from, uint32_t base, uint32_t block, zj_picked *to, int coded, zj_slices *slices,
                           uint32_t *rows) {
    const uint32_t first = zj_users_seek(from->users, from->next, from->nu, base);
    uint32_t last = first;
    if (first < from->nu && from->users[first] - base < block)
        last = from->users[from->nu - 1] - base < block ? from->nu
                                                        : zj_users_seek(from->users, first, from->nu, base + block);
    from->next = last;
    if (last == first && first < from->nu && from->users[first] - base < block) last++; /* users do not ascend */
    *slices = (zj_slices){from->users + first, from->offsets + first, from->times, from->code, last - first, from->n};
    *rows += from->offsets[last] - from->offsets[first];
    return first == last || from->plain ? ZJ_OK : zj_slices_filter(from, to, coded, slices);
}

static void zj_picked_close(zj_picked *p) {
    free(p->times.own);
    free(p->code.own);
    free(p->offsets.own);
    free(p->words.own);
}

#endif
