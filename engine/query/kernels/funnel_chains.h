/* Canonical funnel chains of all users: every option of the funnel, one record per counted thing.
 *
 * Per user: gather the rows in order, cut them into units (the user, or each session), each unit into
 * the buckets of its starts, and evaluate each (chain_eval.h). With held properties an evaluation is
 * repeated per value over that value's rows and the rows that hold nothing.
 * Records: user, bucket, reached steps and the rows that took them.
 * Only users with a row that may start are gathered. O(rows log rows) per user for plain funnels;
 * a trend re-reads the window behind each bucket, entries the rows up to each attempt's end.
 */
#ifndef ZUJI_FUNNEL_CHAINS_H
#define ZUJI_FUNNEL_CHAINS_H

#include "chain_eval.h"

enum { ZJ_COUNT_USERS = 0, ZJ_COUNT_ENTRIES = 1, ZJ_COUNT_SESSIONS = 2 };

typedef struct {
    zj_rules rules;
    const zj_lane *lanes;
    int n_lanes;
    const uint32_t *step_mask, *exclusion_mask;             /* [n_lanes] for lanes without row masks */
    const uint32_t *const *step_row, *const *exclusion_row; /* [n_lanes] uint32[n] or NULL */
    int holds;                        /* any step held */
    uint32_t held;                    /* bit s: step s is held */
    const int64_t *const *hold;       /* [k * n_lanes] codes int64[n], or NULL = no value */
    int entry_first, count, ties_any;
    const int64_t *day_edges;
    int32_t days;
    const int64_t *const *session;    /* [n_lanes] int64[n], NULL when not needed */
    uint32_t step_bits, exclusion_bits; /* bits that mean something in the masks */
    int64_t from, to;
    const int64_t *trend;             /* bucket edges or NULL */
    int32_t buckets;
} zj_chains;

typedef struct {
    uint32_t *user, *reached;
    int32_t *bucket;
    int16_t *lane; /* [room, k] */
    int64_t *row, *time;
    size_t count, room;
    int steps;
} zj_records;

typedef struct {
    int64_t code;
    uint32_t at, steps;
} zj_held_row;

typedef struct {
    zj_rows rows;            /* gathered, ordered */
    zj_step_row *all, *view; /* of the user; of one value */
    zj_held_row *pair;       /* held values of a slice */
    uint32_t *complete;
    size_t room;
} zj_chain_work;

static void zj_records_close(zj_records *r) {
    free(r->user);
    free(r->reached);
    free(r->bucket);
    free(r->lane);
    free(r->row);
    free(r->time);
}

static int zj_records_grow(zj_records *r) {
    size_t room = r->room ? r->room * 2 : 1024, k = (size_t)r->steps;
    void *p;
#define ZJ_GROW(field, items)                                                                            \
    if ((p = realloc(r->field, room * (items) * sizeof *r->field)) == NULL) return ZJ_NO_MEMORY;         \
    r->field = p;
    ZJ_GROW(user, 1)
    ZJ_GROW(reached, 1)
    ZJ_GROW(bucket, 1)
    ZJ_GROW(lane, k)
    ZJ_GROW(row, k)
    ZJ_GROW(time, k)
#undef ZJ_GROW
    r->room = room;
    return ZJ_OK;
}

static int zj_record_add(const zj_chains *q, const zj_chain_work *w, zj_records *out, uint32_t user,
                         int32_t bucket, const zj_chain *c) {
    const size_t k = (size_t)q->rules.steps;
    if (out->count == out->room && zj_records_grow(out) != ZJ_OK) return ZJ_NO_MEMORY;
    size_t i = out->count++;
    out->user[i] = user;
    out->bucket[i] = bucket;
    out->reached[i] = c->reached;
    for (size_t s = 0; s < k; s++) {
        const zj_row *row = c->row[s] < 0 ? NULL : &w->rows.row[c->row[s]];
        out->lane[i * k + s] = row ? (int16_t)zj_row_lane(row) : -1;
        out->row[i * k + s] = row ? (int64_t)row->row : -1;
        out->time[i * k + s] = row ? row->time : 0;
    }
    return ZJ_OK;
}

