/* Byte strings -> dense uint32 codes in order of first appearance.
 *
 * slots: open addressing, linear probing. One slot is a uint64: high 32 bits: the tag, which is the
 *     high half of the string's hash; low 32 bits: code + 1; the whole 0 = empty. The home of a string
 *     is the low bits of its tag.
 * parts: a table has one part, doubled up to ZJ_PART_SLOTS slots; a part of that size that fills up is
 *     split in two by the next leading bit of the tags (extendible hashing). So the longest pause of
 *     an insertion is the split of one part (10 to 14 ms measured), whatever the size of the table.
 *     homes[leading `depth` bits of the tag] are the slots of the part, owners[...] its number.
 *     Neither growing nor splitting reads a string.
 * arena: the strings end to end. String `code` starts at bases[code / 4096] + starts[code] and ends
 *     where code + 1 starts: 4 bytes a string, so one string has at most 1 MiB.
 *
 * Memory: 12 to 24 bytes a string (slots filled to 5/8 below ZJ_PART_SLOTS, to 11/16 … 13/16 above) + its bytes.
 * Not thread-safe. Pointers into the arena are valid until the next insertion.
 * A failed allocation leaves the table as it was.
 */
#ifndef ZUJI_STRINGTABLE_H
#define ZUJI_STRINGTABLE_H

#include <stdlib.h>

#include "area.h"
#include "hash64.h"

#define ZJ_NO_CODE UINT32_MAX
#define ZJ_STRINGS_MAX (UINT32_MAX - 1u) /* codes 0 .. 2^32-3 */
#define ZJ_STRING_BYTES_MAX ((uint64_t)1 << 20)
#define ZJ_STRINGS_MIN_SLOTS 64u
#define ZJ_PART_SLOTS 65536u
#define ZJ_PART_BYTES (ZJ_PART_SLOTS * sizeof(uint64_t))
#define ZJ_SLAB_PARTS (ZJ_AREA_HUGE / ZJ_PART_BYTES)
#define ZJ_DEPTH_MAX 16
#define ZJ_BASE_SHIFT 12
#define ZJ_BASE_STRINGS ((uint64_t)1 << ZJ_BASE_SHIFT)

typedef struct {
    uint64_t *slots;
    uint32_t count;
    uint32_t depth; /* leading bits that its tags share */
} zj_part;

typedef struct {
    zj_hash_key key;
    uint64_t **homes;
    uint32_t *owners;
    uint64_t mask; /* slots of a part - 1 */
    int shift;     /* 32 - log2(entries of homes) */
    uint64_t count;
    uint32_t *starts; /* count + 1 of them */
    uint64_t *bases;
    uint8_t *arena;
    uint64_t arena_used;
    zj_part *parts;
    uint64_t parts_used;
    uint64_t *small; /* the slots of the only part while it has fewer than ZJ_PART_SLOTS */
    zj_area starts_area, bases_area, arena_area, parts_area;
    zj_area slabs; /* of zj_area: what whole parts are cut from, each a huge page */
    uint64_t slabs_used, slab_left; /* parts left in the last slab */
} zj_strings;

static inline void zj_strings_free(zj_strings *t) {
    for (uint64_t i = 0; i < t->slabs_used; i++) zj_area_free((zj_area *)t->slabs.bytes + i);
    free(t->small);
    free(t->homes);
    free(t->owners);
    zj_area_free(&t->starts_area);
    zj_area_free(&t->bases_area);
    zj_area_free(&t->arena_area);
    zj_area_free(&t->parts_area);
    zj_area_free(&t->slabs);
    memset(t, 0, sizeof *t);
}

