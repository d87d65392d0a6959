/* Funnel levels by whole keys: for users and lanes that funnel_runs.h leaves over.
 *
 * Instead of merging all rows of a user and keeping L[level] = the latest start of a chain that has
 * reached the level, the history of L[s] is written down as a list P of (row, start), and step s + 1 is
 * one walk over P and the rows of that step: a row takes the start of the last entry of P before it, if
 * that is not further back than the window. Starts in P never descend, so the last one is the latest.
 * The walk has no unpredictable branch. Source: L[] of the specification, transposed.
 *
 * "Before" is one 64-bit comparison: key = time | low | rank | tie, with as many bits each as the call
 * needs. ties "any": low = lowest matching step of the row; "strict": only earlier times are before.
 * Only users with a first step are visited ("drivers"); the other lanes lag behind and are sought step
 * by step, so a user without step 2 costs no look at steps 3..k.
 * O(rows of step 1 + rows of steps that can be reached).
 */
#ifndef ZUJI_FUNNEL_FAST_H
#define ZUJI_FUNNEL_FAST_H

#include "funnel_plain.h"

#define ZJ_NEVER (INT64_MIN / 2) /* far enough back to be out of every window */

/* Where the parts of a key lie. Times count from origin. */
typedef struct {
    int64_t origin;
    int time_shift, low_shift, rank_shift;
    int any; /* ties "any" */
} zj_key_plan;

/* A growing list of keys, with the start that each one holds. start[i + 1] belongs to key[i];
 * start[0] is "never" and key[n] is larger than every key. */
typedef struct {
    uint64_t *key;
    int64_t *start;
} zj_steps_list;

typedef struct {
    zj_lane *lane; /* drivers first */
    const uint32_t **row_mask;
    uint32_t *step_mask, *could;
    int *step_lane, step_lanes[ZJ_MAX_STEPS]; /* lanes of step s: step_lane[s * room + i] */
    int drivers, count;
    size_t room;
    zj_heads driver, other;
    zj_steps_list now, next;
    uint64_t *rows, *spare; /* rows of one step */
    uint32_t *run;          /* slices of rows */
    size_t list_room;
    void *block;
} zj_funnel_work;

/* Steps that the rows of a lane may match. */
ZJ_CLONES static uint32_t zj_lane_steps(const uint32_t *row_mask, uint32_t n, uint32_t step_mask) {
    if (row_mask == NULL) return n ? step_mask : 0;
    uint32_t any = 0;
    for (uint32_t i = 0; i < n; i++) any |= row_mask[i];
    return any;
}

ZJ_CLONES static uint32_t zj_top_tie(const uint16_t *ties, uint32_t n) {
    uint16_t top = 0;
    for (uint32_t i = 0; i < n; i++) top = ties[i] > top ? ties[i] : top;
    return top;
}

static int zj_bits_for(uint64_t top) { return top ? 64 - __builtin_clzll(top) : 0; }

/* Plans the key; ZJ_REJECTED when 63 bits do not hold it. */
static int zj_key_plan_make(zj_key_plan *p, const zj_funnel *f) {
    int64_t low = 0, high = 0;
    uint32_t rank = 0, tie = 0;
    for (int l = 0; l < f->count; l++) {
        const zj_lane *lane = &f->lanes[l];
        low = l == 0 || lane->base < low ? lane->base : low;
        high = l == 0 || lane->base > high ? lane->base : high;
        rank = lane->rank > rank ? lane->rank : rank;
        if (lane->ties) {
            uint32_t top = zj_top_tie(lane->ties, lane->n);
            tie = top > tie ? top : tie;
        }
    }
    p->origin = low;
    p->any = f->ties == ZJ_TIES_ANY;
    p->rank_shift = zj_bits_for(tie);
    p->low_shift = p->rank_shift + zj_bits_for(rank);
    p->time_shift = p->low_shift + (p->any ? 5 : 0);
    return zj_bits_for((uint64_t)(high - low) + 0xFFFFFFFFu) + p->time_shift <= 63 ? ZJ_OK : ZJ_REJECTED;
}

