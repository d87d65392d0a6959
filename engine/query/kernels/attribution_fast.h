/* All conversions of a user at once, where touch lanes have a name each (attribution_sums.h). */
#ifndef ZUJI_ATTRIBUTION_FAST_H
#define ZUJI_ATTRIBUTION_FAST_H

#include "attribution_trails.h"

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
    int plain = w->one.usable;
    if (plain && !zj_plain_begin(&w->one, n)) {
        *status = ZJ_NO_MEMORY;
        return 1;
    }
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
        plain = plain && zj_plain_lane(&w->one, q->fixed[t->l], t->lane->base, f->times, lo, hi, n);
    }
    *work += n * (trails + 1);
    if (plain && zj_plain_end(&w->one, n)) return 1;
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

#endif
