/* Funnel levels of all users: ordered, any entry, no exclusions, nothing held. The hot one.
 *
 * L[s] is the latest start of a chain that has reached level s. A row at t matching step s (0-based)
 * sets L[s + 1] = L[s] when t - L[s] <= window; steps of one row go from the last down, so a row
 * takes one step of a chain. L never ascends with s, so no maximum is needed.
 * ties "strict": all rows of an instant act as one row with their masks OR'ed, which reads the old L.
 *
 * Only users with a first step are visited ("drivers"). The other lanes lag behind and are sought step
 * by step, so a user without step 2 costs no look at steps 3..k, and rows outside [first start, last
 * start + window] are not even gathered. O(rows of step 1 + matching rows).
 */
#ifndef ZUJI_FUNNEL_FAST_H
#define ZUJI_FUNNEL_FAST_H

#include "gather.h"

enum { ZJ_TIES_SEQUENCE = 0, ZJ_TIES_ANY = 1, ZJ_TIES_STRICT = 2 };
#define ZJ_MAX_STEPS 32
#define ZJ_NEVER (INT64_MIN / 2) /* far enough back to be out of every window */

typedef struct {
    const zj_lane *lanes;
    int count;
    const uint32_t *step_mask;       /* [count] for lanes without row masks */
    const uint32_t *const *row_mask; /* [count] uint32[n] or NULL */
    int steps;                       /* k */
    int64_t window;                  /* ms, inclusive */
    int ties;
    int64_t from, to;                /* starts in [from, to) */
} zj_funnel;

/* Steps that the rows of a lane may match. */
ZJ_CLONES static uint32_t zj_lane_steps(const uint32_t *row_mask, uint32_t n, uint32_t step_mask) {
    if (row_mask == NULL) return n ? step_mask : 0;
    uint32_t any = 0;
    for (uint32_t i = 0; i < n; i++) any |= row_mask[i];
    return any;
}

/* Adds one lane's rows of a user that match `want` and lie in [*low, high]. */
ZJ_INLINE int zj_funnel_take(const zj_funnel *f, int l, uint32_t pos, uint32_t want, int64_t low, int64_t high,
                             int64_t origin, zj_rows *w) {
    const zj_lane *lane = &f->lanes[l];
    const uint32_t *row_mask = f->row_mask[l];
    uint32_t a = lane->offsets[pos], b = lane->offsets[pos + 1], fixed = f->step_mask[l] & want;
    if (!zj_rows_reserve(w, b - a)) return ZJ_NO_MEMORY;
    w->run[w->runs++] = (uint32_t)w->count;
    size_t at = w->count;
    for (uint32_t r = a; r < b; r++) {
        int64_t t = lane->base + (int64_t)lane->times[r];
        uint32_t steps = row_mask ? row_mask[r] & want : fixed;
        if (t > high) break;
        zj_row *row = &w->row[at];
        row->key = zj_row_key(lane, l, r, origin, f->ties == ZJ_TIES_ANY && steps ? (uint32_t)__builtin_ctz(steps) : 0);
        row->time = t;
        row->steps = steps;
        at += (t >= low) & (steps != 0) & (lane->mask == NULL || lane->mask[r] != 0);
    }
    w->count = at;
    return ZJ_OK;
}

/* Highest level of the ordered rows, at most `bound`. */
ZJ_INLINE int zj_funnel_level(const zj_funnel *f, const zj_row *row, size_t n, int bound) {
    int64_t L[ZJ_MAX_STEPS + 1];
    const int64_t window = f->window;
    for (int s = 0; s <= bound; s++) L[s] = ZJ_NEVER;
    for (size_t i = 0; i < n; i++) {
        int64_t t = row[i].time;
        uint32_t m = row[i].steps;
        if (f->ties == ZJ_TIES_STRICT)
            while (i + 1 < n && row[i + 1].time == t) m |= row[++i].steps;
        L[0] = t < f->to ? t : ZJ_NEVER;
        do {
            int s = 31 - __builtin_clz(m);
            m ^= 1u << s;
            L[s + 1] = t - L[s] <= window ? L[s] : L[s + 1];
        } while (m);
        if (L[bound] != ZJ_NEVER) return bound;
    }
    int level = bound;
    while (level > 0 && L[level] == ZJ_NEVER) level--;
    return level;
}

