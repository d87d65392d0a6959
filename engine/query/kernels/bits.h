/* Sets of users as rows of bits or bytes, one an ordinal: from lists of users, and counts a user. */
#ifndef ZUJI_BITS_H
#define ZUJI_BITS_H

#include <stddef.h>
#include <stdint.h>

/* Sets the bit of each user; returns 0, or 1 at the first user beyond the row (the rest is not set). */
static int zb_set(const uint32_t *users, size_t n, uint64_t *row, size_t words) {
    const uint64_t limit = (uint64_t)words * 64;
    for (size_t i = 0; i < n; i++) {
        if (users[i] >= limit) return 1;
        row[users[i] >> 6] |= (uint64_t)1 << (users[i] & 63);
    }
    return 0;
}

/* counts[user] += rows of the user; returns 1 at the first user beyond (the rest is not added). */
static int zb_add_rows(const uint32_t *users, const uint32_t *offsets, size_t n, uint32_t *counts, size_t limit) {
    for (size_t i = 0; i < n; i++) {
        if (users[i] >= limit) return 1;
        counts[users[i]] += offsets[i + 1] - offsets[i];
    }
    return 0;
}

/* Users who count (all of them without `allowed`), and how many of those are seen for the first time;
 * fresh[user] is 1 until then. Returns 1 at the first user beyond. */
static int zb_seen(const uint32_t *users, size_t n, const uint8_t *allowed, uint8_t *fresh, size_t limit,
                   int64_t *here, int64_t *first) {
    int64_t counted = 0, new = 0;
    for (size_t i = 0; i < n; i++) {
        if (users[i] >= limit) return 1;
        const uint8_t counts = allowed ? allowed[users[i]] : 1, one = fresh[users[i]] & counts;
        counted += counts;
        new += one;
        fresh[users[i]] ^= one;
    }
    *here = counted;
    *first = new;
    return 0;
}

#endif
