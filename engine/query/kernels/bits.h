/* Rows of bits, one bit an ordinal: setting from lists, counting intersections. */
#ifndef ZUJI_BITS_H
#define ZUJI_BITS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__gnu_linux__)
#define ZB_CLONES __attribute__((target_clones("arch=x86-64-v4", "popcnt", "default")))
#else
#define ZB_CLONES
#endif

/* Sets the bit of each user; returns 0, or 1 at the first user beyond the row (the rest is not set). */
static int zb_set(const uint32_t *users, size_t n, uint64_t *row, size_t words) {
    const uint64_t limit = (uint64_t)words * 64;
    for (size_t i = 0; i < n; i++) {
        if (users[i] >= limit) return 1;
        row[users[i] >> 6] |= (uint64_t)1 << (users[i] & 63);
    }
    return 0;
}

/* Bits set both in a and in b. O(words). */
ZB_CLONES static int64_t zb_count_and(const uint64_t *a, const uint64_t *b, size_t words) {
    int64_t total = 0;
    for (size_t i = 0; i < words; i++) total += __builtin_popcountll(a[i] & b[i]);
    return total;
}

#endif
