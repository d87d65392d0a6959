/* One value a user and period: rows, distinct spans of time, or the sum, mean, least or greatest of values.
 *
 * Time is cut into spans, each of which lies in one period: local days of a week, hours of a day, or the
 * periods themselves. User by user over the heads of the lanes; a user's numbers stand in a slot a period,
 * told by a stamp from those of the user before, so nothing is cleared.
 * Records come by (user, period). Memory: 64 bytes a period, 4 a span, and the records.
 * O(rows + users * lanes + records), times log of a user's periods where sources overlap in time.
 */
#ifndef ZUJI_DISTRIBUTION_H
#define ZUJI_DISTRIBUTION_H

#include <math.h>

#include "buckets.h"

enum { ZD_ROWS = 0, ZD_SPANS = 1, ZD_SUM = 2, ZD_AVG = 3, ZD_MIN = 4, ZD_MAX = 5 };
enum { ZD_NOWHERE = 0, ZD_FIRST = 1, ZD_LAST = 2 };
enum { ZD_FULL = 16 };

typedef struct {
    const zj_lane *lanes;
    int count;
    const int64_t *edges;          /* [spans + 1] */
    const int32_t *period;         /* [spans] */
    int32_t spans, periods;
    const double *const *value;    /* per lane [n] or NULL: the lane has no values */
    const uint8_t *const *present; /* per lane [n] or NULL */
    int op, place;
    size_t most;                   /* records that there is room for */
} zd_ask;

typedef struct {
    uint32_t stamp, count;
    uint32_t row;    /* where the user is read: the first or last row of the period */
    int32_t lane;
    int64_t time;
    uint64_t order;
    double sum, lost, least, greatest;
} zd_slot;

typedef struct {
    uint32_t *user, *row;
    int32_t *period, *lane;
    double *value;
    size_t count, room;
    int places;
} zd_records;

static void zd_records_close(zd_records *out) {
    free(out->user);
    free(out->row);
    free(out->period);
    free(out->lane);
    free(out->value);
}

ZJ_INLINE int zd_grow(void **array, size_t size) {
    void *more = realloc(*array, size);
    if (more) *array = more;
    return more != NULL;
}

/* Room for `more` records. */
static int zd_reserve(zd_records *out, size_t more, size_t most) {
    if (out->count + more > most) return ZD_FULL;
    if (out->count + more <= out->room) return ZJ_OK;
    size_t room = out->room ? out->room * 2 : 4096;
    while (room < out->count + more) room *= 2;
    int ok = zd_grow((void **)&out->user, room * 4) && zd_grow((void **)&out->period, room * 4) &&
             zd_grow((void **)&out->value, room * 8);
    if (ok && out->places)
        ok = zd_grow((void **)&out->row, room * 4) && zd_grow((void **)&out->lane, room * 4);
    if (!ok) return ZJ_NO_MEMORY;
    out->room = room;
    return ZJ_OK;
}

ZJ_INLINE void zd_add(zd_slot *s, double x) {
    const double sum = s->sum + x;
    s->lost += fabs(s->sum) >= fabs(x) ? (s->sum - sum) + x : (x - sum) + s->sum;
    s->sum = sum;
    s->least = x < s->least ? x : s->least;
    s->greatest = x > s->greatest ? x : s->greatest;
}

/* Keeps the row where the user is read: the first or last one in the order (time, rank, tie, lane). */
ZJ_INLINE void zd_place(const zd_ask *q, zd_slot *s, int fresh, int l, uint32_t r) {
    const zj_lane *lane = &q->lanes[l];
    const int64_t time = lane->base + (int64_t)lane->times[r];
    const uint64_t order = (uint64_t)lane->rank << 32 | (uint64_t)zj_tie(lane, r) << 16 | (uint64_t)(uint16_t)l;
    const int later = time > s->time || (time == s->time && order >= s->order);
    if (!fresh && later != (q->place == ZD_LAST)) return;
    s->time = time;
    s->order = order;
    s->lane = l;
    s->row = r;
}

