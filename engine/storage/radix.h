/* Stable radix sort of row numbers by packed 64-bit keys.
 *
 * A row's key is packed from (ordinal, time, low), each reduced by its minimum to the bits it needs.
 * Passes over the top bits deal the rows into buckets that fit the L2 cache (again where one does
 * not: a few users may have most of the rows); each bucket is then sorted by least significant digits
 * of 8 bits, leaving out digits in which its keys agree.
 * Where the three need more than 64 bits, the rows are first sorted by low alone, which is the same
 * by stability. O(n x digits); scratch 20 bytes a row.
 */
#ifndef ZUJI_RADIX_H
#define ZUJI_RADIX_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ZJ_TOP_BITS 11
#define ZJ_BUCKET_ROWS 1024   /* aimed at by the first pass */
#define ZJ_INSERTION_ROWS 24
#define ZJ_CACHED_ROWS 32768  /* of 24 bytes, in and out: what the L2 cache holds */
#define ZJ_DIGIT_BITS 8

typedef struct {
    uint64_t *keys, *keys2;
    uint32_t *rows2;
} zj_radix;

static inline void zj_radix_free(zj_radix *r) {
    free(r->keys);
    free(r->keys2);
    free(r->rows2);
}

static inline int zj_radix_init(zj_radix *r, size_t n) {
    r->keys = (uint64_t *)malloc(n * 8 + 8);
    r->keys2 = (uint64_t *)malloc(n * 8 + 8);
    r->rows2 = (uint32_t *)malloc(n * 4 + 4);
    return r->keys && r->keys2 && r->rows2 ? 0 : -1;
}

static inline void zj_range_u32(const uint32_t *v, size_t n, uint32_t *low, uint32_t *high) {
    uint32_t a = UINT32_MAX, b = 0;
    for (size_t i = 0; i < n; i++) {
        a = v[i] < a ? v[i] : a;
        b = v[i] > b ? v[i] : b;
    }
    *low = a;
    *high = b;
}

static inline int zj_bits(uint32_t range) { return range ? 32 - __builtin_clz(range) : 0; }

static inline void zj_insertion_sort(uint64_t *keys, uint32_t *rows, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const uint64_t k = keys[i];
        const uint32_t row = rows[i];
        size_t j = i;
        for (; j > 0 && keys[j - 1] > k; j--) {
            keys[j] = keys[j - 1];
            rows[j] = rows[j - 1];
        }
        keys[j] = k;
        rows[j] = row;
    }
}

/* Sorts (keys, rows) by the low `bits` of the keys, using the spare arrays. Returns 0 when the result
 * stands in (keys, rows), 1 when it stands in (keys2, rows2). REQUIRES: n >= 1. */
static inline int zj_lsd_sort(uint64_t *keys, uint32_t *rows, uint64_t *keys2, uint32_t *rows2,
                              size_t n, int bits) {
    const int digits = (bits + ZJ_DIGIT_BITS - 1) / ZJ_DIGIT_BITS;
    uint32_t counts[64 / ZJ_DIGIT_BITS][1 << ZJ_DIGIT_BITS];
    int swapped = 0;
    memset(counts, 0, sizeof counts[0] * (size_t)digits);
    for (size_t i = 0; i < n; i++) {
        uint64_t k = keys[i];
        for (int d = 0; d < digits; d++, k >>= ZJ_DIGIT_BITS) counts[d][(uint8_t)k]++;
    }
    for (int d = 0; d < digits; d++) {
        uint32_t *at = counts[d];
        const int shift = d * ZJ_DIGIT_BITS;
        uint32_t sum = 0;
        if (at[(uint8_t)(keys[0] >> shift)] == n) continue;
        for (size_t b = 0; b < 1 << ZJ_DIGIT_BITS; b++) {
            const uint32_t c = at[b];
            at[b] = sum;
            sum += c;
        }
        for (size_t i = 0; i < n; i++) {
            const uint64_t k = keys[i];
            const uint32_t to = at[(uint8_t)(k >> shift)]++;
            keys2[to] = k;
            rows2[to] = rows[i];
        }
        uint64_t *k = keys;
        keys = keys2;
        keys2 = k;
        uint32_t *t = rows;
        rows = rows2;
        rows2 = t;
        swapped ^= 1;
    }
    return swapped;
}

