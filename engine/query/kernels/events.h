/* Rows, exact distinct users and value aggregates per cell (group x bucket).
 *
 * Rows come user by user, so "was this cell's last user another one?" counts distinct users with no
 * set. One lane runs flat, block by block: bucket lookup (vectorised), then a branch-free update with
 * a rubbish cell for rows that do not count. Several lanes are walked user by user.
 * Memory: 32 bytes a cell (72 with values). O(rows + users * lanes / 16).
 */
#ifndef ZUJI_EVENTS_H
#define ZUJI_EVENTS_H

#include <math.h>

#include "buckets.h"

typedef struct {
    int64_t rows, users, fresh; /* fresh: users whose earliest bucket in the group this is */
    uint32_t stamp, pad;        /* user that touched the cell last */
} zj_cell;

typedef struct {
    double sum, lost, low, high; /* lost: Neumaier's running compensation */
    int64_t count;
} zj_value_cell;

typedef struct {
    uint32_t groups;           /* G */
    int32_t buckets;           /* B */
    zj_cell *cell;             /* [G * B + 1], the last one is rubbish */
    zj_value_cell *value;      /* [G * B + 1] or NULL */
    uint32_t *group_stamp;     /* [G + 1] */
    int32_t *group_first;      /* [G + 1] earliest bucket of the user in hand */
} zj_event_cells;

static void zj_event_close(zj_event_cells *c) {
    free(c->cell);
    free(c->value);
    free(c->group_stamp);
    free(c->group_first);
}

static int zj_event_open(zj_event_cells *c, uint32_t groups, int32_t buckets, int values) {
    size_t cells = (size_t)groups * (size_t)buckets + 1;
    c->groups = groups;
    c->buckets = buckets;
    c->cell = (zj_cell *)calloc(cells, sizeof(zj_cell));
    c->group_stamp = (uint32_t *)calloc((size_t)groups + 1, sizeof(uint32_t));
    c->group_first = (int32_t *)calloc((size_t)groups + 1, sizeof(int32_t));
    c->value = values ? (zj_value_cell *)calloc(cells, sizeof(zj_value_cell)) : NULL;
    if (!c->cell || !c->group_stamp || !c->group_first || (values && !c->value)) {
        zj_event_close(c);
        return ZJ_NO_MEMORY;
    }
    for (size_t i = 0; values && i < cells; i++) {
        c->value[i].low = INFINITY;
        c->value[i].high = -INFINITY;
    }
    return ZJ_OK;
}

ZJ_INLINE void zj_value_add(zj_value_cell *v, double x) {
    double sum = v->sum + x;
    v->lost += fabs(v->sum) >= fabs(x) ? (v->sum - sum) + x : (x - sum) + v->sum;
    v->sum = sum;
    v->low = x < v->low ? x : v->low;
    v->high = x > v->high ? x : v->high;
    v->count++;
}

#define ZJ_BLOCK 2048u

/* cell[i], group[i] of rows [r, r + n); rubbish where the row does not count. */
ZJ_CLONES static void zj_cells_of_rows(const zj_lane *lane, const zj_buckets *k, const uint32_t *groups,
                                       uint32_t ng, uint32_t r, uint32_t n, uint32_t *cell, uint32_t *group) {
    const uint32_t nb = (uint32_t)k->count, rubbish = ng * nb;
    const uint32_t *times = lane->times + r;
    if (k->shift < 0) {
        for (uint32_t i = 0; i < n; i++) cell[i] = (uint32_t)zj_bucket(k, times[i]);
    } else {
        const int32_t *below = k->below;
        const uint32_t *cut = k->cut;
        const uint32_t last = k->last;
        const int shift = k->shift;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t t = times[i] < last ? times[i] : last;
            cell[i] = (uint32_t)(below[t >> shift] + (int32_t)(t > cut[t >> shift]));
        }
    }
    if (groups) {
        const uint32_t *g = groups + r;
        for (uint32_t i = 0; i < n; i++) {
            int ok = (cell[i] < nb) & (g[i] < ng);
            cell[i] = ok ? g[i] * nb + cell[i] : rubbish;
            group[i] = ok ? g[i] : ng;
        }
    } else {
        for (uint32_t i = 0; i < n; i++) {
            int ok = cell[i] < nb;
            cell[i] = ok ? cell[i] : rubbish;
            group[i] = ok ? 0 : ng;
        }
    }
    if (lane->mask) {
        const uint8_t *mask = lane->mask + r;
        for (uint32_t i = 0; i < n; i++) {
            cell[i] = mask[i] ? cell[i] : rubbish;
            group[i] = mask[i] ? group[i] : ng;
        }
    }
}

