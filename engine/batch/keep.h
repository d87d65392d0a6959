/* Keeping what was read: cells go straight to the columns, strings wait to be interned in groups.
 *
 * An event is written behind the last kept one (zj_open_row, zj_keep_text, ...) and becomes a row with
 * zj_keep_row or leaves no trace with zj_drop_row: strings are interned only for kept rows. They wait
 * in `pending` with their hash, while the places where the table may hold them are being fetched, and
 * are interned some events later.
 *
 * One zj_keeper belongs to one thread; the string tables are the caller's to lock. Buffers stay for
 * the next batch.
 */
#ifndef ZUJI_BATCH_KEEP_H
#define ZUJI_BATCH_KEEP_H

#include "batch/columns.h"
#include "batch/recall.h"
#include "batch/utf8.h"

/* Where a code goes when it is known. */
enum { ZJ_TO_USER, ZJ_TO_DEVICE, ZJ_TO_CELL };

typedef struct {
    const uint8_t *p;
    uint64_t hash;
    uint32_t n, where; /* row or cell */
    uint16_t slot;     /* of recall, or ZJ_NO_SLOT */
    uint8_t to;
} zj_pending;

#define ZJ_INSERT_SLACK 32 /* bytes behind the insert ids that may be written over */
#define ZJ_PENDING 64 /* interned together when at least so many wait */

typedef struct {
    uint8_t type;
    uint8_t matched;  /* all names came from the shape */
    uint8_t unnamed;  /* the code of a name is not known yet */
    uint8_t nulls, lists; /* there are some */
    uint32_t present; /* fields that are there and not null, a bit each */
    zj_text event;    /* NULL: none, or its code is known */
    uint32_t event_code;
    int64_t time;
    zj_shape *shape; /* NULL: the event has no properties and a name too long for one */
    uint32_t cells;
    uint32_t marks;
    uint32_t insert; /* bytes of its insert id, which stands behind those of the rows */
    uint32_t depth;
    uint64_t values; /* as Limits.batch_items counts them */
} zj_row;

typedef struct {
    zj_columns out;
    zj_strings *names, *strings;
    zj_recall *recall;
    zj_shapes *shapes;
    zj_row row; /* the open one */
    zj_text *keys; /* [properties + 1] names of its cells */
    zj_text *texts; /* items of its lists; a LIST cell holds first << 32 | count until it is kept */
    size_t texts_used, texts_room;
    zj_pending *pending;
    char (*digits)[24]; /* ids sent as integers, beside pending */
    uint32_t waiting, waiting_before, properties, id_bytes;
} zj_keeper;

static inline void zj_keeper_free(zj_keeper *k) {
    zj_columns_free(&k->out);
    free(k->keys);
    free(k->texts);
    free(k->pending);
    free(k->digits);
    memset(k, 0, sizeof *k);
}

static inline size_t zj_keeper_bytes(const zj_keeper *k) {
    return zj_columns_bytes(&k->out) + k->texts_room * sizeof(zj_text) +
           k->properties * (sizeof(zj_text) + sizeof(zj_pending) + 24);
}

/* Ready for a batch. 0, or -1 without memory. REQUIRES: *k is zero or was used before. */
static int zj_keeper_begin(zj_keeper *k, zj_table names, zj_table strings, uint32_t properties,
                           uint32_t id_bytes) {
    zj_columns *o = &k->out;
    if (!k->keys || k->properties != properties) {
        const size_t waiting = (size_t)ZJ_PENDING + properties + 4;
        if (zj_grow(&k->keys, (size_t)properties + 1, sizeof(zj_text)) ||
            zj_grow(&k->pending, waiting, sizeof(zj_pending)) || zj_grow(&k->digits, waiting, 24))
            return -1;
        k->properties = properties;
    }
    o->rows = o->cells = o->lists = o->items = o->insert_bytes = o->marks = 0;
    k->id_bytes = id_bytes;
    k->waiting = k->waiting_before = 0;
    k->texts_used = 0;
    k->names = names.strings;
    k->strings = strings.strings;
    k->recall = zj_recall_of(strings);
    k->shapes = zj_shapes_of(names);
    /* So that no cells and no texts are a place, too. */
    if (!o->cells_room && zj_cells_grow(o, 0)) return -1;
    if (!k->texts_room) {
        if (zj_grow(&k->texts, 16, sizeof(zj_text))) return -1;
        k->texts_room = 16;
    }
    return k->recall && k->shapes ? zj_lists_reserve(o, 0, 0) : -1;
}

