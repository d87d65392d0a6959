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

/* out[i] = out[i] * size + group of row i, and used[out[i]] = 1 where `used` is given: combinations of groups as
 * one number. Groups of `size` and more make the row REJECTED. REQUIRES: the products fit. O(n). */
static int zj_mix_groups(const zj_groups *g, uint32_t n, uint32_t size, uint32_t *out, uint8_t *used) {
    uint32_t part[1024];
    for (uint32_t r = 0; r < n; r += 1024) {
        const uint32_t m = n - r < 1024 ? n - r : 1024;
        uint32_t most = 0;
        zj_groups_of_rows(g, r, m, part);
        for (uint32_t i = 0; i < m; i++) most = part[i] > most ? part[i] : most;
        if (most >= size) return ZJ_REJECTED;
        for (uint32_t i = 0; i < m; i++) out[r + i] = out[r + i] * size + part[i];
        for (uint32_t i = 0; used && i < m; i++) used[out[r + i]] = 1;
    }
    return ZJ_OK;
}

#endif
