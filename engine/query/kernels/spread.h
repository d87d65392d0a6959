/* Values by cell, counted in bins: the leading bits of a double, 0 or more, from a first bin on.
 *
 * What a bin holds is looked at only where a rank falls into it. O(values).
 */
#ifndef ZUJI_SPREAD_H
#define ZUJI_SPREAD_H

#include "lanes.h"

/* pairs, users [cells]: rows of each cell, and owners that have one. Rows of an owner stand together.
 * last [cells]: scratch of 2^32 - 1. */
static int zv_tally(const uint32_t *owner, const uint32_t *cell, size_t n, size_t cells, uint32_t *last, int64_t *pairs,
                    int64_t *users) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t at = cell[i];
        if (at >= cells) return ZJ_REJECTED;
        pairs[at]++;
        users[at] += last[at] != owner[i];
        last[at] = owner[i];
    }
    return ZJ_OK;
}

/* key [n]: cell * bins + bin of each value; count [cells * bins]. */
static int zv_bin(const uint32_t *cell, const double *value, size_t n, int shift, int64_t first, uint64_t bins, uint64_t cells,
                  uint32_t *key, int64_t *count) {
    for (size_t i = 0; i < n; i++) {
        int64_t bits;
        memcpy(&bits, &value[i], 8);
        const uint64_t bin = (uint64_t)((bits >> shift) - first);
        if (bin >= bins || cell[i] >= cells) return ZJ_REJECTED;
        key[i] = (uint32_t)(cell[i] * bins + bin);
        count[key[i]]++;
    }
    return ZJ_OK;
}

/* Keys and values of wanted bins; returns how many. REQUIRES: room for n and one more; keys are those of
 * wanted. No branch. */
static size_t zv_members(const uint8_t *wanted, const uint32_t *key, const double *value, size_t n, uint32_t *out_key,
                         double *out_value) {
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        out_key[m] = key[i];
        out_value[m] = value[i];
        m += wanted[key[i]];
    }
    return m;
}

#endif
