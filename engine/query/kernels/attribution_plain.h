/* Attribution into one cell, without values or decay: conversions are counted by how many touches they have.
 *
 * What a model shares out depends on nothing else but which touch is the first and which the last, so for
 * every name and number of touches it is enough to know how many touches there were, and how often one was
 * first and last; shares are multiplied once, at the end. Users with more touches in a look-back than the
 * tables have room for, or with touches of one instant, are left to the sums conversion by conversion.
 */
#ifndef ZUJI_ATTRIBUTION_PLAIN_H
#define ZUJI_ATTRIBUTION_PLAIN_H

#include "attribution_sums.h"

#define ZJ_PLAIN_TOTALS 64

typedef struct {
    int usable;
    /* by name and touches in the look-back; touches [0] is empty, and what stands in first, last [0] means nothing: */
    int64_t touches[ZJ_FAST_SLOTS][ZJ_PLAIN_TOTALS], first[ZJ_FAST_SLOTS][ZJ_PLAIN_TOTALS],
        last[ZJ_FAST_SLOTS][ZJ_PLAIN_TOTALS];
    int64_t conversions[ZJ_FAST_SLOTS], assisted[ZJ_FAST_SLOTS], none, touched, all;
    uint32_t users[ZJ_FAST_SLOTS], none_users, all_users;
    /* the conversions of the user in hand: */
    int64_t *from, *to;               /* [room] first and last touch, ms */
    uint32_t *total, *count;          /* [room], [ZJ_FAST_SLOTS * room] by name */
    uint32_t *first_name, *last_name; /* [room] */
    size_t room;
    uint32_t seen; /* names that the user has touches of, as bits */
} zj_plain;

static void zj_plain_close(zj_plain *p) {
    free(p->from);
    free(p->to);
    free(p->total);
    free(p->count);
    free(p->first_name);
    free(p->last_name);
}

/* Before the conversions of a user. False when memory is short. */
static int zj_plain_begin(zj_plain *p, size_t n) {
    if (n > p->room) {
        zj_plain_close(p);
        const size_t room = 2 * n;
        p->from = (int64_t *)malloc(room * sizeof *p->from);
        p->to = (int64_t *)malloc(room * sizeof *p->to);
        p->total = (uint32_t *)malloc(room * sizeof *p->total);
        p->count = (uint32_t *)malloc(ZJ_FAST_SLOTS * room * sizeof *p->count);
        p->first_name = (uint32_t *)malloc(room * sizeof *p->first_name);
        p->last_name = (uint32_t *)malloc(room * sizeof *p->last_name);
        p->room = room;
        if (!p->from || !p->to || !p->total || !p->count || !p->first_name || !p->last_name) {
            p->room = 0;
            return 0;
        }
    }
    for (size_t c = 0; c < n; c++) {
        p->from[c] = INT64_MAX;
        p->to[c] = INT64_MIN;
        p->total[c] = p->first_name[c] = p->last_name[c] = 0;
    }
    p->seen = 0;
    return 1;
}

/* Touches of one lane: [lo[c], hi[c]) of times, which count from base. False: two of one instant matter. */
static int zj_plain_lane(zj_plain *p, uint32_t name, int64_t base, const uint32_t *restrict times,
                         const uint32_t *restrict lo, const uint32_t *restrict hi, size_t n) {
    uint32_t *restrict count = p->count + name * p->room;
    const int again = (p->seen >> name & 1) != 0;
    int tied = 0;
    for (size_t c = 0; c < n; c++) {
        const uint32_t k = hi[c] - lo[c], has = k > 0;
        const int64_t from = has ? base + (int64_t)times[lo[c]] : INT64_MAX;
        const int64_t to = has ? base + (int64_t)times[hi[c] - has] : INT64_MIN;
        tied |= (int)(has & ((uint32_t)(from == p->from[c]) | (uint32_t)(to == p->to[c])));
        p->first_name[c] = from < p->from[c] ? name : p->first_name[c];
        p->from[c] = from < p->from[c] ? from : p->from[c];
        p->last_name[c] = to > p->to[c] ? name : p->last_name[c];
        p->to[c] = to > p->to[c] ? to : p->to[c];
        p->total[c] += k;
        count[c] = again ? count[c] + k : k;
    }
    p->seen |= 1u << name;
    return !tied;
}

