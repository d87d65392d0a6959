/* Lifetime value: what the users of each cohort are worth, period by period after they came.
 *
 * A user has one cohort and one moment of entry, given by ordinal; value rows are read user by user over
 * their lanes, so that who paid in a period, and who paid for the first time, needs no set.
 * O(rows + users of the lanes). Memory: a cell a (line, cohort, period), 4 bytes a period.
 */
#ifndef ZUJI_LTV_H
#define ZUJI_LTV_H

#include "buckets.h"

typedef struct {
    const zj_lane *lanes;
    int count;
    const double *const *value;   /* per lane float64[n], NaN = no value */
    const int32_t *cohort;        /* [users] 0 .. cohorts - 1, -1 = in none */
    const int64_t *entry;         /* [users] ms, or NULL: calendar periods */
    const uint32_t *line;         /* [users], or with line_at as lists; NULL = line 0 */
    const uint32_t *line_at;      /* [users + 1] or NULL */
    size_t users;
    const int64_t *edges;         /* [period_buckets + 1] calendar: cohort c is bucket c */
    int32_t period_buckets;
    int64_t period_ms;            /* rolling */
    uint32_t lines;
    int32_t cohorts, periods;     /* periods: K, numbered from 0 */
    int64_t pick_line, pick_cohort; /* -1 = any */
    int32_t pick_period;
    int pick_so_far, picking;
} zj_ltv;

typedef struct {
    double *sum, *lost;     /* [lines, cohorts, periods]; lost: Neumaier's running compensation */
    int64_t *payers, *first; /* users with a value above 0 in the period; those of them who had none before */
    uint32_t *picked;
    size_t n_picked;
} zj_ltv_out;

ZJ_INLINE void zj_ltv_add(const zj_ltv_out *out, size_t cell, double x) {
    const double before = out->sum[cell], sum = before + x;
    out->lost[cell] += __builtin_fabs(before) >= __builtin_fabs(x) ? (before - sum) + x : (x - sum) + before;
    out->sum[cell] = sum;
}

/* Period of a row of the user, or -1. */
ZJ_INLINE int32_t zj_ltv_period(const zj_ltv *q, const zj_lane *lane, const zj_buckets *bucket, uint32_t user, uint32_t r) {
    if (q->entry) {
        const int64_t passed = lane->base + (int64_t)lane->times[r] - q->entry[user];
        if (passed < 0) return -1;
        const int64_t k = passed / q->period_ms;
        return k < q->periods ? (int32_t)k : -1;
    }
    const int32_t at = zj_bucket(bucket, lane->times[r]);
    if (at < 0 || at >= q->period_buckets) return -1;
    const int32_t k = at - q->cohort[user];
    return k >= 0 && k < q->periods ? k : -1;
}

/* The rows of one user: values into the cells of its lines; paid[k] = stamp where it paid. Returns the first
 * period in which it paid, or -1. */
ZJ_INLINE int32_t zj_ltv_user(const zj_ltv *q, const zj_heads *heads, const zj_buckets *buckets, uint32_t user,
                              const uint32_t *line, uint32_t lines, uint32_t stamp, uint32_t *paid, zj_ltv_out *out) {
    int32_t first = -1;
    for (int l = 0; l < q->count; l++) {
        if (heads->head[l] != user) continue;
        const zj_lane *lane = &q->lanes[l];
        const uint32_t b = lane->offsets[heads->pos[l] + 1];
        for (uint32_t r = lane->offsets[heads->pos[l]]; r < b; r++) {
            const double value = q->value[l][r];
            if (value != value || !zj_passes(lane, r)) continue;
            const int32_t k = zj_ltv_period(q, lane, &buckets[l], user, r);
            if (k < 0) continue;
            for (uint32_t i = 0; i < lines; i++)
                zj_ltv_add(out, ((size_t)line[i] * (size_t)q->cohorts + (size_t)q->cohort[user]) * (size_t)q->periods + (size_t)k, value);
            if (!(value > 0)) continue;
            paid[k] = stamp;
            first = first < 0 || k < first ? k : first;
        }
    }
    return first;
}

static int zj_ltv_run(const zj_ltv *q, zj_guard *guard, zj_ltv_out *out) {
    static const uint32_t zero = 0;
    zj_heads heads = {0};
    uint32_t user, stamp = 0, room = 64;
    zj_buckets *buckets = zj_buckets_of(q->lanes, q->count, q->edges, q->period_buckets);
    uint32_t *paid = (uint32_t *)calloc((size_t)q->periods + 1, sizeof(uint32_t));
    uint32_t *kept = (uint32_t *)calloc(room, sizeof(uint32_t));
    int status = buckets && paid && kept ? zj_heads_open(&heads, q->lanes, q->count) : ZJ_NO_MEMORY;
    while (status == ZJ_OK && (user = zj_heads_min(&heads)) != ZJ_END) {
        uint32_t work = 1, lines = 0;
        for (int l = 0; l < q->count; l++)
            if (heads.head[l] == user) work += q->lanes[l].offsets[heads.pos[l] + 1] - q->lanes[l].offsets[heads.pos[l]];
        if (user < q->users && q->cohort[user] >= 0 && q->cohort[user] < q->cohorts && zj_allowed(guard, user)) {
            const uint32_t a = q->line_at ? q->line_at[user] : user, b = q->line_at ? q->line_at[user + 1] : user + 1;
            if (b - a > room) {
                uint32_t *more = (uint32_t *)realloc(kept, sizeof(uint32_t) * (size_t)(b - a));
                if (more == NULL) status = ZJ_NO_MEMORY;
                else kept = more, room = b - a;
            }
            int32_t wanted = q->pick_line < 0;
            for (uint32_t i = a; status == ZJ_OK && i < b; i++) {
                const uint32_t line = q->line ? q->line[i] : zero;
                if (line >= q->lines) continue;
                wanted |= q->pick_line == (int64_t)line;
                kept[lines++] = line;
            }
            stamp++;
            const int32_t first = lines ? zj_ltv_user(q, &heads, buckets, user, kept, lines, stamp, paid, out) : -1;
            for (uint32_t i = 0; first >= 0 && i < lines; i++) {
                const size_t cell = ((size_t)kept[i] * (size_t)q->cohorts + (size_t)q->cohort[user]) * (size_t)q->periods;
                for (int32_t k = first; k < q->periods; k++) out->payers[cell + (size_t)k] += paid[k] == stamp;
                out->first[cell + (size_t)first]++;
            }
            if (q->picking && wanted && first >= 0 && (q->pick_cohort < 0 || q->pick_cohort == q->cohort[user]) &&
                (q->pick_so_far ? first <= q->pick_period : paid[q->pick_period] == stamp))
                out->picked[out->n_picked++] = user;
        }
        for (int l = 0; l < q->count; l++)
            if (heads.head[l] == user) zj_heads_next(&heads, q->lanes, l);
        if (status == ZJ_OK && zj_stop(guard, work)) status = ZJ_CANCELLED;
    }
    zj_buckets_free(buckets, q->count);
    zj_heads_close(&heads);
    free(paid);
    free(kept);
    return status;
}

#endif