static void zj_chain_work_close(zj_chain_work *w) {
    zj_rows_close(&w->rows);
    free(w->all);
    free(w->view);
    free(w->pair);
    free(w->complete);
}

/* Room for the gathered rows (and for `pairs` held values). */
static int zj_chain_work_fit(zj_chain_work *w, const zj_chains *q) {
    size_t n = w->rows.room;
    if (w->room >= n) return ZJ_OK;
    size_t pairs = q->holds ? n * (size_t)q->rules.steps : 1;
    free(w->all);
    free(w->view);
    free(w->pair);
    free(w->complete);
    w->all = (zj_step_row *)malloc(n * sizeof(zj_step_row));
    w->view = (zj_step_row *)malloc((q->holds ? n : 1) * sizeof(zj_step_row));
    w->pair = (zj_held_row *)malloc(pairs * sizeof(zj_held_row));
    w->complete = (uint32_t *)malloc(n * sizeof(uint32_t));
    w->room = n;
    return w->all && w->view && w->pair && w->complete ? ZJ_OK : ZJ_NO_MEMORY;
}

/* Code held by step s at a row, -1 = none. */
ZJ_INLINE int64_t zj_held_code(const zj_chains *q, int s, uint32_t lane, uint32_t row) {
    const int64_t *codes = q->hold[(size_t)s * (size_t)q->n_lanes + lane];
    return codes ? codes[row] : -1;
}

ZJ_INLINE uint32_t zj_steps_of(const zj_chains *q, uint32_t l, uint32_t r) {
    if (!zj_passes(&q->lanes[l], r)) return 0;
    return (q->step_row[l] ? q->step_row[l][r] : q->step_mask[l]) & q->step_bits;
}

ZJ_INLINE uint32_t zj_exclusions_of(const zj_chains *q, uint32_t l, uint32_t r) {
    if (!zj_passes(&q->lanes[l], r)) return 0;
    return (q->exclusion_row[l] ? q->exclusion_row[l][r] : q->exclusion_mask[l]) & q->exclusion_bits;
}

/* Adds the user's rows of one lane. In strict order rows that match nothing count too. */
static int zj_chain_take(const zj_chains *q, int l, uint32_t a, uint32_t b, int64_t origin, int64_t high, zj_rows *w) {
    const zj_lane *lane = &q->lanes[l];
    if (!zj_rows_reserve(w, b - a)) return ZJ_NO_MEMORY;
    w->run[w->runs++] = (uint32_t)w->count;
    for (uint32_t r = a; r < b; r++) {
        int64_t t = lane->base + (int64_t)lane->times[r];
        if (t < q->from) continue; /* before every start: no chain, no exclusion, no neighbour */
        if (t > high) break;
        uint32_t steps = zj_steps_of(q, (uint32_t)l, r);
        if (!steps && q->rules.order != ZJ_STRICT && !zj_exclusions_of(q, (uint32_t)l, r)) continue;
        zj_row *row = &w->row[w->count++];
        uint32_t low = !q->ties_any ? 0 : steps ? (uint32_t)__builtin_ctz(steps) : ZJ_NO_STEP;
        row->key = zj_row_key(lane, l, r, origin, low);
        row->time = t;
        row->steps = steps;
        row->row = r;
    }
    return ZJ_OK;
}

/* Evaluates rows e[0, n) under one value; keeps the better chain in best. */
static int zj_evaluate(const zj_chains *q, zj_chain_work *w, const zj_step_row *e, uint32_t n,
                       const zj_starts *starts, zj_guard *guard, zj_chain *best, int *removed) {
    uint32_t row[ZJ_STEPS_MAX];
    int level, status = ZJ_OK;
    if (q->rules.order == ZJ_ORDERED) level = zj_eval_ordered(&q->rules, e, n, starts, row, removed);
    else if (q->rules.order == ZJ_STRICT) level = zj_eval_strict(&q->rules, e, n, starts, row, removed);
    else level = zj_eval_any_order(&q->rules, e, n, starts, w->complete, guard, row, removed, &status);
    if (level > 0 && !*removed && status == ZJ_OK) {
        zj_chain made;
        zj_chain_finish(&q->rules, e, n, row, level, &made);
        if (zj_chain_better(&made, best)) *best = made;
    }
    if (status == ZJ_OK && zj_stop(guard, n)) status = ZJ_CANCELLED;
    return status;
}

