/* Attribution of users whose touch lanes have a name each: the look-backs of all conversions at once.
 *
 * Per touch lane two merges, of the conversions and of their look-backs' starts with the lane's rows, run side
 * by side without a branch that depends on the data. What the general way does row by row is then a
 * subtraction. Decay weighs each touch once, relative to the user's first one, and sums what is in the
 * look-back; users whose touches span too many half-lives take the general way.
 * REQUIRES: no matching, touches serve any number of conversions, rows of a touch lane all pass.
 */
#ifndef ZUJI_ATTRIBUTION_SUMS_H
#define ZUJI_ATTRIBUTION_SUMS_H

#include "attribution_cells.h"

#define ZJ_MOST_HALVINGS 200.0 /* exponents are rounded: beyond this credit would be good to 13 digits only */

typedef struct {
    uint32_t *row;    /* [n] rows of the conversions in their lane */
    int32_t *bucket;  /* [n] */
    uint32_t *until, *since; /* [n + 1] conversions, and their look-backs' starts, in ms of a touch lane */
    uint32_t *hi, *lo; /* [trails * (n + 1)] places in the lane's rows of this user */
    uint32_t *times;   /* rows of a lane of this user, and one that comes after all */
    double *weight;    /* [decay models, rows of all lanes] */
    size_t room, times_room, weight_room, places_room;
} zj_fast;

static void zj_fast_close(zj_fast *f) {
    free(f->row);
    free(f->bucket);
    free(f->until);
    free(f->since);
    free(f->hi);
    free(f->lo);
    free(f->times);
    free(f->weight);
}

/* Room for `want` items whose old contents do not matter. False when memory is short. */
#define ZJ_ROOM(array, room, want)                                  \
    ((want) <= (room) || (free(array), ((array) = malloc(2 * (want) * sizeof *(array))) != NULL))

/* Room for n conversions, the rows of `trails` lanes, and `weights` numbers. */
static int zj_fast_reserve(zj_fast *f, size_t n, size_t trails, size_t rows, size_t weights) {
    const size_t places = trails * (n + 1);
    if (!ZJ_ROOM(f->row, f->room, n + 1) || !ZJ_ROOM(f->bucket, f->room, n + 1) || !ZJ_ROOM(f->until, f->room, n + 1) ||
        !ZJ_ROOM(f->since, f->room, n + 1) || !ZJ_ROOM(f->hi, f->places_room, places) ||
        !ZJ_ROOM(f->lo, f->places_room, places) || !ZJ_ROOM(f->times, f->times_room, rows + 1) ||
        !ZJ_ROOM(f->weight, f->weight_room, weights))
        return 0;
    if (n + 1 > f->room) f->room = 2 * (n + 1);
    if (places > f->places_room) f->places_room = 2 * places;
    if (rows + 1 > f->times_room) f->times_room = 2 * (rows + 1);
    if (weights > f->weight_room) f->weight_room = 2 * weights;
    return 1;
}

/* hi[c], lo[c]: rows before until[c] and since[c]. times[rows] = 2^32 - 1 ends both; until[n] and since[n] are 0.
 * A function of its own, so that all of it stays in registers. */
__attribute__((noinline)) static void zj_merge_two(const uint32_t *restrict times, const uint32_t *restrict until, const uint32_t *restrict since,
                         uint32_t n, uint32_t *restrict hi, uint32_t *restrict lo) {
    uint32_t h = 0, c = 0, l = 0, d = 0;
    while (c + d < 2 * n) {
        const uint32_t up = (uint32_t)(times[h] < until[c]), at = (uint32_t)(times[l] < since[d]);
        hi[c] = h;
        lo[d] = l;
        h += up;
        l += at;
        c += (up ^ 1u) & (uint32_t)(c < n);
        d += (at ^ 1u) & (uint32_t)(d < n);
    }
}

/* out[i] = 2^((times[i] + shift) * scale), exponents 0 … ZJ_MOST_HALVINGS; to 2 ulp. */
ZJ_CLONES static void zj_weights(const uint32_t *restrict times, uint32_t n, double shift, double scale,
                                 double *restrict out) {
    for (uint32_t i = 0; i < n; i++) {
        const double x = ((double)times[i] + shift) * scale;
        const int32_t whole = (int32_t)x;
        const double r = (x - (double)whole - 0.5) * 0.69314718055994530942; /* |r| <= 0.35 */
        double p = 1.0 / 6227020800.0;
        p = p * r + 1.0 / 479001600.0;
        p = p * r + 1.0 / 39916800.0;
        p = p * r + 1.0 / 3628800.0;
        p = p * r + 1.0 / 362880.0;
        p = p * r + 1.0 / 40320.0;
        p = p * r + 1.0 / 5040.0;
        p = p * r + 1.0 / 720.0;
        p = p * r + 1.0 / 120.0;
        p = p * r + 1.0 / 24.0;
        p = p * r + 1.0 / 6.0;
        p = p * r + 0.5;
        p = p * r + 1.0;
        p = p * r + 1.0;
        union {
            uint64_t bits;
            double value;
        } power;
        power.bits = (uint64_t)(int64_t)(whole + 1023) << 52;
        out[i] = p * power.value * 1.41421356237309504880;
    }
}

