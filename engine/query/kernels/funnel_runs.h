/* Users by level, start bucket and group: the hot path of funnels.
 *
 * Ordered, any entry, a window in ms, no exclusions, nothing held. Users of the first step are looked at in
 * blocks of ordinals: funnel_block.h brings the rows of each step together, in order of time, from however
 * many lanes they are in, and funnel_step.h evaluates user by user. Nothing of the size of the data is
 * made. Times are uint32 from a common origin; lanes of several bases whose starts and window span 2^32 ms
 * or more take uint64.
 *
 * Rows of one instant: by the ranks and ties of the two lanes a row of step s is always before, never
 * before, or it depends (ZJ_TIE_ASK). Users for whom it depends are left over, in ascending order, and
 * the caller evaluates them with a kernel that compares whole keys; so are users with a group whose start
 * may be either of two lanes' rows. Rejected: too many users left over.
 * O(slices of users + rows of all steps).
 */
#ifndef ZUJI_FUNNEL_RUNS_H
#define ZUJI_FUNNEL_RUNS_H

#include "buckets.h"
#include "funnel_sources.h"

#define ZJ_MOST_WIDE 16u           /* times in a vector at most */
#define ZJ_BLOCK_BYTES (256u << 10) /* of rows copied for a block */
#define ZJ_BLOCK_MOST 10            /* bits */
#define ZJ_BLOCK_LEAST 5
#define ZJ_RUN_LAST 0xFFFFFFFEu /* short starts lie before it, so that 1 + start is not the largest time */

enum { ZJ_TIE_AFTER = 0, ZJ_TIE_BEFORE = 1, ZJ_TIE_ASK = 2 };

/* What is asked beside zj_funnel. */
typedef struct {
    const uint32_t *const *code; /* [lanes] group of each row, uint32[n], or NULL: one group */
    uint32_t groups;
    const int64_t *edges; /* [buckets + 1] of starts, or NULL: one bucket */
    int32_t buckets;
    uint8_t *complete; /* [room] by ordinal, or NULL; 1 = reaches the last step in some cell */
    size_t room;
} zj_funnel_cells;

/* One step: its sources, and the rows of the users of a block. */
typedef struct {
    zj_source *source;
    zj_picked *picked; /* of each source */
    uint32_t sources;
    int coded, direct; /* groups are asked for; the rows are those of its only source */
    const void *rows;  /* uint32 or uint64 from the origin: the user at u has rows[start[u] ...len[u]] */
    const uint32_t *code;  /* groups of rows, or NULL: all 0 */
    uint32_t *start, *len; /* [block] */
    uint8_t *same;         /* [block] rows of several sources share an instant */
    size_t end;            /* rows that may be read */
    zj_room own, own_code;
} zj_step;

typedef struct {
    zj_step step[ZJ_MAX_STEPS];
    int tie[ZJ_MAX_STEPS]; /* tie[s]: is a row of step s - 1 before one of step s at the same instant? */
    int k;      /* steps that somebody can reach */
    int stride; /* of cells: steps asked for + 1 */
    int wide;   /* times are uint64 */
    int cut;    /* rows outside the range are left out */
    int64_t origin;
    uint64_t low, high, window; /* starts in [low, high) */
    int high_cut;               /* a row at `high` or later may start, too: its user is left over */
    const zj_funnel_cells *ask;
    zj_buckets bucket;
    uint64_t *edge; /* [buckets + 1] ends of buckets */
    int64_t *cells; /* [groups][buckets][k + 1] */
    zj_guard *guard;
    int block_bits;
    void *tables, *sources;
    zj_slices *slices; /* of the sources of one step */
    uint32_t *fill;  /* [block] of the step being made: where the user's next row goes */
    uint64_t *after; /* [block] 1 + the last time so far, 0 = none */
    zj_room starts[2], spare, spare_code;
    int64_t *cell;   /* [buckets] cells of the user at hand */
    size_t pending;
    uint32_t *leftover;
    size_t left, left_room;
} zj_runs;

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

/* Least user of no block yet, or ZJ_END. */
static uint32_t zj_runs_next(const zj_runs *w) {
    uint32_t least = ZJ_END;
    for (uint32_t i = 0; i < w->step[0].sources; i++) {
        const zj_source *from = &w->step[0].source[i];
        if (from->next < from->nu && from->users[from->next] < least) least = from->users[from->next];
    }
    return least;
}

