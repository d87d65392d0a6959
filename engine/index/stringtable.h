/* Byte strings -> dense uint32 codes in order of first appearance.
 *
 * slots: open addressing, linear probing, capacity a power of two, load <= 3/4. One slot is a uint64:
 *     high 32 bits: high half of the string's hash; low 32 bits: code + 1; the whole 0 = empty.
 * The home of a string is the top bits of that same 32-bit half, so growing needs neither the strings
 * nor their hashes and walks the old slots in order.
 * arena: the strings end to end; ends[code] = end of string `code`; string 0 starts at 0.
 *
 * Not thread-safe. Pointers into the arena are valid until the next insertion.
 * A failed allocation leaves the table as it was.
 */
#ifndef ZUJI_STRINGTABLE_H
#define ZUJI_STRINGTABLE_H

#include <stdlib.h>

#include "hash64.h"

#define ZJ_NO_CODE UINT32_MAX
#define ZJ_STRINGS_MAX (UINT32_MAX - 1u) /* codes 0 .. 2^32-3 */
#define ZJ_STRINGS_MIN_SLOTS 64u

typedef struct {
    zj_hash_key key;
    uint64_t *slots;
    uint64_t capacity; /* slots */
    int shift;         /* 32 - log2(capacity) */
    uint64_t count;
    uint64_t *ends;
    uint64_t ends_room;
    uint8_t *arena;
    uint64_t arena_room;
    uint64_t arena_used;
} zj_strings;

static inline int zj_strings_init(zj_strings *t, uint64_t salt) {
    memset(t, 0, sizeof *t);
    t->key = zj_hash_key_of(salt);
    t->capacity = ZJ_STRINGS_MIN_SLOTS;
    t->shift = 32 - 6;
    t->slots = (uint64_t *)calloc(t->capacity, sizeof(uint64_t));
    return t->slots ? 0 : -1;
}

static inline void zj_strings_free(zj_strings *t) {
    free(t->slots);
    free(t->ends);
    free(t->arena);
    memset(t, 0, sizeof *t);
}

static inline uint64_t zj_strings_bytes(const zj_strings *t) {
    return t->capacity * 8 + t->ends_room * 8 + t->arena_room;
}

static inline uint64_t zj_strings_hash(const zj_strings *t, const uint8_t *p, size_t n) {
    return zj_hash64(&t->key, p, n);
}

static inline uint64_t zj_strings_home(const zj_strings *t, uint64_t hash) {
    return (uint64_t)((uint32_t)(hash >> 32)) >> t->shift;
}

static inline void zj_strings_prefetch(const zj_strings *t, uint64_t hash) {
    __builtin_prefetch(&t->slots[zj_strings_home(t, hash)]);
}

static inline const uint8_t *zj_strings_get(const zj_strings *t, uint32_t code, size_t *n) {
    uint64_t start = code ? t->ends[code - 1] : 0;
    *n = (size_t)(t->ends[code] - start);
    return t->arena + start;
}

static inline int zj_strings_equal(const zj_strings *t, uint32_t code, const uint8_t *p, size_t n) {
    size_t have;
    const uint8_t *q = zj_strings_get(t, code, &have);
    return have == n && (n == 0 || memcmp(p, q, n) == 0);
}

/* -1 when absent. */
static inline int64_t zj_strings_find_hashed(const zj_strings *t, const uint8_t *p, size_t n,
                                             uint64_t hash) {
    const uint64_t mask = t->capacity - 1;
    const uint64_t tag = hash >> 32;
    for (uint64_t i = zj_strings_home(t, hash);; i = (i + 1) & mask) {
        const uint64_t slot = t->slots[i];
        if (slot == 0) return -1;
        if ((slot >> 32) == tag) {
            const uint32_t code = (uint32_t)slot - 1u;
            if (zj_strings_equal(t, code, p, n)) return code;
        }
    }
}

static inline int zj_strings_grow_slots(zj_strings *t, uint64_t capacity) {
    uint64_t *slots;
    int bits = 0;
    if (capacity > ((uint64_t)1 << 32) || capacity > SIZE_MAX / 8) return -1;
    slots = (uint64_t *)calloc((size_t)capacity, sizeof(uint64_t));
    if (!slots) return -1;
    while (((uint64_t)1 << bits) < capacity) bits++;
    for (uint64_t i = 0; i < t->capacity; i++) {
        const uint64_t slot = t->slots[i];
        if (!slot) continue;
        uint64_t at = (slot >> 32) >> (32 - bits);
        while (slots[at]) at = (at + 1) & (capacity - 1);
        slots[at] = slot;
    }
    free(t->slots);
    t->slots = slots;
    t->capacity = capacity;
    t->shift = 32 - bits;
    return 0;
}

