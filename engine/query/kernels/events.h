/* Rows, exact distinct users and value aggregates per cell (group x bucket), and users behind a cell.
 *
 * Four ways to the same numbers, chosen by zj_events_run; all are branch-free per row, with a rubbish
 * cell for rows that do not count, but the last:
 *   plain    one lane, no groups: rows of a (user, bucket) are neighbours, so distinct users are changes
 *   flat     one lane, groups: "was this cell's last user another one?" needs no set; neighbours of one user
 *            and cell are one step
 *   blocked  several lanes, enough rows: lane after lane over a block of ordinals, a bit per cell x user
 *   merged   several lanes, few rows or very many cells: user by user over the heads of the lanes
 * Memory: 24 bytes a cell (64 with values), and 256 KiB for blocked. O(rows), merged O(rows + users * lanes).
 */
#ifndef ZUJI_EVENTS_H
#define ZUJI_EVENTS_H

#include <math.h>

#include "counted.h"

typedef struct {
    int64_t rows;
    uint32_t users, fresh; /* fresh: users whose earliest bucket in the group this is */
    uint32_t stamp, pad;   /* user that touched the cell last */
} zj_cell;

typedef struct {
    double sum, lost, low, high; /* lost: Neumaier's running compensation */
    int64_t count;
} zj_value_cell;

typedef struct {
    uint32_t groups;           /* G */
    int32_t buckets;           /* B */
    zj_cell *cell;             /* [G * B + 1], the last one is rubbish */
    zj_value_cell *value;      /* [G * B + 1] or NULL */
    uint32_t *group_stamp;     /* [G + 1] */
    int32_t *group_first;      /* [G + 1] earliest bucket of the user in hand */
    int64_t anybody;           /* users in some cell */
    uint32_t rest;             /* a group whose users are not asked for, or G: none */
} zj_event_cells;

static void zj_event_close(zj_event_cells *c) {
    free(c->cell);
    free(c->value);
    free(c->group_stamp);
    free(c->group_first);
}

static int zj_event_open(zj_event_cells *c, uint32_t groups, int32_t buckets, int values) {
    size_t cells = (size_t)groups * (size_t)buckets + 1;
    c->groups = groups;
    c->buckets = buckets;
    c->anybody = 0;
    c->rest = groups;
    c->cell = (zj_cell *)calloc(cells, sizeof(zj_cell));
    c->group_stamp = (uint32_t *)calloc((size_t)groups + 1, sizeof(uint32_t));
    c->group_first = (int32_t *)calloc((size_t)groups + 1, sizeof(int32_t));
    c->value = values ? (zj_value_cell *)calloc(cells, sizeof(zj_value_cell)) : NULL;
    if (!c->cell || !c->group_stamp || !c->group_first || (values && !c->value)) {
        zj_event_close(c);
        return ZJ_NO_MEMORY;
    }
    for (size_t i = 0; values && i < cells; i++) {
        c->value[i].low = INFINITY;
        c->value[i].high = -INFINITY;
    }
    return ZJ_OK;
}

ZJ_INLINE void zj_value_add(zj_value_cell *v, double x) {
    double sum = v->sum + x;
    v->lost += fabs(v->sum) >= fabs(x) ? (v->sum - sum) + x : (x - sum) + v->sum;
    v->sum = sum;
    v->low = x < v->low ? x : v->low;
    v->high = x > v->high ? x : v->high;
    v->count++;
}

/* The double next to the sum; *lost: what it leaves out. An infinite sum stays infinite. */
ZJ_INLINE double zj_value_sum(const zj_value_cell *v, double *lost) {
    const double sum = v->sum + v->lost, back = sum - v->sum;
    *lost = sum - sum == 0.0 ? (v->sum - (sum - back)) + (v->lost - back) : 0.0;
    return sum;
}

#define ZJ_AHEAD 12u /* cells are asked for so many steps before they are used */

/* cell[i], group[i] of rows [r, r + n); rubbish where the row does not count. With `grouped`, group has the
 * groups already; else it may be NULL. */
