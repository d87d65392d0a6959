/* UTF-8 validation: the strict form of RFC 3629 (no overlong forms, no surrogates, ≤ U+10FFFF).
 *
 * Reads only [p, p + n). O(n); pure ASCII goes eight bytes at a time. No state, thread-safe.
 */
#ifndef ZUJI_BATCH_UTF8_H
#define ZUJI_BATCH_UTF8_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline int zj_ascii(const uint8_t *p, size_t n) {
    uint64_t a, b, high = 0;
    if (n < 8) {
        uint32_t c, d;
        if (n < 4) return !(n && ((p[0] | p[n / 2] | p[n - 1]) & 0x80));
        memcpy(&c, p, 4);
        memcpy(&d, p + n - 4, 4);
        return !((c | d) & 0x80808080u);
    }
    for (size_t i = 0; i + 8 <= n; i += 8) {
        memcpy(&a, p + i, 8);
        high |= a;
    }
    memcpy(&b, p + n - 8, 8);
    return !((high | b) & 0x8080808080808080ULL);
}

static int zj_utf8_scan(const uint8_t *p, size_t n) {
    const uint8_t *end = p + n;
    while (p < end) {
        while (end - p >= 8) {
            uint64_t word;
            memcpy(&word, p, 8);
            if (word & 0x8080808080808080ULL) break;
            p += 8;
        }
        if (p == end) return 1;
        uint8_t a = *p;
        if (a < 0x80) {
            p++;
            continue;
        }
        size_t left = (size_t)(end - p);
        if (a >= 0xe1 && a <= 0xec) { /* most of what is not ASCII: Chinese, Japanese, Korean */
            if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80) return 0;
            p += 3;
        } else if (a >= 0xc2 && a <= 0xdf) {
            if (left < 2 || (p[1] & 0xc0) != 0x80) return 0;
            p += 2;
        } else if (a == 0xe0 || (a >= 0xed && a <= 0xef)) {
            if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80) return 0;
            if (a == 0xe0 && p[1] < 0xa0) return 0;
            if (a == 0xed && p[1] > 0x9f) return 0;
            p += 3;
        } else if (a >= 0xf0 && a <= 0xf4) {
            if (left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
                return 0;
            if (a == 0xf0 && p[1] < 0x90) return 0;
            if (a == 0xf4 && p[1] > 0x8f) return 0;
            p += 4;
        } else {
            return 0;
        }
    }
    return 1;
}

static inline int zj_utf8_ok(const uint8_t *p, size_t n) {
    return zj_ascii(p, n) || zj_utf8_scan(p, n);
}

#endif
