/* Rows of a memtable, in the order they came -> the final order of each place (shard x month) at once.
 *
 * Rows are dealt to places by a counting sort; each place is then sorted by radix (radix.h). O(n x digits), with
 * 26 bytes a row of scratch, and no work a place but for its rows and the events there are.
 */
#ifndef ZUJI_FRESH_H
#define ZUJI_FRESH_H

#include <stdint.h>
#include <stdlib.h>
#include "radix.h"

/* What comes out, a place after the other. Clustered by event: perm (row), ordinal, time (ms after the month's
 * start) and tie; in user order: interleave (number of the event among those of the place). Of a run: the rank of its
 * event and its first row in the place; of a place: its first row, its first run, and tied = 1 when a tie is not 0. */
typedef struct {
    uint32_t *perm, *ordinal, *time;
    uint16_t *interleave, *tie;
    int64_t *place_start, *place_run; /* places + 1 */
    uint8_t *tied;                    /* places */
    uint16_t *run_rank;               /* room for n runs */
    int64_t *run_start;
    int64_t runs;
} zj_fresh_out;

typedef struct {
    uint32_t *rows, *ordinal, *time, *by_time, *by_event, *place;
    uint16_t *event, *tie, *local;
} zj_fresh_scratch;

static void zj_fresh_free(zj_fresh_scratch *s) {
    free(s->rows), free(s->ordinal), free(s->time), free(s->by_time), free(s->by_event), free(s->place);
    free(s->event), free(s->tie), free(s->local);
}

static int zj_fresh_init(zj_fresh_scratch *s, size_t n, size_t ranks) {
    s->rows = (uint32_t *)malloc(4 * n + 4), s->ordinal = (uint32_t *)malloc(4 * n + 4);
    s->time = (uint32_t *)malloc(4 * n + 4), s->by_time = (uint32_t *)malloc(4 * n + 4);
    s->by_event = (uint32_t *)malloc(4 * n + 4), s->place = (uint32_t *)malloc(4 * n + 4);
    s->event = (uint16_t *)malloc(2 * n + 2), s->tie = (uint16_t *)malloc(2 * n + 2);
    s->local = (uint16_t *)malloc(2 * ranks + 2);
    return s->rows && s->ordinal && s->time && s->by_time && s->by_event && s->place && s->event && s->tie && s->local;
}

/* Sorts the m rows of one place, which s->rows names from `at` on. Returns 0, or -1 when memory ran out. */
static int zj_fresh_place(const zj_fresh_scratch *s, size_t at, size_t m, uint32_t place, zj_fresh_out *out) {
    const uint32_t *rows = s->rows + at, *ordinal = s->ordinal + at, *time = s->time + at;
    const uint16_t *event = s->event + at;
    uint16_t names = 0, tied = 0;
    if (zj_order_rows(ordinal, time, event, NULL, m, s->by_time, s->by_event) != 0) return -1;
    zj_ties(ordinal, time, s->by_time, m, s->tie);
    for (size_t i = 0; i < m; i++) {
        const uint32_t row = s->by_event[i];
        out->perm[at + i] = rows[row];
        out->ordinal[at + i] = ordinal[row];
        out->time[at + i] = time[row];
        out->tie[at + i] = s->tie[row];
        tied |= s->tie[row];
        if (i == 0 || event[row] != event[s->by_event[i - 1]]) {
            s->local[event[row]] = names++;
            out->run_rank[out->runs] = event[row];
            out->run_start[out->runs++] = (int64_t)i;
        }
    }
    for (size_t i = 0; i < m; i++) out->interleave[at + i] = s->local[event[s->by_time[i]]];
    out->tied[place] = tied != 0;
    return 0;
}

/* rank: of each event code, in the order of the names. edges: int64[months + 1] ms; place = month * shards + shard.
 * Returns 0; -1 when memory ran out; 1 when a shard, a code or a time is out of range. place_start is zeroed by the
 * caller. REQUIRES: n < 2^32 - 1. */
static int zj_fresh(const uint16_t *shard, const uint32_t *ordinal, const uint16_t *event, const int64_t *time, size_t n,
                    const int64_t *edges, size_t months, size_t shards, const uint16_t *rank, size_t codes, size_t ranks,
                    zj_fresh_out *out) {
    zj_fresh_scratch s;
    const size_t places = months * shards;
    size_t month = 0;
    int failed = 0;
    out->runs = 0;
    if (!zj_fresh_init(&s, n, ranks)) failed = -1;
    for (size_t i = 0; i < n && !failed; i++) {
        if (shard[i] >= shards || event[i] >= codes || time[i] < edges[0] || time[i] >= edges[months]) {
            failed = 1;
            break;
        }
        if (time[i] < edges[month]) month = 0;
        while (time[i] >= edges[month + 1]) month++;
        s.place[i] = (uint32_t)(month * shards + shard[i]);
        out->place_start[s.place[i] + 1]++;
    }
    for (size_t p = 0; p < places && !failed; p++) out->place_start[p + 1] += out->place_start[p];
    for (size_t i = 0; i < n && !failed; i++) { /* starts are advanced, and put back below */
        const size_t to = (size_t)out->place_start[s.place[i]]++;
        s.rows[to] = (uint32_t)i;
        s.ordinal[to] = ordinal[i];
        s.time[to] = (uint32_t)(time[i] - edges[s.place[i] / shards]);
        s.event[to] = rank[event[i]];
    }
    if (!failed) {
        for (size_t p = places; p > 0; p--) out->place_start[p] = out->place_start[p - 1];
        out->place_start[0] = 0;
    }
    for (size_t p = 0; p < places && !failed; p++) {
        const size_t at = (size_t)out->place_start[p], m = (size_t)out->place_start[p + 1] - at;
        out->place_run[p] = out->runs;
        if (m) failed = zj_fresh_place(&s, at, m, (uint32_t)p, out);
    }
    out->place_run[places] = out->runs;
    zj_fresh_free(&s);
    return failed;
}

#endif
