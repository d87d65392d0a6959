/* Row order: keys of a source in user order, and the day index.
 *
 * Order everywhere is (ordinal, time, rank, tie). A key is ordinal << 32 | time.
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
