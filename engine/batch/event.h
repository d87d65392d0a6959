/* One event: msgpack or JSON bytes → the open row of a keeper. The rules of both forms are the same code.
 *
 * An event is read to its end before the caller keeps any of it. The first thing wrong in the order of
 * the bytes is the reason; what only the whole event can show (something missing) comes after.
 * `json` is a constant in every call, so each form has its own compiled reader.
 *
 * REQUIRES: the bytes do not change during the call (if they do, values may be wrong, but no read
 * leaves [p, room)). One zj_reader belongs to one thread. O(bytes) an event.
 * Format page: docs/format/batch.md.
 */
#ifndef ZUJI_BATCH_EVENT_H
#define ZUJI_BATCH_EVENT_H

#include "batch/json.h"
#include "batch/keep.h"
#include "batch/times.h"

#define ZJ_ALWAYS static inline __attribute__((always_inline))
#define ZJ_NEVER static __attribute__((noinline))

typedef struct {
    zj_limits limits;
    zj_keeper keep;
    js_reader json;
    const uint8_t *room; /* the end of what can be read */
    uint32_t *seen; /* set of the names of this event: stamp << 16 | cell */
    uint32_t seen_mask, stamp;
    zj_reject reject; /* why the last event failed */
} zj_reader;

static inline void zj_reader_free(zj_reader *r) {
    zj_keeper_free(&r->keep);
    free(r->seen);
    free(r->json.made);
    memset(r, 0, sizeof *r);
}

/* Ready for a batch. 0, or -1 without memory. REQUIRES: *r is zero or was used before;
 * limits->properties < 2^15, limits->depth <= MP_DEPTH. */
