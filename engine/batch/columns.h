/* The columns that a batch becomes, as docs/format/batch.md and columns.py describe them, and room for more.
 *
 * Plain data, owned by whoever decodes. Memory: 81 bytes an event and its insert id, 17 a cell, 4 a list
 * item, half as much again while they grow.
 */
#ifndef ZUJI_BATCH_COLUMNS_H
#define ZUJI_BATCH_COLUMNS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ZJ_TRACK, ZJ_PROFILE_SET, ZJ_PROFILE_UNSET, ZJ_PROFILE_SET_ONCE, ZJ_PROFILE_INCREMENT, ZJ_PROFILE_APPEND,
       ZJ_PROFILE_DELETE, ZJ_TYPES };
/* zuji.engine.types.Kind, and 0 for "no value" */
enum { ZJ_UNSET, ZJ_BOOL, ZJ_INT, ZJ_FLOAT, ZJ_DATETIME, ZJ_STRING, ZJ_LIST };

typedef struct {
    uint8_t *kind;
    uint32_t *event, *user, *device, *index;
    int64_t *time, *cell_start;
    size_t rows, rows_room;
    uint32_t *cell_prop;
    uint8_t *cell_kind;
    int64_t *cell_value;
    size_t cells, cells_room;
    int64_t *list_start; /* lists + 1 entries, the last one written at the end */
    size_t lists, lists_room;
    uint32_t *list_item;
    size_t items, items_room;
    uint8_t *insert; /* the insert ids end to end; row i has insert_start[i] … insert_start[i + 1] */
    int64_t *insert_start;
    size_t insert_bytes, insert_room;
    uint32_t *mark; /* where the keys of an event stand in the bytes; of row i: row_mark[i] … row_mark[i + 1] */
    uint32_t *row_mark;
    size_t marks, marks_room;
} zj_columns;

static inline void zj_columns_free(zj_columns *o) {
    free(o->kind);
    free(o->event);
    free(o->user);
    free(o->device);
    free(o->insert);
    free(o->insert_start);
    free(o->mark);
    free(o->row_mark);
    free(o->index);
    free(o->time);
    free(o->cell_start);
    free(o->cell_prop);
    free(o->cell_kind);
    free(o->cell_value);
    free(o->list_start);
    free(o->list_item);
    memset(o, 0, sizeof *o);
}

/* *array with room for `room` elements of `size` bytes. 0, or -1 and the array as it was. */
static int zj_grow(void *array, size_t room, size_t size) {
    void *grown = realloc(*(void **)array, room * size);
    if (!grown) return -1;
    *(void **)array = grown;
    return 0;
}

static int zj_rows_grow(zj_columns *o, size_t more) {
    size_t room = o->rows_room + o->rows_room / 2 + more + 16;
    if (zj_grow(&o->kind, room, 1) || zj_grow(&o->event, room, 4) || zj_grow(&o->user, room, 4) ||
        zj_grow(&o->device, room, 4) || zj_grow(&o->index, room, 4) || zj_grow(&o->time, room, 8) ||
        zj_grow(&o->cell_start, room, 8) || zj_grow(&o->insert_start, room, 8) ||
        zj_grow(&o->row_mark, room, 4))
        return -1;
    o->rows_room = room;
    return 0;
}

static int zj_cells_grow(zj_columns *o, size_t more) {
    size_t room = o->cells_room + o->cells_room / 2 + more + 256;
    if (zj_grow(&o->cell_prop, room, 4) || zj_grow(&o->cell_kind, room, 1) ||
        zj_grow(&o->cell_value, room, 8))
        return -1;
    o->cells_room = room;
    return 0;
}

static int zj_lists_reserve(zj_columns *o, size_t lists, size_t items) {
    if (o->lists + lists + 1 > o->lists_room) {
        size_t room = o->lists_room + o->lists_room / 2 + lists + 16;
        if (zj_grow(&o->list_start, room, 8)) return -1;
        o->lists_room = room;
    }
    if (o->items + items > o->items_room) {
        size_t room = o->items_room + o->items_room / 2 + items + 64;
        if (zj_grow(&o->list_item, room, 4)) return -1;
        o->items_room = room;
    }
    return 0;
}

static int zj_insert_grow(zj_columns *o, size_t more) {
    size_t room = o->insert_room + o->insert_room / 2 + more + 1024;
    if (zj_grow(&o->insert, room, 1)) return -1;
    o->insert_room = room;
    return 0;
}

static int zj_marks_grow(zj_columns *o, size_t more) {
    size_t room = o->marks_room + o->marks_room / 2 + more + 256;
    if (zj_grow(&o->mark, room, 4)) return -1;
    o->marks_room = room;
    return 0;
}

static inline size_t zj_columns_bytes(const zj_columns *o) {
    return o->rows_room * 53 + o->marks_room * 4 + o->cells_room * 13 + o->lists_room * 8 + o->items_room * 4 + o->insert_room;
}

#endif
