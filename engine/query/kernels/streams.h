/* Streams: spreading values over rows, the whole per-user order of a source, sessions, as-of joins. */
#ifndef ZUJI_STREAMS_H
#define ZUJI_STREAMS_H

#include "gather.h"

#define ZJ_EXPAND(type)                                                                                  \
    for (uint32_t i = 0; i < nu; i++) {                                                                  \
        type v = ((const type *)values)[users[i] < n_values ? users[i] : n_values];                      \
        for (uint32_t r = offsets[i]; r < offsets[i + 1]; r++) ((type *)out)[r] = v;                     \
    }

/* out[r] = values[ordinal of r's user]; values[n_values] is the fill. width: bytes of an item. */
static int zj_expand_users(const uint32_t *users, const uint32_t *offsets, uint32_t nu, const void *values,
                           size_t n_values, size_t width, void *out) {
    switch (width) {
    case 1: ZJ_EXPAND(uint8_t) break;
    case 2: ZJ_EXPAND(uint16_t) break;
    case 4: ZJ_EXPAND(uint32_t) break;
    default: ZJ_EXPAND(uint64_t) break;
    }
    return ZJ_OK;
}

/* A row per distinct item. out_* have room for n + number of codes; returns the rows written.
 * Lists are short (<= 500): looking back over the row's own output is the distinct test. */
static size_t zj_expand_lists(const zj_lane *lane, const uint32_t *offsets, const uint32_t *codes,
                              uint32_t *out_offsets, uint32_t *out_row, uint32_t *out_code) {
    size_t m = 0;
    for (uint32_t i = 0; i < lane->nu; i++) {
        out_offsets[i] = (uint32_t)m;
        for (uint32_t r = lane->offsets[i]; r < lane->offsets[i + 1]; r++) {
            size_t first = m;
            for (uint32_t c = offsets[r]; c < offsets[r + 1]; c++) {
                size_t seen = first;
                while (seen < m && out_code[seen] != codes[c]) seen++;
                if (seen < m) continue;
                out_row[m] = r;
                out_code[m++] = codes[c];
            }
            if (m == first) {
                out_row[m] = r;
                out_code[m++] = 0xFFFFFFFFu;
            }
        }
    }
    out_offsets[lane->nu] = (uint32_t)m;
    return m;
}

/* Undoes the split by event: interleave[i] names the run that row i of the whole order comes from.
 * Writes a lane (users, offsets, times, ties) and each row's number in its run.
 * REQUIRES: interleave holds run numbers below `count`, each as often as the run has rows.
 * Returns ZJ_REJECTED when the rows do not ascend by (user, time): the arrays do not belong together. */
static int zj_stream(const zj_lane *run, int count, const uint16_t *interleave, uint32_t n, zj_guard *guard,
                     uint32_t *users, uint32_t *offsets, uint32_t *times, uint16_t *ties, uint32_t *row,
                     uint32_t *n_users, int *any_tie) {
    size_t room = (size_t)(count ? count : 1);
    uint32_t *next = (uint32_t *)calloc(room * 2, sizeof(uint32_t)); /* per run: next row, user of it */
    if (next == NULL) return ZJ_NO_MEMORY;
    uint32_t *owner = next + room, made = 0, tie = 0;
    int status = ZJ_OK;
    *any_tie = 0;
    for (uint32_t i = 0; i < n; i++) {
        if ((i & 4095u) == 0 && zj_stop(guard, 4096)) {
            status = ZJ_CANCELLED;
            break;
        }
        const uint32_t c = interleave[i], r = next[c]++;
        const zj_lane *lane = &run[c];
        while (lane->offsets[owner[c] + 1] <= r) owner[c]++;
        const uint32_t user = lane->users[owner[c]], time = lane->times[r];
        times[i] = time;
        row[i] = r;
        if (made == 0 || users[made - 1] != user) {
            if (made && users[made - 1] > user) {
                status = ZJ_REJECTED;
                break;
            }
            users[made] = user;
            offsets[made++] = i;
            tie = 0;
        } else if (time == times[i - 1]) {
            tie++;
            *any_tie = 1;
        } else {
            tie = 0;
            if (time < times[i - 1]) {
                status = ZJ_REJECTED;
                break;
            }
        }
        if (tie > 65535u) {
            status = ZJ_REJECTED;
            break;
        }
        ties[i] = (uint16_t)tie;
    }
    free(next);
    offsets[made] = n;
    *n_users = made;
    return status;
}