/* levels[j] = users whose best level is >= j, j = 1..k; levels[0] stays 0. */
ZJ_CLONES static int zj_funnel_fast(const zj_funnel *given, zj_guard *guard, int64_t *levels) {
    const int count = given->count, k = given->steps;
    zj_heads driver = {0}, other = {0};
    zj_rows rows;
    int64_t origin;
    int status = ZJ_OK, drivers = 0, others = 0;
    memset(levels, 0, sizeof(int64_t) * (size_t)(k + 1));
    if ((status = zj_rows_origin(given->lanes, count, &origin)) != ZJ_OK) return status;

    /* drivers first, then the other lanes that matter; step_lane lists the others by step */
    size_t room = (size_t)(count ? count : 1);
    char *block = (char *)calloc(room, sizeof(zj_lane) + sizeof(uint32_t *) + 2 * sizeof(uint32_t) + k * sizeof(int));
    if (block == NULL) return ZJ_NO_MEMORY;
    zj_lane *lanes = (zj_lane *)block;
    const uint32_t **row_mask = (const uint32_t **)(lanes + room);
    uint32_t *step_mask = (uint32_t *)(row_mask + room), *could = step_mask + room;
    int *step_lane = (int *)(could + room), step_lanes[ZJ_MAX_STEPS] = {0};
    for (int want_driver = 1, n = 0; want_driver >= 0; want_driver--)
        for (int l = 0; l < count; l++) {
            uint32_t steps = zj_lane_steps(given->row_mask[l], given->lanes[l].n, given->step_mask[l]);
            steps &= (uint32_t)((1ull << k) - 1);
            if (steps == 0 || (int)(steps & 1) != want_driver) continue;
            lanes[n] = given->lanes[l];
            row_mask[n] = given->row_mask[l];
            step_mask[n] = given->step_mask[l];
            could[n] = steps;
            if (want_driver) drivers++;
            else {
                for (int s = 1; s < k; s++)
                    if (steps >> s & 1) step_lane[(size_t)s * room + (size_t)step_lanes[s]++] = n;
                others++;
            }
            n++;
        }
    zj_funnel f = *given;
    f.lanes = lanes;
    f.row_mask = row_mask;
    f.step_mask = step_mask;

    int opened = zj_rows_open(&rows, count) == ZJ_OK;
    opened &= zj_heads_open(&driver, lanes, drivers) == ZJ_OK;
    opened &= zj_heads_open(&other, lanes + drivers, others) == ZJ_OK;
    uint32_t user;
    while (opened && (user = zj_heads_min(&driver)) != ZJ_END) {
        int counts = zj_allowed(guard, user), bound = 1;
        uint32_t have = 0, work = 1;
        rows.count = 0;
        rows.runs = 0;
        /* which steps can be reached at all */
        for (int d = 0; d < drivers; d++)
            if (driver.head[d] == user) have |= could[d];
        if (counts)
            for (; bound < k; bound++) {
                for (int i = 0; !(have >> bound & 1) && i < step_lanes[bound]; i++) {
                    int l = step_lane[(size_t)bound * room + (size_t)i];
                    if (zj_heads_seek(&other, lanes + drivers, l - drivers, user)) have |= could[l];
                }
                if (!(have >> bound & 1)) break;
            }
        uint32_t want = bound >= 32 ? 0xFFFFFFFFu : (1u << bound) - 1;
        int64_t first = INT64_MAX, last = ZJ_NEVER;
        for (int d = 0; d < drivers; d++) {
            if (driver.head[d] != user) continue;
            if (counts && status == ZJ_OK) {
                size_t before = rows.count;
                status = zj_funnel_take(&f, d, driver.pos[d], want, f.from, f.to - 1 + f.window, origin, &rows);
                for (size_t i = before; i < rows.count; i++)
                    if ((rows.row[i].steps & 1) && rows.row[i].time < f.to) {
                        first = rows.row[i].time < first ? rows.row[i].time : first;
                        last = rows.row[i].time > last ? rows.row[i].time : last;
                    }
            }
            zj_heads_next(&driver, lanes, d);
        }
        if (counts && last != ZJ_NEVER) {
            int level = 1;
            if (bound > 1) {
                for (int o = 0; o < others && status == ZJ_OK; o++) {
                    int l = drivers + o;
                    if (!(could[l] & want) || !zj_heads_seek(&other, lanes + drivers, o, user)) continue;
                    status = zj_funnel_take(&f, l, other.pos[o], want, first, last + f.window, origin, &rows);
                }
                rows.run[rows.runs] = (uint32_t)rows.count;
                if (status == ZJ_OK) {
                    zj_rows_order(&rows, f.ties != ZJ_TIES_ANY);
                    level = zj_funnel_level(&f, rows.row, rows.count, bound);
                }
            }
            levels[level]++;
            work += (uint32_t)rows.count;
        }
        if (status != ZJ_OK) break;
        if (zj_stop(guard, work)) {
            status = ZJ_CANCELLED;
            break;
        }
    }
    if (!opened) status = ZJ_NO_MEMORY;
    zj_heads_close(&driver);
    zj_heads_close(&other);
    zj_rows_close(&rows);
    free(block);
    levels[0] = 0;
    for (int s = k - 1; s >= 1; s--) levels[s] += levels[s + 1];
    return status;
}

#endif
