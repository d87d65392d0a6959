/* Users of each period as rows of bits, from rows of events. */
#ifndef ZUJI_ROWS_BITS_H
#define ZUJI_ROWS_BITS_H

#include "buckets.h"

/* Rows of bits of one word of 64 users, close together. `met`: a byte a row, whether it may have a bit. */
typedef struct {
    uint64_t *once, *twice;
    uint8_t *met; /* [rows + 7] */
    size_t rows;
} zb_word;

static int zb_word_open(zb_word *w, size_t rows) {
    w->rows = rows;
    w->once = (uint64_t *)calloc(1, rows * 2 * sizeof(uint64_t) + rows + 7);
    if (w->once == NULL) return ZJ_NO_MEMORY;
    w->twice = w->once + rows;
    w->met = (uint8_t *)(w->twice + rows);
    return ZJ_OK;
}

/* Out to the rows, and cleared. Most words have bits in few rows: a run has the days of its segment. */
ZJ_INLINE void zb_word_out(zb_word *w, uint64_t *users, uint64_t *multi, size_t words, size_t word) {
    for (size_t i = 0; i < w->rows; i += 8) {
        uint64_t some;
        memcpy(&some, w->met + i, 8);
        for (; some; some &= some - 1) {
            const size_t p = i + (size_t)__builtin_ctzll(some) / 8;
            uint64_t *to = users + p * words + word;
            if (multi) multi[p * words + word] |= w->twice[p] | (*to & w->once[p]);
            *to |= w->once[p];
            w->once[p] = w->twice[p] = 0;
        }
        memset(w->met + i, 0, 8);
    }
}

/* Sets the bit of every user in the row of every period in which it has a row that passes; in `multi`
 * (or NULL) where it has two or more. Row 0 is before the first edge, row p + 1 period p, the last one
 * from the last edge on. users, multi: [periods + 2, words]; `scratch` of as many rows, all 0.
 * O(rows). */
ZJ_CLONES static int zb_rows_bits(const zj_lane *lane, const zj_buckets *buckets, uint64_t *users, uint64_t *multi,
                                  size_t words, zb_word *scratch, zj_guard *guard) {
    const zj_buckets bucket = *buckets;
    zb_word w = *scratch;
    size_t word = 0;
    for (uint32_t i = 0; i < lane->nu; i++) {
        const uint32_t user = lane->users[i], a = lane->offsets[i], b = lane->offsets[i + 1];
        const uint64_t bit = 1ull << (user & 63);
        if (user >> 6 != word) {
            zb_word_out(&w, users, multi, words, word);
            word = user >> 6;
        }
        if (word >= words) return ZJ_REJECTED;
        for (uint32_t r = a; r < b; r++) { /* no branch: which rows pass cannot be foreseen */
            const int32_t p = zj_bucket(&bucket, lane->times[r]) + 1;
            const uint64_t set = zj_passes(lane, r) ? bit : 0;
            w.twice[p] |= w.once[p] & set;
            w.once[p] |= set;
            w.met[p] = 1;
        }
        if (zj_stop(guard, b - a + 1)) return ZJ_CANCELLED;
    }
    if (word < words) zb_word_out(&w, users, multi, words, word);
    return ZJ_OK;
}

#endif
