/* Cells (row, property, value) -> one dense array a property. Used by the memtable's flush and views.
 *
 * A chunk's cells are stored by row (CSR). The pivot is a counting sort by bucket = slice * props + property,
 * where a slice is one shard x partition; inside a bucket rows keep the order they came in, so the row
 * numbers of a column ascend. Two passes: count, then scatter to the caller's cursors. O(cells).
 */
#ifndef ZUJI_PIVOT_H
#define ZUJI_PIVOT_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PIVOT_NONE 0xFFFFFFFFu

/* Returns the number of cells whose property is out of range or whose bounds are wrong (0 = good). */
static int64_t pivot_count(const int64_t *cell_start, int64_t n, const uint16_t *prop, int64_t cells,
                           const uint16_t *slice, int64_t props, int64_t *counts) {
    int64_t at = n ? cell_start[0] : 0;
    if (at < 0) return 1;
    for (int64_t row = 0; row < n; row++) {
        int64_t end = cell_start[row + 1];
        if (end < at || end > cells) return 1;
        int64_t *of_slice = counts + (int64_t)slice[row] * props;
        for (; at < end; at++) {
            if (prop[at] >= props) return 1;
            of_slice[prop[at]]++;
        }
    }
    return 0;
}

/* REQUIRES: pivot_count returned 0 for the same cells; cursor holds the start of each bucket. */
static void pivot_scatter(const int64_t *cell_start, int64_t n, const uint16_t *prop, const int64_t *value,
                          const uint16_t *slice, const uint32_t *local, const int64_t *shift, int64_t props,
                          int64_t *cursor, uint32_t *rows_out, int64_t *values_out) {
    int64_t at = n ? cell_start[0] : 0;
    for (int64_t row = 0; row < n; row++) {
        int64_t end = cell_start[row + 1];
        int64_t *of_slice = cursor + (int64_t)slice[row] * props;
        uint32_t number = local[row];
        for (; at < end; at++) {
            int64_t to = of_slice[prop[at]]++;
            rows_out[to] = number;
            values_out[to] = value[at] + shift[prop[at]];
        }
    }
}

/* order: rows stably grouped by key; local: number of each row inside its group. starts has buckets+1 entries. */
static void pivot_group(const uint16_t *key, int64_t n, int64_t buckets, int64_t *starts, uint32_t *order,
                        uint32_t *local) {
    memset(starts, 0, sizeof(int64_t) * (size_t)(buckets + 1));
    for (int64_t i = 0; i < n; i++) starts[key[i] + 1]++;
    for (int64_t b = 0; b < buckets; b++) starts[b + 1] += starts[b];
    /* starts[b] is advanced while scattering and put back afterwards, so no second array is needed */
    for (int64_t i = 0; i < n; i++) {
        int64_t to = starts[key[i]]++;
        order[to] = (uint32_t)i;
    }
    for (int64_t b = buckets; b > 0; b--) starts[b] = starts[b - 1];
    starts[0] = 0;
    if (local)
        for (int64_t b = 0; b < buckets; b++)
            for (int64_t i = starts[b]; i < starts[b + 1]; i++) local[order[i]] = (uint32_t)(i - starts[b]);
}

#define PIVOT_GATHER(TYPE)                                                                                     \
    static int64_t pivot_gather_##TYPE(const uint32_t *position, const uint32_t *perm, int64_t n,              \
                                       const TYPE *from, TYPE *to, uint8_t *present) {                         \
        int64_t count = 0;                                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                      \
            uint32_t at = position[perm[i]];                                                                   \
            if (at == PIVOT_NONE) {                                                                            \
                present[i] = 0;                                                                                \
            } else {                                                                                           \
                present[i] = 1;                                                                                \
                to[count++] = from[at];                                                                        \
            }                                                                                                  \
        }                                                                                                      \
        return count;                                                                                          \
    }
PIVOT_GATHER(uint8_t)
PIVOT_GATHER(uint32_t)
PIVOT_GATHER(uint64_t)

#define PIVOT_EXPAND(TYPE)                                                                                     \
    static int64_t pivot_expand_##TYPE(const TYPE *from, int64_t count, const uint8_t *present, int64_t n,     \
                                       TYPE *to) {                                                             \
        int64_t at = 0;                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                      \
            uint8_t here = present[i] & 1;                                                                     \
            to[i] = here && at < count ? from[at] : 0;                                                         \
            at += here;                                                                                        \
        }                                                                                                      \
        return at;                                                                                             \
    }
PIVOT_EXPAND(uint8_t)
PIVOT_EXPAND(uint32_t)
PIVOT_EXPAND(uint64_t)

#endif
