/* The rows of one user from several lanes, in the order (time, rank, tie), with what they match.
 *
 * Every lane's slice ascends already, so the rows are merged by insertion for short users and by
 * a bottom-up merge for long ones. A key is one 128-bit integer:
 *   time (44) | low (6) | rank (16) | tie (16) | lane (16): 98 bits, then 30 unused.
 * `low` is the lowest matching step for ties "any" and 0 otherwise.
 */
#ifndef ZUJI_GATHER_H
#define ZUJI_GATHER_H

#include "lanes.h"

typedef unsigned __int128 zj_key;

#define ZJ_NO_STEP 63u
#define ZJ_TIME_SHIFT 84
#define ZJ_LOW_SHIFT 78
#define ZJ_MAX_SPAN ((1ll << 44) - (1ll << 33)) /* between the bases of the lanes of one call */

typedef struct {
    zj_key key;
    int64_t time;   /* ms UTC */
    uint32_t steps; /* bit s: matches step s */
    uint32_t row;   /* in its lane */
} zj_row;

typedef struct {
    zj_row *row, *spare;
    uint32_t *run; /* first row of each lane's slice, and n at the end */
    size_t count, room;
    int runs, run_room;
} zj_rows;

ZJ_INLINE uint32_t zj_row_lane(const zj_row *r) { return (uint32_t)(r->key >> 30) & 0xFFFFu; }

ZJ_INLINE zj_key zj_row_key(const zj_lane *lane, int l, uint32_t r, int64_t origin, uint32_t low) {
    uint64_t t = (uint64_t)(lane->base + (int64_t)lane->times[r] - origin);
    uint64_t rest = ((uint64_t)lane->rank << 32) | ((uint64_t)zj_tie(lane, r) << 16) | (uint64_t)(uint16_t)l;
    return ((zj_key)t << ZJ_TIME_SHIFT) | ((zj_key)low << ZJ_LOW_SHIFT) | ((zj_key)rest << 30);
}

static int zj_rows_open(zj_rows *w, int lanes) {
    memset(w, 0, sizeof *w);
    w->room = 256; /* grows by doubling */
    w->run_room = lanes + 2;
    w->row = (zj_row *)malloc(w->room * sizeof(zj_row));
    w->spare = (zj_row *)malloc(w->room * sizeof(zj_row));
    w->run = (uint32_t *)malloc((size_t)w->run_room * sizeof(uint32_t));
    return w->row && w->spare && w->run ? ZJ_OK : ZJ_NO_MEMORY;
}

static void zj_rows_close(zj_rows *w) {
    free(w->row);
    free(w->spare);
    free(w->run);
}

/* Least base of the lanes; rejects lanes too far apart for the time field. */
static int zj_rows_origin(const zj_lane *lanes, int count, int64_t *origin) {
    int64_t low = 0, high = 0;
    for (int l = 0; l < count; l++) {
        low = l == 0 || lanes[l].base < low ? lanes[l].base : low;
        high = l == 0 || lanes[l].base > high ? lanes[l].base : high;
    }
    *origin = low;
    return high - low <= ZJ_MAX_SPAN ? ZJ_OK : ZJ_REJECTED;
}

/* Makes room for `more` rows; false when memory is short. */
ZJ_INLINE int zj_rows_reserve(zj_rows *w, size_t more) {
    if (w->count + more <= w->room) return 1;
    size_t room = w->room;
    while (room < w->count + more) room *= 2;
    zj_row *row = (zj_row *)realloc(w->row, room * sizeof(zj_row));
    if (row) w->row = row;
    zj_row *spare = (zj_row *)realloc(w->spare, room * sizeof(zj_row));
    if (spare) w->spare = spare;
    if (!row || !spare) return 0;
    w->room = room;
    return 1;
}

static void zj_rows_merge(zj_rows *w) {
    while (w->runs > 1) {
        int made = 0;
        for (int i = 0; i < w->runs; i += 2) {
            uint32_t a = w->run[i], b = w->run[i + 1], c = i + 1 < w->runs ? w->run[i + 2] : b;
            uint32_t m = b, at = a;
            w->run[made++] = a;
            while (a < b && m < c) {
                int right = w->row[m].key < w->row[a].key;
                w->spare[at++] = w->row[right ? m : a];
                a += !right;
                m += right;
            }
            if (a < b) memcpy(&w->spare[at], &w->row[a], (b - a) * sizeof(zj_row));
            if (m < c) memcpy(&w->spare[at], &w->row[m], (c - m) * sizeof(zj_row));
        }
        w->run[made] = (uint32_t)w->count;
        w->runs = made;
        zj_row *swap = w->row;
        w->row = w->spare;
        w->spare = swap;
    }
}

static int zj_row_compare(const void *a, const void *b) {
    zj_key x = ((const zj_row *)a)->key, y = ((const zj_row *)b)->key;
    return (x > y) - (x < y);
}

/* Orders the rows. REQUIRES: run[0..runs] mark slices; sliced: each slice ascends already (not so for
 * ties "any", where rows of one instant change places). O(n log n); short users by insertion. */
ZJ_INLINE void zj_rows_order(zj_rows *w, int sliced) {
    if (w->count <= 32) {
        for (size_t i = 1; i < w->count; i++) {
            if (w->row[i - 1].key <= w->row[i].key) continue;
            zj_row x = w->row[i];
            size_t j = i;
            for (; j > 0 && x.key < w->row[j - 1].key; j--) w->row[j] = w->row[j - 1];
            w->row[j] = x;
        }
    } else if (sliced) {
        zj_rows_merge(w);
    } else {
        qsort(w->row, w->count, sizeof(zj_row), zj_row_compare);
    }
}

#endif
