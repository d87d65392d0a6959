/* Buckets of times that come in no order: a table of some thousand bins says in which bucket a bin begins.
 *
 * Buckets are [edges[b], edges[b + 1]), ascending. A time's bucket is that of its bin or, where edges lie in
 * the bin, one of the next.
 */
#ifndef ZUJI_BINS_H
#define ZUJI_BINS_H

#include "lanes.h"

#define ZJ_BINS 4096

typedef struct {
    const int64_t *edges; /* [count + 1] */
    int32_t count;
    int shift;
    int32_t below[ZJ_BINS + 1]; /* bucket in which each bin begins */
} zj_bins;

/* REQUIRES: count > 0, and edges are ascending and less than 2^62 apart. */
static void zj_bins_open(zj_bins *t, const int64_t *edges, int32_t count) {
    const uint64_t span = (uint64_t)(edges[count] - edges[0]);
    int32_t b = 0;
    t->edges = edges;
    t->count = count;
    t->shift = 0;
    while (span >> t->shift > ZJ_BINS) t->shift++;
    for (uint64_t bin = 0; bin <= span >> t->shift && bin <= ZJ_BINS; bin++) {
        while (b + 1 < count && (uint64_t)(edges[b + 1] - edges[0]) <= bin << t->shift) b++;
        t->below[bin] = b;
    }
}

/* REQUIRES: edges[0] <= time < edges[count]. */
ZJ_INLINE int32_t zj_bin(const zj_bins *t, int64_t time) {
    int32_t b = t->below[(uint64_t)(time - t->edges[0]) >> t->shift];
    while (time >= t->edges[b + 1]) b++;
    return b;
}

#endif
