/* Many strings at once, in one table or in one table a shard.
 *
 * A look-up in a table larger than the cache waits for memory three times: for the slot, for the
 * start of the string it names, for the string's bytes. So strings are taken in blocks of ZJ_AHEAD, and
 * a block goes through the three steps together, each asking ahead for what the next one reads.
 * The table of a string is tables[hash & (shards - 1)]; all tables have one salt.
 */
#ifndef ZUJI_STRINGBULK_H
#define ZUJI_STRINGBULK_H

#include "stringtable.h"

#define ZJ_AHEAD 32

/* hashes[i] of m <= ZJ_AHEAD strings, and the codes that may be theirs: exactly theirs, or -1 when there
 * is no slot of such a tag, or (rarely) another string's; see zj_is_code. */
static inline void zj_seek_block(zj_strings *const *tables, uint64_t last_shard, const uint8_t *data,
                                 const int64_t *offsets, size_t m, uint64_t *hashes,
                                 int64_t *codes) {
    for (size_t i = 0; i < m; i++) {
        const uint8_t *p = data + offsets[i];
        hashes[i] = zj_strings_hash(tables[0], p, (size_t)(offsets[i + 1] - offsets[i]));
        zj_strings_prefetch(tables[hashes[i] & last_shard], hashes[i]);
    }
    for (size_t i = 0; i < m; i++) {
        const zj_strings *t = tables[hashes[i] & last_shard];
        const uint64_t tag = hashes[i] >> 32, *slots = zj_strings_slots(t, tag);
        uint64_t at = tag & t->mask, slot;
        while ((slot = slots[at]) != 0 && slot >> 32 != tag) at = (at + 1) & t->mask;
        codes[i] = (int64_t)(slot & UINT32_MAX) - 1;
        if (slot) __builtin_prefetch(&t->starts[codes[i]]);
    }
    for (size_t i = 0; i < m; i++) {
        const zj_strings *t = tables[hashes[i] & last_shard];
        if (codes[i] < 0) continue;
        const uint8_t *text = t->arena + zj_strings_start(t, (uint64_t)codes[i]);
        __builtin_prefetch(text);
        __builtin_prefetch(text + (offsets[i + 1] - offsets[i]));
    }
}

/* REQUIRES: offsets are checked: 0 <= offsets[i] <= offsets[i+1] <= length of data. */
static inline void zj_strings_find_bulk(const zj_strings *table, const uint8_t *data,
                                        const int64_t *offsets, size_t n, int64_t *out) {
    zj_strings *const one = (zj_strings *)table; /* is not changed */
    uint64_t hashes[ZJ_AHEAD];
    for (size_t at = 0; at < n; at += ZJ_AHEAD) {
        const size_t m = n - at < ZJ_AHEAD ? n - at : ZJ_AHEAD;
        zj_seek_block(&one, 0, data, offsets + at, m, hashes, out + at);
        for (size_t i = at; i < at + m; i++) {
            const uint8_t *p = data + offsets[i];
            const size_t size = (size_t)(offsets[i + 1] - offsets[i]);
            if (out[i] >= 0 && !zj_strings_equal(table, (uint32_t)out[i], p, size))
                out[i] = zj_strings_find_hashed(table, p, size, hashes[i - at]);
        }
    }
}

/* Shard and code of each string, inserted where new; shards, a power of two, up to 65,536. shard_of may
 * be NULL. 0, or -1 when memory or codes ran out (the strings before are interned).
 * REQUIRES: as zj_strings_find_bulk. */
