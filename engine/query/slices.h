/* Columns of numbers that are cut into slices: the slice of each value, and filters that read one or two bytes a row.
 *
 * A slice is a stretch of numbers; slices ascend and do not overlap. A row's code is 0 without a value, 1 + its
 * slice, or all ones of NaN. A filter knows of most slices as a whole whether they pass, and looks at values of at
 * most two. Nothing here reads past `n` rows, `m` slices, whatever codes and values are.
 */
#ifndef ZUJI_SLICES_H
#define ZUJI_SLICES_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && defined(__gnu_linux__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define ZS_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define ZS_CLONES
#endif

#define ZS_BLOCK 4096 /* rows: codes, answers and marks of a block lie in the first cache */

/* codes[i]: 1 + the last slice whose start is not above the value (the first one for what is below all).
 * least[s], greatest[s]: of the values in the slice, narrowed from what they hold. REQUIRES 1 <= m < all ones - 1. */
#define ZS_CUT(NAME, TYPE, CODE)                                                                                    \
    static void NAME(const TYPE *values, const uint8_t *present, int64_t n, const TYPE *starts, int32_t m,          \
                     CODE *codes, TYPE *least, TYPE *greatest) {                                                    \
        for (int64_t i = 0; i < n; i++) {                                                                           \
            const TYPE v = values[i];                                                                               \
            if (present && !present[i]) {                                                                           \
                codes[i] = 0;                                                                                       \
                continue;                                                                                           \
            }                                                                                                       \
            if (v != v) {                                                                                           \
                codes[i] = (CODE)~0u;                                                                               \
                continue;                                                                                           \
            }                                                                                                       \
            int32_t at = 0, left = m;                                                                               \
            while (left > 1) {                                                                                      \
                const int32_t half = left / 2;                                                                      \
                at += starts[at + half] <= v ? half : 0;                                                            \
                left -= half;                                                                                       \
            }                                                                                                       \
            codes[i] = (CODE)(1 + at);                                                                              \
            least[at] = v < least[at] ? v : least[at];                                                              \
            greatest[at] = v > greatest[at] ? v : greatest[at];                                                     \
        }                                                                                                           \
    }
ZS_CUT(zs_cut_i64_u8, int64_t, uint8_t)
ZS_CUT(zs_cut_f64_u8, double, uint8_t)
ZS_CUT(zs_cut_i64_u16, int64_t, uint16_t)
ZS_CUT(zs_cut_f64_u16, double, uint16_t)

/* out[i] = first <= codes[i] <= last; marks[i] = codes[i] is one of two. */
#define ZS_COMPARE(CODE)                                                                                            \
    ZS_CLONES static void zs_inside_##CODE(const CODE *codes, int64_t n, CODE first, CODE last, uint8_t *out) {     \
        for (int64_t i = 0; i < n; i++) out[i] = (uint8_t)((codes[i] >= first) & (codes[i] <= last));               \
    }                                                                                                               \
    ZS_CLONES static void zs_mark_##CODE(const CODE *codes, int64_t n, CODE one, CODE two, uint8_t *marks) {        \
        for (int64_t i = 0; i < n; i++) marks[i] = (uint8_t)((codes[i] == one) | (codes[i] == two));                \
    }
ZS_COMPARE(uint8_t)
ZS_COMPARE(uint16_t)

/* look: the places whose mark is set, ascending; how many. Bytes of `marks` up to the next multiple of 8 are 0. */
static inline int32_t zs_marked(const uint8_t *marks, int32_t n, uint16_t *look) {
    int32_t found = 0;
    for (int32_t w = 0; w < n; w += 8) {
        uint64_t word;
        memcpy(&word, marks + w, 8);
        for (; word; word &= word - 1) look[found++] = (uint16_t)(w + (__builtin_ctzll(word) >> 3));
    }
    return found;
}

/* low <= values[i] <= high, where first..last (none if first > last) are the codes of which all pass, and `one` and
 * `two` those whose values are looked at (0: none; all others fail). Values of a block are asked for while the next
 * one is prepared: they lie far apart, and waiting for each would take longer than reading them all. */
#define ZS_WITHIN(NAME, TYPE, CODE)                                                                                 \
    static void NAME(const CODE *codes, const TYPE *values, int64_t n, CODE first, CODE last, CODE one, CODE two,   \
                     TYPE low, TYPE high, uint8_t *out) {                                                           \
        uint8_t marks[ZS_BLOCK];                                                                                    \
        uint16_t look[2][ZS_BLOCK];                                                                                 \
        int32_t waiting = 0;                                                                                        \
        if (two == 0) two = one;                                                                                    \
        for (int64_t at = 0, b = 0; at < n + ZS_BLOCK; at += ZS_BLOCK, b ^= 1) {                                    \
            int32_t found = 0;                                                                                      \
            if (at < n) {                                                                                           \
                const int32_t size = (int32_t)(n - at < ZS_BLOCK ? n - at : ZS_BLOCK);                              \
                zs_inside_##CODE(codes + at, size, first, last, out + at);                                          \
                if (one != 0) {                                                                                     \
                    zs_mark_##CODE(codes + at, size, one, two, marks);                                              \
                    memset(marks + size, 0, (size_t)(-size & 7));                                                   \
                    found = zs_marked(marks, size, look[b]);                                                        \
                    for (int32_t k = 0; k < found; k++) __builtin_prefetch(values + at + look[b][k]);               \
                }                                                                                                   \
            }                                                                                                       \
            const int64_t before = at - ZS_BLOCK;                                                                   \
            for (int32_t k = 0; k < waiting; k++) {                                                                 \
                const int64_t i = before + look[b ^ 1][k];                                                          \
                out[i] = (uint8_t)((values[i] >= low) & (values[i] <= high));                                       \
            }                                                                                                       \
            waiting = found;                                                                                        \
        }                                                                                                           \
    }
ZS_WITHIN(zs_within_i64_u8, int64_t, uint8_t)
ZS_WITHIN(zs_within_f64_u8, double, uint8_t)
ZS_WITHIN(zs_within_i64_u16, int64_t, uint16_t)
ZS_WITHIN(zs_within_f64_u16, double, uint16_t)

#endif
