/* What each user did in one stretch of time: rows, an aggregate of values, steps done in order.
 *
 * Unlike the kernels of models these answer into one slot an ordinal, lane after lane, so users are never
 * brought together and those who do not count cost one look at `allowed`. Rows of a user ascend in time, so
 * the ends of the stretch are found by halving and no other time is read.
 */
#ifndef ZUJI_OF_USERS_H
#define ZUJI_OF_USERS_H

#include <math.h>

#include "lanes.h"

/* First row of [a, b) at or after `at` (ms after the base). O(log rows). */
ZJ_INLINE uint32_t zu_first(const uint32_t *times, uint32_t a, uint32_t b, int64_t at) {
    if (at <= 0) return a;
    while (a < b) {
        const uint32_t middle = a + (b - a) / 2;
        if ((int64_t)times[middle] < at) a = middle + 1;
        else b = middle;
    }
    return a;
}

/* Narrows [*a, *b) to the rows in [from, to). Most users lie inside or outside as a whole. */
ZJ_INLINE void zu_cut(const zj_lane *lane, int64_t from, int64_t to, uint32_t *a, uint32_t *b) {
    if (*a >= *b) return;
    if ((int64_t)lane->times[*a] < from) *a = zu_first(lane->times, *a, *b, from);
    if (*a < *b && (int64_t)lane->times[*b - 1] >= to) *b = zu_first(lane->times, *a, *b, to);
}

/* counts[user] += rows in [from, to) that pass. O(users log rows), O(rows) with a mask. */
static int zu_counts(const zj_lane *lane, int64_t from, int64_t to, zj_guard *guard, size_t room, uint32_t *counts) {
    from -= lane->base;
    to -= lane->base;
    for (uint32_t i = 0; i < lane->nu; i++) {
        const uint32_t user = lane->users[i];
        uint32_t a = lane->offsets[i], b = lane->offsets[i + 1];
        if (zj_stop(guard, 1)) return ZJ_CANCELLED;
        if (user >= room || !zj_allowed(guard, user)) continue;
        zu_cut(lane, from, to, &a, &b);
        if (lane->mask == NULL) {
            counts[user] += b - a;
            continue;
        }
        uint32_t found = 0;
        for (uint32_t r = a; r < b; r++) found += lane->mask[r] != 0;
        counts[user] += found;
        if (zj_stop(guard, b - a)) return ZJ_CANCELLED;
    }
    return ZJ_OK;
}

enum { ZU_SUM = 0, ZU_MIN = 1, ZU_MAX = 2 };

/* The aggregate of the values of rows in [from, to) that pass and have one, and how many those are.
 * acc[user]: the sum (lost[user]: what rounding took off it, Neumaier), the least or the greatest.
 * REQUIRES: acc and lost are 0 for a sum, acc is +-infinity for the least and the greatest. O(rows of `allowed`). */
static int zu_values(const zj_lane *lane, int64_t from, int64_t to, const double *value, const uint8_t *present, int op,
                     zj_guard *guard, size_t room, uint32_t *counts, double *acc, double *lost) {
    from -= lane->base;
    to -= lane->base;
    for (uint32_t i = 0; i < lane->nu; i++) {
        const uint32_t user = lane->users[i];
        uint32_t a = lane->offsets[i], b = lane->offsets[i + 1], found = 0;
        if (zj_stop(guard, 1)) return ZJ_CANCELLED;
        if (user >= room || !zj_allowed(guard, user)) continue;
        zu_cut(lane, from, to, &a, &b);
        double x = acc[user], rest = op == ZU_SUM ? lost[user] : 0.0;
        for (uint32_t r = a; r < b; r++) {
            if (!zj_passes(lane, r) || (present && !present[r])) continue;
            const double v = value[r];
            found++;
            if (op == ZU_SUM) {
                const double sum = x + v;
                rest += fabs(x) >= fabs(v) ? (x - sum) + v : (v - sum) + x;
                x = sum;
            } else if (op == ZU_MIN) {
                x = v < x ? v : x;
            } else {
                x = v > x ? v : x;
            }
        }
        acc[user] = x;
        if (op == ZU_SUM) lost[user] = rest;
        counts[user] += found;
        if (zj_stop(guard, b - a)) return ZJ_CANCELLED;
    }
    return ZJ_OK;
}

#endif
