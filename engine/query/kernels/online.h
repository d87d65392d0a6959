/* Users online at once, without sorting all starts and ends.
 *
 * An interval is [start, leave), ms, cut to the range. The range is cut into slots of a power of two of ms;
 * how many start and leave is counted slot by slot, so the number online when a slot begins is known. In a
 * slot it never gets above that and the slot's starts, and what it is when a slot ends is reached: so few
 * slots can hold the peak of their bucket. Only points of those are gathered, to be sorted and swept. A slot
 * with an edge of a bucket is always among them.
 * O(intervals + slots + buckets), and sorting what is gathered: all points when there are very many buckets.
 */
#ifndef ZUJI_ONLINE_H
#define ZUJI_ONLINE_H

#include "bins.h"
#include "sessions.h"

#define ZO_SLOTS 262144
#define ZO_CHUNK 16380

/* Points of one age, which is 2^32 ms long, since it began: starts, or leaves. */
typedef struct zo_chunk {
    struct zo_chunk *before;
    size_t n;
    uint32_t point[ZO_CHUNK];
} zo_chunk;

typedef struct {
    int64_t start, leave;
} zo_interval;

typedef struct {
    int64_t from_ms, to_ms, tail;
    int shift; /* of a slot */
    size_t slots;
    int32_t *starts, *leaves; /* [slots]; who leaves at the end of the range is not counted */
    zj_bins bins;
    int64_t *came, *moments; /* [buckets] starts less leaves; their ms since the bucket began */
    zo_chunk **last; /* [ages, 2] */
    size_t ages, bytes, limit;
    zo_interval open; /* of the record at hand; a user is online once, so it ends where the next one starts */
    uint32_t user;
    int pending;
} zo_online;

static void zo_close(zo_online *o) {
    for (size_t i = 0; o->last && i < 2 * o->ages; i++)
        while (o->last[i]) {
            zo_chunk *before = o->last[i]->before;
            free(o->last[i]);
            o->last[i] = before;
        }
    free(o->last);
    free(o->starts);
    free(o->leaves);
    free(o->came);
    free(o->moments);
    memset(o, 0, sizeof *o);
}

/* edges [buckets + 1] stay the caller's. */
static int zo_open(zo_online *o, const int64_t *edges, int32_t buckets, int64_t tail, size_t limit) {
    memset(o, 0, sizeof *o);
    o->from_ms = edges[0];
    o->to_ms = edges[buckets];
    o->tail = tail;
    o->limit = limit;
    while ((uint64_t)(o->to_ms - o->from_ms) >> o->shift >= ZO_SLOTS) o->shift++;
    o->slots = (size_t)((uint64_t)(o->to_ms - o->from_ms) >> o->shift) + 1;
    zj_bins_open(&o->bins, edges, buckets);
    o->starts = (int32_t *)calloc(o->slots, sizeof *o->starts);
    o->leaves = (int32_t *)calloc(o->slots, sizeof *o->leaves);
    o->came = (int64_t *)calloc((size_t)buckets, sizeof *o->came);
    o->moments = (int64_t *)calloc((size_t)buckets, sizeof *o->moments);
    o->ages = (size_t)((uint64_t)(o->to_ms - o->from_ms) >> 32) + 1;
    o->last = (zo_chunk **)calloc(2 * o->ages, sizeof *o->last);
    return o->starts && o->leaves && o->came && o->moments && o->last ? ZJ_OK : ZJ_NO_MEMORY;
}

static int zo_grow(zo_online *o, zo_chunk **last) {
    if (o->bytes + sizeof(zo_chunk) > o->limit) return ZJ_NO_MEMORY;
    zo_chunk *chunk = (zo_chunk *)malloc(sizeof *chunk);
    if (chunk == NULL) return ZJ_NO_MEMORY;
    chunk->before = *last;
    chunk->n = 0;
    *last = chunk;
    o->bytes += sizeof *chunk;
    return ZJ_OK;
}

ZJ_INLINE size_t zo_slot(const zo_online *o, int64_t time) { return (size_t)((uint64_t)(time - o->from_ms) >> o->shift); }

/* Notes a point: kind 0 of a start, 1 of a leave. */
ZJ_INLINE int zo_note(zo_online *o, int64_t time, int kind) {
    const uint64_t since = (uint64_t)(time - o->from_ms);
    zo_chunk **last = &o->last[2 * (since >> 32) + (size_t)kind];
    if ((*last == NULL || (*last)->n == ZO_CHUNK) && zo_grow(o, last) != ZJ_OK) return ZJ_NO_MEMORY;
    (*last)->point[(*last)->n++] = (uint32_t)since;
    return ZJ_OK;
}

