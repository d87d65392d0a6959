/* Keyed 64-bit hash of byte strings, in the manner of wyhash (Wang Yi, public domain).
 *
 * Users are placed on shards by this hash and hashes are stored: ITS VALUES ARE PART OF THE FORMAT.
 * Changing a constant here strands every project; tests/unit/test_strings.py pins known values.
 *
 * wyhash's published secrets allow an attacker to zero one factor of its multiplication and so to
 * make collisions for any seed. Here all four secrets are derived from the 64-bit salt, so what
 * zeroes a factor is unknown without the salt.
 */
#ifndef ZUJI_HASH64_H
#define ZUJI_HASH64_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint64_t s[4];
} zj_hash_key;

static inline uint64_t zj_splitmix(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static inline zj_hash_key zj_hash_key_of(uint64_t salt) {
    zj_hash_key key;
    for (int i = 0; i < 4; i++) key.s[i] = zj_splitmix(&salt) | 1u;
    return key;
}

/* Low and high half of the 128-bit product, folded. */
static inline uint64_t zj_mix(uint64_t a, uint64_t b) {
    __uint128_t r = (__uint128_t)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static inline uint64_t zj_read64(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline uint64_t zj_read32(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

/* Reads exactly p[0..n). O(n). */
static inline uint64_t zj_hash64(const zj_hash_key *key, const uint8_t *p, size_t n) {
    const uint64_t *s = key->s;
    uint64_t h = s[0], a, b;
    size_t left = n;
    if (n <= 16) {
        if (n >= 4) {
            const size_t half = (n >> 3) << 2;
            a = (zj_read32(p) << 32) | zj_read32(p + half);
            b = (zj_read32(p + n - 4) << 32) | zj_read32(p + n - 4 - half);
        } else if (n > 0) {
            a = ((uint64_t)p[0] << 16) | ((uint64_t)p[n >> 1] << 8) | p[n - 1];
            b = 0;
        } else {
            a = b = 0;
        }
    } else {
        if (left > 48) {
            uint64_t h1 = h, h2 = h;
            do {
                h = zj_mix(zj_read64(p) ^ s[1], zj_read64(p + 8) ^ h);
                h1 = zj_mix(zj_read64(p + 16) ^ s[2], zj_read64(p + 24) ^ h1);
                h2 = zj_mix(zj_read64(p + 32) ^ s[3], zj_read64(p + 40) ^ h2);
                p += 48;
                left -= 48;
            } while (left > 48);
            h ^= h1 ^ h2;
        }
        while (left > 16) {
            h = zj_mix(zj_read64(p) ^ s[1], zj_read64(p + 8) ^ h);
            p += 16;
            left -= 16;
        }
        a = zj_read64(p + left - 16);
        b = zj_read64(p + left - 8);
    }
    return zj_mix(s[1] ^ (uint64_t)n, zj_mix(a ^ s[1], b ^ h ^ s[2]) ^ s[3]);
}

#endif
