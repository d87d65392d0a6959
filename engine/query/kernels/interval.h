/* Pairs of a start and an end, user by user.
 *
 * A row may be a start, an end, or both. Rows of a user pass in the order (time, rank, tie), with `strict`
 * ends before starts within an instant. One start at most is open at a time (one a held value):
 *   an end closes the open start, if it is at most `cap` old: that is a pair;
 *   a start opens if none is open or the open one is older than `cap`; nearest to the end, always.
 * A row that is both closes first. Starts outside [from, to) open and close, but give no pair.
 *
 * A user's rows lie in few lanes: in one they stand in order, two are merged by two pointers, more may fall
 * into such stretches of time; else they are gathered (gather.h). Starts of one lane and ends of another, with nothing held, need not even be merged:
 * from end to end the starts before it are passed over. Held values: a table of open starts by value, as
 * large as twice the user's rows.
 * O(rows + users * lanes), gathered rows times log.
 */
#ifndef ZUJI_INTERVAL_H
#define ZUJI_INTERVAL_H

#include "buckets.h"
#include "gather.h"

enum { ZI_START = 1, ZI_END = 2 };
enum { ZI_FULL = 16 };
#define ZI_NO_KEY 0xFFFFFFFFu

typedef struct {
    const zj_lane *lanes;
    int count;
    const uint8_t *const *roles;      /* per lane [n], or NULL */
    const uint8_t *role;              /* per lane: the role of all rows where there is no array */
    const uint32_t *const *start_key; /* per lane [n]: held value of a row as a start; or NULL: nothing is held */
    const uint32_t *const *end_key;
    int held, nearest_end, strict, places;
    int64_t cap;                      /* ms, INT64_MAX: none */
    int64_t first;                    /* rows before it are not looked at */
    const int64_t *edges;             /* [buckets + 1] of starts that give pairs */
    int32_t buckets;
    size_t most;                      /* pairs that there is room for */
} zi_ask;

typedef struct {
    uint32_t *user, *start_row, *end_row;
    int32_t *bucket, *start_lane, *end_lane;
    int64_t *gap;
    size_t count, room;
    int places;
} zi_pairs;

typedef struct {
    int64_t time;
    uint32_t key, stamp;
    uint32_t row;
    int32_t lane, bucket; /* bucket -1: outside */
    int open;
} zi_open;

typedef struct {
    const zi_ask *q;
    const zj_buckets *bucket; /* per lane */
    zi_pairs *out;
    zi_open *table;           /* [size], by held value */
    size_t size;
    uint32_t stamp, user;
    zi_open one;
} zi_work;

static void zi_pairs_close(zi_pairs *out) {
    free(out->user);
    free(out->start_row);
    free(out->end_row);
    free(out->bucket);
    free(out->start_lane);
    free(out->end_lane);
    free(out->gap);
}

ZJ_INLINE int zi_grow(void **array, size_t size) {
    void *more = realloc(*array, size);
    if (more) *array = more;
    return more != NULL;
}

/* Room for `more` pairs. */
static int zi_reserve(zi_pairs *out, size_t more, size_t most) {
    if (out->count + more <= out->room) return ZJ_OK;
    if (out->count > most) return ZI_FULL; /* as many as a user has rows are not yet pairs */
    size_t room = out->room ? out->room * 2 : 4096;
    while (room < out->count + more) room *= 2;
    int ok = zi_grow((void **)&out->user, room * 4) && zi_grow((void **)&out->bucket, room * 4) &&
             zi_grow((void **)&out->gap, room * 8);
    if (ok && out->places)
        ok = zi_grow((void **)&out->start_row, room * 4) && zi_grow((void **)&out->start_lane, room * 4) &&
             zi_grow((void **)&out->end_row, room * 4) && zi_grow((void **)&out->end_lane, room * 4);
    if (!ok) return ZJ_NO_MEMORY;
    out->room = room;
    return ZJ_OK;
}

