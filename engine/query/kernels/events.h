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

#include "buckets.h"
#include "groups.h"

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
    int64_t anybody;           /* users in some cell; not of the plain way, where all cells have them */
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

#define ZJ_BLOCK 2048u
#define ZJ_AHEAD 12u /* cells are asked for so many steps before they are used */

/* The relative times of the one bucket, both ends inside. */
typedef struct {
    uint32_t low, high, never;
} zj_span;

ZJ_INLINE zj_span zj_span_of(const zj_buckets *k) {
    const int64_t after = k->edges[0] - k->base, until = k->edges[1] - k->base - 1, most = 0xFFFFFFFFll;
    zj_span s;
    s.low = after < 0 ? 0 : after > most ? 0xFFFFFFFFu : (uint32_t)after;
    s.high = until < 0 ? 0 : until > most ? 0xFFFFFFFFu : (uint32_t)until;
    s.never = until < 0 || after > most || after > until;
    return s;
}

/* One bucket: cell[i], holding the group of row r + i, becomes its cell; times are not read when all
 * of them are inside. */
ZJ_CLONES static void zj_cells_of_groups(const zj_lane *lane, const zj_span *span, uint32_t ng, uint32_t r, uint32_t n,
                                         uint32_t *cell) {
    const uint32_t low = span->low, high = span->high;
    for (uint32_t i = 0; i < n; i++) cell[i] = cell[i] < ng ? cell[i] : ng;
    if (span->never || low > 0 || high < 0xFFFFFFFFu) {
        const uint32_t *times = lane->times + r, inside = !span->never;
        for (uint32_t i = 0; i < n; i++) cell[i] = inside & (times[i] >= low) & (times[i] <= high) ? cell[i] : ng;
    }
    if (lane->mask) {
        const uint8_t *mask = lane->mask + r;
        for (uint32_t i = 0; i < n; i++) cell[i] = mask[i] ? cell[i] : ng;
    }
}

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

/* Cells of a lane's rows [r, r + n) and where users start in them; rows of users outside the audience
 * become rubbish. next, owner: cursors over the lane's users, moved along. */
ZJ_INLINE void zj_block_rows(const zj_lane *lane, const zj_buckets *k, const zj_groups *groups, uint32_t ng,
                             const zj_guard *guard, uint32_t r, uint32_t n, uint32_t *next, uint32_t *owner,
                             uint32_t *cell, uint32_t *group, uint8_t *starts) {
    const uint32_t rubbish = ng * (uint32_t)k->count;
    const int grouped = groups != NULL && groups->codes != NULL;
    if (grouped && k->count == 1 && group == NULL) {
        const zj_span span = zj_span_of(k);
        zj_groups_of_rows(groups, r, n, cell);
        zj_cells_of_groups(lane, &span, ng, r, n, cell);
    } else {
        if (grouped) zj_groups_of_rows(groups, r, n, group);
        zj_cells_of_rows(lane, k, grouped, ng, r, n, cell, group);
    }
    memset(starts, 0, n);
    for (; *next < lane->nu && lane->offsets[*next] < r + n; ++*next) starts[lane->offsets[*next] - r] = 1;
    if (guard->allowed == NULL) return;
    for (; *owner < lane->nu && lane->offsets[*owner] < r + n; ++*owner) {
        uint32_t a = lane->offsets[*owner], b = lane->offsets[*owner + 1];
        if (!zj_allowed(guard, lane->users[*owner])) {
            uint32_t stop = b < r + n ? b : r + n;
            for (uint32_t i = a > r ? a - r : 0; i + r < stop; i++) {
                cell[i] = rubbish;
                if (group) group[i] = ng;
            }
        }
        if (b > r + n) break; /* goes on in the next block */
    }
}

ZJ_INLINE void zj_block_values(const double *values, const uint8_t *present, uint32_t r, uint32_t n,
                               const uint32_t *cell, uint32_t rubbish, zj_event_cells *out) {
    if (values == NULL) return;
    for (uint32_t i = 0; i < n; i++)
        if (cell[i] != rubbish && (present == NULL || present[r + i]))
            zj_value_add(&out->value[cell[i]], values[r + i]);
}