static void zj_funnel_close(zj_funnel_work *w) {
    zj_heads_close(&w->driver);
    zj_heads_close(&w->other);
    free(w->now.key);
    free(w->now.start);
    free(w->next.key);
    free(w->next.start);
    free(w->rows);
    free(w->spare);
    free(w->run);
    free(w->block);
}

/* Room for n rows of one step. Lists are refilled by the caller, except `now`, which is kept. */
static int zj_funnel_fit(zj_funnel_work *w, size_t n) {
    if (n + 2 <= w->list_room) return ZJ_OK;
    size_t room = w->list_room ? w->list_room : 256;
    while (room < n + 2) room *= 2;
    void *p;
#define ZJ_REFIT(field)                                                                                  \
    if ((p = realloc(w->field, room * 8)) == NULL) return ZJ_NO_MEMORY;                                  \
    w->field = p;
    ZJ_REFIT(now.key)
    ZJ_REFIT(now.start)
    ZJ_REFIT(next.key)
    ZJ_REFIT(next.start)
    ZJ_REFIT(rows)
    ZJ_REFIT(spare)
#undef ZJ_REFIT
    w->list_room = room;
    return ZJ_OK;
}

/* Drivers first, then the other lanes that matter. */
static int zj_funnel_open(zj_funnel_work *w, const zj_funnel *f) {
    const int k = f->steps;
    memset(w, 0, sizeof *w);
    w->room = (size_t)(f->count ? f->count : 1);
    size_t item = sizeof(zj_lane) + sizeof(uint32_t *) + 2 * sizeof(uint32_t) + (size_t)k * sizeof(int);
    w->block = calloc(w->room, item);
    if (w->block == NULL) return ZJ_NO_MEMORY;
    w->lane = (zj_lane *)w->block;
    w->row_mask = (const uint32_t **)(w->lane + w->room);
    w->step_mask = (uint32_t *)(w->row_mask + w->room);
    w->could = w->step_mask + w->room;
    w->step_lane = (int *)(w->could + w->room);
    for (uint32_t pass = 0, driver = 1; pass < 2; pass++, driver = 0)
        for (int l = 0; l < f->count; l++) {
            uint32_t steps = zj_lane_steps(f->row_mask[l], f->lanes[l].n, f->step_mask[l]);
            steps &= (uint32_t)((1ull << k) - 1);
            if (steps == 0 || (steps & 1) != driver) continue;
            int n = w->count++;
            w->lane[n] = f->lanes[l];
            w->row_mask[n] = f->row_mask[l];
            w->step_mask[n] = f->step_mask[l] & (uint32_t)((1ull << k) - 1);
            w->could[n] = steps;
            w->drivers += (int)driver;
            for (int s = 0; s < k; s++)
                if (steps >> s & 1) w->step_lane[(size_t)s * w->room + (size_t)w->step_lanes[s]++] = n;
        }
    w->run = (uint32_t *)malloc((w->room + 2) * sizeof(uint32_t));
    if (w->run == NULL || zj_funnel_fit(w, 64) != ZJ_OK) return ZJ_NO_MEMORY;
    int status = zj_heads_open(&w->driver, w->lane, w->drivers);
    if (status == ZJ_OK) status = zj_heads_open(&w->other, w->lane + w->drivers, w->count - w->drivers);
    return status;
}

/* Adds the keys of a lane's rows [a, b) that match step s and lie in [from, to]; returns how many. */
ZJ_INLINE uint32_t zj_step_keys(const zj_key_plan *p, const zj_funnel_work *w, int l, uint32_t a, uint32_t b, int s,
                                int64_t from, int64_t to, uint64_t *out) {
    const zj_lane *lane = &w->lane[l];
    const uint32_t *times = lane->times, *row_mask = w->row_mask[l];
    const int64_t base = lane->base - p->origin;
    uint32_t n = 0;
    from -= p->origin;
    to -= p->origin;
    if (!row_mask && !lane->mask && !lane->ties) {
        const uint32_t fixed = w->step_mask[l];
        const uint64_t rest = (uint64_t)lane->rank << p->rank_shift |
                              (p->any ? (uint64_t)__builtin_ctz(fixed) << p->low_shift : 0);
        for (uint32_t r = a; r < b; r++) {
            int64_t t = base + (int64_t)times[r];
            out[n] = (uint64_t)t << p->time_shift | rest;
            n += (t >= from) & (t <= to);
        }
        return n;
    }
    for (uint32_t r = a; r < b; r++) {
        int64_t t = base + (int64_t)times[r];
        uint32_t steps = row_mask ? row_mask[r] : w->step_mask[l];
        uint64_t low = p->any ? (uint64_t)__builtin_ctz(steps | 0x80000000u) << p->low_shift : 0;
        out[n] = (uint64_t)t << p->time_shift | low | (uint64_t)lane->rank << p->rank_shift | zj_tie(lane, r);
        n += (t >= from) & (t <= to) & (int)(steps >> s & 1) & zj_passes(lane, r);
    }
    return n;
}