ZJ_INLINE int zi_role(const zi_ask *q, int l, uint32_t r) {
    if (!zj_passes(&q->lanes[l], r)) return 0;
    return q->roles[l] ? q->roles[l][r] : q->role[l];
}

/* The open start of a held value; what is free is closed. REQUIRES: more room than values. */
ZJ_INLINE zi_open *zi_find(zi_work *w, uint32_t key) {
    size_t at = (key * 0x9E3779B97F4A7C15ull) >> 20 & (w->size - 1);
    while (w->table[at].stamp == w->stamp && w->table[at].key != key) at = (at + 1) & (w->size - 1);
    zi_open *found = &w->table[at];
    if (found->stamp != w->stamp) {
        found->stamp = w->stamp;
        found->key = key;
        found->open = 0;
    }
    return found;
}

ZJ_INLINE void zi_close(zi_work *w, zi_open *open, int64_t time, int l, uint32_t r) {
    if (!open->open || time - open->time > w->q->cap) return;
    open->open = 0;
    if (open->bucket < 0) return;
    zi_pairs *out = w->out;
    const size_t at = out->count++;
    out->user[at] = w->user;
    out->bucket[at] = open->bucket;
    out->gap[at] = time - open->time;
    if (out->places) {
        out->start_row[at] = open->row;
        out->start_lane[at] = open->lane;
        out->end_row[at] = r;
        out->end_lane[at] = l;
    }
}

ZJ_INLINE void zi_start(zi_work *w, zi_open *open, int64_t time, int l, uint32_t r) {
    if (open->open && !w->q->nearest_end && time - open->time <= w->q->cap) return;
    const int32_t bucket = zj_bucket(&w->bucket[l], w->q->lanes[l].times[r]);
    open->open = 1;
    open->time = time;
    open->bucket = bucket < w->q->buckets ? bucket : -1;
    open->row = r;
    open->lane = l;
}

/* One row in the roles given. */
ZJ_INLINE void zi_row(zi_work *w, int64_t time, int role, int l, uint32_t r) {
    if (time < w->q->first) return;
    if (!w->q->held) {
        if (role & ZI_END) zi_close(w, &w->one, time, l, r);
        if (role & ZI_START) zi_start(w, &w->one, time, l, r);
        return;
    }
    if (role & ZI_END && w->q->end_key[l] && w->q->end_key[l][r] != ZI_NO_KEY)
        zi_close(w, zi_find(w, w->q->end_key[l][r]), time, l, r);
    if (role & ZI_START && w->q->start_key[l] && w->q->start_key[l][r] != ZI_NO_KEY)
        zi_start(w, zi_find(w, w->q->start_key[l][r]), time, l, r);
}

/* Rows of one lane, in order. */
ZJ_INLINE void zi_single(zi_work *w, int l, uint32_t a, uint32_t b) {
    const zj_lane *lane = &w->q->lanes[l];
    for (uint32_t r = a; r < b; r++) zi_row(w, lane->base + (int64_t)lane->times[r], zi_role(w->q, l, r), l, r);
}

/* Rows of two lanes, l before m where all else is equal. */
ZJ_INLINE void zi_double(zi_work *w, int l, uint32_t a, uint32_t b, int m, uint32_t c, uint32_t d) {
    const zj_lane *x = &w->q->lanes[l], *y = &w->q->lanes[m];
    while (a < b && c < d) {
        const int64_t s = x->base + (int64_t)x->times[a], t = y->base + (int64_t)y->times[c];
        int left = s < t;
        if (s == t) {
            const uint64_t i = (uint64_t)x->rank << 16 | zj_tie(x, a), j = (uint64_t)y->rank << 16 | zj_tie(y, c);
            left = i <= j;
        }
        if (left) zi_row(w, s, zi_role(w->q, l, a), l, a), a++;
        else zi_row(w, t, zi_role(w->q, m, c), m, c), c++;
    }
    zi_single(w, l, a, b);
    zi_single(w, m, c, d);
}

