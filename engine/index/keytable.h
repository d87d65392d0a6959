/* Ids -> dense uint32 codes in order of first appearance, and back: tens of millions of them in little memory.
 *
 * keys: packed (keypack.h) end to end, in order of their codes. Where every eighth begins is known
 *     (bases[code / 4096] + starts[code / 8]); the others are found from there, as a packed key tells its size.
 * slots: as in stringtable.h: tag (the high half of the key's hash) << 32 | code + 1, 0 = empty; open addressing,
 *     linear probing. A tag's home is in proportion to it, so slots may be any number and growing keeps their
 *     order. One part of them up to ZJ_KEYS_SMALL keys, then ZJ_KEYS_PARTS by the tag's leading bits, each of
 *     which grows by a sixteenth by itself: between 3/4 and 13/16 of all slots are taken, always. The longest
 *     pause of an insertion is one part's growth: 1 ms a 100,000 keys of a part (25 million of the table).
 *
 * Memory: 10.3 bytes a key for slots, 0.5 for starts, and its packed bytes: 17 of a UUID, 8 of 12 digits, 2 + 3/4
 * of the characters of base64url, 2 + the bytes of any other.
 * A tag is never trusted: bytes are compared. Not thread-safe. A failed allocation leaves the table as it was.
 */
#ifndef ZUJI_KEYTABLE_H
#define ZUJI_KEYTABLE_H

#include <stdlib.h>

#include "area.h"
#include "hash64.h"
#include "keypack.h"

#define ZJ_NO_KEY UINT32_MAX
#define ZJ_KEYS_MAX (UINT32_MAX - 1u)
#define ZJ_KEYS_SMALL 65536u
#define ZJ_KEYS_PART_BITS 8
#define ZJ_KEYS_PARTS (1u << ZJ_KEYS_PART_BITS)
#define ZJ_KEYS_MIN_ROOM 64u
#define ZJ_KEYS_GROUP 8u
#define ZJ_KEYS_BLOCK 4096u

typedef struct {
    uint64_t *slots;
    uint64_t room, count;
    int mapped; /* slots are a mapping of their own */
} zj_keys_part;

typedef struct {
    uint8_t size;
    uint8_t bytes[ZJ_PREFIX_BYTES_MAX];
} zj_key_prefix;

typedef struct {
    zj_hash_key key;
    zj_keys_part *parts;
    int bits; /* log2 of the number of parts */
    uint64_t count;
    uint32_t *starts;
    uint64_t *bases;
    uint8_t *arena;
    uint64_t arena_used;
    uint64_t *aside; /* slots of the part that grows */
    uint64_t aside_room;
    zj_key_prefix *prefixes;
    uint32_t prefix_count;
    zj_area starts_area, bases_area, arena_area;
} zj_keys;

#define ZJ_KEYS_MAPPED_BYTES 65536u

/* -- slots of a part ------------------------------------------------------------------------------------ */

static inline void zj_keys_drop_slots(zj_keys_part *part) {
#ifdef ZJ_AREA_MAPS
    if (part->mapped) munmap(part->slots, part->room * sizeof(uint64_t));
    else
#endif
        free(part->slots);
    part->slots = NULL;
    part->room = 0;
    part->mapped = 0;
}

/* Gives a part `room` slots, whose contents do not count. 0, or -1 and it keeps what it had. */
static inline int zj_keys_resize(zj_keys_part *part, uint64_t room) {
    const size_t bytes = room * sizeof(uint64_t);
#ifdef ZJ_AREA_MAPS
    if (bytes >= ZJ_KEYS_MAPPED_BYTES) {
        void *slots;
        if (part->mapped)
            slots = mremap(part->slots, part->room * sizeof(uint64_t), bytes, MREMAP_MAYMOVE);
        else
            slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (slots == MAP_FAILED) return -1;
        if (!part->mapped) free(part->slots);
        part->slots = (uint64_t *)slots;
        part->room = room;
        part->mapped = 1;
        return 0;
    }
#endif
    uint64_t *slots = (uint64_t *)malloc(bytes);
    if (!slots) return -1;
    free(part->slots);
    part->slots = slots;
    part->room = room;
    return 0;
}

