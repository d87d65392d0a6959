/* Users of each period as rows of bits, from rows of events. */
#ifndef ZUJI_ROWS_BITS_H
#define ZUJI_ROWS_BITS_H

#include "buckets.h"

/* Sets the bit of every user in the row of every period in which it has a row that passes; in `multi`
 * (or NULL) where it has two or more. Row 0 is before the first edge, row p + 1 period p, the last one
 * from the last edge on. users, multi: [periods + 2, words]. O(rows). */
ZJ_CLONES static int zb_rows_bits(const zj_lane *lane, const zj_buckets *buckets, uint64_t *users, uint64_t *multi,
                                  size_t words, zj_guard *guard) {
    const zj_buckets bucket = *buckets;
    for (uint32_t i = 0; i < lane->nu; i++) {
        const uint32_t user = lane->users[i], a = lane->offsets[i], b = lane->offsets[i + 1];
        const size_t word = user >> 6;
        const uint64_t bit = 1ull << (user & 63);
        if (word >= words) return ZJ_REJECTED;
        for (uint32_t r = a; r < b; r++) {
            if (!zj_passes(lane, r)) continue;
            const size_t at = (size_t)(zj_bucket(&bucket, lane->times[r]) + 1) * words + word;
            if (multi) multi[at] |= users[at] & bit;
            users[at] |= bit;
        }
        if (zj_stop(guard, b - a + 1)) return ZJ_CANCELLED;
    }
    return ZJ_OK;
}

#endif