ZJ_INLINE void zi_emit(zi_work *w, int l, uint32_t start, int m, uint32_t end, int64_t gap) {
    const int32_t bucket = zj_bucket(&w->bucket[l], w->q->lanes[l].times[start]);
    if (bucket < 0 || bucket >= w->q->buckets) return;
    zi_pairs *out = w->out;
    const size_t at = out->count++;
    out->user[at] = w->user;
    out->bucket[at] = bucket;
    out->gap[at] = gap;
    if (out->places) {
        out->start_row[at] = start;
        out->start_lane[at] = l;
        out->end_row[at] = end;
        out->end_lane[at] = m;
    }
}

/* Whether a start comes before an end of the same instant. */
static int zi_tied(const zj_lane *x, int l, uint32_t i, const zj_lane *y, int m, uint32_t j) {
    const uint64_t p = (uint64_t)x->rank << 16 | zj_tie(x, i), q = (uint64_t)y->rank << 16 | zj_tie(y, j);
    return p < q || (p == q && l < m);
}

/* Starts i to b in lane l, ends c to d in lane m; all of them pass, and none is before `first`. */
ZJ_INLINE void zi_plain(zi_work *w, int l, uint32_t i, uint32_t b, int m, uint32_t c, uint32_t d) {
    const zj_lane *x = &w->q->lanes[l], *y = &w->q->lanes[m];
    const uint32_t *start = x->times, *end = y->times;
    const int64_t shift = y->base - x->base, cap = w->q->cap;
    const int nearest_end = w->q->nearest_end, strict = w->q->strict;
    uint32_t waits = i; /* the first start that no end has closed, or the next one to come */
    for (uint32_t j = c; j < d; j++) {
        const int64_t t = shift + (int64_t)end[j];
        const uint32_t before = i;
        while (i < b && (int64_t)start[i] < t) i++;
        while (!strict && i < b && (int64_t)start[i] == t && zi_tied(x, l, i, y, m, j)) i++;
        if (nearest_end) {
            if (i > before && t - (int64_t)start[i - 1] <= cap) zi_emit(w, l, i - 1, m, j, t - (int64_t)start[i - 1]);
            continue;
        }
        if (waits == i) continue;
        if (t - (int64_t)start[waits] > cap) /* too old: the next one that it did not keep back */
            for (uint32_t next = waits + 1; next < i; next++)
                if ((int64_t)start[next] - (int64_t)start[waits] > cap) waits = next;
        if (t - (int64_t)start[waits] > cap) continue;
        zi_emit(w, l, waits, m, j, t - (int64_t)start[waits]);
        waits = i;
    }
}

/* Whether no row of the slice is before `first`. */
ZJ_INLINE int zi_late(const zi_ask *q, int l, uint32_t a, uint32_t b) {
    return a == b || q->lanes[l].base + (int64_t)q->lanes[l].times[a] >= q->first;
}

/* Whether lane l is nothing but rows of a role. */
ZJ_INLINE int zi_only(const zi_ask *q, int l, int role) {
    return q->roles[l] == NULL && q->role[l] == role && q->lanes[l].mask == NULL;
}

/* Rows of one or two lanes without gathering them; false where that cannot be. */
ZJ_INLINE int zi_few(zi_work *w, const zj_heads *heads, const int *mine, int n) {
    const zi_ask *q = w->q;
    if (n > 2 || (n == 1 && q->strict)) return 0;
    const int l = mine[0], m = mine[n - 1];
    const uint32_t *o = q->lanes[l].offsets + heads->pos[l], *p = q->lanes[m].offsets + heads->pos[m];
    if (n == 1) {
        zi_single(w, l, o[0], o[1]);
        return 1;
    }
    const int plain = !q->held && zi_late(q, l, o[0], o[1]) && zi_late(q, m, p[0], p[1]);
    if (plain && zi_only(q, l, ZI_START) && zi_only(q, m, ZI_END)) zi_plain(w, l, o[0], o[1], m, p[0], p[1]);
    else if (plain && zi_only(q, l, ZI_END) && zi_only(q, m, ZI_START)) zi_plain(w, m, p[0], p[1], l, o[0], o[1]);
    else if (q->strict) return 0;
    else zi_double(w, l, o[0], o[1], m, p[0], p[1]);
    return 1;
}