static inline zj_keys_part *zj_keys_part_of(const zj_keys *t, uint64_t tag) {
    return &t->parts[tag >> (32 - t->bits)];
}

/* A tag's home among the slots of its part. */
static inline uint64_t zj_keys_home(const zj_keys *t, const zj_keys_part *part, uint64_t tag) {
    return ((tag << t->bits & UINT32_MAX) * part->room) >> 32;
}

static inline void zj_keys_put(const zj_keys *t, zj_keys_part *part, uint64_t slot) {
    uint64_t i = zj_keys_home(t, part, slot >> 32);
    while (part->slots[i])
        if (++i == part->room) i = 0;
    part->slots[i] = slot;
    part->count++;
}

/* Room for `keys` keys in a part, at 3/4. */
static inline uint64_t zj_keys_room_for(uint64_t keys) {
    const uint64_t room = keys + keys / 3 + 16;
    return room < ZJ_KEYS_MIN_ROOM ? ZJ_KEYS_MIN_ROOM : room;
}

/* Room for one more key in a part. 0, or -1. */
static inline int zj_keys_make_room(zj_keys *t, zj_keys_part *part) {
    if ((part->count + 1) * 16 <= part->room * 13) return 0;
    const uint64_t before = part->room, room = before + before / 16 + 16;
    if (before > t->aside_room) {
        uint64_t *aside = (uint64_t *)realloc(t->aside, (before + before / 4) * sizeof *aside);
        if (!aside) return -1;
        t->aside = aside;
        t->aside_room = before + before / 4;
    }
    memcpy(t->aside, part->slots, before * sizeof(uint64_t));
    if (zj_keys_resize(part, room) != 0) return -1;
    memset(part->slots, 0, room * sizeof(uint64_t));
    part->count = 0;
    for (uint64_t i = 0; i < before; i++)
        if (t->aside[i]) zj_keys_put(t, part, t->aside[i]);
    return 0;
}

static inline void zj_keys_drop_parts(zj_keys_part *parts, uint32_t count) {
    for (uint32_t i = 0; parts && i < count; i++) zj_keys_drop_slots(&parts[i]);
    free(parts);
}

/* One part becomes many, with room for `keys` keys in all. 0, or -1. */
static inline int zj_keys_divide(zj_keys *t, uint64_t keys) {
    zj_keys_part *parts = (zj_keys_part *)calloc(ZJ_KEYS_PARTS, sizeof *parts);
    if (!parts) return -1;
    for (uint32_t i = 0; i < ZJ_KEYS_PARTS; i++) {
        if (zj_keys_resize(&parts[i], zj_keys_room_for(keys / ZJ_KEYS_PARTS)) != 0) {
            zj_keys_drop_parts(parts, ZJ_KEYS_PARTS);
            return -1;
        }
        memset(parts[i].slots, 0, parts[i].room * sizeof(uint64_t));
    }
    zj_keys_part *one = t->parts;
    t->parts = parts;
    t->bits = ZJ_KEYS_PART_BITS;
    for (uint64_t i = 0; i < one->room; i++) {
        if (!one->slots[i]) continue;
        zj_keys_part *part = zj_keys_part_of(t, one->slots[i] >> 32);
        if (zj_keys_make_room(t, part) != 0) {
            t->parts = one;
            t->bits = 0;
            zj_keys_drop_parts(parts, ZJ_KEYS_PARTS);
            return -1;
        }
        zj_keys_put(t, part, one->slots[i]);
    }
    zj_keys_drop_parts(one, 1);
    free(t->aside); /* as large as the one part was */
    t->aside = NULL;
    t->aside_room = 0;
    return 0;
}

/* -- the table ------------------------------------------------------------------------------------------ */

static inline void zj_keys_free(zj_keys *t) {
    zj_keys_drop_parts(t->parts, 1u << t->bits);
    free(t->aside);
    free(t->prefixes);
    zj_area_free(&t->starts_area);
    zj_area_free(&t->bases_area);
    zj_area_free(&t->arena_area);
    memset(t, 0, sizeof *t);
}

/* `bytes` of an area at least, an eighth more than it has when it must grow. 0, or -1. */
static inline int zj_keys_grow(zj_area *area, uint64_t bytes) {
    if (bytes <= area->room) return 0;
    const uint64_t more = area->room + area->room / 8 + 4096;
    return zj_area_grow(area, bytes < more ? more : bytes);
}

