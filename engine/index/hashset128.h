/* Set of 128-bit keys: open addressing, linear probing, load <= 5/8, 16 bytes a slot.
 *
 * An empty slot is (0, 0); whether the key (0, 0) itself is in the set is a flag. Homes are a keyed
 * mix of both halves, so keys that a client can choose do not cluster.
 *
 * A set that is full gets twice the slots, and its keys go there a few with each one added: moving
 * millions at once, into memory that the kernel has yet to clear, stopped the writer for a quarter of a
 * second. They go cluster by cluster in the order of the old slots, from an empty one round to it, which
 * is the order of the new ones, too. So a key is in the new slots when the home that it had in the old
 * ones was passed, and else, be it new or not, in the old ones: one look-up finds it.
 * Not thread-safe. A failed allocation leaves the set as it was.
 */
#ifndef ZUJI_HASHSET128_H
#define ZUJI_HASHSET128_H

#include <stdlib.h>

#include "area.h"
#include "hash64.h"

#define ZJ_SET_MIN_SLOTS 64u
#define ZJ_SET_AHEAD 16
#define ZJ_SET_STEP 8 /* old slots passed for each key added: the old ones are at most 3/4 full then */

typedef struct {
    uint64_t hi, lo;
} zj_key128;

typedef struct {
    zj_hash_key key;
    zj_key128 *slots;
    zj_area area; /* of the slots */
    uint64_t capacity;
    uint64_t count; /* without the key (0, 0) */
    int has_zero;
    int shift; /* 64 - log2(capacity) */
    /* While keys move, else old is NULL. What was passed is empty, but for keys that came round the end. */
    zj_key128 *old;
    zj_area old_area;
    uint64_t old_capacity;
    uint64_t start; /* old slot that was empty at first */
    uint64_t moved; /* old slots passed, from start on */
    int old_shift;
} zj_set128;

/* So many empty slots. What they hold now is the caller's to free. 0, or -1 and nothing changed. */
static inline int zj_set128_slots(zj_set128 *t, uint64_t capacity) {
    zj_area area = {NULL, 0, 0};
    const size_t bytes = (size_t)capacity * sizeof(zj_key128);
    if (zj_area_grow(&area, bytes) != 0) return -1;
    if (!area.mapped) memset(area.bytes, 0, bytes);
    t->area = area;
    t->slots = (zj_key128 *)area.bytes;
    return 0;
}

static inline int zj_set128_init(zj_set128 *t, uint64_t salt) {
    memset(t, 0, sizeof *t);
    t->key = zj_hash_key_of(salt);
    t->capacity = ZJ_SET_MIN_SLOTS;
    t->shift = 64 - 6;
    return zj_set128_slots(t, t->capacity);
}

static inline void zj_set128_free(zj_set128 *t) {
    zj_area_free(&t->area);
    if (t->old) zj_area_free(&t->old_area);
    memset(t, 0, sizeof *t);
}

static inline uint64_t zj_set128_hash(const zj_set128 *t, uint64_t hi, uint64_t lo) {
    return zj_mix(zj_mix(hi ^ t->key.s[0], lo ^ t->key.s[1]) ^ t->key.s[2], lo + t->key.s[3]);
}

/* Where an old slot is, counted from the one where moving began. */
static inline uint64_t zj_set128_place(const zj_set128 *t, uint64_t slot) {
    return (slot - t->start) & (t->old_capacity - 1);
}

/* Whether a key belongs to the old slots still. */
static inline int zj_set128_is_old(const zj_set128 *t, uint64_t hash) {
    return t->old && zj_set128_place(t, hash >> t->old_shift) >= t->moved;
}

/* The key's home. */
static inline zj_key128 *zj_set128_home(const zj_set128 *t, uint64_t hash) {
    return zj_set128_is_old(t, hash) ? &t->old[hash >> t->old_shift] : &t->slots[hash >> t->shift];
}

static inline zj_key128 *zj_set128_probe(zj_key128 *slots, uint64_t mask, uint64_t home, uint64_t hi,
                                         uint64_t lo) {
    for (uint64_t i = home;; i = (i + 1) & mask) {
        zj_key128 *s = &slots[i];
        if ((s->hi == hi && s->lo == lo) || (s->hi | s->lo) == 0) return s;
    }
}

