/* Retention: cohort sizes, returns per period and a third metric, exactly, user by user.
 *
 * A user enters cohort period p with the first start row of p (an "entry"). Calendar mode: the user's
 * return periods are one bit set R over the calendar, and the returns of an entry are R >> p; only
 * period 0 asks for more, the latest return row of the period and whether one is no start row.
 * Rolling mode: each entry scans the return rows inside its own n + 1 periods.
 * Only users of the start lanes are visited. Memory: P entries and (P + n) / 8 bytes a call.
 * O(rows + entries * (n / 64 + returns)) calendar; O(rows + entries * rows in reach) rolling.
 */
#ifndef ZUJI_RETENTION_H
#define ZUJI_RETENTION_H

#include "buckets.h"

enum { ZJ_FIRST_IN_RANGE = 0, ZJ_FIRST_EVER = 1, ZJ_RECURRING = 2 };
enum { ZJ_ON = 0, ZJ_ON_OR_AFTER = 1, ZJ_ON_OR_BEFORE = 2, ZJ_CONSECUTIVE = 3, ZJ_BRACKET = 4 };

typedef struct {
    const zj_lane *start, *back, *metric;
    int n_start, n_back, n_metric;
    const uint32_t *const *group;         /* per start lane uint32[n] or NULL = group 0 */
    const uint8_t *const *back_start_row; /* per return lane uint8[n]: row is a start row too, or NULL */
    const uint8_t *back_start;            /* per return lane: the same for lanes without an array */
    const double *const *value;           /* per metric lane float64[n], or NULL = rows only count */
    const int64_t *start_edges, *period_edges;
    int32_t periods, period_buckets;      /* P; buckets of period_edges, >= P + n */
    int rolling;
    int64_t period_ms;
    int n;                                /* periods 0..n */
    int cohort, criterion;
    const int32_t *bracket;               /* [2 * K] first, last */
    int k_count;                          /* K: n + 1, or the number of brackets */
    uint32_t groups;                      /* G */
    int64_t pick_group, pick_period, pick_k; /* -1 = any */
    int pick_returned;                    /* 1 returned, 0 not returned, -1 whole cohort, -2 no pick */
} zj_retention;

typedef struct {
    int64_t *size, *returned;       /* [G, P], [G, P, K] */
    double *sum, *lost;             /* [G, P, K] or NULL */
    int64_t *count;
    uint32_t *picked;
    size_t n_picked;
} zj_retention_out;

/* Place of a row among its user's rows: time, then rank and tie. */
typedef struct {
    int64_t time;
    uint64_t order;
} zj_place;

typedef struct {
    zj_place place; /* of the first start row */
    int32_t period;
    int lane;
    uint32_t row, last_row; /* last_row: end of the user's slice in the lane */
} zj_entry;

typedef struct {
    zj_entry *entry;      /* [P] of the user in hand */
    int n_entries;
    uint32_t *slot_stamp; /* [P] user that entered period p last, and that entry's number */
    int32_t *slot;
    uint64_t *back;       /* bit q: a return row in calendar period q */
    uint64_t *back_plain; /* bit q: such a row that is no start row */
    zj_place *back_last;  /* [P] latest return row of period q that is a start row */
    uint64_t *bits;       /* [n / 64 + 1] periods in which one entry returned */
    uint64_t *cells;      /* [K / 64 + 1] cells in which it counts as returned */
    size_t words;
    uint32_t *group;      /* groups of one entry */
    uint32_t group_room;
} zj_retention_work;

ZJ_INLINE int zj_bit(const uint64_t *bits, int i) { return (int)(bits[i >> 6] >> (i & 63) & 1); }
ZJ_INLINE void zj_bit_set(uint64_t *bits, int i) { bits[i >> 6] |= 1ull << (i & 63); }

ZJ_INLINE uint64_t zj_order_of(const zj_lane *lane, uint32_t row) { return (uint64_t)lane->rank << 16 | zj_tie(lane, row); }
ZJ_INLINE int zj_later(int64_t time, uint64_t order, const zj_place *than) {
    return time > than->time || (time == than->time && order > than->order);
}