/* One lane, flat. Rows of a user ascend in time, so the first row of a group is in its first bucket. */
static int zj_events_flat(const zj_lane *lane, const zj_buckets *k, const uint32_t *groups,
                          const double *values, const uint8_t *present, zj_guard *guard, zj_event_cells *out) {
    uint32_t cell[ZJ_BLOCK], group[ZJ_BLOCK];
    uint8_t starts[ZJ_BLOCK];
    const uint32_t ng = out->groups, rubbish = ng * (uint32_t)out->buckets;
    zj_cell *cells = out->cell;
    uint32_t *group_stamp = out->group_stamp;
    uint32_t next = 0, owner = 0, stamp = 0;
    for (uint32_t r = 0; r < lane->n; r += ZJ_BLOCK) {
        uint32_t n = lane->n - r < ZJ_BLOCK ? lane->n - r : ZJ_BLOCK;
        if (zj_stop(guard, n)) return ZJ_CANCELLED;
        zj_cells_of_rows(lane, k, groups, ng, r, n, cell, group);
        memset(starts, 0, n);
        for (; next < lane->nu && lane->offsets[next] < r + n; next++) starts[lane->offsets[next] - r] = 1;
        if (guard->allowed)
            for (; owner < lane->nu && lane->offsets[owner] < r + n; owner++) {
                uint32_t a = lane->offsets[owner], b = lane->offsets[owner + 1];
                if (!zj_allowed(guard, lane->users[owner])) {
                    uint32_t stop = b < r + n ? b : r + n;
                    for (uint32_t i = a > r ? a - r : 0; i + r < stop; i++) cell[i] = rubbish, group[i] = ng;
                }
                if (b > r + n) break; /* goes on in the next block */
            }
        for (uint32_t i = 0; i < n; i++) {
            zj_cell *c = &cells[cell[i]];
            uint32_t *g = &group_stamp[group[i]];
            stamp += starts[i];
            c->rows++;
            c->users += c->stamp != stamp;
            c->stamp = stamp;
            c->fresh += *g != stamp;
            *g = stamp;
        }
        if (values)
            for (uint32_t i = 0; i < n; i++)
                if (cell[i] != rubbish && (present == NULL || present[r + i]))
                    zj_value_add(&out->value[cell[i]], values[r + i]);
    }
    return ZJ_OK;
}

