/* Users by level, start bucket and group, where every step is one run: the hot path of funnels.
 *
 * Ordered, any entry, a window in ms, no exclusions, nothing held. Each step becomes one run in CSR form
 * with uint32 times from a common origin: the lane itself where the step has one, else its matching rows
 * joined (funnel_join.h). Users of the first step are looked at in blocks of ordinals; a table gives
 * each one's place in the other runs. A user is then evaluated by funnel_step.h.
 *
 * Rows of one instant: by the ranks and ties of the two lanes a row of step s is always before, never
 * before, or it depends (ZJ_TIE_ASK). Users for whom it depends are left over, in ascending order, and
 * the caller evaluates them with a kernel that compares whole keys.
 * Rejected: starts and windows that span 2^32 ms or more over several lanes; too many users left over.
 * O(rows of step 1 + rows of steps that can be reached + users).
 */
#ifndef ZUJI_FUNNEL_RUNS_H
#define ZUJI_FUNNEL_RUNS_H

#include "buckets.h"
#include "funnel_join.h"

#define ZJ_RUN_NONE 0xFFFFFFFFu
#define ZJ_RUN_LAST 0xFFFFFFFEu /* starts lie before it, so that 1 + start is no ZJ_RUN_NONE */
#define ZJ_RUN_BLOCK_BITS 10

enum { ZJ_TIE_AFTER = 0, ZJ_TIE_BEFORE = 1, ZJ_TIE_ASK = 2 };

/* What is asked beside zj_funnel. */
typedef struct {
    const uint32_t *const *code; /* [lanes] group of each row, uint32[n], or NULL: one group */
    uint32_t groups;
    const int64_t *edges; /* [buckets + 1] of starts, or NULL: one bucket */
    int32_t buckets;
} zj_funnel_cells;

typedef struct {
    zj_run step[ZJ_MAX_STEPS];
    int tie[ZJ_MAX_STEPS]; /* tie[s]: is a row of step s - 1 before one of step s at the same instant? */
    int k;      /* steps that somebody can reach */
    int stride; /* of cells: steps asked for + 1 */
    uint32_t low, high, window; /* starts in [low, high) */
    int high_cut;               /* a row at `high` or later may start, too: its user is left over */
    const zj_funnel_cells *ask;
    zj_buckets bucket;
    uint32_t *edge; /* [buckets + 1] ends of buckets */
    int64_t *cells; /* [groups][buckets][k + 1] */
    zj_guard *guard;
    int block_bits;
    uint32_t *place;  /* [k][block] place of each ordinal of the block in the run of each step */
    uint32_t at[ZJ_MAX_STEPS];
    uint32_t *starts; /* [2][room] */
    size_t room;
    int64_t *cell;    /* [buckets] cells of the user at hand */
    size_t pending;
    uint32_t *leftover;
    size_t left, left_room;
} zj_runs;

/* First place in [p, nu) of a user >= user. */
static uint32_t zj_runs_seek(const uint32_t *users, uint32_t p, uint32_t nu, uint32_t user) {
    uint32_t step = 1, high;
    if (p >= nu || users[p] >= user) return p;
    for (; nu - p > step && users[p + step] < user; step *= 2) p += step;
    high = nu - p > step ? p + step : nu; /* users[p] < user <= users[high] */
    while (high - p > 1) {
        const uint32_t middle = p + (high - p) / 2;
        if (users[middle] < user) p = middle;
        else high = middle;
    }
    return high;
}

/* Fills the table for the ordinals from `base` on. */
static void zj_runs_place(zj_runs *w, uint32_t base) {
    const uint32_t block = 1u << w->block_bits;
    for (int s = 1; s < w->k; s++) {
        const zj_run *run = &w->step[s];
        uint32_t *place = w->place + ((size_t)s << w->block_bits);
        uint32_t p = zj_runs_seek(run->users, w->at[s], run->nu, base);
        memset(place, 0xFF, block * sizeof *place);
        for (; p < run->nu && run->users[p] - base < block; p++) place[run->users[p] - base] = p;
        w->at[s] = p;
    }
}

static uint32_t zj_runs_bound(const uint32_t *times, uint32_t a, uint32_t b, uint32_t t) {
    while (a < b) {
        const uint32_t middle = a + (b - a) / 2;
        if (times[middle] < t) a = middle + 1;
        else b = middle;
    }
    return a;
}

/* Cuts [a, b) to the starts in range; false when none is left. */
ZJ_INLINE int zj_runs_trim(const zj_runs *w, uint32_t *a, uint32_t *b, int *whole) {
    const uint32_t *times = w->step[0].times;
    if (*a == *b) return 0;
    if (times[*a] < w->low) *a = zj_runs_bound(times, *a, *b, w->low);
    if (times[*b - 1] >= w->high) {
        *b = zj_runs_bound(times, *a, *b, w->high);
        *whole = !w->high_cut;
        return *a < *b || !*whole;
    }
    return *a < *b;
}