static void zj_retention_close(zj_retention_work *w) {
    free(w->entry);
    free(w->slot_stamp);
    free(w->slot);
    free(w->back);
    free(w->back_plain);
    free(w->back_last);
    free(w->bits);
    free(w->cells);
    free(w->group);
}

static int zj_retention_open(zj_retention_work *w, const zj_retention *q) {
    memset(w, 0, sizeof *w);
    size_t p = (size_t)q->periods;
    w->words = (p + (size_t)q->n) / 64 + 3;
    w->group_room = 512;
    w->entry = (zj_entry *)calloc(p, sizeof(zj_entry));
    w->slot_stamp = (uint32_t *)calloc(p, sizeof(uint32_t));
    w->slot = (int32_t *)calloc(p, sizeof(int32_t));
    w->back = (uint64_t *)calloc(w->words, 8);
    w->back_plain = (uint64_t *)calloc(w->words, 8);
    w->back_last = (zj_place *)calloc(p, sizeof(zj_place));
    w->bits = (uint64_t *)calloc((size_t)q->n / 64 + 1, 8);
    w->cells = (uint64_t *)calloc((size_t)q->k_count / 64 + 1, 8);
    w->group = (uint32_t *)calloc(w->group_room, sizeof(uint32_t));
    return w->entry && w->slot_stamp && w->slot && w->back && w->back_plain && w->back_last && w->bits &&
                   w->cells && w->group ? ZJ_OK : ZJ_NO_MEMORY;
}

/* Entries of one user from one start lane: the first row of each period (recurring) or of all. */
ZJ_INLINE void zj_entries_add(const zj_retention *q, zj_retention_work *w, int l, uint32_t a, uint32_t b,
                              const zj_buckets *buckets, uint32_t stamp) {
    const zj_lane *lane = &q->start[l];
    const zj_buckets bucket = *buckets;
    const int recurring = q->cohort == ZJ_RECURRING, periods = q->periods;
    int32_t previous = -1;
    for (uint32_t r = a; r < b; r++) {
        int32_t p = zj_bucket(&bucket, lane->times[r]);
        int inside = p >= 0 && p < periods;
        if (!zj_passes(lane, r)) continue;
        if (!inside) p = -1;
        if (recurring ? p == previous || !inside : !inside && q->cohort == ZJ_FIRST_IN_RANGE) continue;
        previous = p; /* rows ascend: only the first of a period matters */
        const int64_t time = lane->base + (int64_t)lane->times[r];
        const uint64_t order = zj_order_of(lane, r);
        zj_entry *e = &w->entry[recurring ? w->n_entries : 0];
        if (recurring && w->slot_stamp[p] == stamp) {
            e = &w->entry[w->slot[p]];
            if (zj_later(time, order, &e->place)) continue;
        } else if (recurring) {
            w->slot_stamp[p] = stamp;
            w->slot[p] = w->n_entries++;
        } else if (w->n_entries++ && zj_later(time, order, &e->place)) {
            return;
        }
        *e = (zj_entry){{time, order}, p, l, r, b};
        if (!recurring) return; /* the first row of the slice is its least */
    }
}

/* Groups of an entry, distinct: rows at the entry's own (time, tie) are one event in several groups. */
ZJ_INLINE int zj_entry_groups(const zj_retention *q, zj_retention_work *w, const zj_entry *e, int *status) {
    const uint32_t *group = q->group[e->lane];
    const zj_lane *lane = &q->start[e->lane];
    int n = 0;
    if (group == NULL) {
        w->group[0] = 0;
        return q->groups > 0;
    }
    for (uint32_t r = e->row; r < e->last_row; r++) {
        if (lane->times[r] != lane->times[e->row] || zj_tie(lane, r) != zj_tie(lane, e->row)) break;
        if (group[r] >= q->groups || !zj_passes(lane, r)) continue;
        int seen = 0;
        while (seen < n && w->group[seen] != group[r]) seen++;
        if (seen < n) continue;
        if ((uint32_t)n == w->group_room) {
            uint32_t *more = (uint32_t *)realloc(w->group, 2 * sizeof(uint32_t) * w->group_room);
            if (more == NULL) {
                *status = ZJ_NO_MEMORY;
                return 0;
            }
            w->group = more;
            w->group_room *= 2;
        }
        w->group[n++] = group[r];
    }
    return n;
}

