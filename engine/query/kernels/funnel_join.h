/* The rows of one funnel step as one run: users, offsets, times from a common origin, and a group each.
 *
 * A step of one lane without masks is that lane. Otherwise the rows that match are copied: from one lane
 * without looking at order; from several by blocks of ordinals, lane after lane, each row to its user's
 * place, which is in order but where lanes overlap in time. With groups, users with rows of several
 * lanes at one instant are left over: which of the rows comes first needs their whole keys.
 * O(rows of the step's lanes).
 */
#ifndef ZUJI_FUNNEL_JOIN_H
#define ZUJI_FUNNEL_JOIN_H

#include "funnel_plain.h"

typedef struct {
    const uint32_t *users, *offsets, *times; /* as in zj_lane; times from the origin */
    const uint32_t *code;                    /* group of each row, or NULL: all 0 */
    uint32_t nu, n;
    uint32_t longest; /* most rows of one user */
    void *owned;
} zj_run;

typedef struct {
    const zj_funnel *f;
    int step;
    int64_t origin;
    int cut; /* times do not fit 32 bits but for rows in [from, to + window): leave out the others */
    const uint32_t *const *code; /* [lanes] uint32[n] or NULL; NULL = no groups */
    zj_guard *guard;
    uint32_t *leftover; /* users, ascending */
    size_t left;
} zj_join;

/* A run being written. */
typedef struct {
    uint32_t *users, *offsets, *times, *code;
    uint32_t nu, n;
} zj_joined;

/* Appends the matching rows [a, b) of lane l. */
ZJ_INLINE void zj_join_rows(const zj_join *q, int l, uint32_t a, uint32_t b, zj_joined *to) {
    const zj_funnel *f = q->f;
    const zj_lane *lane = &f->lanes[l];
    const uint32_t *steps = f->row_mask[l], *code = q->code ? q->code[l] : NULL;
    const uint8_t *mask = lane->mask;
    const int64_t base = lane->base - q->origin, low = q->cut ? f->from - q->origin : INT64_MIN / 2;
    const uint64_t span = q->cut ? (uint64_t)(f->to - f->from + f->window) : UINT64_MAX;
    uint32_t n = to->n;
    for (uint32_t r = a; r < b; r++) {
        const int64_t t = base + (int64_t)lane->times[r];
        to->times[n] = (uint32_t)t;
        if (to->code) to->code[n] = code ? code[r] : 0;
        uint32_t keep = (uint64_t)(t - low) < span;
        if (steps) keep &= steps[r] >> q->step;
        if (mask) keep &= mask[r] != 0;
        n += keep;
    }
    to->n = n;
}

/* Sorts n rows by time; groups go along unless NULL. */
static int zj_join_sort(uint32_t *times, uint32_t *code, uint32_t n) {
    if (n <= 32) {
        for (uint32_t i = 1; i < n; i++) {
            const uint32_t t = times[i], c = code ? code[i] : 0;
            uint32_t j = i;
            for (; j > 0 && t < times[j - 1]; j--) {
                times[j] = times[j - 1];
                if (code) code[j] = code[j - 1];
            }
            times[j] = t;
            if (code) code[j] = c;
        }
        return ZJ_OK;
    }
    uint32_t *spare = (uint32_t *)malloc(n * 2 * sizeof(uint32_t)), *codes = spare + n;
    if (spare == NULL) return ZJ_NO_MEMORY;
    for (uint32_t width = 1; width < n; width *= 2) { /* bottom up; rows of a lane ascend already */
        for (uint32_t low = 0; low < n; low += 2 * width) {
            const uint32_t middle = n - low < width ? n : low + width;
            const uint32_t high = n - low < 2 * width ? n : low + 2 * width;
            uint32_t i = low, j = middle;
            for (uint32_t at = low; at < high; at++) {
                const int right = i == middle || (j < high && times[j] < times[i]);
                spare[at] = right ? times[j] : times[i];
                if (code) codes[at] = right ? code[j] : code[i];
                i += !right;
                j += right;
            }
        }
        memcpy(times, spare, n * sizeof(uint32_t));
        if (code) memcpy(code, codes, n * sizeof(uint32_t));
    }
    free(spare);
    return ZJ_OK;
}

/* Ends the rows [a, n) of a user, which may be none. */
ZJ_INLINE void zj_join_end(zj_joined *to, uint32_t user, uint32_t a) {
    to->users[to->nu] = user;
    to->nu += to->n > a;
    to->offsets[to->nu] = to->n;
}