/* Room for `strings` more strings of `bytes` bytes in all. 0, or -1 on a failed allocation. */
static inline int zj_strings_reserve(zj_strings *t, uint64_t strings, uint64_t bytes) {
    if (strings > ZJ_STRINGS_MAX - t->count) return -1;
    if (bytes > (uint64_t)(SIZE_MAX / 8) - t->arena_used) return -1;
    const uint64_t codes = t->count + strings + 1, text = t->arena_used + bytes;
    const uint64_t blocks = codes / ZJ_BASE_STRINGS + 1;
    if (codes * 4 > t->starts_area.room) {
        const uint64_t room = t->starts_area.room + t->starts_area.room / 2 + 256;
        if (zj_area_grow(&t->starts_area, room < codes * 4 ? codes * 4 : room) != 0) return -1;
        t->starts = (uint32_t *)t->starts_area.bytes;
    }
    if (blocks * 8 > t->bases_area.room) {
        const uint64_t room = t->bases_area.room * 2 + 64;
        if (zj_area_grow(&t->bases_area, room < blocks * 8 ? blocks * 8 : room) != 0) return -1;
        t->bases = (uint64_t *)t->bases_area.bytes;
    }
    if (text > t->arena_area.room) {
        const uint64_t room = t->arena_area.room + t->arena_area.room / 2 + 256;
        if (zj_area_grow(&t->arena_area, room < text ? text : room) != 0) return -1;
        t->arena = t->arena_area.bytes;
    }
    return 0;
}

static inline int zj_strings_init(zj_strings *t, uint64_t salt) {
    memset(t, 0, sizeof *t);
    t->key = zj_hash_key_of(salt);
    t->mask = ZJ_STRINGS_MIN_SLOTS - 1;
    t->shift = 32;
    t->small = (uint64_t *)calloc(ZJ_STRINGS_MIN_SLOTS, sizeof(uint64_t));
    t->homes = (uint64_t **)malloc(sizeof *t->homes);
    t->owners = (uint32_t *)calloc(1, sizeof *t->owners);
    if (!t->small || !t->homes || !t->owners || zj_area_grow(&t->parts_area, sizeof(zj_part)) != 0 ||
        zj_strings_reserve(t, 0, 1) != 0) {
        zj_strings_free(t);
        return -1;
    }
    t->parts = (zj_part *)t->parts_area.bytes;
    t->parts[0] = (zj_part){t->small, 0, 0};
    t->parts_used = 1;
    t->homes[0] = t->small;
    t->bases[0] = 0;
    t->starts[0] = 0;
    return 0;
}

/* Bytes of memory in use. */
static inline uint64_t zj_strings_bytes(const zj_strings *t) {
    const uint64_t entries = (uint64_t)1 << (32 - t->shift);
    return t->parts_used * ((t->mask + 1) * 8 + sizeof(zj_part)) + entries * 12 +
           (t->count / ZJ_BASE_STRINGS + 1) * 8 + t->count * 4 + t->arena_used;
}

static inline uint64_t zj_strings_hash(const zj_strings *t, const uint8_t *p, size_t n) {
    return zj_hash64(&t->key, p, n);
}

/* Slots of the part that has the tag. */
static inline uint64_t *zj_strings_slots(const zj_strings *t, uint64_t tag) {
    return t->homes[tag >> t->shift];
}

static inline void zj_strings_prefetch(const zj_strings *t, uint64_t hash) {
    const uint64_t tag = hash >> 32;
    __builtin_prefetch(&zj_strings_slots(t, tag)[tag & t->mask]);
}

/* REQUIRES: code <= count; code == count is the end of the last string. */
static inline uint64_t zj_strings_start(const zj_strings *t, uint64_t code) {
    return t->bases[code >> ZJ_BASE_SHIFT] + t->starts[code];
}

static inline const uint8_t *zj_strings_get(const zj_strings *t, uint32_t code, size_t *n) {
    const uint64_t start = zj_strings_start(t, code);
    *n = (size_t)(zj_strings_start(t, (uint64_t)code + 1) - start);
    return t->arena + start;
}

/* Whether p[0..n) and q[0..n) are the same; short strings without a call. */
static inline int zj_same_bytes(const uint8_t *p, const uint8_t *q, size_t n) {
    if (n > 16) return memcmp(p, q, n) == 0;
    if (n >= 8)
        return ((zj_read64(p) ^ zj_read64(q)) | (zj_read64(p + n - 8) ^ zj_read64(q + n - 8))) == 0;
    if (n >= 4)
        return ((zj_read32(p) ^ zj_read32(q)) | (zj_read32(p + n - 4) ^ zj_read32(q + n - 4))) == 0;
    return n == 0 || (p[0] == q[0] && p[n >> 1] == q[n >> 1] && p[n - 1] == q[n - 1]);
}

