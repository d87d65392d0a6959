/* Streams: spreading values over rows, the whole per-user order of a source, sessions, as-of joins. */
#ifndef ZUJI_STREAMS_H
#define ZUJI_STREAMS_H

#include "lanes.h"

#define ZJ_EXPAND(type)                                                                                  \
    for (uint32_t i = 0; i < nu; i++) {                                                                  \
        type v = ((const type *)values)[users[i] < n_values ? users[i] : n_values];                      \
        for (uint32_t r = offsets[i]; r < offsets[i + 1]; r++) ((type *)out)[r] = v;                     \
    }

/* out[r] = values[ordinal of r's user]; values[n_values] is the fill. width: bytes of an item. */
static int zj_expand_users(const uint32_t *users, const uint32_t *offsets, uint32_t nu, const void *values,
                           size_t n_values, size_t width, void *out) {
    switch (width) {
    case 1: ZJ_EXPAND(uint8_t) break;
    case 2: ZJ_EXPAND(uint16_t) break;
    case 4: ZJ_EXPAND(uint32_t) break;
    default: ZJ_EXPAND(uint64_t) break;
    }
    return ZJ_OK;
}

/* A row per distinct item. out_* have room for n + number of codes; returns the rows written.
 * Lists are short (<= 500): looking back over the row's own output is the distinct test. */
static size_t zj_expand_lists(const zj_lane *lane, const uint32_t *offsets, const uint32_t *codes,
                              uint32_t *out_offsets, uint32_t *out_row, uint32_t *out_code) {
    size_t m = 0;
    for (uint32_t i = 0; i < lane->nu; i++) {
        out_offsets[i] = (uint32_t)m;
        for (uint32_t r = lane->offsets[i]; r < lane->offsets[i + 1]; r++) {
            size_t first = m;
            for (uint32_t c = offsets[r]; c < offsets[r + 1]; c++) {
                size_t seen = first;
                while (seen < m && out_code[seen] != codes[c]) seen++;
                if (seen < m) continue;
                out_row[m] = r;
                out_code[m++] = codes[c];
            }
            if (m == first) {
                out_row[m] = r;
                out_code[m++] = 0xFFFFFFFFu;
            }
        }
    }
    out_offsets[lane->nu] = (uint32_t)m;
    return m;
}

#endif
