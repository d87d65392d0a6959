/* gzip, by the zlib of the machine (libz.so.1: Python's own module needs it). It is looked for when it is
 * wanted, so that its headers need not be there to build; without it compressed requests are left to
 * others. What its functions expect is fixed since zlib 1.0, and `inflateInit2_` checks it.
 *
 * Any bytes are safe input. Thread-safe: a stream belongs to one thread.
 */
#ifndef ZUJI_PROTOCOLS_INFLATE_H
#define ZUJI_PROTOCOLS_INFLATE_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ZI_LEAST 18 /* bytes of an empty gzip member */
enum { ZI_GZIP = 15 + 16, ZI_FINISH = 4, ZI_STREAM_END = 1 };

typedef struct {
    const uint8_t *next_in;
    unsigned int avail_in;
    unsigned long total_in;
    uint8_t *next_out;
    unsigned int avail_out;
    unsigned long total_out;
    const char *msg;
    void *state, *allocate, *release, *opaque;
    int data_type;
    unsigned long adler, reserved;
} zi_stream; /* z_stream of zlib.h */

static struct {
    int (*init)(zi_stream *, int bits, const char *version, int size);
    int (*reset)(zi_stream *);
    int (*inflate)(zi_stream *, int flush);
    int (*end)(zi_stream *);
} zi_zlib;

__attribute__((constructor)) static void zi_find(void) {
    static const char *const names[] = {"libz.so.1", "libz.1.dylib", "libz.so"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *const library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (!library) continue;
        *(void **)&zi_zlib.init = dlsym(library, "inflateInit2_");
        *(void **)&zi_zlib.reset = dlsym(library, "inflateReset");
        *(void **)&zi_zlib.inflate = dlsym(library, "inflate");
        *(void **)&zi_zlib.end = dlsym(library, "inflateEnd");
        if (zi_zlib.init && zi_zlib.reset && zi_zlib.inflate && zi_zlib.end) return;
    }
    memset(&zi_zlib, 0, sizeof zi_zlib);
}

/* What a gzip body of one member says of its size, modulo 2³²; nobody has checked that. */
static uint32_t zi_size(const uint8_t *p, size_t n) {
    if (n < ZI_LEAST) return 0;
    p += n - 4;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A whole gzip body of one member into `size` bytes: whether that, its checksum and its end fit. */
static int zi_inflate(zi_stream *z, const uint8_t *p, size_t n, uint8_t *out, size_t size) {
    if (!zi_zlib.init || n > UINT32_MAX || size > UINT32_MAX) return 0;
    if (z->state ? zi_zlib.reset(z) : zi_zlib.init(z, ZI_GZIP, "1", (int)sizeof *z)) return 0;
    z->next_in = p;
    z->avail_in = (unsigned int)n;
    z->next_out = out;
    z->avail_out = (unsigned int)size;
    return zi_zlib.inflate(z, ZI_FINISH) == ZI_STREAM_END && !z->avail_in && !z->avail_out;
}

static void zi_free(zi_stream *z) {
    if (z->state) zi_zlib.end(z);
    memset(z, 0, sizeof *z);
}

#endif