/* Room for one more key of so many packed bytes. 0, or -1. */
static inline int zj_keys_reserve(zj_keys *t, uint64_t bytes) {
    if (t->count >= ZJ_KEYS_MAX) return -1;
    if (zj_keys_grow(&t->starts_area, (t->count / ZJ_KEYS_GROUP + 1) * 4) != 0) return -1;
    t->starts = (uint32_t *)t->starts_area.bytes;
    if (zj_keys_grow(&t->bases_area, (t->count / ZJ_KEYS_BLOCK + 1) * 8) != 0) return -1;
    t->bases = (uint64_t *)t->bases_area.bytes;
    /* 16 bytes behind the last: who asks how long a key is may look at what is not there yet. */
    if (zj_keys_grow(&t->arena_area, t->arena_used + bytes + 16) != 0) return -1;
    t->arena = t->arena_area.bytes;
    return 0;
}

static inline int zj_keys_init(zj_keys *t, uint64_t salt) {
    memset(t, 0, sizeof *t);
    t->key = zj_hash_key_of(salt);
    t->parts = (zj_keys_part *)calloc(1, sizeof *t->parts);
    if (!t->parts || zj_keys_resize(t->parts, ZJ_KEYS_MIN_ROOM) != 0 || zj_keys_reserve(t, 1) != 0) {
        zj_keys_free(t);
        return -1;
    }
    memset(t->parts->slots, 0, t->parts->room * sizeof(uint64_t));
    return 0;
}

/* Bytes of memory in use. */
static inline uint64_t zj_keys_bytes(const zj_keys *t) {
    uint64_t bytes = sizeof *t + t->arena_used + t->count / ZJ_KEYS_GROUP * 4 + t->aside_room * 8 +
                     t->count / ZJ_KEYS_BLOCK * 8;
    for (uint32_t i = 0; i < 1u << t->bits; i++) bytes += t->parts[i].room * 8 + sizeof(zj_keys_part);
    return bytes;
}

/* Gives an empty table room for `keys` keys. 0, or -1. */
static inline int zj_keys_expect(zj_keys *t, uint64_t keys) {
    if (t->count || keys <= ZJ_KEYS_SMALL || t->bits) return 0;
    return zj_keys_divide(t, keys + keys / 256);
}

static inline uint64_t zj_keys_hash(const zj_keys *t, const uint8_t *p, size_t n) { return zj_hash64(&t->key, p, n); }

static inline const uint8_t *zj_keys_group(const zj_keys *t, uint32_t code) {
    return t->arena + t->bases[code / ZJ_KEYS_BLOCK] + t->starts[code / ZJ_KEYS_GROUP];
}

/* The packed key of a code. REQUIRES: code < count. */
static inline uint8_t *zj_keys_at(const zj_keys *t, uint32_t code) {
    const uint8_t *p = zj_keys_group(t, code);
    for (uint32_t i = code % ZJ_KEYS_GROUP; i; i--) p += zj_packed_size(p);
    return (uint8_t *)p;
}

/* -- keys packed ---------------------------------------------------------------------------------------- */

/* Number of a prefix, or of prefixes when it is not there. */
static inline uint32_t zj_keys_prefix(const zj_keys *t, const uint8_t *p, size_t n) {
    uint32_t i = 0;
    while (i < t->prefix_count && (t->prefixes[i].size != n || memcmp(t->prefixes[i].bytes, p, n) != 0)) i++;
    return i;
}

/* Packs a key. 1; 0: no key of the table has its prefix. */
static inline int zj_keys_pack(const zj_keys *t, const uint8_t *p, size_t n, zj_packed *k) {
    int kind = zj_key_kind(p, n);
    k->head_size = 0;
    if (kind != ZJ_KIND_OTHER) {
        p++;
        n--;
    }
    const size_t prefix = n > ZJ_KEY_SHORT ? 0 : zj_prefix_of(p, n);
    if (prefix) {
        const uint32_t number = zj_keys_prefix(t, p, prefix);
        if (number < t->prefix_count) {
            k->head[0] = (uint8_t)(ZJ_KEY_PREFIXED << 2 | kind);
            k->head[1] = (uint8_t)number;
            k->head_size = 2;
            kind = ZJ_KIND_OTHER;
            p += prefix;
            n -= prefix;
        } else if (number < ZJ_PREFIXES_MAX) {
            return 0;
        }
    }
    zj_pack_text(k, kind, p, n);
    return 1;
}

