/* Many ids at once, in one table or in one a shard.
 *
 * As stringbulk.h: a look-up in tables larger than the cache waits for the slot, for where the key's group
 * begins, and for the group, so ids are taken in blocks of ZJ_KEYS_AHEAD, and a block goes through the steps
 * together. The table of a key is tables[hash & (shards - 1)]; all tables have one salt.
 */
#ifndef ZUJI_KEYBULK_H
#define ZUJI_KEYBULK_H

#include "keytable.h"

#define ZJ_KEYS_AHEAD 32
#define ZJ_KEYS_LINE 64

/* hashes[i] of m <= ZJ_KEYS_AHEAD keys, and the codes that may be theirs: -1 when no slot has the tag. */
static inline void zj_keys_seek(zj_keys *const *tables, uint64_t last_shard, const uint8_t *data,
                                const int64_t *offsets, size_t m, uint64_t *hashes, int64_t *codes) {
    for (size_t i = 0; i < m; i++) {
        hashes[i] = zj_keys_hash(tables[0], data + offsets[i], (size_t)(offsets[i + 1] - offsets[i]));
        const zj_keys *t = tables[hashes[i] & last_shard];
        const zj_keys_part *part = zj_keys_part_of(t, hashes[i] >> 32);
        __builtin_prefetch(&part->slots[zj_keys_home(t, part, hashes[i] >> 32)]);
    }
    for (size_t i = 0; i < m; i++) {
        const zj_keys *t = tables[hashes[i] & last_shard];
        const uint64_t tag = hashes[i] >> 32;
        const zj_keys_part *part = zj_keys_part_of(t, tag);
        uint64_t at = zj_keys_home(t, part, tag), slot;
        while ((slot = part->slots[at]) != 0 && slot >> 32 != tag)
            if (++at == part->room) at = 0;
        codes[i] = (int64_t)(slot & UINT32_MAX) - 1;
        if (slot) __builtin_prefetch(&t->starts[codes[i] / ZJ_KEYS_GROUP]);
    }
    for (size_t i = 0; i < m; i++) {
        if (codes[i] < 0) continue;
        const uint8_t *group = zj_keys_group(tables[hashes[i] & last_shard], (uint32_t)codes[i]);
        __builtin_prefetch(group);
        __builtin_prefetch(group + ZJ_KEYS_LINE);
        if (codes[i] % ZJ_KEYS_GROUP > 3) __builtin_prefetch(group + 2 * ZJ_KEYS_LINE);
    }
}

/* What zj_keys_seek found, made sure of: the key's code, -1 when absent. */
static inline int64_t zj_keys_sure(const zj_keys *t, const uint8_t *p, size_t n, uint64_t hash, int64_t code) {
    zj_packed k;
    if (code < 0 || !zj_keys_pack(t, p, n, &k)) return -1;
    if (zj_keys_same(zj_keys_at(t, (uint32_t)code), &k)) return code;
    return zj_keys_find_packed(t, &k, hash);
}

/* Shard and code of each key, code -1 where absent. shard_of may be NULL.
 * REQUIRES: offsets are checked: 0 <= offsets[i] <= offsets[i+1] <= length of data. */
static inline void zj_keys_find_bulk(zj_keys *const *tables, size_t shards, const uint8_t *data,
                                     const int64_t *offsets, size_t n, uint16_t *shard_of, int64_t *out) {
    uint64_t hashes[ZJ_KEYS_AHEAD];
    for (size_t at = 0; at < n; at += ZJ_KEYS_AHEAD) {
        const size_t m = n - at < ZJ_KEYS_AHEAD ? n - at : ZJ_KEYS_AHEAD;
        zj_keys_seek(tables, shards - 1, data, offsets + at, m, hashes, out + at);
        for (size_t i = 0; i < m; i++) {
            const uint64_t shard = hashes[i] & (shards - 1);
            const int64_t start = offsets[at + i];
            out[at + i] = zj_keys_sure(tables[shard], data + start, (size_t)(offsets[at + i + 1] - start), hashes[i], out[at + i]);
            if (shard_of) shard_of[at + i] = (uint16_t)shard;
        }
    }
}