/* First row of [a, b) at or after t. */
ZJ_INLINE uint32_t zj_first_at(const zj_lane *lane, uint32_t a, uint32_t b, int64_t t) {
    while (a < b) {
        uint32_t m = a + (b - a) / 2;
        if (lane->base + (int64_t)lane->times[m] < t) a = m + 1;
        else b = m;
    }
    return a;
}

/* Return periods of one calendar user from one lane. */
ZJ_INLINE void zj_back_add(const zj_retention *q, zj_retention_work *w, int l, uint32_t a, uint32_t b,
                           const zj_buckets *buckets) {
    const zj_lane *lane = &q->back[l];
    const zj_buckets bucket = *buckets;
    const uint8_t *is_start = q->back_start_row[l];
    const uint8_t all_start = q->back_start[l];
    const uint32_t reach = (uint32_t)(q->periods + q->n);
    for (uint32_t r = a; r < b; r++) {
        int32_t p = zj_bucket(&bucket, lane->times[r]);
        if ((uint32_t)p >= reach || !zj_passes(lane, r)) continue;
        zj_bit_set(w->back, p);
        if (p >= q->periods) continue;
        if (!(is_start ? is_start[r] : all_start)) {
            zj_bit_set(w->back_plain, p);
            continue;
        }
        const int64_t time = lane->base + (int64_t)lane->times[r];
        const uint64_t order = zj_order_of(lane, r);
        if (zj_later(time, order, &w->back_last[p])) w->back_last[p] = (zj_place){time, order};
    }
}

/* Bits 0..n of one entry, calendar: the return periods shifted to it; period 0 by its own rule. */
ZJ_INLINE void zj_bits_calendar(const zj_retention *q, zj_retention_work *w, const zj_entry *e) {
    const int p = e->period, at = p >> 6, shift = p & 63, words = q->n / 64 + 1, tail = (q->n + 1) & 63;
    for (int i = 0; i < words; i++)
        w->bits[i] = w->back[at + i] >> shift | w->back[at + i + 1] << 1 << (63 - shift);
    if (!zj_bit(w->back_plain, p) && !zj_later(w->back_last[p].time, w->back_last[p].order, &e->place))
        w->bits[0] &= ~1ull;
    if (tail) w->bits[words - 1] &= (1ull << tail) - 1;
}

/* Bits 0..n of one entry, rolling. */
ZJ_INLINE void zj_bits_rolling(const zj_retention *q, zj_retention_work *w, const zj_entry *e,
                               const zj_heads *heads, uint32_t user) {
    memset(w->bits, 0, ((size_t)q->n / 64 + 1) * 8);
    const int64_t reach = q->period_ms * (q->n + 1), start = e->place.time;
    for (int l = 0; l < q->n_back; l++) {
        if (heads->head[l] != user) continue;
        const zj_lane *lane = &q->back[l];
        const uint8_t *is_start = q->back_start_row[l];
        uint32_t b = lane->offsets[heads->pos[l] + 1];
        for (uint32_t r = zj_first_at(lane, lane->offsets[heads->pos[l]], b, start); r < b; r++) {
            int64_t passed = lane->base + (int64_t)lane->times[r] - start;
            if (passed >= reach) break;
            if (!zj_passes(lane, r)) continue;
            if (passed == 0 && (is_start ? is_start[r] : q->back_start[l]) &&
                !zj_later(start, zj_order_of(lane, r), &e->place))
                continue;
            zj_bit_set(w->bits, (int)(passed / q->period_ms));
        }
    }
}