ZJ_CLONES static void zj_cells_of_rows(const zj_lane *lane, const zj_buckets *k, int grouped, uint32_t ng,
                                       uint32_t r, uint32_t n, uint32_t *cell, uint32_t *group) {
    const uint32_t nb = (uint32_t)k->count, rubbish = ng * nb;
    const uint32_t *times = lane->times + r;
    if (nb == 1) { /* no table: between two times */
        const zj_span s = zj_span_of(k);
        for (uint32_t i = 0; i < n; i++) cell[i] = s.never | (times[i] < s.low) | (times[i] > s.high);
    } else if (k->shift < 0) {
        for (uint32_t i = 0; i < n; i++) cell[i] = (uint32_t)zj_bucket(k, times[i]);
    } else {
        const int32_t *below = k->below;
        const uint32_t *cut = k->cut;
        const uint32_t last = k->last;
        const int shift = k->shift;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t t = times[i] < last ? times[i] : last;
            cell[i] = (uint32_t)(below[t >> shift] + (int32_t)(t > cut[t >> shift]));
        }
    }
    if (grouped) {
        for (uint32_t i = 0; i < n; i++) {
            int ok = (cell[i] < nb) & (group[i] < ng);
            cell[i] = ok ? group[i] * nb + cell[i] : rubbish;
            group[i] = ok ? group[i] : ng;
        }
    } else {
        for (uint32_t i = 0; i < n; i++) cell[i] = cell[i] < nb ? cell[i] : rubbish;
        if (group)
            for (uint32_t i = 0; i < n; i++) group[i] = cell[i] == rubbish ? ng : 0;
    }
    if (lane->mask) {
        const uint8_t *mask = lane->mask + r;
        for (uint32_t i = 0; i < n; i++) cell[i] = mask[i] ? cell[i] : rubbish;
        if (group)
            for (uint32_t i = 0; i < n; i++) group[i] = mask[i] ? group[i] : ng;
    }
}

/* Rows [r, r + n) of a lane, slots being cells. `group`: room for a block. */
ZJ_INLINE void zj_block_of_cells(const zj_lane *lane, const zj_buckets *k, const zj_groups *groups, uint32_t ng,
                                 const zj_guard *guard, uint32_t r, uint32_t n, uint32_t *next, uint32_t *owner,
                                 uint32_t *group, zj_block *b) {
    const int grouped = groups != NULL && groups->codes != NULL;
    if (grouped) zj_groups_of_rows(groups, r, n, group);
    zj_cells_of_rows(lane, k, grouped, ng, r, n, b->slot, group);
    memset(b->in, 1, n);
    zj_slots_below(b->slot, n, ng * (uint32_t)k->count, b->in);
    zj_block_counts(lane, guard, r, n, next, owner, b);
}

ZJ_INLINE void zj_block_values(const double *values, const uint8_t *present, uint32_t r, uint32_t n,
                               const zj_block *b, zj_event_cells *out) {
    if (values == NULL) return;
    for (uint32_t i = 0; i < n; i++)
        if (zj_bit(b->counts, i) && (present == NULL || present[r + i]))
            zj_value_add(&out->value[b->slot[i]], values[r + i]);
}

/* Rows of the group `rest` are counted all at once and do not count any more; freshness is made anew. */
ZJ_INLINE void zj_block_rest(const zj_table *t, uint32_t rest, uint64_t *pending, zj_block *b, zj_cell *cells) {
    if (t->own) {
        const uint32_t before = zj_popcount(b->counts, b->words);
        zj_slots_among(b->slot, b->words, t->own, b->counts);
        cells[rest].rows += before - zj_popcount(b->counts, b->words);
    }
    zj_fresh_rows(b->counts, b->starts, b->words, pending, b->fresh);
}

/* The cell of each step. */
ZJ_INLINE void zj_cells_of_steps(const zj_block *b, uint32_t steps, const uint32_t *group, uint32_t *cell) {
    if (group)
        for (uint32_t s = 0; s < steps; s++) cell[s] = group[b->kept[b->step[s]] & ZJ_SLOT];
    else
        for (uint32_t s = 0; s < steps; s++) cell[s] = b->kept[b->step[s]] & ZJ_SLOT;
    for (uint32_t s = 0; s < ZJ_AHEAD; s++) cell[steps + s] = 0;
}