/* As zj_keys_pack of a key that is about to be added: a new prefix is noted. 0, or -1. */
static inline int zj_keys_pack_new(zj_keys *t, const uint8_t *p, size_t n, zj_packed *k) {
    if (zj_keys_pack(t, p, n, k)) return 0;
    if (!t->prefixes) t->prefixes = (zj_key_prefix *)malloc(ZJ_PREFIXES_MAX * sizeof(zj_key_prefix));
    if (!t->prefixes) return -1;
    const size_t before = zj_key_kind(p, n) != ZJ_KIND_OTHER, size = zj_prefix_of(p + before, n - before);
    zj_key_prefix *fresh = &t->prefixes[t->prefix_count++];
    fresh->size = (uint8_t)size;
    memcpy(fresh->bytes, p + before, size);
    return zj_keys_pack(t, p, n, k) ? 0 : -1;
}

static inline int zj_keys_same(const uint8_t *p, const zj_packed *k) {
    if (p[0] != k->head[0] || zj_packed_size(p) != k->head_size + k->rest_size) return 0;
    return memcmp(p, k->head, k->head_size) == 0 &&
           (k->rest_size == 0 || memcmp(p + k->head_size, k->rest, k->rest_size) == 0);
}

/* Bytes of the key that is packed at p. */
static inline size_t zj_keys_unpacked_size(const zj_keys *t, const uint8_t *p) {
    const uint8_t *text;
    const int form = p[0] >> 2;
    const size_t before = (p[0] & 3) != ZJ_KIND_OTHER;
    if (form == ZJ_KEY_BLANK) return 0;
    if (form == ZJ_KEY_PREFIXED) return before + t->prefixes[p[1]].size + zj_text_of(p + 2, &text);
    return before + zj_text_of(p, &text);
}

static inline void zj_keys_unpack(const zj_keys *t, const uint8_t *p, uint8_t *out) {
    const int kind = p[0] & 3;
    if (p[0] >> 2 == ZJ_KEY_BLANK) return;
    if (kind != ZJ_KIND_OTHER) *out++ = kind == ZJ_KIND_USER ? 'u' : 'd';
    if (p[0] >> 2 == ZJ_KEY_PREFIXED) {
        const zj_key_prefix *prefix = &t->prefixes[p[1]];
        memcpy(out, prefix->bytes, prefix->size);
        out += prefix->size;
        p += 2;
    }
    zj_unpack_text(p, out);
}

/* -- one key -------------------------------------------------------------------------------------------- */

/* -1 when absent. REQUIRES: k is the key packed, hash its hash. */
static inline int64_t zj_keys_find_packed(const zj_keys *t, const zj_packed *k, uint64_t hash) {
    const uint64_t tag = hash >> 32;
    const zj_keys_part *part = zj_keys_part_of(t, tag);
    for (uint64_t i = zj_keys_home(t, part, tag);;) {
        const uint64_t slot = part->slots[i];
        if (slot == 0) return -1;
        if (slot >> 32 == tag && zj_keys_same(zj_keys_at(t, (uint32_t)slot - 1u), k)) return (int64_t)(slot & UINT32_MAX) - 1;
        if (++i == part->room) i = 0;
    }
}

static inline int64_t zj_keys_find(const zj_keys *t, const uint8_t *p, size_t n) {
    zj_packed k;
    if (n >= ZJ_KEY_BYTES_MAX || !zj_keys_pack(t, p, n, &k)) return -1;
    return zj_keys_find_packed(t, &k, zj_keys_hash(t, p, n));
}