static int zj_held_compare(const void *a, const void *b) {
    const zj_held_row *x = a, *y = b;
    if (x->code != y->code) return x->code < y->code ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Evaluates the user's rows [a, b), once or once per held value. */
static int zj_evaluate_values(const zj_chains *q, zj_chain_work *w, uint32_t a, uint32_t b,
                              const zj_starts *starts, zj_guard *guard, zj_chain *best, int *removed) {
    best->level = 0;
    *removed = 0;
    if (!q->holds) return zj_evaluate(q, w, w->all + a, b - a, starts, guard, best, removed);
    size_t pairs = 0;
    uint32_t common = 0; /* rows that matter to every value */
    for (uint32_t i = a; i < b; i++) {
        const zj_row *source = &w->rows.row[i];
        size_t first = pairs;
        common += (w->all[i].steps & ~q->held) || w->all[i].exclusion || q->rules.order == ZJ_STRICT;
        for (uint32_t left = w->all[i].steps & q->held; left; left &= left - 1) {
            int s = __builtin_ctz(left);
            int64_t code = zj_held_code(q, s, zj_row_lane(source), source->row);
            size_t p = first;
            while (p < pairs && w->pair[p].code != code) p++;
            if (p == pairs) w->pair[pairs++] = (zj_held_row){code, i, 0};
            w->pair[p].steps |= 1u << s;
        }
    }
    qsort(w->pair, pairs, sizeof(zj_held_row), zj_held_compare);
    int status = ZJ_OK;
    size_t p = 0;
    do {
        size_t stop = p;
        int starter = starts->only < 0 || (pairs && (w->all[starts->only].steps & ~q->held));
        while (stop < pairs && w->pair[stop].code == w->pair[p].code)
            starter |= (int64_t)w->pair[stop++].at == starts->only;
        uint32_t n = 0;
        if (!starter && pairs) { /* the one row that may start has another value */
            p = stop;
            continue;
        }
        for (uint32_t i = a; i < b; i++) {
            if (!common) { /* the value's own rows are all there is */
                if (p == stop) break;
                i = w->pair[p].at;
            }
            uint32_t steps = w->all[i].steps & ~q->held;
            if (p < stop && w->pair[p].at == i) steps |= w->pair[p++].steps;
            if (!steps && !w->all[i].exclusion && q->rules.order != ZJ_STRICT) continue;
            w->view[n] = w->all[i];
            w->view[n].steps = steps;
            w->view[n++].need = zj_need(&q->rules, steps);
        }
        status = zj_evaluate(q, w, w->view, n, starts, guard, best, removed);
        if (common && status == ZJ_OK && zj_stop(guard, b - a)) status = ZJ_CANCELLED;
        p = stop;
    } while (p < pairs && status == ZJ_OK && !*removed);
    return status;
}

ZJ_INLINE int zj_starter(const zj_chains *q, const zj_step_row *x) {
    return q->rules.order == ZJ_ANY_ORDER ? x->need != 0 : x->need & 1;
}

/* The attempt that starts at row i, of rows below b: each step takes the first row that it can. REQUIRES:
 * ordered, nothing held, no exclusions. next[m]: a row before which no row of level m + 1 is left to find;
 * attempts do not overlap, so it only moves forward and all attempts together read each row k times. */
static void zj_attempt(const zj_chains *q, const zj_chain_work *w, uint32_t i, uint32_t b, uint32_t *next, zj_chain *c) {
    const zj_step_row *e = w->all;
    uint32_t row[ZJ_STEPS_MAX], stop = i + 1;
    int level = 1;
    row[0] = i;
    for (; level < q->rules.levels; level++) {
        uint32_t last = row[level - 1], r = next[level] > last ? next[level] : last + 1;
        while (r < b && (!(e[r].need >> level & 1) || (q->rules.ties_strict && e[r].time == e[last].time))) r++;
        next[level] = r;
        if (r == b || !zj_within(&q->rules, &e[i], &e[r])) break;
        row[level] = r;
    }
    if (q->rules.optional)
        while (stop < b && zj_within(&q->rules, &e[i], &e[stop])) stop++;
    zj_chain_finish(&q->rules, e, stop, row, level, c);
}

/* One bucket of one unit: rows [a, b), of which row a may start. */
static int zj_chain_bucket(const zj_chains *q, zj_chain_work *w, uint32_t user, int32_t bucket, uint32_t a, uint32_t b,
                           zj_starts starts, zj_guard *guard, zj_records *out) {
    zj_chain best;
    int removed = 0, status;
    size_t before = out->count;
    if (q->count != ZJ_COUNT_ENTRIES) {
        starts.only = q->entry_first ? (int64_t)a : -1;
        status = zj_evaluate_values(q, w, a, b, &starts, guard, &best, &removed);
        if (status == ZJ_OK && !removed && best.level > 0) status = zj_record_add(q, w, out, user, bucket, &best);
        return status;
    }
    const int plain = q->rules.order == ZJ_ORDERED && !q->holds && !q->rules.n_exclusions;
    uint32_t next[ZJ_STEPS_MAX];
    for (int m = 0; m < q->rules.levels; m++) next[m] = a;
    for (uint32_t i = a; i < b;) {
        const zj_step_row *x = &w->all[i];
        if (!zj_starter(q, x) || x->time < starts.from || x->time >= starts.to) {
            i++;
            continue;
        }
        if (plain) {
            zj_attempt(q, w, i, b, next, &best);
        } else {
            uint32_t stop = i + 1;
            while (stop < b && zj_within(&q->rules, x, &w->all[stop])) stop++;
            starts.only = i;
            status = zj_evaluate_values(q, w, i, stop, &starts, guard, &best, &removed);
            if (status != ZJ_OK) return status;
        }
        if (removed) {
            out->count = before;
            return ZJ_OK;
        }
        if (best.level > 0) {
            status = zj_record_add(q, w, out, user, bucket, &best);
            if (status != ZJ_OK) return status;
            i = best.chain[best.level - 1] + 1;
        } else {
            i++;
        }
        if (q->entry_first) break;
    }
    return ZJ_OK;
}

/* One unit (a user, or one session): rows [a, b). Each bucket of starts is evaluated alone. */
static int zj_chain_unit(const zj_chains *q, zj_chain_work *w, uint32_t user, uint32_t a, uint32_t b, zj_guard *guard,
                         zj_records *out) {
    uint32_t i = a;
    while (i < b) {
        const zj_step_row *x = &w->all[i];
        if (x->time >= q->to) break;
        if (x->time < q->from || !zj_starter(q, x)) {
            i++;
            continue;
        }
        zj_starts starts = {q->from, q->to, -1};
        int32_t bucket = 0;
        if (q->trend) {
            bucket = zj_bucket_search(q->trend, q->buckets, x->time);
            if (bucket < 0 || bucket >= q->buckets) {
                i++;
                continue;
            }
            if (q->trend[bucket] > starts.from) starts.from = q->trend[bucket];
            if (q->trend[bucket + 1] < starts.to) starts.to = q->trend[bucket + 1];
        }
        uint32_t next = i, last = i;
        for (; next < b && w->all[next].time < starts.to; next++)
            if (zj_starter(q, &w->all[next])) last = next;
        uint32_t stop = last + 1;
        while (stop < b && zj_within(&q->rules, &w->all[last], &w->all[stop])) stop++;
        int status = zj_chain_bucket(q, w, user, bucket, i, stop, starts, guard, out);
        if (status != ZJ_OK) return status;
        i = next;
    }
    return ZJ_OK;
}

/* One user whose rows are gathered and ordered. */
static int zj_chain_user(const zj_chains *q, zj_chain_work *w, const zj_buckets *day, uint32_t user, zj_guard *guard,
                         zj_records *out) {
    if (zj_chain_work_fit(w, q) != ZJ_OK) return ZJ_NO_MEMORY;
    const uint32_t n = (uint32_t)w->rows.count;
    for (uint32_t i = 0; i < n; i++) {
        const zj_row *r = &w->rows.row[i];
        const uint32_t l = zj_row_lane(r);
        zj_step_row *x = &w->all[i];
        uint32_t steps = r->steps;
        for (uint32_t left = steps & q->held; left; left &= left - 1) {
            int s = __builtin_ctz(left);
            if (zj_held_code(q, s, l, r->row) < 0) steps ^= 1u << s;
        }
        x->time = r->time;
        x->at = i;
        x->steps = steps;
        x->need = zj_need(&q->rules, steps);
        x->exclusion = q->rules.n_exclusions ? zj_exclusions_of(q, l, r->row) : 0;
        x->session = q->session ? q->session[l][r->row] : 0;
        x->day = -1;
        if (day) {
            int32_t d = zj_bucket(&day[l], q->lanes[l].times[r->row]);
            x->day = d < q->days ? d : -1;
        }
    }
    if (q->count != ZJ_COUNT_SESSIONS) return zj_chain_unit(q, w, user, 0, n, guard, out);
    for (uint32_t a = 0, b; a < n; a = b) {
        for (b = a + 1; b < n && w->all[b].session == w->all[a].session; b++) {}
        int status = zj_chain_unit(q, w, user, a, b, guard, out);
        if (status != ZJ_OK) return status;
    }
    return ZJ_OK;
}

/* Has the lane's slice a row in range that may start? */
static int zj_slice_starts(const zj_chains *q, int l, uint32_t a, uint32_t b, uint32_t start_steps) {
    const zj_lane *lane = &q->lanes[l];
    const uint32_t *row = q->step_row[l];
    if (!row && !(q->step_mask[l] & start_steps)) return 0;
    for (uint32_t r = a; r < b; r++) {
        int64_t t = lane->base + (int64_t)lane->times[r];
        if (t >= q->to) return 0;
        if (t >= q->from && (!row || (row[r] & start_steps)) && zj_passes(lane, r)) return 1;
    }
    return 0;
}

static int zj_funnel_chains(const zj_chains *q, zj_guard *guard, zj_records *out) {
    const int n = q->n_lanes;
    zj_heads heads = {0};
    zj_chain_work w;
    zj_buckets *day = NULL;
    int64_t origin = 0, high = INT64_MAX;
    memset(&w, 0, sizeof w);
    int status = zj_rows_origin(q->lanes, n, &origin);
    if (status != ZJ_OK) return status;
    if (q->rules.window_kind == ZJ_WINDOW_MS) high = q->to - 1 + q->rules.window;
    status = zj_rows_open(&w.rows, n);
    if (status == ZJ_OK) status = zj_heads_open(&heads, q->lanes, n);
    if (status == ZJ_OK && q->rules.window_kind == ZJ_WINDOW_DAY) {
        day = zj_buckets_of(q->lanes, n, q->day_edges, q->days);
        if (day == NULL) status = ZJ_NO_MEMORY;
    }
    uint32_t start_steps = 1, user;
    if (q->rules.order == ZJ_ANY_ORDER) start_steps = (uint32_t)((1ull << q->rules.steps) - 1);
    while (status == ZJ_OK && (user = zj_heads_min(&heads)) != ZJ_END) {
        int starts = 0;
        if (zj_allowed(guard, user))
            for (int l = 0; l < n && !starts; l++)
                if (heads.head[l] == user) {
                    const uint32_t *o = q->lanes[l].offsets + heads.pos[l];
                    starts = zj_slice_starts(q, l, o[0], o[1], start_steps);
                }
        w.rows.count = 0;
        w.rows.runs = 0;
        for (int l = 0; l < n; l++) {
            if (heads.head[l] != user) continue;
            const uint32_t *o = q->lanes[l].offsets + heads.pos[l];
            if (starts && status == ZJ_OK) status = zj_chain_take(q, l, o[0], o[1], origin, high, &w.rows);
            zj_heads_next(&heads, q->lanes, l);
        }
        if (starts && status == ZJ_OK) {
            w.rows.run[w.rows.runs] = (uint32_t)w.rows.count;
            zj_rows_order(&w.rows, !q->ties_any);
            status = zj_chain_user(q, &w, day, user, guard, out);
        }
        if (status == ZJ_OK && zj_stop(guard, (uint32_t)w.rows.count + 1)) status = ZJ_CANCELLED;
    }
    zj_buckets_free(day, n);
    zj_heads_close(&heads);
    zj_chain_work_close(&w);
    return status;
}

#endif