/* One lane with groups. Rows of a user ascend in time, so the first row of a group is in its first bucket. */
static int zj_events_flat(const zj_lane *lane, const zj_buckets *k, const zj_groups *groups,
                          const double *values, const uint8_t *present, zj_guard *guard, zj_event_cells *out) {
    zj_block b;
    uint32_t group[ZJ_BLOCK], cell[ZJ_BLOCK + ZJ_AHEAD];
    const uint32_t ng = out->groups, nb = (uint32_t)out->buckets;
    zj_cell *cells = out->cell;
    uint32_t *group_stamp = out->group_stamp;
    const uint64_t inverse = UINT64_MAX / nb + 1; /* cell * inverse >> 64 = cell / nb, for nb > 1 */
    const int one = nb == 1 && out->value == NULL, isa = zj_draw_isa();
    const zj_span span = zj_span_of(k);
    uint64_t pending = 0, pending_any = 0;
    uint32_t next = 0, owner = 0, now = 0;
    int status = ZJ_OK;
    b.kept[0] = ZJ_SLOT;
    zj_table table = {0};
    if (one && zj_table_open(&table, groups, ng, out->rest) != ZJ_OK) status = ZJ_NO_MEMORY;
    for (uint32_t r = 0; r < lane->n && status == ZJ_OK; r += ZJ_BLOCK) {
        const uint32_t n = lane->n - r < ZJ_BLOCK ? lane->n - r : ZJ_BLOCK;
        if (zj_stop(guard, n)) {
            status = ZJ_CANCELLED;
            break;
        }
        if (one) zj_block_of_codes(lane, &span, groups, &table, guard, r, n, &next, &owner, &b);
        else zj_block_of_cells(lane, k, groups, ng, guard, r, n, &next, &owner, group, &b);
        zj_fresh_rows(b.counts, b.starts, b.words, &pending_any, b.fresh);
        out->anybody += zj_popcount(b.fresh, b.words);
        if (table.own) zj_block_rest(&table, out->rest, &pending, &b, cells);
        const uint32_t steps = zj_draw_steps(isa, &b, zj_draw(isa, &b, n));
        zj_cells_of_steps(&b, steps, table.group, cell);
        for (uint32_t s = 0; s < steps; s++) {
            zj_cell *c = &cells[cell[s]];
            __builtin_prefetch(&cells[cell[s + ZJ_AHEAD]], 1);
            now += b.kept[b.step[s]] >> 31;
            c->rows += b.step[s + 1] - b.step[s];
            c->users += c->stamp != now;
            c->stamp = now;
            if (nb == 1) continue; /* fresh is users: filled in at the end */
            uint32_t *g = &group_stamp[(uint32_t)((cell[s] * (unsigned __int128)inverse) >> 64)];
            c->fresh += *g != now;
            *g = now;
        }
        zj_block_values(values, present, r, n, &b, out);
    }
    for (uint32_t c = 0; nb == 1 && c < ng; c++) cells[c].fresh = cells[c].users;
    zj_table_close(&table);
    return status;
}

/* rows, users and fresh of one cell in one number, 21 bits each: one load and store a row. */
#define ZJ_PACK_ROWS (1u << 20)
#define ZJ_PACK_WAYS 4 /* neighbouring rows add to different copies, so that they need not wait */

static void zj_unpack(uint64_t *packed, size_t cells, zj_cell *cell) {
    for (size_t i = 0; i < cells * ZJ_PACK_WAYS; i++) {
        uint64_t x = packed[i];
        zj_cell *c = &cell[i / ZJ_PACK_WAYS];
        c->rows += (int64_t)(x & 0x1FFFFF);
        c->users += (uint32_t)(x >> 21 & 0x1FFFFF);
        c->fresh += (uint32_t)(x >> 42);
        packed[i] = 0;
    }
}

/* Distinct users as changes: of rows that count, adds[i] packs 1, new user x bucket, new user. i in [1, m]. */
ZJ_CLONES static void zj_changes(const uint32_t *kept, uint32_t m, uint64_t *adds) {
    for (uint32_t i = 1; i <= m; i++) {
        uint64_t fresh = kept[i] >> 31, other = fresh | ((kept[i] ^ kept[i - 1]) << 1 != 0);
        adds[i] = 1 | other << 21 | fresh << 42;
    }
}

