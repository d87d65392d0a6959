/* One event: msgpack bytes → a zj_row that points into them. Nothing is interned or kept here.
 *
 * An event is read to its end before the caller keeps any of it, so a rejected event leaves no
 * trace: no cells, no strings in the tables. The first thing wrong in the order of the bytes is
 * the reason; what only the whole event can show (something missing) comes after.
 *
 * Property names repeat from event to event, so their sequence is kept as a *shape*, per event
 * name: a name that stands where it stood last time needs one memcmp, no hash, no validation.
 *
 * REQUIRES: the bytes do not change during the call (if they do, values may be wrong, but no read
 * leaves [p, end)). One zj_reader belongs to one thread. O(bytes) an event.
 * Format page: docs/format/batch.md.
 */
#ifndef ZUJI_BATCH_EVENT_H
#define ZUJI_BATCH_EVENT_H

#include <stdlib.h>

#include "batch/msgpack.h"
#include "batch/times.h"
#include "batch/utf8.h"
#include "index/stringtable.h"

/* Reject reasons: stable codes, documented in reasons.py and docs/format/batch.md. */
#define ZJ_REASONS(X)                        \
    X(ACCEPTED, "")                          \
    X(NOT_A_MAP, "not_a_map")                \
    X(TOO_DEEP, "too_deep")                  \
    X(UNKNOWN_FIELD, "unknown_field")        \
    X(DUPLICATE_KEY, "duplicate_key")        \
    X(UNKNOWN_TYPE, "unknown_type")          \
    X(MISSING_EVENT, "missing_event")        \
    X(BAD_NAME, "bad_name")                  \
    X(MISSING_ID, "missing_id")              \
    X(ID_TOO_LONG, "id_too_long")            \
    X(MISSING_TIME, "missing_time")          \
    X(BAD_TIME, "bad_time")                  \
    X(TIME_OUT_OF_RANGE, "time_out_of_range")\
    X(TOO_MANY_PROPERTIES, "too_many_properties") \
    X(STRING_TOO_LONG, "string_too_long")    \
    X(LIST_TOO_LONG, "list_too_long")        \
    X(NOT_FINITE, "not_finite")              \
    X(INT_RANGE, "int_out_of_range")         \
    X(BAD_UTF8, "bad_utf8")                  \
    X(BAD_VALUE, "bad_value")

#define ZJ_NAME(id, text) ZJ_##id,
enum { ZJ_REASONS(ZJ_NAME) ZJ_REASON_COUNT, ZJ_NO_MEMORY = 255 };
#undef ZJ_NAME

enum { ZJ_TRACK, ZJ_PROFILE_SET, ZJ_PROFILE_UNSET };
enum { ZJ_F_NONE, ZJ_F_TYPE, ZJ_F_EVENT, ZJ_F_TIME, ZJ_F_USER, ZJ_F_DEVICE, ZJ_F_INSERT,
       ZJ_F_PROPERTIES };
/* zuji.engine.types.Kind, and 0 for "no value" */
enum { ZJ_UNSET, ZJ_BOOL, ZJ_INT, ZJ_FLOAT, ZJ_DATETIME, ZJ_STRING, ZJ_LIST };

typedef struct {
    uint32_t depth, properties, string_bytes, name_bytes, id_bytes, list_values;
    int64_t time_min, time_max;
} zj_limits;

typedef struct {
    const uint8_t *p; /* NULL: absent */
    uint32_t n;
} zj_text;

typedef struct {
    zj_text name;
    uint32_t code; /* of the name, when the shape knows it; else ZJ_NO_CODE */
    uint8_t kind;
    uint32_t count; /* LIST: items */
    int64_t value;  /* LIST: first item in zj_reader.items */
    const uint8_t *bytes; /* STRING: value is its length */
    uint64_t hash;        /* STRING: for the caller */
} zj_cell;

#define ZJ_BLOCK 8 /* events whose cells are held at once */
#define ZJ_SHAPES 64
#define ZJ_SHAPE_NAMES 64

typedef struct {
    zj_text event; /* event name as last seen, and its code */
    uint32_t event_code;
    uint32_t count; /* 0: empty */
    struct {
        zj_text name;
        uint32_t code;
    } names[ZJ_SHAPE_NAMES];
} zj_shape;

