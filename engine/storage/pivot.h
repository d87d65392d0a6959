/* Cells (row, property, value) -> one dense array a property, and the gathers of dense columns.
 *
 * Cells are stored by row, in the order rows came. They are emitted in the final order of rows, run by run: one
 * random read a row, sequential writes a property. O(cells).
 */
#ifndef ZUJI_PIVOT_H
#define ZUJI_PIVOT_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PIVOT_NONE 0xFFFFFFFFu

/* Rows ahead at which a row's cell bounds, and then its cells, are asked for: each is a cache and TLB miss. */
#define PIVOT_FAR 32
#define PIVOT_NEAR 16
#if defined(__GNUC__)
#define PIVOT_FETCH(address) __builtin_prefetch(address)
#else
#define PIVOT_FETCH(address) ((void)(address))
#endif

/* Cells of the rows of one run, in the run's order, by property: a counting sort by property.
 * Pass 1. counts: int64[props], zeroed. Returns nonzero when a bound or a property is out of range. */
static int pivot_count(const uint32_t *rows, int64_t n, const int64_t *cell_start, int64_t all_rows,
                       const uint16_t *prop, int64_t cells, int64_t props, int64_t *counts) {
    for (int64_t i = 0; i < n; i++)
        if (rows[i] >= all_rows) return 1;
    for (int64_t i = 0; i < n; i++) {
        if (i + PIVOT_FAR < n) {
            PIVOT_FETCH(&cell_start[rows[i + PIVOT_FAR]]);
            int64_t soon = cell_start[rows[i + PIVOT_NEAR]];
            PIVOT_FETCH(&prop[soon]);
        }
        int64_t at = cell_start[rows[i]], end = cell_start[rows[i] + 1];
        if (at < 0 || end < at || end > cells) return 1;
        for (; at < end; at++) {
            if (prop[at] >= props) return 1;
            counts[prop[at]]++;
        }
    }
    return 0;
}

/* Pass 2. cursor: start of each property's values, advanced. presence: start of each property's n bytes in present
 * (zeroed by the caller), -1 when every row has a value. REQUIRES: pivot_count returned 0 for the same rows. */
static void pivot_emit(const uint32_t *rows, int64_t n, const int64_t *cell_start, const uint16_t *prop,
                       const int64_t *value, int64_t *cursor, const int64_t *presence, int64_t *values,
                       uint8_t *present) {
    for (int64_t i = 0; i < n; i++) {
        if (i + PIVOT_FAR < n) {
            PIVOT_FETCH(&cell_start[rows[i + PIVOT_FAR]]);
            int64_t soon = cell_start[rows[i + PIVOT_NEAR]];
            PIVOT_FETCH(&prop[soon]);
            PIVOT_FETCH(&value[soon]);
            PIVOT_FETCH(&value[soon + 8]);
        }
        int64_t end = cell_start[rows[i] + 1];
        for (int64_t at = cell_start[rows[i]]; at < end; at++) {
            uint16_t p = prop[at];
            values[cursor[p]++] = value[at];
            if (presence[p] >= 0) present[presence[p] + i] = 1;
        }
    }
}

/* order: rows stably grouped by key; local: number of each row inside its group. starts has buckets+1 entries. */
#define PIVOT_GROUP(TYPE)                                                                                      \
    static void pivot_group_##TYPE(const TYPE *key, int64_t n, int64_t buckets, int64_t *starts,               \
                                   uint32_t *order, uint32_t *local) {                                         \
        memset(starts, 0, sizeof(int64_t) * (size_t)(buckets + 1));                                            \
        for (int64_t i = 0; i < n; i++) starts[key[i] + 1]++;                                                  \
        for (int64_t b = 0; b < buckets; b++) starts[b + 1] += starts[b];                                      \
        /* starts[b] is advanced while scattering and put back afterwards, so no second array is needed */     \
        for (int64_t i = 0; i < n; i++) {                                                                      \
            int64_t to = starts[key[i]]++;                                                                     \
            order[to] = (uint32_t)i;                                                                           \
        }                                                                                                      \
        for (int64_t b = buckets; b > 0; b--) starts[b] = starts[b - 1];                                       \
        starts[0] = 0;                                                                                         \
        if (local)                                                                                             \
            for (int64_t b = 0; b < buckets; b++)                                                              \
                for (int64_t i = starts[b]; i < starts[b + 1]; i++)                                            \
                    local[order[i]] = (uint32_t)(i - starts[b]);                                               \
    }
PIVOT_GROUP(uint16_t)
PIVOT_GROUP(uint32_t)

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