/* Room for `strings` more strings of `bytes` bytes in all. 0, or -1 on a failed allocation. */
static inline int zj_strings_reserve(zj_strings *t, uint64_t strings, uint64_t bytes) {
    uint64_t capacity = t->capacity;
    if (strings > ZJ_STRINGS_MAX - t->count) return -1;
    if (bytes > (uint64_t)(SIZE_MAX / 4) - t->arena_used) return -1;
    if (t->count + strings > t->ends_room) {
        uint64_t room = t->ends_room + t->ends_room / 2 + 16;
        if (room < t->count + strings) room = t->count + strings;
        uint64_t *ends = (uint64_t *)realloc(t->ends, (size_t)(room * 8));
        if (!ends) return -1;
        t->ends = ends;
        t->ends_room = room;
    }
    if (t->arena_used + bytes > t->arena_room) {
        uint64_t room = t->arena_room + t->arena_room / 2 + 256;
        if (room < t->arena_used + bytes) room = t->arena_used + bytes;
        uint8_t *arena = (uint8_t *)realloc(t->arena, (size_t)room);
        if (!arena) return -1;
        t->arena = arena;
        t->arena_room = room;
    }
    while ((t->count + strings) * 4 > capacity * 3) capacity *= 2;
    return capacity == t->capacity ? 0 : zj_strings_grow_slots(t, capacity);
}

/* Code of p[0..n), inserted when new; ZJ_NO_CODE when memory or codes run out.
 * REQUIRES: hash == zj_strings_hash(t, p, n); p does not point into this table's arena. */
static inline uint32_t zj_strings_intern_hashed(zj_strings *t, const uint8_t *p, size_t n,
                                                uint64_t hash) {
    const uint64_t tag = hash >> 32;
    uint64_t mask = t->capacity - 1;
    uint64_t i = zj_strings_home(t, hash);
    for (;; i = (i + 1) & mask) {
        const uint64_t slot = t->slots[i];
        if (slot == 0) break;
        if ((slot >> 32) == tag) {
            const uint32_t code = (uint32_t)slot - 1u;
            if (zj_strings_equal(t, code, p, n)) return code;
        }
    }
    const uint64_t before = t->capacity;
    if (zj_strings_reserve(t, 1, n) != 0) return ZJ_NO_CODE;
    if (t->capacity != before) {
        mask = t->capacity - 1;
        for (i = zj_strings_home(t, hash); t->slots[i]; i = (i + 1) & mask) {
        }
    }
    const uint32_t code = (uint32_t)t->count;
    if (n) memcpy(t->arena + t->arena_used, p, n);
    t->arena_used += n;
    t->ends[code] = t->arena_used;
    t->slots[i] = (tag << 32) | ((uint64_t)code + 1u);
    t->count++;
    return code;
}

static inline uint32_t zj_strings_intern(zj_strings *t, const uint8_t *p, size_t n) {
    return zj_strings_intern_hashed(t, p, n, zj_strings_hash(t, p, n));
}

/* Strings hashed ahead of being looked up, so that their cache misses overlap. */
#define ZJ_STRINGS_AHEAD 16

/* 0, or -1 when memory or codes ran out (the strings before are interned).
 * REQUIRES: offsets are checked: 0 <= offsets[i] <= offsets[i+1] <= length of data. */
static inline int zj_strings_intern_bulk(zj_strings *t, const uint8_t *data, const int64_t *offsets,
                                         size_t n, uint32_t *out) {
    uint64_t hashes[ZJ_STRINGS_AHEAD];
    for (size_t at = 0; at < n; at += ZJ_STRINGS_AHEAD) {
        const size_t m = n - at < ZJ_STRINGS_AHEAD ? n - at : ZJ_STRINGS_AHEAD;
        for (size_t j = 0; j < m; j++) {
            const int64_t start = offsets[at + j];
            hashes[j] = zj_strings_hash(t, data + start, (size_t)(offsets[at + j + 1] - start));
            zj_strings_prefetch(t, hashes[j]);
        }
        for (size_t j = 0; j < m; j++) {
            const int64_t start = offsets[at + j];
            const uint32_t code = zj_strings_intern_hashed(
                t, data + start, (size_t)(offsets[at + j + 1] - start), hashes[j]);
            if (code == ZJ_NO_CODE) return -1;
            out[at + j] = code;
        }
    }
    return 0;
}

/* REQUIRES: as zj_strings_intern_bulk. */
static inline void zj_strings_find_bulk(const zj_strings *t, const uint8_t *data,
                                        const int64_t *offsets, size_t n, int64_t *out) {
    uint64_t hashes[ZJ_STRINGS_AHEAD];
    for (size_t at = 0; at < n; at += ZJ_STRINGS_AHEAD) {
        const size_t m = n - at < ZJ_STRINGS_AHEAD ? n - at : ZJ_STRINGS_AHEAD;
        for (size_t j = 0; j < m; j++) {
            const int64_t start = offsets[at + j];
            hashes[j] = zj_strings_hash(t, data + start, (size_t)(offsets[at + j + 1] - start));
            zj_strings_prefetch(t, hashes[j]);
        }
        for (size_t j = 0; j < m; j++) {
            const int64_t start = offsets[at + j];
            out[at + j] = zj_strings_find_hashed(t, data + start,
                                                 (size_t)(offsets[at + j + 1] - start), hashes[j]);
        }
    }
}

/* 1 when 0 <= offsets[0] <= offsets[1] <= ... <= offsets[n] <= bytes. */
static inline int zj_offsets_valid(const int64_t *offsets, size_t n, int64_t bytes) {
    int64_t bad = offsets[0] < 0;
    for (size_t i = 0; i < n; i++) bad |= offsets[i + 1] < offsets[i];
    return !bad && offsets[n] <= bytes;
}

#endif