/* changed[i]: of kept rows in order, row i is of another user or cell than the row before. i in [1, n]. */
ZJ_CLONES static void zj_steps(const uint32_t *cell, const uint32_t *stamp, uint32_t n, uint8_t *changed,
                               int64_t *users) {
    uint32_t people = 0;
    for (uint32_t i = 1; i <= n; i++) {
        const uint32_t other = stamp[i] != stamp[i - 1];
        people += other;
        changed[i] = (uint8_t)(other | (cell[i] != cell[i - 1]));
    }
    *users += people;
}

/* Rows that count, in order, with the number of their user; returns how many. `stamp` moves along. */
static __attribute__((noinline)) uint32_t zj_keep(const uint32_t *restrict cell, const uint8_t *restrict starts,
                                                  uint32_t n, uint32_t rubbish, uint32_t *stamp,
                                                  uint32_t *restrict kept, uint32_t *restrict stamps) {
    uint32_t m = 0, now = *stamp;
    for (uint32_t i = 0; i < n; i++) {
        now += starts[i];
        kept[m] = cell[i];
        stamps[m] = now;
        m += cell[i] != rubbish;
    }
    *stamp = now;
    return m;
}

/* Indices of the set bytes; returns how many. out has room for n + 1. */
static __attribute__((noinline)) uint32_t zj_indices(const uint8_t *restrict set, uint32_t n, uint32_t *restrict out) {
    uint32_t m = 0;
    for (uint32_t i = 0; i < n; i++) {
        out[m] = i;
        m += set[i];
    }
    return m;
}

