/* Exact counts of paths: hash tables from packed paths to numbers of sessions.
 *
 * A path is its codes + 1, a byte or two each, filled up with 0: the key *is* the path, so two paths
 * never share a count. Keys have 1 to ZP_MAX_WORDS words. There are as many paths as users are
 * different, so one table would miss the cache at every session: keys are first put on piles by some
 * bits of their hash, each pile is then counted in a table of its own, which stays in the cache.
 * Open addressing, linear probing, at most 7/10 full; salted, since a sender may choose names.
 */
#ifndef ZUJI_PATHS_TABLE_H
#define ZUJI_PATHS_TABLE_H

#include "lanes.h"

enum { ZP_MAX_WORDS = 5, ZP_PARTS = 128, ZP_CHUNK = 1023, ZP_BATCH = 32 };

/* Keys to be counted: chunks of [address of the one before, ZP_CHUNK keys]; n are in the last. */
typedef struct {
    uint64_t *chunk;
    size_t n;
} zp_pile;

/* [capacity, words + 1]: key, count; count 0 = free. The capacity is 0 or a power of two. */
typedef struct {
    uint64_t *slot;
    size_t capacity, used;
} zp_set;

typedef struct {
    zp_pile pile[ZP_PARTS];
    zp_set set[ZP_PARTS];
    uint64_t salt, sessions;
    size_t used, bytes, limit; /* paths; bytes held and allowed */
    int words;
    size_t width; /* bytes of a code */
} zp_table;

ZJ_INLINE uint64_t zp_mix(uint64_t a, uint64_t b) {
    unsigned __int128 x = (unsigned __int128)a * b;
    return (uint64_t)x ^ (uint64_t)(x >> 64);
}

ZJ_INLINE uint64_t zp_hash(const uint64_t *key, const int words, uint64_t salt) {
    uint64_t h = salt;
    for (int w = 0; w < words; w++) h = zp_mix(h ^ key[w], 0x9E3779B97F4A7C15ull);
    return h ^ h >> 29;
}

ZJ_INLINE int zp_part(uint64_t hash) { return (int)(hash >> 57); } /* tables use the low bits */

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

static void zp_open(zp_table *t, int steps, size_t width, uint64_t salt, size_t limit) {
    memset(t, 0, sizeof *t);
    t->words = (steps * (int)width + 7) / 8;
    t->width = width;
    t->salt = salt;
    t->limit = limit;
}

static void zp_close(zp_table *t) {
    for (int p = 0; p < ZP_PARTS; p++) {
        free(t->set[p].slot);
        for (uint64_t *chunk = t->pile[p].chunk; chunk;) {
            uint64_t *before = (uint64_t *)(uintptr_t)chunk[0];
            free(chunk);
            chunk = before;
        }
    }
    memset(t, 0, sizeof *t);
}

/* Room for `paths` in all. */
ZJ_INLINE int zp_grow(zp_table *t, zp_set *set, size_t paths, const int words) {
    const size_t width = (size_t)words + 1;
    const zp_set old = *set;
    size_t capacity = old.capacity ? old.capacity : 256;
    while (paths * 10 > capacity * 7) capacity *= 2;
    if (capacity == old.capacity) return ZJ_OK;
    if (t->bytes + capacity * width * 8 > t->limit) return ZJ_NO_MEMORY;
    uint64_t *slot = (uint64_t *)calloc(capacity * width, 8);
    if (slot == NULL) return ZJ_NO_MEMORY;
    set->slot = slot;
    set->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        const uint64_t *from = old.slot + i * width;
        if (from[words]) memcpy(zp_find(set, from, zp_hash(from, words, t->salt), words), from, width * 8);
    }
    free(old.slot);
    t->bytes += (capacity - old.capacity) * width * 8;
    return ZJ_OK;
}