/* 0, or -1 without memory. */
static inline int zj_open_row(zj_keeper *k) {
    zj_columns *o = &k->out;
    zj_row *row = &k->row;
    const size_t ids = k->id_bytes + ZJ_INSERT_SLACK;
    if (o->rows + 2 > o->rows_room && zj_rows_grow(o, 2)) return -1;
    if (o->marks + ZJ_FIELDS > o->marks_room && zj_marks_grow(o, ZJ_FIELDS)) return -1;
    if (o->insert_bytes + ids > o->insert_room && zj_insert_grow(o, ids)) return -1;
    row->type = ZJ_TRACK;
    row->matched = 1;
    row->unnamed = row->nulls = row->lists = 0;
    row->present = 0;
    row->event.p = NULL;
    row->event_code = ZJ_NO_CODE;
    row->shape = NULL;
    row->cells = 0;
    row->insert = row->marks = 0;
    row->depth = 1;
    row->values = 1;
    o->user[o->rows] = o->device[o->rows] = ZJ_NO_CODE;
    return 0;
}

static inline void zj_drop_row(zj_keeper *k) {
    k->waiting = k->waiting_before;
    k->texts_used = 0;
}

/* Place and words of p[0, n) in recall; 1 when it is there. */
static inline int zj_recall_find(zj_keeper *k, const uint8_t *p, uint32_t n, uint32_t *slot) {
    const uint64_t w[2] = {zj_piece(p, n, 0), zj_piece(p, n, 1)};
    *slot = zj_recall_slot(w, n);
    const zj_recalled *r = &k->recall->slot[*slot];
    return ((r->w[0] ^ w[0]) | (r->w[1] ^ w[1]) | (uint64_t)(r->n ^ n)) == 0;
}

static inline void zj_recall_put(zj_keeper *k, uint32_t slot, const uint8_t *p, uint32_t n,
                                 uint32_t code) {
    zj_recalled *r = &k->recall->slot[slot];
    r->w[0] = r->w[1] = 0;
    memcpy(r->w, p, n);
    r->n = n;
    r->code = code;
}

/* Text p[0, n) of the open row waits for its code; -1 when it is not UTF-8. */
static __attribute__((noinline)) int zj_wait(zj_keeper *k, const uint8_t *p, uint32_t n, int ascii,
                                             uint32_t slot, uint8_t to, size_t where) {
    if (!ascii && !zj_utf8_ok(p, n)) return -1;
    zj_pending *w = &k->pending[k->waiting++];
    w->p = p;
    w->n = n;
    w->where = (uint32_t)where;
    w->slot = (uint16_t)slot;
    w->to = to;
    w->hash = zj_strings_hash(k->strings, p, n);
    zj_strings_prefetch(k->strings, w->hash);
    return 0;
}

/* Text p[0, n) of the open row: its code to *known and 1 when it was met before, else it waits and 0;
 * -1 when it is not UTF-8. REQUIRES: `wide` = 16 bytes at p can be read. */
static inline __attribute__((always_inline)) int zj_keep_text(
    zj_keeper *k, const uint8_t *p, uint32_t n, int wide, int ascii, zj_habit *habit, uint8_t to,
    size_t where, uint32_t *known) {
    uint32_t slot = ZJ_NO_SLOT;
    if (n <= ZJ_RECALL_BYTES && wide && zj_habit_try(habit)) {
        if (zj_recall_find(k, p, n, &slot)) {
            zj_habit_hit(habit);
            *known = k->recall->slot[slot].code;
            return 1;
        }
        zj_habit_miss(habit);
    }
    return zj_wait(k, p, n, ascii, slot, to, where);
}

/* The insert id of the open row, kept as it is: it hardly ever comes again. -1 when it is not UTF-8. `wide`: a
 * constant; 32 bytes at p can be read, and n < 32. REQUIRES: n <= id_bytes. */
