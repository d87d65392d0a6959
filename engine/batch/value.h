/* The properties of an event: names against the shape of the event, values to cells.
 *
 * What is usual (a known name, a short text, a plain number) is read in registers; everything else,
 * and everything within 64 bytes of the end, goes through the general readers, which are the rules.
 */
#ifndef ZUJI_BATCH_VALUE_H
#define ZUJI_BATCH_VALUE_H

#include "batch/reader.h"

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

typedef struct {
    uint32_t *prop;
    uint8_t *kind;
    int64_t *value;
} zj_cells;

/* What is not text, an integer or a float. */
ZJ_NEVER int zj_read_other(zj_reader *r, const mp_value *v, zj_text name, uint8_t *kind,
                           int64_t *value) {
    uint8_t reason = ZJ_BAD_VALUE;
    switch (v->type) {
        case MP_BOOL:
            *kind = ZJ_BOOL;
            *value = v->integer;
            return ZJ_ACCEPTED;
        case MP_NIL:
            *kind = ZJ_UNSET;
            *value = 0;
            r->keep.row.nulls = 1;
            return ZJ_ACCEPTED;
        case MP_BIG_UINT:
        case MP_HUGE:
            reason = ZJ_INT_RANGE;
            break;
        case MP_EXT: {
            if (v->ext != -1) break;
            int failed = zj_time_ext(v->bytes, v->size, value);
            if (failed == ZJ_TIME_BAD) break;
            reason = ZJ_TIME_OUT_OF_RANGE;
            if (failed || *value < ZJ_DATE_MIN || *value >= ZJ_DATE_MAX) break;
            *kind = ZJ_DATETIME;
            return ZJ_ACCEPTED;
        }
        default:
            break;
    }
    return zj_fail_at(r, reason, ZJ_F_PROPERTIES, name, -1);
}

/* The value of property number i → its cell. */
ZJ_ALWAYS int zj_read_value(zj_reader *r, const uint8_t **at, const uint8_t *end, zj_text name,
                            zj_habit *habit, const zj_cells *cells, uint32_t i, const int json) {
    zj_keeper *k = &r->keep;
    mp_value v;
    if (json && *at < end && **at <= ' ') js_space(at, end);
    const uint8_t *start = *at;
    if (zj_read(r, at, end, &v, json))
        return zj_fail_at(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES, name, -1);
    if (v.type == MP_STR) {
        uint32_t code = 0;
        if (v.size > r->limits.string_bytes)
            return zj_fail_at(r, ZJ_STRING_TOO_LONG, ZJ_F_PROPERTIES, name, -1);
        if (zj_keep_text(k, v.bytes, v.size, zj_wide(r, &v, ZJ_RECALL_BYTES, json),
                         json && v.text & JS_ASCII, habit, ZJ_TO_CELL, k->out.cells + i, &code) < 0)
            return zj_fail_at(r, ZJ_BAD_UTF8, ZJ_F_PROPERTIES, name, -1);
        cells->kind[i] = ZJ_STRING;
        cells->value[i] = code;
        return ZJ_ACCEPTED;
    }
    if (v.type == MP_INT) {
        cells->kind[i] = ZJ_INT;
        cells->value[i] = v.integer;
        return ZJ_ACCEPTED;
    }
    if (v.type == MP_FLOAT) {
        if (!isfinite(v.number)) return zj_fail_at(r, ZJ_NOT_FINITE, ZJ_F_PROPERTIES, name, -1);
        cells->kind[i] = ZJ_FLOAT;
        memcpy(&cells->value[i], &v.number, 8);
        return ZJ_ACCEPTED;
    }
    if (v.type == MP_ARRAY) {
        cells->kind[i] = ZJ_LIST;
        int failed = zj_read_list(r, at, end, &v, name, &cells->value[i], json);
        if (json && failed && failed != ZJ_NO_MEMORY &&
            js_count(start, end, r->room) > r->limits.list_values)
            return zj_fail_at(r, ZJ_LIST_TOO_LONG, ZJ_F_PROPERTIES, name, -1);
        return failed;
    }
    return zj_read_other(r, &v, name, &cells->kind[i], &cells->value[i]);
}

