/* Streams of session paths: arrays, or feeds that hand out pages, seen through windows of a few
 * hundred values.
 *
 * A walk follows more streams than the CPU does by itself, so the end of a window is where the memory
 * of the one after the next is asked for. The end of a window is also the only bound that is checked.
 */
#ifndef ZUJI_PATHS_STREAMS_H
#define ZUJI_PATHS_STREAMS_H

#include "lanes.h"
#include "storage/feed.h"

#define ZP_WINDOW 128u  /* values of a window */
#define ZP_USERS 4096u  /* users whose rows are counted at once */

typedef struct {
    const uint32_t *next, *end;
} zp_window;

/* What a window moves along. */
typedef struct {
    const uint32_t *stop; /* end of what is in memory */
    zj_feed *feed;        /* what comes after it, or NULL */
    uint32_t *room;       /* of the feed */
} zp_stream;

/* The rows of one event in a source. */
typedef struct {
    zp_stream time, user, offset;
    zp_window users, offsets;
    const uint32_t *first; /* times, when they are an array */
    const uint8_t *mask;   /* [rows] of such: rows that are steps, or NULL */
    uint32_t taken;        /* offset of the next user */
    int kept;              /* 0: rows are no behaviour and are not seen at all */
} zp_run;

typedef struct {
    zp_run *run;     /* [runs] */
    zp_window *time; /* [runs] */
    uint16_t *code;  /* [runs] code + 1, or 0: rows hold sessions together but are no steps */
    int runs, partition; /* sources of one partition stand together, older rank first */
    int64_t base;
    const void *at;  /* interleave, of `width` bytes a row: the next rows */
    uint32_t left;   /* of them in memory */
    size_t width;
    zj_feed *feed;   /* those after, or NULL */
    void *room;
    uint64_t rest;   /* rows of users that were not counted yet */
    int whole;       /* every run is kept */
    uint32_t *rows;  /* [ZP_USERS] rows of the users counted at last */
    uint32_t *unseen; /* [ZP_USERS] more, of runs that are not kept */
} zp_source;

/* The next window. ZJ_REJECTED at the end of the stream. */
static __attribute__((noinline)) int zp_move(zp_window *w, zp_stream *s) {
    if (w->end == s->stop) {
        uint32_t n = 0;
        if (s->feed == NULL || s->feed->pull(s->feed, s->room, &n) != 0 || n == 0) return ZJ_REJECTED;
        w->end = s->room;
        s->stop = s->room + n;
    }
    const size_t left = (size_t)(s->stop - w->end);
    w->next = w->end;
    w->end += left < ZP_WINDOW ? left : ZP_WINDOW;
    const uint32_t *after = w->end + ZP_WINDOW < s->stop ? w->end + ZP_WINDOW : s->stop;
    for (const uint32_t *p = w->end; p < after; p += 16) __builtin_prefetch(p);
    return ZJ_OK;
}

ZJ_CLONES static int zp_below_8(const uint8_t *run, uint32_t n, int runs) {
    uint8_t top = 0;
    for (uint32_t i = 0; i < n; i++) top = run[i] > top ? run[i] : top;
    return top < runs;
}

ZJ_CLONES static int zp_below_16(const uint16_t *run, uint32_t n, int runs) {
    uint16_t top = 0;
    for (uint32_t i = 0; i < n; i++) top = run[i] > top ? run[i] : top;
    return top < runs;
}

/* Whether the rows of the interleave in memory name runs that are there. */
static int zp_rows_sound(const zp_source *s) {
    return s->left == 0 || (s->width == 1 ? zp_below_8((const uint8_t *)s->at, s->left, s->runs)
                                          : zp_below_16((const uint16_t *)s->at, s->left, s->runs));
}

/* More rows of the interleave, when none are left. */
static __attribute__((noinline)) int zp_move_rows(zp_source *s) {
    if (s->feed == NULL || s->feed->pull(s->feed, s->room, &s->left) != 0 || s->left == 0) return ZJ_REJECTED;
    s->at = s->room;
    return zp_rows_sound(s) ? ZJ_OK : ZJ_REJECTED;
}

/* Rows of the users [from, from + n) of one run, added to theirs in the source.
 * ZJ_REJECTED when users or offsets do not ascend. */
static int zp_count_run(zp_run *run, uint32_t from, uint32_t n, uint32_t *rows, uint64_t *total) {
    const uint32_t before = run->taken;
    uint32_t offset = before;
    for (;;) {
        if (run->users.next == run->users.end && zp_move(&run->users, &run->user) != ZJ_OK) break;
        if (*run->users.next - from >= n) {
            if (*run->users.next < from) return ZJ_REJECTED;
            break;
        }
        if (run->offsets.next == run->offsets.end && zp_move(&run->offsets, &run->offset) != ZJ_OK)
            return ZJ_REJECTED;
        const uint32_t *u = run->users.next, *o = run->offsets.next;
        const size_t most_u = (size_t)(run->users.end - u), most_o = (size_t)(run->offsets.end - o);
        const size_t m = most_u < most_o ? most_u : most_o;
        size_t i = 0;
        for (; i < m && u[i] - from < n; i++) {
            if (o[i] < offset) return ZJ_REJECTED;
            rows[u[i] - from] += o[i] - offset;
            offset = o[i];
        }
        run->users.next += i;
        run->offsets.next += i;
    }
    run->taken = offset;
    *total += offset - before;
    return ZJ_OK;
}

/* Rows of the users [from, from + n) in a source, to its `rows` and `unseen`; how many to *total. */
static int zp_count_rows(zp_source *source, uint32_t from, uint32_t n, uint64_t *total) {
    *total = 0;
    memset(source->rows, 0, n * sizeof *source->rows);
    memset(source->unseen, 0, n * sizeof *source->unseen);
    for (int r = 0; r < source->runs; r++) {
        zp_run *run = &source->run[r];
        if (zp_count_run(run, from, n, run->kept ? source->rows : source->unseen, total) != ZJ_OK)
            return ZJ_REJECTED;
    }
    if (*total > source->rest) return ZJ_REJECTED;
    source->rest -= *total;
    return ZJ_OK;
}

/* ZJ_REJECTED unless all of a source was walked. */
static int zp_at_end(zp_source *source) {
    if (source->rest) return ZJ_REJECTED;
    for (int r = 0; r < source->runs; r++) {
        zp_run *run = &source->run[r];
        zp_window *time = &source->time[r];
        if (run->users.next != run->users.end || zp_move(&run->users, &run->user) == ZJ_OK ||
            time->next != time->end || zp_move(time, &run->time) == ZJ_OK)
            return ZJ_REJECTED;
    }
    return ZJ_OK;
}

#endif