static inline __attribute__((always_inline)) int zj_keep_insert(zj_keeper *k, const uint8_t *p, uint32_t n, int wide,
                                                                int ascii) {
    uint8_t *to = k->out.insert + k->out.insert_bytes;
    if (!ascii && !zj_utf8_ok(p, n)) return -1;
    memcpy(to, p, wide ? ZJ_INSERT_SLACK : n);
    k->row.insert = n;
    return 0;
}

/* 0, or -1 without memory. */
static int zj_intern_waiting(zj_keeper *k) {
    zj_columns *o = &k->out;
    for (uint32_t i = 0; i < k->waiting; i++) {
        const zj_pending *w = &k->pending[i];
        const uint32_t code = zj_strings_intern_hashed(k->strings, w->p, w->n, w->hash);
        if (code == ZJ_NO_CODE) return -1;
        if (w->to == ZJ_TO_CELL) o->cell_value[w->where] = code;
        else if (w->to == ZJ_TO_USER) o->user[w->where] = code;
        else o->device[w->where] = code;
        if (w->slot != ZJ_NO_SLOT) zj_recall_put(k, w->slot, w->p, w->n, code);
    }
    k->waiting = k->waiting_before = 0;
    return 0;
}

/* Types in which null is the same as no property. */
static inline int zj_leaves_nulls(uint8_t type) {
    return type == ZJ_TRACK || type == ZJ_PROFILE_SET_ONCE;
}

/* Codes of the names that have none yet. A property that an event has as null names nothing. */
static int zj_name_row(zj_keeper *k) {
    zj_row *row = &k->row;
    zj_columns *o = &k->out;
    int learn = !row->matched;
    if (row->event.p) {
        row->event_code = zj_strings_intern(k->names, row->event.p, row->event.n);
        if (row->event_code == ZJ_NO_CODE) return -1;
        if (row->event.n <= ZJ_EVENT_BYTES && row->shape && row->shape != &k->shapes->nameless) {
            zj_words_of(row->shape->w, row->event.p, row->event.n);
            row->shape->n = row->event.n;
            row->shape->code = row->event_code;
            row->shape->count = 0;
            learn = 1;
        }
    }
    uint32_t *prop = o->cell_prop + o->cells;
    const uint8_t *kind = o->cell_kind + o->cells;
    if (row->unnamed)
        for (uint32_t i = 0; i < row->cells; i++) {
            if (prop[i] != ZJ_NO_CODE || (kind[i] == ZJ_UNSET && zj_leaves_nulls(row->type))) continue;
            prop[i] = zj_strings_intern(k->names, k->keys[i].p, k->keys[i].n);
            if (prop[i] == ZJ_NO_CODE) return -1;
            learn = 1;
        }
    if (learn && row->shape && row->cells) zj_shape_learn(row->shape, k->keys, prop, row->cells);
    return 0;
}

/* The cells of an event without its nulls; what waits for a cell moves with it. */
static void zj_drop_nulls(zj_keeper *k) {
    zj_columns *o = &k->out;
    const size_t first = o->cells, end = o->cells + k->row.cells;
    size_t to = first;
    uint32_t w = k->waiting_before;
    for (size_t c = first; c < end; c++) {
        while (w < k->waiting && (k->pending[w].to != ZJ_TO_CELL || k->pending[w].where < c)) w++;
        if (o->cell_kind[c] == ZJ_UNSET) continue;
        if (w < k->waiting && k->pending[w].where == c) k->pending[w].where = (uint32_t)to;
        o->cell_prop[to] = o->cell_prop[c];
        o->cell_kind[to] = o->cell_kind[c];
        o->cell_value[to++] = o->cell_value[c];
    }
    k->row.cells = (uint32_t)(to - first);
}

