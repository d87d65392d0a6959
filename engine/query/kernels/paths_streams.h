/* Streams of session paths: arrays, or feeds that hand out pages, seen through windows of some
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

/* What a window moves along. */
typedef struct {
    const uint32_t *start, *stop; /* what is in memory */
    size_t before;                /* values before it */
    zj_feed *feed;                /* what comes after it, or NULL */
    uint32_t *room;               /* of the feed */
} zp_stream;

/* The rows of one event in a source. */
typedef struct {
    zp_stream time, user, offset;
    const uint32_t *users, *users_end, *offsets, *offsets_end; /* their windows */
    const uint8_t *mask;   /* [rows] rows that are steps, or NULL */
    const uint32_t *node;  /* [rows] code of each, or NULL: that of the run */
    const uint8_t *opens;  /* [rows] rows that open a path, or NULL: `open` */
    const uint32_t *group; /* [rows] or NULL: 0 */
    uint32_t taken;        /* offset of the next user; of a source that is laid out: the next row */
    uint32_t rows;         /* of a source that is laid out */
    int open;
    int kept;              /* 0: rows are no behaviour and are not seen at all */
} zp_run;

typedef struct {
    zp_run *run;     /* [runs] */
    const uint32_t **time, **time_end; /* [runs] the window of each run's times */
    uint32_t *code;  /* [runs] code + 1, or 0: rows hold sessions together but are no steps */
    int runs, partition; /* sources of one partition stand together, older rank first */
    int64_t base;
    const void *at;  /* interleave, of `width` bytes a row: the next rows */
    uint32_t left;   /* of them in memory */
    size_t width;
    zj_feed *feed;   /* those after, or NULL */
    void *room;
    const uint32_t *laid;   /* times in the order of the interleave (paths_order.h), the next row's; or NULL */
    const uint32_t *owners, *owners_end, *ends; /* of those: users, and behind the last row of each */
    uint32_t counted;       /* rows of users that were counted */
    uint64_t rest;   /* rows of users that were not counted yet */
    int whole;       /* every run is kept */
    int same;        /* code of every row of a source that is laid out, or -1 */
    uint32_t *rows;  /* [ZP_USERS] rows of the users counted at last */
    uint32_t *unseen; /* [ZP_USERS] more, of runs that are not kept */
} zp_source;

/* The next window, [*next, *end). ZJ_REJECTED at the end of the stream. */
static __attribute__((noinline)) int zp_move(const uint32_t **next, const uint32_t **end, zp_stream *s) {
    const uint32_t *from = *end;
    if (from == s->stop) {
        uint32_t n = 0;
        if (s->feed == NULL || s->feed->pull(s->feed, s->room, &n) != 0 || n == 0) return ZJ_REJECTED;
        s->before += (size_t)(s->stop - s->start);
        s->start = from = s->room;
        s->stop = s->room + n;
    }
    const size_t left = (size_t)(s->stop - from);
    const uint32_t *to = from + (left < ZP_WINDOW ? left : ZP_WINDOW);
    const uint32_t *after = (size_t)(s->stop - to) < ZP_WINDOW ? s->stop : to + ZP_WINDOW;
    for (const uint32_t *p = to; p < after; p += 16) __builtin_prefetch(p);
    *next = from;
    *end = to;
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
        if (run->users == run->users_end && zp_move(&run->users, &run->users_end, &run->user) != ZJ_OK) break;
        if (*run->users - from >= n) {
            if (*run->users < from) return ZJ_REJECTED;
            break;
        }
        if (run->offsets == run->offsets_end &&
            zp_move(&run->offsets, &run->offsets_end, &run->offset) != ZJ_OK)
            return ZJ_REJECTED;
        const uint32_t *u = run->users, *o = run->offsets;
        const size_t most_u = (size_t)(run->users_end - u), most_o = (size_t)(run->offsets_end - o);
        const size_t m = most_u < most_o ? most_u : most_o;
        size_t i = 0;
        for (; i < m && u[i] - from < n; i++) {
            if (o[i] < offset) return ZJ_REJECTED;
            rows[u[i] - from] += o[i] - offset;
            offset = o[i];
        }
        run->users += i;
        run->offsets += i;
    }
    run->taken = offset;
    *total += offset - before;
    return ZJ_OK;
}

/* The same for all runs of a source that is laid out. */
static int zp_count_laid(zp_source *source, uint32_t from, uint32_t n, uint64_t *total) {
    const uint32_t before = source->counted;
    uint32_t end = before;
    for (; source->owners < source->owners_end && *source->owners - from < n; source->owners++, source->ends++) {
        if (*source->ends <= end) return ZJ_REJECTED;
        source->rows[*source->owners - from] = *source->ends - end;
        end = *source->ends;
    }
    if (source->owners < source->owners_end && *source->owners < from) return ZJ_REJECTED;
    source->counted = end;
    *total = end - before;
    return ZJ_OK;
}

/* Rows of the users [from, from + n) in a source, to its `rows` and `unseen`; how many to *total. */
static int zp_count_rows(zp_source *source, uint32_t from, uint32_t n, uint64_t *total) {
    *total = 0;
    memset(source->rows, 0, n * sizeof *source->rows);
    memset(source->unseen, 0, n * sizeof *source->unseen);
    if (source->laid && zp_count_laid(source, from, n, total) != ZJ_OK) return ZJ_REJECTED;
    for (int r = 0; r < source->runs && !source->laid; r++) {
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
    if (source->laid) return source->owners == source->owners_end ? ZJ_OK : ZJ_REJECTED;
    for (int r = 0; r < source->runs; r++) {
        zp_run *run = &source->run[r];
        if (run->users != run->users_end || source->time[r] != source->time_end[r] ||
            zp_move(&run->users, &run->users_end, &run->user) == ZJ_OK ||
            zp_move(&source->time[r], &source->time_end[r], &run->time) == ZJ_OK)
            return ZJ_REJECTED;
    }
    return ZJ_OK;
}

#endif
