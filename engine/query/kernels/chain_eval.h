/* One evaluation of a funnel over the rows of one user: the canonical chain, or "removed".
 *
 * ordered: state L[m] = the chain of the latest start that has reached level m, with its rows. Replaced
 * only by a strictly later start (by time), so of equal starts the earliest rows stay; the first time
 * a new highest level is reached gives the canonical chain.
 * strict: the same, but a state lives for one row. any_order: per start row the rows are taken
 * greedily into a matching of rows to steps (transversal matroid: greedy is largest and earliest).
 * An exclusion row clears the levels [low, high) before it may take a step; with `remove` a live state
 * there with a later start than every state at a level >= high removes the user.
 * Levels count required steps only; optional steps are filled in on the finished chain.
 */
#ifndef ZUJI_CHAIN_EVAL_H
#define ZUJI_CHAIN_EVAL_H

#include "buckets.h"
#include "gather.h"

#define ZJ_STEPS_MAX 32
enum { ZJ_ORDERED = 0, ZJ_STRICT = 1, ZJ_ANY_ORDER = 2 };
enum { ZJ_WINDOW_MS = 0, ZJ_WINDOW_DAY = 1, ZJ_WINDOW_SESSION = 2 };

typedef struct {
    int steps, levels;                 /* k; required steps */
    uint32_t optional;                 /* bit s: step s is optional */
    int level_step[ZJ_STEPS_MAX];      /* step of level m + 1 */
    int order, ties_strict, window_kind;
    int64_t window;
    int n_exclusions, any_remove;
    int low[ZJ_STEPS_MAX], high[ZJ_STEPS_MAX], remove[ZJ_STEPS_MAX]; /* levels cleared: [low, high) */
} zj_rules;

/* A row as the evaluation sees it. */
typedef struct {
    int64_t time, session;
    int32_t day;        /* -1 outside the day edges: in no window */
    uint32_t at;        /* place among the user's rows */
    uint32_t steps;     /* steps it may take */
    uint32_t need;      /* the required ones of them, by level */
    uint32_t exclusion; /* exclusions it matches */
} zj_step_row;

typedef struct {
    int64_t from, to; /* starts in [from, to) */
    int64_t only;     /* place of the one row that may start, or -1 */
} zj_starts;

typedef struct {
    int level;
    int64_t start;                  /* time */
    uint32_t chain[ZJ_STEPS_MAX];   /* place of the row of each level */
    uint32_t reached;               /* by step */
    int64_t row[ZJ_STEPS_MAX];      /* place of the row of each step, -1 none */
} zj_chain;

typedef struct {
    int set;
    int64_t start;
    uint32_t first;                /* index of the start row */
    uint32_t row[ZJ_STEPS_MAX];    /* index of each level's row */
} zj_state;

ZJ_INLINE int zj_within(const zj_rules *q, const zj_step_row *start, const zj_step_row *x) {
    if (q->window_kind == ZJ_WINDOW_MS) return x->time - start->time <= q->window;
    if (q->window_kind == ZJ_WINDOW_DAY) return x->day >= 0 && x->day == start->day;
    return x->session == start->session;
}

ZJ_INLINE int zj_may_start(const zj_starts *s, const zj_step_row *x) {
    return x->time >= s->from && x->time < s->to && (s->only < 0 || x->at == (uint64_t)s->only);
}

/* Required steps of a mask, by level. */
ZJ_INLINE uint32_t zj_need(const zj_rules *q, uint32_t steps) {
    if (!q->optional) return steps;
    uint32_t need = 0;
    for (int m = 0; m < q->levels; m++) need |= (steps >> q->level_step[m] & 1u) << m;
    return need;
}

/* Fills reached and row from the chain; then optional steps, in step order, each the first unused row
 * between the rows of the required steps around it (or up to the window's end). */