ZJ_CLONES static double zj_sum(const double *x, uint32_t n) {
    double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
    uint32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        a += x[i];
        b += x[i + 1];
        c += x[i + 2];
        d += x[i + 3];
    }
    for (; i < n; i++) a += x[i];
    return (a + b) + (c + d);
}

#define ZJ_FAST_SLOTS 16
#define ZJ_FAST_MODELS 8

/* Sums of one user, cell and name on their way to the cell. */
typedef struct {
    uint32_t name;
    int64_t touches, conversions, assisted;
    __int128 credit[ZJ_FAST_MODELS];
    zj_credit_value value[ZJ_FAST_MODELS];
} zj_fast_slot;

typedef struct {
    zj_fast_slot slot[ZJ_FAST_SLOTS + 1]; /* [slots] is "no touch" */
    int slots;
    int64_t touched;
    zj_credit_value worth;
    uint32_t line;
    int32_t bucket;
    int any;
} zj_fast_sums;

static void zj_fast_empty(zj_fast_sums *f, int models) {
    for (int s = 0; s <= f->slots; s++) {
        zj_fast_slot *slot = &f->slot[s];
        slot->touches = slot->conversions = slot->assisted = 0;
        for (int m = 0; m < models; m++) {
            slot->credit[m] = 0;
            slot->value[m] = (zj_credit_value){0.0, 0.0};
        }
    }
    f->touched = 0;
    f->worth = (zj_credit_value){0.0, 0.0};
    f->any = 0;
}

ZJ_INLINE void zj_credit_join(zj_credit_value *to, const zj_credit_value *from) {
    zj_credit_add(to, from->sum);
    to->lost += from->lost;
}

/* Adds the sums to their cells and empties them. */
static void zj_fast_flush(zj_credits *out, zj_fast_sums *f) {
    if (!f->any) return;
    const size_t m = (size_t)out->models, place = (size_t)f->line * out->buckets + (size_t)f->bucket;
    const size_t base = place * ((size_t)out->names + 1);
    zj_credit_cell *whole = &out->whole[place];
    whole->conversions += f->touched + f->slot[f->slots].conversions;
    whole->touches += f->touched;
    zj_credit_user(whole, out->stamp);
    out->line_users[f->line] += out->line_stamp[f->line] != out->stamp;
    out->line_stamp[f->line] = out->stamp;
    if (out->valued) zj_credit_join(&out->worth[place], &f->worth);
    for (int s = 0; s <= f->slots; s++) {
        const zj_fast_slot *slot = &f->slot[s];
        const size_t at = base + (s == f->slots ? out->names : slot->name);
        zj_credit_cell *c = &out->cell[at];
        if (slot->conversions == 0) continue;
        c->touches += slot->touches;
        c->conversions += slot->conversions;
        c->assisted += slot->assisted;
        zj_credit_user(c, out->stamp);
        for (size_t i = 0; i < m; i++) {
            out->credit[at * m + i] += slot->credit[i];
            if (out->valued) zj_credit_join(&out->value[at * m + i], &slot->value[i]);
        }
    }
    zj_fast_empty(f, out->models);
}

/* WHOLE / n. */
static int64_t zj_linear_table[1024];

static void zj_linear_open(void) {
    for (int n = 1; n < 1024; n++) zj_linear_table[n] = ZJ_WHOLE / n;
}

/* Shares of the slots of one conversion under one model but decay. REQUIRES: total > 0. */
ZJ_INLINE void zj_fast_share(const zj_credit_model *model, const int64_t *count, int slots, int64_t total, int first,
                             int last, int source, int64_t *share) {
    int64_t each = 0, head = 0, tail = 0;
    for (int s = 0; s < slots; s++) share[s] = 0;
    switch (model->kind) {
    case ZJ_FIRST: share[first] = ZJ_WHOLE; return;
    case ZJ_LAST: share[last] = ZJ_WHOLE; return;
    case ZJ_LAST_SOURCE: share[source] = ZJ_WHOLE; return;
    case ZJ_PARTICIPATION:
        for (int s = 0; s < slots; s++) share[s] = count[s] ? ZJ_WHOLE : 0;
        return;
    case ZJ_LINEAR:
        each = total < 1024 ? zj_linear_table[total] : ZJ_WHOLE / total;
        tail = ZJ_WHOLE - each * total;
        break;
    default: zj_position(model, total, &each, &head, &tail);
    }
    for (int s = 0; s < slots; s++) share[s] = each * count[s];
    share[first] += head;
    share[last] += tail;
}

#endif