static inline int zj_resolve_bulk(zj_strings *const *tables, size_t shards, const uint8_t *data,
                                  const int64_t *offsets, size_t n, uint16_t *shard_of,
                                  uint32_t *out) {
    uint64_t hashes[ZJ_AHEAD];
    int64_t codes[ZJ_AHEAD];
    for (size_t at = 0; at < n; at += ZJ_AHEAD) {
        const size_t m = n - at < ZJ_AHEAD ? n - at : ZJ_AHEAD;
        if (shards == 1 && tables[0]->small) { /* is in the cache: asking ahead would only cost */
            for (size_t i = at; i < at + m; i++) {
                const size_t size = (size_t)(offsets[i + 1] - offsets[i]);
                out[i] = zj_strings_intern(tables[0], data + offsets[i], size);
                if (out[i] == ZJ_NO_CODE) return -1;
                if (shard_of) shard_of[i] = 0;
            }
            continue;
        }
        zj_seek_block(tables, shards - 1, data, offsets + at, m, hashes, codes);
        for (size_t i = 0; i < m; i++) {
            const uint64_t shard = hashes[i] & (shards - 1);
            const uint8_t *p = data + offsets[at + i];
            const size_t size = (size_t)(offsets[at + i + 1] - offsets[at + i]);
            uint32_t code = (uint32_t)codes[i];
            if (codes[i] < 0 || !zj_strings_equal(tables[shard], code, p, size)) {
                code = zj_strings_intern_hashed(tables[shard], p, size, hashes[i]);
                if (code == ZJ_NO_CODE) return -1;
            }
            out[at + i] = code;
            if (shard_of) shard_of[at + i] = (uint16_t)shard;
        }
    }
    return 0;
}

static inline int zj_strings_intern_bulk(zj_strings *t, const uint8_t *data, const int64_t *offsets,
                                         size_t n, uint32_t *out) {
    return zj_resolve_bulk(&t, 1, data, offsets, n, NULL, out);
}

/* Adds strings that are known to be new and different, without comparing any; an empty one is a blank. 0,
 * or -1 when memory or codes ran out (the strings before are added). REQUIRES: as zj_strings_find_bulk. */
static inline int zj_strings_append_bulk(zj_strings *t, const uint8_t *data, const int64_t *offsets,
                                         size_t n) {
    uint64_t hashes[ZJ_AHEAD];
    if (zj_strings_reserve(t, n, (uint64_t)(offsets[n] - offsets[0])) != 0) return -1;
    for (size_t at = 0; at < n; at += ZJ_AHEAD) {
        const size_t m = n - at < ZJ_AHEAD ? n - at : ZJ_AHEAD;
        for (size_t i = 0; i < m; i++) {
            const int64_t start = offsets[at + i];
            hashes[i] = zj_strings_hash(t, data + start, (size_t)(offsets[at + i + 1] - start));
            zj_strings_prefetch(t, hashes[i]);
        }
        for (size_t i = 0; i < m; i++) {
            const int64_t start = offsets[at + i];
            const size_t size = (size_t)(offsets[at + i + 1] - start);
            if (size == 0) {
                if (zj_strings_append_blank(t) != 0) return -1;
            } else if (zj_strings_append(t, data + start, size, hashes[i]) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* Where the strings `codes`, each with `before` bytes in front, start and end when laid end to end: n + 1
 * offsets. 0, or -1 for a code out of range. */
static inline int zj_strings_measure(const zj_strings *t, const uint32_t *codes, size_t n,
                                     size_t before, int64_t *offsets) {
    offsets[0] = 0;
    for (size_t i = 0; i < n; i++) {
        size_t size;
        if (codes[i] >= t->count) return -1;
        zj_strings_get(t, codes[i], &size);
        offsets[i + 1] = offsets[i] + (int64_t)(before + size);
    }
    return 0;
}

/* Lays them there. REQUIRES: offsets come from zj_strings_measure. */
static inline void zj_strings_copy(const zj_strings *t, const uint32_t *codes, size_t n,
                                   const uint8_t *prefix, size_t before, const int64_t *offsets,
                                   uint8_t *out) {
    for (size_t i = 0; i < n; i++) {
        size_t size;
        const uint8_t *p = zj_strings_get(t, codes[i], &size);
        uint8_t *to = out + offsets[i];
        if (before) memcpy(to, prefix, before);
        if (size) memcpy(to + before, p, size);
    }
}

/* 1 when 0 <= offsets[0] <= offsets[1] <= ... <= offsets[n] <= bytes. */
static inline int zj_offsets_valid(const int64_t *offsets, size_t n, int64_t bytes) {
    int64_t bad = offsets[0] < 0;
    for (size_t i = 0; i < n; i++) bad |= offsets[i + 1] < offsets[i];
    return !bad && offsets[n] <= bytes;
}

#endif
