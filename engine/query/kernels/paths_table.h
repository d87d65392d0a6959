/* Exact counts of some paths: those whose hash falls in wanted buckets.
 *
 * A path has at most the sessions of its bucket, over all shards; so once n paths with t sessions or
 * more are known, all paths that may be among the n best lie in the buckets of t or more. Few do: their
 * table stays in the cache, however many different paths there are.
 * Open addressing, linear probing, at most 7/10 full.
 */
#ifndef ZUJI_PATHS_TABLE_H
#define ZUJI_PATHS_TABLE_H

#include "paths_keys.h"

#define ZP_BATCH 64

ZJ_INLINE int zp_wanted(const uint64_t *wanted, uint64_t hash) {
    const size_t bucket = zp_bucket(hash);
    return (int)(wanted[bucket >> 6] >> (bucket & 63) & 1);
}

/* Adds m keys by their addresses. Their slots are on the way before the first is needed. */
ZJ_INLINE int zp_add_batch(const zp_keys *k, zp_set *set, const uint64_t *const *key, const uint64_t *hash,
                           size_t m, const int words) {
    if (zp_reserve(set, m, words, k->salt, SIZE_MAX) != ZJ_OK) return ZJ_NO_MEMORY;
    for (size_t i = 0; i < m; i++)
        __builtin_prefetch(set->slot + ((size_t)hash[i] & (set->capacity - 1)) * (size_t)(words + 1), 1);
    for (size_t i = 0; i < m; i++) zp_add(set, key[i], hash[i], 1, words);
    return ZJ_OK;
}

ZJ_INLINE int zp_pick_w(const zp_keys *k, const uint64_t *wanted, zp_set *set, zj_guard *guard,
                        const int words) {
    const uint64_t *found[2 * ZP_BATCH];
    uint64_t hashes[2 * ZP_BATCH];
    size_t m = 0;
    for (const zp_chunk *c = k->last; c; c = c->before) {
        if (zj_stop(guard, (uint32_t)c->n)) return ZJ_CANCELLED;
        for (size_t from = 0; from < c->n; from += ZP_BATCH) {
            const size_t to = c->n - from < ZP_BATCH ? c->n : from + ZP_BATCH;
            for (size_t i = from; i < to; i++) { /* no branch: what is not wanted is overwritten */
                found[m] = c->key + i * (size_t)words;
                hashes[m] = zp_hash(found[m], words, k->salt);
                m += (size_t)zp_wanted(wanted, hashes[m]);
            }
            if (m < ZP_BATCH) continue;
            if (zp_add_batch(k, set, found, hashes, m, words) != ZJ_OK) return ZJ_NO_MEMORY;
            m = 0;
        }
    }
    return zp_add_batch(k, set, found, hashes, m, words);
}

/* Adds all of one set to another, as far as wanted (NULL: all). */
static int zp_join(const zp_keys *k, zp_set *set, const zp_set *more, const uint64_t *wanted) {
    const size_t width = (size_t)k->words + 1;
    for (size_t i = 0; i < more->capacity; i++) {
        const uint64_t *slot = more->slot + i * width;
        if (slot[k->words] == 0) continue;
        const uint64_t hash = zp_hash(slot, k->words, k->salt);
        if (wanted && !zp_wanted(wanted, hash)) continue;
        if (zp_reserve(set, 1, k->words, k->salt, SIZE_MAX) != ZJ_OK) return ZJ_NO_MEMORY;
        zp_add(set, slot, hash, slot[k->words], k->words);
    }
    return ZJ_OK;
}

/* Sessions of the paths in wanted buckets, to a set. */
static int zp_pick(const zp_keys *k, const uint64_t *wanted, zp_set *set, zj_guard *guard) {
    const int status = k->words == 1   ? zp_pick_w(k, wanted, set, guard, 1)
                       : k->words == 2 ? zp_pick_w(k, wanted, set, guard, 2)
                       : k->words == 3 ? zp_pick_w(k, wanted, set, guard, 3)
                                       : zp_pick_w(k, wanted, set, guard, k->words);
    return status == ZJ_OK ? zp_join(k, set, &k->counted, wanted) : status;
}

/* The most frequent: a heap with the least at the top. */
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
static int zp_lower(const zp_top *a, const zp_top *b, const zp_keys *k) {
    if (a->count != b->count) return a->count < b->count;
    for (int w = 0; w < k->words; w++)
        if (a->key[w] != b->key[w]) return zp_in_order(a->key[w], k->width) > zp_in_order(b->key[w], k->width);
    return 0;
}

static void zp_sink(zp_top *heap, size_t n, size_t at, const zp_keys *k) {
    for (;;) {
        size_t least = at;
        for (size_t c = 2 * at + 1; c <= 2 * at + 2 && c < n; c++)
            if (zp_lower(&heap[c], &heap[least], k)) least = c;
        if (least == at) return;
        zp_top swap = heap[at];
        heap[at] = heap[least];
        heap[least] = swap;
        at = least;
    }
}

/* Keeps the n best seen. */
static void zp_offer(zp_top *heap, size_t *have, size_t n, const zp_top *one, const zp_keys *k) {
    if (*have < n) {
        size_t i = (*have)++;
        for (; i > 0 && zp_lower(one, &heap[(i - 1) / 2], k); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
        heap[i] = *one;
    } else if (n && zp_lower(&heap[0], one, k)) {
        heap[0] = *one;
        zp_sink(heap, n, 0, k);
    }
}

/* Offers every path of a set. heap has room for n. */
static void zp_best(const zp_keys *k, const zp_set *set, zp_top *heap, size_t *have, size_t n) {
    const size_t width = (size_t)k->words + 1;
    for (size_t i = 0; i < set->capacity; i++) {
        const uint64_t *slot = set->slot + i * width;
        if (slot[k->words] == 0 || (*have == n && n && slot[k->words] < heap[0].count)) continue;
        zp_top one = {slot[k->words], {0}};
        for (int w = 0; w < k->words; w++) one.key[w] = slot[w];
        zp_offer(heap, have, n, &one, k);
    }
}

#endif