/* Counts n keys of one part. The slots of a batch are on their way before the first is needed. */
ZJ_INLINE int zp_count_keys(zp_table *t, zp_set *set, const uint64_t *keys, size_t n, const int words) {
    uint64_t hash[ZP_BATCH];
    for (size_t from = 0; from < n; from += ZP_BATCH) {
        const size_t m = n - from < ZP_BATCH ? n - from : ZP_BATCH;
        const uint64_t *key = keys + from * (size_t)words;
        if ((set->used + m) * 10 > set->capacity * 7 && zp_grow(t, set, set->used + m, words) != ZJ_OK)
            return ZJ_NO_MEMORY;
        for (size_t i = 0; i < m; i++) {
            hash[i] = zp_hash(key + i * (size_t)words, words, t->salt);
            __builtin_prefetch(set->slot + ((size_t)hash[i] & (set->capacity - 1)) * (size_t)(words + 1), 1);
        }
        for (size_t i = 0; i < m; i++, key += words) {
            uint64_t *slot = zp_find(set, key, hash[i], words);
            if (slot[words] == 0) {
                for (int w = 0; w < words; w++) slot[w] = key[w];
                set->used++;
                t->used++;
            }
            slot[words]++;
        }
    }
    return ZJ_OK;
}

/* Keys of a pile. */
static size_t zp_height(const zp_pile *pile) {
    size_t n = pile->chunk ? pile->n : 0;
    for (const uint64_t *chunk = pile->chunk; chunk && chunk[0]; chunk = (const uint64_t *)(uintptr_t)chunk[0])
        n += ZP_CHUNK;
    return n;
}

/* Counts all piles, which are empty afterwards. Piles are alike: how many of the keys of those before
 * were new says how large the next table will be. */
ZJ_INLINE int zp_settle_w(zp_table *t, zj_guard *guard, const int words) {
    const uint64_t keys = t->sessions, paths = t->used;
    for (int p = 0; p < ZP_PARTS; p++) {
        zp_pile *pile = &t->pile[p];
        if (t->sessions > keys) {
            const size_t more = (size_t)((double)zp_height(pile) * 1.05 * (double)(t->used - paths) /
                                         (double)(t->sessions - keys));
            (void)zp_grow(t, &t->set[p], t->set[p].used + more, words); /* else it grows as it needs */
        }
        while (pile->chunk) {
            uint64_t *chunk = pile->chunk;
            if (zj_stop(guard, ZP_CHUNK)) return ZJ_CANCELLED;
            if (zp_count_keys(t, &t->set[p], chunk + 1, pile->n, words) != ZJ_OK) return ZJ_NO_MEMORY;
            t->sessions += pile->n;
            pile->chunk = (uint64_t *)(uintptr_t)chunk[0];
            pile->n = ZP_CHUNK;
            free(chunk);
            t->bytes -= (1 + ZP_CHUNK * (size_t)words) * 8;
        }
    }
    return ZJ_OK;
}

/* A new chunk for a pile; when they take half of the memory, all are counted first. */
ZJ_INLINE int zp_more(zp_table *t, zp_pile *pile, zj_guard *guard, const int words) {
    const size_t size = (1 + ZP_CHUNK * (size_t)words) * 8;
    if (t->bytes + size > t->limit / 2) {
        const int status = zp_settle_w(t, guard, words);
        if (status != ZJ_OK) return status;
        if (t->bytes + size > t->limit) return ZJ_NO_MEMORY;
    }
    uint64_t *chunk = (uint64_t *)malloc(size);
    if (chunk == NULL) return ZJ_NO_MEMORY;
    chunk[0] = (uint64_t)(uintptr_t)pile->chunk;
    pile->chunk = chunk;
    pile->n = 0;
    t->bytes += size;
    return ZJ_OK;
}

/* Puts one session on its pile. */
ZJ_INLINE int zp_add(zp_table *t, const uint64_t *key, zj_guard *guard, const int words) {
    zp_pile *pile = &t->pile[zp_part(zp_hash(key, words, t->salt))];
    if (pile->chunk == NULL || pile->n == ZP_CHUNK) {
        const int status = zp_more(t, pile, guard, words);
        if (status != ZJ_OK) return status;
    }
    uint64_t *to = pile->chunk + 1 + pile->n++ * (size_t)words;
    for (int w = 0; w < words; w++) to[w] = key[w];
    return ZJ_OK;
}

/* Sessions of a path. */
static uint64_t zp_count(const zp_table *t, int part, const uint64_t *key, uint64_t hash) {
    const zp_set *set = &t->set[part];
    return set->capacity ? zp_find(set, key, hash, t->words)[t->words] : 0;
}

