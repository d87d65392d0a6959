/* Touches before a conversion, found from cursors into the touch lanes of a user.
 *
 * Touches are never merged into one order: each touch lane keeps two cursors, [lo, hi) being its rows in the
 * look-back of the conversion in hand, and counts per name slide with them. Only matching and decay look at
 * each row of a look-back.
 */
#ifndef ZUJI_ATTRIBUTION_TRAILS_H
#define ZUJI_ATTRIBUTION_TRAILS_H

#include <math.h>

#include "attribution_cells.h"
#include "attribution_plain.h"
#include "buckets.h"

typedef struct {
    const zj_lane *target, *touch;
    int n_target, n_touch;
    const uint32_t *const *line;    /* per target lane: lines of its rows (see line_at); NULL = line 0 */
    const uint32_t *const *line_at; /* per target lane uint32[n + 1]: row r is in line[at[r] .. at[r + 1]), or
                                       NULL: in line[r] */
    const double *const *value;     /* per target lane float64[n], NaN = none; or NULL */
    const uint32_t *const *target_key, *const *touch_key; /* per lane uint32[n], 0 = missing; or NULL */
    const uint32_t *const *name;    /* per touch lane uint32[n], >= names = no touch; or NULL: */
    const uint32_t *fixed;          /* per touch lane: name of all rows that pass */
    const uint8_t *direct;          /* [names] 1 = a visit that last_non_direct passes over */
    const int64_t *edges;           /* conversions in [edges[0], edges[buckets]) count */
    int64_t lookback;
    int once, matched;
    int64_t pick_line, pick_bucket, pick_name; /* -1 = any; pick_name names = no touch */
    int picking;
} zj_attribution;

/* A touch lane in the hands of one user. */
typedef struct {
    const zj_lane *lane;
    int l;
    uint32_t start, end, lo, hi;
    uint32_t last;  /* newest touch in [lo, hi); only good where last >= lo */
    int any;        /* `last` was set */
    size_t spent_at; /* of row `start` in `spent` */
} zj_trail;

/* A touch of the look-back in hand. */
typedef struct {
    int64_t time;
    uint64_t order; /* rank, tie */
    uint32_t name, row;
    int l;
} zj_touch;

typedef struct {
    zj_trail *trail; /* [n_touch] of the user in hand */
    int trails;
    zj_window win;   /* what the look-back holds, by name */
    uint8_t *spent;  /* touches of the user that have served */
    size_t spent_room;
    zj_touch *near;  /* matched: touches of the look-back */
    size_t n_near, near_room;
    zj_fast fast;
    zj_fast_sums sums;
    zj_plain one; /* where there is one cell */
    int plain; /* touches may take the fast way */
} zj_attribution_work;

static void zj_attribution_close(zj_attribution_work *w) {
    free(w->trail);
    free(w->spent);
    free(w->near);
    zj_fast_close(&w->fast);
    zj_plain_close(&w->one);
    zj_window_close(&w->win);
}

static int zj_attribution_open(zj_attribution_work *w, const zj_attribution *q, const zj_credits *out) {
    memset(w, 0, sizeof *w);
    w->trail = (zj_trail *)calloc((size_t)q->n_touch + 1, sizeof(zj_trail));
    w->plain = !q->once && !q->matched;
    for (int l = 0; l < q->n_touch; l++) w->plain &= q->name[l] == NULL && q->touch[l].mask == NULL;
    w->one.usable = w->plain && !q->picking && out->lines == 1 && out->buckets == 1 && out->names <= ZJ_FAST_SLOTS &&
                    !out->valued && !out->decays && !out->sources;
    for (int l = 0; l < q->n_target; l++) w->one.usable &= q->line[l] == NULL && q->line_at[l] == NULL;
    return zj_window_open(&w->win, out->names) == ZJ_OK && w->trail ? ZJ_OK : ZJ_NO_MEMORY;
}

ZJ_INLINE uint64_t zj_row_order(const zj_lane *lane, uint32_t r) { return (uint64_t)lane->rank << 16 | zj_tie(lane, r); }

/* Name of a row, or names and more: no touch. */
ZJ_INLINE uint32_t zj_name_of(const zj_attribution *q, const zj_trail *t, uint32_t r) {
    if (q->name[t->l]) return q->name[t->l][r];
    return zj_passes(t->lane, r) ? q->fixed[t->l] : ZJ_NO_NAME;
}