static void zj_chain_finish(const zj_rules *q, const zj_step_row *e, uint32_t n, const uint32_t *index,
                            int level, zj_chain *c) {
    uint32_t used[ZJ_STEPS_MAX];
    int n_used = 0, passed = 0;
    c->level = level;
    c->start = e[index[0]].time;
    c->reached = 0;
    for (int s = 0; s < q->steps; s++) c->row[s] = -1;
    for (int m = 0; m < level; m++) {
        int s = q->level_step[m];
        c->chain[m] = e[index[m]].at;
        c->row[s] = e[index[m]].at;
        c->reached |= 1u << s;
    }
    if (!q->optional) return;
    for (int s = 0; s < q->steps && passed <= level; s++) {
        if (!(q->optional >> s & 1)) {
            passed++;
            continue;
        }
        if (passed == 0) continue;
        uint32_t i = index[passed - 1] + 1, stop = passed < level ? index[passed] : n;
        for (; i < stop && zj_within(q, &e[index[0]], &e[i]); i++) {
            int taken = 0;
            for (int u = 0; u < n_used; u++) taken |= used[u] == i;
            if (!taken && (e[i].steps >> s & 1)) {
                used[n_used++] = i;
                c->row[s] = e[i].at;
                c->reached |= 1u << s;
                break;
            }
        }
    }
}

/* True when a is the better chain: higher, completed first, later start, earlier rows, more optional
 * steps. Equal chains of two held values differ in optional steps only; the lower code stays. */
static int zj_chain_better(const zj_chain *a, const zj_chain *b) {
    if (a->level != b->level) return a->level > b->level;
    if (a->level == 0) return 0;
    uint32_t x = a->chain[a->level - 1], y = b->chain[b->level - 1];
    if (x != y) return x < y;
    if (a->start != b->start) return a->start > b->start;
    for (int m = 0; m < a->level; m++)
        if (a->chain[m] != b->chain[m]) return a->chain[m] < b->chain[m];
    return __builtin_popcount(a->reached) > __builtin_popcount(b->reached);
}

/* Would the exclusions of row x remove the user? States of both arrays count (b may be NULL). */
static int zj_removes(const zj_rules *q, const zj_step_row *e, const zj_step_row *x, const zj_state *a,
                      const zj_state *b) {
    for (int i = 0; i < q->n_exclusions; i++) {
        if (!(x->exclusion >> i & 1) || !q->remove[i]) continue;
        int64_t held = INT64_MIN;
        for (int m = q->high[i]; m <= q->levels; m++) {
            if (a[m].set && a[m].start > held) held = a[m].start;
            if (b && b[m].set && b[m].start > held) held = b[m].start;
        }
        for (int m = q->low[i]; m < q->high[i]; m++) {
            if (a[m].set && a[m].start > held && zj_within(q, &e[a[m].first], x)) return 1;
            if (b && b[m].set && b[m].start > held && zj_within(q, &e[b[m].first], x)) return 1;
        }
    }
    return 0;
}

ZJ_INLINE void zj_clear(const zj_rules *q, uint32_t exclusion, zj_state *states) {
    for (int i = 0; i < q->n_exclusions; i++)
        if (exclusion >> i & 1)
            for (int m = q->low[i]; m < q->high[i]; m++) states[m].set = 0;
}

ZJ_INLINE void zj_state_start(zj_state *to, const zj_step_row *e, uint32_t i) {
    to->set = 1;
    to->start = e[i].time;
    to->first = i;
    to->row[0] = i;
}

ZJ_INLINE void zj_state_extend(zj_state *to, const zj_state *from, int level, uint32_t i) {
    to->set = 1;
    to->start = from->start;
    to->first = from->first;
    memcpy(to->row, from->row, (size_t)level * sizeof(uint32_t));
    to->row[level] = i;
}