static inline int zj_strings_equal(const zj_strings *t, uint32_t code, const uint8_t *p, size_t n) {
    size_t have;
    const uint8_t *q = zj_strings_get(t, code, &have);
    return have == n && zj_same_bytes(p, q, n);
}

/* -1 when absent. */
static inline int64_t zj_strings_find_hashed(const zj_strings *t, const uint8_t *p, size_t n,
                                             uint64_t hash) {
    const uint64_t tag = hash >> 32, mask = t->mask;
    const uint64_t *slots = zj_strings_slots(t, tag);
    for (uint64_t i = tag & mask;; i = (i + 1) & mask) {
        const uint64_t slot = slots[i];
        if (slot == 0) return -1;
        if ((slot >> 32) == tag) {
            const uint32_t code = (uint32_t)slot - 1u;
            if (zj_strings_equal(t, code, p, n)) return code;
        }
    }
}

static inline void zj_put_slot(uint64_t *slots, uint64_t mask, uint64_t slot) {
    uint64_t i = (slot >> 32) & mask;
    while (slots[i]) i = (i + 1) & mask;
    slots[i] = slot;
}

/* Slots for one more whole part, all empty; NULL when there is no memory. */
static inline uint64_t *zj_strings_new_slots(zj_strings *t) {
    if (t->slab_left == 0) {
        zj_area slab = {NULL, 0, 0};
        if ((t->slabs_used + 1) * sizeof slab > t->slabs.room &&
            zj_area_grow(&t->slabs, t->slabs.room * 2 + 16 * sizeof slab) != 0)
            return NULL;
        if (zj_area_grow(&slab, ZJ_AREA_HUGE) != 0) return NULL;
        if (!slab.mapped) memset(slab.bytes, 0, ZJ_AREA_HUGE);
        ((zj_area *)t->slabs.bytes)[t->slabs_used++] = slab;
        t->slab_left = ZJ_SLAB_PARTS;
    }
    const zj_area *slab = (zj_area *)t->slabs.bytes + (t->slabs_used - 1);
    return (uint64_t *)(slab->bytes + (ZJ_SLAB_PARTS - t->slab_left--) * ZJ_PART_BYTES);
}

/* Doubles the only part. 0, or -1. */
static inline int zj_strings_double(zj_strings *t) {
    const uint64_t slots = 2 * (t->mask + 1);
    const int whole = slots == ZJ_PART_SLOTS;
    uint64_t *grown = whole ? zj_strings_new_slots(t) : (uint64_t *)calloc(slots, sizeof *grown);
    if (!grown) return -1;
    for (uint64_t i = 0; i <= t->mask; i++)
        if (t->small[i]) zj_put_slot(grown, slots - 1, t->small[i]);
    free(t->small);
    t->small = whole ? NULL : grown;
    t->mask = slots - 1;
    t->homes[0] = t->parts[0].slots = grown;
    return 0;
}

/* Twice the entries of homes and owners. 0, or -1. */
static inline int zj_strings_deepen(zj_strings *t) {
    const uint64_t entries = (uint64_t)1 << (32 - t->shift);
    if (32 - t->shift == ZJ_DEPTH_MAX) return -1;
    uint64_t **homes = (uint64_t **)malloc(2 * entries * sizeof *homes);
    uint32_t *owners = (uint32_t *)malloc(2 * entries * sizeof *owners);
    if (!homes || !owners) {
        free(homes);
        free(owners);
        return -1;
    }
    for (uint64_t i = 0; i < entries; i++) {
        homes[2 * i] = homes[2 * i + 1] = t->homes[i];
        owners[2 * i] = owners[2 * i + 1] = t->owners[i];
    }
    free(t->homes);
    free(t->owners);
    t->homes = homes;
    t->owners = owners;
    t->shift--;
    return 0;
}

