/* Cells of sessions: what the records of a shard come to, by line, bucket and slot.
 *
 * A line is a shown group; a record's number stands in the lines that `lines` gives it (a list puts a
 * session in several). A slot is an interval of a length or depth, left-closed; one more is for sessions
 * without a length. Records of a user stand together, so a cell need only know whom it counted last.
 * O(records * lines of a number * log(buckets + slots)).
 */
#ifndef ZUJI_SESSIONS_CELLS_H
#define ZUJI_SESSIONS_CELLS_H

#include "buckets.h"
#include "sessions.h"

/* The numbers of a cell, as `session_cells` gives them; `last` is its own. */
typedef struct {
    int64_t sessions, users, timed, duration, depth, bounces, open;
    int64_t last; /* user + 1 */
} zs_cell;

typedef struct {
    const int64_t *edges; /* [buckets + 1] */
    int32_t buckets;
    const uint32_t *line_at, *lines; /* as in zp_cells */
    uint32_t numbers;
    const int64_t *slot;  /* [slots - 1] lower edges, or NULL: one slot */
    int32_t slots;        /* the last is that of no length */
    int by_depth;
    int64_t open_ms;
    zs_cell *cell;        /* [lines, buckets, slots] */
    zs_cell *total;       /* [lines] */
} zs_cells;

ZJ_INLINE void zs_add_to(zs_cell *c, const zs_record *r, int open) {
    c->sessions++;
    c->users += c->last != (int64_t)r->user + 1;
    c->last = (int64_t)r->user + 1;
    c->timed += !r->alone;
    c->duration += r->end - r->start;
    c->depth += r->depth;
    c->bounces += r->depth == 1;
    c->open += open;
}

/* Slot of a record, or -1: it lies below the first edge. */
ZJ_INLINE int32_t zs_slot(const zs_cells *c, const zs_record *r) {
    if (c->slot == NULL) return 0;
    if (!c->by_depth && r->alone) return c->slots - 1;
    const int64_t value = c->by_depth ? (int64_t)r->depth : r->end - r->start;
    return zj_bucket_search(c->slot, c->slots - 2, value);
}

static int zs_add(zs_cells *c, const zs_record *record, size_t n, zj_guard *guard) {
    int32_t bucket = 0;
    for (size_t i = 0; i < n; i++) {
        const zs_record *r = &record[i];
        if ((i & 4095) == 0 && zj_stop(guard, 4096)) return ZJ_CANCELLED;
        if (r->start < c->edges[bucket] || r->start >= c->edges[bucket + 1])
            bucket = zj_bucket_search(c->edges, c->buckets, r->start);
        if (bucket < 0 || bucket >= c->buckets || r->number >= c->numbers) return ZJ_REJECTED;
        const int32_t slot = zs_slot(c, r);
        const int open = r->end >= c->open_ms;
        for (uint32_t l = c->line_at[r->number]; l < c->line_at[r->number + 1]; l++) {
            const size_t line = c->lines[l];
            zs_add_to(&c->total[line], r, open);
            if (slot < 0) continue;
            const size_t at = (line * (size_t)c->buckets + (size_t)bucket) * (size_t)c->slots + (size_t)slot;
            zs_add_to(&c->cell[at], r, open);
        }
    }
    return ZJ_OK;
}

#endif
