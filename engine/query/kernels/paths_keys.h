/* Keys of session paths as they are met, and how many fall in each bucket of their hash.
 *
 * A path is its codes + 1, a byte or two each, filled up with 0: the key *is* the path, so two paths
 * never share a count. Keys have 1 to ZP_MAX_WORDS words. There are nearly as many paths as sessions,
 * so they are not counted one by one: they are only noted. The sessions of a bucket bound those of each
 * path in it, and what lies in buckets below the n-th best need never be counted (see paths_table.h).
 * Salted, since a sender may choose names.
 */
#ifndef ZUJI_PATHS_KEYS_H
#define ZUJI_PATHS_KEYS_H

#include "lanes.h"

enum { ZP_MAX_WORDS = 5, ZP_BUCKETS = 1 << 14, ZP_CHUNK = 1 << 14 };

/* [capacity, words + 1]: key, count; count 0 = free. The capacity is 0 or a power of two. */
typedef struct {
    uint64_t *slot;
    size_t capacity, used;
} zp_set;

typedef struct zp_chunk {
    struct zp_chunk *before;
    size_t n, room;
    uint64_t key[];
} zp_chunk;

typedef struct {
    zp_chunk *last;    /* keys noted, a session each */
    zp_set counted;    /* keys counted when memory ran short */
    uint32_t *bound;   /* [ZP_BUCKETS] sessions */
    uint64_t salt, sessions;
    size_t bytes, limit; /* held and allowed */
    int words;
    size_t width; /* bytes of a code */
} zp_keys;

ZJ_INLINE uint64_t zp_mix(uint64_t a, uint64_t b) {
    unsigned __int128 x = (unsigned __int128)a * b;
    return (uint64_t)x ^ (uint64_t)(x >> 64);
}

ZJ_INLINE uint64_t zp_hash(const uint64_t *key, const int words, uint64_t salt) {
    uint64_t h = salt;
    for (int w = 0; w < words; w++) h = zp_mix(h ^ key[w], 0x9E3779B97F4A7C15ull);
    return h ^ h >> 29;
}

ZJ_INLINE size_t zp_bucket(uint64_t hash) { return (size_t)(hash >> 50); } /* sets use the low bits */

ZJ_INLINE int zp_same(const uint64_t *a, const uint64_t *b, const int words) {
    uint64_t differ = 0;
    for (int w = 0; w < words; w++) differ |= a[w] ^ b[w];
    return differ == 0;
}

/* Slot of a key, or the free slot where it belongs. REQUIRES: the set has slots. */
ZJ_INLINE uint64_t *zp_find(const zp_set *set, const uint64_t *key, uint64_t hash, const int words) {
    const size_t mask = set->capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        uint64_t *slot = set->slot + i * (size_t)(words + 1);
        if (slot[words] == 0 || zp_same(slot, key, words)) return slot;
    }
}

/* Room for `more` keys in a set that takes at most `limit` bytes. */
static int zp_reserve(zp_set *set, size_t more, int words, uint64_t salt, size_t limit) {
    const size_t width = (size_t)words + 1, keys = set->used + more;
    const zp_set old = *set;
    size_t capacity = old.capacity ? old.capacity : 256;
    if (keys * 10 <= old.capacity * 7) return ZJ_OK;
    while (keys * 10 > capacity * 7) capacity *= 2;
    if ((capacity + old.capacity) * width * 8 > limit) return ZJ_NO_MEMORY;
    uint64_t *slot = (uint64_t *)calloc(capacity * width, 8);
    if (slot == NULL) return ZJ_NO_MEMORY;
    set->slot = slot;
    set->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        const uint64_t *from = old.slot + i * width;
        if (from[words]) memcpy(zp_find(set, from, zp_hash(from, words, salt), words), from, width * 8);
    }
    free(old.slot);
    return ZJ_OK;
}

/* Adds `sessions` of a key. REQUIRES: room for one more. */
ZJ_INLINE void zp_add(zp_set *set, const uint64_t *key, uint64_t hash, uint64_t sessions, const int words) {
    uint64_t *slot = zp_find(set, key, hash, words);
    if (slot[words] == 0) {
        for (int w = 0; w < words; w++) slot[w] = key[w];
        set->used++;
    }
    slot[words] += sessions;
}

static int zp_open(zp_keys *k, int steps, size_t width, uint64_t salt, size_t limit) {
    memset(k, 0, sizeof *k);
    k->words = (steps * (int)width + 7) / 8;
    k->width = width;
    k->salt = salt;
    k->limit = limit;
    k->bound = (uint32_t *)calloc(ZP_BUCKETS, sizeof *k->bound);
    k->bytes = ZP_BUCKETS * sizeof *k->bound;
    return k->bound == NULL || k->bytes > limit ? ZJ_NO_MEMORY : ZJ_OK;
}

static void zp_free_chunks(zp_keys *k) {
    while (k->last) {
        zp_chunk *before = k->last->before;
        free(k->last);
        k->last = before;
    }
}

static void zp_close(zp_keys *k) {
    zp_free_chunks(k);
    free(k->counted.slot);
    free(k->bound);
    memset(k, 0, sizeof *k);
}

/* Counts all noted keys: less memory where paths come again. */
static int zp_condense(zp_keys *k) {
    const size_t width = (size_t)k->words + 1;
    for (zp_chunk *c = k->last; c; c = c->before) {
        for (size_t i = 0; i < c->n; i++) {
            const uint64_t *key = c->key + i * (size_t)k->words;
            if (zp_reserve(&k->counted, 1, k->words, k->salt, k->limit / 2) != ZJ_OK) return ZJ_NO_MEMORY;
            zp_add(&k->counted, key, zp_hash(key, k->words, k->salt), 1, k->words);
        }
    }
    zp_free_chunks(k);
    k->bytes = ZP_BUCKETS * sizeof *k->bound + k->counted.capacity * width * 8;
    return ZJ_OK;
}

/* Room for n keys in the last chunk. When chunks take the half of the memory that they may, they are
 * counted. */
static int zp_room(zp_keys *k, size_t n) {
    if (k->last && k->last->n + n <= k->last->room) return ZJ_OK;
    const size_t room = n > ZP_CHUNK ? n : ZP_CHUNK;
    const size_t size = sizeof(zp_chunk) + room * (size_t)k->words * 8;
    const size_t set = k->counted.capacity * ((size_t)k->words + 1) * 8;
    if (k->bytes - set + size > k->limit / 2 && zp_condense(k) != ZJ_OK) return ZJ_NO_MEMORY;
    if (k->bytes + size > k->limit) return ZJ_NO_MEMORY;
    zp_chunk *chunk = (zp_chunk *)malloc(size);
    if (chunk == NULL) return ZJ_NO_MEMORY;
    chunk->before = k->last;
    chunk->room = room;
    chunk->n = 0;
    k->last = chunk;
    k->bytes += size;
    return ZJ_OK;
}

/* The next n keys were written to the last chunk: a session each. */
ZJ_INLINE void zp_note(zp_keys *k, size_t n, const int words) {
    const uint64_t *key = k->last->key + k->last->n * (size_t)words;
    for (size_t i = 0; i < n; i++, key += words) k->bound[zp_bucket(zp_hash(key, words, k->salt))]++;
    k->last->n += n;
    k->sessions += n;
}

#endif
