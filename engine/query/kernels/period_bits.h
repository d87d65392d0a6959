/* Lifecycle and stickiness from sets of users: a period is a row of bits, put together block by block
 * from days of runs as in retention_bits.h, whose loaders and counters are used here.
 *
 * With lines, each user has a list of them (users of several groups are in several), and its set bits
 * are visited one by one; without, only sizes of sets are counted.
 */
#ifndef ZUJI_PERIOD_BITS_H
#define ZUJI_PERIOD_BITS_H

#include "retention_bits.h"

enum { ZP_ACTIVE = 0, ZP_NEW = 1, ZP_RETURNING = 2, ZP_RESURRECTED = 3, ZP_DORMANT = 4, ZP_STATES = 5 };
enum { ZP_PLANES = 16 }; /* a user is counted in fewer than 2^16 periods */

/* Lines of user u: line[offsets[u] .. offsets[u + 1]); those of `lines` or more are nobody's. */
typedef struct {
    const uint32_t *offsets, *line; /* offsets NULL: everybody is in line 0 */
    size_t users;
    uint32_t lines;
} zp_lines;

typedef struct {
    const zb_days *days;
    zb_rows rows, before;    /* before: one row, who was active earlier still */
    const uint64_t *allowed; /* [words] or NULL */
    size_t words;
    int count; /* rows */
    zp_lines lines;
    const uint8_t *cancel;
    int64_t *anybody; /* [lines]: users of any counted row */
} zp_query;

/* One block of row r of those who count; whether there is any. */
static int zp_load(const zp_query *q, const zb_rows *rows, int r, size_t at, uint64_t *out) {
    zb_retention of = {0}; /* the loader reads its days alone */
    of.days = q->days;
    if (!zb_load(&of, rows, r, at, out)) return 0;
    if (q->allowed) {
        const size_t m = zb_in_block(q->words, at);
        for (size_t w = 0; w < m; w++) out[w] &= q->allowed[at + w];
        for (size_t w = m; w < ZB_BLOCK; w++) out[w] = 0;
    }
    return 1;
}

/* cells[line * stride] += 1 for every line of every user of the block. */
static void zp_each(const zp_lines *l, const uint64_t *block, size_t at, int64_t *cells, size_t stride) {
    for (size_t w = 0; w < ZB_BLOCK; w++)
        for (uint64_t rest = block[w]; rest; rest &= rest - 1) {
            const size_t user = (at + w) * 64 + (size_t)__builtin_ctzll(rest);
            if (user >= l->users) return;
            for (uint32_t i = l->offsets[user]; i < l->offsets[user + 1]; i++)
                if (l->line[i] < l->lines) cells[l->line[i] * stride]++;
        }
}

static void zp_add(const zp_query *q, const uint64_t *block, size_t at, int64_t *cells, size_t stride, zb_counter both) {
    if (q->lines.offsets) zp_each(&q->lines, block, at, cells, stride);
    else *cells += both(block, block);
}

static int zp_stopped(const zp_query *q) { return q->cancel != NULL && *(const volatile uint8_t *)q->cancel; }

/* States of each period: row 0 is the period before the first one, rows 1..P are counted.
 * cells: [lines, P, ZP_STATES]. O(words * (days + P)); with lines also O(users active in each P).
 * Returns 0, or 1 when cancelled. */
static int zp_lifecycle(const zp_query *q, int64_t *cells, int level) {
    const zb_counter both = zb_both(level);
    const int P = q->count - 1;
    const size_t stride = (size_t)P * ZP_STATES;
    uint64_t seen[ZB_BLOCK], was[ZB_BLOCK], now[ZB_BLOCK], some[ZB_BLOCK], any[ZB_BLOCK];
    for (size_t at = 0; at < q->words; at += ZB_BLOCK) {
        if (zp_stopped(q)) return 1;
        int before = zp_load(q, &q->rows, 0, at, was);
        zp_load(q, &q->before, 0, at, seen);
        for (int w = 0; w < ZB_BLOCK; w++) seen[w] |= was[w];
        memset(any, 0, sizeof any);
        for (int p = 0; p < P; p++) {
            int64_t *to = cells + (size_t)p * ZP_STATES;
            const int there = zp_load(q, &q->rows, p + 1, at, now);
            if (!there && !before) continue;
            zp_add(q, now, at, to + ZP_ACTIVE, stride, both);
            for (int w = 0; w < ZB_BLOCK; w++) some[w] = now[w] & ~seen[w];
            zp_add(q, some, at, to + ZP_NEW, stride, both);
            for (int w = 0; w < ZB_BLOCK; w++) some[w] = now[w] & was[w];
            zp_add(q, some, at, to + ZP_RETURNING, stride, both);
            for (int w = 0; w < ZB_BLOCK; w++) some[w] = now[w] & seen[w] & ~was[w];
            zp_add(q, some, at, to + ZP_RESURRECTED, stride, both);
            for (int w = 0; w < ZB_BLOCK; w++) some[w] = was[w] & ~now[w];
            zp_add(q, some, at, to + ZP_DORMANT, stride, both);
            for (int w = 0; w < ZB_BLOCK; w++) {
                seen[w] |= now[w];
                any[w] |= now[w];
                was[w] = now[w];
            }
            before = there;
        }
        zp_add(q, any, at, q->anybody, 1, both);
    }
    return 0;
}

