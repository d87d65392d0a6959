/* What attribution adds up: names in a look-back, shares of a conversion's credit, and cells.
 *
 * A cell is a (line, bucket, name); name `names` is "no touch". Shares are in units of 2^-56.
 */
#ifndef ZUJI_ATTRIBUTION_CELLS_H
#define ZUJI_ATTRIBUTION_CELLS_H

#include "lanes.h"

#define ZJ_NO_NAME 0xFFFFFFFFu
#define ZJ_WHOLE ((int64_t)1 << 56) /* one conversion */
#define ZJ_SHARE (1.0 / 72057594037927936.0)

enum { ZJ_FIRST = 0, ZJ_LAST = 1, ZJ_LAST_SOURCE = 2, ZJ_LINEAR = 3, ZJ_POSITION = 4, ZJ_DECAY = 5, ZJ_PARTICIPATION = 6 };

typedef struct {
    int kind;
    int64_t head, tail; /* position: shares of the first and the last touch; the middle has the rest */
    double half_life;   /* decay: ms, > 0 */
} zj_credit_model;

typedef struct {
    int64_t touches, conversions, assisted;
    uint32_t users, stamp; /* stamp: user that was counted last */
} zj_credit_cell;

typedef struct {
    double sum, lost; /* lost: Neumaier's running compensation */
} zj_credit_value;

typedef struct {
    uint32_t lines, buckets, names;
    int models, valued;
    int sources; /* some model asks for the last touch that is no direct visit */
    int decays;  /* models that ask for weights */
    const zj_credit_model *model;
    zj_credit_cell *cell;   /* [lines * buckets * (names + 1)] */
    __int128 *credit;       /* [cells * models] */
    zj_credit_value *value; /* [cells * models] or NULL */
    zj_credit_cell *whole;  /* [lines * buckets] all conversions; touches: conversions with a touch */
    zj_credit_value *worth; /* [lines * buckets] or NULL */
    uint32_t *line_stamp, *line_users; /* [lines] distinct users of all buckets */
    uint32_t stamp;
    int64_t *share; /* [names * models] shares of the conversion in hand; only active names are good */
    double *ratio;  /* the same of decay models as fractions: a share below 2^-56 may be worth something */
} zj_credits;

/* Touches of a look-back by name. */
typedef struct {
    uint32_t names, active; /* name[0 .. active) are those with count > 0, in no order */
    uint32_t *name, *at;
    int64_t *count, total;
    double *weight;
    uint32_t first, last, source; /* names */
    int64_t last_time;
} zj_window;

static void zj_window_close(zj_window *w) {
    free(w->name);
    free(w->at);
    free(w->count);
    free(w->weight);
}

static int zj_window_open(zj_window *w, uint32_t names) {
    const size_t n = (size_t)names + 1;
    memset(w, 0, sizeof *w);
    w->names = names;
    w->name = (uint32_t *)calloc(n, sizeof(uint32_t));
    w->at = (uint32_t *)calloc(n, sizeof(uint32_t));
    w->count = (int64_t *)calloc(n, sizeof(int64_t));
    w->weight = (double *)calloc(n, sizeof(double));
    return w->name && w->at && w->count && w->weight ? ZJ_OK : ZJ_NO_MEMORY;
}

ZJ_INLINE void zj_window_clear(zj_window *w) {
    for (uint32_t i = 0; i < w->active; i++) w->count[w->name[i]] = 0;
    w->active = 0;
    w->total = 0;
}

/* REQUIRES: name < names, and no count falls below 0. */
ZJ_INLINE void zj_window_change(zj_window *w, uint32_t name, int64_t by) {
    const int64_t before = w->count[name], now = before + by;
    w->count[name] = now;
    w->total += by;
    if (before == 0 && now > 0) {
        w->at[name] = w->active;
        w->name[w->active++] = name;
    } else if (before > 0 && now == 0) {
        const uint32_t moved = w->name[--w->active];
        w->name[w->at[name]] = moved;
        w->at[moved] = w->at[name];
    }
}

/* 2^x for x <= 0, to 2 ulp; 0 below 2^-1000. A table of 2^(i / 64) and a polynomial for the rest. */
static double zj_exp2_table[64];

static void zj_exp2_open(void) {
    for (int i = 0; i < 64; i++) zj_exp2_table[i] = exp2((double)i / 64);
}

ZJ_INLINE double zj_exp2(double x) {
    if (!(x > -1000.0)) return 0.0;
    const double scaled = x * 64.0, floored = floor(scaled);
    const int64_t k = (int64_t)floored;
    const double r = (scaled - floored) * (0.69314718055994530942 / 64);
    const double p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120 + r * (1.0 / 720))))));
    union {
        uint64_t bits;
        double value;
    } power = {(uint64_t)((k >> 6) + 1023) << 52};
    return power.value * zj_exp2_table[k & 63] * p;
}