/* One lane, no groups. */
static int zj_events_plain(const zj_lane *lane, const zj_buckets *k, const double *values, const uint8_t *present,
                           zj_guard *guard, zj_event_cells *out) {
    zj_block b;
    uint64_t adds[ZJ_BLOCK + 1], pending = 0;
    const uint32_t cells = (uint32_t)out->buckets;
    uint64_t *packed = (uint64_t *)calloc((size_t)cells * ZJ_PACK_WAYS, sizeof(uint64_t));
    uint32_t next = 0, owner = 0, packed_rows = 0;
    int status = ZJ_OK;
    const int isa = zj_draw_isa();
    if (packed == NULL) return ZJ_NO_MEMORY;
    b.kept[0] = ZJ_SLOT;
    for (uint32_t r = 0; r < lane->n; r += ZJ_BLOCK) {
        const uint32_t n = lane->n - r < ZJ_BLOCK ? lane->n - r : ZJ_BLOCK;
        if (zj_stop(guard, n)) {
            status = ZJ_CANCELLED;
            break;
        }
        zj_block_of_cells(lane, k, NULL, 1, guard, r, n, &next, &owner, NULL, &b);
        zj_fresh_rows(b.counts, b.starts, b.words, &pending, b.fresh);
        out->anybody += zj_popcount(b.fresh, b.words);
        const uint32_t m = zj_draw(isa, &b, n);
        zj_changes(b.kept, m, adds);
        for (uint32_t i = 1; i <= m; i++) packed[(size_t)(b.kept[i] & ZJ_SLOT) * ZJ_PACK_WAYS + (i & 3)] += adds[i];
        b.kept[0] = b.kept[m];
        packed_rows += n;
        if (packed_rows >= ZJ_PACK_ROWS) {
            zj_unpack(packed, cells, out->cell);
            packed_rows = 0;
        }
        zj_block_values(values, present, r, n, &b, out);
    }
    zj_unpack(packed, cells, out->cell);
    free(packed);
    return status;
}

#define ZJ_BLOCKED_BYTES (256u << 10)
#define ZJ_NO_BUCKET 0xFFFFu

/* Users of a block of ordinals: width, or 0 when the blocked way does not pay. */
static uint32_t zj_blocked_width(const zj_lane *lanes, int count, const zj_event_cells *out) {
    uint64_t rows = 0, low = UINT64_MAX, high = 0, cells = (uint64_t)out->groups * (uint64_t)out->buckets + 1;
    for (int l = 0; l < count; l++) {
        rows += lanes[l].n;
        if (lanes[l].holes) return 0; /* rows could not be given to users by counting starts */
        if (lanes[l].nu == 0) continue;
        low = lanes[l].users[0] < low ? lanes[l].users[0] : low;
        high = lanes[l].users[lanes[l].nu - 1] > high ? lanes[l].users[lanes[l].nu - 1] : high;
    }
    if (low > high || out->buckets >= (int32_t)ZJ_NO_BUCKET) return 0;
    if ((high - low) * (cells / 8 + 2) > rows * 16) return 0; /* clearing would cost more than the rows */
    uint32_t width = 1u << 15;
    while (width > 256 && width * (cells / 8 + 2) > ZJ_BLOCKED_BYTES) width /= 2;
    return width > 256 ? width : 0;
}

/* who[i]: the ordinal, less `low`, of the i-th fresh row of a block, from 1 on; returns how many. `user`: number of
 * the first user that starts in the block. REQUIRES: every user has rows. */
ZJ_CLONES static uint32_t zj_owners(const zj_lane *lane, const zj_block *b, uint32_t user, uint32_t low, uint32_t *who) {
    const uint32_t *users = lane->users;
    uint32_t people = 0;
    for (uint32_t w = 0; w < b->words; w++) {
        for (uint64_t fresh = b->fresh[w]; fresh; fresh &= fresh - 1) {
            const uint64_t upto = fresh ^ (fresh - 1); /* bits up to the lowest one */
            who[++people] = users[user + (uint32_t)__builtin_popcountll(b->starts[w] & upto) - 1] - low;
        }
        user += (uint32_t)__builtin_popcountll(b->starts[w]);
    }
    return people;
}