/* Which of the rows [r, r + 64) of lane l match: a bit each. REQUIRES: a filter, no cut. */
ZJ_INLINE uint64_t zj_join_bits(const zj_join *q, int l, uint32_t r) {
    const zj_lane *lane = &q->f->lanes[l];
    const uint32_t *steps = q->f->row_mask[l], rows = lane->n - r < 64 ? lane->n - r : 64;
    uint64_t bits = 0;
    if (steps) {
        for (uint32_t i = 0; i < rows; i++) bits |= (uint64_t)(steps[r + i] >> q->step & 1) << i;
    } else if (rows == 64) {
        for (uint32_t i = 0; i < 64; i += 8) { /* eight bytes to their "not 0", to eight bits */
            uint64_t x;
            memcpy(&x, lane->mask + r + i, 8);
            x = (((x & 0x7F7F7F7F7F7F7F7Full) + 0x7F7F7F7F7F7F7F7Full) | x) >> 7 & 0x0101010101010101ull;
            bits |= x * 0x0102040810204080ull >> 56 << i;
        }
        return bits;
    } else {
        bits = rows == 64 ? ~0ull : (1ull << rows) - 1;
    }
    for (uint32_t i = 0; lane->mask && i < rows; i++) bits &= ~((uint64_t)!lane->mask[r + i] << i);
    return bits;
}

/* One filtered lane: rows are copied without looking at users; a bit a row and a count every 64 rows then
 * tell where each user's rows lie. */
ZJ_CLONES static int zj_join_filtered(zj_join *q, int l, zj_joined *to) {
    const zj_lane *lane = &q->f->lanes[l];
    const uint32_t *code = q->code ? q->code[l] : NULL;
    const size_t words = (size_t)lane->n / 64 + 1;
    uint64_t *bits = (uint64_t *)malloc(words * (sizeof(uint64_t) + sizeof(uint32_t)));
    uint32_t *before = (uint32_t *)(bits + words), n = 0;
    if (bits == NULL) return ZJ_NO_MEMORY;
    for (size_t i = 0; i < words; i++) {
        const uint32_t first = (uint32_t)i * 64;
        uint64_t left = bits[i] = first < lane->n ? zj_join_bits(q, l, first) : 0;
        before[i] = n;
        if (to->code) {
            uint32_t *out = to->code + n;
            for (uint64_t more = left; more; more &= more - 1) *out++ = code ? code[first + (uint32_t)__builtin_ctzll(more)] : 0;
        }
        for (; left; left &= left - 1) to->times[n++] = lane->times[first + (uint32_t)__builtin_ctzll(left)];
        if (zj_stop(q->guard, 64)) {
            free(bits);
            return ZJ_CANCELLED;
        }
    }
    for (uint32_t i = 0; i < lane->nu; i++) {
        const uint32_t o = lane->offsets[i + 1], had = to->n;
        to->n = before[o / 64] + (uint32_t)__builtin_popcountll(bits[o / 64] & ((1ull << o % 64) - 1));
        zj_join_end(to, lane->users[i], had);
    }
    free(bits);
    return ZJ_OK;
}

/* One lane whose rows are cut to the range. */
ZJ_CLONES static int zj_join_cut(zj_join *q, int l, zj_joined *to) {
    const zj_lane *lane = &q->f->lanes[l];
    for (uint32_t i = 0; i < lane->nu; i++) {
        const uint32_t a = to->n, rows = lane->offsets[i + 1] - lane->offsets[i];
        zj_join_rows(q, l, lane->offsets[i], lane->offsets[i + 1], to);
        zj_join_end(to, lane->users[i], a);
        if (zj_stop(q->guard, rows)) return ZJ_CANCELLED;
    }
    return ZJ_OK;
}

#define ZJ_JOIN_BLOCK 1024u

/* Rows of a lane that match, ready to be merged: times plus `shift` (modulo 2^32) count from the origin. */
typedef struct {
    zj_run run;
    uint32_t shift, at;
} zj_join_part;

/* Do all rows lie in [low, low + span)? */
ZJ_CLONES static int zj_join_inside(const uint32_t *times, uint32_t n, int64_t low, uint64_t span) {
    uint32_t least = 0xFFFFFFFFu, most = 0;
    for (uint32_t r = 0; r < n; r++) {
        least = times[r] < least ? times[r] : least;
        most = times[r] > most ? times[r] : most;
    }
    return n == 0 || ((int64_t)least >= low && (uint64_t)((int64_t)most - low) < span);
}

