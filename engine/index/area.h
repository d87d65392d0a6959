/* A block of memory that grows without being copied, for arrays of hundreds of megabytes.
 *
 * Below 2 MiB it is plain malloc and realloc. From there on (Linux) it is a mapping of its own
 * at a multiple of 2 MiB: growing moves its page tables, not its bytes, so adding the millionth string
 * does not stall its writer; it asks for huge pages, which halve the cost of a random read; and what
 * has not been written yet takes no memory. Elsewhere realloc serves every size.
 * Not thread-safe. A failed growth leaves the area as it was.
 */
#ifndef ZUJI_AREA_H
#define ZUJI_AREA_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
/* mremap is a GNU extension: declared here, so that the order of includes does not matter. */
#include <sys/mman.h>
#ifndef MREMAP_MAYMOVE
#define MREMAP_MAYMOVE 1
#define MREMAP_FIXED 2
#endif
extern void *mremap(void *, size_t, size_t, int, ...);
#define ZJ_AREA_MAPS 1
#endif

#define ZJ_AREA_HUGE ((size_t)2 << 20)

typedef struct {
    uint8_t *bytes;
    size_t room;
    int mapped;
} zj_area;

#ifdef ZJ_AREA_MAPS
/* An aligned mapping of `room` bytes, a multiple of ZJ_AREA_HUGE; NULL when there is none. */
static inline uint8_t *zj_area_map(size_t room, int access) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint8_t *all = (uint8_t *)mmap(NULL, room + ZJ_AREA_HUGE, access, flags, -1, 0);
    if (all == (uint8_t *)MAP_FAILED) return NULL;
    uint8_t *start = (uint8_t *)(((uintptr_t)all + ZJ_AREA_HUGE - 1) / ZJ_AREA_HUGE * ZJ_AREA_HUGE);
    if (start > all) munmap(all, (size_t)(start - all));
    munmap(start + room, (size_t)(all + ZJ_AREA_HUGE - start));
    return start;
}
#endif

static inline void zj_area_free(zj_area *a) {
#ifdef ZJ_AREA_MAPS
    if (a->mapped) munmap(a->bytes, a->room);
    else
#endif
        free(a->bytes);
    memset(a, 0, sizeof *a);
}

/* At least `room` bytes, of which the first a->room keep their contents. 0, or -1. */
static inline int zj_area_grow(zj_area *a, size_t room) {
    if (room <= a->room) return 0;
    if (room > SIZE_MAX / 4) return -1;
#ifdef ZJ_AREA_MAPS
    if (room >= ZJ_AREA_HUGE) {
        uint8_t *bytes;
        room = (room + ZJ_AREA_HUGE - 1) / ZJ_AREA_HUGE * ZJ_AREA_HUGE;
        bytes = zj_area_map(room, a->mapped ? PROT_NONE : PROT_READ | PROT_WRITE);
        if (!bytes) return -1;
        if (a->mapped) {
            const int how = MREMAP_MAYMOVE | MREMAP_FIXED;
            /* When it fails, the target may belong to another thread already: it is not unmapped. */
            if (mremap(a->bytes, a->room, room, how, bytes) == MAP_FAILED) return -1;
        } else if (a->room) {
            memcpy(bytes, a->bytes, a->room);
            free(a->bytes);
        }
        madvise(bytes, room, MADV_HUGEPAGE);
        a->bytes = bytes;
        a->room = room;
        a->mapped = 1;
        return 0;
    }
#endif
    uint8_t *bytes = (uint8_t *)realloc(a->bytes, room);
    if (!bytes) return -1;
    a->bytes = bytes;
    a->room = room;
    return 0;
}

#endif