/* The same, added where new. 0, or -1 when memory or codes ran out (the keys before are added). */
static inline int zj_keys_resolve_bulk(zj_keys *const *tables, size_t shards, const uint8_t *data,
                                       const int64_t *offsets, size_t n, uint16_t *shard_of, uint32_t *out) {
    uint64_t hashes[ZJ_KEYS_AHEAD];
    int64_t codes[ZJ_KEYS_AHEAD];
    for (size_t at = 0; at < n; at += ZJ_KEYS_AHEAD) {
        const size_t m = n - at < ZJ_KEYS_AHEAD ? n - at : ZJ_KEYS_AHEAD;
        zj_keys_seek(tables, shards - 1, data, offsets + at, m, hashes, codes);
        for (size_t i = 0; i < m; i++) {
            const uint64_t shard = hashes[i] & (shards - 1);
            const uint8_t *p = data + offsets[at + i];
            const size_t size = (size_t)(offsets[at + i + 1] - offsets[at + i]);
            const int64_t known = zj_keys_sure(tables[shard], p, size, hashes[i], codes[i]);
            out[at + i] = known >= 0 ? (uint32_t)known : zj_keys_intern(tables[shard], p, size, hashes[i]);
            if (out[at + i] == ZJ_NO_KEY) return -1;
            if (shard_of) shard_of[at + i] = (uint16_t)shard;
        }
    }
    return 0;
}

/* Adds keys that are known to be new and different; an empty one is a blank. 0, or -1 when memory or codes ran
 * out (the keys before are added). */
static inline int zj_keys_append_bulk(zj_keys *t, const uint8_t *data, const int64_t *offsets, size_t n) {
    uint64_t hashes[ZJ_KEYS_AHEAD];
    for (size_t at = 0; at < n; at += ZJ_KEYS_AHEAD) {
        const size_t m = n - at < ZJ_KEYS_AHEAD ? n - at : ZJ_KEYS_AHEAD;
        for (size_t i = 0; i < m; i++) {
            const int64_t start = offsets[at + i];
            hashes[i] = zj_keys_hash(t, data + start, (size_t)(offsets[at + i + 1] - start));
            const zj_keys_part *part = zj_keys_part_of(t, hashes[i] >> 32);
            __builtin_prefetch(&part->slots[zj_keys_home(t, part, hashes[i] >> 32)], 1);
        }
        for (size_t i = 0; i < m; i++) {
            const int64_t start = offsets[at + i];
            const size_t size = (size_t)(offsets[at + i + 1] - start);
            const int failed = size ? zj_keys_append(t, data + start, size, hashes[i]) : zj_keys_append_blank(t);
            if (failed) return -1;
        }
    }
    return 0;
}

/* Where the keys `codes` start and end when laid end to end: n + 1 offsets. 0, or -1 for a code out of range. */
static inline int zj_keys_measure(const zj_keys *t, const uint32_t *codes, size_t n, int64_t *offsets) {
    offsets[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + ZJ_KEYS_AHEAD < n && codes[i + ZJ_KEYS_AHEAD] < t->count)
            __builtin_prefetch(zj_keys_group(t, codes[i + ZJ_KEYS_AHEAD]));
        if (codes[i] >= t->count) return -1;
        offsets[i + 1] = offsets[i] + (int64_t)zj_keys_unpacked_size(t, zj_keys_at(t, codes[i]));
    }
    return 0;
}

/* Lays them there. REQUIRES: offsets come from zj_keys_measure. */
static inline void zj_keys_copy(const zj_keys *t, const uint32_t *codes, size_t n, const int64_t *offsets, uint8_t *out) {
    for (size_t i = 0; i < n; i++) {
        if (i + ZJ_KEYS_AHEAD < n) __builtin_prefetch(zj_keys_group(t, codes[i + ZJ_KEYS_AHEAD]));
        zj_keys_unpack(t, zj_keys_at(t, codes[i]), out + offsets[i]);
    }
}

/* As zj_keys_measure, of the keys first .. first + n. REQUIRES: they are there. */
static inline void zj_keys_measure_run(const zj_keys *t, uint64_t first, size_t n, int64_t *offsets) {
    offsets[0] = 0;
    if (n == 0) return;
    const uint8_t *p = zj_keys_at(t, (uint32_t)first);
    for (size_t i = 0; i < n; i++) {
        offsets[i + 1] = offsets[i] + (int64_t)zj_keys_unpacked_size(t, p);
        p += zj_packed_size(p);
    }
}

static inline void zj_keys_copy_run(const zj_keys *t, uint64_t first, size_t n, const int64_t *offsets, uint8_t *out) {
    if (n == 0) return;
    const uint8_t *p = zj_keys_at(t, (uint32_t)first);
    for (size_t i = 0; i < n; i++) {
        zj_keys_unpack(t, p, out + offsets[i]);
        p += zj_packed_size(p);
    }
}

#endif