static int zj_keep_lists(zj_keeper *k) {
    zj_columns *o = &k->out;
    zj_habit *habit = &k->recall->list;
    if (zj_lists_reserve(o, k->row.cells, k->texts_used)) return -1;
    for (size_t c = o->cells; c < o->cells + k->row.cells; c++) {
        if (o->cell_kind[c] != ZJ_LIST) continue;
        const zj_text *text = k->texts + (uint64_t)(o->cell_value[c] >> 32);
        uint32_t count = (uint32_t)o->cell_value[c];
        o->list_start[o->lists] = (int64_t)o->items;
        o->cell_value[c] = (int64_t)o->lists++;
        for (; count; count--, text++) {
            uint64_t w[2] = {0, 0};
            uint32_t slot = ZJ_NO_SLOT, code;
            if (text->n <= ZJ_RECALL_BYTES && zj_habit_try(habit)) {
                memcpy(w, text->p, text->n);
                slot = zj_recall_slot(w, text->n);
                const zj_recalled *r = &k->recall->slot[slot];
                if (r->n == text->n && r->w[0] == w[0] && r->w[1] == w[1]) {
                    zj_habit_hit(habit);
                    o->list_item[o->items++] = r->code;
                    continue;
                }
                zj_habit_miss(habit);
            }
            code = zj_strings_intern(k->strings, text->p, text->n);
            if (code == ZJ_NO_CODE) return -1;
            if (slot != ZJ_NO_SLOT) zj_recall_put(k, slot, text->p, text->n, code);
            o->list_item[o->items++] = code;
        }
    }
    return 0;
}

/* The texts that are appended to lists become lists of one, so that the columns know one form of them. */
static __attribute__((noinline)) int zj_keep_appended(zj_keeper *k) {
    zj_columns *o = &k->out;
    if (zj_intern_waiting(k) || zj_lists_reserve(o, k->row.cells, k->row.cells)) return -1;
    for (size_t c = o->cells; c < o->cells + k->row.cells; c++) {
        if (o->cell_kind[c] != ZJ_STRING) continue;
        o->list_start[o->lists] = (int64_t)o->items;
        o->list_item[o->items++] = (uint32_t)o->cell_value[c];
        o->cell_kind[c] = ZJ_LIST;
        o->cell_value[c] = (int64_t)o->lists++;
    }
    return 0;
}

/* What few rows need: nulls and lists, and profile records. */
static __attribute__((noinline)) int zj_keep_unusual(zj_keeper *k) {
    zj_columns *o = &k->out;
    zj_row *row = &k->row;
    if (row->type == ZJ_PROFILE_UNSET) {
        memset(o->cell_kind + o->cells, ZJ_UNSET, row->cells);
        memset(o->cell_value + o->cells, 0, row->cells * sizeof(int64_t));
    } else if (row->nulls && zj_leaves_nulls(row->type)) {
        zj_drop_nulls(k);
    }
    if (row->lists && zj_keep_lists(k)) return -1;
    return row->type == ZJ_PROFILE_APPEND ? zj_keep_appended(k) : 0;
}

/* The open row becomes number o->rows. 0, or -1 without memory. REQUIRES: it was checked whole. */
static int zj_keep_row(zj_keeper *k, uint32_t index) {
    zj_columns *o = &k->out;
    zj_row *row = &k->row;
    const size_t at = o->rows;
    if ((row->event.p || row->unnamed || !row->matched) && zj_name_row(k)) return -1;
    if ((row->type | row->nulls | row->lists) && zj_keep_unusual(k)) return -1;
    o->kind[at] = row->type;
    o->event[at] = row->event_code;
    o->time[at] = row->time;
    o->index[at] = index;
    o->cell_start[at] = (int64_t)o->cells;
    o->cells += row->cells;
    o->insert_start[at] = (int64_t)o->insert_bytes;
    o->insert_bytes += row->insert;
    o->row_mark[at] = (uint32_t)o->marks;
    o->marks += row->marks;
    o->rows++;
    k->texts_used = 0;
    k->waiting_before = k->waiting;
    return k->waiting >= ZJ_PENDING ? zj_intern_waiting(k) : 0;
}

/* After the last event. 0, or -1 without memory. */
static int zj_keeper_end(zj_keeper *k) {
    zj_columns *o = &k->out;
    if (zj_intern_waiting(k)) return -1;
    if (o->rows + 1 > o->rows_room && zj_rows_grow(o, 1)) return -1;
    o->cell_start[o->rows] = (int64_t)o->cells;
    o->list_start[o->lists] = (int64_t)o->items;
    o->insert_start[o->rows] = (int64_t)o->insert_bytes;
    o->row_mark[o->rows] = (uint32_t)o->marks;
    return 0;
}

#endif