/* One lane with groups. Rows of a user ascend in time, so the first row of a group is in its first bucket. */
static int zj_events_flat(const zj_lane *lane, const zj_buckets *k, const zj_groups *groups,
                          const double *values, const uint8_t *present, zj_guard *guard, zj_event_cells *out) {
    uint32_t cell[ZJ_BLOCK + 1], group[ZJ_BLOCK], kept[ZJ_BLOCK + 2], stamps[ZJ_BLOCK + 2];
    uint32_t step[ZJ_BLOCK + 2 + ZJ_AHEAD];
    uint8_t starts[ZJ_BLOCK], changed[ZJ_BLOCK + 1];
    const uint32_t ng = out->groups, nb = (uint32_t)out->buckets, rubbish = ng * nb;
    zj_cell *cells = out->cell;
    uint32_t *group_stamp = out->group_stamp;
    const uint64_t inverse = UINT64_MAX / nb + 1; /* cell * inverse >> 64 = cell / nb, for nb > 1 */
    const int one = nb == 1 && groups->codes != NULL; /* the cell is the group */
    uint32_t next = 0, owner = 0, stamp = 0;
    kept[0] = rubbish; /* the last row that counted; no user has stamp 0 */
    stamps[0] = 0;
    for (uint32_t r = 0; r < lane->n; r += ZJ_BLOCK) {
        uint32_t n = lane->n - r < ZJ_BLOCK ? lane->n - r : ZJ_BLOCK, m, steps;
        if (zj_stop(guard, n)) return ZJ_CANCELLED;
        zj_block_rows(lane, k, groups, ng, guard, r, n, &next, &owner, cell, one ? NULL : group, starts);
        m = zj_keep(cell, starts, n, rubbish, &stamp, kept + 1, stamps + 1);
        zj_steps(kept, stamps, m, changed, &out->anybody);
        changed[0] = 0;
        if (m) changed[1] = 1;
        steps = zj_indices(changed, m + 1, step);
        step[steps] = m + 1;
        for (uint32_t s = 1; s <= ZJ_AHEAD; s++) step[steps + s] = m;
        if (nb == 1) { /* fresh is users: filled in at the end */
            for (uint32_t s = 0; s < steps; s++) {
                const uint32_t i = step[s], now = stamps[i];
                __builtin_prefetch(&cells[kept[step[s + ZJ_AHEAD]]], 1);
                zj_cell *c = &cells[kept[i]];
                c->rows += step[s + 1] - i;
                c->users += c->stamp != now;
                c->stamp = now;
            }
        } else {
            for (uint32_t s = 0; s < steps; s++) {
                const uint32_t i = step[s], now = stamps[i];
                __builtin_prefetch(&cells[kept[step[s + ZJ_AHEAD]]], 1);
                zj_cell *c = &cells[kept[i]];
                uint32_t *g = &group_stamp[(uint32_t)((kept[i] * (unsigned __int128)inverse) >> 64)];
                c->rows += step[s + 1] - i;
                c->users += c->stamp != now;
                c->stamp = now;
                c->fresh += *g != now;
                *g = now;
            }
        }
        kept[0] = kept[m];
        stamps[0] = stamps[m];
        zj_block_values(values, present, r, n, cell, rubbish, out);
    }
    for (uint32_t c = 0; nb == 1 && c < ng; c++) cells[c].fresh = cells[c].users;
    return ZJ_OK;
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

/* Distinct users as changes: of n rows that count, in order, adds[i] packs 1, new user x bucket, new user. */
ZJ_CLONES static void zj_changes(const uint32_t *cell, const uint32_t *stamp, uint32_t n, uint64_t *adds) {
    for (uint32_t i = 1; i <= n; i++) {
        uint64_t fresh = stamp[i] != stamp[i - 1], other = fresh | (cell[i] != cell[i - 1]);
        adds[i] = 1 | other << 21 | fresh << 42;
    }
}

/* One lane, no groups. */
static int zj_events_plain(const zj_lane *lane, const zj_buckets *k, const double *values, const uint8_t *present,
                           zj_guard *guard, zj_event_cells *out) {
    uint32_t cell[ZJ_BLOCK], kept[ZJ_BLOCK + 1], stamps[ZJ_BLOCK + 1];
    uint64_t adds[ZJ_BLOCK + 1];
    uint8_t starts[ZJ_BLOCK];
    const uint32_t rubbish = (uint32_t)out->buckets;
    uint64_t *packed = (uint64_t *)calloc((size_t)rubbish * ZJ_PACK_WAYS, sizeof(uint64_t));
    uint32_t next = 0, owner = 0, stamp = 0, packed_rows = 0;
    int status = ZJ_OK;
    if (packed == NULL) return ZJ_NO_MEMORY;
    kept[0] = stamps[0] = 0; /* the last row that counted; no user has stamp 0 */
    for (uint32_t r = 0; r < lane->n; r += ZJ_BLOCK) {
        uint32_t n = lane->n - r < ZJ_BLOCK ? lane->n - r : ZJ_BLOCK, m;
        if (zj_stop(guard, n)) {
            status = ZJ_CANCELLED;
            break;
        }
        zj_block_rows(lane, k, NULL, 1, guard, r, n, &next, &owner, cell, NULL, starts);
        m = zj_keep(cell, starts, n, rubbish, &stamp, kept + 1, stamps + 1);
        zj_changes(kept, stamps, m, adds);
        for (uint32_t i = 1; i <= m; i++) packed[(size_t)kept[i] * ZJ_PACK_WAYS + (i & 3)] += adds[i];
        kept[0] = kept[m];
        stamps[0] = stamps[m];
        packed_rows += n;
        if (packed_rows >= ZJ_PACK_ROWS) {
            zj_unpack(packed, rubbish, out->cell);
            packed_rows = 0;
        }
        zj_block_values(values, present, r, n, cell, rubbish, out);
    }
    zj_unpack(packed, rubbish, out->cell);
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

/* Several lanes, one after the other over each block of `width` ordinals. */
static int zj_events_blocked(const zj_lane *lanes, int count, const zj_buckets *buckets,
                             const zj_groups *groups, const double *const *values,
                             const uint8_t *const *present, uint32_t width, zj_guard *guard, zj_event_cells *out) {
    uint32_t cell[ZJ_BLOCK], group[ZJ_BLOCK], kept[ZJ_BLOCK + 2], owners[ZJ_BLOCK + 2], step[ZJ_BLOCK + 2];
    uint8_t starts[ZJ_BLOCK], changed[ZJ_BLOCK + 1];
    const uint32_t ng = out->groups, nb = (uint32_t)out->buckets, rubbish = ng * nb, words = width / 64;
    const uint64_t inverse = UINT64_MAX / nb + 1; /* cell * inverse >> 64 = cell / nb, for nb > 1 */
    int64_t ignored = 0;
    const size_t slots = (size_t)(ng + 1) * width;
    zj_cell *cells = out->cell;
    /* a row of bits a cell, and one for users of any cell */
    uint64_t *seen = (uint64_t *)malloc((size_t)(rubbish + 1) * words * sizeof(uint64_t));
    uint16_t *first = (uint16_t *)malloc(slots * sizeof(uint16_t)); /* [group, user] earliest bucket */
    uint32_t *touched = (uint32_t *)malloc((slots + 1) * sizeof(uint32_t));
    uint32_t *at = (uint32_t *)calloc((size_t)count, sizeof(uint32_t)); /* next user of each lane */
    int status = seen && first && touched && at ? ZJ_OK : ZJ_NO_MEMORY;
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
            uint32_t next = at[l], owner = at[l], user = at[l] - 1, stop = at[l];
            while (stop < lane->nu && lane->users[stop] - low < width) stop++;
            at[l] = stop;
            const uint32_t end = lane->offsets[stop];
            for (uint32_t r = lane->offsets[next]; r < end; r += ZJ_BLOCK) {
                uint32_t n = end - r < ZJ_BLOCK ? end - r : ZJ_BLOCK;
                if (zj_stop(guard, n)) {
                    status = ZJ_CANCELLED;
                    break;
                }
                zj_block_rows(lane, &buckets[l], &groups[l], ng, guard, r, n, &next, &owner, cell, group, starts);
                const uint32_t m = zj_keep(cell, starts, n, rubbish, &user, kept + 1, owners + 1);
                kept[0] = owners[0] = 0;
                zj_steps(kept, owners, m, changed, &ignored);
                changed[0] = 0;
                if (m) changed[1] = 1;
                const uint32_t steps = zj_indices(changed, m + 1, step);
                step[steps] = m + 1;
                for (uint32_t s = 0; s < steps; s++) {
                    const uint32_t i = step[s], c = kept[i], u = lane->users[owners[i]] - low;
                    const uint64_t bit = 1ull << (u & 63);
                    uint64_t *word = &seen[(size_t)c * words + (u >> 6)];
                    cells[c].rows += step[s + 1] - i;
                    cells[c].users += (*word & bit) == 0;
                    *word |= bit;
                    out->anybody += (somewhere[u >> 6] & bit) == 0;
                    somewhere[u >> 6] |= bit;
                    if (nb == 1) continue;
                    const uint32_t g = (uint32_t)((c * (unsigned __int128)inverse) >> 64), slot = g * width + u;
                    const uint16_t bucket = (uint16_t)(c - g * nb);
                    touched[n_touched] = slot;
                    n_touched += first[slot] == ZJ_NO_BUCKET;
                    first[slot] = bucket < first[slot] ? bucket : first[slot];
                }
                zj_block_values(values ? values[l] : NULL, present ? present[l] : NULL, r, n, cell, rubbish, out);
            }
        }
        for (uint32_t i = 0; i < n_touched; i++) {
            const uint32_t slot = touched[i], g = slot / width;
            cells[g * nb + first[slot]].fresh++;
            first[slot] = ZJ_NO_BUCKET;
        }
    }
    for (uint32_t c = 0; nb == 1 && c < ng; c++) cells[c].fresh = cells[c].users;
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
    if (count == 1) return zj_events_flat(lanes, buckets, &groups[0], values[0], present[0], guard, out);
    const uint32_t width = zj_blocked_width(lanes, count, out);
    if (width) return zj_events_blocked(lanes, count, buckets, groups, values, present, width, guard, out);
    return zj_events_merged(lanes, count, buckets, groups, values, present, guard, out);
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
