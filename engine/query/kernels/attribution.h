/* Attribution: the credit of every conversion, shared out over the touches before it.
 *
 * User by user over the target lanes. Touches are never merged into one order: each touch lane keeps two
 * cursors, [lo, hi) being its rows in the look-back of the conversion in hand, and counts per name slide with
 * them. Only matching (and decay) looks at each row of a look-back.
 *
 * Credit is a whole number of 2^-56 shares, and the shares of one conversion add up to 2^56 exactly: what a
 * division leaves over goes to the last touch (linear, decay) or to the first one (position). Sums are 128
 * bits wide, so credit adds up in any order and over any cut of the data.
 *
 * O(rows + conversions * (lanes + names in the look-back)); with matching or decay + touches in look-backs.
 * Memory: a cell a (line, bucket, name), a few bytes a name and, where touches serve once and match, a byte
 * for each touch of one user.
 */
#ifndef ZUJI_ATTRIBUTION_H
#define ZUJI_ATTRIBUTION_H

#include <math.h>

#include "attribution_cells.h"
#include "attribution_fast.h"
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
    int plain; /* touches may take the fast way */
} zj_attribution_work;

static void zj_attribution_close(zj_attribution_work *w) {
    free(w->trail);
    free(w->spent);
    free(w->near);
    zj_fast_close(&w->fast);
    zj_window_close(&w->win);
}

