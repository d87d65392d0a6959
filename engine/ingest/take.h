/* The rows of a regular batch, from the decoder's columns to the end of a memtable's log of rows, in one pass.
 *
 * By then names are codes (bind.h), repeats are known and so are all users. Strings become codes of the memtable's
 * table by way of a map; an int of a float property becomes a float; a row with both ids gets its device as one more
 * cell. Nothing counts before the caller moves the log's ends, so a failure half way leaves no trace in it.
 */
#ifndef ZUJI_TAKE_H
#define ZUJI_TAKE_H

#include "ingest/bind.h"

/* The key of an insert id: 'i' and its bytes, hashed with two salts, as Dedup.keys does. */
static inline void zj_insert_key(const zj_hash_key *salts, const uint8_t *id, size_t n, uint64_t *hi, uint64_t *lo) {
    uint8_t text[256];
    text[0] = 'i';
    memcpy(text + 1, id, n);
    *hi = zj_hash64(&salts[0], text, n + 1);
    *lo = zj_hash64(&salts[1], text, n + 1);
}

/* Keys of the rows that have an insert id; their number, or -1 when one is longer than 255 bytes. */
static int64_t zj_insert_keys(const zj_columns *b, const zj_hash_key *salts, uint64_t *hi, uint64_t *lo) {
    int64_t count = 0;
    for (size_t i = 0; i < b->rows; i++) {
        const size_t n = (size_t)(b->insert_start[i + 1] - b->insert_start[i]);
        if (n == 0) continue;
        if (n > 255) return -1;
        zj_insert_key(salts, b->insert + b->insert_start[i], n, &hi[count], &lo[count]);
        count++;
    }
    return count;
}

/* keep[i] = 0 for rows whose insert id is not new; the number of those. */
static int64_t zj_insert_repeats(const zj_columns *b, const uint8_t *is_new, uint8_t *keep) {
    int64_t at = 0, repeats = 0;
    for (size_t i = 0; i < b->rows; i++) {
        if (b->insert_start[i + 1] == b->insert_start[i] || is_new[at++]) continue;
        keep[i] = 0;
        repeats++;
    }
    return repeats;
}

/* Rows that are kept and have both ids. */
static int64_t zj_both_ids(const zj_columns *b, const uint8_t *keep) {
    int64_t count = 0;
    for (size_t i = 0; i < b->rows; i++) count += keep[i] && b->user[i] != ZJ_ABSENT && b->device[i] != ZJ_ABSENT;
    return count;
}

/* What is known of the decoder's string codes. */
typedef struct {
    const uint16_t *shard[2];   /* by code, as user and as device */
    const uint32_t *ordinal[2];
    uint32_t *there;            /* code in the memtable's table, or ZJ_NO_CODE */
    const zj_strings *from;
    zj_strings *to;
} zj_known;

/* The log: its columns, and how much of them is used. */
typedef struct {
    uint16_t *shard, *event, *prop;
    uint32_t *ordinal, *list_end, *items;
    int64_t *time, *cell_start, *value;
    int64_t rows, cells, lists, item_count;
} zj_log;

/* A list of the batch behind those of the log: its number. -1 without memory. */
static int64_t zj_take_list(const zj_columns *b, int64_t list, const zj_known *k, zj_log *log) {
    for (int64_t i = b->list_start[list]; i < b->list_start[list + 1]; i++) {
        const uint32_t code = zj_bind_string(k->from, k->to, k->there, b->list_item[i]);
        if (code == ZJ_NO_CODE) return -1;
        log->items[log->item_count++] = code;
    }
    log->list_end[++log->lists] = (uint32_t)log->item_count;
    return log->lists - 1;
}

/* Value of cell `at` of the batch as the log has it. -1 without memory. */
static inline int zj_take_value(const zj_columns *b, int64_t at, uint8_t kind, const zj_known *k, zj_log *log,
                                int64_t *out) {
    int64_t value = b->cell_value[at];
    if (kind == ZJ_STRING) {
        value = zj_bind_string(k->from, k->to, k->there, (uint32_t)value);
        if (value == ZJ_NO_CODE) return -1;
    } else if (kind == ZJ_LIST) {
        value = zj_take_list(b, value, k, log);
        if (value < 0) return -1;
    } else if (kind == ZJ_FLOAT && b->cell_kind[at] == ZJ_INT) {
        const double number = (double)value;
        memcpy(&value, &number, sizeof value);
    }
    *out = value;
    return 0;
}

/* Adds the rows that are kept. event, prop: of the batch's rows and cells (zj_bind_codes). device_prop: code of the
 * property that holds the device of rows with both ids, -1 when there are none. 0, or -1 without memory.
 * REQUIRES: room in the log, for a cell more of each row with both ids; codes are in range. */
static int zj_take_rows(const zj_columns *b, const zj_catalog *c, const uint16_t *event, const uint16_t *prop,
                        const uint8_t *keep, int32_t device_prop, const zj_known *k, zj_log *log) {
    int64_t cell = log->cells;
    for (size_t i = 0; i < b->rows; i++) {
        if (!keep[i]) continue;
        const int by_device = b->user[i] == ZJ_ABSENT;
        const uint32_t id = by_device ? b->device[i] : b->user[i];
        const int64_t row = log->rows++;
        log->shard[row] = k->shard[by_device][id];
        log->ordinal[row] = k->ordinal[by_device][id];
        log->event[row] = event[i];
        log->time[row] = b->time[i];
        for (int64_t at = b->cell_start[i]; at < b->cell_start[i + 1]; at++, cell++) {
            log->prop[cell] = prop[at];
            if (zj_take_value(b, at, c->prop_kind[prop[at]], k, log, &log->value[cell])) return -1;
        }
        if (device_prop >= 0 && !by_device && b->device[i] != ZJ_ABSENT) {
            const uint32_t code = zj_bind_string(k->from, k->to, k->there, b->device[i]);
            if (code == ZJ_NO_CODE) return -1;
            c->pairs[event[i] * c->pair_columns + device_prop] = 1;
            log->prop[cell] = (uint16_t)device_prop;
            log->value[cell++] = code;
        }
        log->cell_start[row + 1] = cell;
    }
    log->cells = cell;
    return 0;
}

#endif