static int zj_join_alloc(size_t nu, size_t n, int codes, zj_joined *to, void **owned) {
    memset(to, 0, sizeof *to);
    *owned = malloc((2 * nu + 3 + (n + 1) * (codes ? 2 : 1)) * sizeof(uint32_t));
    if (*owned == NULL) return ZJ_NO_MEMORY;
    to->users = (uint32_t *)*owned;
    to->offsets = to->users + nu + 1;
    to->times = to->offsets + nu + 2;
    to->code = codes ? to->times + n + 1 : NULL;
    to->offsets[0] = 0;
    return ZJ_OK;
}

/* The rows of lane l that match: the lane itself, or a copy. */
static int zj_join_part_of(zj_join *q, int l, zj_join_part *part) {
    const zj_lane *lane = &q->f->lanes[l];
    const int64_t shift = lane->base - q->origin;
    const uint64_t span = (uint64_t)(q->f->to - q->f->from + q->f->window);
    const int cut = q->cut && !zj_join_inside(lane->times, lane->n, q->f->from - lane->base, span);
    memset(part, 0, sizeof *part);
    part->shift = cut ? 0 : (uint32_t)shift;
    if (!cut && !lane->mask && !q->f->row_mask[l]) {
        part->run = (zj_run){lane->users, lane->offsets, lane->times, q->code ? q->code[l] : NULL, lane->nu, lane->n, 0, NULL};
        return ZJ_OK;
    }
    zj_joined to;
    int status = zj_join_alloc(lane->nu, lane->n, q->code != NULL, &to, &part->run.owned);
    if (status == ZJ_OK) status = cut ? zj_join_cut(q, l, &to) : zj_join_filtered(q, l, &to);
    part->run = (zj_run){to.users, to.offsets, to.times, to.code, to.nu, to.n, 0, part->run.owned};
    return status;
}

/* Where the rows of a block of ordinals go. */
typedef struct {
    uint32_t base; /* first ordinal */
    uint32_t rows[ZJ_JOIN_BLOCK], next[ZJ_JOIN_BLOCK];
    uint8_t parts[ZJ_JOIN_BLOCK];  /* 2 = rows of several parts */
    uint8_t mixed[ZJ_JOIN_BLOCK];  /* they are not in order */
} zj_join_block;

/* Copies the block's rows of all parts behind to->n, user by user. */
ZJ_INLINE uint32_t zj_join_spread(zj_join_part *part, int parts, zj_join_block *k, zj_joined *to) {
    uint32_t total = to->n;
    memset(k->rows, 0, sizeof k->rows);
    memset(k->parts, 0, sizeof k->parts);
    memset(k->mixed, 0, sizeof k->mixed);
    for (int i = 0; i < parts; i++) {
        const zj_run *run = &part[i].run;
        for (uint32_t p = part[i].at; p < run->nu && run->users[p] - k->base < ZJ_JOIN_BLOCK; p++)
            k->rows[run->users[p] - k->base] += run->offsets[p + 1] - run->offsets[p];
    }
    for (uint32_t u = 0; u < ZJ_JOIN_BLOCK; u++) {
        k->next[u] = total;
        total += k->rows[u];
    }
    for (int i = 0; i < parts; i++) {
        const zj_run *run = &part[i].run;
        const uint32_t shift = part[i].shift;
        uint32_t p = part[i].at;
        for (; p < run->nu && run->users[p] - k->base < ZJ_JOIN_BLOCK; p++) {
            const uint32_t u = run->users[p] - k->base, a = run->offsets[p], n = run->offsets[p + 1] - a;
            uint32_t *out = to->times + k->next[u];
            if (n == 0) continue;
            for (uint32_t r = 0; r < n; r++) out[r] = run->times[a + r] + shift;
            for (uint32_t r = 0; to->code && r < n; r++) to->code[k->next[u] + r] = run->code ? run->code[a + r] : 0;
            k->mixed[u] |= k->parts[u] && out[-1] > out[0];
            k->parts[u] = k->parts[u] ? 2 : 1;
            k->next[u] += n;
        }
        part[i].at = p;
    }
    return total;
}

/* Puts the block's users into the run; those with groups and rows of several parts at one instant are
 * left over, and their rows closed up. */