/* The interval that was open. */
ZJ_INLINE int zo_end(zo_online *o) {
    const int64_t start = o->open.start > o->from_ms ? o->open.start : o->from_ms;
    const int64_t leave = o->open.leave < o->to_ms ? o->open.leave : o->to_ms;
    if (!o->pending || leave <= start) return ZJ_OK;
    if (zo_note(o, start, 0) != ZJ_OK) return ZJ_NO_MEMORY;
    const int32_t b = zj_bin(&o->bins, start);
    o->starts[zo_slot(o, start)]++;
    o->came[b]++;
    o->moments[b] += start - o->bins.edges[b];
    if (leave == o->to_ms) return ZJ_OK;
    if (zo_note(o, leave, 1) != ZJ_OK) return ZJ_NO_MEMORY;
    const int32_t c = leave < o->bins.edges[b + 1] ? b : zj_bin(&o->bins, leave);
    o->leaves[zo_slot(o, leave)]++;
    o->came[c]--;
    o->moments[c] -= leave - o->bins.edges[c];
    return ZJ_OK;
}

/* Records of whole users, by user and time (zs_sink). */
static int zo_add(void *to, const zs_record *record, size_t n) {
    zo_online *o = (zo_online *)to;
    for (size_t i = 0; i < n; i++) {
        const zs_record *r = &record[i];
        if (o->pending && o->user == r->user && o->open.leave > r->start) o->open.leave = r->start;
        if (zo_end(o) != ZJ_OK) return ZJ_NO_MEMORY;
        o->open = (zo_interval){r->start, r->end + o->tail + 1};
        o->user = r->user;
        o->pending = 1;
    }
    return ZJ_OK;
}

/* After the last record. */
static int zo_finish(zo_online *o) {
    const int status = zo_end(o);
    o->pending = 0;
    return status;
}

/* online [slots + 1]: users when each slot begins, from the counts of all shards (starts, leaves [slots]);
 * wanted [slots]: slots whose points are needed; returns how many points these have. */
static size_t zo_choose(const zo_online *o, const int64_t *starts, const int64_t *leaves, int64_t *online, uint8_t *wanted) {
    const int64_t *edges = o->bins.edges;
    const int32_t count = o->bins.count;
    size_t points = 0;
    int64_t *reached = (int64_t *)calloc((size_t)count, sizeof *reached); /* in each bucket, surely */
    if (reached == NULL) return SIZE_MAX;
    int32_t b = 0;
    online[0] = 0;
    for (size_t k = 0; k < o->slots; k++) {
        const int64_t end = o->from_ms + (int64_t)((uint64_t)(k + 1) << o->shift);
        online[k + 1] = online[k] + starts[k] - leaves[k];
        while (b + 1 < count && edges[b + 1] < end) b++;
        if (online[k + 1] > reached[b]) reached[b] = online[k + 1];
    }
    int32_t e = 0; /* next edge */
    b = 0;
    for (size_t k = 0; k < o->slots; k++) {
        const int64_t end = o->from_ms + (int64_t)((uint64_t)(k + 1) << o->shift);
        const int edge = e < count && edges[e] < end;
        while (e < count && edges[e] < end) e++;
        b = e - 1;
        wanted[k] = (uint8_t)(edge || (starts[k] && online[k] + starts[k] >= reached[b]));
        if (wanted[k]) points += (size_t)(starts[k] + leaves[k]);
    }
    free(reached);
    return points;
}

/* The points in wanted slots, (time - from_ms) * 2, one more for a start: leaves of an instant come first.
 * REQUIRES: room for all of them. Returns how many. */
static size_t zo_gather(const zo_online *o, const uint8_t *wanted, uint64_t *point) {
    size_t n = 0;
    for (size_t i = 0; i < 2 * o->ages; i++)
        for (const zo_chunk *c = o->last[i]; c; c = c->before)
            for (size_t j = 0; j < c->n; j++) {
                const uint64_t since = (uint64_t)(i / 2) << 32 | c->point[j];
                if (wanted[since >> o->shift]) point[n++] = since * 2 + (i % 2 == 0);
            }
    return n;
}

/* peak, at [buckets]: the most that were online at once, and the first instant when they were; -1: nobody
 * was. point [n]: as gathered, ascending. */
static void zo_sweep(const zo_online *o, const int64_t *online, const uint8_t *wanted, const uint64_t *point, size_t n,
                     int64_t *peak, int64_t *at) {
    const int64_t *edges = o->bins.edges;
    const int32_t count = o->bins.count;
    int32_t b = -1;
    size_t p = 0;
    for (size_t k = 0; k < o->slots; k++) {
        const int64_t end = o->from_ms + (int64_t)((uint64_t)(k + 1) << o->shift);
        while (b + 1 < count && edges[b + 1] < end && !wanted[k]) b++; /* never: slots of edges are wanted */
        if (!wanted[k]) continue;
        int64_t now = online[k];
        for (;;) {
            const int64_t next = b + 1 < count && edges[b + 1] < end ? edges[b + 1] : end;
            for (; p < n && o->from_ms + (int64_t)(point[p] >> 1) < next; p++) {
                now += (point[p] & 1) ? 1 : -1;
                if (now > peak[b]) peak[b] = now, at[b] = o->from_ms + (int64_t)(point[p] >> 1);
            }
            if (next == end) break;
            b++; /* what the bucket begins with */
            for (; p < n && o->from_ms + (int64_t)(point[p] >> 1) == next; p++) now += (point[p] & 1) ? 1 : -1;
            peak[b] = now;
            at[b] = now > 0 ? next : -1;
        }
    }
}

#endif
