/* Whose each device is: of a device with one customer for ever, he and the first moment at which they were seen
 * together. A device is a place, shard << 32 | code, as a customer is (links.py).
 *
 * numbers[shard][code]: number of the device's entry, 0: nothing is known of it; 4 bytes for each code up to the
 *     greatest that is a device.
 * entries: 12 bytes: the customer (u32 ordinal, u16 shard) and the moment (48 bits, ms UTC + 2^47). A moment of
 *     0 is none: the entry is free (ordinal: the next free one), or, with ordinal FACTS, of a device of which
 *     more is known (elsewhere).
 * Not thread-safe. A failed allocation leaves the table as it was.
 */
#ifndef ZUJI_OWNED_H
#define ZUJI_OWNED_H

#include "area.h"

#define ZJ_OWNED_FACTS UINT32_MAX
#define ZJ_OWNED_ITSELF ((int64_t)-1)
#define ZJ_OWNED_AHEAD 24
#define ZJ_OWNED_LOWEST (-((int64_t)1 << 47) + 1)
#define ZJ_OWNED_HIGHEST (((int64_t)1 << 47) - 1)

/* What telling did. */
enum { ZJ_TOLD_KNOWN, ZJ_TOLD_NEW, ZJ_TOLD_EARLIER, ZJ_TOLD_OTHER };

typedef struct {
    uint32_t ordinal;
    uint16_t shard;
    uint16_t first_high;
    uint32_t first_low;
} zj_owned_entry;

typedef struct {
    zj_area *numbers; /* of each shard */
    uint64_t shards;
    zj_area entries;
    uint32_t used; /* entries, free ones and the entry 0 among them */
    uint32_t count; /* devices known */
    uint32_t free_one; /* 0: none */
} zj_owned;

static inline void zj_owned_free(zj_owned *t) {
    for (uint64_t i = 0; t->numbers && i < t->shards; i++) zj_area_free(&t->numbers[i]);
    free(t->numbers);
    zj_area_free(&t->entries);
    memset(t, 0, sizeof *t);
}

/* At least `bytes`, the new ones zero. 0, or -1. */
static inline int zj_owned_grow(zj_area *area, uint64_t bytes) {
    const uint64_t before = area->room;
    if (bytes <= before) return 0;
    if (zj_area_grow(area, bytes + bytes / 8 + 1024) != 0) return -1;
    if (!area->mapped) memset(area->bytes + before, 0, area->room - before);
    return 0;
}

static inline int zj_owned_init(zj_owned *t, uint64_t shards) {
    memset(t, 0, sizeof *t);
    t->shards = shards;
    t->used = 1;
    t->numbers = (zj_area *)calloc(shards, sizeof *t->numbers);
    if (!t->numbers || zj_owned_grow(&t->entries, sizeof(zj_owned_entry)) != 0) {
        zj_owned_free(t);
        return -1;
    }
    return 0;
}

static inline uint64_t zj_owned_bytes(const zj_owned *t) {
    uint64_t bytes = t->used * sizeof(zj_owned_entry);
    for (uint64_t i = 0; i < t->shards; i++) bytes += t->numbers[i].room;
    return bytes;
}

static inline zj_owned_entry *zj_owned_at(const zj_owned *t, uint32_t number) {
    return (zj_owned_entry *)t->entries.bytes + number;
}

/* Where a place's number stands; NULL when it has none for sure. */
static inline uint32_t *zj_owned_slot(const zj_owned *t, int64_t at) {
    const uint64_t shard = (uint64_t)at >> 32, code = (uint64_t)at & UINT32_MAX;
    if (at < 0 || shard >= t->shards || (code + 1) * 4 > t->numbers[shard].room) return NULL;
    return (uint32_t *)t->numbers[shard].bytes + code;
}

static inline uint32_t zj_owned_number(const zj_owned *t, int64_t at) {
    const uint32_t *slot = zj_owned_slot(t, at);
    return slot ? *slot : 0;
}

static inline uint64_t zj_owned_moment(const zj_owned_entry *e) { return (uint64_t)e->first_high << 32 | e->first_low; }

static inline int64_t zj_owned_first(const zj_owned_entry *e) {
    return (int64_t)zj_owned_moment(e) - ((int64_t)1 << 47);
}

static inline int64_t zj_owned_place(const zj_owned_entry *e) {
    return zj_owned_moment(e) ? (int64_t)e->shard << 32 | e->ordinal : ZJ_OWNED_ITSELF;
}

static inline void zj_owned_put(zj_owned_entry *e, int64_t place, int64_t first) {
    const uint64_t moment = place < 0 ? 0 : (uint64_t)(first + ((int64_t)1 << 47));
    e->ordinal = place < 0 ? ZJ_OWNED_FACTS : (uint32_t)place;
    e->shard = place < 0 ? 0 : (uint16_t)(place >> 32);
    e->first_high = (uint16_t)(moment >> 32);
    e->first_low = (uint32_t)moment;
}