/* Ordered chains. best_row gets the canonical chain; returns its level. */
static int zj_eval_ordered(const zj_rules *q, const zj_step_row *e, uint32_t n, const zj_starts *starts,
                           uint32_t *best_row, int *removed) {
    zj_state L[ZJ_STEPS_MAX + 1], N[ZJ_STEPS_MAX + 1]; /* N: made in this instant, for strict ties */
    const int top = q->levels, strict = q->ties_strict;
    int best = 0;
    for (int m = 0; m <= top; m++) L[m].set = N[m].set = 0;
    for (uint32_t i = 0; i < n; i++) {
        const zj_step_row *x = &e[i];
        if (strict && i && x->time != e[i - 1].time)
            for (int m = 1; m <= top; m++) {
                if (N[m].set && (!L[m].set || N[m].start > L[m].start)) L[m] = N[m];
                N[m].set = 0;
            }
        if (x->exclusion) {
            if (q->any_remove && zj_removes(q, e, x, L, strict ? N : NULL)) {
                *removed = 1;
                return 0;
            }
            zj_clear(q, x->exclusion, L);
            if (strict) zj_clear(q, x->exclusion, N);
        }
        for (uint32_t left = x->need; left;) {
            int m = 31 - __builtin_clz(left); /* level before the step */
            zj_state *to = strict ? &N[m + 1] : &L[m + 1];
            left ^= 1u << m;
            if (m == 0) {
                if (!zj_may_start(starts, x) || (to->set && x->time <= to->start)) continue;
                zj_state_start(to, e, i);
            } else {
                const zj_state *from = &L[m];
                if (!from->set || (to->set && from->start <= to->start) || !zj_within(q, &e[from->first], x)) continue;
                zj_state_extend(to, from, m, i);
            }
            if (m + 1 > best) {
                best = m + 1;
                memcpy(best_row, to->row, (size_t)best * sizeof(uint32_t));
            }
        }
        if (best == top && !q->any_remove) break;
    }
    return best;
}

/* Chains of neighbouring rows: a state is the chain that ends exactly at the row before. */
static int zj_eval_strict(const zj_rules *q, const zj_step_row *e, uint32_t n, const zj_starts *starts,
                          uint32_t *best_row, int *removed) {
    zj_state one[ZJ_STEPS_MAX + 1], two[ZJ_STEPS_MAX + 1], *before = one, *after = two;
    const int top = q->levels;
    int best = 0;
    for (int m = 0; m <= top; m++) before[m].set = 0;
    for (uint32_t i = 0; i < n; i++) {
        const zj_step_row *x = &e[i];
        if (x->exclusion) {
            if (q->any_remove && zj_removes(q, e, x, before, NULL)) {
                *removed = 1;
                return 0;
            }
            zj_clear(q, x->exclusion, before);
        }
        int goes_on = i > 0 && !(q->ties_strict && x->time == e[i - 1].time);
        for (int m = 0; m <= top; m++) after[m].set = 0;
        for (uint32_t left = x->need; left; left &= left - 1) {
            int m = __builtin_ctz(left);
            if (m == 0) {
                if (!zj_may_start(starts, x)) continue;
                zj_state_start(&after[1], e, i);
            } else {
                if (!goes_on || !before[m].set || !zj_within(q, &e[before[m].first], x)) continue;
                zj_state_extend(&after[m + 1], &before[m], m, i);
            }
            if (m + 1 > best) {
                best = m + 1;
                memcpy(best_row, after[m + 1].row, (size_t)best * sizeof(uint32_t));
            }
        }
        zj_state *swap = before;
        before = after;
        after = swap;
        if (best == top && !q->any_remove) break;
    }
    return best;
}

/* Rows matched to steps. owner[s]: number of the row that has step s; it counts where taken has s. */
typedef struct {
    int8_t owner[ZJ_STEPS_MAX];
    uint32_t mask[ZJ_STEPS_MAX]; /* steps of the rows, in the order they were added */
    uint32_t row[ZJ_STEPS_MAX];  /* their indexes */
    uint32_t taken;              /* steps that have an owner */
    int size;
} zj_matching;

