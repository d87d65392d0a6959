/* Lifetime value where users have one line and periods fit one word: lane after lane.
 *
 * What a user has paid in is a bit a period, so that who pays, and who for the first time, is told after the
 * rows, and lanes need not be read side by side. O(rows + users). Memory: 8 bytes a user.
 */
#ifndef ZUJI_LTV_FAST_H
#define ZUJI_LTV_FAST_H

#include "ltv.h"

#define ZJ_LTV_FAST_PERIODS 64

ZJ_INLINE int zj_ltv_is_fast(const zj_ltv *q) {
    return q->line == NULL && q->lines >= 1 && q->periods <= ZJ_LTV_FAST_PERIODS;
}

/* Rows of one lane: values into cells, and paid[user] |= periods in which it paid. */
static int zj_ltv_lane(const zj_ltv *q, int l, const zj_buckets *bucket, zj_guard *guard, uint64_t *paid,
                       zj_ltv_out *out) {
    const zj_lane *lane = &q->lanes[l];
    const double *values = q->value[l];
    for (uint32_t i = 0; i < lane->nu; i++) {
        const uint32_t user = lane->users[i], a = lane->offsets[i], b = lane->offsets[i + 1];
        if (zj_stop(guard, b - a + 1)) return ZJ_CANCELLED;
        if (user >= q->users || q->cohort[user] < 0 || q->cohort[user] >= q->cohorts || !zj_allowed(guard, user)) continue;
        double *sum = out->sum + (size_t)q->cohort[user] * (size_t)q->periods;
        double *lost = out->lost + (size_t)q->cohort[user] * (size_t)q->periods;
        uint64_t bits = 0;
        for (uint32_t r = a; r < b; r++) {
            const int32_t k = zj_ltv_period(q, lane, bucket, user, r);
            const double x = values[r];
            if (k < 0 || x != x || !zj_passes(lane, r)) continue;
            const double before = sum[k], total = before + x, back = total - before; /* Knuth's two-sum */
            lost[k] += (before - (total - back)) + (x - back);
            sum[k] = total;
            bits |= (uint64_t)(x > 0) << k;
        }
        paid[user] |= bits;
    }
    return ZJ_OK;
}

static int zj_ltv_fast(const zj_ltv *q, zj_guard *guard, zj_ltv_out *out) {
    zj_buckets *buckets = zj_buckets_of(q->lanes, q->count, q->edges, q->period_buckets);
    uint64_t *paid = (uint64_t *)calloc(q->users + 1, sizeof(uint64_t));
    int status = buckets && paid ? ZJ_OK : ZJ_NO_MEMORY;
    for (int l = 0; l < q->count && status == ZJ_OK; l++) status = zj_ltv_lane(q, l, &buckets[l], guard, paid, out);
    for (size_t user = 0; status == ZJ_OK && user < q->users; user++) {
        if (paid[user] == 0) continue;
        const size_t cell = (size_t)q->cohort[user] * (size_t)q->periods;
        const int first = __builtin_ctzll(paid[user]);
        out->first[cell + (size_t)first]++;
        for (uint64_t left = paid[user]; left; left &= left - 1) out->payers[cell + (size_t)__builtin_ctzll(left)]++;
        if (q->picking && q->pick_line <= 0 && (q->pick_cohort < 0 || q->pick_cohort == q->cohort[user]) &&
            (q->pick_so_far ? first <= q->pick_period : (int)(paid[user] >> q->pick_period & 1)))
            out->picked[out->n_picked++] = (uint32_t)user;
    }
    zj_buckets_free(buckets, q->count);
    free(paid);
    return status;
}

/* cohort[i] = the bucket of entry[i], -1 outside of the buckets or where known[i] is 0. Without branches: entries
 * of users come in no order. O(n log buckets). */
static void zj_cohorts(const int64_t *entry, const uint8_t *known, size_t n, const int64_t *edges, int32_t buckets,
                       int32_t *cohort) {
    for (size_t i = 0; i < n; i++) {
        const int64_t t = entry[i];
        const int64_t *low = edges; /* the last edge <= t, among those that are left; edges[0] without one */
        for (int32_t left = buckets + 1; left > 1; left -= left / 2) low = low[left / 2] <= t ? low + left / 2 : low;
        const int32_t at = (int32_t)(low - edges);
        cohort[i] = t >= edges[0] && at < buckets && known[i] ? at : -1;
    }
}

#endif
