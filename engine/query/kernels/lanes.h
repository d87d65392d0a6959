/* Lanes in C: one run's rows by user, and the walk over the users of several lanes.
 *
 * Everything here is plain memory owned by the caller; nothing touches Python, so all of it runs
 * without the GIL. REQUIRES (checked by _lanes.pyx): offsets ascend from 0 to n, arrays of rows have
 * n items. Users must ascend, but a broken order only gives wrong numbers, never a bad read.
 */
#ifndef ZUJI_LANES_H
#define ZUJI_LANES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && defined(__gnu_linux__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define ZJ_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ZJ_CLONES
#endif
#define ZJ_INLINE static inline __attribute__((always_inline))

#define ZJ_END 0xFFFFFFFFu    /* head of an exhausted lane; no ordinal has this value */
#define ZJ_POLL_ROWS 65536u   /* the cancel flag is read at least this often */

enum { ZJ_OK = 0, ZJ_CANCELLED = 1, ZJ_NO_MEMORY = 2, ZJ_REJECTED = 3 };

typedef struct {
    const uint32_t *users;   /* [nu] */
    const uint32_t *offsets; /* [nu + 1] */
    const uint32_t *times;   /* [n] ms after base */
    const uint16_t *ties;    /* [n] or NULL */
    const uint8_t *mask;     /* [n] or NULL */
    int64_t base;            /* ms UTC */
    uint32_t nu, n;
    uint32_t rank;           /* dense: order of the lane's source among the lanes given */
    int holes;               /* some user has no rows */
} zj_lane;

/* Which users count, and whether to go on. */
typedef struct {
    const uint8_t *allowed; /* [n_allowed] by ordinal, or NULL = everybody */
    size_t n_allowed;
    const volatile uint8_t *cancel; /* one byte, or NULL */
    uint32_t until_poll;
} zj_guard;

ZJ_INLINE int zj_allowed(const zj_guard *g, uint32_t user) {
    return g->allowed == NULL || (user < g->n_allowed && g->allowed[user]);
}

/* Counts work done; true when the caller asked to stop. */
ZJ_INLINE int zj_stop(zj_guard *g, uint32_t rows) {
    if (g->until_poll > rows) {
        g->until_poll -= rows;
        return 0;
    }
    g->until_poll = ZJ_POLL_ROWS;
    return g->cancel != NULL && *g->cancel;
}

ZJ_INLINE uint32_t zj_tie(const zj_lane *lane, uint32_t row) {
    return lane->ties ? lane->ties[row] : 0;
}

ZJ_INLINE int zj_passes(const zj_lane *lane, uint32_t row) {
    return lane->mask == NULL || lane->mask[row];
}

/* 0 unless offsets ascend from 0 to n, so that no slice leaves the lane; 2 when some slice is empty. */
ZJ_CLONES static int zj_lane_sound(const uint32_t *offsets, uint32_t nu, uint32_t n) {
    uint32_t bad = (offsets[0] != 0) | (offsets[nu] != n), hole = 0;
    for (uint32_t i = 0; i < nu; i++) {
        bad |= offsets[i] > offsets[i + 1];
        hole |= offsets[i] == offsets[i + 1];
    }
    return bad ? 0 : hole ? 2 : 1;
}

/* Heads: the next user of every lane, padded to a multiple of 16 so that the search vectorises. */
typedef struct {
    uint32_t *head; /* [padded] */
    uint32_t *pos;  /* [count] index into users */
    int count, padded;
} zj_heads;

static int zj_heads_open(zj_heads *h, const zj_lane *lanes, int count) {
    h->count = count;
    h->padded = (count + 15) / 16 * 16;
    if (h->padded == 0) h->padded = 16;
    h->head = (uint32_t *)malloc(sizeof(uint32_t) * (size_t)h->padded * 2);
    if (h->head == NULL) return ZJ_NO_MEMORY;
    h->pos = h->head + h->padded;
    for (int i = 0; i < h->padded; i++) {
        h->head[i] = i < count && lanes[i].nu ? lanes[i].users[0] : ZJ_END;
        h->pos[i] = 0;
    }
    return ZJ_OK;
}

static void zj_heads_close(zj_heads *h) { free(h->head); }

/* Least head: the next user, or ZJ_END. */
ZJ_INLINE uint32_t zj_heads_min(const zj_heads *h) {
    uint32_t least = ZJ_END;
    for (int i = 0; i < h->padded; i++) least = h->head[i] < least ? h->head[i] : least;
    return least;
}

/* Moves lane i past its current user. */
ZJ_INLINE void zj_heads_next(zj_heads *h, const zj_lane *lanes, int i) {
    uint32_t p = ++h->pos[i];
    h->head[i] = p < lanes[i].nu ? lanes[i].users[p] : ZJ_END;
}

/* Moves lane i to the first user >= user (doubling steps, then halving); true when it is that user. */
ZJ_INLINE int zj_heads_seek(zj_heads *h, const zj_lane *lanes, int i, uint32_t user) {
    if (h->head[i] >= user) return h->head[i] == user;
    const uint32_t *users = lanes[i].users;
    uint32_t low = h->pos[i] + 1, nu = lanes[i].nu, step = 1;
    while (step <= 8 && low < nu && users[low] < user) low++, step++;
    if (low < nu && users[low] < user) {
        uint32_t high = low;
        step = 8;
        do {
            low = high;
            high = nu - low > step ? low + step : nu;
            step *= 2;
        } while (high < nu && users[high] < user);
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            if (users[middle] < user) low = middle;
            else high = middle;
        }
        low = high;
    }
    h->pos[i] = low;
    h->head[i] = low < nu ? users[low] : ZJ_END;
    return h->head[i] == user;
}

#endif