/* Counts the conversions of the user. False: one has too many touches, and none was counted. */
static int zj_plain_end(zj_plain *p, size_t n) {
    uint32_t most = 0;
    int64_t touched = 0;
    for (size_t c = 0; c < n; c++) {
        most = p->total[c] > most ? p->total[c] : most;
        touched += p->total[c] > 0;
    }
    if (most >= ZJ_PLAIN_TOTALS) return 0;
    p->all += (int64_t)n;
    p->touched += touched;
    p->none += (int64_t)n - touched;
    p->none_users += touched < (int64_t)n;
    p->all_users++;
    for (uint32_t left = p->seen; left; left &= left - 1) {
        const uint32_t name = (uint32_t)__builtin_ctz(left);
        const uint32_t *count = p->count + name * p->room;
        int64_t *touches = p->touches[name], conversions = 0, assisted = 0;
        for (size_t c = 0; c < n; c++) {
            const uint32_t has = count[c] > 0;
            touches[p->total[c]] += count[c];
            conversions += has;
            assisted += has & (uint32_t)(p->last_name[c] != name);
        }
        p->conversions[name] += conversions;
        p->assisted[name] += assisted;
        p->users[name] += conversions > 0;
    }
    for (size_t c = 0; c < n; c++) {
        p->first[p->first_name[c]][p->total[c]]++;
        p->last[p->last_name[c]][p->total[c]]++;
    }
    return 1;
}

/* Credit of one name under one model. */
static __int128 zj_plain_credit(const zj_plain *p, const zj_credit_model *model, uint32_t name) {
    __int128 credit = 0;
    if (model->kind == ZJ_PARTICIPATION) return (__int128)p->conversions[name] * ZJ_WHOLE;
    for (int64_t n = 1; n < ZJ_PLAIN_TOTALS; n++) {
        int64_t each = 0, head = 0, tail = 0;
        switch (model->kind) {
        case ZJ_FIRST: head = ZJ_WHOLE; break;
        case ZJ_LAST: tail = ZJ_WHOLE; break;
        case ZJ_LINEAR:
            each = ZJ_WHOLE / n;
            tail = ZJ_WHOLE - each * n;
            break;
        default: zj_position(model, n, &each, &head, &tail);
        }
        credit += (__int128)each * p->touches[name][n] + (__int128)head * p->first[name][n] +
                  (__int128)tail * p->last[name][n];
    }
    return credit;
}

/* All that was counted, into the one place that there is. */
static void zj_plain_flush(const zj_plain *p, zj_credits *out) {
    const size_t m = (size_t)out->models;
    out->whole->conversions += p->all;
    out->whole->touches += p->touched;
    out->whole->users += p->all_users;
    out->line_users[0] += p->all_users;
    for (uint32_t name = 0; name < out->names; name++) {
        zj_credit_cell *c = &out->cell[name];
        for (int n = 1; n < ZJ_PLAIN_TOTALS; n++) c->touches += p->touches[name][n];
        c->conversions += p->conversions[name];
        c->assisted += p->assisted[name];
        c->users += p->users[name];
        for (size_t i = 0; i < m; i++) out->credit[name * m + i] += zj_plain_credit(p, &out->model[i], name);
    }
    out->cell[out->names].conversions += p->none;
    out->cell[out->names].users += p->none_users;
    for (size_t i = 0; i < m; i++) out->credit[out->names * m + i] += (__int128)p->none * ZJ_WHOLE;
}

#endif