ZJ_INLINE zj_touch zj_touch_at(const zj_attribution *q, const zj_trail *t, uint32_t r) {
    return (zj_touch){t->lane->base + (int64_t)t->lane->times[r], zj_row_order(t->lane, r), zj_name_of(q, t, r), r, t->l};
}

ZJ_INLINE int zj_touch_before(const zj_touch *a, const zj_touch *b) {
    if (a->time != b->time) return a->time < b->time;
    if (a->order != b->order) return a->order < b->order;
    return a->l != b->l ? a->l < b->l : a->row < b->row;
}

/* The cursor hi moves past all rows before (time, order); returns their number. */
ZJ_INLINE uint32_t zj_trail_reach(const zj_trail *t, int64_t time, uint64_t order) {
    const zj_lane *lane = t->lane;
    const uint32_t *times = lane->times;
    const int64_t rel = time - lane->base;
    uint32_t h = t->hi;
    if (rel < 0) return h;
    while (h < t->end && (int64_t)times[h] < rel) h++;
    while (h < t->end && (int64_t)times[h] == rel && zj_row_order(lane, h) < order) h++;
    return h;
}

/* Moves the cursors of a trail to the look-back of a conversion; with `counted` its names are counted. */
ZJ_INLINE void zj_trail_move(const zj_attribution *q, zj_window *win, zj_trail *t, int64_t time, uint64_t order,
                             int counted) {
    const zj_lane *lane = t->lane;
    const uint32_t h = zj_trail_reach(t, time, order);
    const int64_t limit = time - q->lookback - lane->base;
    if (!counted) {
        t->hi = h;
        while (t->lo < h && (int64_t)lane->times[t->lo] < limit) t->lo++;
        return;
    }
    if (q->name[t->l] == NULL && lane->mask == NULL) { /* every row is a touch of one name */
        uint32_t lo = t->lo;
        while (lo < h && (int64_t)lane->times[lo] < limit) lo++;
        const uint32_t before = t->hi - t->lo, now = h - lo;
        t->lo = lo;
        t->hi = h;
        if (h) t->last = h - 1, t->any = h > t->start;
        zj_window_change(win, q->fixed[t->l], (int64_t)now - (int64_t)before);
        return;
    }
    for (uint32_t r = t->hi; r < h; r++) {
        const uint32_t name = zj_name_of(q, t, r);
        if (name >= win->names) continue;
        zj_window_change(win, name, 1);
        t->last = r;
        t->any = 1;
    }
    t->hi = h;
    while (t->lo < h) {
        const uint32_t name = zj_name_of(q, t, t->lo);
        if (name < win->names) {
            if ((int64_t)lane->times[t->lo] >= limit) break;
            zj_window_change(win, name, -1);
        }
        t->lo++;
    }
}

/* First and last touch of the look-back, and the last that is no direct visit, from the cursors. */
static void zj_ends_of_trails(const zj_attribution *q, zj_attribution_work *w, int sources) {
    zj_touch first = {0}, last = {0}, source = {0};
    int found = 0, sourced = 0;
    for (int i = 0; i < w->trails; i++) {
        const zj_trail *t = &w->trail[i];
        if (t->lo >= t->hi || !t->any || t->last < t->lo) continue;
        const zj_touch a = zj_touch_at(q, t, t->lo), b = zj_touch_at(q, t, t->last);
        if (!found || zj_touch_before(&a, &first)) first = a;
        if (!found || zj_touch_before(&last, &b)) last = b;
        found = 1;
        for (uint32_t r = t->last + 1; sources && r-- > t->lo;) {
            const uint32_t name = zj_name_of(q, t, r);
            if (name >= w->win.names) continue;
            if (q->direct[name]) {
                if (q->name[t->l] == NULL) break; /* all rows of the lane are */
                continue;
            }
            const zj_touch c = zj_touch_at(q, t, r);
            if (!sourced || zj_touch_before(&source, &c)) source = c;
            sourced = 1;
            break;
        }
    }
    w->win.first = first.name;
    w->win.last = last.name;
    w->win.last_time = last.time;
    w->win.source = sourced ? source.name : last.name;
}