/* The most frequent of several tables together: a heap with the least at the top. */
typedef struct {
    uint64_t count;
    uint64_t key[ZP_MAX_WORDS];
} zp_top;

/* Words that compare as their codes do, first code first. */
static uint64_t zp_in_order(uint64_t word, size_t width) {
    word = __builtin_bswap64(word);
    return width == 1 ? word : (word & 0x00FF00FF00FF00FFull) << 8 | (word >> 8 & 0x00FF00FF00FF00FFull);
}

/* Whether a ranks below b: fewer sessions, or as many and a path that sorts later. */
static int zp_below(const zp_top *a, const zp_top *b, const zp_table *t) {
    if (a->count != b->count) return a->count < b->count;
    for (int w = 0; w < t->words; w++)
        if (a->key[w] != b->key[w]) return zp_in_order(a->key[w], t->width) > zp_in_order(b->key[w], t->width);
    return 0;
}

static void zp_sink(zp_top *heap, size_t n, size_t at, const zp_table *t) {
    for (;;) {
        size_t least = at;
        for (size_t c = 2 * at + 1; c <= 2 * at + 2 && c < n; c++)
            if (zp_below(&heap[c], &heap[least], t)) least = c;
        if (least == at) return;
        zp_top swap = heap[at];
        heap[at] = heap[least];
        heap[least] = swap;
        at = least;
    }
}

/* Keeps the n best seen. */
static void zp_offer(zp_top *heap, size_t *have, size_t n, const zp_top *one, const zp_table *t) {
    if (*have < n) {
        size_t i = (*have)++;
        for (; i > 0 && zp_below(one, &heap[(i - 1) / 2], t); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
        heap[i] = *one;
    } else if (n && zp_below(&heap[0], one, t)) {
        heap[0] = *one;
        zp_sink(heap, n, 0, t);
    }
}

/* One pass over all tables: paths with at least `least` sessions in one of them, summed over all.
 * REQUIRES: tables of one salt and one number of words, settled. heap has room for n. */
static int zp_top_pass(const zp_table *const *tables, int count, uint64_t least, size_t n, zp_top *heap,
                       size_t *have, zj_guard *guard) {
    const int words = tables[0]->words;
    const size_t width = (size_t)words + 1;
    *have = 0;
    for (int p = 0; p < ZP_PARTS; p++) {
        for (int t = 0; t < count; t++) {
            const zp_set *set = &tables[t]->set[p];
            if (zj_stop(guard, (uint32_t)set->capacity + 1)) return ZJ_CANCELLED;
            for (size_t i = 0; i < set->capacity; i++) {
                const uint64_t *slot = set->slot + i * width;
                if (slot[words] == 0 || slot[words] < least) continue;
                if (count == 1 && *have == n && slot[words] < heap[0].count) continue;
                zp_top one = {slot[words], {0}};
                const uint64_t hash = zp_hash(slot, words, tables[t]->salt);
                int seen = 0;
                for (int w = 0; w < words; w++) one.key[w] = slot[w];
                for (int o = 0; o < count && !seen; o++) {
                    if (o == t) continue;
                    const uint64_t there = zp_count(tables[o], p, slot, hash);
                    seen = o < t && there >= least && there > 0; /* it was offered from there */
                    one.count += there;
                }
                if (!seen) zp_offer(heap, have, n, &one, tables[0]);
            }
        }
    }
    return ZJ_OK;
}

/* The n most frequent paths. A path with s sessions in all has s / count or more in one table; the
 * best n of each table give a bound for s, and only what passes it is looked up elsewhere. */
static int zp_most(const zp_table *const *tables, int count, size_t n, zp_top *heap, size_t *have,
                   zj_guard *guard) {
    uint64_t least = 0;
    int status = ZJ_OK;
    *have = 0;
    for (int t = 0; t < count && status == ZJ_OK; t++) {
        size_t own = 0;
        status = zp_top_pass(&tables[t], 1, 0, n, heap, &own, guard);
        if (status == ZJ_OK && own == n && n && heap[0].count > least) least = heap[0].count;
    }
    if (status != ZJ_OK) return status;
    return zp_top_pass(tables, count, (least + (uint64_t)count - 1) / (uint64_t)count, n, heap, have, guard);
}

#endif
