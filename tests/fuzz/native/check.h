/* What the native fuzz targets share: checks that end the run, and an lz4 decoder that trusts nothing. */
#ifndef ZUJI_FUZZ_CHECK_H
#define ZUJI_FUZZ_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                \
        }                                                                           \
    } while (0)

static inline size_t lz4_length(const uint8_t *in, size_t size, size_t *at, size_t first) {
    size_t n = first;
    if (first == 15)
        for (uint8_t more = 255; more == 255 && *at < size;) n += more = in[(*at)++];
    return n;
}

/* Whether an lz4 block (its format page, "End of block restrictions" included) unpacks to exactly n bytes. */
static inline int unpacked(const uint8_t *in, size_t size, uint8_t *out, size_t n) {
    size_t at = 0, made = 0;
    while (at < size) {
        const uint8_t token = in[at++];
        const size_t literal = lz4_length(in, size, &at, token >> 4);
        if (literal > size - at || literal > n - made) return 0;
        if (literal) memcpy(out + made, in + at, literal);
        at += literal;
        made += literal;
        if (at == size) return made == n;
        if (size - at < 2) return 0;
        const size_t back = in[at] | (size_t)in[at + 1] << 8;
        at += 2;
        const size_t match = lz4_length(in, size, &at, token & 15) + 4;
        if (back == 0 || back > made || match > n - made) return 0;
        if (n - made < 12 || n - made - match < 5) return 0; /* other decoders ask for that */
        for (size_t i = 0; i < match; i++, made++) out[made] = out[made - back];
    }
    return made == n;
}

#endif