/* Orders rows made of ascending slices run[0..runs]. */
static void zj_keys_merge(zj_funnel_work *w, uint32_t n, int runs) {
    if (n <= 24) {
        for (uint32_t i = 1; i < n; i++) {
            uint64_t x = w->rows[i];
            uint32_t j = i;
            for (; j > 0 && x < w->rows[j - 1]; j--) w->rows[j] = w->rows[j - 1];
            w->rows[j] = x;
        }
        return;
    }
    w->run[runs] = n;
    while (runs > 1) {
        int made = 0;
        for (int i = 0; i < runs; i += 2) {
            uint32_t a = w->run[i], b = w->run[i + 1], m = b, c = i + 1 < runs ? w->run[i + 2] : b, at = a;
            w->run[made++] = a;
            while (a < b && m < c) {
                int right = w->rows[m] < w->rows[a];
                w->spare[at++] = right ? w->rows[m] : w->rows[a];
                a += !right;
                m += right;
            }
            memcpy(&w->spare[at], &w->rows[a], (b - a) * 8);
            memcpy(&w->spare[at + (b - a)], &w->rows[m], (c - m) * 8);
        }
        w->run[made] = n;
        runs = made;
        uint64_t *swap = w->rows;
        w->rows = w->spare;
        w->spare = swap;
    }
}

static int zj_key_compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Rows of step s of the user in [from, to], in order, into w->rows. Lanes lag and are sought. */
ZJ_INLINE int zj_step_rows(const zj_key_plan *p, zj_funnel_work *w, uint32_t user, int s, int64_t from, int64_t to,
                           uint32_t *found) {
    uint32_t n = 0;
    int runs = 0, ordered = 1;
    for (int i = 0; i < w->step_lanes[s]; i++) {
        int l = w->step_lane[(size_t)s * w->room + (size_t)i], o = l - w->drivers;
        uint32_t pos;
        if (o < 0) {
            if (w->driver.head[l] != user) continue;
            pos = w->driver.pos[l];
        } else {
            if (!zj_heads_seek(&w->other, w->lane + w->drivers, o, user)) continue;
            pos = w->other.pos[o];
        }
        const uint32_t a = w->lane[l].offsets[pos], b = w->lane[l].offsets[pos + 1];
        if (zj_funnel_fit(w, (size_t)n + (b - a)) != ZJ_OK) return ZJ_NO_MEMORY;
        uint32_t more = zj_step_keys(p, w, l, a, b, s, from, to, w->rows + n);
        if (more == 0) continue;
        if (p->any && w->row_mask[l]) { /* rows of an instant may be out of order by their lowest step */
            int sound = 1;
            for (uint32_t r = n + 1; r < n + more; r++) sound &= w->rows[r - 1] <= w->rows[r];
            if (!sound) qsort(w->rows + n, more, 8, zj_key_compare);
        }
        ordered &= n == 0 || w->rows[n - 1] <= w->rows[n];
        w->run[runs++] = n;
        n += more;
    }
    if (!ordered) zj_keys_merge(w, n, runs);
    *found = n;
    return ZJ_OK;
}

/* The walk: every row takes the start of the last entry before it. Branch-free but for the loop's end.
 * REQUIRES: p->key[n of p] = UINT64_MAX, p->start[0] = ZJ_NEVER. Makes the same of out. */