#define ZJ_ISA(name) zj_base_runs_##name
#define ZJ_TARGET
#define ZJ_W 4
#define ZJ_TIME uint32_t
#include "funnel_block.h"
#include "funnel_step.h"
#define ZJ_ISA(name) zj_base_wide_##name
#define ZJ_TARGET
#define ZJ_W 2
#define ZJ_TIME uint64_t
#include "funnel_block.h"
#include "funnel_step.h"
#if defined(__x86_64__) && defined(__GNUC__)
#define ZJ_ISA(name) zj_avx2_runs_##name
#define ZJ_TARGET __attribute__((target("avx2")))
#define ZJ_W 8
#define ZJ_TIME uint32_t
#include "funnel_block.h"
#include "funnel_step.h"
#define ZJ_ISA(name) zj_avx2_wide_##name
#define ZJ_TARGET __attribute__((target("avx2")))
#define ZJ_W 4
#define ZJ_TIME uint64_t
#include "funnel_block.h"
#include "funnel_step.h"
#define ZJ_ISA(name) zj_avx512_runs_##name
#define ZJ_TARGET __attribute__((target("avx512f")))
#define ZJ_W 16
#define ZJ_TIME uint32_t
#include "funnel_block.h"
#include "funnel_step.h"
#define ZJ_ISA(name) zj_avx512_wide_##name
#define ZJ_TARGET __attribute__((target("avx512f")))
#define ZJ_W 8
#define ZJ_TIME uint64_t
#include "funnel_block.h"
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
    for (int s = 0; s < ZJ_MAX_STEPS; s++) {
        for (uint32_t i = 0; i < w->step[s].sources; i++) zj_picked_close(&w->step[s].picked[i]);
        free(w->step[s].own.own);
        free(w->step[s].own_code.own);
    }
    for (int i = 0; i < 2; i++) free(w->starts[i].own);
    if (w->edge) zj_buckets_close(&w->bucket);
    free(w->spare.own);
    free(w->spare_code.own);
    free(w->edge);
    free(w->tables);
    free(w->sources);
    free(w->cell);
    free(w->leftover);
}

/* Origin of all times: with lanes of one base it is theirs, and all rows matter. */
static int64_t zj_runs_origin(const zj_funnel *f, int *same) {
    const zj_lane *some = NULL;
    *same = 1;
    for (int l = 0; l < f->count; l++) {
        const zj_lane *lane = &f->lanes[l];
        if (lane->n == 0) continue;
        if (some) *same &= lane->base == some->base;
        some = lane;
    }
    return *same && some ? some->base : f->from;
}

/* Sources of all steps. */
static int zj_runs_sources(zj_runs *w, const zj_funnel *f) {
    const size_t lanes = (size_t)(f->count ? f->count : 1), all = lanes * (size_t)f->steps;
    w->sources = calloc(1, all * (sizeof(zj_source) + sizeof(zj_picked)) + lanes * sizeof(zj_slices));
    if (w->sources == NULL) return ZJ_NO_MEMORY;
    zj_source *source = (zj_source *)w->sources;
    zj_picked *picked = (zj_picked *)(source + all);
    w->slices = (zj_slices *)(picked + all);
    for (int s = 0; s < w->k; s++) {
        zj_step *step = &w->step[s];
        uint64_t rows = 0;
        step->source = source;
        step->picked = picked;
        for (int l = 0; l < f->count; l++) {
            if (!zj_step_in(f, l, s)) continue;
            source[step->sources++] = zj_source_of(f, l, s, w->origin, s == 0 ? w->ask->code : NULL);
            rows += f->lanes[l].n;
        }
        if (rows > 0xFFFFFFFFu - (ZJ_MOST_WIDE << ZJ_BLOCK_MOST)) return ZJ_REJECTED;
        step->coded = s == 0 && w->ask->code;
        step->direct = !w->cut && step->sources == 1;
        source += step->sources;
        picked += step->sources;
        if (s) w->tie[s] = zj_runs_ties(f, s);
        if (step->sources == 0) w->k = s; /* nobody comes further */
    }
    return ZJ_OK;
}