/* Bucket of the start at a (-1 = none), and where the starts of that bucket end. */
ZJ_INLINE uint32_t zj_runs_bucket(const zj_runs *w, uint32_t a, uint32_t b, int32_t *bucket) {
    const uint32_t *times = w->step[0].times;
    if (w->edge == NULL) return b;
    const int32_t found = zj_bucket(&w->bucket, times[a]);
    if (found < 0 || found >= w->ask->buckets) {
        *bucket = -1;
        return a + 1;
    }
    *bucket = found;
    for (a++; a < b && times[a] < w->edge[found + 1]; a++) {}
    return a;
}

/* Notes the cell of the chain that starts at time `start`, in the row of that time first after a. */
ZJ_INLINE void zj_runs_add(zj_runs *w, uint32_t a, uint32_t start, int32_t bucket, int level) {
    uint32_t group = 0;
    if (w->step[0].code) {
        while (w->step[0].times[a] < start) a++;
        group = w->step[0].code[a];
        if (group >= w->ask->groups) return;
    }
    const int64_t buckets = w->edge ? w->ask->buckets : 1;
    w->cell[w->pending++] = ((int64_t)group * buckets + bucket) * w->stride + level;
}

ZJ_INLINE void zj_runs_commit(zj_runs *w) {
    for (size_t i = 0; i < w->pending; i++) w->cells[w->cell[i]]++;
}

static int zj_runs_leave(zj_runs *w, uint32_t user) {
    if (w->left == w->left_room) {
        const size_t room = w->left_room ? w->left_room * 2 : 256;
        void *p = realloc(w->leftover, room * sizeof(uint32_t));
        if (p == NULL) return ZJ_NO_MEMORY;
        w->leftover = (uint32_t *)p;
        w->left_room = room;
    }
    w->leftover[w->left++] = user;
    return ZJ_OK;
}

#define ZJ_ISA(name) zj_runs_base_##name
#define ZJ_TARGET
#define ZJ_W 4
#include "funnel_step.h"
#if defined(__x86_64__) && defined(__GNUC__)
#define ZJ_ISA(name) zj_runs_avx2_##name
#define ZJ_TARGET __attribute__((target("avx2")))
#define ZJ_W 8
#include "funnel_step.h"
#define ZJ_ISA(name) zj_runs_avx512_##name
#define ZJ_TARGET __attribute__((target("avx512f")))
#define ZJ_W 16
#include "funnel_step.h"
#endif

static int zj_runs_isa_limit = 2; /* for tests */

/* 0 baseline, 1 AVX2, 2 AVX-512: the best that this CPU has, up to the limit. */
static int zj_runs_isa(void) {
    int level = 0;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    level = __builtin_cpu_supports("avx512f") ? 2 : __builtin_cpu_supports("avx2") ? 1 : 0;
#endif
    return level < zj_runs_isa_limit ? level : zj_runs_isa_limit;
}

/* Is a row of lane a, of step s - 1, before a row of lane b, of step s, at the same instant? */
static int zj_runs_tie(const zj_funnel *f, int a, int b) {
    if (f->ties == ZJ_TIES_STRICT) return ZJ_TIE_AFTER;
    if (f->ties == ZJ_TIES_ANY) {
        if (f->row_mask[a] || f->row_mask[b]) return ZJ_TIE_ASK;
        const int x = __builtin_ctz(f->step_mask[a]), y = __builtin_ctz(f->step_mask[b]);
        if (x != y) return x < y ? ZJ_TIE_BEFORE : ZJ_TIE_AFTER;
    }
    const zj_lane *x = &f->lanes[a], *y = &f->lanes[b];
    if (x->rank != y->rank) return x->rank < y->rank ? ZJ_TIE_BEFORE : ZJ_TIE_AFTER;
    return x->ties || y->ties ? ZJ_TIE_ASK : ZJ_TIE_AFTER;
}

/* The rule for all pairs of lanes of steps s - 1 and s. */
static int zj_runs_ties(const zj_funnel *f, int s) {
    int rule = -1;
    for (int a = 0; a < f->count; a++)
        for (int b = 0; zj_step_in(f, a, s - 1) && b < f->count; b++) {
            if (!zj_step_in(f, b, s)) continue;
            const int one = zj_runs_tie(f, a, b);
            if (rule >= 0 && rule != one) return ZJ_TIE_ASK;
            rule = one;
        }
    return rule < 0 ? ZJ_TIE_AFTER : rule;
}

static void zj_runs_close(zj_runs *w) {
    for (int s = 0; s < w->k; s++) free(w->step[s].owned);
    if (w->edge) zj_buckets_close(&w->bucket);
    free(w->edge);
    free(w->place);
    free(w->starts);
    free(w->cell);
    free(w->leftover);
}