ZJ_NEVER const uint8_t *zj_value_msgpack(zj_reader *r, const uint8_t *p, const uint8_t *end,
                                         zj_text name, zj_habit *habit, const zj_cells *cells,
                                         uint32_t i) {
    r->failed = zj_read_value(r, &p, end, name, habit, cells, i, 0);
    return r->failed ? NULL : p;
}

ZJ_NEVER const uint8_t *zj_value_json(zj_reader *r, const uint8_t *p, const uint8_t *end, zj_text name,
                                      zj_habit *habit, const zj_cells *cells, uint32_t i) {
    r->failed = zj_read_value(r, &p, end, name, habit, cells, i, 1);
    return r->failed ? NULL : p;
}

/* The same for usual values; NULL when it is not one, and nothing was done. REQUIRES: p <= r->safe. */
ZJ_ALWAYS const uint8_t *zj_fast_value(zj_reader *r, const uint8_t *p, zj_habit *habit,
                                       const zj_cells *cells, uint32_t i, const int json) {
    zj_keeper *k = &r->keep;
    int ascii;
    const uint32_t n = zj_short_text(p, &ascii, json);
    if (n != ZJ_LONG) {
        uint32_t code = 0;
        if (n > r->limits.string_bytes ||
            zj_keep_text(k, p + 1, n, 1, ascii, habit, ZJ_TO_CELL, k->out.cells + i, &code) < 0)
            return NULL;
        cells->kind[i] = ZJ_STRING;
        cells->value[i] = code;
        return zj_after_text(p, n, json);
    }
    int64_t bits;
    const uint8_t kind = zj_short_number(&p, &bits, json);
    if (kind == ZJ_UNSET) return NULL;
    cells->kind[i] = kind;
    cells->value[i] = bits;
    return p;
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

ZJ_ALWAYS const uint8_t *zj_name_slow(zj_reader *r, const uint8_t *p, const uint8_t *end, uint32_t i,
                                      const int json) {
    mp_value key;
    r->failed = zj_read_key(r, &p, end, &key, json) ? zj_fail(r, ZJ_BAD_VALUE, ZJ_F_PROPERTIES)
                                                    : zj_new_name(r, &key, i);
    return r->failed ? NULL : p;
}

ZJ_NEVER const uint8_t *zj_name_msgpack(zj_reader *r, const uint8_t *p, const uint8_t *end, uint32_t i) {
    return zj_name_slow(r, p, end, i, 0);
}

ZJ_NEVER const uint8_t *zj_name_json(zj_reader *r, const uint8_t *p, const uint8_t *end, uint32_t i) {
    return zj_name_slow(r, p, end, i, 1);
}

ZJ_ALWAYS int zj_match_one(const zj_shape_name *name, const uint8_t *p, const int json) {
    if (json ? p[1 + name->n] != '"' || p[2 + name->n] != ':' || !name->plain : *p != (0xa0 | name->n))
        return 0;
    return zj_shape_name_is(name, p + 1);
}

/* The name of the shape that stands at p: number `next` most of the time; count when there is none.
 * REQUIRES: p <= r->safe. */
ZJ_ALWAYS uint32_t zj_match(const zj_shape *shape, const uint8_t *p, uint32_t next, uint32_t count,
                            const int json) {
    if (json && *p != '"') return count;
    for (uint32_t at = next; at < count; at++)
        if (zj_match_one(&shape->names[at], p, json)) return at;
    for (uint32_t at = 0; at < next && at < count; at++)
        if (zj_match_one(&shape->names[at], p, json)) return at;
    return count;
}

/* The map whose head is at p, with `pairs` of them in msgpack. NULL: r->failed. */
ZJ_ALWAYS const uint8_t *zj_read_properties(zj_reader *r, const uint8_t *p, const uint8_t *end,
                                            uint32_t pairs, const int json) {
    zj_keeper *k = &r->keep;
    zj_columns *o = &k->out;
    const uint32_t most = r->limits.properties, name_bytes = r->limits.name_bytes;
    const size_t room = json ? most : pairs;
    r->failed = ZJ_TOO_MANY_PROPERTIES;
    if (!json && pairs > most) goto fail;
    if (o->cells + room > o->cells_room && zj_cells_grow(o, room)) {
        r->failed = ZJ_NO_MEMORY;
        return NULL;
    }
    if (o->marks + ZJ_FIELDS + room > o->marks_room && zj_marks_grow(o, ZJ_FIELDS + room)) {
        r->failed = ZJ_NO_MEMORY;
        return NULL;
    }
    if (!k->row.shape) k->row.shape = &k->shapes->nameless;
    zj_shape *const shape = k->row.shape;
    const zj_cells cells = {o->cell_prop + o->cells, o->cell_kind + o->cells,
                            o->cell_value + o->cells};
    zj_text *const keys = k->keys;
    const uint8_t *const safe = r->safe;
    zj_walk walk = {pairs, 1};
    uint32_t next = 0, i = 0, unnamed = 0, known = shape->count;
    uint64_t had = 0; /* names of the shape, a bit each */
    if (k->row.depth < 2) k->row.depth = 2;
    for (;; i++) {
        const int more = zj_next(&p, end, &walk, '}', json);
        if (more == 0) break;
        if (more < 0 || i == most) goto fail;
        zj_mark(r, p);
        const uint32_t at = p <= safe ? zj_match(shape, p, next, known, json) : known;
        const uint8_t *after = NULL;
        zj_habit *habit = &k->recall->other;
        zj_text name;
        if (at < known && shape->names[at].n <= name_bytes && !(had >> at & 1)) {
            had |= 1ull << at;
            zj_shape_name *found = &shape->names[at];
            name = (zj_text){p + 1, found->n};
            keys[i] = name;
            cells.prop[i] = found->code;
            unnamed |= found->code == ZJ_NO_CODE;
            habit = &found->habit;
            next = at + 1;
            p += 1 + name.n + 2 * json;
        } else {
            known = 0; /* from here on repeats are looked for */
            p = json ? zj_name_json(r, p, end, i) : zj_name_msgpack(r, p, end, i);
            if (!p) return NULL;
            name = keys[i];
            cells.prop[i] = ZJ_NO_CODE;
            unnamed = 1;
        }
        if (json && p < end && *p == ' ') p++;
        if (p <= safe) after = zj_fast_value(r, p, habit, &cells, i, json);
        if (!after) {
            after = json ? zj_value_json(r, p, end, name, habit, &cells, i)
                         : zj_value_msgpack(r, p, end, name, habit, &cells, i);
            if (!after) return NULL;
        }
        p = after;
    }
    k->row.unnamed = (uint8_t)unnamed;
    k->row.cells = i;
    k->row.values += 2 * i;
    return p;
fail:
    zj_fail(r, ZJ_TOO_MANY_PROPERTIES, ZJ_F_PROPERTIES);
    return NULL;
}

ZJ_NEVER const uint8_t *zj_properties_msgpack(zj_reader *r, const uint8_t *p, const uint8_t *end,
                                              uint32_t pairs) {
    return zj_read_properties(r, p, end, pairs, 0);
}

/* `map`: the place of its opening bracket. */
ZJ_NEVER const uint8_t *zj_properties_json(zj_reader *r, const uint8_t *map, const uint8_t *end) {
    const uint8_t *p = zj_read_properties(r, map + 1, end, 0, 1);
    if (!p && r->failed != ZJ_NO_MEMORY && js_count(map, end, r->room) > r->limits.properties)
        r->failed = zj_fail(r, ZJ_TOO_MANY_PROPERTIES, ZJ_F_PROPERTIES);
    return p;
}

#endif