/* Notes where the next key begins, and gives its place. REQUIRES: zj_keys_reserve. */
static inline uint8_t *zj_keys_next(zj_keys *t) {
    if (t->count % ZJ_KEYS_BLOCK == 0) t->bases[t->count / ZJ_KEYS_BLOCK] = t->arena_used;
    if (t->count % ZJ_KEYS_GROUP == 0)
        t->starts[t->count / ZJ_KEYS_GROUP] = (uint32_t)(t->arena_used - t->bases[t->count / ZJ_KEYS_BLOCK]);
    return t->arena + t->arena_used;
}

/* Puts a new key behind the last. 0, or -1 with nothing changed. REQUIRES: it is not in the table. */
static inline int zj_keys_append(zj_keys *t, const uint8_t *p, size_t n, uint64_t hash) {
    zj_packed k;
    if (n >= ZJ_KEY_BYTES_MAX || zj_keys_pack_new(t, p, n, &k) != 0) return -1;
    if (t->bits == 0 && t->count >= ZJ_KEYS_SMALL && zj_keys_divide(t, t->count + t->count / 8) != 0) return -1;
    zj_keys_part *part = zj_keys_part_of(t, hash >> 32);
    if (zj_keys_reserve(t, k.head_size + k.rest_size) != 0 || zj_keys_make_room(t, part) != 0) return -1;
    uint8_t *to = zj_keys_next(t);
    memcpy(to, k.head, k.head_size);
    if (k.rest_size) memcpy(to + k.head_size, k.rest, k.rest_size);
    t->arena_used += k.head_size + k.rest_size;
    zj_keys_put(t, part, hash >> 32 << 32 | ++t->count);
    return 0;
}

/* Puts a blank behind the last: a code that nothing finds. 0, or -1. */
static inline int zj_keys_append_blank(zj_keys *t) {
    if (zj_keys_reserve(t, 2) != 0) return -1;
    zj_make_blank(zj_keys_next(t), 2);
    t->arena_used += 2;
    t->count++;
    return 0;
}

/* Code of a key, added when new; ZJ_NO_KEY when memory or codes run out or it is too long. */
static inline uint32_t zj_keys_intern(zj_keys *t, const uint8_t *p, size_t n, uint64_t hash) {
    zj_packed k;
    if (n < ZJ_KEY_BYTES_MAX && zj_keys_pack(t, p, n, &k)) {
        const int64_t code = zj_keys_find_packed(t, &k, hash);
        if (code >= 0) return (uint32_t)code;
    }
    return zj_keys_append(t, p, n, hash) == 0 ? (uint32_t)(t->count - 1) : ZJ_NO_KEY;
}

/* Takes the slot at `hole` out of a part: what lies behind and may lie in it moves there. */
static inline void zj_keys_clear_slot(const zj_keys *t, zj_keys_part *part, uint64_t hole) {
    const uint64_t room = part->room;
    for (uint64_t i = hole;;) {
        if (++i == room) i = 0;
        if (!part->slots[i]) break;
        const uint64_t home = zj_keys_home(t, part, part->slots[i] >> 32);
        const uint64_t far = i >= home ? i - home : i + room - home, gap = i >= hole ? i - hole : i + room - hole;
        if (far < gap) continue;
        part->slots[hole] = part->slots[i];
        hole = i;
    }
    part->slots[hole] = 0;
    part->count--;
}

/* Makes a key a blank: nothing finds it any more, its bytes become zeros, codes stay. 0; -1 when there was no
 * memory for a look at it. REQUIRES: code < count. */
static inline int zj_keys_blank(zj_keys *t, uint32_t code) {
    uint8_t *p = zj_keys_at(t, code);
    if (p[0] >> 2 == ZJ_KEY_BLANK) return 0;
    const size_t n = zj_keys_unpacked_size(t, p);
    uint8_t *raw = (uint8_t *)malloc(n + 1);
    if (!raw) return -1;
    zj_keys_unpack(t, p, raw);
    const uint64_t tag = zj_keys_hash(t, raw, n) >> 32;
    memset(raw, 0, n);
    free(raw);
    zj_keys_part *part = zj_keys_part_of(t, tag);
    uint64_t i = zj_keys_home(t, part, tag);
    while (part->slots[i] != (tag << 32 | (code + 1u)))
        if (++i == part->room) i = 0;
    zj_keys_clear_slot(t, part, i);
    zj_make_blank(p, zj_packed_size(p));
    return 0;
}

#endif