ZJ_INLINE double zd_value(const zd_ask *q, const zd_slot *s) {
    switch (q->op) {
    case ZD_SUM: return s->sum + s->lost;
    case ZD_AVG: return (s->sum + s->lost) / s->count;
    case ZD_MIN: return s->least;
    case ZD_MAX: return s->greatest;
    default: return s->count;
    }
}

ZJ_CLONES static int zd_run(const zd_ask *q, zj_guard *guard, zd_records *out) {
    zj_heads heads = {0};
    zj_buckets *buckets = zj_buckets_of(q->lanes, q->count, q->edges, q->spans);
    zd_slot *slot = (zd_slot *)calloc((size_t)q->periods, sizeof(zd_slot));
    int32_t *met = (int32_t *)malloc((size_t)q->periods * sizeof(int32_t));
    uint32_t *seen = (uint32_t *)calloc((size_t)q->spans, sizeof(uint32_t));
    int status = buckets && slot && met && seen ? zj_heads_open(&heads, q->lanes, q->count) : ZJ_NO_MEMORY;
    uint32_t user, stamp = 0;
    while (status == ZJ_OK && (user = zj_heads_min(&heads)) != ZJ_END) {
        const int counts = zj_allowed(guard, user);
        uint32_t work = 1;
        int32_t n = 0;
        stamp++;
        for (int l = 0; l < q->count; l++) {
            if (heads.head[l] != user) continue;
            const zj_lane *lane = &q->lanes[l];
            const uint32_t a = lane->offsets[heads.pos[l]], b = lane->offsets[heads.pos[l] + 1];
            const double *value = q->op >= ZD_SUM ? q->value[l] : NULL;
            const uint8_t *present = q->op >= ZD_SUM ? q->present[l] : NULL;
            zj_heads_next(&heads, q->lanes, l);
            work += b - a;
            if (!counts || (q->op >= ZD_SUM && value == NULL)) continue;
            for (uint32_t r = a; r < b; r++) {
                const int32_t span = zj_bucket(&buckets[l], lane->times[r]);
                if (span < 0 || span >= q->spans || !zj_passes(lane, r) || (present && !present[r])) continue;
                const int32_t p = q->period[span];
                zd_slot *s = &slot[p];
                const int fresh = s->stamp != stamp;
                if (fresh) {
                    s->stamp = stamp;
                    s->count = 0;
                    s->sum = s->lost = 0.0;
                    s->least = INFINITY;
                    s->greatest = -INFINITY;
                    met[n++] = p;
                }
                s->count += q->op != ZD_SPANS || seen[span] != stamp;
                seen[span] = stamp;
                if (value) zd_add(s, value[r]);
                if (q->place) zd_place(q, s, fresh, l, r);
            }
        }
        if (n) status = zd_reserve(out, (size_t)n, q->most);
        for (int32_t i = 1; i < n; i++) { /* nearly ascending: out of order only where sources overlap */
            const int32_t p = met[i];
            int32_t j = i;
            for (; j > 0 && met[j - 1] > p; j--) met[j] = met[j - 1];
            met[j] = p;
        }
        for (int32_t i = 0; i < n && status == ZJ_OK; i++) {
            const zd_slot *s = &slot[met[i]];
            const size_t at = out->count++;
            out->user[at] = user;
            out->period[at] = met[i];
            out->value[at] = zd_value(q, s);
            if (q->place) {
                out->lane[at] = s->lane;
                out->row[at] = s->row;
            }
        }
        if (status == ZJ_OK && zj_stop(guard, work)) status = ZJ_CANCELLED;
    }
    zj_heads_close(&heads);
    zj_buckets_free(buckets, q->count);
    free(slot);
    free(met);
    free(seen);
    return status;
}

#endif