/* Gives an empty table the parts that `strings` strings will need. 0, or -1. */
static inline int zj_strings_expect(zj_strings *t, uint64_t strings) {
    int depth = 0;
    if (t->count || strings < ZJ_PART_SLOTS) return 0;
    while (t->mask + 1 < ZJ_PART_SLOTS)
        if (zj_strings_double(t) != 0) return -1;
    while (depth < ZJ_DEPTH_MAX && strings >> depth > ZJ_PART_SLOTS / 8 * 5) depth++;
    while (32 - t->shift < depth)
        if (zj_strings_deepen(t) != 0) return -1;
    if (zj_area_grow(&t->parts_area, sizeof(zj_part) << depth) != 0) return -1;
    t->parts = (zj_part *)t->parts_area.bytes;
    /* Parts that nothing leads to yet do no harm, should memory end before the last. */
    for (uint64_t i = t->parts_used; i < (uint64_t)1 << depth; i++) {
        uint64_t *slots = zj_strings_new_slots(t);
        if (!slots) return -1;
        t->parts[i] = (zj_part){slots, 0, (uint32_t)depth};
        t->parts_used = i + 1;
    }
    t->parts[0].depth = (uint32_t)depth;
    for (uint64_t i = 0; i < (uint64_t)1 << depth; i++) {
        t->homes[i] = t->parts[i].slots;
        t->owners[i] = (uint32_t)i;
    }
    return 0;
}

/* Strings at which a whole part is split: 11/16 to 13/16 of its slots, differently for each, as all
 * parts fill at one pace and would be split at one time. */
static inline uint32_t zj_part_limit(uint32_t number) {
    return ZJ_PART_SLOTS / 16 * 13 - (number * 0x9E3779B1u >> 19);
}

/* Splits the whole part that has the tag. 0, or -1. */
static inline int zj_strings_split(zj_strings *t, uint64_t tag) {
    const uint32_t number = t->owners[tag >> t->shift], depth = t->parts[number].depth;
    const uint64_t room = (t->parts_used + 1) * sizeof(zj_part);
    if (room > t->parts_area.room && zj_area_grow(&t->parts_area, 2 * room) != 0) return -1;
    t->parts = (zj_part *)t->parts_area.bytes;
    if (depth == (uint32_t)(32 - t->shift) && zj_strings_deepen(t) != 0) return -1;
    uint64_t *old = (uint64_t *)malloc(ZJ_PART_BYTES), *upper;
    if (!old) return -1;
    if (!(upper = zj_strings_new_slots(t))) {
        free(old);
        return -1;
    }
    zj_part *part = &t->parts[number];
    const uint32_t before = part->count;
    uint32_t moved = 0;
    memcpy(old, part->slots, ZJ_PART_BYTES);
    memset(part->slots, 0, ZJ_PART_BYTES);
    for (uint64_t i = 0; i < ZJ_PART_SLOTS; i++) {
        if (!old[i]) continue;
        const uint64_t high = old[i] >> (63 - depth) & 1;
        zj_put_slot(high ? upper : part->slots, t->mask, old[i]);
        moved += (uint32_t)high;
    }
    free(old);
    part->depth = depth + 1;
    part->count = before - moved;
    t->parts[t->parts_used] = (zj_part){upper, moved, depth + 1};
    /* The entries that share the part's leading bits: those whose next bit is set go over. */
    const int below = 32 - t->shift - (int)depth - 1;
    const uint64_t first = ((tag >> (32 - depth - 1)) | 1) << below;
    for (uint64_t i = first; i < first + ((uint64_t)1 << below); i++) {
        t->homes[i] = upper;
        t->owners[i] = (uint32_t)t->parts_used;
    }
    t->parts_used++;
    return 0;
}

/* Puts a new string behind the last: its text, and its slot. 0, or -1 with nothing changed.
 * REQUIRES: the string is not in the table; p does not point into this table's arena. */
static inline int zj_strings_append(zj_strings *t, const uint8_t *p, size_t n, uint64_t hash) {
    const uint64_t tag = hash >> 32, code = t->count;
    if (n >= ZJ_STRING_BYTES_MAX || zj_strings_reserve(t, 1, n) != 0) return -1;
    if (t->mask + 1 < ZJ_PART_SLOTS) {
        if ((code + 1) * 8 > (t->mask + 1) * 5 && zj_strings_double(t) != 0) return -1;
    } else {
        uint32_t number;
        while (number = t->owners[tag >> t->shift], t->parts[number].count >= zj_part_limit(number))
            if (zj_strings_split(t, tag) != 0) return -1;
    }
    t->parts[t->owners[tag >> t->shift]].count++;
    zj_put_slot(zj_strings_slots(t, tag), t->mask, tag << 32 | (code + 1));
    if (n) memcpy(t->arena + t->arena_used, p, n);
    t->arena_used += n;
    if (((code + 1) & (ZJ_BASE_STRINGS - 1)) == 0) t->bases[(code + 1) >> ZJ_BASE_SHIFT] = t->arena_used;
    t->starts[code + 1] = (uint32_t)(t->arena_used - t->bases[(code + 1) >> ZJ_BASE_SHIFT]);
    t->count++;
    return 0;
}