/* Cells 0..K-1 in which an entry with these bits counts as returned. O(K / 64), brackets O(K n). */
ZJ_INLINE void zj_cells_of_bits(const zj_retention *q, const uint64_t *bits, uint64_t *cells) {
    const int words = q->n / 64 + 1;
    if (q->criterion == ZJ_BRACKET) {
        memset(cells, 0, ((size_t)q->k_count / 64 + 1) * 8);
        for (int k = 0; k < q->k_count; k++)
            for (int i = q->bracket[2 * k]; i <= q->bracket[2 * k + 1]; i++)
                if (zj_bit(bits, i)) zj_bit_set(cells, k);
        return;
    }
    for (int i = 0; i < words; i++) cells[i] = bits[i];
    if (q->criterion == ZJ_ON_OR_AFTER) { /* every cell up to the last return */
        int i = words - 1;
        while (i > 0 && cells[i] == 0) i--;
        if (cells[i]) cells[i] = ~0ull >> __builtin_clzll(cells[i]);
        while (i-- > 0) cells[i] = ~0ull;
    } else if (q->criterion == ZJ_ON_OR_BEFORE) { /* every cell from the first return on, 0 by itself */
        const int tail = (q->n + 1) & 63;
        const uint64_t zero = cells[0] & 1;
        int i = 0;
        cells[0] &= ~1ull;
        while (i < words && cells[i] == 0) i++;
        if (i < words) cells[i] = ~0ull << __builtin_ctzll(cells[i]);
        while (++i < words) cells[i] = ~0ull;
        cells[0] |= zero;
        if (tail) cells[words - 1] &= (1ull << tail) - 1;
    } else if (q->criterion == ZJ_CONSECUTIVE) { /* the run of ones from 1 on, 0 by itself */
        uint64_t carry = 1;
        for (int i = 0; i < words; i++) {
            uint64_t x = cells[i] | (i == 0), run = x == ~0ull ? ~0ull : (1ull << __builtin_ctzll(~x)) - 1;
            cells[i] &= carry ? run : 0;
            carry &= run == ~0ull;
        }
    }
}

/* returned[k] += bit k: whole words, so that nothing depends on how many bits are set. */
ZJ_INLINE void zj_returned_add(const uint64_t *cells, int k_count, int64_t *returned) {
    for (int i = 0; i * 64 < k_count; i++) {
        const uint64_t x = cells[i];
        const uint64_t n = (uint64_t)(k_count - i * 64 < 64 ? k_count - i * 64 : 64);
        int64_t *restrict to = returned + (size_t)i * 64;
        if (x == 0) continue;
        for (uint64_t k = 0; k < n; k++) to[k] += (int64_t)(x >> k & 1);
    }
}

ZJ_INLINE void zj_metric_at(const zj_retention *q, zj_retention_out *out, size_t base, int k, double x) {
    double *sum = &out->sum[base + (size_t)k], s = *sum + x;
    out->lost[base + (size_t)k] += __builtin_fabs(*sum) >= __builtin_fabs(x) ? (*sum - s) + x : (x - s) + *sum;
    *sum = s;
    out->count[base + (size_t)k]++;
}

/* Metric rows of one entry: all of the cohort's users count, returned or not. */
static void zj_metric_add(const zj_retention *q, zj_retention_out *out, const zj_entry *e, size_t base,
                          const zj_heads *heads, uint32_t user) {
    int64_t start = e->place.time;
    int64_t stop = start + q->period_ms * (q->n + 1);
    if (!q->rolling) {
        start = q->period_edges[e->period];
        stop = q->period_edges[e->period + q->n + 1];
    }
    for (int l = 0; l < q->n_metric; l++) {
        if (heads->head[l] != user) continue;
        const zj_lane *lane = &q->metric[l];
        uint32_t b = lane->offsets[heads->pos[l] + 1];
        int32_t k = 0;
        for (uint32_t r = zj_first_at(lane, lane->offsets[heads->pos[l]], b, start); r < b; r++) {
            int64_t t = lane->base + (int64_t)lane->times[r];
            if (t >= stop) break;
            if (!zj_passes(lane, r)) continue;
            if (q->rolling) k = (int32_t)((t - start) / q->period_ms);
            else
                while (t >= q->period_edges[e->period + k + 1]) k++;
            double x = q->value[l] ? q->value[l][r] : 0.0;
            if (q->criterion != ZJ_BRACKET) zj_metric_at(q, out, base, k, x);
            else
                for (int c = 0; c < q->k_count; c++)
                    if (q->bracket[2 * c] <= k && k <= q->bracket[2 * c + 1]) zj_metric_at(q, out, base, c, x);
        }
    }
}

ZJ_INLINE uint32_t zj_rows_of_head(const zj_lane *lane, uint32_t pos) {
    return lane->offsets[pos + 1] - lane->offsets[pos];
}