/* Sorts (keys, rows) by the low `bits` of the keys; the rows end in `rows2` when `second`, else in
 * `rows`. All four arrays are overwritten. Recursion takes at least one bit a level: depth <= 64, and
 * each level cuts n below it unless all keys agree in those bits. */
static void zj_msd_sort(uint64_t *keys, uint32_t *rows, uint64_t *keys2, uint32_t *rows2, size_t n,
                        int bits, int second) {
    uint32_t starts[(1u << ZJ_TOP_BITS) + 1], at[1u << ZJ_TOP_BITS];
    int top = 0;
    if (n <= ZJ_CACHED_ROWS || bits == 0) {
        int moved = 0;
        if (n <= ZJ_INSERTION_ROWS) zj_insertion_sort(keys, rows, n);
        else if (bits > 0) moved = zj_lsd_sort(keys, rows, keys2, rows2, n, bits);
        if (moved && !second) memcpy(rows, rows2, n * sizeof(uint32_t));
        if (!moved && second) memcpy(rows2, rows, n * sizeof(uint32_t));
        return;
    }
    while (top < ZJ_TOP_BITS && top < bits && (n >> top) > ZJ_BUCKET_ROWS) top++;
    const int low = bits - top;
    const uint64_t mask = ((uint64_t)1 << low) - 1;
    const size_t buckets = (size_t)1 << top;
    memset(starts, 0, sizeof(uint32_t) * (buckets + 1));
    for (size_t i = 0; i < n; i++) starts[(keys[i] >> low) + 1]++;
    for (size_t b = 0; b < buckets; b++) {
        starts[b + 1] += starts[b];
        at[b] = starts[b];
    }
    for (size_t i = 0; i < n; i++) {
        const uint64_t k = keys[i];
        const uint32_t to = at[k >> low]++;
        keys2[to] = k & mask;
        rows2[to] = rows[i];
    }
    for (size_t b = 0; b < buckets; b++) {
        const size_t start = starts[b], m = starts[b + 1] - start;
        if (m > 0)
            zj_msd_sort(keys2 + start, rows2 + start, keys + start, rows + start, m, low, !second);
    }
}

/* Sorts rows by r->keys (the key of rows[i] is keys[i]), of which `bits` bits are used. */
static inline void zj_radix_sort(zj_radix *r, uint32_t *rows, size_t n, int bits) {
    zj_msd_sort(r->keys, rows, r->keys2, r->rows2, n, bits, 0);
}

/* perm_time: rows by (ordinal, time, low, row). perm_event: rows by (event, then as perm_time).
 * low may be NULL. 0, or -1 when memory ran out. REQUIRES: n < 2^32. */
static inline int zj_order_rows(const uint32_t *ordinal, const uint32_t *time,
                                const uint16_t *event, const uint32_t *low, size_t n,
                                uint32_t *perm_time, uint32_t *perm_event) {
    zj_radix r;
    uint32_t o0, o1, t0, t1, l0 = 0, l1 = 0, sum = 0;
    uint16_t events = 0;
    uint32_t *starts;
    if (n == 0) return 0;
    for (size_t i = 0; i < n; i++) events = event[i] > events ? event[i] : events;
    starts = (uint32_t *)calloc((size_t)events + 1, sizeof(uint32_t));
    if (zj_radix_init(&r, n) != 0 || !starts) {
        zj_radix_free(&r);
        free(starts);
        return -1;
    }
    zj_range_u32(ordinal, n, &o0, &o1);
    zj_range_u32(time, n, &t0, &t1);
    if (low) zj_range_u32(low, n, &l0, &l1);
    const int ob = zj_bits(o1 - o0), tb = zj_bits(t1 - t0);
    int lb = zj_bits(l1 - l0);
    for (size_t i = 0; i < n; i++) perm_time[i] = (uint32_t)i;
    if (ob + tb + lb > 64) {
        for (size_t i = 0; i < n; i++) r.keys[i] = low[i] - l0;
        zj_radix_sort(&r, perm_time, n, lb);
        lb = 0;
        for (size_t i = 0; i < n; i++) {
            const uint32_t row = perm_time[i];
            r.keys[i] = ((uint64_t)(ordinal[row] - o0) << tb) | (time[row] - t0);
        }
    } else if (lb) {
        for (size_t i = 0; i < n; i++)
            r.keys[i] = ((((uint64_t)(ordinal[i] - o0) << tb) | (time[i] - t0)) << lb) |
                        (low[i] - l0);
    } else {
        for (size_t i = 0; i < n; i++)
            r.keys[i] = ((uint64_t)(ordinal[i] - o0) << tb) | (time[i] - t0);
    }
    zj_radix_sort(&r, perm_time, n, ob + tb + lb);
    for (size_t i = 0; i < n; i++) starts[event[i]]++;
    for (size_t b = 0; b <= events; b++) {
        const uint32_t c = starts[b];
        starts[b] = sum;
        sum += c;
    }
    for (size_t i = 0; i < n; i++) {
        const uint32_t row = perm_time[i];
        perm_event[starts[event[row]]++] = row;
    }
    free(starts);
    zj_radix_free(&r);
    return 0;
}

