/* A batch: msgpack bytes → columns, in two passes without the GIL and without an object an event.
 *
 * zj_batch_open walks the whole batch once. It bounds events, values and depth, and finds every
 * structural fault, before anything but the list of the events' places is allocated.
 * zj_batch_decode then reads event after event (event.h) and keeps the accepted ones: only then are
 * strings interned, so a rejected event adds nothing to the tables. It does so in blocks of 8 events:
 * the places of their strings in the table are fetched while the next events are read.
 *
 * Memory: 37 + 8 bytes an event for row columns (the caller's), 13 bytes a cell, 4 a list item, each
 * with half as much again while it grows: at most 8 times the input, plus the tables. O(bytes).
 * Threads: one zj_batch belongs to one thread; the string tables are the caller's to lock.
 */
#ifndef ZUJI_BATCH_DECODE_H
#define ZUJI_BATCH_DECODE_H

#include "batch/event.h"

/* Why a whole batch is refused. */
#define ZJ_BATCH_REASONS(X)                  \
    X(OK, "")                                \
    X(TRUNCATED, "truncated")                \
    X(MALFORMED, "malformed")                \
    X(TRAILING, "trailing_bytes")            \
    X(TOO_LARGE, "batch_too_large")          \
    X(TOO_MANY_EVENTS, "too_many_events")    \
    X(TOO_MANY_ITEMS, "too_many_items")      \
    X(ENVELOPE, "bad_envelope")

#define ZJ_NAME(id, text) ZJ_BATCH_##id,
enum { ZJ_BATCH_REASONS(ZJ_NAME) ZJ_BATCH_REASON_COUNT, ZJ_BATCH_NO_MEMORY = 255 };
#undef ZJ_NAME

#define ZJ_DEEP (1ULL << 63)

typedef struct {
    /* the caller's columns, room for `events` rows (cell_start: one more) */
    uint8_t *kind;
    uint32_t *event, *user, *device, *insert, *index;
    int64_t *time, *cell_start;
    uint32_t rows;
    /* grown here */
    uint32_t *cell_prop;
    uint8_t *cell_kind;
    int64_t *cell_value;
    size_t cells, cells_room;
    int64_t *list_start; /* lists + 1 entries, the last one written at the end */
    size_t lists, lists_room;
    uint32_t *list_item;
    size_t items, items_room;
} zj_columns;

typedef struct {
    const uint8_t *data, *end;
    zj_limits limits;
    uint64_t max_events, max_items;
    uint64_t *starts; /* [events + 1] offsets; ZJ_DEEP marks an event that nests too deep */
    uint32_t events;
    uint64_t items;
    int has_sent_at;
    int64_t sent_at;
    zj_text batch_id;
    const char *envelope_fault; /* with ZJ_BATCH_ENVELOPE */
    uint64_t fault_at;          /* byte offset of a structural fault */
    zj_reject *rejects;
    size_t rejected, rejects_room;
    zj_columns out;
} zj_batch;

static inline void zj_batch_free(zj_batch *b) {
    free(b->starts);
    free(b->rejects);
    free(b->out.cell_prop);
    free(b->out.cell_kind);
    free(b->out.cell_value);
    free(b->out.list_start);
    free(b->out.list_item);
    memset(b, 0, sizeof *b);
}

static int zj_batch_fault(zj_batch *b, const uint8_t *p, int msgpack_error) {
    static const uint8_t reasons[] = {ZJ_BATCH_OK, ZJ_BATCH_TRUNCATED, ZJ_BATCH_MALFORMED,
                                      ZJ_BATCH_TOO_MANY_ITEMS};
    b->fault_at = (uint64_t)(p - b->data);
    return reasons[msgpack_error];
}

static int zj_batch_envelope(zj_batch *b, const uint8_t *p, const char *fault) {
    b->fault_at = (uint64_t)(p - b->data);
    b->envelope_fault = fault;
    return ZJ_BATCH_ENVELOPE;
}

