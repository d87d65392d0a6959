/* Cells of sessions: what the records of a shard come to, by line, bucket and slot.
 *
 * A line is a shown group; a record's number stands in the lines that `lines` gives it (a list puts a
 * session in several). A slot is an interval of a length or depth, left-closed; one more is for sessions
 * without a length. Records of a user stand together, so a cell need only know whom it counted last.
 * O(records * lines of a number * log(slots)).
 */
#ifndef ZUJI_SESSIONS_CELLS_H
#define ZUJI_SESSIONS_CELLS_H

#include "bins.h"
#include "buckets.h"
#include "sessions.h"

/* The numbers of a cell, as `session_cells` gives them; `last` is its own. */
typedef struct {
    int64_t sessions, users, timed, duration, depth, bounces, open;
    int64_t last; /* user + 1 */
} zs_cell;

typedef struct {
    zj_bins bins;         /* of the buckets */
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

/* Adds records (a zs_sink). */
static int zs_add(void *into, const zs_record *record, size_t n) {
    zs_cells *c = (zs_cells *)into;
    const int64_t *edges = c->bins.edges;
    const size_t buckets = (size_t)c->bins.count;
    for (size_t i = 0; i < n; i++) {
        const zs_record *r = &record[i];
        if (r->start < edges[0] || r->start >= edges[buckets] || r->number >= c->numbers) return ZJ_REJECTED;
        const size_t bucket = (size_t)zj_bin(&c->bins, r->start);
        const int32_t slot = zs_slot(c, r);
        const int open = r->end >= c->open_ms;
        for (uint32_t l = c->line_at[r->number]; l < c->line_at[r->number + 1]; l++) {
            const size_t line = c->lines[l];
            zs_add_to(&c->total[line], r, open);
            if (slot < 0) continue;
            zs_add_to(&c->cell[(line * buckets + bucket) * (size_t)c->slots + (size_t)slot], r, open);
        }
    }
    return ZJ_OK;
}

#endif