/* 1 when every index is below `limit`. */
static inline int zj_indices_below(const uint32_t *idx, size_t n, size_t limit) {
    uint32_t high = 0;
    for (size_t i = 0; i < n; i++) high = idx[i] > high ? idx[i] : high;
    return n == 0 || high < limit;
}

#define ZJ_TAKE(T)                                                                        \
    static inline void zj_take_##T(const T *src, const uint32_t *idx, size_t n, T *out) { \
        for (size_t i = 0; i < n; i++) out[i] = src[idx[i]];                              \
    }
ZJ_TAKE(uint8_t)
ZJ_TAKE(uint16_t)
ZJ_TAKE(uint32_t)
ZJ_TAKE(uint64_t)

/* Gathers n values of `width` bytes (1, 2, 4, 8). REQUIRES: every index is in range. */
static inline void zj_take(const void *src, const uint32_t *idx, size_t n, void *out, int width) {
    switch (width) {
        case 1: zj_take_uint8_t((const uint8_t *)src, idx, n, (uint8_t *)out); break;
        case 2: zj_take_uint16_t((const uint16_t *)src, idx, n, (uint16_t *)out); break;
        case 4: zj_take_uint32_t((const uint32_t *)src, idx, n, (uint32_t *)out); break;
        default: zj_take_uint64_t((const uint64_t *)src, idx, n, (uint64_t *)out); break;
    }
}

/* out[row] = rank of the row among rows of its (ordinal, time), in perm order; 65,535 for all ranks
 * above: that many events of one instant must not stop a project. REQUIRES: perm is in range and
 * sorts (ordinal, time). */
static inline void zj_ties(const uint32_t *ordinal, const uint32_t *time, const uint32_t *perm,
                           size_t n, uint16_t *out) {
    uint32_t rank = 0;
    if (n) out[perm[0]] = 0;
    for (size_t i = 1; i < n; i++) {
        const uint32_t a = perm[i - 1], b = perm[i];
        if (ordinal[a] != ordinal[b] || time[a] != time[b])
            rank = 0;
        else if (rank < UINT16_MAX)
            rank++;
        out[b] = (uint16_t)rank;
    }
}

/* Number of distinct values of an ascending array; SIZE_MAX when it does not ascend. */
static inline size_t zj_distinct_sorted(const uint32_t *v, size_t n) {
    size_t distinct = n > 0, bad = 0;
    for (size_t i = 1; i < n; i++) {
        distinct += v[i] != v[i - 1];
        bad |= v[i] < v[i - 1];
    }
    return bad ? SIZE_MAX : distinct;
}

/* REQUIRES: v ascends; users has room for its distinct values, offsets for one more. */
static inline void zj_csr(const uint32_t *v, size_t n, uint32_t *users, uint32_t *offsets) {
    size_t u = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || v[i] != v[i - 1]) {
            users[u] = v[i];
            offsets[u++] = (uint32_t)i;
        }
    }
    offsets[u] = (uint32_t)n;
}

#endif