static int zj_batch_scan_events(zj_batch *b, const uint8_t **at, uint32_t count) {
    const uint8_t *p = *at;
    if (count > b->max_events) return ZJ_BATCH_TOO_MANY_EVENTS;
    if (count > (uint64_t)(b->end - p)) return zj_batch_fault(b, b->end, MP_TRUNCATED);
    b->starts = (uint64_t *)malloc(((size_t)count + 1) * sizeof *b->starts);
    if (!b->starts) return ZJ_BATCH_NO_MEMORY;
    b->events = count;
    for (uint32_t i = 0; i < count; i++) {
        int deep = 0;
        uint64_t start = (uint64_t)(p - b->data);
        int failed = mp_skip(&p, b->end, &b->items, b->max_items, b->limits.depth, &deep);
        if (failed) return zj_batch_fault(b, p, failed);
        b->starts[i] = deep ? start | ZJ_DEEP : start;
    }
    b->starts[count] = (uint64_t)(p - b->data);
    *at = p;
    return ZJ_BATCH_OK;
}

static int zj_batch_scan_map(zj_batch *b, const uint8_t **at, uint32_t pairs) {
    enum { BATCH_ID = 1, SENT_AT = 2, EVENTS = 4 };
    const uint8_t *p = *at;
    uint32_t keys = 0;
    for (; pairs; pairs--) {
        mp_value key, v;
        const uint8_t *here = p;
        int failed = mp_read(&p, b->end, &key);
        if (failed) return zj_batch_fault(b, p, failed);
        uint32_t which = key.type != MP_STR         ? 0
                         : ZJ_IS(key, "batch_id") ? BATCH_ID
                         : ZJ_IS(key, "sent_at")  ? SENT_AT
                         : ZJ_IS(key, "events")   ? EVENTS
                                                  : 0;
        if (!which) return zj_batch_envelope(b, here, "a key other than batch_id, sent_at, events");
        if (keys & which) return zj_batch_envelope(b, here, "the same key twice");
        keys |= which;
        b->items += 2;
        here = p;
        failed = mp_read(&p, b->end, &v);
        if (failed) return zj_batch_fault(b, p, failed);
        if (which == EVENTS) {
            if (v.type != MP_ARRAY) return zj_batch_envelope(b, here, "events is not an array");
            failed = zj_batch_scan_events(b, &p, v.size);
            if (failed) return failed;
        } else if (v.type == MP_NIL) {
            continue;
        } else if (which == SENT_AT) {
            if (zj_read_time(&v, &b->sent_at) || b->sent_at < b->limits.time_min ||
                b->sent_at >= b->limits.time_max)
                return zj_batch_envelope(b, here, "sent_at is not a time");
            b->has_sent_at = 1;
        } else {
            if (v.type != MP_STR || v.size == 0 || v.size > b->limits.id_bytes ||
                !zj_utf8_ok(v.bytes, v.size))
                return zj_batch_envelope(b, here, "batch_id is not a text of a usable length");
            b->batch_id = (zj_text){v.bytes, v.size};
        }
    }
    if (!(keys & EVENTS)) return zj_batch_envelope(b, p, "no events");
    *at = p;
    return ZJ_BATCH_OK;
}

/* First pass over data[0, n). ZJ_BATCH_OK fills events, starts, batch_id, sent_at.
 * REQUIRES: *b is zero but for limits, max_events, max_items. zj_batch_free in any case. */
static int zj_batch_open(zj_batch *b, const uint8_t *data, size_t n) {
    const uint8_t *p = data;
    mp_value v;
    b->data = data;
    b->end = data + n;
    int failed = mp_read(&p, b->end, &v);
    if (failed) return zj_batch_fault(b, p, failed);
    b->items = 1;
    if (v.type == MP_ARRAY) failed = zj_batch_scan_events(b, &p, v.size);
    else if (v.type == MP_MAP) failed = zj_batch_scan_map(b, &p, v.size);
    else failed = zj_batch_envelope(b, data, "neither a map nor an array of events");
    if (failed) return failed;
    if (b->items > b->max_items) return zj_batch_fault(b, p, MP_TOO_MANY);
    if (p != b->end) {
        b->fault_at = (uint64_t)(p - data);
        return ZJ_BATCH_TRAILING;
    }
    return ZJ_BATCH_OK;
}

/* *array with room for `room` elements of `size` bytes. 0, or -1 and the array as it was. */
static int zj_grow(void **array, size_t room, size_t size) {
    void *grown = realloc(*array, room * size);
    if (!grown) return -1;
    *array = grown;
    return 0;
}