/* Several lanes, one after the other over each block of `width` ordinals. */
static int zj_events_blocked(const zj_lane *lanes, int count, const zj_buckets *buckets,
                             const zj_groups *groups, const double *const *values,
                             const uint8_t *const *present, uint32_t width, zj_guard *guard, zj_event_cells *out) {
    zj_block b;
    uint32_t cell[ZJ_BLOCK + ZJ_AHEAD], group[ZJ_BLOCK], who[ZJ_BLOCK + 1];
    const uint32_t ng = out->groups, nb = (uint32_t)out->buckets, rubbish = ng * nb, words = width / 64;
    const int one = nb == 1 && out->value == NULL, isa = zj_draw_isa();
    const uint64_t inverse = UINT64_MAX / nb + 1; /* cell * inverse >> 64 = cell / nb, for nb > 1 */
    const size_t slots = (size_t)(ng + 1) * width;
    zj_cell *cells = out->cell;
    /* a row of bits a cell, and one for users of any cell */
    uint64_t *seen = (uint64_t *)malloc((size_t)(rubbish + 1) * words * sizeof(uint64_t));
    uint16_t *first = (uint16_t *)malloc(slots * sizeof(uint16_t)); /* [group, user] earliest bucket */
    uint32_t *touched = (uint32_t *)malloc((slots + 1) * sizeof(uint32_t));
    uint32_t *at = (uint32_t *)calloc((size_t)count, sizeof(uint32_t)); /* next user of each lane */
    zj_table *table = (zj_table *)calloc((size_t)count, sizeof(zj_table));
    int status = seen && first && touched && at && table ? ZJ_OK : ZJ_NO_MEMORY;
    for (int l = 0; one && status == ZJ_OK && l < count; l++) status = zj_table_open(&table[l], &groups[l], ng, out->rest);
    if (status == ZJ_OK) memset(first, 0xFF, slots * sizeof(uint16_t));
    uint64_t *somewhere = status == ZJ_OK ? seen + (size_t)rubbish * words : NULL;
    while (status == ZJ_OK) {
        uint32_t low = ZJ_END, n_touched = 0;
        for (int l = 0; l < count; l++)
            if (at[l] < lanes[l].nu && lanes[l].users[at[l]] < low) low = lanes[l].users[at[l]];
        if (low == ZJ_END) break;
        memset(seen, 0, (size_t)(rubbish + 1) * words * sizeof(uint64_t));
        for (int l = 0; l < count && status == ZJ_OK; l++) {
            const zj_lane *lane = &lanes[l];
            const zj_span span = zj_span_of(&buckets[l]);
            uint32_t next = at[l], owner = at[l], first_user = at[l], stop = at[l];
            uint64_t pending = 0, pending_any = 0;
            while (stop < lane->nu && lane->users[stop] - low < width) stop++;
            at[l] = stop;
            who[0] = 0;
            b.kept[0] = ZJ_SLOT;
            const uint32_t end = lane->offsets[stop];
            for (uint32_t r = lane->offsets[next]; r < end; r += ZJ_BLOCK) {
                const uint32_t n = end - r < ZJ_BLOCK ? end - r : ZJ_BLOCK;
                if (zj_stop(guard, n)) {
                    status = ZJ_CANCELLED;
                    break;
                }
                if (one) zj_block_of_codes(lane, &span, &groups[l], &table[l], guard, r, n, &next, &owner, &b);
                else zj_block_of_cells(lane, &buckets[l], &groups[l], ng, guard, r, n, &next, &owner, group, &b);
                zj_fresh_rows(b.counts, b.starts, b.words, &pending_any, b.fresh);
                uint32_t people = zj_owners(lane, &b, first_user, low, who);
                for (uint32_t i = 1; i <= people; i++) {
                    const uint64_t bit = 1ull << (who[i] & 63);
                    out->anybody += (somewhere[who[i] >> 6] & bit) == 0;
                    somewhere[who[i] >> 6] |= bit;
                }
                if (table[l].own) {
                    zj_block_rest(&table[l], out->rest, &pending, &b, cells);
                    people = zj_owners(lane, &b, first_user, low, who);
                }
                first_user = next;
                const uint32_t steps = zj_draw_steps(isa, &b, zj_draw(isa, &b, n));
                zj_cells_of_steps(&b, steps, table[l].group, cell);
                for (uint32_t s = 0, p = 0; s < steps; s++) {
                    const uint32_t c = cell[s];
                    p += b.kept[b.step[s]] >> 31;
                    const uint32_t u = who[p];
                    const uint64_t bit = 1ull << (u & 63);
                    uint64_t *word = &seen[(size_t)c * words + (u >> 6)];
                    cells[c].rows += b.step[s + 1] - b.step[s];
                    cells[c].users += (*word & bit) == 0;
                    *word |= bit;
                    if (nb == 1) continue;
                    const uint32_t g = (uint32_t)((c * (unsigned __int128)inverse) >> 64), slot = g * width + u;
                    const uint16_t bucket = (uint16_t)(c - g * nb);
                    touched[n_touched] = slot;
                    n_touched += first[slot] == ZJ_NO_BUCKET;
                    first[slot] = bucket < first[slot] ? bucket : first[slot];
                }
                who[0] = who[people];
                zj_block_values(values ? values[l] : NULL, present ? present[l] : NULL, r, n, &b, out);
            }
        }
        for (uint32_t i = 0; i < n_touched; i++) {
            const uint32_t slot = touched[i], g = slot / width;
            cells[g * nb + first[slot]].fresh++;
            first[slot] = ZJ_NO_BUCKET;
        }
    }
    for (uint32_t c = 0; nb == 1 && c < ng; c++) cells[c].fresh = cells[c].users;
    for (int l = 0; table && l < count; l++) zj_table_close(&table[l]);
    free(table);
    free(seen);
    free(first);
    free(touched);
    free(at);
    return status;
}