/* Users of a block: what is copied should stay in the second cache, and users far apart want small tables. */
static int zj_runs_bits(const zj_runs *w) {
    uint32_t low = ZJ_END, high = 0;
    uint64_t users = 0, rows = 0, copied = 0;
    for (uint32_t i = 0; i < w->step[0].sources; i++) {
        const zj_source *from = &w->step[0].source[i];
        low = from->users[0] < low ? from->users[0] : low;
        high = from->users[from->nu - 1] > high ? from->users[from->nu - 1] : high;
        users += from->nu;
    }
    const uint64_t span = high > low ? (uint64_t)(high - low) + 1 : 1;
    for (int s = 0; s < w->k; s++) {
        for (uint32_t i = 0; !w->step[s].direct && i < w->step[s].sources; i++) rows += w->step[s].source[i].n;
        copied += !w->step[s].direct;
    }
    if (span / 64 >= users) return ZJ_BLOCK_LEAST;
    const uint64_t item = (copied * ZJ_MOST_WIDE + rows / span) * (w->wide ? 8 : 4);
    int bits = ZJ_BLOCK_MOST;
    while (bits > ZJ_BLOCK_LEAST && item << bits > ZJ_BLOCK_BYTES) bits--;
    return bits;
}

/* Tables of a block. */
static int zj_runs_tables(zj_runs *w) {
    w->block_bits = zj_runs_bits(w);
    const size_t block = (size_t)1 << w->block_bits;
    w->tables = malloc(block * ((size_t)w->k * (2 * sizeof(uint32_t) + 1) + sizeof(uint64_t) + sizeof(uint32_t)));
    if (w->tables == NULL) return ZJ_NO_MEMORY;
    w->after = (uint64_t *)w->tables;
    w->fill = (uint32_t *)(w->after + block);
    uint32_t *at = w->fill + block;
    for (int s = 0; s < w->k; s++) {
        w->step[s].start = at;
        w->step[s].len = at + block;
        at += 2 * block;
    }
    for (int s = 0; s < w->k; s++) w->step[s].same = (uint8_t *)at + (size_t)s * block;
    return ZJ_OK;
}

static int zj_runs_open(zj_runs *w, const zj_funnel *f) {
    const zj_funnel_cells *ask = w->ask;
    int same;
    w->origin = zj_runs_origin(f, &same);
    w->wide = !same && (uint64_t)(f->to - f->from) + (uint64_t)f->window >= ZJ_RUN_LAST;
    w->cut = !same;
    w->k = f->steps;
    w->stride = f->steps + 1;
    const int64_t most = w->wide ? INT64_MAX : ZJ_RUN_LAST, low = f->from - w->origin, high = f->to - w->origin;
    w->window = (uint64_t)(f->window < most + !w->wide ? f->window : most + !w->wide);
    w->low = (uint64_t)(low < 0 ? 0 : low < most ? low : most);
    w->high_cut = high > most;
    w->high = (uint64_t)(high < 0 ? 0 : w->high_cut ? most : high);
    int status = zj_runs_sources(w, f);
    if (status == ZJ_OK && w->k) status = zj_runs_tables(w);
    if (status != ZJ_OK || w->k == 0) return status;
    w->cell = (int64_t *)malloc((size_t)(ask->edges ? ask->buckets : 1) * sizeof(int64_t));
    if (!w->cell) return ZJ_NO_MEMORY;
    if (ask->edges == NULL) return ZJ_OK;
    w->edge = (uint64_t *)malloc(((size_t)ask->buckets + 1) * sizeof(uint64_t));
    if (w->edge == NULL) return ZJ_NO_MEMORY;
    for (int32_t b = 0; b <= ask->buckets; b++) {
        const int64_t e = ask->edges[b] - w->origin;
        w->edge[b] = e < 0 ? 0 : (uint64_t)e;
    }
    return zj_buckets_open(&w->bucket, ask->edges, ask->buckets, w->origin);
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
    if (status == ZJ_OK && w.k) {
        const int isa = zj_runs_isa();
        (void)isa;
#if defined(__x86_64__) && defined(__GNUC__)
        if (isa == 2) status = w.wide ? zj_avx512_wide_count(&w) : zj_avx512_runs_count(&w);
        else if (isa == 1) status = w.wide ? zj_avx2_wide_count(&w) : zj_avx2_runs_count(&w);
        else
#endif
            status = w.wide ? zj_base_wide_count(&w) : zj_base_runs_count(&w);
    }
    if (status == ZJ_OK && w.left) {
        qsort(w.leftover, w.left, sizeof(uint32_t), zj_compare_users);
        *leftover = w.leftover;
        *left = w.left;
        w.leftover = NULL;
    }
    zj_runs_close(&w);
    return status;
}

#endif