/* Users counted so far in a number of rows each, a plane a bit of the number: adds one row. */
static int zp_count(uint64_t planes[ZP_PLANES][ZB_BLOCK], int used, const uint64_t *row) {
    uint64_t carry[ZB_BLOCK], left = 0;
    memcpy(carry, row, sizeof carry);
    for (int j = 0; j < used; j++)
        for (int w = 0; w < ZB_BLOCK; w++) {
            const uint64_t on = planes[j][w] & carry[w];
            planes[j][w] ^= carry[w];
            carry[w] = on;
        }
    for (int w = 0; w < ZB_BLOCK; w++) left |= carry[w];
    if (!left) return used;
    memcpy(planes[used], carry, sizeof carry);
    return used + 1;
}

/* counts[n] += users of `mask` whose number is n in the planes below j, n starting with the bits of
 * `number`. No more leaves are reached than there are numbers. */
static void zp_leaves(uint64_t planes[ZP_PLANES][ZB_BLOCK], int j, const uint64_t *mask, size_t number, int64_t *counts,
                      zb_counter both) {
    uint64_t part[ZB_BLOCK], any = 0;
    for (int w = 0; w < ZB_BLOCK; w++) any |= mask[w];
    if (!any) return;
    if (j == 0) {
        counts[number] += both(mask, mask);
        return;
    }
    for (int w = 0; w < ZB_BLOCK; w++) part[w] = mask[w] & ~planes[j - 1][w];
    zp_leaves(planes, j - 1, part, number, counts, both);
    for (int w = 0; w < ZB_BLOCK; w++) part[w] = mask[w] & planes[j - 1][w];
    zp_leaves(planes, j - 1, part, number | (size_t)1 << (j - 1), counts, both);
}

/* Adds the users of one bucket to counts[line * stride + number of rows], number from 1 on. */
static void zp_flush(const zp_query *q, uint64_t planes[ZP_PLANES][ZB_BLOCK], int used, size_t at, int64_t *counts,
                     size_t stride, zb_counter both) {
    uint64_t any[ZB_BLOCK] = {0};
    const zp_lines *l = &q->lines;
    for (int j = 0; j < used; j++)
        for (int w = 0; w < ZB_BLOCK; w++) any[w] |= planes[j][w];
    if (!l->offsets) {
        zp_leaves(planes, used, any, 0, counts, both);
        return;
    }
    for (size_t w = 0; w < ZB_BLOCK; w++)
        for (uint64_t rest = any[w]; rest; rest &= rest - 1) {
            const int bit = __builtin_ctzll(rest);
            const size_t user = (at + w) * 64 + (size_t)bit;
            size_t number = 0;
            for (int j = 0; j < used; j++) number |= (size_t)(planes[j][w] >> bit & 1) << j;
            if (user >= l->users) return;
            for (uint32_t i = l->offsets[user]; i < l->offsets[user + 1]; i++)
                if (l->line[i] < l->lines) counts[l->line[i] * stride + number]++;
        }
}

/* In how many rows of its bucket each user is: bucket[r] ascends over the rows.
 * counts: [lines, buckets, most + 1], of 1..most rows. O(words * (days + numbers)); with lines also
 * O(users active in each bucket). Returns 0, or 1 when cancelled. */
static int zp_stickiness(const zp_query *q, const int32_t *bucket, int buckets, int most, int64_t *counts, int level) {
    const zb_counter both = zb_both(level);
    const size_t stride = (size_t)buckets * ((size_t)most + 1);
    uint64_t planes[ZP_PLANES][ZB_BLOCK], now[ZB_BLOCK], any[ZB_BLOCK];
    for (size_t at = 0; at < q->words; at += ZB_BLOCK) {
        if (zp_stopped(q)) return 1;
        memset(any, 0, sizeof any);
        int used = 0;
        for (int r = 0; r < q->count; r++) {
            if (zp_load(q, &q->rows, r, at, now)) {
                for (int w = 0; w < ZB_BLOCK; w++) any[w] |= now[w];
                used = zp_count(planes, used, now);
            }
            if (used && (r + 1 == q->count || bucket[r + 1] != bucket[r])) {
                zp_flush(q, planes, used, at, counts + (size_t)bucket[r] * ((size_t)most + 1), stride, both);
                used = 0;
            }
        }
        zp_add(q, any, at, q->anybody, 1, both);
    }
    return 0;
}

#endif