/* Several lanes, user by user; within a user the lanes come one after the other. */
ZJ_CLONES static int zj_events_merged(const zj_lane *lanes, int count, const zj_buckets *buckets,
                                      const zj_groups *groups, const double *const *values,
                                      const uint8_t *const *present, zj_guard *guard, zj_event_cells *out) {
    zj_heads heads;
    if (zj_heads_open(&heads, lanes, count) != ZJ_OK) return ZJ_NO_MEMORY;
    const uint32_t ng = out->groups, nb = (uint32_t)out->buckets;
    uint32_t stamp = 0, user;
    int status = ZJ_OK;
    while ((user = zj_heads_min(&heads)) != ZJ_END) {
        int counts = zj_allowed(guard, user), counted = 0;
        uint32_t work = 1;
        stamp++;
        for (int l = 0; l < count; l++) {
            if (heads.head[l] != user) continue;
            const zj_lane *lane = &lanes[l];
            uint32_t a = lane->offsets[heads.pos[l]], b = lane->offsets[heads.pos[l] + 1];
            zj_heads_next(&heads, lanes, l);
            work += b - a;
            for (uint32_t r = a; counts && r < b; r++) {
                uint32_t at = (uint32_t)zj_bucket(&buckets[l], lane->times[r]);
                uint32_t g = zj_group(&groups[l], r);
                if (at >= nb || g >= ng || !zj_passes(lane, r)) continue;
                counted = 1;
                zj_cell *c = &out->cell[g * nb + at];
                c->rows++;
                c->users += c->stamp != stamp;
                c->stamp = stamp;
                if (out->group_stamp[g] != stamp) {
                    out->group_stamp[g] = stamp;
                    out->group_first[g] = (int32_t)at;
                    c->fresh++;
                } else if ((int32_t)at < out->group_first[g]) { /* an earlier bucket, seen later */
                    out->cell[g * nb + (uint32_t)out->group_first[g]].fresh--;
                    out->group_first[g] = (int32_t)at;
                    c->fresh++;
                }
                if (values && values[l] && (!present || !present[l] || present[l][r]))
                    zj_value_add(&out->value[g * nb + at], values[l][r]);
            }
        }
        out->anybody += counted;
        if (zj_stop(guard, work)) {
            status = ZJ_CANCELLED;
            break;
        }
    }
    zj_heads_close(&heads);
    return status;
}

/* Chooses the way. `values`, `present`: an array or NULL per lane. */
static int zj_events_run(const zj_lane *lanes, int count, const zj_buckets *buckets, const zj_groups *groups,
                         const double *const *values, const uint8_t *const *present, zj_guard *guard,
                         zj_event_cells *out) {
    if (count == 1 && groups[0].codes == NULL && out->groups == 1)
        return zj_events_plain(lanes, buckets, values[0], present[0], guard, out);
    const uint32_t width = count == 1 ? 0 : zj_blocked_width(lanes, count, out);
    const int status =
        count == 1 ? zj_events_flat(lanes, buckets, &groups[0], values[0], present[0], guard, out)
        : width    ? zj_events_blocked(lanes, count, buckets, groups, values, present, width, guard, out)
                   : zj_events_merged(lanes, count, buckets, groups, values, present, guard, out);
    const size_t nb = (size_t)out->buckets, from = out->rest * nb;
    for (size_t c = from; out->rest < out->groups && c < from + nb; c++) out->cell[c].users = out->cell[c].fresh = 0;
    return status;
}