typedef struct {
    uint8_t type, matched; /* matched: all names came from the shape */
    zj_text event, user, device, insert;
    int64_t time;
    uint32_t index, cells, items;
    zj_cell *cell;   /* [cells] */
    zj_shape *shape; /* NULL: the event has no properties */
    char digits[3][24]; /* ids that were sent as integers */
} zj_row;

typedef struct {
    uint8_t reason, field;
    int32_t item; /* in a list, or -1 */
    uint32_t index; /* of the event */
    zj_text key;    /* property, or unknown field */
} zj_reject;

typedef struct {
    zj_limits limits;
    zj_shape *shapes; /* [ZJ_SHAPES] */
    zj_cell *cells;   /* [ZJ_BLOCK][limits.properties + 1] */
    zj_text *items;   /* list items of the block */
    size_t items_used, items_room;
    uint32_t *seen; /* set of the names of this event: stamp << 16 | cell */
    uint32_t seen_mask, stamp;
    zj_reject reject; /* why the last event failed */
} zj_reader;

static inline void zj_reader_free(zj_reader *r) {
    free(r->shapes);
    free(r->cells);
    free(r->items);
    free(r->seen);
    memset(r, 0, sizeof *r);
}

/* REQUIRES: limits->properties < 2^15, limits->depth <= MP_DEPTH. 0, or -1 without memory. */
static inline int zj_reader_init(zj_reader *r, const zj_limits *limits) {
    memset(r, 0, sizeof *r);
    r->limits = *limits;
    uint32_t room = 16;
    while (room < 2 * limits->properties) room *= 2;
    r->seen_mask = room - 1;
    r->shapes = (zj_shape *)malloc(ZJ_SHAPES * sizeof(zj_shape));
    r->cells = (zj_cell *)malloc(ZJ_BLOCK * ((size_t)limits->properties + 1) * sizeof(zj_cell));
    r->seen = (uint32_t *)calloc(room, sizeof(uint32_t));
    if (!r->shapes || !r->cells || !r->seen) {
        zj_reader_free(r);
        return -1;
    }
    for (int i = 0; i < ZJ_SHAPES; i++) {
        r->shapes[i].count = 0;
        r->shapes[i].event.p = NULL;
    }
    return 0;
}

static int zj_fail_at(zj_reader *r, uint8_t reason, uint8_t field, zj_text key, int32_t item) {
    r->reject.reason = reason;
    r->reject.field = field;
    r->reject.key = key;
    r->reject.item = item;
    return reason;
}

static int zj_fail(zj_reader *r, uint8_t reason, uint8_t field) {
    return zj_fail_at(r, reason, field, (zj_text){NULL, 0}, -1);
}

/* memcmp == 0 for the few bytes of a name, without a call. */
static inline int zj_equal(const uint8_t *p, const uint8_t *q, uint32_t n) {
    uint64_t a, b, c, d;
    if (n >= 8) {
        if (n > 16) return memcmp(p, q, n) == 0;
        memcpy(&a, p, 8);
        memcpy(&b, q, 8);
        memcpy(&c, p + n - 8, 8);
        memcpy(&d, q + n - 8, 8);
        return ((a ^ b) | (c ^ d)) == 0;
    }
    if (n >= 4) {
        uint32_t e, f, g, h;
        memcpy(&e, p, 4);
        memcpy(&f, q, 4);
        memcpy(&g, p + n - 4, 4);
        memcpy(&h, q + n - 4, 4);
        return ((e ^ f) | (g ^ h)) == 0;
    }
    return n == 0 || (p[0] == q[0] && p[n / 2] == q[n / 2] && p[n - 1] == q[n - 1]);
}

static inline int zj_same(zj_text a, const uint8_t *p, uint32_t n) {
    return a.n == n && a.p != NULL && zj_equal(a.p, p, n);
}

#define ZJ_IS(v, literal) \
    ((v).size == sizeof(literal) - 1 && memcmp((v).bytes, literal, sizeof(literal) - 1) == 0)

