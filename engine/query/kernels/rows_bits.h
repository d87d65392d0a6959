/* Users of each period as rows of bits, from rows of events. */
#ifndef ZUJI_ROWS_BITS_H
#define ZUJI_ROWS_BITS_H

#include "buckets.h"

/* The bits of one word of 64 users in the rows [low, high), close together; then out to the rows. */
ZJ_INLINE void zb_word_out(uint64_t *once, uint64_t *twice, size_t low, size_t high, uint64_t *users, uint64_t *multi,
                           size_t words, size_t word) {
    for (size_t p = low; p < high; p++) {
        uint64_t *to = users + p * words + word;
        if (multi) multi[p * words + word] |= twice[p] | (*to & once[p]);
        *to |= once[p];
    }
    memset(once + low, 0, (high - low) * sizeof *once);
    memset(twice + low, 0, (high - low) * sizeof *twice);
}

/* Rows that the lane's times lie in, [*low, *high): a segment among several has few of the days. */
ZJ_INLINE void zb_rows_met(const zj_lane *lane, const zj_buckets *bucket, size_t *low, size_t *high) {
    uint32_t least = 0xFFFFFFFFu, most = 0;
    for (uint32_t r = 0; r < lane->n; r++) {
        least = lane->times[r] < least ? lane->times[r] : least;
        most = lane->times[r] > most ? lane->times[r] : most;
    }
    *low = (size_t)(zj_bucket(bucket, least) + 1);
    *high = lane->n ? (size_t)(zj_bucket(bucket, most) + 2) : *low;
}

/* Sets the bit of every user in the row of every period in which it has a row that passes; in `multi`
 * (or NULL) where it has two or more. Row 0 is before the first edge, row p + 1 period p, the last one
 * from the last edge on. users, multi: [periods + 2, words]; scratch: [2 * (periods + 2)] of 0.
 * O(rows). */
ZJ_CLONES static int zb_rows_bits(const zj_lane *lane, const zj_buckets *buckets, uint64_t *users, uint64_t *multi,
                                  size_t words, uint64_t *scratch, zj_guard *guard) {
    const zj_buckets bucket = *buckets;
    uint64_t *once = scratch, *twice = scratch + bucket.count + 2;
    size_t word = 0, low, high;
    zb_rows_met(lane, &bucket, &low, &high);
    for (uint32_t i = 0; i < lane->nu; i++) {
        const uint32_t user = lane->users[i], a = lane->offsets[i], b = lane->offsets[i + 1];
        const uint64_t bit = 1ull << (user & 63);
        if (user >> 6 != word) {
            zb_word_out(once, twice, low, high, users, multi, words, word);
            word = user >> 6;
        }
        if (word >= words) return ZJ_REJECTED;
        for (uint32_t r = a; r < b; r++) { /* no branch: which rows pass cannot be foreseen */
            const int32_t p = zj_bucket(&bucket, lane->times[r]) + 1;
            const uint64_t set = zj_passes(lane, r) ? bit : 0;
            twice[p] |= once[p] & set;
            once[p] |= set;
        }
        if (zj_stop(guard, b - a + 1)) return ZJ_CANCELLED;
    }
    if (word < words) zb_word_out(once, twice, low, high, users, multi, words, word);
    return ZJ_OK;
}

#endif