/* Several lanes, user by user; within a user the lanes come one after the other. */
ZJ_CLONES static int zj_events_merged(const zj_lane *lanes, int count, const zj_buckets *buckets,
                                      const uint32_t *const *groups, const double *const *values,
                                      const uint8_t *const *present, zj_guard *guard, zj_event_cells *out) {
    zj_heads heads;
    if (zj_heads_open(&heads, lanes, count) != ZJ_OK) return ZJ_NO_MEMORY;
    const uint32_t ng = out->groups, nb = (uint32_t)out->buckets;
    uint32_t stamp = 0, user;
    int status = ZJ_OK;
    while ((user = zj_heads_min(&heads)) != ZJ_END) {
        int counts = zj_allowed(guard, user);
        uint32_t work = 1;
        stamp++;
        for (int l = 0; l < count; l++) {
            if (heads.head[l] != user) continue;
            const zj_lane *lane = &lanes[l];
            uint32_t a = lane->offsets[heads.pos[l]], b = lane->offsets[heads.pos[l] + 1];
            zj_heads_next(&heads, lanes, l);
            work += b - a;
            for (uint32_t r = a; counts && r < b; r++) {
                uint32_t at = (uint32_t)zj_bucket(&buckets[l], lane->times[r]);
                uint32_t g = groups[l] ? groups[l][r] : 0;
                if (at >= nb || g >= ng || !zj_passes(lane, r)) continue;
                zj_cell *c = &out->cell[g * nb + at];
                c->rows++;
                c->users += c->stamp != stamp;
                c->stamp = stamp;
                if (out->group_stamp[g] != stamp) {
                    out->group_stamp[g] = stamp;
                    out->group_first[g] = (int32_t)at;
                    c->fresh++;
                } else if ((int32_t)at < out->group_first[g]) { /* an earlier bucket, seen later */
                    out->cell[g * nb + (uint32_t)out->group_first[g]].fresh--;
                    out->group_first[g] = (int32_t)at;
                    c->fresh++;
                }
                if (values && values[l] && (!present || !present[l] || present[l][r]))
                    zj_value_add(&out->value[g * nb + at], values[l][r]);
            }
        }
        if (zj_stop(guard, work)) {
            status = ZJ_CANCELLED;
            break;
        }
    }
    zj_heads_close(&heads);
    return status;
}

/* Ordinals, ascending, of the users with a row in the cell; bucket or group -1 = any.
 * out has room for the sum of the lanes' users. */
ZJ_CLONES static int zj_pick_users(const zj_lane *lanes, int count, const zj_buckets *buckets,
                                   const uint32_t *const *groups, uint32_t ng, int32_t bucket, int64_t group,
                                   zj_guard *guard, uint32_t *out, size_t *picked) {
    zj_heads heads;
    if (zj_heads_open(&heads, lanes, count) != ZJ_OK) return ZJ_NO_MEMORY;
    uint32_t user;
    size_t n = 0;
    int status = ZJ_OK;
    while ((user = zj_heads_min(&heads)) != ZJ_END) {
        int found = !zj_allowed(guard, user);
        uint32_t work = 1;
        int refused = found;
        for (int l = 0; l < count; l++) {
            if (heads.head[l] != user) continue;
            const zj_lane *lane = &lanes[l];
            uint32_t a = lane->offsets[heads.pos[l]], b = lane->offsets[heads.pos[l] + 1];
            zj_heads_next(&heads, lanes, l);
            work += b - a;
            for (uint32_t r = a; !found && r < b; r++) {
                int32_t at = zj_bucket(&buckets[l], lane->times[r]);
                uint32_t g = groups[l] ? groups[l][r] : 0;
                found = at >= 0 && at < buckets[l].count && g < ng && (bucket < 0 || at == bucket) &&
                        (group < 0 || g == (uint32_t)group) && zj_passes(lane, r);
            }
        }
        if (found && !refused) out[n++] = user;
        if (zj_stop(guard, work)) {
            status = ZJ_CANCELLED;
            break;
        }
    }
    zj_heads_close(&heads);
    *picked = n;
    return status;
}

/* counts[ordinal] += rows in [from, to) that pass; sums too when values are given. O(rows). */
static int zj_count_by_user(const zj_lane *lane, int64_t from, int64_t to, const double *values,
                            const uint8_t *present, zj_guard *guard, size_t n_ordinals, uint32_t *counts,
                            double *sums) {
    for (uint32_t i = 0; i < lane->nu; i++) {
        uint32_t a = lane->offsets[i], b = lane->offsets[i + 1], user = lane->users[i], found = 0;
        if (zj_stop(guard, b - a + 1)) return ZJ_CANCELLED;
        if (user >= n_ordinals || !zj_allowed(guard, user)) continue;
        for (uint32_t r = a; r < b; r++) {
            int64_t t = lane->base + (int64_t)lane->times[r];
            if (t < from || t >= to || !zj_passes(lane, r)) continue;
            found++;
            if (values && sums && (!present || present[r])) sums[user] += values[r];
        }
        counts[user] += found;
    }
    return ZJ_OK;
}

#endif