/* Finds a step for group g, moving others to their other steps where needed (Kuhn). */
static int zj_match_find(zj_matching *m, int g, uint32_t *visited) {
    uint32_t free_step = m->mask[g] & ~m->taken;
    if (free_step) {
        int s = __builtin_ctz(free_step);
        m->owner[s] = (int8_t)g;
        m->taken |= 1u << s;
        return 1;
    }
    for (uint32_t left = m->mask[g] & ~*visited; left; left = m->mask[g] & ~*visited) {
        int s = __builtin_ctz(left);
        *visited |= 1u << s;
        if (zj_match_find(m, m->owner[s], visited)) {
            m->owner[s] = (int8_t)g;
            return 1;
        }
    }
    return 0;
}

/* Can the rows make room for one more that takes a step of mask? A row once in stays in. */
static int zj_match_add(zj_matching *m, uint32_t mask, uint32_t row) {
    uint32_t visited = 0;
    if (mask == 0 || m->size == ZJ_STEPS_MAX) return 0;
    m->mask[m->size] = mask;
    m->row[m->size] = row;
    if (!zj_match_find(m, m->size, &visited)) return 0;
    m->size++;
    return 1;
}

/* Strict ties: the earliest rows of a chain of `size` rows from row s to row last, one row an instant.
 * A row is taken when the rows taken so far, it, the later instants and the last row still match. */
static void zj_match_earliest(const zj_step_row *e, uint32_t s, uint32_t last, int size, uint32_t *row) {
    int n = 1;
    row[0] = s;
    for (uint32_t x = s + 1; x <= last && n < size; x++) {
        if (!e[x].need || e[x].time == e[row[n - 1]].time || (x != last && e[x].time == e[last].time)) continue;
        zj_matching m = {.size = 0};
        for (int i = 0; i < n; i++) zj_match_add(&m, e[row[i]].need, row[i]);
        if (!zj_match_add(&m, e[x].need, x)) continue;
        for (uint32_t i = x + 1, stop; x != last && i < last && e[i].time < e[last].time; i = stop) {
            uint32_t mask = 0;
            for (stop = i; stop < last && e[stop].time == e[i].time; stop++) mask |= e[stop].need;
            if (e[i].time > e[x].time) zj_match_add(&m, mask, i);
        }
        if (x != last) zj_match_add(&m, e[last].need, last);
        if (m.size == size) row[n++] = x;
    }
}

/* Rows that match one step each: the first row of every other step is all that start s can take. next[m]
 * and *cut move forward with s, so all starts together read each row k times. Returns the size. */
ZJ_INLINE int zj_first_of_each(const zj_rules *q, const zj_step_row *e, uint32_t n, uint32_t s, uint32_t *next,
                               uint32_t *cut, uint32_t *row) {
    int size = 1;
    row[0] = s;
    if (*cut <= s) *cut = s + 1;
    while (*cut < n && !e[*cut].exclusion) ++*cut;
    for (int m = 0; m < q->levels; m++) {
        if (e[s].need >> m & 1) continue;
        if (next[m] <= s) next[m] = s + 1;
        while (next[m] < n && !(e[next[m]].need >> m & 1)) next[m]++;
        if (next[m] >= *cut || !zj_within(q, &e[s], &e[next[m]])) continue;
        int at = size++;
        for (; row[at - 1] > next[m]; at--) row[at] = row[at - 1];
        row[at] = next[m];
    }
    return size;
}

/* The same where rows match several steps or, with strict ties, only one row of an instant may be used:
 * rows are matched to steps in time order. Returns the size; *last is the row that completes it. */