/* Code of p[0..n), inserted when new; ZJ_NO_CODE when memory or codes run out or the string is too long.
 * REQUIRES: hash == zj_strings_hash(t, p, n); p does not point into this table's arena. */
static inline uint32_t zj_strings_intern_hashed(zj_strings *t, const uint8_t *p, size_t n,
                                                uint64_t hash) {
    const int64_t code = zj_strings_find_hashed(t, p, n, hash);
    if (code >= 0) return (uint32_t)code;
    return zj_strings_append(t, p, n, hash) == 0 ? (uint32_t)(t->count - 1) : ZJ_NO_CODE;
}

static inline uint32_t zj_strings_intern(zj_strings *t, const uint8_t *p, size_t n) {
    return zj_strings_intern_hashed(t, p, n, zj_strings_hash(t, p, n));
}

/* Puts a blank behind the last string: a code that nothing finds, without text. 0, or -1. */
static inline int zj_strings_append_blank(zj_strings *t) {
    if (zj_strings_reserve(t, 1, 0) != 0) return -1;
    const uint64_t next = t->count + 1;
    if ((next & (ZJ_BASE_STRINGS - 1)) == 0) t->bases[next >> ZJ_BASE_SHIFT] = t->arena_used;
    t->starts[next] = (uint32_t)(t->arena_used - t->bases[next >> ZJ_BASE_SHIFT]);
    t->count++;
    return 0;
}

/* Empties the slot at `hole` of the part that has the tag: what lies behind and may lie in it moves
 * there. */
static inline void zj_strings_clear_slot(zj_strings *t, uint64_t tag, uint64_t hole) {
    const uint64_t mask = t->mask;
    uint64_t *slots = zj_strings_slots(t, tag);
    for (uint64_t i = (hole + 1) & mask; slots[i]; i = (i + 1) & mask) {
        const uint64_t home = slots[i] >> 32 & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        slots[hole] = slots[i];
        hole = i;
    }
    slots[hole] = 0;
    t->parts[t->owners[tag >> t->shift]].count--;
}

/* Makes a string a blank: nothing finds it any more, its text becomes zeros, codes stay. Nothing happens
 * to one that is a blank already. REQUIRES: code < count. O(its bytes). */
static inline void zj_strings_blank(zj_strings *t, uint32_t code) {
    size_t n;
    const uint64_t mask = t->mask;
    const uint8_t *p = zj_strings_get(t, code, &n);
    const uint64_t tag = zj_strings_hash(t, p, n) >> 32, *slots = zj_strings_slots(t, tag);
    for (uint64_t i = tag & mask; slots[i]; i = (i + 1) & mask) {
        if (slots[i] != (tag << 32 | (code + 1u))) continue;
        zj_strings_clear_slot(t, tag, i);
        if (n) memset(t->arena + zj_strings_start(t, code), 0, n);
        return;
    }
}

/* Removes the strings that came after the first `count`, newest first; room that they took stays.
 * O(bytes removed). */
static inline void zj_strings_take_back(zj_strings *t, uint64_t count) {
    const uint64_t mask = t->mask;
    while (t->count > count) {
        const uint32_t code = (uint32_t)(t->count - 1);
        size_t n;
        const uint8_t *p = zj_strings_get(t, code, &n);
        const uint64_t tag = zj_strings_hash(t, p, n) >> 32;
        const uint64_t *slots = zj_strings_slots(t, tag);
        uint64_t at = tag & mask;
        while (slots[at] && (uint32_t)slots[at] != code + 1u) at = (at + 1) & mask;
        if (slots[at]) zj_strings_clear_slot(t, tag, at); /* else a blank */
        t->arena_used -= n;
        t->count--;
    }
}

#endif