/* Session number of every row, dense over all users: a gap over gap_ms between neighbouring rows of a
 * user, or another user, starts a new one. Masks are not read: sessions are cut on unfiltered rows. */
static int zj_sessions(const zj_lane *lanes, int count, int64_t gap, zj_guard *guard, int64_t *const *out,
                       int64_t *total) {
    zj_heads heads = {0};
    zj_rows rows;
    int64_t origin = 0, session = -1;
    uint32_t user;
    int status = zj_rows_origin(lanes, count, &origin);
    if (status != ZJ_OK) return status;
    status = zj_rows_open(&rows, count);
    if (status == ZJ_OK) status = zj_heads_open(&heads, lanes, count);
    while (status == ZJ_OK && (user = zj_heads_min(&heads)) != ZJ_END) {
        int owners = 0, only = 0;
        for (int l = 0; l < count; l++)
            if (heads.head[l] == user) owners++, only = l;
        if (owners == 1) { /* the lane's own order is the whole order */
            const zj_lane *lane = &lanes[only];
            uint32_t a = lane->offsets[heads.pos[only]], b = lane->offsets[heads.pos[only] + 1];
            for (uint32_t r = a; r < b; r++) {
                session += r == a || (int64_t)lane->times[r] - (int64_t)lane->times[r - 1] > gap;
                out[only][r] = session;
            }
            rows.count = b - a;
            zj_heads_next(&heads, lanes, only);
        } else {
            rows.count = 0;
            rows.runs = 0;
            for (int l = 0; l < count && status == ZJ_OK; l++) {
                if (heads.head[l] != user) continue;
                const zj_lane *lane = &lanes[l];
                uint32_t a = lane->offsets[heads.pos[l]], b = lane->offsets[heads.pos[l] + 1];
                zj_heads_next(&heads, lanes, l);
                if (!zj_rows_reserve(&rows, b - a)) status = ZJ_NO_MEMORY;
                rows.run[rows.runs++] = (uint32_t)rows.count;
                for (uint32_t r = a; r < b && status == ZJ_OK; r++) {
                    zj_row *row = &rows.row[rows.count++];
                    row->key = zj_row_key(lane, l, r, origin, 0);
                    row->time = lane->base + (int64_t)lane->times[r];
                    row->row = r;
                }
            }
            rows.run[rows.runs] = (uint32_t)rows.count;
            if (status != ZJ_OK) break;
            zj_rows_order(&rows, 1);
            for (size_t i = 0; i < rows.count; i++) {
                session += i == 0 || rows.row[i].time - rows.row[i - 1].time > gap;
                out[zj_row_lane(&rows.row[i])][rows.row[i].row] = session;
            }
        }
        if (zj_stop(guard, (uint32_t)rows.count + 1)) status = ZJ_CANCELLED;
    }
    zj_heads_close(&heads);
    zj_rows_close(&rows);
    *total = session + 1;
    return status;
}

/* out[r] = last history row of r's user at or before r's time, or -1. History ascends by (user, time).
 * Two pointers: O(rows + history). */
static int zj_asof(const uint32_t *users, const int64_t *times, size_t n, const zj_lane *lane, zj_guard *guard,
                   int64_t *out) {
    size_t at = 0; /* first history row of this user or a later one */
    for (uint32_t i = 0; i < lane->nu; i++) {
        uint32_t a = lane->offsets[i], b = lane->offsets[i + 1], user = lane->users[i];
        size_t before = at;
        while (at < n && users[at] < user) at++;
        size_t h = at;
        for (uint32_t r = a; r < b; r++) {
            int64_t t = lane->base + (int64_t)lane->times[r];
            while (h < n && users[h] == user && times[h] <= t) h++;
            out[r] = h > at ? (int64_t)h - 1 : -1;
        }
        if (zj_stop(guard, b - a + (uint32_t)((h - before) & 0xFFFF) + 1)) return ZJ_CANCELLED;
    }
    return ZJ_OK;
}

#endif