static int zj_attribution_open(zj_attribution_work *w, const zj_attribution *q, const zj_credits *out) {
    memset(w, 0, sizeof *w);
    w->trail = (zj_trail *)calloc((size_t)q->n_touch + 1, sizeof(zj_trail));
    w->plain = !q->once && !q->matched;
    for (int l = 0; l < q->n_touch; l++) w->plain &= q->name[l] == NULL && q->touch[l].mask == NULL;
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

/* The lane whose next conversion of the user comes first, or -1. at[l]: next row, end[l]: past the last. */
ZJ_INLINE int zj_next_conversion(const zj_attribution *q, const int *own, int owners, const uint32_t *at,
                                 const uint32_t *end) {
    int best = -1;
    int64_t best_time = 0;
    uint64_t best_order = 0;
    for (int i = 0; i < owners; i++) {
        const int l = own[i];
        if (at[l] >= end[l]) continue;
        const int64_t time = q->target[l].base + (int64_t)q->target[l].times[at[l]];
        const uint64_t order = zj_row_order(&q->target[l], at[l]);
        if (best >= 0 && (time > best_time || (time == best_time && order >= best_order))) continue;
        best = l;
        best_time = time;
        best_order = order;
    }
    return best;
}

/* The conversion in hand into the cells of its lines. */
ZJ_INLINE void zj_credit_lines(const zj_attribution *q, zj_credits *out, const zj_window *win, int l, uint32_t r,
                               int32_t bucket, int *wanted) {
    const double value = q->value && q->value[l] && !isnan(q->value[l][r]) ? q->value[l][r] : 0.0;
    const uint32_t *at = q->line_at[l], *lines = q->line[l];
    const uint32_t a = at ? at[r] : r, b = at ? at[r + 1] : r + 1;
    for (uint32_t i = a; i < b; i++) {
        const uint32_t line = lines ? lines[i] : 0;
        if (line >= out->lines) continue;
        zj_credit_line(out, win, line, (uint32_t)bucket, value);
        if (q->picking && !*wanted && (q->pick_line < 0 || q->pick_line == (int64_t)line) &&
            (q->pick_bucket < 0 || q->pick_bucket == bucket))
            *wanted = q->pick_name < 0 || (q->pick_name == (int64_t)out->names
                                               ? win->total == 0
                                               : win->count[q->pick_name] > 0);
    }
}

/* One conversion: its look-back, and its credit into the cells of its lines. Adds to *work. */
static int zj_convert(const zj_attribution *q, zj_attribution_work *w, zj_credits *out, int l, uint32_t r, int32_t bucket,
                      int *wanted, uint32_t *work) {
    const zj_lane *lane = &q->target[l];
    const int64_t time = lane->base + (int64_t)lane->times[r];
    const uint64_t order = zj_row_order(lane, r);
    zj_window *win = &w->win;
    for (int i = 0; i < w->trails; i++) zj_trail_move(q, win, &w->trail[i], time, order, !q->matched);
    if (q->matched) {
        const uint32_t key = q->target_key[l] ? q->target_key[l][r] : 0;
        for (int i = 0; key && i < w->trails; i++) *work += w->trail[i].hi - w->trail[i].lo;
        if (zj_match(q, w, key) != ZJ_OK) return ZJ_NO_MEMORY;
    } else if (win->total && bucket >= 0) {
        zj_ends_of_trails(q, w, out->sources);
    }
    if (bucket >= 0) {
        if (win->total) {
            *work += win->active;
            zj_share_out(out, win);
            for (int m = 0; m < out->models; m++)
                if (out->model[m].kind == ZJ_DECAY) {
                    *work += zj_decay(q, w, out->model[m].half_life);
                    zj_share_decayed(out, win, m);
                }
        }
        zj_credit_lines(q, out, win, l, r, bucket, wanted);
    }
    if (q->once && !q->matched) { /* all of the look-back has served */
        zj_window_clear(win);
        for (int i = 0; i < w->trails; i++) w->trail[i].lo = w->trail[i].hi;
    }
    return ZJ_OK;
}

/* All conversions of a user, whose rows are [a, b) of target lane l, the fast way. False: not for this user. */
static int zj_convert_fast(const zj_attribution *q, zj_attribution_work *w, zj_credits *out, int l, uint32_t a, uint32_t b,
                           const zj_buckets *buckets, zj_guard *guard, int *wanted, uint32_t *work, int *status) {
    zj_fast *f = &w->fast;
    zj_window *win = &w->win;
    const zj_lane *lane = &q->target[l];
    const uint32_t trails = (uint32_t)w->trails;
    size_t rows = 0;
    int64_t begin = INT64_MAX, end = INT64_MIN;
    uint32_t n = 0;
    if (trails > ZJ_FAST_SLOTS || out->models > ZJ_FAST_MODELS || q->line_at[l]) return 0;
    for (uint32_t i = 0; i < trails; i++) {
        const zj_trail *t = &w->trail[i];
        if (t->end == t->start) continue;
        const int64_t first = t->lane->base + (int64_t)t->lane->times[t->start];
        const int64_t last = t->lane->base + (int64_t)t->lane->times[t->end - 1];
        if (t->lane->times[t->end - 1] == 0xFFFFFFFFu) return 0; /* what ends a merge */
        rows += t->end - t->start;
        begin = first < begin ? first : begin;
        end = last > end ? last : end;
    }
    for (int m = 0; rows && m < out->models; m++)
        if (out->model[m].kind == ZJ_DECAY && (double)(end - begin) > ZJ_MOST_HALVINGS * out->model[m].half_life) return 0;
    if (!zj_fast_reserve(f, b - a, trails, rows, rows * (size_t)out->decays)) {
        *status = ZJ_NO_MEMORY;
        return 1;
    }
    for (uint32_t r = a; r < b; r++) {
        const int32_t bucket = zj_bucket(buckets, lane->times[r]);
        f->row[n] = r;
        f->bucket[n] = bucket;
        n += bucket >= 0 && bucket < (int32_t)out->buckets && zj_passes(lane, r);
    }
    if (n == 0) return 1;
    for (uint32_t i = 0; i < trails; i++) {
        const zj_trail *t = &w->trail[i];
        const uint32_t m = t->end - t->start;
        const int64_t shift = lane->base - t->lane->base;
        const int known = i > 0 && t->lane->base == w->trail[i - 1].lane->base;
        for (uint32_t c = 0; !known && c < n; c++) {
            const int64_t until = shift + (int64_t)lane->times[f->row[c]], since = until - q->lookback;
            f->until[c] = until < 0 ? 0 : until > 0xFFFFFFFFll ? 0xFFFFFFFFu : (uint32_t)until;
            f->since[c] = since < 0 ? 0 : since > 0xFFFFFFFFll ? 0xFFFFFFFFu : (uint32_t)since;
        }
        f->until[n] = f->since[n] = 0;
        memcpy(f->times, t->lane->times + t->start, m * sizeof(uint32_t));
        f->times[m] = 0xFFFFFFFFu;
        uint32_t *hi = f->hi + (size_t)i * (n + 1), *lo = f->lo + (size_t)i * (n + 1);
        zj_merge_two(f->times, f->until, f->since, n, hi, lo);
        for (uint32_t c = 0; c < n; c++) { /* touches of the very instant, sent before */
            if (f->times[hi[c]] != f->until[c] || hi[c] == m) continue;
            const uint64_t order = zj_row_order(lane, f->row[c]);
            if (shift + (int64_t)lane->times[f->row[c]] != (int64_t)f->until[c]) continue;
            while (hi[c] < m && f->times[hi[c]] == f->until[c] && zj_row_order(t->lane, t->start + hi[c]) < order) hi[c]++;
        }
    }
    *work += n * (trails + 1);
    double *weight = f->weight;
    for (int m = 0; m < out->models; m++) {
        if (out->model[m].kind != ZJ_DECAY) continue;
        for (uint32_t i = 0; i < trails; i++) {
            const zj_trail *t = &w->trail[i];
            zj_weights(t->lane->times + t->start, t->end - t->start, (double)(t->lane->base - begin),
                       1.0 / out->model[m].half_life, weight);
            weight += t->end - t->start;
        }
    }
    zj_fast_sums *sums = &w->sums;
    int slot_of[ZJ_FAST_SLOTS];
    sums->slots = 0;
    for (uint32_t i = 0; i < trails; i++) {
        const uint32_t name = q->fixed[w->trail[i].l];
        int s = 0;
        while (s < sums->slots && sums->slot[s].name != name) s++;
        if (s == sums->slots) sums->slot[sums->slots++].name = name;
        slot_of[i] = s;
    }
    const int slots = sums->slots;
    const double *values = q->value ? q->value[l] : NULL;
    const uint32_t *lines = q->line[l];
    zj_fast_empty(sums, out->models);
    for (uint32_t c = 0; c < n; c++) {
        int64_t count[ZJ_FAST_SLOTS + 1], share[ZJ_FAST_SLOTS + 1];
        for (int s = 0; s < slots; s++) count[s] = 0;
        int64_t total = 0, first_time = INT64_MAX, last_time = INT64_MIN;
        int first = 0, last = 0, source = 0, tied = out->sources;
        const uint32_t line = lines ? lines[f->row[c]] : 0;
        if (line >= out->lines) continue;
        if (line != sums->line || f->bucket[c] != sums->bucket || !sums->any) {
            zj_fast_flush(out, sums);
            sums->line = line;
            sums->bucket = f->bucket[c];
            sums->any = 1;
        }
        for (uint32_t i = 0; i < trails; i++) {
            const uint32_t *times = w->trail[i].lane->times + w->trail[i].start;
            const int64_t base = w->trail[i].lane->base;
            const uint32_t lo = f->lo[(size_t)i * (n + 1) + c], hi = f->hi[(size_t)i * (n + 1) + c];
            if (hi == lo) continue;
            const int64_t from = base + (int64_t)times[lo], to = base + (int64_t)times[hi - 1];
            count[slot_of[i]] += hi - lo;
            total += hi - lo;
            tied |= (from == first_time) | (to == last_time);
            first = from < first_time ? slot_of[i] : first;
            first_time = from < first_time ? from : first_time;
            last = to > last_time ? slot_of[i] : last;
            last_time = to > last_time ? to : last_time;
        }
        if (tied && total) { /* the order within an instant, or each touch matters */
            for (uint32_t i = 0; i < trails; i++) {
                zj_trail *t = &w->trail[i];
                t->lo = t->start + f->lo[(size_t)i * (n + 1) + c];
                t->hi = t->start + f->hi[(size_t)i * (n + 1) + c];
                t->any = t->hi > t->lo;
                t->last = t->hi - 1;
            }
            zj_ends_of_trails(q, w, out->sources);
            for (int s = 0; s < slots; s++) {
                first = sums->slot[s].name == win->first ? s : first;
                last = sums->slot[s].name == win->last ? s : last;
                source = sums->slot[s].name == win->source ? s : source;
            }
        }
        const double value = values && !isnan(values[f->row[c]]) ? values[f->row[c]] : 0.0;
        if (out->valued) zj_credit_add(&sums->worth, value);
        if (q->picking && !*wanted && (q->pick_line < 0 || q->pick_line == (int64_t)line) &&
            (q->pick_bucket < 0 || q->pick_bucket == f->bucket[c])) {
            *wanted = q->pick_name < 0 || (q->pick_name == (int64_t)out->names && total == 0);
            for (int s = 0; s < slots; s++) *wanted |= count[s] && q->pick_name == (int64_t)sums->slot[s].name;
        }
        if (total == 0) {
            zj_fast_slot *none = &sums->slot[slots];
            none->conversions++;
            for (int m = 0; m < out->models; m++) {
                none->credit[m] += ZJ_WHOLE;
                if (out->valued) zj_credit_add(&none->value[m], value);
            }
            continue;
        }
        sums->touched++;
        for (int s = 0; s < slots; s++) {
            sums->slot[s].touches += count[s];
            sums->slot[s].conversions += count[s] > 0;
            sums->slot[s].assisted += (count[s] > 0) & (s != last);
        }
        weight = f->weight;
        for (int m = 0; m < out->models; m++) {
            if (out->model[m].kind != ZJ_DECAY) {
                zj_fast_share(&out->model[m], count, slots, total, first, last, source, share);
                for (int s = 0; s < slots; s++) sums->slot[s].credit[m] += share[s];
                for (int s = 0; out->valued && s < slots; s++)
                    if (share[s]) zj_credit_add(&sums->slot[s].value[m], value * ((double)share[s] * ZJ_SHARE));
                continue;
            }
            double of[ZJ_FAST_SLOTS + 1], sum = 0.0;
            int64_t left = ZJ_WHOLE;
            for (int s = 0; s < slots; s++) of[s] = 0.0;
            for (uint32_t i = 0; i < trails; i++) {
                const uint32_t lo = f->lo[(size_t)i * (n + 1) + c], hi = f->hi[(size_t)i * (n + 1) + c];
                if (hi > lo) of[slot_of[i]] += zj_sum(weight + lo, hi - lo);
                weight += w->trail[i].end - w->trail[i].start;
            }
            for (int s = 0; s < slots; s++) sum += of[s];
            for (int s = 0; s < slots; s++) {
                const double ratio = of[s] / sum;
                int64_t part = (int64_t)(ratio * (double)ZJ_WHOLE);
                part = part > left ? left : part;
                left -= part;
                sums->slot[s].credit[m] += part;
                if (out->valued && ratio != 0.0) zj_credit_add(&sums->slot[s].value[m], value * ratio);
            }
            sums->slot[last].credit[m] += left;
            *work += (uint32_t)(total / 8);
        }
        if (*work >= ZJ_POLL_ROWS) {
            if (zj_stop(guard, *work)) {
                *status = ZJ_CANCELLED;
                return 1;
            }
            *work = 0;
        }
    }
    zj_fast_flush(out, sums);
    return 1;
}

/* Fills out->cell … and, with q->picking, `picked` (room for every user of the target lanes). */
static int zj_attribution_run(const zj_attribution *q, zj_guard *guard, zj_credits *out, uint32_t *picked, size_t *n_picked) {
    zj_heads target = {0}, touch = {0};
    zj_attribution_work w;
    uint32_t user;
    *n_picked = 0;
    zj_buckets *buckets = zj_buckets_of(q->target, q->n_target, q->edges, (int32_t)out->buckets);
    int *own = (int *)calloc((size_t)q->n_target + 1, sizeof(int));
    uint32_t *at = (uint32_t *)calloc(2 * (size_t)q->n_target + 2, sizeof(uint32_t)), *end = at + q->n_target + 1;
    int status = zj_attribution_open(&w, q, out);
    if (buckets == NULL || own == NULL || at == NULL) status = ZJ_NO_MEMORY;
    if (status == ZJ_OK) status = zj_heads_open(&target, q->target, q->n_target);
    if (status == ZJ_OK) status = zj_heads_open(&touch, q->touch, q->n_touch);
    while (status == ZJ_OK && (user = zj_heads_min(&target)) != ZJ_END) {
        int owners = 0, wanted = 0, l;
        uint32_t work = 1;
        for (int i = 0; i < q->n_target; i++) {
            if (target.head[i] != user) continue;
            at[i] = q->target[i].offsets[target.pos[i]];
            end[i] = q->target[i].offsets[target.pos[i] + 1];
            work += end[i] - at[i];
            own[owners++] = i;
            zj_heads_next(&target, q->target, i);
        }
        if (zj_allowed(guard, user)) {
            out->stamp++;
            zj_window_clear(&w.win);
            if (!zj_trails_of(q, &w, &touch, user)) status = ZJ_NO_MEMORY;
            for (int i = 0; i < w.trails; i++) work += w.trail[i].end - w.trail[i].start;
            if (status == ZJ_OK && w.plain && owners == 1) {
                l = own[0];
                if (zj_convert_fast(q, &w, out, l, at[l], end[l], &buckets[l], guard, &wanted, &work, &status))
                    at[l] = end[l];
            }
            while (status == ZJ_OK && (l = zj_next_conversion(q, own, owners, at, end)) >= 0) {
                const uint32_t r = at[l]++;
                if (!zj_passes(&q->target[l], r)) continue;
                int32_t bucket = zj_bucket(&buckets[l], q->target[l].times[r]);
                if (bucket >= (int32_t)out->buckets) bucket = -1;
                if (bucket < 0 && !q->once) continue;
                status = zj_convert(q, &w, out, l, r, bucket, &wanted, &work);
                if (status == ZJ_OK && work >= ZJ_POLL_ROWS) {
                    if (zj_stop(guard, work)) status = ZJ_CANCELLED;
                    work = 0;
                }
            }
            if (wanted) picked[(*n_picked)++] = user;
        }
        if (status == ZJ_OK && zj_stop(guard, work)) status = ZJ_CANCELLED;
    }
    zj_buckets_free(buckets, q->n_target);
    zj_heads_close(&target);
    zj_heads_close(&touch);
    zj_attribution_close(&w);
    free(own);
    free(at);
    return status;
}

#endif
