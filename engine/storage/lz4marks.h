/* An lz4 block of a batch, by way of where its keys stand: three times as fast as looking for matches by hash, for a
 * block 1.4 times as large.
 *
 * Every event is compared with the last one that had as many keys, key by key: from a key on, bytes that are the
 * same become a match, what is left of the value a literal. So what repeats in another order is not found; whoever
 * calls takes the library when the block is not small. Any lz4 decoder reads it: a match has at least 4 bytes, starts
 * at least 12 before the end and leaves the last 5 alone.
 * O(bytes). Reads nothing outside data[0, n); writes nothing behind out[0, ZJ_LZ4_BOUND(head + n)).
 */
#ifndef ZUJI_LZ4MARKS_H
#define ZUJI_LZ4MARKS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ZJ_LZ4_SLACK 64 /* bytes at the end of data that no match begins in, and behind the block that may be written */
#define ZJ_LZ4_BOUND(n) ((n) + (n) / 255 + 16 + ZJ_LZ4_SLACK)
#define ZJ_LZ4_FAR 65535
#define ZJ_LZ4_COUNTS 32 /* events are told apart by their number of keys, modulo this */

typedef struct {
    const uint8_t *head; /* what stands in front of the data: part of the first literal */
    size_t head_bytes;
    uint8_t *out;
} zj_lz4;

static inline uint8_t *zj_lz4_length(uint8_t *out, size_t n) {
    for (; n >= 255; n -= 255) *out++ = 255;
    *out++ = (uint8_t)n;
    return out;
}

/* Token and literal p[0, n), with the head in front of the first; `match`: its length - 4. `wide`: 32 bytes at p can
 * be read. */
static inline void zj_lz4_literal(zj_lz4 *z, const uint8_t *p, size_t n, size_t match, int wide) {
    const size_t all = n + z->head_bytes;
    *z->out++ = (uint8_t)((all < 15 ? all : 15) << 4 | (match < 15 ? match : 15));
    if (all >= 15) z->out = zj_lz4_length(z->out, all - 15);
    if (z->head_bytes) memcpy(z->out, z->head, z->head_bytes);
    z->out += z->head_bytes;
    z->head_bytes = 0;
    if (wide && n <= 32) memcpy(z->out, p, 32);
    else if (n) memcpy(z->out, p, n); /* p may be NULL then */
    z->out += n;
}

/* Bytes that are the same from x and y on, up to `end`. REQUIRES: 8 bytes behind `end` can be read; y < x. */
static inline size_t zj_lz4_same(const uint8_t *x, const uint8_t *y, const uint8_t *end) {
    const uint8_t *const start = x;
    uint64_t a, b;
    for (; x < end; x += 8, y += 8) {
        memcpy(&a, x, 8);
        memcpy(&b, y, 8);
        if (a == b) continue;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        x += __builtin_clzll(a ^ b) >> 3;
#else
        x += __builtin_ctzll(a ^ b) >> 3;
#endif
        break;
    }
    return (size_t)((x < end ? x : end) - start);
}

/* The block of head[0, head_bytes) and data[0, n) to out; its bytes. mark: places of keys, ascending; those of event i
 * are mark[first[i]] … mark[first[i + 1]]. REQUIRES: ZJ_LZ4_BOUND(head_bytes + n) bytes at out. */
static size_t zj_lz4_marks(const uint8_t *head, size_t head_bytes, const uint8_t *data, size_t n, const uint32_t *mark,
                           const uint32_t *first, size_t events, uint8_t *out) {
    zj_lz4 z = {head, head_bytes, out};
    const uint8_t *at = data; /* all before it is in the block */
    const uint8_t *const end = n > ZJ_LZ4_SLACK ? data + n - ZJ_LZ4_SLACK : data;
    size_t alike[ZJ_LZ4_COUNTS]; /* the last event with so many keys, + 1 */
    memset(alike, 0, sizeof alike);
    for (size_t e = 0; e < events; e++) {
        const uint32_t *mine = mark + first[e], keys = first[e + 1] - first[e];
        size_t *const before = &alike[keys % ZJ_LZ4_COUNTS];
        const size_t other = *before;
        *before = e + 1;
        if (!other || first[other] - first[other - 1] != keys) continue;
        const uint32_t *const its = mark + first[other - 1];
        for (uint32_t i = 0; i < keys; i++) {
            const size_t back = (size_t)mine[i] - its[i];
            if (mine[i] < (size_t)(at - data)) continue; /* in the match before */
            if (mine[i] >= (size_t)(end - data) || back - 1 >= ZJ_LZ4_FAR) continue;
            const uint8_t *const x = data + mine[i];
            const size_t same = zj_lz4_same(x, x - back, end);
            if (same < 4) continue;
            zj_lz4_literal(&z, at, (size_t)(x - at), same - 4, 1);
            z.out[0] = (uint8_t)back;
            z.out[1] = (uint8_t)(back >> 8);
            z.out += 2;
            if (same - 4 >= 15) z.out = zj_lz4_length(z.out, same - 4 - 15);
            at = x + same;
        }
    }
    zj_lz4_literal(&z, at, (size_t)(data + n - at), 0, 0);
    return (size_t)(z.out - out);
}

#endif