static int zj_columns_reserve(zj_columns *o, size_t cells, size_t lists, size_t items) {
    if (o->cells + cells > o->cells_room) {
        size_t room = o->cells_room + o->cells_room / 2 + cells + 256;
        if (zj_grow((void **)&o->cell_prop, room, 4) || zj_grow((void **)&o->cell_kind, room, 1) ||
            zj_grow((void **)&o->cell_value, room, 8))
            return -1;
        o->cells_room = room;
    }
    if (o->lists + lists + 1 > o->lists_room) {
        size_t room = o->lists_room + o->lists_room / 2 + lists + 16;
        if (zj_grow((void **)&o->list_start, room, 8)) return -1;
        o->lists_room = room;
    }
    if (o->items + items > o->items_room) {
        size_t room = o->items_room + o->items_room / 2 + items + 64;
        if (zj_grow((void **)&o->list_item, room, 4)) return -1;
        o->items_room = room;
    }
    return 0;
}

/* First half of keeping an event: hash its strings and fetch where they may stand in the table.
 * The second half comes a block later, when the cache misses are over. */
static void zj_row_prepare(const zj_strings *strings, zj_row *row, uint64_t hashes[3]) {
    const zj_text ids[3] = {row->user, row->device, row->insert};
    for (int k = 0; k < 3; k++) {
        if (!ids[k].p) continue;
        hashes[k] = zj_strings_hash(strings, ids[k].p, ids[k].n);
        zj_strings_prefetch(strings, hashes[k]);
    }
    for (uint32_t i = 0; i < row->cells; i++) {
        zj_cell *cell = &row->cell[i];
        if (cell->kind != ZJ_STRING) continue;
        cell->hash = zj_strings_hash(strings, cell->bytes, (size_t)cell->value);
        zj_strings_prefetch(strings, cell->hash);
    }
}

static inline int zj_intern_id(zj_strings *t, zj_text id, uint64_t hash, uint32_t *code) {
    *code = ZJ_NO_CODE;
    if (!id.p) return 0;
    *code = zj_strings_intern_hashed(t, id.p, id.n, hash);
    return *code == ZJ_NO_CODE ? -1 : 0;
}

/* Codes of the event's name and of the names of its properties; learns the shape. */
static int zj_intern_names(zj_strings *names, const zj_row *row, uint32_t *event) {
    zj_shape *shape = row->shape;
    int learn = !row->matched && row->cells <= ZJ_SHAPE_NAMES;
    *event = ZJ_NO_CODE;
    if (row->event.p) {
        if (shape && zj_same(shape->event, row->event.p, row->event.n)) {
            *event = shape->event_code;
        } else {
            *event = zj_strings_intern(names, row->event.p, row->event.n);
            if (*event == ZJ_NO_CODE) return -1;
            if (shape) {
                shape->event = row->event;
                shape->event_code = *event;
            }
        }
    }
    for (uint32_t i = 0; i < row->cells; i++) {
        zj_cell *cell = &row->cell[i];
        if (cell->code == ZJ_NO_CODE && (cell->kind != ZJ_UNSET || row->type != ZJ_TRACK)) {
            cell->code = zj_strings_intern(names, cell->name.p, cell->name.n);
            if (cell->code == ZJ_NO_CODE) return -1;
            learn = row->cells <= ZJ_SHAPE_NAMES;
        }
    }
    if (learn) {
        for (uint32_t i = 0; i < row->cells; i++) {
            shape->names[i].name = row->cell[i].name;
            shape->names[i].code = row->cell[i].code;
        }
        shape->count = row->cells;
    }
    return 0;
}