/* Slot of the key, or the empty slot where it belongs. REQUIRES: the key is not (0, 0). */
static inline zj_key128 *zj_set128_slot(const zj_set128 *t, uint64_t hi, uint64_t lo,
                                        uint64_t hash) {
    if (zj_set128_is_old(t, hash))
        return zj_set128_probe(t->old, t->old_capacity - 1, hash >> t->old_shift, hi, lo);
    return zj_set128_probe(t->slots, t->capacity - 1, hash >> t->shift, hi, lo);
}

/* Empties an old slot into the new ones; 0 when it was empty. */
static inline int zj_set128_move_one(zj_set128 *t, uint64_t slot) {
    const zj_key128 k = t->old[slot];
    if ((k.hi | k.lo) == 0) return 0;
    const uint64_t home = zj_set128_hash(t, k.hi, k.lo) >> t->shift;
    *zj_set128_probe(t->slots, t->capacity - 1, home, k.hi, k.lo) = k;
    t->old[slot].hi = t->old[slot].lo = 0;
    return 1;
}

/* Passes so many old slots at least, and ends behind an empty one: clusters move whole. */
static inline void zj_set128_move(zj_set128 *t, uint64_t slots) {
    if (!t->old) return;
    const uint64_t mask = t->old_capacity - 1;
    for (uint64_t done = 0; t->moved < t->old_capacity; done++) {
        const int there = zj_set128_move_one(t, (t->start + t->moved++) & mask);
        if (!there && done >= slots) return;
    }
    for (uint64_t i = t->start; zj_set128_move_one(t, i & mask); i++) {} /* what came round the end */
    zj_area_free(&t->old_area);
    t->old = NULL;
    t->old_capacity = t->moved = t->start = 0;
}

/* Room for so many more keys. 0, or -1 and nothing is lost. */
static inline int zj_set128_reserve(zj_set128 *t, uint64_t more) {
    uint64_t capacity = t->capacity;
    const zj_area before_area = t->area;
    zj_key128 *before_slots = t->slots;
    const uint64_t before = t->capacity;
    const int before_shift = t->shift;
    if (more > ((uint64_t)1 << 40) - t->count) return -1;
    while ((t->count + more) * 8 > capacity * 5) capacity *= 2;
    if (capacity == before) return 0;
    if (capacity > SIZE_MAX / sizeof(zj_key128)) return -1;
    zj_set128_move(t, UINT64_MAX); /* what moves is there before the next move begins */
    if (zj_set128_slots(t, capacity) != 0) return -1;
    t->capacity = capacity;
    t->shift = 64 - __builtin_ctzll(capacity);
    t->old = before_slots;
    t->old_area = before_area;
    t->old_capacity = before;
    t->old_shift = before_shift;
    t->start = t->moved = 0;
    while (t->old[t->start].hi | t->old[t->start].lo) t->start++; /* at most 5/8 are taken */
    if (before == ZJ_SET_MIN_SLOTS) zj_set128_move(t, UINT64_MAX); /* not worth the while */
    return 0;
}

/* Whether a new key at an old slot would stand, from round the end, before keys that move first: they
 * would leave a gap in its cluster. */
static inline int zj_set128_in_the_way(const zj_set128 *t, const zj_key128 *slot, uint64_t hash) {
    if (!zj_set128_is_old(t, hash)) return 0;
    const uint64_t place = zj_set128_place(t, (uint64_t)(slot - t->old));
    return place >= t->moved && place < zj_set128_place(t, hash >> t->old_shift);
}

/* Adds the keys but those with skip[i] != 0 (skip may be NULL): added[i] = 1 when the key was not there; *fresh
 * of them. 0, or -1 when memory ran out at key *done. */
