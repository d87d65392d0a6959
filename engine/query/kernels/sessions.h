/* Sessions: pieces of the rows of a user, as records.
 *
 * A walk (paths.h) hands over users cut by the gap. A piece is cut further at local midnights, before a
 * row that starts a session, and after one that ends it. With starts, only they and midnights begin a
 * session, and rows outside of one belong to none. A session is noted when its first row lies in the
 * range and it has a row that counts. Rows are bytes (0: does not count) or items of eight bytes whose
 * code is 1 + flags. Records are kept, or handed to a sink as they come. O(rows).
 */
#ifndef ZUJI_SESSIONS_H
#define ZUJI_SESSIONS_H

#include "paths.h"

enum { ZS_COUNTS = 1, ZS_STARTS = 2, ZS_ENDS = 4 };

typedef struct {
    int64_t start, end; /* first and last row, ms UTC */
    uint32_t user, depth; /* rows that count */
    uint32_t number;    /* group of the first or last row that counts */
    uint32_t alone;     /* it has one row */
} zs_record;

/* Takes records of whole users, by user and time; those of a user may come in several calls. */
typedef int (*zs_sink)(void *into, const zs_record *record, size_t n);

#define ZS_SOME 1024 /* records handed on at once */

typedef struct {
    int64_t gap, from_ms, to_ms;
    int64_t since_ms, reach_ms; /* rows before, and from then on, were not given */
    const int64_t *days;        /* [n_days] local midnights that cut, ascending */
    size_t n_days;
    int64_t alive_ms;           /* sessions must have a row then or later */
    int starts, ends, wide, last;
    int whole;                  /* sessions are wanted that begin before what was given */
    int every;                  /* all rows count */
    zs_sink sink;               /* or NULL */
    void *into;
    zs_record *record;
    size_t n, room, limit; /* limit: of records */
    int beyond, before;    /* rows that were not given may belong to a session, after or before */
} zs_taker;

ZJ_INLINE uint32_t zs_flags(const zs_taker *t, const zp_block *b, uint32_t row) {
    return t->wide ? (uint32_t)zp_get(b->code, row, 8) - 1 : b->code[row] ? ZS_COUNTS : 0;
}

/* What is noted goes to the sink. */
static int zs_hand_on(zs_taker *t) {
    const size_t n = t->n;
    t->n = 0;
    return n && t->sink ? t->sink(t->into, t->record, n) : ZJ_OK;
}

/* Room for one more. */
static int zs_reserve(zs_taker *t) {
    if (t->n < t->room) return ZJ_OK;
    if (t->sink && t->room) return zs_hand_on(t);
    const size_t room = t->sink ? ZS_SOME : t->room ? 2 * t->room : 4096;
    if (t->n >= t->limit) return ZJ_NO_MEMORY;
    void *p = realloc(t->record, (room < t->limit ? room : t->limit) * sizeof(zs_record));
    if (p == NULL) return ZJ_NO_MEMORY;
    t->record = (zs_record *)p;
    t->room = room < t->limit ? room : t->limit;
    return ZJ_OK;
}

/* The session of the rows [from, to) of a piece that ends at `end`. */
ZJ_INLINE int zs_note(zs_taker *t, const zp_block *b, uint32_t from, uint32_t to, uint32_t end, uint32_t user) {
    const int64_t start = b->time[from];
    if (start < t->from_ms || start >= t->to_ms || b->time[to - 1] < t->alive_ms) return ZJ_OK;
    uint32_t depth = t->every ? to - from : 0, chosen = from;
    for (uint32_t r = from; r < to && !t->every; r++) {
        if (!(zs_flags(t, b, r) & ZS_COUNTS)) continue;
        if (depth++ == 0 || t->last) chosen = r;
    }
    if (depth == 0) return ZJ_OK;
    if (t->n == t->room && zs_reserve(t) != ZJ_OK) return ZJ_NO_MEMORY;
    zs_record *r = &t->record[t->n++];
    r->start = start;
    r->end = b->time[to - 1];
    r->user = user;
    r->depth = depth;
    r->number = t->wide ? (uint32_t)(zp_get(b->code, chosen, 8) >> ZP_GROUP) : 0;
    r->alone = to - from == 1;
    t->beyond |= to == end && r->end >= t->reach_ms - t->gap;
    return ZJ_OK;
}

/* First midnight after a time. */
ZJ_INLINE size_t zs_day(const zs_taker *t, int64_t time) {
    size_t low = 0, high = t->n_days;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (t->days[middle] <= time) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The sessions of a piece. */
static int zs_cut(zs_taker *t, const zp_block *b, uint32_t from, uint32_t to, uint32_t user) {
    uint32_t open = UINT32_MAX; /* first row of the session that is open */
    size_t day = t->n_days ? zs_day(t, b->time[from]) : 0;
    int status = ZJ_OK;
    for (uint32_t r = from; r < to && status == ZJ_OK; r++) {
        const uint32_t flags = zs_flags(t, b, r);
        const int midnight = day < t->n_days && b->time[r] >= t->days[day];
        if (midnight) day = zs_day(t, b->time[r]);
        const int starts = !t->starts || (flags & ZS_STARTS) != 0;
        if (open != UINT32_MAX && (midnight || (t->starts && starts))) {
            status = zs_note(t, b, open, r, to, user);
            open = r;
        } else if (open == UINT32_MAX && starts) {
            open = r;
        }
        if (t->ends && open != UINT32_MAX && (flags & ZS_ENDS) && status == ZJ_OK) {
            status = zs_note(t, b, open, r + 1, to, user);
            open = UINT32_MAX;
        }
    }
    if (status == ZJ_OK && open != UINT32_MAX) status = zs_note(t, b, open, to, to, user);
    return status;
}

/* A block of pieces (zp_taker). */
static int zs_take(void *to, const zp_block *b, size_t pieces, const uint32_t *start, const uint32_t *owner,
                   size_t users) {
    zs_taker *t = (zs_taker *)to;
    const int whole = !t->starts && !t->ends && t->n_days == 0;
    size_t u = 0;
    int status = ZJ_OK;
    for (size_t s = 0; s < pieces && status == ZJ_OK; s++) {
        const uint32_t from = b->begin[s], end = b->begin[s + 1];
        while (u + 1 < users && start[u + 1] <= from) u++;
        if (b->time[from] >= t->to_ms || b->time[end - 1] < t->from_ms || b->time[end - 1] < t->alive_ms) continue;
        /* Who was in a session before what was given is not known. */
        t->before |= (t->whole || (t->starts && t->n_days)) && b->time[from] <= t->since_ms + t->gap;
        status = whole ? zs_note(t, b, from, end, end, owner[u]) : zs_cut(t, b, from, end, owner[u]);
    }
    return status;
}

#endif
