/* Attribution: the credit of every conversion, shared out over the touches before it.
 *
 * User by user over the target lanes: conversion by conversion with cursors into the touch lanes
 * (attribution_trails.h), or all of a user at once (attribution_fast.h).
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

#include "attribution_fast.h"
#include "attribution_trails.h"

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
    if (status == ZJ_OK && w.one.usable) zj_plain_flush(&w.one, out);
    zj_buckets_free(buckets, q->n_target);
    zj_heads_close(&target);
    zj_heads_close(&touch);
    zj_attribution_close(&w);
    free(own);
    free(at);
    return status;
}

#endif