/* Origin of all times, and which rows matter: with lanes of one base it is theirs, and all rows do. */
static int zj_runs_origin(const zj_funnel *f, int64_t *origin, int *same) {
    const zj_lane *some = NULL;
    *same = 1;
    for (int l = 0; l < f->count; l++) {
        const zj_lane *lane = &f->lanes[l];
        if (lane->n == 0) continue;
        if (some) *same &= lane->base == some->base;
        some = lane;
    }
    *origin = *same && some ? some->base : f->from;
    return *same || (uint64_t)(f->to - f->from) + (uint64_t)f->window < ZJ_RUN_LAST ? ZJ_OK : ZJ_REJECTED;
}

static int zj_runs_open(zj_runs *w, const zj_funnel *f) {
    const zj_funnel_cells *ask = w->ask;
    int64_t origin;
    int same, status = zj_runs_origin(f, &origin, &same);
    w->k = f->steps;
    w->stride = f->steps + 1;
    w->window = f->window < (int64_t)0xFFFFFFFF ? (uint32_t)f->window : 0xFFFFFFFFu;
    const int64_t low = f->from - origin, high = f->to - origin;
    w->low = low < 0 ? 0 : low < ZJ_RUN_LAST ? (uint32_t)low : ZJ_RUN_LAST;
    w->high_cut = high > ZJ_RUN_LAST;
    w->high = high < 0 ? 0 : w->high_cut ? ZJ_RUN_LAST : (uint32_t)high;
    for (int s = 0; s < w->k && status == ZJ_OK; s++) {
        zj_join join = {f, s, origin, !same, s == 0 ? ask->code : NULL, w->guard};
        status = zj_run_make(&join, &w->step[s]);
        for (size_t i = 0; i < join.left && status == ZJ_OK; i++)
            if (zj_allowed(w->guard, join.leftover[i])) status = zj_runs_leave(w, join.leftover[i]);
        free(join.leftover);
        if (s) w->tie[s] = zj_runs_ties(f, s);
        if (status == ZJ_OK && w->step[s].nu == 0) w->k = s; /* nobody comes further */
    }
    for (int s = 0; s < w->k; s++) w->room = w->step[s].longest > w->room ? w->step[s].longest : w->room;
    w->room += 16;
    if (status != ZJ_OK || w->k == 0) return status;
    const zj_run *first = &w->step[0];
    const uint32_t span = first->users[first->nu - 1] - first->users[0];
    w->block_bits = span / 64 < first->nu ? ZJ_RUN_BLOCK_BITS : 5; /* few users far apart: small tables */
    w->place = (uint32_t *)malloc(((size_t)w->k << w->block_bits) * sizeof(uint32_t));
    w->starts = (uint32_t *)malloc(2 * w->room * sizeof(uint32_t));
    w->cell = (int64_t *)malloc((size_t)(ask->edges ? ask->buckets : 1) * sizeof(int64_t));
    if (!w->place || !w->starts || !w->cell) return ZJ_NO_MEMORY;
    if (ask->edges == NULL) return ZJ_OK;
    w->edge = (uint32_t *)malloc(((size_t)ask->buckets + 1) * sizeof(uint32_t));
    if (w->edge == NULL) return ZJ_NO_MEMORY;
    for (int32_t b = 0; b <= ask->buckets; b++) {
        const int64_t e = ask->edges[b] - origin;
        w->edge[b] = e < 0 ? 0 : e < (int64_t)0xFFFFFFFF ? (uint32_t)e : 0xFFFFFFFFu;
    }
    return zj_buckets_open(&w->bucket, ask->edges, ask->buckets, origin);
}

static int zj_compare_users(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* cells[groups][buckets][k + 1] += users whose best level is exactly that, all but those left over:
 * *left of them, ascending, in *leftover, which the caller frees. */
static int zj_funnel_runs(const zj_funnel *f, const zj_funnel_cells *ask, zj_guard *guard, int64_t *cells,
                          uint32_t **leftover, size_t *left) {
    zj_runs w;
    memset(&w, 0, sizeof w);
    w.ask = ask;
    w.guard = guard;
    w.cells = cells;
    *leftover = NULL;
    *left = 0;
    if (f->to <= f->from) return ZJ_OK;
    int status = zj_runs_open(&w, f);
    const int k = w.k;
    if (status == ZJ_OK && k) {
        const int isa = zj_runs_isa();
        (void)isa;
#if defined(__x86_64__) && defined(__GNUC__)
        if (isa == 2) status = zj_runs_avx512_count(&w);
        else if (isa == 1) status = zj_runs_avx2_count(&w);
        else
#endif
            status = zj_runs_base_count(&w);
    }
    if (status == ZJ_OK && w.left) {
        qsort(w.leftover, w.left, sizeof(uint32_t), zj_compare_users);
        *leftover = w.leftover;
        *left = w.left;
        w.leftover = NULL;
    }
    w.k = f->steps;
    zj_runs_close(&w);
    return status;
}

#endif