/* Names that a query reads as columns of the event itself. */
static inline int zj_reserved(const mp_value *v) {
    return v->bytes[0] == '$' && (ZJ_IS(*v, "$name") || ZJ_IS(*v, "$time") ||
                                  ZJ_IS(*v, "$received") || ZJ_IS(*v, "$device_id"));
}

static int zj_check_name(const zj_reader *r, const mp_value *v) {
    if (v->type != MP_STR || v->size == 0 || v->size > r->limits.name_bytes) return ZJ_BAD_NAME;
    if (!zj_utf8_ok(v->bytes, v->size)) return ZJ_BAD_UTF8;
    for (uint32_t i = 0; i < v->size; i++)
        if (v->bytes[i] < 0x20 || v->bytes[i] == 0x7f) return ZJ_BAD_NAME;
    return ZJ_ACCEPTED;
}

static int zj_read_time(const mp_value *v, int64_t *ms) {
    switch (v->type) {
        case MP_INT:
            *ms = v->integer;
            return ZJ_TIME_OK;
        case MP_BIG_UINT:
            return ZJ_TIME_RANGE;
        case MP_FLOAT:
            return zj_time_float(v->number, ms);
        case MP_STR:
            return zj_time_text(v->bytes, v->size, ms);
        case MP_EXT:
            return v->ext == -1 ? zj_time_ext(v->bytes, v->size, ms) : ZJ_TIME_BAD;
        default:
            return ZJ_TIME_BAD;
    }
}

/* An id: text, or an integer, which becomes its decimal text. Empty text and null are absent. */
static int zj_read_id(zj_reader *r, const mp_value *v, uint8_t field, char digits[24], zj_text *id) {
    id->p = NULL;
    id->n = 0;
    switch (v->type) {
        case MP_NIL:
            return ZJ_ACCEPTED;
        case MP_STR:
            if (v->size > r->limits.id_bytes) return zj_fail(r, ZJ_ID_TOO_LONG, field);
            if (!zj_utf8_ok(v->bytes, v->size)) return zj_fail(r, ZJ_BAD_UTF8, field);
            if (v->size == 0) return ZJ_ACCEPTED;
            id->p = v->bytes;
            id->n = v->size;
            return ZJ_ACCEPTED;
        case MP_INT:
        case MP_BIG_UINT: {
            int negative = v->type == MP_INT && v->integer < 0;
            uint64_t left = negative ? 0 - (uint64_t)v->integer : (uint64_t)v->integer;
            char *p = digits + 24;
            do {
                *--p = (char)('0' + left % 10);
                left /= 10;
            } while (left);
            if (negative) *--p = '-';
            id->p = (const uint8_t *)p;
            id->n = (uint32_t)(digits + 24 - p);
            if (id->n > r->limits.id_bytes) return zj_fail(r, ZJ_ID_TOO_LONG, field);
            return ZJ_ACCEPTED;
        }
        default:
            return zj_fail(r, ZJ_BAD_VALUE, field);
    }
}

/* 1 when the name of cell[at] is already in the set; else it is put there. */
static int zj_seen_before(zj_reader *r, const zj_cell *cell, uint32_t at) {
    zj_text name = cell[at].name;
    uint32_t h = name.n * 0x9E3779B1u;
    for (uint32_t i = 0; i < name.n; i++) h = (h ^ name.p[i]) * 0x01000193u;
    for (h ^= h >> 15;; h++) {
        uint32_t slot = r->seen[h & r->seen_mask];
        if (slot >> 16 != r->stamp) {
            r->seen[h & r->seen_mask] = r->stamp << 16 | at;
            return 0;
        }
        if (zj_same(cell[slot & 0xffff].name, name.p, name.n)) return 1;
    }
}

static void zj_forget_seen(zj_reader *r) {
    if (++r->stamp > 0xffff) {
        memset(r->seen, 0, ((size_t)r->seen_mask + 1) * sizeof *r->seen);
        r->stamp = 1;
    }
}

