/* One event: msgpack or JSON bytes → the open row of a keeper. The rules of both forms are the same code.
 *
 * An event is read to its end before the caller keeps any of it. The first thing wrong in the order of
 * the bytes is the reason; what only the whole event can show (something missing) comes after.
 * O(bytes) an event. Format page: docs/format/batch.md.
 */
#ifndef ZUJI_BATCH_EVENT_H
#define ZUJI_BATCH_EVENT_H

#include "batch/value.h"

ZJ_ALWAYS uint32_t *zj_id_column(zj_keeper *k, uint8_t to) {
    return to == ZJ_TO_USER ? k->out.user : k->out.device;
}

/* An id: text, or an integer, which becomes its decimal text. Empty text and null are absent. */
ZJ_ALWAYS int zj_read_id(zj_reader *r, const mp_value *v, uint8_t field, const int json) {
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
    if (field == ZJ_F_INSERT)
        return zj_keep_insert(k, text, n, 0, ascii) < 0 ? zj_fail(r, ZJ_BAD_UTF8, field) : ZJ_ACCEPTED;
    const uint8_t to = (uint8_t)(field - ZJ_F_USER);
    uint32_t code = 0;
    int known = zj_keep_text(k, text, n, wide, ascii, &k->recall->ids[to], to, row, &code);
    if (known < 0) return zj_fail(r, ZJ_BAD_UTF8, field);
    if (known) zj_id_column(k, to)[row] = code;
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
    static const char *const names[ZJ_TYPES] = {
        "track", "profile_set", "profile_unset", "profile_set_once", "profile_increment", "profile_append",
        "profile_delete",
    };
    for (uint8_t i = 0; i < ZJ_TYPES; i++)
        if (v->size == strlen(names[i]) && memcmp(v->bytes, names[i], v->size) == 0) {
            *type = i;
            return ZJ_ACCEPTED;
        }
    return ZJ_UNKNOWN_TYPE;
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
                   : ZJ_IS(*key, "time_free") ? ZJ_F_TIME_FREE
                                              : ZJ_F_NONE;
        case 10:
            return ZJ_IS(*key, "properties") ? ZJ_F_PROPERTIES : ZJ_F_NONE;
        default:
            return ZJ_F_NONE;
    }
}

/* Does a record of this type take cell `c`? Nulls of a `set` remove, those of a `set_once` do nothing. */
static int zj_takes(const zj_columns *o, size_t c, uint8_t type) {
    const uint8_t kind = o->cell_kind[c];
    switch (type) {
        case ZJ_PROFILE_UNSET:
            return kind == ZJ_UNSET || (kind == ZJ_BOOL && o->cell_value[c]);
        case ZJ_PROFILE_INCREMENT:
            return kind == ZJ_INT || kind == ZJ_FLOAT;
        case ZJ_PROFILE_APPEND:
            return kind == ZJ_STRING || kind == ZJ_LIST;
        default:
            return 1;
    }
}

ZJ_NEVER int zj_check_profile(zj_reader *r) {
    zj_keeper *k = &r->keep;
    const zj_row *row = &k->row;
    if (row->type == ZJ_PROFILE_DELETE && row->cells) return zj_fail(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES);
    for (uint32_t i = 0; i < row->cells; i++)
        if (!zj_takes(&k->out, k->out.cells + i, row->type))
            return zj_fail_at(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES, k->keys[i], -1);
    return ZJ_ACCEPTED;
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
    return row->type > ZJ_PROFILE_SET ? zj_check_profile(r) : ZJ_ACCEPTED;
}

typedef struct {
    uint8_t n;
    char text[16]; /* as it stands in the bytes, zeros after it */
} zj_literal;

/* Fields in the order of ZJ_F_*; JSON with its quotes and colon. */
static const zj_literal zj_field_msgpack[ZJ_FIELDS] = {
    {0, ""}, {5, "\xa4type"}, {6, "\xa5" "event"}, {5, "\xa4time"}, {8, "\xa7user_id"},
    {10, "\xa9" "device_id"}, {10, "\xa9insert_id"}, {11, "\xaaproperties"}, {10, "\xa9time_free"},
};
static const zj_literal zj_field_json[ZJ_FIELDS] = {
    {0, ""}, {7, "\"type\":"}, {8, "\"event\":"}, {7, "\"time\":"}, {10, "\"user_id\":"},
    {12, "\"device_id\":"}, {12, "\"insert_id\":"}, {13, "\"properties\":"}, {12, "\"time_free\":"},
};

