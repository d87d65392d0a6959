/* Time to bucket: ascending edges, bucket b is [edges[b], edges[b + 1]).
 *
 * Per lane the edges become a table over the lane's own relative times: bin = time >> shift, and no
 * bin holds more than one edge, so a lookup is two loads and a compare and vectorises. Edges too
 * close together for a small table (a range that starts a few seconds before midnight and lasts a
 * year) fall back to a binary search. Both give -1 before the first edge and B from the last on.
 */
#ifndef ZUJI_BUCKETS_H
#define ZUJI_BUCKETS_H

#include "lanes.h"

#define ZJ_TABLE_BINS 8192u

typedef struct {
    const int64_t *edges;
    int32_t count;      /* B */
    int64_t base;       /* of the lane */
    uint32_t last;      /* times are clamped to this before the lookup */
    int shift;          /* -1: no table, search */
    int32_t *below;     /* [bins] bucket at the start of the bin */
    uint32_t *cut;      /* [bins] times > cut are one bucket further */
} zj_buckets;

ZJ_INLINE int32_t zj_bucket_search(const int64_t *edges, int32_t count, int64_t t) {
    int32_t low = 0, high = count + 1; /* number of edges <= t */
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (edges[middle] <= t) low = middle + 1;
        else high = middle;
    }
    return low - 1;
}

/* Bucket of a relative time, -1..B; only [0, B) is inside. */
ZJ_INLINE int32_t zj_bucket(const zj_buckets *k, uint32_t time) {
    if (k->shift < 0) return zj_bucket_search(k->edges, k->count, k->base + (int64_t)time);
    uint32_t t = time < k->last ? time : k->last;
    uint32_t bin = t >> k->shift;
    return k->below[bin] + (int32_t)(t > k->cut[bin]);
}

static int zj_buckets_open(zj_buckets *k, const int64_t *edges, int32_t count, int64_t base) {
    k->edges = edges;
    k->count = count;
    k->base = base;
    k->shift = -1;
    k->below = NULL;
    k->cut = NULL;
    int64_t end = edges[count] - base;
    k->last = end < 0 ? 0 : end > 0xFFFFFFFFll ? 0xFFFFFFFFu : (uint32_t)end;
    /* first and last edge inside the lane's span; edges at or before relative 0 need no bin */
    int32_t from = zj_bucket_search(edges, count, base) + 1;
    int32_t to = zj_bucket_search(edges, count, base + (int64_t)k->last) + 1;
    for (int shift = 31; shift >= 10; shift--) {
        if (((uint64_t)k->last >> shift) + 1 > ZJ_TABLE_BINS) break;
        int clash = 0;
        for (int32_t e = from; e + 1 < to && !clash; e++)
            clash = ((edges[e] - base) >> shift) == ((edges[e + 1] - base) >> shift);
        if (clash) continue;
        size_t bins = (size_t)(k->last >> shift) + 1;
        k->below = (int32_t *)malloc(bins * (sizeof(int32_t) + sizeof(uint32_t)));
        if (k->below == NULL) return ZJ_NO_MEMORY;
        k->cut = (uint32_t *)(k->below + bins);
        int32_t e = from;
        for (size_t bin = 0; bin < bins; bin++) {
            k->below[bin] = e - 1;
            k->cut[bin] = 0xFFFFFFFFu;
            if (e < to && (size_t)((edges[e] - base) >> shift) == bin)
                k->cut[bin] = (uint32_t)(edges[e++] - base) - 1u;
        }
        /* an edge at a bin's very start: cut = start - 1, every time of the bin is past it */
        k->shift = shift;
        return ZJ_OK;
    }
    return ZJ_OK;
}

static void zj_buckets_close(zj_buckets *k) { free(k->below); }

/* A table per lane. */
static zj_buckets *zj_buckets_of(const zj_lane *lanes, int count, const int64_t *edges, int32_t nb) {
    zj_buckets *all = (zj_buckets *)calloc(count ? (size_t)count : 1, sizeof(zj_buckets));
    if (all == NULL) return NULL;
    for (int i = 0; i < count; i++)
        if (zj_buckets_open(&all[i], edges, nb, lanes[i].base) != ZJ_OK) {
            while (i--) zj_buckets_close(&all[i]);
            free(all);
            return NULL;
        }
    return all;
}

static void zj_buckets_free(zj_buckets *all, int count) {
    for (int i = 0; all && i < count; i++) zj_buckets_close(&all[i]);
    free(all);
}

/* out[i] = bucket of times[i], -1 outside. O(n). */
ZJ_CLONES static void zj_bucketize(const uint32_t *times, uint32_t n, const zj_buckets *k, int32_t *out) {
    if (k->shift < 0) {
        for (uint32_t i = 0; i < n; i++) {
            int32_t b = zj_bucket(k, times[i]);
            out[i] = b < k->count ? b : -1;
        }
        return;
    }
    const int32_t *below = k->below;
    const uint32_t *cut = k->cut;
    const uint32_t last = k->last;
    const int shift = k->shift, count = k->count;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t t = times[i] < last ? times[i] : last;
        int32_t b = below[t >> shift] + (int32_t)(t > cut[t >> shift]);
        out[i] = b < count ? b : -1;
    }
}

#endif