/* Rows of many lanes that fall into stretches of time of one or two lanes, as partitions follow each other: one
 * stretch after the other. False, and nothing done, where they do not. later: [n] scratch. */
static int zi_stretches(zi_work *w, const zj_heads *heads, const int *mine, int n, int64_t *later) {
    const zj_lane *lanes = w->q->lanes;
    int64_t first = INT64_MAX;
    for (int i = n - 1; i >= 0; i--) { /* later[i]: the earliest row of lanes i and on */
        const zj_lane *lane = &lanes[mine[i]];
        const uint32_t *o = lane->offsets + heads->pos[mine[i]];
        if (o[0] == o[1]) return 0;
        const int64_t time = lane->base + (int64_t)lane->times[o[0]];
        first = time < first ? time : first;
        later[i] = first;
    }
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0, width; i < n; i += width) {
            int64_t last = INT64_MIN;
            for (width = 1; i + width <= n; width++) {
                const zj_lane *lane = &lanes[mine[i + width - 1]];
                const uint32_t end = lane->offsets[heads->pos[mine[i + width - 1]] + 1];
                const int64_t time = lane->base + (int64_t)lane->times[end - 1];
                last = time > last ? time : last;
                if (i + width == n || last < later[i + width]) break;
            }
            if (width > 2) return 0; /* in the first pass: nothing is done yet */
            if (pass == 0) continue;
            const int l = mine[i], m = mine[i + width - 1];
            const uint32_t *o = lanes[l].offsets + heads->pos[l], *p = lanes[m].offsets + heads->pos[m];
            if (width == 1) zi_single(w, l, o[0], o[1]);
            else zi_double(w, l, o[0], o[1], m, p[0], p[1]);
        }
    return 1;
}

/* Gathered rows; with `strict`, all ends of an instant before its starts. */
static void zi_gathered(zi_work *w, const zj_rows *rows) {
    for (size_t i = 0, j; i < rows->count; i = j) {
        const int64_t time = rows->row[i].time;
        j = i + 1;
        if (!w->q->strict) {
            zi_row(w, time, (int)rows->row[i].steps, (int)zj_row_lane(&rows->row[i]), rows->row[i].row);
            continue;
        }
        while (j < rows->count && rows->row[j].time == time) j++;
        for (int role = ZI_END; role >= ZI_START; role--)
            for (size_t k = i; k < j; k++)
                zi_row(w, time, (int)rows->row[k].steps & role, (int)zj_row_lane(&rows->row[k]), rows->row[k].row);
    }
}

static int zi_table(zi_work *w, size_t rows) {
    size_t size = 64;
    while (size < 2 * rows) size *= 2;
    if (size <= w->size) return ZJ_OK;
    free(w->table);
    w->table = (zi_open *)calloc(size, sizeof(zi_open));
    w->size = w->table ? size : 0;
    return w->table ? ZJ_OK : ZJ_NO_MEMORY;
}

