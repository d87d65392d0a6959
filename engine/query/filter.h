/* Filter predicates over one column: rows in, one byte 0/1 a row out.
 *
 * Every loop is branch-free but those over lists, so that gcc vectorises it. `present` is one byte
 * 0/1 a row or NULL (every row has a value); an absent row is 0 in `out`. Nothing here reads past
 * `n` rows, a table's `size` or, for lists, `total` items, whatever the values are.
 */
#ifndef ZUJI_FILTER_H
#define ZUJI_FILTER_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && defined(__gnu_linux__) && \
    !defined(__SANITIZE_ADDRESS__)
#define ZJ_FILTER_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ZJ_FILTER_CLONES
#endif

/* low <= values[i] <= high */
#define ZJ_BETWEEN(NAME, TYPE)                                                                     \
    ZJ_FILTER_CLONES static void NAME(const TYPE *values, const uint8_t *present, int64_t n,       \
                                      TYPE low, TYPE high, uint8_t *out) {                         \
        if (present)                                                                               \
            for (int64_t i = 0; i < n; i++)                                                        \
                out[i] = (uint8_t)((values[i] >= low) & (values[i] <= high) & present[i]);         \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++)                                                        \
                out[i] = (uint8_t)((values[i] >= low) & (values[i] <= high));                      \
    }
ZJ_BETWEEN(zj_between_i64, int64_t)
ZJ_BETWEEN(zj_between_f64, double)
ZJ_BETWEEN(zj_between_u32, uint32_t)
ZJ_BETWEEN(zj_between_u16, uint16_t)
ZJ_BETWEEN(zj_between_u8, uint8_t)

/* values[i] is one of set[0..m), ascending: a branch-free lower bound. */
#define ZJ_MEMBER(NAME, TYPE)                                                                      \
    ZJ_FILTER_CLONES static void NAME(const TYPE *values, const uint8_t *present, int64_t n,       \
                                      const TYPE *set, int64_t m, uint8_t *out) {                  \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const TYPE *base = set;                                                                \
            int64_t left = m;                                                                      \
            while (left > 1) {                                                                     \
                int64_t half = left / 2;                                                           \
                base += (base[half - 1] < values[i]) ? half : 0;                                   \
                left -= half;                                                                      \
            }                                                                                      \
            out[i] = (uint8_t)((m > 0 && *base == values[i]) & (present ? present[i] : 1));        \
        }                                                                                          \
    }
ZJ_MEMBER(zj_member_i64, int64_t)
ZJ_MEMBER(zj_member_f64, double)

/* table[codes[i]], 0 for a code past the table */
#define ZJ_LOOKUP(NAME, TYPE)                                                                      \
    ZJ_FILTER_CLONES static void NAME(const TYPE *codes, const uint8_t *present, int64_t n,        \
                                      const uint8_t *table, uint32_t size, uint8_t *out) {         \
        for (int64_t i = 0; i < n; i++) {                                                          \
            uint32_t code = codes[i];                                                              \
            uint8_t known = code < size;                                                           \
            out[i] = (uint8_t)(table[known ? code : 0] & known & (present ? present[i] : 1));      \
        }                                                                                          \
    }
ZJ_LOOKUP(zj_lookup_u8, uint8_t)
ZJ_LOOKUP(zj_lookup_u16, uint16_t)
ZJ_LOOKUP(zj_lookup_u32, uint32_t)

/* Bounds of row i's items, empty when the offsets are damaged. */
static inline int zj_items(const uint32_t *offsets, int64_t i, int64_t total, uint32_t *begin,
                           uint32_t *end) {
    *begin = offsets[i];
    *end = offsets[i + 1];
    return *begin < *end && (int64_t)*end <= total;
}

/* Row i has an item that the table marks. */
static void zj_list_any(const uint32_t *codes, int64_t total, const uint32_t *offsets,
                        const uint8_t *present, int64_t n, const uint8_t *table, uint32_t size,
                        uint8_t *out) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t at, end;
        uint8_t found = 0;
        if (zj_items(offsets, i, total, &at, &end))
            for (; at < end; at++) found |= codes[at] < size && table[codes[at]];
        out[i] = found & (present ? present[i] : 1);
    }
}

/* Row i has all `wanted` different items; place[code] = 1..wanted, 0 = not wanted.
 * `stamp`: wanted zeros, scratch. n < 2^32 - 1. */
static void zj_list_all(const uint32_t *codes, int64_t total, const uint32_t *offsets,
                        const uint8_t *present, int64_t n, const uint32_t *place, uint32_t size,
                        uint32_t wanted, uint32_t *stamp, uint8_t *out) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t at, end, found = 0, mark = (uint32_t)i + 1;
        if (zj_items(offsets, i, total, &at, &end))
            for (; at < end; at++) {
                uint32_t where = codes[at] < size ? place[codes[at]] : 0;
                if (where && stamp[where - 1] != mark) {
                    stamp[where - 1] = mark;
                    found++;
                }
            }
        out[i] = (uint8_t)((found == wanted) & (present ? present[i] : 1));
    }
}

ZJ_FILTER_CLONES static void zj_list_empty(const uint32_t *offsets, const uint8_t *present,
                                           int64_t n, uint8_t *out) {
    for (int64_t i = 0; i < n; i++)
        out[i] = (uint8_t)((offsets[i] == offsets[i + 1]) & (present ? present[i] : 1));
}

ZJ_FILTER_CLONES static void zj_and(uint8_t *out, const uint8_t *other, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] &= other[i];
}

ZJ_FILTER_CLONES static void zj_or(uint8_t *out, const uint8_t *other, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] |= other[i];
}

ZJ_FILTER_CLONES static void zj_not(uint8_t *out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] ^= 1;
}

#endif
