/* Group of each row: through a table from codes as they are stored, so that no array of groups is made.
 *
 * group = present ? lut[code] : missing; a code past the table is in no group. Without codes every row
 * is in group 0; without a table the code is the group.
 */
#ifndef ZUJI_GROUPS_H
#define ZUJI_GROUPS_H

#include "lanes.h"

#define ZJ_NO_GROUP 0xFFFFFFFFu

typedef struct {
    const void *codes;      /* [n] of `width` bytes, or NULL */
    const uint8_t *present; /* [n] of 0 and 1, or NULL: every row has a value */
    const uint32_t *lut;    /* [size] or NULL */
    uint32_t size, missing;
    int width;              /* 1, 2 or 4 */
} zj_groups;

ZJ_INLINE uint32_t zj_group_code(const zj_groups *g, uint32_t r) {
    if (g->width == 1) return ((const uint8_t *)g->codes)[r];
    if (g->width == 2) return ((const uint16_t *)g->codes)[r];
    return ((const uint32_t *)g->codes)[r];
}

ZJ_INLINE uint32_t zj_group(const zj_groups *g, uint32_t r) {
    if (g->codes == NULL) return 0;
    if (g->present && !g->present[r]) return g->missing;
    const uint32_t code = zj_group_code(g, r);
    if (g->lut == NULL) return code;
    return code < g->size ? g->lut[code] : ZJ_NO_GROUP;
}

#define ZJ_LOOK_UP(TYPE)                                                                                  \
    do {                                                                                                  \
        const TYPE *codes = (const TYPE *)g->codes + r;                                                   \
        if (lut)                                                                                          \
            for (uint32_t i = 0; i < n; i++) {                                                            \
                const uint32_t code = codes[i], known = code < size;                                      \
                const uint32_t found = lut[known ? code : 0];                                             \
                out[i] = known ? found : ZJ_NO_GROUP;                                                     \
            }                                                                                             \
        else                                                                                              \
            for (uint32_t i = 0; i < n; i++) out[i] = codes[i];                                           \
    } while (0)

/* out[i] = group of row r + i; for groups with codes. REQUIRES: a table is not empty. O(n). */
ZJ_CLONES static void zj_groups_of_rows(const zj_groups *g, uint32_t r, uint32_t n, uint32_t *out) {
    const uint32_t *lut = g->lut;
    const uint32_t size = g->size;
    if (g->width == 1) ZJ_LOOK_UP(uint8_t);
    else if (g->width == 2) ZJ_LOOK_UP(uint16_t);
    else ZJ_LOOK_UP(uint32_t);
    if (g->present) {
        const uint8_t *present = g->present + r;
        const uint32_t missing = g->missing;
        for (uint32_t i = 0; i < n; i++) out[i] = present[i] ? out[i] : missing;
    }
}

/* out[i]: the groups of row i in all `dims` as one number, ((g0 * size1) + g1) * size2 …, and seen[out[i]] = 1.
 * Groups of their dimension's size and more make the row REJECTED. REQUIRES: the product of sizes fits. O(n * dims). */
ZJ_CLONES static int zj_mix_groups(const zj_groups *g, const uint32_t *size, int dims, uint32_t n, uint32_t *out,
                                   uint8_t *seen) {
    uint32_t part[1024], mixed[1024];
    for (uint32_t r = 0; r < n; r += 1024) { /* a block stays in the nearest cache */
        const uint32_t m = n - r < 1024 ? n - r : 1024;
        zj_groups_of_rows(&g[0], r, m, mixed);
        for (int d = 0; d < dims; d++) {
            uint32_t most = 0;
            uint32_t *own = d ? part : mixed;
            if (d) zj_groups_of_rows(&g[d], r, m, part);
            for (uint32_t i = 0; i < m; i++) most = own[i] > most ? own[i] : most;
            if (most >= size[d]) return ZJ_REJECTED;
            for (uint32_t i = 0; d && i < m; i++) mixed[i] = mixed[i] * size[d] + part[i];
        }
        for (uint32_t i = 0; i < m; i++) seen[mixed[i]] = 1;
        memcpy(out + r, mixed, m * sizeof *mixed);
    }
    return ZJ_OK;
}

/* What numbers are there, as a set whose members can be counted: 64 a word, `before` members of the words before. */
typedef struct {
    uint64_t *word;
    uint32_t *before;
    uint32_t count;
} zj_ranks;

static void zj_ranks_close(zj_ranks *k) {
    free(k->word);
    free(k->before);
}

/* The mixed groups of all rows, as ranks among the different ones, which are below `product`.
 * O(n * dims + product / 64). */
ZJ_CLONES static int zj_rank_groups(zj_ranks *k, const zj_groups *g, const uint32_t *size, int dims, uint32_t n,
                                    uint32_t product, uint32_t *number) {
    const size_t words = (size_t)product / 64 + 1;
    uint8_t *seen = (uint8_t *)calloc(words * 64, 1); /* bytes first: setting bits would wait for the bit before */
    k->word = (uint64_t *)malloc(words * sizeof(uint64_t));
    k->before = (uint32_t *)malloc(words * sizeof(uint32_t));
    k->count = 0;
    if (!seen || !k->word || !k->before) {
        free(seen);
        return ZJ_NO_MEMORY;
    }
    const int status = zj_mix_groups(g, size, dims, n, number, seen);
    for (size_t w = 0; status == ZJ_OK && w < words; w++) {
        uint64_t word = 0, eight;
        for (uint32_t b = 0; b < 64; b += 8) {
            memcpy(&eight, seen + 64 * w + b, 8);
            word |= (eight * 0x0102040810204080ull >> 56) << b;
        }
        k->word[w] = word;
        k->before[w] = k->count;
        k->count += (uint32_t)__builtin_popcountll(word);
    }
    free(seen);
    for (uint32_t i = 0; status == ZJ_OK && i < n; i++) {
        const uint32_t w = number[i] >> 6;
        const uint64_t lower = k->word[w] & ((1ull << (number[i] & 63)) - 1);
        number[i] = k->before[w] + (uint32_t)__builtin_popcountll(lower);
    }
    return status;
}

/* The different numbers, ascending; out has room for `count`. */
static void zj_ranked_numbers(const zj_ranks *k, uint32_t product, int64_t *out) {
    for (size_t w = 0; w <= (size_t)product / 64; w++)
        for (uint64_t left = k->word[w]; left; left &= left - 1) *out++ = (int64_t)(64 * w) + __builtin_ctzll(left);
}

#endif