static inline int zj_reader_begin(zj_reader *r, const zj_limits *limits, const uint8_t *data,
                                  size_t n, zj_table names, zj_table strings) {
    if (!r->seen || r->limits.properties != limits->properties) {
        uint32_t room = 16;
        while (room < 2 * limits->properties) room *= 2;
        free(r->seen);
        r->seen = (uint32_t *)calloc(room, sizeof(uint32_t));
        if (!r->seen) return -1;
        r->seen_mask = room - 1;
        r->stamp = 0;
    }
    r->limits = *limits;
    r->room = r->json.room = data + n;
    r->json.made_room = n;
    return zj_keeper_begin(&r->keep, names, strings, limits->properties);
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

ZJ_NEVER int zj_check_name(const zj_reader *r, const mp_value *v) {
    if (v->type != MP_STR || v->size == 0 || v->size > r->limits.name_bytes) return ZJ_BAD_NAME;
    if (!zj_utf8_ok(v->bytes, v->size)) return ZJ_BAD_UTF8;
    for (uint32_t i = 0; i < v->size; i++)
        if (v->bytes[i] < 0x20 || v->bytes[i] == 0x7f) return ZJ_BAD_NAME;
    return ZJ_ACCEPTED;
}

static inline int zj_read_time(const mp_value *v, int64_t *ms) {
    switch (v->type) {
        case MP_INT:
            *ms = v->integer;
            return ZJ_TIME_OK;
        case MP_BIG_UINT:
        case MP_HUGE:
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

/* 1 when keys[at] is already in the set; else it is put there. */
static int zj_seen_before(zj_reader *r, const zj_text *keys, uint32_t at) {
    zj_text name = keys[at];
    uint32_t h = name.n * 0x9E3779B1u;
    for (uint32_t i = 0; i < name.n; i++) h = (h ^ name.p[i]) * 0x01000193u;
    for (h ^= h >> 15;; h++) {
        uint32_t slot = r->seen[h & r->seen_mask];
        if (slot >> 16 != r->stamp) {
            r->seen[h & r->seen_mask] = r->stamp << 16 | at;
            return 0;
        }
        if (zj_same(keys[slot & 0xffff], name.p, name.n)) return 1;
    }
}

static void zj_forget_seen(zj_reader *r) {
    if (++r->stamp > 0xffff) {
        memset(r->seen, 0, ((size_t)r->seen_mask + 1) * sizeof *r->seen);
        r->stamp = 1;
    }
}

/* The value at *at; white space before it is skipped. */
ZJ_ALWAYS int zj_read(zj_reader *r, const uint8_t **at, const uint8_t *end, mp_value *v,
                      const int json) {
    if (json) return js_read(&r->json, at, end, v, r->room);
    return mp_read(at, end, v);
}

/* Can n bytes at the text of v be read? */
ZJ_ALWAYS int zj_wide(const zj_reader *r, const mp_value *v, size_t n, const int json) {
    return (json && v->text & JS_MADE) || (size_t)(r->room - v->bytes) >= n;
}

/* The members of a container, one after the other. */
typedef struct {
    uint32_t left;  /* msgpack */
    uint32_t first; /* JSON */
} zj_walk;

ZJ_ALWAYS zj_walk zj_walk_of(const mp_value *v) {
    return (zj_walk){v->size, 1};
}

/* 1: another member is at *at; 0: the container is over; -1: neither. */
ZJ_ALWAYS int zj_next(const uint8_t **at, const uint8_t *end, zj_walk *walk, uint8_t close,
                      const int json) {
    if (json) return js_next(at, end, &walk->first, close);
    return walk->left ? (walk->left--, 1) : 0;
}

/* A key, and the colon after it. */
ZJ_ALWAYS int zj_read_key(zj_reader *r, const uint8_t **at, const uint8_t *end, mp_value *v,
                          const int json) {
    if (!json) return mp_read(at, end, v);
    if (*at >= end || **at != '"') return MP_MALFORMED;
    int failed = js_read(&r->json, at, end, v, r->room);
    return failed ? failed : js_colon(at, end);
}

/* An id: text, or an integer, which becomes its decimal text. Empty text and null are absent. */
ZJ_ALWAYS int zj_read_id(zj_reader *r, const mp_value *v, uint8_t field, uint8_t to,
                         uint32_t *column, const int json) {
    zj_keeper *k = &r->keep;
    const size_t row = k->out.rows;
    const uint8_t *text = v->bytes;
    uint32_t n = v->size;
    int wide = 0, ascii = 1;
    if (v->type == MP_STR) {
        if (n > r->limits.id_bytes) return zj_fail(r, ZJ_ID_TOO_LONG, field);
        if (n == 0) {
            k->row.present &= ~(1u << field);
            return ZJ_ACCEPTED;
        }
        wide = zj_wide(r, v, ZJ_RECALL_BYTES, json);
        ascii = json && v->text & JS_ASCII;
    } else if (v->type == MP_NIL) {
        return ZJ_ACCEPTED;
    } else if (v->type == MP_INT || v->type == MP_BIG_UINT) {
        int negative = v->type == MP_INT && v->integer < 0;
        uint64_t left = negative ? 0 - (uint64_t)v->integer : (uint64_t)v->integer;
        char *last = k->digits[k->waiting] + 24, *p = last;
        do {
            *--p = (char)('0' + left % 10);
            left /= 10;
        } while (left);
        if (negative) *--p = '-';
        text = (const uint8_t *)p;
        n = (uint32_t)(last - p);
    } else if (!json || v->type != MP_HUGE) {
        return zj_fail(r, ZJ_BAD_VALUE, field);
    }
    if (n > r->limits.id_bytes) return zj_fail(r, ZJ_ID_TOO_LONG, field);
    uint32_t code;
    int known = zj_keep_text(k, text, n, wide, ascii, &k->recall->ids[to], to, row, &code);
    if (known < 0) return zj_fail(r, ZJ_BAD_UTF8, field);
    if (known) column[row] = code;
    return ZJ_ACCEPTED;
}

ZJ_ALWAYS int zj_read_list(zj_reader *r, const uint8_t **at, const uint8_t *end, const mp_value *list,
                           zj_text name, int64_t *value, const int json) {
    zj_keeper *k = &r->keep;
    zj_walk walk = zj_walk_of(list);
    const size_t first = k->texts_used;
    if (!json && list->size > r->limits.list_values)
        return zj_fail_at(r, ZJ_LIST_TOO_LONG, ZJ_F_PROPERTIES, name, -1);
    for (uint32_t i = 0;; i++) {
        mp_value v;
        int more = zj_next(at, end, &walk, ']', json);
        if (more == 0) break;
        if (more < 0 || i == r->limits.list_values) {
            return zj_fail_at(r, ZJ_LIST_TOO_LONG, ZJ_F_PROPERTIES, name, -1);
        }
        if (zj_read(r, at, end, &v, json) || v.type != MP_STR)
            return zj_fail_at(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES, name, (int32_t)i);
        if (v.size > r->limits.string_bytes)
            return zj_fail_at(r, ZJ_STRING_TOO_LONG, ZJ_F_PROPERTIES, name, (int32_t)i);
        if (!(json && v.text & JS_ASCII) && !zj_utf8_ok(v.bytes, v.size))
            return zj_fail_at(r, ZJ_BAD_UTF8, ZJ_F_PROPERTIES, name, (int32_t)i);
        if (k->texts_used == k->texts_room) {
            size_t room = 2 * k->texts_room + 64;
            if (zj_grow(&k->texts, room, sizeof *k->texts)) return ZJ_NO_MEMORY;
            k->texts_room = room;
        }
        k->texts[k->texts_used++] = (zj_text){v.bytes, v.size};
    }
    *value = (int64_t)(first << 32 | (k->texts_used - first));
    k->row.values += k->texts_used - first;
    k->row.lists = 1;
    k->row.depth = 3;
    return ZJ_ACCEPTED;
}

/* Years 1 to 9999: what every date library can hold. A birthday may be before 1900. */
#define ZJ_DATE_MIN (-62135596800000LL)
#define ZJ_DATE_MAX 253402300800000LL

/* The value of a property → cell c. */
ZJ_ALWAYS int zj_read_value(zj_reader *r, const uint8_t **at, const uint8_t *end, zj_text name,
                            zj_habit *habit, size_t c, const int json) {
    zj_keeper *k = &r->keep;
    uint8_t *kind = &k->out.cell_kind[c];
    int64_t *value = &k->out.cell_value[c];
    mp_value v;
    uint8_t reason = ZJ_BAD_VALUE;
    if (json && *at < end && **at <= ' ') js_space(at, end);
    const uint8_t *start = *at;
    if (zj_read(r, at, end, &v, json)) goto fail;
    switch (v.type) {
        case MP_STR: {
            uint32_t code = 0;
            reason = ZJ_STRING_TOO_LONG;
            if (v.size > r->limits.string_bytes) goto fail;
            reason = ZJ_BAD_UTF8;
            if (zj_keep_text(k, v.bytes, v.size, zj_wide(r, &v, ZJ_RECALL_BYTES, json),
                             json && v.text & JS_ASCII, habit, ZJ_TO_CELL, c, &code) < 0)
                goto fail;
            *kind = ZJ_STRING;
            *value = code;
            return ZJ_ACCEPTED;
        }
        case MP_INT:
            *kind = ZJ_INT;
            *value = v.integer;
            return ZJ_ACCEPTED;
        case MP_FLOAT:
            reason = ZJ_NOT_FINITE;
            if (!isfinite(v.number)) goto fail;
            *kind = ZJ_FLOAT;
            memcpy(value, &v.number, 8);
            return ZJ_ACCEPTED;
        case MP_BOOL:
            *kind = ZJ_BOOL;
            *value = v.integer;
            return ZJ_ACCEPTED;
        case MP_NIL:
            *kind = ZJ_UNSET;
            *value = 0;
            k->row.nulls = 1;
            return ZJ_ACCEPTED;
        case MP_ARRAY: {
            *kind = ZJ_LIST;
            int failed = zj_read_list(r, at, end, &v, name, value, json);
            if (json && failed && failed != ZJ_NO_MEMORY &&
                js_count(start, end, r->room) > r->limits.list_values)
                return zj_fail_at(r, ZJ_LIST_TOO_LONG, ZJ_F_PROPERTIES, name, -1);
            return failed;
        }
        case MP_BIG_UINT:
        case MP_HUGE:
            reason = ZJ_INT_RANGE;
            goto fail;
        case MP_EXT: {
            if (v.ext != -1) goto fail;
            int failed = zj_time_ext(v.bytes, v.size, value);
            if (failed == ZJ_TIME_BAD) goto fail;
            reason = ZJ_TIME_OUT_OF_RANGE;
            if (failed || *value < ZJ_DATE_MIN || *value >= ZJ_DATE_MAX) goto fail;
            *kind = ZJ_DATETIME;
            return ZJ_ACCEPTED;
        }
        default:
            break;
    }
fail:
    return zj_fail_at(r, reason, ZJ_F_PROPERTIES, name, -1);
}

/* A name that stands elsewhere than the shape has it: checked and looked for among those before. */
ZJ_NEVER int zj_new_name(zj_reader *r, const mp_value *key, uint32_t i) {
    zj_keeper *k = &r->keep;
    zj_text name = key->type == MP_STR ? (zj_text){key->bytes, key->size} : (zj_text){NULL, 0};
    int failed = zj_check_name(r, key);
    if (!failed && zj_reserved(key)) failed = ZJ_BAD_NAME;
    if (failed) return zj_fail_at(r, (uint8_t)failed, ZJ_F_PROPERTIES, name, -1);
    if (k->row.matched) { /* the first one */
        k->row.matched = 0;
        zj_forget_seen(r);
        for (uint32_t j = 0; j < i; j++) zj_seen_before(r, k->keys, j);
    }
    k->keys[i] = name;
    if (zj_seen_before(r, k->keys, i))
        return zj_fail_at(r, ZJ_DUPLICATE_KEY, ZJ_F_PROPERTIES, name, -1);
    return ZJ_ACCEPTED;
}

#define ZJ_LOOK_AHEAD 4 /* names of a shape that an event may leave out in a row */

/* The name of the shape that stands at p, from number *next on; NULL when none of the next does. */
ZJ_ALWAYS zj_shape_name *zj_match(zj_reader *r, const uint8_t *p, zj_shape *shape, uint32_t *next,
                                  const int json) {
    if (r->room - p < 40 || (json && *p != '"')) return NULL;
    const uint32_t last = *next + ZJ_LOOK_AHEAD < shape->count ? *next + ZJ_LOOK_AHEAD : shape->count;
    for (uint32_t s = *next; s < last; s++) {
        zj_shape_name *name = &shape->names[s];
        if (json ? p[1 + name->n] != '"' || p[2 + name->n] != ':' || !name->plain
                 : *p != (0xa0 | name->n))
            continue;
        if (!zj_shape_name_is(name, p + 1)) continue;
        *next = s + 1;
        return name->n <= r->limits.name_bytes ? name : NULL;
    }
    return NULL;
}

ZJ_ALWAYS int zj_read_properties(zj_reader *r, const uint8_t **at, const uint8_t *end,
                                 const mp_value *map, const int json) {
    zj_keeper *k = &r->keep;
    zj_columns *o = &k->out;
    const uint8_t *p = *at;
    zj_walk walk = zj_walk_of(map);
    const uint32_t most = r->limits.properties;
    if (!json && map->size > most) return zj_fail(r, ZJ_TOO_MANY_PROPERTIES, ZJ_F_PROPERTIES);
    const size_t room = json ? most : map->size;
    if (o->cells + room > o->cells_room && zj_cells_grow(o, room)) return ZJ_NO_MEMORY;
    if (!k->row.shape) k->row.shape = &k->shapes->nameless;
    zj_shape *shape = k->row.shape;
    uint32_t next = 0, i = 0;
    if (k->row.depth < 2) k->row.depth = 2;
    for (;; i++) {
        int failed, more = zj_next(&p, end, &walk, '}', json);
        if (more == 0) break;
        if (more < 0 || i == most) return zj_fail(r, ZJ_TOO_MANY_PROPERTIES, ZJ_F_PROPERTIES);
        zj_shape_name *known = k->row.matched ? zj_match(r, p, shape, &next, json) : NULL;
        if (known) {
            k->keys[i] = (zj_text){p + 1, known->n};
            p += 1 + known->n + 2 * json;
            o->cell_prop[o->cells + i] = known->code;
            k->row.unnamed |= known->code == ZJ_NO_CODE;
            failed = zj_read_value(r, &p, end, k->keys[i], &known->habit, o->cells + i, json);
        } else {
            mp_value key;
            if (zj_read_key(r, &p, end, &key, json)) return zj_fail(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES);
            failed = zj_new_name(r, &key, i);
            if (failed) return failed;
            o->cell_prop[o->cells + i] = ZJ_NO_CODE;
            k->row.unnamed = 1;
            failed = zj_read_value(r, &p, end, k->keys[i], &k->recall->other, o->cells + i, json);
        }
        if (failed) return failed;
    }
    k->row.cells = i;
    k->row.values += 2 * i;
    *at = p;
    return ZJ_ACCEPTED;
}

/* An event's name: found among the shapes, or checked. */
ZJ_ALWAYS int zj_read_event_name(zj_reader *r, const mp_value *v, const int json) {
    zj_keeper *k = &r->keep;
    zj_row *row = &k->row;
    zj_shape *shape = NULL;
    int found = 0;
    if (v->type == MP_STR && v->size && v->size <= ZJ_EVENT_BYTES && v->size <= r->limits.name_bytes) {
        uint64_t w[4];
        if (zj_wide(r, v, 32, json))
            for (uint32_t i = 0; i < 4; i++) w[i] = zj_piece(v->bytes, v->size, i);
        else zj_words_of(w, v->bytes, v->size);
        shape = zj_shape_for(k->shapes, w, v->size, &found);
    }
    if (found) {
        row->event_code = shape->code;
    } else {
        int failed = zj_check_name(r, v);
        if (failed) return zj_fail(r, (uint8_t)failed, ZJ_F_EVENT);
        row->event = (zj_text){v->bytes, v->size};
    }
    if (!row->shape) row->shape = shape;
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
ZJ_ALWAYS int zj_check_whole(zj_reader *r) {
    zj_keeper *k = &r->keep;
    const zj_row *row = &k->row;
    const uint32_t present = row->present;
    const int named = present >> ZJ_F_EVENT & 1;
    if (row->depth > r->limits.depth) return zj_fail(r, ZJ_TOO_DEEP, ZJ_F_NONE);
    if (row->type == ZJ_TRACK && !named) return zj_fail(r, ZJ_MISSING_EVENT, ZJ_F_EVENT);
    if (row->type != ZJ_TRACK && named) return zj_fail(r, ZJ_UNKNOWN_FIELD, ZJ_F_EVENT);
    if (!(present & (1u << ZJ_F_USER | 1u << ZJ_F_DEVICE))) return zj_fail(r, ZJ_MISSING_ID, ZJ_F_USER);
    if (!(present & 1u << ZJ_F_TIME)) return zj_fail(r, ZJ_MISSING_TIME, ZJ_F_TIME);
    if (row->type == ZJ_PROFILE_UNSET)
        for (uint32_t i = 0; i < row->cells; i++) {
            const size_t c = k->out.cells + i;
            const uint8_t kind = k->out.cell_kind[c];
            if (kind != ZJ_UNSET && !(kind == ZJ_BOOL && k->out.cell_value[c]))
                return zj_fail_at(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES, k->keys[i], -1);
        }
    return ZJ_ACCEPTED;
}

typedef struct {
    uint8_t n;
    char text[16]; /* as it stands in the bytes, zeros after it */
} zj_literal;

/* Fields in the order of ZJ_F_*; JSON with its quotes and colon. */
static const zj_literal zj_field_msgpack[ZJ_FIELDS] = {
    {0, ""}, {5, "\xa4type"}, {6, "\xa5" "event"}, {5, "\xa4time"}, {8, "\xa7user_id"},
    {10, "\xa9" "device_id"}, {10, "\xa9insert_id"}, {11, "\xaaproperties"},
};
static const zj_literal zj_field_json[ZJ_FIELDS] = {
    {0, ""}, {7, "\"type\":"}, {8, "\"event\":"}, {7, "\"time\":"}, {10, "\"user_id\":"},
    {12, "\"device_id\":"}, {12, "\"insert_id\":"}, {13, "\"properties\":"},
};

ZJ_ALWAYS int zj_literal_is(const zj_literal *l, const uint8_t *p) {
    const uint8_t *text = (const uint8_t *)l->text;
    uint64_t a = zj_piece(p, l->n, 0) ^ zj_word(text), b = zj_piece(p, l->n, 1) ^ zj_word(text + 8);
    return (l->n != 0) & ((a | b) == 0);
}

/* Reads the event at *at into the open row and moves *at past it. ZJ_ACCEPTED: the row can be kept;
 * any other answer is the reason, with r->reject saying where (ZJ_NO_MEMORY: not a reason, give up). */
ZJ_ALWAYS int zj_read_event(zj_reader *r, const uint8_t **at, const uint8_t *end, const int json) {
    zj_keeper *k = &r->keep;
    zj_row *row = &k->row;
    const uint8_t *p = *at;
    const zj_literal *fields = json ? zj_field_json : zj_field_msgpack;
    mp_value v;
    if (zj_open_row(k)) return ZJ_NO_MEMORY;
    if (zj_read(r, &p, end, &v, json) || v.type != MP_MAP) return zj_fail(r, ZJ_NOT_A_MAP, ZJ_F_NONE);
    zj_walk walk = zj_walk_of(&v);
    uint32_t keys = 0;
    for (uint32_t i = 0;; i++) {
        int failed, more = zj_next(&p, end, &walk, '}', json);
        if (more <= 0) {
            if (more < 0) return zj_fail(r, ZJ_NOT_A_MAP, ZJ_F_NONE);
            break;
        }
        uint8_t field = k->shapes->fields[i & 7];
        if (r->room - p >= 16 && zj_literal_is(&fields[field], p)) {
            p += fields[field].n;
        } else {
            if (zj_read_key(r, &p, end, &v, json)) return zj_fail(r, ZJ_NOT_A_MAP, ZJ_F_NONE);
            field = zj_field_of(&v);
            if (field == ZJ_F_NONE) {
                zj_text key = v.type == MP_STR ? (zj_text){v.bytes, v.size} : (zj_text){NULL, 0};
                return zj_fail_at(r, ZJ_UNKNOWN_FIELD, ZJ_F_NONE, key, -1);
            }
            k->shapes->fields[i & 7] = field;
        }
        if (keys & 1u << field) return zj_fail(r, ZJ_DUPLICATE_KEY, field);
        keys |= 1u << field;
        if (json && p < end && *p <= ' ') js_space(&p, end);
        const uint8_t *start = p;
        if (zj_read(r, &p, end, &v, json)) return zj_fail(r, ZJ_BAD_VALUE, field);
        row->values += 2;
        if (v.type != MP_NIL) row->present |= 1u << field;
        switch (field) {
            case ZJ_F_TYPE:
                failed = zj_read_type(&v, &row->type);
                if (failed) return zj_fail(r, (uint8_t)failed, field);
                break;
            case ZJ_F_EVENT:
                if (v.type == MP_NIL) break;
                failed = zj_read_event_name(r, &v, json);
                if (failed) return failed;
                break;
            case ZJ_F_TIME:
                if (v.type == MP_NIL) break;
                failed = zj_read_time(&v, &row->time);
                if (failed == ZJ_TIME_BAD) return zj_fail(r, ZJ_BAD_TIME, field);
                if (failed || row->time < r->limits.time_min || row->time >= r->limits.time_max)
                    return zj_fail(r, ZJ_TIME_OUT_OF_RANGE, field);
                break;
            case ZJ_F_USER:
            case ZJ_F_DEVICE:
            case ZJ_F_INSERT: {
                uint8_t to = (uint8_t)(field - ZJ_F_USER);
                uint32_t *column = to == ZJ_TO_USER     ? k->out.user
                                   : to == ZJ_TO_DEVICE ? k->out.device
                                                        : k->out.insert;
                failed = zj_read_id(r, &v, field, to, column, json);
                if (failed) return failed;
                break;
            }
            default:
                if (v.type == MP_NIL) break;
                if (v.type != MP_MAP) return zj_fail(r, ZJ_BAD_VALUE, field);
                failed = zj_read_properties(r, &p, end, &v, json);
                if (failed && json && failed != ZJ_NO_MEMORY &&
                    js_count(start, end, r->room) > r->limits.properties)
                    return zj_fail(r, ZJ_TOO_MANY_PROPERTIES, field);
                if (failed) return failed;
        }
    }
    *at = p;
    return zj_check_whole(r);
}

ZJ_NEVER int zj_read_event_msgpack(zj_reader *r, const uint8_t **at, const uint8_t *end) {
    return zj_read_event(r, at, end, 0);
}

ZJ_NEVER int zj_read_event_json(zj_reader *r, const uint8_t **at, const uint8_t *end) {
    return zj_read_event(r, at, end, 1);
}

#endif