/* Position over n touches: `each` of them has a share, the first and the last one these beside it. */
ZJ_INLINE void zj_position(const zj_credit_model *model, int64_t n, int64_t *each, int64_t *first, int64_t *last) {
    *each = *first = *last = 0;
    if (n == 1) {
        *first = ZJ_WHOLE;
    } else if (n == 2) {
        const int64_t ends = model->head + model->tail;
        *last = ends ? (int64_t)((__int128)model->tail * ZJ_WHOLE / ends) : ZJ_WHOLE / 2;
        *first = ZJ_WHOLE - *last;
    } else {
        *each = (ZJ_WHOLE - model->head - model->tail) / (n - 2);
        *last = model->tail - *each; /* it is among the n, as the first */
        *first = ZJ_WHOLE - *each * n - *last;
    }
}

/* Shares of all models but decay. REQUIRES: total > 0. */
static void zj_share_out(zj_credits *out, const zj_window *w) {
    const int m = out->models;
    const int64_t n = w->total;
    for (int i = 0; i < m; i++) {
        const zj_credit_model *model = &out->model[i];
        int64_t each = 0, first = 0, last = 0;
        uint32_t tail = w->last;
        switch (model->kind) {
        case ZJ_FIRST: first = ZJ_WHOLE; break;
        case ZJ_LAST: last = ZJ_WHOLE; break;
        case ZJ_LAST_SOURCE:
            last = ZJ_WHOLE;
            tail = w->source;
            break;
        case ZJ_LINEAR:
            each = ZJ_WHOLE / n;
            last = ZJ_WHOLE - each * n; /* what is left over */
            break;
        case ZJ_POSITION:
            zj_position(model, n, &each, &first, &last);
            break;
        case ZJ_DECAY: continue;
        default: /* participation: counted as conversions */
            for (uint32_t a = 0; a < w->active; a++) out->share[(size_t)w->name[a] * (size_t)m + (size_t)i] = ZJ_WHOLE;
            continue;
        }
        for (uint32_t a = 0; a < w->active; a++)
            out->share[(size_t)w->name[a] * (size_t)m + (size_t)i] = each * w->count[w->name[a]];
        out->share[(size_t)w->first * (size_t)m + (size_t)i] += first;
        out->share[(size_t)tail * (size_t)m + (size_t)i] += last;
    }
}

/* Shares of decay model i from the weights of the names; the rest of the division is the last touch's. */
static void zj_share_decayed(zj_credits *out, const zj_window *w, int i) {
    const size_t m = (size_t)out->models;
    double sum = 0.0;
    int64_t left = ZJ_WHOLE;
    for (uint32_t a = 0; a < w->active; a++) sum += w->weight[w->name[a]];
    for (uint32_t a = 0; a < w->active; a++) {
        const uint32_t name = w->name[a];
        int64_t share = (int64_t)(w->weight[name] / sum * (double)ZJ_WHOLE);
        if (share > left) share = left;
        left -= share;
        out->share[(size_t)name * m + (size_t)i] = share;
        out->ratio[(size_t)name * m + (size_t)i] = w->weight[name] / sum;
    }
    out->share[(size_t)w->last * m + (size_t)i] += left;
}

ZJ_INLINE void zj_credit_add(zj_credit_value *v, double x) {
    const double sum = v->sum + x;
    v->lost += __builtin_fabs(v->sum) >= __builtin_fabs(x) ? (v->sum - sum) + x : (x - sum) + v->sum;
    v->sum = sum;
}

ZJ_INLINE void zj_credit_user(zj_credit_cell *c, uint32_t stamp) {
    c->users += c->stamp != stamp;
    c->stamp = stamp;
}

/* One conversion into one line. */
ZJ_INLINE void zj_credit_line(zj_credits *out, const zj_window *w, uint32_t line, uint32_t bucket, double value) {
    const size_t m = (size_t)out->models, place = (size_t)line * out->buckets + bucket;
    const size_t base = place * ((size_t)out->names + 1);
    zj_credit_cell *whole = &out->whole[place];
    whole->conversions++;
    whole->touches += w->total > 0;
    zj_credit_user(whole, out->stamp);
    out->line_users[line] += out->line_stamp[line] != out->stamp;
    out->line_stamp[line] = out->stamp;
    if (out->valued) zj_credit_add(&out->worth[place], value);
    if (w->total == 0) {
        zj_credit_cell *c = &out->cell[base + out->names];
        c->conversions++;
        zj_credit_user(c, out->stamp);
        for (size_t i = 0; i < m; i++) {
            out->credit[(base + out->names) * m + i] += ZJ_WHOLE;
            if (out->valued) zj_credit_add(&out->value[(base + out->names) * m + i], value);
        }
        return;
    }
    for (uint32_t a = 0; a < w->active; a++) {
        const uint32_t name = w->name[a];
        zj_credit_cell *c = &out->cell[base + name];
        __int128 *credit = &out->credit[(base + name) * m];
        const int64_t *share = &out->share[(size_t)name * m];
        c->touches += w->count[name];
        c->conversions++;
        c->assisted += name != w->last;
        zj_credit_user(c, out->stamp);
        for (size_t i = 0; i < m; i++) credit[i] += share[i];
        if (!out->valued) continue;
        for (size_t i = 0; i < m; i++) {
            const double part = out->model[i].kind == ZJ_DECAY ? out->ratio[(size_t)name * m + i] : (double)share[i] * ZJ_SHARE;
            if (part != 0.0) zj_credit_add(&out->value[(base + name) * m + i], value * part);
        }
    }
}

#endif
