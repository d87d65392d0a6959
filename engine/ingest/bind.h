/* Binding of a decoded batch to codes of the project, for batches in which nothing is new but ids. Where the rows
 * go: take.h.
 *
 * Codes of names are looked up in maps that the slower path (by_column.py) has filled. Whatever is not there, or is
 * not what the project has (an unknown name, a value of another kind than int for float, a removed user property),
 * makes the batch "irregular": nothing was changed, and the slower path takes it. One pass over rows and cells each.
 */
#ifndef ZUJI_BIND_H
#define ZUJI_BIND_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "batch/columns.h"
#include "index/stringtable.h"

#define ZJ_ABSENT UINT32_MAX

typedef struct {
    int64_t names, props; /* entries of the three maps, and of prop_kind */
    const int32_t *event_of;      /* name -> event code, < 0 unknown */
    const int32_t *event_prop_of; /* name -> code of a property of events */
    const int32_t *user_prop_of;  /* name -> code of a property of users */
    const int32_t *profile_event; /* [ZJ_TYPES]: of the types but track */
    const uint8_t *prop_kind;     /* by property code */
    uint8_t *pairs;               /* [pair_rows][pair_columns]: event and property were seen together */
    int64_t pair_rows, pair_columns;
} zj_catalog;

/* Event code of each row, property code of each cell. 0, or 1 when the batch is irregular (the outputs are then
 * garbage). */
static int zj_bind_codes(const zj_columns *b, const zj_catalog *c, uint16_t *event, uint16_t *prop) {
    for (size_t i = 0; i < b->rows; i++) {
        const int profile = b->kind[i] != ZJ_TRACK;
        int32_t code;
        if (profile) {
            if (b->kind[i] == ZJ_PROFILE_UNSET) return 1;
            code = c->profile_event[b->kind[i]];
        } else {
            if (b->event[i] >= c->names) return 1;
            code = c->event_of[b->event[i]];
        }
        if (code < 0 || code >= c->pair_rows || code > UINT16_MAX) return 1;
        event[i] = (uint16_t)code;
        const int32_t *prop_of = profile ? c->user_prop_of : c->event_prop_of;
        const uint8_t *seen = c->pairs + code * c->pair_columns;
        for (int64_t at = b->cell_start[i]; at < b->cell_start[i + 1]; at++) {
            if (b->cell_prop[at] >= c->names) return 1;
            const int32_t p = prop_of[b->cell_prop[at]];
            if (p < 0 || p >= c->props || p >= c->pair_columns || !seen[p]) return 1;
            const uint8_t sent = b->cell_kind[at];
            if (sent != c->prop_kind[p] && (sent != ZJ_INT || c->prop_kind[p] != ZJ_FLOAT)) return 1;
            prop[at] = (uint16_t)p;
        }
    }
    return 0;
}

/* Ids of rows that are not known yet, each once, in order of arrival: code in the table, and whether it is a
 * device's. Marks them as known. Returns their number, -1 when a code is out of range. */
static int64_t zj_bind_fresh(const uint32_t *user, const uint32_t *device, const uint8_t *keep, int64_t n,
                             uint8_t *user_known, uint8_t *device_known, int64_t known, uint32_t *code,
                             uint8_t *is_device) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (keep && !keep[i]) continue;
        const int by_device = user[i] == ZJ_ABSENT;
        const uint32_t id = by_device ? device[i] : user[i];
        if (id >= known) return -1;
        uint8_t *seen = by_device ? device_known : user_known;
        if (seen[id]) continue;
        seen[id] = 1;
        code[count] = id;
        is_device[count++] = (uint8_t)by_device;
    }
    return count;
}

/* Shard and ordinal of the rows that are kept. REQUIRES: their ids are known. Returns the number of rows. */
static int64_t zj_bind_rows(const uint32_t *user, const uint32_t *device, const uint8_t *keep, int64_t n,
                            const uint16_t *user_shard, const uint32_t *user_ordinal, const uint16_t *device_shard,
                            const uint32_t *device_ordinal, uint16_t *shard, uint32_t *ordinal) {
    int64_t out = 0;
    for (int64_t i = 0; i < n; i++) {
        if (keep && !keep[i]) continue;
        if (user[i] != ZJ_ABSENT) {
            shard[out] = user_shard[user[i]];
            ordinal[out++] = user_ordinal[user[i]];
        } else {
            shard[out] = device_shard[device[i]];
            ordinal[out++] = device_ordinal[device[i]];
        }
    }
    return out;
}

/* Code in `to` of a code of `from`, by way of `map`; interned when it is not there yet. */
static inline uint32_t zj_bind_string(const zj_strings *from, zj_strings *to, uint32_t *map, uint64_t code) {
    if (map[code] == ZJ_NO_CODE) {
        size_t n = 0;
        const uint8_t *p = zj_strings_get(from, (uint32_t)code, &n);
        map[code] = zj_strings_intern(to, p, n);
    }
    return map[code];
}

/* Turns codes of `from` in cells and list items into codes of `to`. 0, 1 when a code is out of range, -1 without
 * memory. REQUIRES: from->count entries of map. */
static int zj_bind_strings(const uint16_t *prop, int64_t *value, int64_t cells, const uint8_t *prop_kind,
                           int64_t props, uint32_t *items, int64_t item_count,
                           const zj_strings *from, zj_strings *to, uint32_t *map) {
    for (int64_t i = 0; i < cells; i++) {
        if (prop[i] >= props) return 1;
        if (prop_kind[prop[i]] != ZJ_STRING) continue;
        const uint64_t code = (uint64_t)value[i];
        if (code >= from->count) return 1;
        const uint32_t there = zj_bind_string(from, to, map, code);
        if (there == ZJ_NO_CODE) return -1;
        value[i] = there;
    }
    for (int64_t i = 0; i < item_count; i++) {
        if (items[i] >= from->count) return 1;
        const uint32_t there = zj_bind_string(from, to, map, items[i]);
        if (there == ZJ_NO_CODE) return -1;
        items[i] = there;
    }
    return 0;
}

/* prefix[i] and the string of code[i], end to end; offsets has n + 1 entries. data NULL: only the offsets.
 * Returns the number of bytes. REQUIRES: codes are in range. */
static int64_t zj_bind_keys(const zj_strings *t, const uint32_t *code, const uint8_t *is_second, uint8_t first,
                            uint8_t second, int64_t n, uint8_t *data, int64_t *offsets) {
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        size_t size = 0;
        const uint8_t *p = zj_strings_get(t, code[i], &size);
        offsets[i] = at;
        if (data) {
            data[at] = is_second && is_second[i] ? second : first;
            memcpy(data + at + 1, p, size);
        }
        at += 1 + (int64_t)size;
    }
    offsets[n] = at;
    return at;
}

#endif
