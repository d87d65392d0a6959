/* Numbers of 64-bit keys, in the order in which they are met first: 0, 1, 2, …
 *
 * An open hash table of numbers, at most half full; the keys stand in an array by number. Keys are spread by
 * a multiplication (Knuth, TAOCP 6.4), whose high bits depend on all bits of the key.
 * Memory: 8 bytes a key and 8 to 16 of table. O(keys).
 */
#ifndef ZUJI_KEY_NUMBERS_H
#define ZUJI_KEY_NUMBERS_H

#include "lanes.h"

#define ZN_FREE 0xFFFFFFFFu

typedef struct {
    int64_t *key;    /* [room], by number */
    uint32_t *slot;  /* [2 * room]: a number, or ZN_FREE */
    uint32_t count, room;
    int shift;       /* 64 - log2(slots) */
} zn_table;

static void zn_close(zn_table *t) {
    free(t->key);
    free(t->slot);
}

ZJ_INLINE size_t zn_home(const zn_table *t, int64_t key) {
    return (size_t)((uint64_t)key * 0x9E3779B97F4A7C15ull >> t->shift);
}

/* Twice the room. The table is left as it was when there is no memory. */
static int zn_grow(zn_table *t) {
    const uint32_t room = t->room ? 2 * t->room : 1024;
    if (room > 1u << 30) return ZJ_NO_MEMORY;
    const size_t slots = 2 * (size_t)room;
    uint32_t *slot = (uint32_t *)malloc(slots * sizeof(uint32_t));
    int64_t *key = slot ? (int64_t *)realloc(t->key, room * sizeof(int64_t)) : NULL;
    if (key == NULL) {
        free(slot);
        return ZJ_NO_MEMORY;
    }
    memset(slot, 0xFF, slots * sizeof(uint32_t));
    free(t->slot);
    t->key = key;
    t->slot = slot;
    t->room = room;
    t->shift = 64 - __builtin_ctzll(slots);
    for (uint32_t i = 0; i < t->count; i++) {
        size_t at = zn_home(t, key[i]);
        while (slot[at] != ZN_FREE) at = (at + 1) & (slots - 1);
        slot[at] = i;
    }
    return ZJ_OK;
}

/* out[i] = number of key[i]. Keys numbered before it fails stay. */
static int zn_numbers(zn_table *t, const int64_t *key, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++) {
        if (t->count == t->room && zn_grow(t) != ZJ_OK) return ZJ_NO_MEMORY;
        const size_t mask = 2 * (size_t)t->room - 1;
        size_t at = zn_home(t, key[i]);
        while (t->slot[at] != ZN_FREE && t->key[t->slot[at]] != key[i]) at = (at + 1) & mask;
        if (t->slot[at] == ZN_FREE) {
            t->key[t->count] = key[i];
            t->slot[at] = t->count++;
        }
        out[i] = t->slot[at];
    }
    return ZJ_OK;
}

#endif
