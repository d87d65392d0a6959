/* What the rows of each user come to: how many, the sum of their values, and the first or last one. */
#ifndef ZUJI_USER_ROWS_H
#define ZUJI_USER_ROWS_H

#include "lanes.h"

/* By ordinal. Rows of one instant stand in the order (rank, tie, lane, row). */
typedef struct {
    size_t users;
    uint32_t *count;
    double *sum, *rest;  /* the sum, and what rounding took off it; or both NULL */
    int64_t *time;       /* of the chosen row */
    int32_t *lane;       /* of the chosen row, -1: none yet */
    uint32_t *row;
} zu_users;

/* Adds x to hi + rest, rest being what rounding took off (Knuth's two-sum): the order of the rows does
 * not show in the sum. An infinite sum stays infinite. */
ZJ_INLINE void zu_add(double *hi, double *rest, double x) {
    const double s = *hi + x, b = s - *hi;
    const double lost = (*hi - (s - b)) + (x - b);
    *hi = s;
    *rest += s - s == 0.0 ? lost : 0.0;
}

/* Makes each sum the double next to what its rows come to, and rest what that leaves out. */
ZJ_CLONES static void zu_round(zu_users *to) {
    for (size_t u = 0; u < to->users; u++) {
        const double s = to->sum[u], x = to->rest[u], total = s + x, back = total - s;
        const double left = (s - (total - back)) + (x - back);
        to->sum[u] = total;
        to->rest[u] = total - total == 0.0 ? left : 0.0;
    }
}

/* Whether row r of lane `number` stands before the chosen row of its user. */
ZJ_INLINE int zu_before(const zu_users *to, const zj_lane *lanes, int number, uint32_t r, int64_t time, uint32_t user) {
    const int held = to->lane[user];
    if (time != to->time[user]) return time < to->time[user];
    const zj_lane *a = &lanes[number], *b = &lanes[held];
    if (a->rank != b->rank) return a->rank < b->rank;
    const uint32_t ta = zj_tie(a, r), tb = zj_tie(b, to->row[user]);
    if (ta != tb) return ta < tb;
    return number != held ? number < held : r < to->row[user];
}

/* Rows of one lane in [from, to) that pass. values: NULL, or [n] where present is NULL or 1. */
static int zu_lane(const zj_lane *lanes, int number, const double *values, const uint8_t *present, int64_t from_ms,
                   int64_t to_ms, int last, zu_users *to, zj_guard *guard) {
    const zj_lane *lane = &lanes[number];
    /* [from, to) in ms after the lane's base, never below 0. */
    const int64_t begin = from_ms - lane->base, end = to_ms - lane->base;
    const uint64_t low = begin < 0 ? 0 : (uint64_t)begin, high = end < 0 ? 0 : (uint64_t)end;
    const int plain = lane->mask == NULL && (values == NULL || present == NULL);
    for (uint32_t i = 0; i < lane->nu; i++) {
        const uint32_t user = lane->users[i], a = lane->offsets[i], b = lane->offsets[i + 1];
        if (zj_stop(guard, b - a + 1)) return ZJ_CANCELLED;
        if (user >= to->users || !zj_allowed(guard, user)) continue;
        uint32_t first = ZJ_END, final = 0, rows = 0;
        double sum = 0.0, rest = 0.0;
        /* Rows of a user ascend in time: when the ends are inside, all are. */
        if (plain && a < b && lane->times[a] >= low && lane->times[b - 1] < high) {
            first = a;
            final = b - 1;
            rows = b - a;
            for (uint32_t r = a; values && r < b; r++) zu_add(&sum, &rest, values[r]);
        } else for (uint32_t r = a; r < b; r++) {
            if (lane->times[r] < low || lane->times[r] >= high || !zj_passes(lane, r)) continue;
            if (first == ZJ_END) first = r;
            final = r;
            rows++;
            if (values && (!present || present[r])) zu_add(&sum, &rest, values[r]);
        }
        if (!rows) continue;
        if (values) {
            zu_add(&to->sum[user], &to->rest[user], sum);
            to->rest[user] += rest;
        }
        to->count[user] += rows;
        const uint32_t chosen = last ? final : first;
        const int64_t time = lane->base + (int64_t)lane->times[chosen];
        if (to->lane[user] >= 0 && zu_before(to, lanes, number, chosen, time, user) == last) continue;
        to->time[user] = time;
        to->lane[user] = number;
        to->row[user] = chosen;
    }
    return ZJ_OK;
}

#endif