static int zj_match_from(const zj_rules *q, const zj_step_row *e, uint32_t n, uint32_t s, uint32_t *last,
                         uint32_t *read, uint32_t *row) {
    zj_matching m = {.size = 0};
    zj_match_add(&m, e[s].need, s);
    *last = s;
    uint32_t i = s + 1;
    while (i < n && m.size < q->levels && zj_within(q, &e[s], &e[i]) && !e[i].exclusion) {
        uint32_t stop = i + 1, mask = e[i].need, completes = i;
        if (q->ties_strict) { /* the instant acts as one row */
            while (stop < n && e[stop].time == e[i].time && !e[stop].exclusion) mask |= e[stop++].need;
            if (e[i].time == e[s].time) mask = 0;
            for (zj_matching probe; mask && completes + 1 < stop; completes++) {
                probe = m;
                if (zj_match_add(&probe, e[completes].need, completes)) break;
            }
        }
        if (zj_match_add(&m, mask, i)) *last = completes;
        i = stop;
    }
    *read = i - s;
    memcpy(row, m.row, (size_t)m.size * sizeof(uint32_t)); /* added in time order */
    return m.size;
}

/* Is the user removed? complete[s]: row at which the chain of start s is complete, or UINT32_MAX; where
 * there is one it ascends with s. Only the latest start can be live without an earlier one past it. */
static int zj_any_order_removes(const zj_rules *q, const zj_step_row *e, uint32_t n, const zj_starts *starts,
                                const uint32_t *complete) {
    int64_t held = INT64_MIN;
    uint32_t cleared = 0, passed = 0, latest = UINT32_MAX;
    for (uint32_t x = 0; x < n; x++) {
        int removes = 0;
        for (int i = 0; i < q->n_exclusions; i++) removes |= (e[x].exclusion >> i & 1) && q->remove[i];
        if (removes && latest != UINT32_MAX && latest >= cleared && zj_within(q, &e[latest], &e[x])) {
            for (; passed < x && (complete[passed] == UINT32_MAX || complete[passed] < x); passed++)
                if (complete[passed] != UINT32_MAX && e[passed].time > held) held = e[passed].time;
            if (e[latest].time > held) return 1;
        }
        if (e[x].exclusion) cleared = x; /* the row itself may start after that */
        if (e[x].need && zj_may_start(starts, &e[x])) latest = x;
    }
    return 0;
}

/* All steps in any order. REQUIRES: no optional steps; every exclusion clears levels [1, k).
 * complete: scratch of n items, used with `remove`. O(rows * k) when rows match one step each, else
 * O(starts * rows in the window * k^2) at worst. */
static int zj_eval_any_order(const zj_rules *q, const zj_step_row *e, uint32_t n, const zj_starts *starts,
                             uint32_t *complete, zj_guard *guard, uint32_t *best_row, int *removed, int *status) {
    const int top = q->levels;
    uint32_t best_last = 0, cut = 0, row[ZJ_STEPS_MAX], next[ZJ_STEPS_MAX] = {0};
    int best = 0, single = !q->ties_strict;
    for (uint32_t i = 0; i < n; i++) single &= (e[i].need & (e[i].need - 1)) == 0;
    for (uint32_t s = 0; s < n; s++) {
        if (q->any_remove) complete[s] = UINT32_MAX;
        if (!e[s].need || !zj_may_start(starts, &e[s])) continue;
        if (best == top && !q->any_remove && s > best_last) break;
        uint32_t last, read = 1;
        int size;
        if (single) {
            size = zj_first_of_each(q, e, n, s, next, &cut, row);
            last = row[size - 1];
        } else {
            size = zj_match_from(q, e, n, s, &last, &read, row);
        }
        if (zj_stop(guard, read)) {
            *status = ZJ_CANCELLED;
            return 0;
        }
        if (size == top && q->any_remove) complete[s] = last;
        if (size < best || (size == best && (last > best_last || (last == best_last && e[s].time <= e[best_row[0]].time))))
            continue;
        best = size;
        best_last = last;
        memcpy(best_row, row, (size_t)size * sizeof(uint32_t));
    }
    if (q->ties_strict && best > 1) zj_match_earliest(e, best_row[0], best_last, best, best_row);
    if (q->any_remove && zj_any_order_removes(q, e, n, starts, complete)) {
        *removed = 1;
        return 0;
    }
    return best;
}

#endif