ZJ_ALWAYS int zj_literal_is(const zj_literal *l, const uint8_t *p) {
    const uint8_t *text = (const uint8_t *)l->text;
    uint64_t a = zj_piece(p, l->n, 0) ^ zj_word(text), b = zj_piece(p, l->n, 1) ^ zj_word(text + 8);
    return (l->n != 0) & ((a | b) == 0);
}

/* Any value of a field. NULL: r->failed. */
ZJ_ALWAYS const uint8_t *zj_read_field(zj_reader *r, const uint8_t *p, const uint8_t *end, uint8_t field,
                                       const int json) {
    zj_keeper *k = &r->keep;
    zj_row *row = &k->row;
    mp_value v;
    int failed = ZJ_ACCEPTED;
    if (json && p < end && *p <= ' ') js_space(&p, end);
    const uint8_t *start = p;
    if (zj_read(r, &p, end, &v, json)) {
        r->failed = zj_fail(r, ZJ_BAD_VALUE, field);
        return NULL;
    }
    if (v.type != MP_NIL) row->present |= 1u << field;
    switch (field) {
        case ZJ_F_TYPE:
            failed = zj_read_type(&v, &row->type);
            if (failed) zj_fail(r, (uint8_t)failed, field);
            break;
        case ZJ_F_EVENT:
            if (v.type != MP_NIL) failed = zj_read_event_name(r, &v, json);
            break;
        case ZJ_F_TIME:
            if (v.type == MP_NIL) break;
            failed = zj_read_time(&v, &row->time);
            if (failed == ZJ_TIME_BAD) failed = zj_fail(r, ZJ_BAD_TIME, field);
            else if (failed || row->time < r->limits.time_min || row->time >= r->limits.time_max)
                failed = zj_fail(r, ZJ_TIME_OUT_OF_RANGE, field);
            break;
        case ZJ_F_USER:
        case ZJ_F_DEVICE:
        case ZJ_F_INSERT:
            failed = zj_read_id(r, &v, field, json);
            break;
        case ZJ_F_TIME_FREE: /* for those who judge times before the engine has the batch */
            if (v.type != MP_BOOL && v.type != MP_NIL) failed = zj_fail(r, ZJ_BAD_VALUE, field);
            break;
        default:
            if (v.type == MP_NIL) break;
            if (v.type == MP_MAP)
                return json ? zj_properties_json(r, start, end)
                            : zj_properties_msgpack(r, p, end, v.size);
            failed = zj_fail(r, ZJ_BAD_VALUE, field);
    }
    r->failed = failed;
    return failed ? NULL : p;
}

ZJ_NEVER const uint8_t *zj_field_value_msgpack(zj_reader *r, const uint8_t *p, const uint8_t *end,
                                               uint8_t field) {
    return zj_read_field(r, p, end, field, 0);
}

ZJ_NEVER const uint8_t *zj_field_value_json(zj_reader *r, const uint8_t *p, const uint8_t *end,
                                            uint8_t field) {
    return zj_read_field(r, p, end, field, 1);
}

/* The same for usual values; NULL when it is not one, and nothing was done. REQUIRES: p <= r->safe. */
ZJ_ALWAYS const uint8_t *zj_fast_field(zj_reader *r, const uint8_t *p, uint8_t field, const int json) {
    zj_keeper *k = &r->keep;
    zj_row *row = &k->row;
    if (field == ZJ_F_TIME) {
        int64_t ms;
        if (zj_short_number(&p, &ms, json) != ZJ_INT || ms < r->limits.time_min ||
            ms >= r->limits.time_max)
            return NULL;
        row->time = ms;
    } else if (field == ZJ_F_TYPE || field >= ZJ_F_PROPERTIES) {
        return NULL;
    } else {
        int ascii;
        const uint32_t n = zj_short_text(p, &ascii, json);
        if (n == ZJ_LONG || n == 0) return NULL;
        if (field == ZJ_F_EVENT) {
            int found;
            const uint64_t w[4] = {zj_piece(p + 1, n, 0), zj_piece(p + 1, n, 1),
                                   zj_piece(p + 1, n, 2), zj_piece(p + 1, n, 3)};
            zj_shape *shape = zj_shape_for(k->shapes, w, n, &found);
            if (!found || n > r->limits.name_bytes) return NULL;
            row->event_code = shape->code;
            if (!row->shape) row->shape = shape;
        } else if (field == ZJ_F_INSERT) {
            if (n > r->limits.id_bytes || zj_keep_insert(k, p + 1, n, 1, ascii) < 0) return NULL;
        } else {
            const uint8_t to = (uint8_t)(field - ZJ_F_USER);
            uint32_t code = ZJ_NO_CODE;
            if (n > r->limits.id_bytes || zj_keep_text(k, p + 1, n, 1, ascii, &k->recall->ids[to], to,
                                                       k->out.rows, &code) < 0)
                return NULL;
            zj_id_column(k, to)[k->out.rows] = code;
        }
        p = zj_after_text(p, n, json);
    }
    row->present |= 1u << field;
    return p;
}