ZJ_CLONES static int zi_run(const zi_ask *q, zj_guard *guard, zi_pairs *out) {
    zj_heads heads = {0};
    zj_rows rows = {0};
    zi_work w = {.q = q, .out = out};
    int64_t origin = 0;
    int status = zj_rows_origin(q->lanes, q->count, &origin);
    if (status != ZJ_OK) return status;
    zj_buckets *buckets = zj_buckets_of(q->lanes, q->count, q->edges, q->buckets);
    int *mine = (int *)malloc(((size_t)q->count + 1) * sizeof(int));
    int64_t *later = (int64_t *)malloc(((size_t)q->count + 1) * sizeof(int64_t));
    status = buckets && mine && later ? zj_rows_open(&rows, q->count) : ZJ_NO_MEMORY;
    if (status == ZJ_OK) status = zj_heads_open(&heads, q->lanes, q->count);
    w.bucket = buckets;
    while (status == ZJ_OK && (w.user = zj_heads_min(&heads)) != ZJ_END) {
        int n = 0, role = 0;
        size_t total = 0;
        for (int l = 0; l < q->count; l++) {
            if (heads.head[l] != w.user) continue;
            total += q->lanes[l].offsets[heads.pos[l] + 1] - q->lanes[l].offsets[heads.pos[l]];
            role |= q->roles[l] ? ZI_START | ZI_END : q->role[l];
            mine[n++] = l;
        }
        if (role == (ZI_START | ZI_END) && zj_allowed(guard, w.user)) {
            w.stamp++;
            w.one.open = 0;
            status = zi_reserve(out, total, q->most);
            if (status == ZJ_OK && q->held) status = zi_table(&w, total);
            const int done = status != ZJ_OK || zi_few(&w, &heads, mine, n) ||
                             (n > 2 && !q->strict && zi_stretches(&w, &heads, mine, n, later));
            if (!done) {
                rows.count = 0;
                rows.runs = 0;
                if (!zj_rows_reserve(&rows, total)) status = ZJ_NO_MEMORY;
                for (int i = 0; i < n && status == ZJ_OK; i++) {
                    const int l = mine[i];
                    const zj_lane *lane = &q->lanes[l];
                    const uint32_t a = lane->offsets[heads.pos[l]], b = lane->offsets[heads.pos[l] + 1];
                    rows.run[rows.runs++] = (uint32_t)rows.count;
                    for (uint32_t r = a; r < b; r++) {
                        const int steps = zi_role(q, l, r);
                        if (!steps) continue;
                        zj_row *row = &rows.row[rows.count++];
                        row->key = zj_row_key(lane, l, r, origin, 0);
                        row->time = lane->base + (int64_t)lane->times[r];
                        row->steps = (uint32_t)steps;
                        row->row = r;
                    }
                }
                rows.run[rows.runs] = (uint32_t)rows.count;
                if (status == ZJ_OK) {
                    zj_rows_order(&rows, 1);
                    zi_gathered(&w, &rows);
                }
            }
        }
        for (int i = 0; i < n; i++) zj_heads_next(&heads, q->lanes, mine[i]);
        if (status == ZJ_OK && zj_stop(guard, (uint32_t)(total & 0xFFFF) + 1)) status = ZJ_CANCELLED;
    }
    if (status == ZJ_OK && out->count > q->most) status = ZI_FULL;
    zj_heads_close(&heads);
    zj_rows_close(&rows);
    zj_buckets_free(buckets, q->count);
    free(w.table);
    free(mine);
    free(later);
    return status;
}

/* Numbers the (owner, label) pairs of rows that stand by owner, from 0 in the order met: number[i] of row i, first[n]
 * the first row of number n. Returns how many. last: [size] of 0xFFFFFFFF, scratch: [size]. O(n). */
static size_t zi_numbered(const uint32_t *owner, const uint32_t *label, size_t n, uint32_t size, uint32_t *last,
                          uint32_t *scratch, uint32_t *number, uint32_t *first) {
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t at = label[i];
        if (at >= size) return SIZE_MAX;
        if (last[at] != owner[i]) {
            last[at] = owner[i];
            scratch[at] = count;
            first[count++] = (uint32_t)i;
        }
        number[i] = scratch[at];
    }
    return count;
}

#endif