/* The same, and the counts, from each row that has the conversion's key and may serve it. */
static int zj_match(const zj_attribution *q, zj_attribution_work *w, uint32_t key) {
    zj_window *win = &w->win;
    zj_touch first = {0}, last = {0}, source = {0};
    int sourced = 0;
    zj_window_clear(win);
    w->n_near = 0;
    if (key == 0) return ZJ_OK;
    for (int i = 0; i < w->trails; i++) {
        const zj_trail *t = &w->trail[i];
        const uint32_t *keys = q->touch_key[t->l];
        for (uint32_t r = t->lo; r < t->hi; r++) {
            if (keys == NULL || keys[r] != key) continue;
            if (q->once && w->spent[t->spent_at + (r - t->start)]) continue;
            const zj_touch touch = zj_touch_at(q, t, r);
            if (touch.name >= win->names) continue;
            if (win->total == 0 || zj_touch_before(&touch, &first)) first = touch;
            if (win->total == 0 || zj_touch_before(&last, &touch)) last = touch;
            if (!q->direct[touch.name] && (!sourced || zj_touch_before(&source, &touch))) {
                source = touch;
                sourced = 1;
            }
            zj_window_change(win, touch.name, 1);
            if (w->n_near == w->near_room) {
                const size_t room = w->near_room ? 2 * w->near_room : 256;
                zj_touch *more = (zj_touch *)realloc(w->near, room * sizeof(zj_touch));
                if (more == NULL) return ZJ_NO_MEMORY;
                w->near = more;
                w->near_room = room;
            }
            w->near[w->n_near++] = touch;
            if (q->once) w->spent[t->spent_at + (r - t->start)] = 1;
        }
    }
    win->first = first.name;
    win->last = last.name;
    win->last_time = last.time;
    win->source = sourced ? source.name : last.name;
    return ZJ_OK;
}

/* Weights of the names of the look-back for one half-life. Relative to the last touch, so that the sum is at
 * least 1 however short the half-life is. Returns the rows looked at. */
static uint32_t zj_decay(const zj_attribution *q, zj_attribution_work *w, double half_life) {
    zj_window *win = &w->win;
    const double scale = -1.0 / half_life;
    uint32_t rows = 0;
    for (uint32_t a = 0; a < win->active; a++) win->weight[win->name[a]] = 0.0;
    if (q->matched) {
        for (size_t i = 0; i < w->n_near; i++)
            win->weight[w->near[i].name] += zj_exp2((double)(win->last_time - w->near[i].time) * scale);
        return (uint32_t)w->n_near;
    }
    for (int i = 0; i < w->trails; i++) {
        const zj_trail *t = &w->trail[i];
        const int64_t last = win->last_time - t->lane->base;
        rows += t->hi - t->lo;
        if (q->name[t->l] == NULL && t->lane->mask == NULL) {
            double sum = 0.0;
            for (uint32_t r = t->lo; r < t->hi; r++) sum += zj_exp2((double)(last - (int64_t)t->lane->times[r]) * scale);
            win->weight[q->fixed[t->l]] += sum;
            continue;
        }
        for (uint32_t r = t->lo; r < t->hi; r++) {
            const uint32_t name = zj_name_of(q, t, r);
            if (name < win->names) win->weight[name] += zj_exp2((double)(last - (int64_t)t->lane->times[r]) * scale);
        }
    }
    return rows;
}

/* Trails of a user: the slices of all touch lanes that have any. False when memory is short. */
static int zj_trails_of(const zj_attribution *q, zj_attribution_work *w, zj_heads *heads, uint32_t user) {
    size_t rows = 0;
    w->trails = 0;
    for (int l = 0; l < q->n_touch; l++) {
        if (!zj_heads_seek(heads, q->touch, l, user)) continue;
        const uint32_t *o = q->touch[l].offsets + heads->pos[l];
        w->trail[w->trails++] = (zj_trail){&q->touch[l], l, o[0], o[1], o[0], o[0], 0, 0, rows};
        rows += o[1] - o[0];
    }
    if (!q->once || !q->matched || rows == 0) return 1;
    if (rows > w->spent_room) {
        uint8_t *more = (uint8_t *)realloc(w->spent, 2 * rows);
        if (more == NULL) return 0;
        w->spent = more;
        w->spent_room = 2 * rows;
    }
    memset(w->spent, 0, rows);
    return 1;
}

#endif