static int zj_keep_values(zj_strings *strings, const zj_reader *r, const zj_row *row,
                          zj_columns *o) {
    for (uint32_t i = 0; i < row->cells; i++) {
        const zj_cell *cell = &row->cell[i];
        int64_t value = cell->value;
        uint8_t kind = row->type == ZJ_PROFILE_UNSET ? ZJ_UNSET : cell->kind;
        if (kind == ZJ_UNSET) {
            if (row->type == ZJ_TRACK) continue;
            value = 0;
        } else if (kind == ZJ_STRING) {
            uint32_t code =
                zj_strings_intern_hashed(strings, cell->bytes, (size_t)value, cell->hash);
            if (code == ZJ_NO_CODE) return -1;
            value = code;
        } else if (kind == ZJ_LIST) {
            o->list_start[o->lists] = (int64_t)o->items;
            for (uint32_t k = 0; k < cell->count; k++) {
                zj_text item = r->items[cell->value + k];
                uint32_t code = zj_strings_intern(strings, item.p, item.n);
                if (code == ZJ_NO_CODE) return -1;
                o->list_item[o->items++] = code;
            }
            value = (int64_t)o->lists++;
        }
        o->cell_prop[o->cells] = cell->code;
        o->cell_kind[o->cells] = kind;
        o->cell_value[o->cells++] = value;
    }
    return 0;
}

/* Second half of keeping an event. 0, or -1 without memory. */
static int zj_row_keep(zj_strings *names, zj_strings *strings, const zj_reader *r,
                       const zj_row *row, const uint64_t hashes[3], zj_columns *o) {
    const uint32_t at = o->rows;
    if (zj_columns_reserve(o, row->cells, row->cells, row->items)) return -1;
    o->kind[at] = row->type;
    o->time[at] = row->time;
    o->index[at] = row->index;
    o->cell_start[at] = (int64_t)o->cells;
    if (zj_intern_id(strings, row->user, hashes[0], &o->user[at]) ||
        zj_intern_id(strings, row->device, hashes[1], &o->device[at]) ||
        zj_intern_id(strings, row->insert, hashes[2], &o->insert[at]) ||
        zj_intern_names(names, row, &o->event[at]) || zj_keep_values(strings, r, row, o))
        return -1;
    o->rows++;
    return 0;
}

static int zj_batch_reject(zj_batch *b, zj_reject reject, uint32_t index) {
    if (b->rejected == b->rejects_room) {
        size_t room = 2 * b->rejects_room + 16;
        if (zj_grow((void **)&b->rejects, room, sizeof *b->rejects)) return -1;
        b->rejects_room = room;
    }
    reject.index = index;
    b->rejects[b->rejected++] = reject;
    return 0;
}

/* Second pass. ZJ_BATCH_OK or ZJ_BATCH_NO_MEMORY.
 * REQUIRES: zj_batch_open answered ZJ_BATCH_OK; b->out has its row columns. */
static int zj_batch_decode(zj_batch *b, zj_strings *names, zj_strings *strings) {
    zj_columns *o = &b->out;
    zj_reader reader;
    zj_row rows[ZJ_BLOCK];
    uint64_t hashes[ZJ_BLOCK][3];
    int failed = -1;
    if (zj_columns_reserve(o, 0, 0, 0)) return ZJ_BATCH_NO_MEMORY;
    if (zj_reader_init(&reader, &b->limits)) return ZJ_BATCH_NO_MEMORY;
    for (uint32_t i = 0; i < b->events;) {
        uint32_t held = 0;
        reader.items_used = 0;
        for (; i < b->events && held < ZJ_BLOCK; i++) {
            const uint8_t *start = b->data + (b->starts[i] & ~ZJ_DEEP);
            const uint8_t *end = b->data + (b->starts[i + 1] & ~ZJ_DEEP);
            zj_row *row = &rows[held];
            size_t items_before = reader.items_used;
            int reason = b->starts[i] & ZJ_DEEP
                             ? zj_fail(&reader, ZJ_TOO_DEEP, ZJ_F_NONE)
                             : zj_read_event(&reader, start, end, held, row);
            if (reason == ZJ_NO_MEMORY) goto done;
            if (reason != ZJ_ACCEPTED) {
                if (zj_batch_reject(b, reader.reject, i)) goto done;
                reader.items_used = items_before;
                continue;
            }
            row->index = i;
            zj_row_prepare(strings, row, hashes[held++]);
        }
        for (uint32_t k = 0; k < held; k++)
            if (zj_row_keep(names, strings, &reader, &rows[k], hashes[k], o)) goto done;
    }
    o->cell_start[o->rows] = (int64_t)o->cells;
    o->list_start[o->lists] = (int64_t)o->items;
    failed = 0;
done:
    zj_reader_free(&reader);
    return failed ? ZJ_BATCH_NO_MEMORY : ZJ_BATCH_OK;
}

#endif
