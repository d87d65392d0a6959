/* Row order: keys of a source in user order, k-way merge of sources, and the day index.
 *
 * Order everywhere is (ordinal, time, rank, tie). A key is ordinal << 32 | time. Sources are given oldest
 * first, so a merge that prefers the lower source on equal keys keeps rank, and each source's own order keeps
 * the tie. The merge is a winner tree over the sources (Knuth 5.4.1): O(rows * log sources), sequential reads.
 */
#ifndef ZUJI_ROWS_H
#define ZUJI_ROWS_H
#include <stddef.h>
#include <stdint.h>

#define DAY_MS 86400000

/* Walks a source's interleave with one cursor a run: keys in user order. Returns 0, or 1 if a code or the
 * number of rows of a run does not agree. cursor is scratch, holding the start of each run. */
static int rows_keys(const uint16_t *codes, int64_t n, const uint32_t *ordinal, const uint32_t *time,
                     int64_t *cursor, const int64_t *run_end, int64_t runs, uint64_t *keys) {
    for (int64_t i = 0; i < n; i++) {
        if (codes[i] >= runs) return 1;
        int64_t at = cursor[codes[i]]++;
        if (at >= run_end[codes[i]]) return 1;
        keys[i] = (uint64_t)ordinal[at] << 32 | time[at];
    }
    return 0;
}

/* Merges sources. keys/codes: concatenated, source s owning [start[s], start[s+1]). at: scratch int64[sources],
 * tree: scratch uint32[2 * leaves], leaves = power of two >= sources. event_at: start of each event's rows in the
 * event-clustered outputs (ordinal, time, source, tie), advanced. interleave: event of each merged row.
 * Ties above 65,535 are 65,535. Returns 0, or 1 when a source's keys descend. */
static int rows_merge(const uint64_t *keys, const uint16_t *codes, const int64_t *start, int64_t sources,
                      int64_t *at, uint32_t *tree, int64_t leaves, int64_t *event_at, uint16_t *interleave,
                      uint32_t *ordinal, uint32_t *time, uint16_t *source, uint16_t *tie, int *any_tie) {
    int64_t n = start[sources] - start[0], out = 0;
    uint64_t last = 0;
    uint32_t rank = 0;
    *any_tie = 0;
    for (int64_t s = 0; s < sources; s++) at[s] = start[s];
    /* An exhausted or missing source is number >= sources or has at == end; it loses against everything. */
#define ROWS_DONE(s) ((int64_t)(s) >= sources || at[s] >= start[(s) + 1])
#define ROWS_BEATS(a, b) (ROWS_DONE(b) || (!ROWS_DONE(a) && (keys[at[a]] < keys[at[b]] || (keys[at[a]] == keys[at[b]] && (a) < (b)))))
    for (int64_t i = 0; i < leaves; i++) tree[leaves + i] = (uint32_t)i;
    for (int64_t i = leaves - 1; i > 0; i--) {
        uint32_t a = tree[2 * i], b = tree[2 * i + 1];
        tree[i] = ROWS_BEATS(a, b) ? a : b;
    }
    while (out < n) {
        uint32_t s = leaves > 1 ? tree[1] : 0;
        uint64_t key = keys[at[s]];
        if (out && key < last) return 1;
        if (!out || key != last)
            rank = 0;
        else if (rank < UINT16_MAX)
            rank++;
        if (rank) *any_tie = 1;
        last = key;
        uint16_t code = codes[at[s]];
        int64_t to = event_at[code]++;
        interleave[out++] = code;
        ordinal[to] = (uint32_t)(key >> 32);
        time[to] = (uint32_t)key;
        source[to] = (uint16_t)s;
        tie[to] = (uint16_t)rank;
        at[s]++;
        for (int64_t i = (leaves + s) >> 1; i > 0; i >>= 1) {
            uint32_t a = tree[2 * i], b = tree[2 * i + 1];
            tree[i] = ROWS_BEATS(a, b) ? a : b;
        }
    }
#undef ROWS_BEATS
#undef ROWS_DONE
    return 0;
}

static inline int64_t rows_day(const int64_t *edges, int64_t days, int64_t time, int64_t guess) {
    int64_t d = guess < 0 ? 0 : guess >= days ? days - 1 : guess;
    while (d > 0 && time < edges[d]) d--;
    while (d < days - 1 && time >= edges[d + 1]) d++;
    return d;
}

/* Counts rows and distinct users of each day. REQUIRES: rows in (ordinal, time) order; edges relative to the
 * same base as time, days >= 1. Rows before the first or after the last edge count to the first or last day. */
static int64_t rows_day_count(const uint32_t *ordinal, const uint32_t *time, int64_t n, const int64_t *edges,
                              int64_t days, int64_t *day_rows, int64_t *day_users) {
    int64_t day = -1, total = 0;
    uint32_t user = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t t = time[i];
        if (day < 0 || ordinal[i] != user || t >= edges[day + 1]) {
            int64_t d = rows_day(edges, days, t, (t - edges[0]) / DAY_MS);
            if (day < 0 || ordinal[i] != user || d != day) {
                day_users[d]++;
                total++;
            }
            day = d;
            user = ordinal[i];
        }
        day_rows[day]++;
    }
    return total;
}

/* Second pass: users of each day (ascending) at cursor[day], and 1 in multi when the user has 2 rows or more. */
static void rows_day_fill(const uint32_t *ordinal, const uint32_t *time, int64_t n, const int64_t *edges,
                          int64_t days, int64_t *cursor, uint32_t *users, uint8_t *multi) {
    int64_t day = -1, slot = 0;
    uint32_t user = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t t = time[i];
        if (day >= 0 && ordinal[i] == user && t < edges[day + 1]) {
            multi[slot] = 1;
            continue;
        }
        int64_t d = rows_day(edges, days, t, (t - edges[0]) / DAY_MS);
        if (day >= 0 && ordinal[i] == user && d == day) {
            multi[slot] = 1;
            continue;
        }
        slot = cursor[d]++;
        users[slot] = ordinal[i];
        multi[slot] = 0;
        day = d;
        user = ordinal[i];
    }
}

#endif