static int zj_read_list(zj_reader *r, const uint8_t **at, const uint8_t *end, uint32_t count,
                        zj_cell *cell) {
    if (count > r->limits.list_values)
        return zj_fail_at(r, ZJ_LIST_TOO_LONG, ZJ_F_PROPERTIES, cell->name, -1);
    if (r->items_used + count > r->items_room) {
        size_t room = 2 * r->items_room + count + 16;
        zj_text *items = (zj_text *)realloc(r->items, room * sizeof *items);
        if (!items) return ZJ_NO_MEMORY;
        r->items = items;
        r->items_room = room;
    }
    cell->kind = ZJ_LIST;
    cell->count = count;
    cell->value = (int64_t)r->items_used;
    for (uint32_t i = 0; i < count; i++) {
        mp_value v;
        if (mp_read(at, end, &v) || v.type != MP_STR)
            return zj_fail_at(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES, cell->name, (int32_t)i);
        if (v.size > r->limits.string_bytes)
            return zj_fail_at(r, ZJ_STRING_TOO_LONG, ZJ_F_PROPERTIES, cell->name, (int32_t)i);
        if (!zj_utf8_ok(v.bytes, v.size))
            return zj_fail_at(r, ZJ_BAD_UTF8, ZJ_F_PROPERTIES, cell->name, (int32_t)i);
        r->items[r->items_used++] = (zj_text){v.bytes, v.size};
    }
    return ZJ_ACCEPTED;
}

/* Years 1 to 9999: what every date library can hold. A birthday may be before 1900. */
#define ZJ_DATE_MIN (-62135596800000LL)
#define ZJ_DATE_MAX 253402300800000LL

static inline int zj_read_value(zj_reader *r, const uint8_t **at, const uint8_t *end,
                                zj_cell *cell) {
    mp_value v;
    uint8_t reason = ZJ_BAD_VALUE;
    if (mp_read(at, end, &v)) goto fail;
    switch (v.type) {
        case MP_STR:
            reason = ZJ_STRING_TOO_LONG;
            if (v.size > r->limits.string_bytes) goto fail;
            reason = ZJ_BAD_UTF8;
            if (!zj_utf8_ok(v.bytes, v.size)) goto fail;
            cell->kind = ZJ_STRING;
            cell->bytes = v.bytes;
            cell->value = v.size;
            return ZJ_ACCEPTED;
        case MP_INT:
            cell->kind = ZJ_INT;
            cell->value = v.integer;
            return ZJ_ACCEPTED;
        case MP_FLOAT:
            reason = ZJ_NOT_FINITE;
            if (!isfinite(v.number)) goto fail;
            cell->kind = ZJ_FLOAT;
            memcpy(&cell->value, &v.number, 8);
            return ZJ_ACCEPTED;
        case MP_BOOL:
            cell->kind = ZJ_BOOL;
            cell->value = v.integer;
            return ZJ_ACCEPTED;
        case MP_NIL:
            cell->kind = ZJ_UNSET;
            cell->value = 0;
            return ZJ_ACCEPTED;
        case MP_ARRAY:
            return zj_read_list(r, at, end, v.size, cell);
        case MP_BIG_UINT:
            reason = ZJ_INT_RANGE;
            goto fail;
        case MP_EXT: {
            if (v.ext != -1) goto fail;
            int failed = zj_time_ext(v.bytes, v.size, &cell->value);
            if (failed == ZJ_TIME_BAD) goto fail;
            reason = ZJ_TIME_OUT_OF_RANGE;
            if (failed || cell->value < ZJ_DATE_MIN || cell->value >= ZJ_DATE_MAX) goto fail;
            cell->kind = ZJ_DATETIME;
            return ZJ_ACCEPTED;
        }
        default:
            break;
    }
fail:
    return zj_fail_at(r, reason, ZJ_F_PROPERTIES, cell->name, -1);
}

static inline zj_shape *zj_shape_of(zj_reader *r, const zj_row *row) {
    uint32_t h = row->type * 5u;
    if (row->event.p) {
        const uint8_t *p = row->event.p;
        uint32_t n = row->event.n;
        h += n * 7u + p[0] * 3u + p[n / 2] * 5u + p[n - 1] * 11u;
    }
    return &r->shapes[h % ZJ_SHAPES];
}

