/* Rows of bits, one bit an ordinal: setting from lists. */
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

#endif