ZJ_CLONES static int zj_retention_run(const zj_retention *q, zj_guard *guard, zj_retention_out *out) {
    zj_heads start = {0}, back = {0}, metric = {0};
    zj_retention_work w = {0};
    zj_buckets *start_bucket = zj_buckets_of(q->start, q->n_start, q->start_edges, q->periods);
    zj_buckets *back_bucket = zj_buckets_of(q->back, q->n_back, q->period_edges, q->period_buckets);
    int status = start_bucket && back_bucket ? zj_retention_open(&w, q) : ZJ_NO_MEMORY;
    if (status == ZJ_OK) status = zj_heads_open(&start, q->start, q->n_start);
    if (status == ZJ_OK) status = zj_heads_open(&back, q->back, q->n_back);
    if (status == ZJ_OK) status = zj_heads_open(&metric, q->metric, q->n_metric);
    uint32_t user, stamp = 0;
    while (status == ZJ_OK && (user = zj_heads_min(&start)) != ZJ_END) {
        int counts = zj_allowed(guard, user);
        uint32_t work = 1;
        stamp++;
        w.n_entries = 0;
        for (int l = 0; l < q->n_start; l++) {
            if (start.head[l] != user) continue;
            const uint32_t *o = q->start[l].offsets + start.pos[l];
            work += o[1] - o[0];
            if (counts) zj_entries_add(q, &w, l, o[0], o[1], &start_bucket[l], stamp);
            zj_heads_next(&start, q->start, l);
        }
        if (q->cohort != ZJ_RECURRING && w.n_entries) w.n_entries = w.entry[0].period >= 0;
        if (w.n_entries) {
            int any_back = 0;
            if (!q->rolling) {
                memset(w.back, 0, w.words * 8);
                memset(w.back_plain, 0, w.words * 8);
                for (int i = 0; i < w.n_entries; i++) w.back_last[w.entry[i].period].time = INT64_MIN;
            }
            for (int l = 0; l < q->n_back; l++) {
                if (!zj_heads_seek(&back, q->back, l, user)) continue;
                const uint32_t *o = q->back[l].offsets + back.pos[l];
                any_back = 1;
                work += o[1] - o[0];
                if (!q->rolling) zj_back_add(q, &w, l, o[0], o[1], &back_bucket[l]);
            }
            for (int l = 0; l < q->n_metric; l++)
                if (zj_heads_seek(&metric, q->metric, l, user)) work += zj_rows_of_head(&q->metric[l], metric.pos[l]);
            int wanted = 0;
            for (int i = 0; i < w.n_entries && status == ZJ_OK; i++) {
                const zj_entry *e = &w.entry[i];
                int n_groups = zj_entry_groups(q, &w, e, &status);
                if (n_groups == 0) continue;
                if (any_back) {
                    if (q->rolling) zj_bits_rolling(q, &w, e, &back, user);
                    else zj_bits_calendar(q, &w, e);
                    zj_cells_of_bits(q, w.bits, w.cells);
                }
                for (int g = 0; g < n_groups; g++) {
                    size_t cell = (size_t)w.group[g] * (size_t)q->periods + (size_t)e->period;
                    out->size[cell]++;
                    if (any_back) zj_returned_add(w.cells, q->k_count, out->returned + cell * (size_t)q->k_count);
                    if (q->n_metric) zj_metric_add(q, out, e, cell * (size_t)q->k_count, &metric, user);
                    if (q->pick_returned >= -1 && !wanted &&
                        (q->pick_group < 0 || q->pick_group == (int64_t)w.group[g]) &&
                        (q->pick_period < 0 || q->pick_period == e->period))
                        wanted = q->pick_returned < 0 ||
                                 (any_back && zj_bit(w.cells, (int)q->pick_k)) == q->pick_returned;
                }
                if (q->rolling && zj_stop(guard, ZJ_POLL_ROWS / 64)) status = ZJ_CANCELLED;
            }
            if (wanted) out->picked[out->n_picked++] = user;
        }
        if (status == ZJ_OK && zj_stop(guard, work)) status = ZJ_CANCELLED;
    }
    zj_buckets_free(start_bucket, q->n_start);
    zj_buckets_free(back_bucket, q->n_back);
    zj_heads_close(&start);
    zj_heads_close(&back);
    zj_heads_close(&metric);
    zj_retention_close(&w);
    return status;
}

#endif