/* The number of a place, given to it when it has none; 0 when memory ran out. REQUIRES: its shard is one. */
static inline uint32_t zj_owned_make(zj_owned *t, int64_t at) {
    const uint64_t shard = (uint64_t)at >> 32, code = (uint64_t)at & UINT32_MAX;
    if (zj_owned_grow(&t->numbers[shard], (code + 1) * 4) != 0) return 0;
    uint32_t *slot = (uint32_t *)t->numbers[shard].bytes + code;
    if (*slot) return *slot;
    if (t->free_one) {
        *slot = t->free_one;
        t->free_one = zj_owned_at(t, *slot)->ordinal;
    } else {
        if (t->used == UINT32_MAX || zj_owned_grow(&t->entries, ((uint64_t)t->used + 1) * sizeof(zj_owned_entry)) != 0) return 0;
        *slot = t->used++;
    }
    t->count++;
    return *slot;
}

/* Devices were seen with customers at moments: states[i] says what that told. An entry is made of those seen for
 * the first time, and a moment that is earlier is taken. 0, or -1 when memory ran out. REQUIRES: places and
 * moments are valid. */
static inline int zj_owned_tell(zj_owned *t, const int64_t *at, const int64_t *place, const int64_t *time, size_t n,
                                uint8_t *states) {
    for (size_t i = 0; i < n; i++) {
        if (i + ZJ_OWNED_AHEAD < n) {
            const uint32_t *slot = zj_owned_slot(t, at[i + ZJ_OWNED_AHEAD]);
            if (slot) __builtin_prefetch(slot);
        }
        if (i + ZJ_OWNED_AHEAD / 2 < n)
            __builtin_prefetch(zj_owned_at(t, zj_owned_number(t, at[i + ZJ_OWNED_AHEAD / 2])));
        uint32_t number = zj_owned_number(t, at[i]);
        if (!number) {
            if (!(number = zj_owned_make(t, at[i]))) return -1;
            zj_owned_put(zj_owned_at(t, number), place[i], time[i]);
            states[i] = ZJ_TOLD_NEW;
            continue;
        }
        zj_owned_entry *e = zj_owned_at(t, number);
        if (zj_owned_place(e) != place[i]) {
            states[i] = ZJ_TOLD_OTHER;
        } else if (time[i] < zj_owned_first(e)) {
            zj_owned_put(e, place[i], time[i]);
            states[i] = ZJ_TOLD_EARLIER;
        } else {
            states[i] = ZJ_TOLD_KNOWN;
        }
    }
    return 0;
}

/* Owners (ITSELF: not one for ever, or nothing is known) and first moments (0 of those) of devices, and which are
 * known. Each may be NULL. */
static inline void zj_owned_look(const zj_owned *t, const int64_t *at, size_t n, int64_t *place, int64_t *first,
                                 uint8_t *known) {
    for (size_t i = 0; i < n; i++) {
        if (i + ZJ_OWNED_AHEAD < n) {
            const uint32_t *slot = zj_owned_slot(t, at[i + ZJ_OWNED_AHEAD]);
            if (slot) __builtin_prefetch(slot);
        }
        if (i + ZJ_OWNED_AHEAD / 2 < n)
            __builtin_prefetch(zj_owned_at(t, zj_owned_number(t, at[i + ZJ_OWNED_AHEAD / 2])));
        const uint32_t number = zj_owned_number(t, at[i]);
        const zj_owned_entry *e = zj_owned_at(t, number);
        const int one = number && zj_owned_moment(e);
        if (place) place[i] = one ? zj_owned_place(e) : ZJ_OWNED_ITSELF;
        if (first) first[i] = one ? zj_owned_first(e) : 0;
        if (known) known[i] = number != 0;
    }
}

/* Says of devices whose they are and since when; ITSELF: more is known of them elsewhere. 0, or -1. */
static inline int zj_owned_set(zj_owned *t, const int64_t *at, const int64_t *place, const int64_t *first, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t number = zj_owned_make(t, at[i]);
        if (!number) return -1;
        zj_owned_put(zj_owned_at(t, number), place[i], first[i]);
    }
    return 0;
}

/* Nothing is known of a device any more. */
static inline void zj_owned_clear(zj_owned *t, int64_t at) {
    uint32_t *slot = zj_owned_slot(t, at);
    if (!slot || !*slot) return;
    zj_owned_entry *e = zj_owned_at(t, *slot);
    memset(e, 0, sizeof *e);
    e->ordinal = t->free_one;
    t->free_one = *slot;
    *slot = 0;
    t->count--;
}

/* A device has another place from now on. 0, or -1. REQUIRES: nothing is known of the new one. */
static inline int zj_owned_move(zj_owned *t, int64_t from, int64_t to) {
    const uint64_t shard = (uint64_t)to >> 32, code = (uint64_t)to & UINT32_MAX;
    if (zj_owned_grow(&t->numbers[shard], (code + 1) * 4) != 0) return -1;
    uint32_t *slot = zj_owned_slot(t, from);
    if (!slot) return 0;
    ((uint32_t *)t->numbers[shard].bytes)[code] = *slot;
    *slot = 0;
    return 0;
}

#endif