static int zj_read_properties(zj_reader *r, const uint8_t **at, const uint8_t *end, uint32_t pairs,
                              zj_row *row) {
    if (pairs > r->limits.properties) return zj_fail(r, ZJ_TOO_MANY_PROPERTIES, ZJ_F_PROPERTIES);
    const uint8_t *p = *at;
    zj_shape *shape = zj_shape_of(r, row);
    uint32_t known = shape->count; /* names [0, known) of the shape may still match */
    for (uint32_t i = 0; i < pairs; i++) {
        zj_cell *cell = &row->cell[i];
        int failed;
        if (i < known) {
            zj_text name = shape->names[i].name;
            if ((size_t)(end - p) > name.n && *p == (0xa0 | name.n) && name.n < 32 &&
                zj_equal(p + 1, name.p, name.n)) {
                cell->name = (zj_text){p + 1, name.n};
                cell->code = shape->names[i].code;
                p += 1 + name.n;
                failed = zj_read_value(r, &p, end, cell);
                if (failed) return failed;
                continue;
            }
        }
        if (i <= known) { /* the first name that is off: from here on repeats are looked for */
            known = 0;
            zj_forget_seen(r);
            for (uint32_t j = 0; j < i; j++) zj_seen_before(r, row->cell, j);
        }
        mp_value key;
        if (mp_read(&p, end, &key)) return zj_fail(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES);
        zj_text name = key.type == MP_STR ? (zj_text){key.bytes, key.size} : (zj_text){NULL, 0};
        failed = zj_check_name(r, &key);
        if (!failed && zj_reserved(&key)) failed = ZJ_BAD_NAME;
        if (failed) return zj_fail_at(r, (uint8_t)failed, ZJ_F_PROPERTIES, name, -1);
        cell->name = name;
        cell->code = ZJ_NO_CODE;
        if (zj_seen_before(r, row->cell, i))
            return zj_fail_at(r, ZJ_DUPLICATE_KEY, ZJ_F_PROPERTIES, name, -1);
        failed = zj_read_value(r, &p, end, cell);
        if (failed) return failed;
    }
    row->cells = pairs;
    row->shape = shape;
    row->matched = pairs <= known;
    *at = p;
    return ZJ_ACCEPTED;
}

static int zj_read_type(const mp_value *v, uint8_t *type) {
    if (v->type == MP_NIL) return ZJ_ACCEPTED;
    if (v->type != MP_STR) return ZJ_UNKNOWN_TYPE;
    if (ZJ_IS(*v, "track")) *type = ZJ_TRACK;
    else if (ZJ_IS(*v, "profile_set")) *type = ZJ_PROFILE_SET;
    else if (ZJ_IS(*v, "profile_unset")) *type = ZJ_PROFILE_UNSET;
    else return ZJ_UNKNOWN_TYPE;
    return ZJ_ACCEPTED;
}

static inline uint8_t zj_field_of(const mp_value *key) {
    if (key->type != MP_STR) return ZJ_F_NONE;
    switch (key->size) {
        case 4:
            return ZJ_IS(*key, "time") ? ZJ_F_TIME : ZJ_IS(*key, "type") ? ZJ_F_TYPE : ZJ_F_NONE;
        case 5:
            return ZJ_IS(*key, "event") ? ZJ_F_EVENT : ZJ_F_NONE;
        case 7:
            return ZJ_IS(*key, "user_id") ? ZJ_F_USER : ZJ_F_NONE;
        case 9:
            return ZJ_IS(*key, "device_id")   ? ZJ_F_DEVICE
                   : ZJ_IS(*key, "insert_id") ? ZJ_F_INSERT
                                              : ZJ_F_NONE;
        case 10:
            return ZJ_IS(*key, "properties") ? ZJ_F_PROPERTIES : ZJ_F_NONE;
        default:
            return ZJ_F_NONE;
    }
}