static int zj_join_settle(zj_join *q, zj_join_block *k, zj_joined *to) {
    uint32_t from = to->n;
    for (uint32_t u = 0; u < ZJ_JOIN_BLOCK; u++) {
        const uint32_t n = k->rows[u], had = to->n;
        uint32_t *times = to->times + from, *code = to->code ? to->code + from : NULL, same = 0;
        if (n == 0) continue;
        if (k->mixed[u] && zj_join_sort(times, code, n) != ZJ_OK) return ZJ_NO_MEMORY;
        for (uint32_t r = 1; code && k->parts[u] == 2 && r < n; r++) same |= times[r - 1] == times[r];
        if (same) {
            q->leftover[q->left++] = k->base + u;
        } else {
            if (from != to->n) {
                memmove(to->times + to->n, times, n * sizeof(uint32_t));
                if (code) memmove(to->code + to->n, code, n * sizeof(uint32_t));
            }
            to->n += n;
            zj_join_end(to, k->base + u, had);
        }
        from += n;
    }
    return ZJ_OK;
}

ZJ_CLONES static int zj_join_merge(zj_join *q, zj_join_part *part, int parts, zj_joined *to) {
    zj_join_block *k = (zj_join_block *)malloc(sizeof(zj_join_block));
    int status = k ? ZJ_OK : ZJ_NO_MEMORY;
    while (status == ZJ_OK) {
        uint32_t first = 0xFFFFFFFFu;
        for (int i = 0; i < parts; i++)
            if (part[i].at < part[i].run.nu && part[i].run.users[part[i].at] < first) first = part[i].run.users[part[i].at];
        if (first == 0xFFFFFFFFu) break;
        k->base = first;
        const uint32_t had = to->n, total = zj_join_spread(part, parts, k, to);
        status = zj_join_settle(q, k, to);
        if (status == ZJ_OK && zj_stop(q->guard, total - had + 64)) status = ZJ_CANCELLED;
    }
    free(k);
    return status;
}

static int zj_join_several(zj_join *q, int lanes, zj_joined *to) {
    zj_join_part *part = (zj_join_part *)calloc((size_t)lanes, sizeof(zj_join_part));
    int status = part ? ZJ_OK : ZJ_NO_MEMORY, parts = 0;
    for (int l = 0; l < q->f->count && status == ZJ_OK; l++)
        if (zj_step_in(q->f, l, q->step)) status = zj_join_part_of(q, l, &part[parts++]);
    if (status == ZJ_OK) status = zj_join_merge(q, part, parts, to);
    for (int i = 0; i < parts; i++) free(part[i].run.owned);
    free(part);
    return status;
}

ZJ_CLONES static uint32_t zj_longest(const uint32_t *offsets, uint32_t nu) {
    uint32_t longest = 0;
    for (uint32_t i = 0; i < nu; i++) {
        const uint32_t n = offsets[i + 1] - offsets[i];
        longest = n > longest ? n : longest;
    }
    return longest;
}

/* Makes the run of q->step; the caller frees run->owned and q->leftover. */
static int zj_run_make(zj_join *q, zj_run *run) {
    const zj_funnel *f = q->f;
    size_t nu = 0, n = 0;
    int lanes = 0, only = 0, status;
    memset(run, 0, sizeof *run);
    for (int l = 0; l < f->count; l++)
        if (zj_step_in(f, l, q->step)) {
            nu += f->lanes[l].nu;
            n += f->lanes[l].n;
            lanes++;
            only = l;
        }
    if (n > 0xFFFFFFF0u) return ZJ_REJECTED;
    if (lanes == 0) return ZJ_OK;
    const zj_lane *lane = &f->lanes[only];
    if (lanes == 1 && !lane->mask && !f->row_mask[only] && !q->cut) {
        *run = (zj_run){lane->users, lane->offsets, lane->times, q->code ? q->code[only] : NULL, lane->nu, lane->n, 0, NULL};
        run->longest = zj_longest(run->offsets, run->nu);
        return ZJ_OK;
    }
    zj_joined to;
    status = zj_join_alloc(nu, n, q->code != NULL, &to, &run->owned);
    if (status != ZJ_OK) return status;
    if (lanes == 1) {
        status = q->cut ? zj_join_cut(q, only, &to) : zj_join_filtered(q, only, &to);
    } else {
        q->leftover = (uint32_t *)malloc(nu * sizeof(uint32_t) + 1);
        status = q->leftover ? zj_join_several(q, lanes, &to) : ZJ_NO_MEMORY;
    }
    *run = (zj_run){to.users, to.offsets, to.times, to.code, to.nu, to.n, 0, run->owned};
    run->longest = zj_longest(run->offsets, run->nu);
    return status;
}

#endif
