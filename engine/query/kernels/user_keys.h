/* Values of a user's rows: how many different ones, or the most frequent one.
 *
 * A value is a 64-bit key that only equality looks at. User by user over the heads of the lanes; a user's
 * keys are gathered, sorted and counted. Memory: 32 bytes a row of the user with the most, and the answer.
 * O(rows * log of the user's rows + users * lanes).
 */
#ifndef ZUJI_USER_KEYS_H
#define ZUJI_USER_KEYS_H

#include "lanes.h"

enum { ZK_DISTINCT = 0, ZK_MOST = 1 };

typedef struct {
    int64_t key, time;
    uint64_t order; /* among the rows of one instant: rank, tie, lane */
} zk_entry;

typedef struct {
    const zj_lane *lanes;
    int count, op;
    int64_t from, to;                /* [from, to) ms UTC */
    const int64_t *const *key;       /* per lane [offsets' end, or n], or NULL: no row has a value */
    const uint8_t *const *present;   /* per lane [n] or NULL */
    const uint32_t *const *offsets;  /* per lane [n + 1]: keys of a row, or NULL: one a row */
    size_t users;
    uint32_t *number; /* [users]: different values, or how often the most frequent one is there */
    int64_t *most;    /* [users], with ZK_MOST */
} zk_ask;

static int zk_by_key(const void *left, const void *right) {
    const zk_entry *a = (const zk_entry *)left, *b = (const zk_entry *)right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    if (a->time != b->time) return a->time < b->time ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}

static void zk_sort(zk_entry *e, size_t n) {
    if (n > 24) {
        qsort(e, n, sizeof *e, zk_by_key);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        const zk_entry x = e[i];
        size_t j = i;
        for (; j > 0 && zk_by_key(&x, &e[j - 1]) < 0; j--) e[j] = e[j - 1];
        e[j] = x;
    }
}

/* Of values that are as frequent as each other, the one that came last. */
static void zk_count(const zk_ask *q, uint32_t user, zk_entry *e, size_t n) {
    zk_sort(e, n);
    uint32_t different = 0, most = 0;
    const zk_entry *best = NULL;
    for (size_t i = 0; i < n;) {
        size_t j = i + 1;
        while (j < n && e[j].key == e[i].key) j++;
        const zk_entry *last = &e[j - 1];
        const uint32_t times = (uint32_t)(j - i);
        different++;
        const int later = best == NULL || last->time > best->time ||
                          (last->time == best->time && last->order > best->order);
        if (times > most || (times == most && later)) {
            most = times;
            best = last;
        }
        i = j;
    }
    q->number[user] = q->op == ZK_MOST ? most : different;
    if (q->op == ZK_MOST && best) q->most[user] = best->key;
}

static int zk_add(zk_entry **e, size_t *n, size_t *room, zk_entry x) {
    if (*n == *room) {
        zk_entry *more = (zk_entry *)realloc(*e, *room * 2 * sizeof(zk_entry));
        if (more == NULL) return ZJ_NO_MEMORY;
        *e = more;
        *room *= 2;
    }
    (*e)[(*n)++] = x;
    return ZJ_OK;
}

static int zk_run(const zk_ask *q, zj_guard *guard) {
    zj_heads heads = {0};
    size_t room = 64;
    zk_entry *e = (zk_entry *)malloc(room * sizeof(zk_entry));
    int status = e ? zj_heads_open(&heads, q->lanes, q->count) : ZJ_NO_MEMORY;
    uint32_t user;
    while (status == ZJ_OK && (user = zj_heads_min(&heads)) != ZJ_END) {
        const int counts = user < q->users && zj_allowed(guard, user);
        uint32_t work = 1;
        size_t n = 0;
        for (int l = 0; l < q->count; l++) {
            if (heads.head[l] != user) continue;
            const zj_lane *lane = &q->lanes[l];
            const uint32_t a = lane->offsets[heads.pos[l]], b = lane->offsets[heads.pos[l] + 1];
            zj_heads_next(&heads, q->lanes, l);
            work += b - a;
            if (!counts || q->key[l] == NULL) continue;
            for (uint32_t r = a; r < b && status == ZJ_OK; r++) {
                const int64_t time = lane->base + (int64_t)lane->times[r];
                if (time < q->from || time >= q->to || !zj_passes(lane, r)) continue;
                if (q->present[l] && !q->present[l][r]) continue;
                const uint64_t order = (uint64_t)lane->rank << 32 | (uint64_t)zj_tie(lane, r) << 16 | (uint16_t)l;
                const uint32_t first = q->offsets[l] ? q->offsets[l][r] : r;
                const uint32_t end = q->offsets[l] ? q->offsets[l][r + 1] : r + 1;
                for (uint32_t k = first; k < end && status == ZJ_OK; k++) {
                    /* Of the items of one list, the later is the later. */
                    const zk_entry x = {q->key[l][k], time, order << 8 | (k - first < 255 ? k - first : 255)};
                    status = zk_add(&e, &n, &room, x);
                }
            }
        }
        if (n && status == ZJ_OK) zk_count(q, user, e, n);
        if (status == ZJ_OK && zj_stop(guard, work)) status = ZJ_CANCELLED;
    }
    zj_heads_close(&heads);
    free(e);
    return status;
}

#endif