/* What only the whole event shows: something missing, or values that its type does not take. */
static int zj_check_whole(zj_reader *r, const zj_row *row, uint32_t present) {
    if (row->type == ZJ_TRACK && !row->event.p) return zj_fail(r, ZJ_MISSING_EVENT, ZJ_F_EVENT);
    if (row->type != ZJ_TRACK && row->event.p) return zj_fail(r, ZJ_UNKNOWN_FIELD, ZJ_F_EVENT);
    if (!row->user.p && !row->device.p) return zj_fail(r, ZJ_MISSING_ID, ZJ_F_USER);
    if (!(present & 1u << ZJ_F_TIME)) return zj_fail(r, ZJ_MISSING_TIME, ZJ_F_TIME);
    if (row->type == ZJ_PROFILE_UNSET)
        for (uint32_t i = 0; i < row->cells; i++) {
            const zj_cell *cell = &row->cell[i];
            if (cell->kind != ZJ_UNSET && !(cell->kind == ZJ_BOOL && cell->value))
                return zj_fail_at(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES, cell->name, -1);
        }
    return ZJ_ACCEPTED;
}

/* Reads the event in [p, end) as number `slot` of the block. ZJ_ACCEPTED fills *row, its cells and
 * r->items, all valid until the slot is used again; any other answer is the reason, with r->reject
 * saying where (ZJ_NO_MEMORY: not a reason, give up). REQUIRES: slot < ZJ_BLOCK; r->items_used = 0
 * before slot 0. */
static int zj_read_event(zj_reader *r, const uint8_t *p, const uint8_t *end, uint32_t slot,
                         zj_row *row) {
    mp_value v;
    const size_t items_before = r->items_used;
    row->cell = r->cells + slot * ((size_t)r->limits.properties + 1);
    row->type = ZJ_TRACK;
    row->event.p = row->user.p = row->device.p = row->insert.p = NULL;
    row->cells = 0;
    row->shape = NULL;
    row->matched = 1;
    if (mp_read(&p, end, &v) || v.type != MP_MAP) return zj_fail(r, ZJ_NOT_A_MAP, ZJ_F_NONE);
    uint32_t present = 0, keys = 0;
    for (uint32_t pairs = v.size; pairs; pairs--) {
        if (mp_read(&p, end, &v)) return zj_fail(r, ZJ_NOT_A_MAP, ZJ_F_NONE);
        uint8_t field = zj_field_of(&v);
        if (field == ZJ_F_NONE) {
            zj_text key = v.type == MP_STR ? (zj_text){v.bytes, v.size} : (zj_text){NULL, 0};
            return zj_fail_at(r, ZJ_UNKNOWN_FIELD, ZJ_F_NONE, key, -1);
        }
        if (keys & 1u << field) return zj_fail(r, ZJ_DUPLICATE_KEY, field);
        keys |= 1u << field;
        if (mp_read(&p, end, &v)) return zj_fail(r, ZJ_BAD_VALUE, field);
        if (v.type != MP_NIL) present |= 1u << field;
        int failed = ZJ_ACCEPTED;
        switch (field) {
            case ZJ_F_TYPE:
                failed = zj_read_type(&v, &row->type);
                if (failed) return zj_fail(r, (uint8_t)failed, field);
                break;
            case ZJ_F_EVENT:
                if (v.type == MP_NIL) break;
                failed = zj_check_name(r, &v);
                if (failed) return zj_fail(r, (uint8_t)failed, field);
                row->event = (zj_text){v.bytes, v.size};
                break;
            case ZJ_F_TIME:
                if (v.type == MP_NIL) break;
                failed = zj_read_time(&v, &row->time);
                if (failed == ZJ_TIME_BAD) return zj_fail(r, ZJ_BAD_TIME, field);
                if (failed || row->time < r->limits.time_min || row->time >= r->limits.time_max)
                    return zj_fail(r, ZJ_TIME_OUT_OF_RANGE, field);
                break;
            case ZJ_F_USER:
                failed = zj_read_id(r, &v, field, row->digits[0], &row->user);
                break;
            case ZJ_F_DEVICE:
                failed = zj_read_id(r, &v, field, row->digits[1], &row->device);
                break;
            case ZJ_F_INSERT:
                failed = zj_read_id(r, &v, field, row->digits[2], &row->insert);
                break;
            default:
                if (v.type == MP_NIL) break;
                if (v.type != MP_MAP) return zj_fail(r, ZJ_BAD_VALUE, field);
                failed = zj_read_properties(r, &p, end, v.size, row);
        }
        if (failed) return failed;
    }
    row->items = (uint32_t)(r->items_used - items_before);
    return zj_check_whole(r, row, present);
}

#endif
