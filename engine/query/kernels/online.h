/* Users online at once: a sweep over the starts and ends of intervals.
 *
 * Intervals are closed, [start, end] in ms, and cut to the range; both lists ascend. The number online
 * only grows at a start, so the most of a bucket is found at its beginning or at a start in it.
 * O(intervals + buckets).
 */
#ifndef ZUJI_ONLINE_H
#define ZUJI_ONLINE_H

#include "lanes.h"

/* peak, at [buckets]: the most that were online at once, and the first instant when they were; -1: nobody
 * was. edges [buckets + 1] ascend. */
static int zo_peaks(const int64_t *start, const int64_t *end, size_t n, const int64_t *edges, size_t buckets,
                    int64_t *peak, int64_t *at, zj_guard *guard) {
    size_t s = 0, e = 0;
    for (size_t b = 0; b < buckets; b++) {
        if (zj_stop(guard, 16)) return ZJ_CANCELLED;
        while (s < n && start[s] <= edges[b]) s++;
        while (e < n && end[e] < edges[b]) e++;
        int64_t most = (int64_t)s - (int64_t)e, when = most > 0 ? edges[b] : -1;
        while (s < n && start[s] < edges[b + 1]) {
            const int64_t now = start[s];
            while (s < n && start[s] == now) s++;
            while (e < n && end[e] < now) e++;
            const int64_t online = (int64_t)s - (int64_t)e;
            if (online > most) most = online, when = now;
            if ((s & 4095) == 0 && zj_stop(guard, 4096)) return ZJ_CANCELLED;
        }
        peak[b] = most;
        at[b] = when;
    }
    return ZJ_OK;
}

#endif