static inline int zj_set128_add_new(zj_set128 *t, const uint64_t *hi, const uint64_t *lo, size_t n,
                                    const uint8_t *skip, uint8_t *added, size_t *done, uint64_t *fresh) {
    uint64_t hashes[ZJ_SET_AHEAD];
    *fresh = 0;
    for (size_t at = 0; at < n; at += ZJ_SET_AHEAD) {
        const size_t m = n - at < ZJ_SET_AHEAD ? n - at : ZJ_SET_AHEAD;
        *done = at;
        if (zj_set128_reserve(t, m) != 0) return -1;
        zj_set128_move(t, ZJ_SET_STEP * m);
        for (size_t j = 0; j < m; j++) {
            hashes[j] = zj_set128_hash(t, hi[at + j], lo[at + j]);
            __builtin_prefetch(zj_set128_home(t, hashes[j]), 1);
        }
        for (size_t j = 0; j < m; j++) {
            const uint64_t h = hi[at + j], l = lo[at + j];
            added[at + j] = 0;
            if (skip && skip[at + j]) continue;
            if ((h | l) == 0) {
                added[at + j] = (uint8_t)!t->has_zero;
                t->has_zero = 1;
            } else {
                zj_key128 *s = zj_set128_slot(t, h, l, hashes[j]);
                if ((s->hi | s->lo) == 0) {
                    if (zj_set128_in_the_way(t, s, hashes[j])) {
                        zj_set128_move(t, UINT64_MAX);
                        s = zj_set128_slot(t, h, l, hashes[j]);
                    }
                    added[at + j] = 1;
                    s->hi = h;
                    s->lo = l;
                    t->count++;
                }
            }
            *fresh += added[at + j];
        }
    }
    *done = n;
    return 0;
}

static inline int zj_set128_add(zj_set128 *t, const uint64_t *hi, const uint64_t *lo, size_t n, uint8_t *added,
                                size_t *done) {
    uint64_t fresh;
    return zj_set128_add_new(t, hi, lo, n, NULL, added, done, &fresh);
}

static inline void zj_set128_contains(const zj_set128 *t, const uint64_t *hi, const uint64_t *lo,
                                      size_t n, uint8_t *found) {
    uint64_t hashes[ZJ_SET_AHEAD];
    for (size_t at = 0; at < n; at += ZJ_SET_AHEAD) {
        const size_t m = n - at < ZJ_SET_AHEAD ? n - at : ZJ_SET_AHEAD;
        for (size_t j = 0; j < m; j++) {
            hashes[j] = zj_set128_hash(t, hi[at + j], lo[at + j]);
            __builtin_prefetch(zj_set128_home(t, hashes[j]));
        }
        for (size_t j = 0; j < m; j++) {
            const uint64_t h = hi[at + j], l = lo[at + j];
            if ((h | l) == 0) {
                found[at + j] = (uint8_t)t->has_zero;
                continue;
            }
            const zj_key128 *s = zj_set128_slot(t, h, l, hashes[j]);
            found[at + j] = (s->hi | s->lo) != 0;
        }
    }
}

/* Removes one key by shifting the rest of its cluster back; 1 when it was there. */
static inline int zj_set128_discard(zj_set128 *t, uint64_t hi, uint64_t lo) {
    if ((hi | lo) == 0) {
        const int had = t->has_zero;
        t->has_zero = 0;
        return had;
    }
    zj_set128_move(t, UINT64_MAX); /* what fails is taken back, and that is seldom */
    const uint64_t mask = t->capacity - 1;
    zj_key128 *s = zj_set128_slot(t, hi, lo, zj_set128_hash(t, hi, lo));
    if ((s->hi | s->lo) == 0) return 0;
    uint64_t hole = (uint64_t)(s - t->slots);
    for (uint64_t i = (hole + 1) & mask;; i = (i + 1) & mask) {
        const zj_key128 k = t->slots[i];
        if ((k.hi | k.lo) == 0) break;
        const uint64_t home = zj_set128_hash(t, k.hi, k.lo) >> t->shift;
        /* Move k into the hole unless its home lies cyclically in (hole, i]. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->slots[hole] = k;
            hole = i;
        }
    }
    t->slots[hole].hi = t->slots[hole].lo = 0;
    t->count--;
    return 1;
}

#endif