/* rows[code] += rows of the lane that count; rows[size]: those without a value. Codes of `size` and more are not
 * counted. rows has room for size + 2. O(n). */
static int zj_code_rows(const zj_lane *lane, const zj_buckets *k, const zj_groups *groups, uint32_t size,
                        zj_guard *guard, uint32_t *rows) {
    zj_block b;
    const zj_span span = zj_span_of(k);
    const zj_table table = {.size = size, .absent = size, .end = size + 1};
    uint32_t next = 0, owner = 0;
    for (uint32_t r = 0; r < lane->n; r += ZJ_BLOCK) {
        const uint32_t n = lane->n - r < ZJ_BLOCK ? lane->n - r : ZJ_BLOCK;
        if (zj_stop(guard, n)) return ZJ_CANCELLED;
        zj_block_of_codes(lane, &span, groups, &table, guard, r, n, &next, &owner, &b);
        for (uint32_t w = 0; w < b.words; w++) {
            const uint32_t *slot = b.slot + 64 * w;
            uint64_t left = b.counts[w];
            if (left == UINT64_MAX)
                for (uint32_t i = 0; i < 64; i++) rows[slot[i]]++;
            else
                for (; left; left &= left - 1) rows[slot[__builtin_ctzll(left)]]++;
        }
    }
    return ZJ_OK;
}

/* Ordinals, ascending, of the users with a row in the cell; bucket or group -1 = any.
 * out has room for the sum of the lanes' users. */
ZJ_CLONES static int zj_pick_users(const zj_lane *lanes, int count, const zj_buckets *buckets,
                                   const zj_groups *groups, uint32_t ng, int32_t bucket, int64_t group,
                                   zj_guard *guard, uint32_t *out, size_t *picked) {
    zj_heads heads;
    if (zj_heads_open(&heads, lanes, count) != ZJ_OK) return ZJ_NO_MEMORY;
    uint32_t user;
    size_t n = 0;
    int status = ZJ_OK;
    while ((user = zj_heads_min(&heads)) != ZJ_END) {
        int found = !zj_allowed(guard, user);
        uint32_t work = 1;
        int refused = found;
        for (int l = 0; l < count; l++) {
            if (heads.head[l] != user) continue;
            const zj_lane *lane = &lanes[l];
            uint32_t a = lane->offsets[heads.pos[l]], b = lane->offsets[heads.pos[l] + 1];
            zj_heads_next(&heads, lanes, l);
            work += b - a;
            for (uint32_t r = a; !found && r < b; r++) {
                int32_t at = zj_bucket(&buckets[l], lane->times[r]);
                uint32_t g = zj_group(&groups[l], r);
                found = at >= 0 && at < buckets[l].count && g < ng && (bucket < 0 || at == bucket) &&
                        (group < 0 || g == (uint32_t)group) && zj_passes(lane, r);
            }
        }
        if (found && !refused) out[n++] = user;
        if (zj_stop(guard, work)) {
            status = ZJ_CANCELLED;
            break;
        }
    }
    zj_heads_close(&heads);
    *picked = n;
    return status;
}

/* counts[ordinal] += rows in [from, to) that pass; sums too when values are given. O(rows). */
static int zj_count_by_user(const zj_lane *lane, int64_t from, int64_t to, const double *values,
                            const uint8_t *present, zj_guard *guard, size_t n_ordinals, uint32_t *counts,
                            double *sums) {
    for (uint32_t i = 0; i < lane->nu; i++) {
        uint32_t a = lane->offsets[i], b = lane->offsets[i + 1], user = lane->users[i], found = 0;
        if (zj_stop(guard, b - a + 1)) return ZJ_CANCELLED;
        if (user >= n_ordinals || !zj_allowed(guard, user)) continue;
        for (uint32_t r = a; r < b; r++) {
            int64_t t = lane->base + (int64_t)lane->times[r];
            if (t < from || t >= to || !zj_passes(lane, r)) continue;
            found++;
            if (values && sums && (!present || present[r])) sums[user] += values[r];
        }
        counts[user] += found;
    }
    return ZJ_OK;
}

#endif