/* A key that is not the one expected: *field. NULL: r->failed. */
ZJ_ALWAYS const uint8_t *zj_read_field_key(zj_reader *r, const uint8_t *p, const uint8_t *end,
                                           uint8_t *field, const int json) {
    mp_value v;
    if (zj_read_key(r, &p, end, &v, json)) {
        r->failed = zj_fail(r, ZJ_NOT_A_MAP, ZJ_F_NONE);
        return NULL;
    }
    *field = zj_field_of(&v);
    if (*field != ZJ_F_NONE) return p;
    zj_text key = v.type == MP_STR ? (zj_text){v.bytes, v.size} : (zj_text){NULL, 0};
    r->failed = zj_fail_at(r, ZJ_UNKNOWN_FIELD, ZJ_F_NONE, key, -1);
    return NULL;
}

/* Reads the event at p into the open row; the place after it, or NULL and r->failed is the reason, with
 * r->reject saying where (ZJ_NO_MEMORY: not a reason, give up). Not NULL: the row can be kept. */
ZJ_ALWAYS const uint8_t *zj_read_event(zj_reader *r, const uint8_t *p, const uint8_t *end,
                                       const int json) {
    zj_keeper *k = &r->keep;
    const zj_literal *fields = json ? zj_field_json : zj_field_msgpack;
    const uint8_t *const safe = r->safe;
    uint8_t *const usual = k->shapes->fields;
    r->failed = ZJ_NO_MEMORY;
    if (zj_open_row(k)) return NULL;
    zj_walk walk;
    if (!json && p < end && (*p & 0xf0) == 0x80) {
        walk = (zj_walk){*p++ & 15u, 1};
    } else {
        const uint8_t *head = p;
        mp_value v;
        if (zj_read(r, &head, end, &v, json) || v.type != MP_MAP) goto no_map;
        walk = zj_walk_of(&v);
        p = head;
    }
    uint32_t keys = 0, i = 0;
    for (;; i++) {
        const int more = zj_next(&p, end, &walk, '}', json);
        if (more == 0) break;
        if (more < 0) goto no_map;
        if (i < ZJ_FIELDS) zj_mark(r, p);
        uint8_t field = usual[i & 15];
        if (p <= safe && zj_literal_is(&fields[field], p)) {
            p += fields[field].n;
        } else {
            uint8_t found;
            p = zj_read_field_key(r, p, end, &found, json);
            if (!p) return NULL;
            usual[i & 15] = field = found;
        }
        if (keys & 1u << field) {
            r->failed = zj_fail(r, ZJ_DUPLICATE_KEY, field);
            return NULL;
        }
        keys |= 1u << field;
        if (json && p < end && *p == ' ') p++;
        const uint8_t *after = p <= safe ? zj_fast_field(r, p, field, json) : NULL;
        if (!after) {
            after = json ? zj_field_value_json(r, p, end, field)
                         : zj_field_value_msgpack(r, p, end, field);
            if (!after) return NULL;
        }
        p = after;
    }
    k->row.values += 2 * i;
    r->failed = zj_check_whole(r);
    return r->failed ? NULL : p;
no_map:
    r->failed = zj_fail(r, ZJ_NOT_A_MAP, ZJ_F_NONE);
    return NULL;
}

ZJ_NEVER const uint8_t *zj_read_event_msgpack(zj_reader *r, const uint8_t *p, const uint8_t *end) {
    return zj_read_event(r, p, end, 0);
}

ZJ_NEVER const uint8_t *zj_read_event_json(zj_reader *r, const uint8_t *p, const uint8_t *end) {
    return zj_read_event(r, p, end, 1);
}

#endif