ZJ_INLINE uint32_t zj_step_walk(const zj_steps_list *p, const uint64_t *rows, uint32_t n, int shift, uint64_t before,
                                int64_t window, zj_steps_list *out) {
    const uint64_t *key = p->key;
    const int64_t *start = p->start;
    uint32_t i = 0, j = 0, m = 0;
    out->start[0] = ZJ_NEVER;
    while (i < n) {
        const uint64_t x = rows[i];
        const int64_t from = start[j];
        const uint32_t ahead = key[j] < (x & before); /* an entry lies before the row: step over it */
        out->key[m] = x;
        out->start[m + 1] = from;
        m += (ahead ^ 1) & (uint32_t)((int64_t)(x >> shift) - from <= window);
        j += ahead;
        i += ahead ^ 1;
    }
    out->key[m] = UINT64_MAX;
    return m;
}

/* The next user with a row of the first step: of all, or of the ascending list only[*i..n). */
ZJ_INLINE uint32_t zj_next_user(zj_funnel_work *w, const uint32_t *only, size_t n, size_t *i) {
    if (only == NULL) return zj_heads_min(&w->driver);
    for (; *i < n; ++*i) {
        int there = 0;
        for (int d = 0; d < w->drivers; d++) there |= zj_heads_seek(&w->driver, w->lane, d, only[*i]);
        if (there) return only[(*i)++];
    }
    return ZJ_END;
}

/* cells[j] += users whose best level is j, j = 1..k; of the n users in `only` alone unless it is NULL.
 * complete[user] = 1 for those who reach level k, unless it is NULL; it has room for so many ordinals. */
ZJ_CLONES static int zj_funnel_fast(const zj_funnel *f, zj_guard *guard, const uint32_t *only, size_t n_only,
                                    int64_t *cells, uint8_t *complete, size_t room) {
    const int k = f->steps;
    zj_key_plan plan;
    zj_funnel_work w;
    int status = zj_key_plan_make(&plan, f);
    if (status != ZJ_OK) return status;
    status = zj_funnel_open(&w, f);
    /* strict ties: an entry of the row's own instant is not before it */
    const uint64_t before = f->ties == ZJ_TIES_STRICT ? ~0ull << plan.time_shift : ~0ull;
    uint32_t user;
    size_t at = 0;
    while (status == ZJ_OK && (user = zj_next_user(&w, only, n_only, &at)) != ZJ_END) {
        uint32_t work = 1;
        if (zj_allowed(guard, user)) {
            uint32_t n = 0;
            int level = 0;
            status = zj_step_rows(&plan, &w, user, 0, f->from, f->to - 1, &n);
            if (n) {
                uint64_t *swap = w.now.key;
                w.now.key = w.rows;
                w.rows = swap;
                w.now.key[n] = UINT64_MAX;
                w.now.start[0] = ZJ_NEVER;
                for (uint32_t i = 0; i < n; i++) w.now.start[i + 1] = (int64_t)(w.now.key[i] >> plan.time_shift);
                for (level = 1; level < k && status == ZJ_OK; level++) {
                    int64_t first = plan.origin + (int64_t)(w.now.key[0] >> plan.time_shift);
                    int64_t last = plan.origin + w.now.start[n] + f->window;
                    uint32_t found = 0;
                    work += n;
                    status = zj_step_rows(&plan, &w, user, level, first, last, &found);
                    n = zj_step_walk(&w.now, w.rows, found, plan.time_shift, before, f->window, &w.next);
                    if (n == 0) break;
                    zj_steps_list turn = w.now;
                    w.now = w.next;
                    w.next = turn;
                }
                cells[level]++;
                if (complete && level == k && user < room) complete[user] = 1;
            }
        }
        for (int d = 0; d < w.drivers; d++)
            if (w.driver.head[d] == user) {
                work += w.lane[d].offsets[w.driver.pos[d] + 1] - w.lane[d].offsets[w.driver.pos[d]];
                zj_heads_next(&w.driver, w.lane, d);
            }
        if (status == ZJ_OK && zj_stop(guard, work)) status = ZJ_CANCELLED;
    }
    zj_funnel_close(&w);
    return status;
}

#endif
