/* Session paths: walking the interleave of sources, which names the run of every row in the order
 * (ordinal, time, tie), with one cursor a run for the times.
 *
 * The rows of a user in a source are known from the offsets of its runs, so no ordinal is read row by
 * row. Whole users are laid out in a block (time and code of each row, in order); sessions are cut by
 * the gap between neighbouring rows, a vector at a time; the first `steps` codes of a session are its
 * path, taken from the block as they lie there. Sources in one partition are merged by (time, rank)
 * where a user has rows in several; sessions go on from one partition to the next.
 * O(rows), and O(rows * sources) for users of several sources in a partition.
 */
#ifndef ZUJI_PATHS_H
#define ZUJI_PATHS_H

#include "paths_table.h"

#define ZP_AHEAD 64     /* times fetched ahead of a cursor: more runs than the CPU can follow */
#define ZP_BLOCK 2048u  /* rows of a block; more when one user has more */
#define ZP_PAST 48u     /* readable bytes after the codes of a block: a key is read whole */

/* Cursor of a run. */
typedef struct {
    const uint32_t *next, *end;
    const uint8_t *mask; /* [n] rows that are steps, or NULL */
    uint32_t n;
    uint16_t code;       /* code + 1, or 0: rows hold sessions together but are no steps */
    uint16_t kept;       /* 0: rows are no behaviour and are not seen at all */
} zp_cursor;

typedef struct {
    const uint16_t *interleave;
    uint32_t n, at;      /* rows, and the next one */
    int first_run, runs; /* its cursors and lanes */
    int partition;       /* sources of one partition stand together, older rank first */
    int64_t base;
    uint32_t *rows;      /* [users] rows of each ordinal */
} zp_source;

typedef struct {
    int64_t gap, from_ms, to_ms;
    int steps, collapse;
    int plain; /* every row is a step: no masks, no hidden runs, nothing collapses */
} zp_rule;

/* Rows of whole users. */
typedef struct {
    int64_t *time;   /* [room] */
    uint8_t *code;   /* [room * width + ZP_PAST] */
    uint64_t *first; /* [room / 64 + 1] rows that begin a session */
    uint32_t *begin; /* [room + 1] the same as a list, and the end */
    size_t room, n;
    int64_t *merge_time;
    uint8_t *merge_code;
} zp_block;

static void zp_block_close(zp_block *b) {
    free(b->time);
    free(b->code);
    free(b->first);
    free(b->begin);
    free(b->merge_time);
    free(b->merge_code);
}

/* Room for `more` rows after those there. */
static int zp_block_reserve(zp_block *b, size_t more, size_t width) {
    if (b->n + more <= b->room) return ZJ_OK;
    const size_t room = (b->n + more) * 2;
    void *p;
    if ((p = realloc(b->time, room * 8)) == NULL) return ZJ_NO_MEMORY;
    b->time = (int64_t *)p;
    if ((p = realloc(b->code, room * width + ZP_PAST)) == NULL) return ZJ_NO_MEMORY;
    b->code = (uint8_t *)p;
    if ((p = realloc(b->first, (room / 64 + 1) * 8)) == NULL) return ZJ_NO_MEMORY;
    b->first = (uint64_t *)p;
    if ((p = realloc(b->begin, (room + 1) * 4)) == NULL) return ZJ_NO_MEMORY;
    b->begin = (uint32_t *)p;
    b->room = room;
    return ZJ_OK;
}

ZJ_INLINE void zp_put(uint8_t *codes, size_t at, uint16_t code, const size_t width) {
    if (width == 1) codes[at] = (uint8_t)code;
    else memcpy(codes + 2 * at, &code, 2);
}

ZJ_INLINE uint16_t zp_get(const uint8_t *codes, size_t at, const size_t width) {
    uint16_t code;
    if (width == 1) return codes[at];
    memcpy(&code, codes + 2 * at, 2);
    return code;
}

/* Appends the next m rows of a source to the block, which has room. ZJ_REJECTED when a run has fewer. */
ZJ_INLINE int zp_take(zp_source *source, zp_cursor *cursors, uint32_t m, zp_block *block, const int plain,
                      const size_t width) {
    const uint16_t *run = source->interleave + source->at;
    const int64_t base = source->base;
    int64_t *time = block->time;
    uint8_t *code = block->code;
    size_t n = block->n;
    for (uint32_t j = 0; j < m; j++) {
        zp_cursor *c = &cursors[run[j]];
        const uint32_t *p = c->next;
        if (p == c->end) return ZJ_REJECTED;
        c->next = p + 1;
        __builtin_prefetch(p + ZP_AHEAD);
        time[n] = base + (int64_t)*p;
        const int shown = plain || c->mask == NULL || c->mask[c->n - (c->end - p)];
        zp_put(code, n, shown ? c->code : 0, width);
        n += c->kept;
    }
    block->n = n;
    source->at += m;
    return ZJ_OK;
}

/* Rows [first, middle) and [middle, n) of the block, both in order, to one order; the former go first
 * at one instant. */
static int zp_merge(zp_block *b, size_t first, size_t middle, const size_t width) {
    const size_t na = middle - first;
    void *p;
    if (middle == first || middle == b->n || b->time[middle - 1] <= b->time[middle]) return ZJ_OK;
    if ((p = realloc(b->merge_time, na * 8)) == NULL) return ZJ_NO_MEMORY;
    b->merge_time = (int64_t *)p;
    if ((p = realloc(b->merge_code, na * width)) == NULL) return ZJ_NO_MEMORY;
    b->merge_code = (uint8_t *)p;
    memcpy(b->merge_time, b->time + first, na * 8);
    memcpy(b->merge_code, b->code + first * width, na * width);
    for (size_t i = 0, j = middle, to = first; i < na; to++) {
        if (j < b->n && b->time[j] < b->merge_time[i]) {
            b->time[to] = b->time[j];
            zp_put(b->code, to, zp_get(b->code, j++, width), width);
        } else {
            b->time[to] = b->merge_time[i];
            zp_put(b->code, to, zp_get(b->merge_code, i++, width), width);
        }
    }
    return ZJ_OK;
}

/* Bit i: row i is more than a gap after row i - 1. Row 0 is left to the caller. */
ZJ_CLONES static void zp_gaps(const int64_t *time, size_t n, int64_t gap, uint64_t *out) {
    size_t i = 0;
    for (size_t word = 0; word * 64 < n; word++) {
        uint8_t late[64] = {0};
        const size_t from = word * 64, m = n - from < 64 ? n - from : 64;
        for (i = from == 0; i < m; i++) late[i] = time[from + i] - time[from + i - 1] > gap;
        uint64_t bits = 0;
        for (size_t byte = 0; byte < 8; byte++) { /* eight flags of 0 or 1 to eight bits */
            uint64_t eight;
            memcpy(&eight, late + 8 * byte, 8);
            bits |= (eight * 0x0102040810204080ull >> 56) << (8 * byte);
        }
        out[word] = bits;
    }
}

/* The path of a session that is not plain; returns its length. */
ZJ_INLINE int zp_path(const zp_rule *rule, const zp_block *b, uint32_t from, uint32_t to, uint8_t *path,
                      const size_t width) {
    int length = 0;
    uint16_t previous = 0;
    for (uint32_t r = from; r < to && length < rule->steps; r++) {
        const uint16_t code = zp_get(b->code, r, width);
        if (code == 0 || (rule->collapse && code == previous)) continue;
        zp_put(path, (size_t)length++, code, width);
        previous = code;
    }
    return length;
}

/* Cuts the block into sessions and counts their paths. */
ZJ_INLINE int zp_count_block(zp_block *b, const zp_rule *rule, zp_table *table, zj_guard *guard,
                             const int words, const size_t width) {
    size_t sessions = 0;
    int status = ZJ_OK;
    for (size_t word = 0; word * 64 < b->n; word++)
        for (uint64_t bits = b->first[word]; bits; bits &= bits - 1)
            b->begin[sessions++] = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(bits);
    b->begin[sessions] = (uint32_t)b->n;
    for (size_t s = 0; s < sessions && status == ZJ_OK; s++) {
        const uint32_t from = b->begin[s], to = b->begin[s + 1];
        uint64_t key[ZP_MAX_WORDS];
        uint8_t path[ZP_PAST] = {0};
        const uint8_t *codes = b->code + (size_t)from * width;
        uint32_t length = to - from < (uint32_t)rule->steps ? to - from : (uint32_t)rule->steps;
        if (!rule->plain) {
            length = (uint32_t)zp_path(rule, b, from, to, path, width);
            codes = path;
        }
        for (int w = 0; w < words; w++) { /* the word, cut to the bytes that the path has there */
            const int bytes = (int)(length * width) - 8 * w;
            uint64_t word;
            memcpy(&word, codes + 8 * w, 8);
            key[w] = bytes >= 8 ? word : bytes <= 0 ? 0 : word & (~0ull >> (64 - 8 * bytes));
        }
        if (length > 0 && b->time[from] >= rule->from_ms && b->time[from] < rule->to_ms)
            status = zp_add(table, key, guard, words);
    }
    b->n = 0;
    return status;
}

/* Rows of each ordinal in a source. */
static int zp_count_rows(const zj_lane *lanes, zp_source *source, uint32_t users) {
    uint64_t total = 0;
    for (int c = source->first_run; c < source->first_run + source->runs; c++) {
        const zj_lane *lane = &lanes[c];
        for (uint32_t i = 0; i < lane->nu; i++) {
            if (lane->users[i] >= users) return ZJ_REJECTED;
            source->rows[lane->users[i]] += lane->offsets[i + 1] - lane->offsets[i];
        }
        total += lane->n;
    }
    return total == source->n ? ZJ_OK : ZJ_REJECTED;
}

/* Greatest run number of an interleave. */
ZJ_CLONES static uint16_t zp_greatest(const uint16_t *interleave, uint32_t n) {
    uint16_t top = 0;
    for (uint32_t i = 0; i < n; i++) top = interleave[i] > top ? interleave[i] : top;
    return top;
}

/* All rows of a user, in order, to the block. */
ZJ_INLINE int zp_take_user(zp_source *sources, int count, zp_cursor *cursors, uint32_t user, zp_block *block,
                           const int plain, const size_t width) {
    int status = ZJ_OK;
    size_t first = block->n; /* of the partition */
    for (int s = 0; s < count && status == ZJ_OK; s++) {
        const uint32_t m = sources[s].rows[user];
        if (s && sources[s].partition != sources[s - 1].partition) first = block->n;
        if (m == 0) continue;
        const size_t middle = block->n;
        status = zp_block_reserve(block, m, width);
        if (status == ZJ_OK) status = zp_take(&sources[s], cursors + sources[s].first_run, m, block, plain, width);
        if (status == ZJ_OK) status = zp_merge(block, first, middle, width);
    }
    return status;
}

ZJ_INLINE int zp_run_w(zp_source *sources, int count, zp_cursor *cursors, uint32_t users, const zp_rule *rule,
                       zp_table *table, zj_guard *guard, const int words, const int plain, const size_t width) {
    zp_block block = {0};
    int status = zp_block_reserve(&block, ZP_BLOCK, width);
    uint32_t *start = (uint32_t *)malloc((ZP_BLOCK + 1) * sizeof(uint32_t)); /* first rows of users */
    if (start == NULL) status = ZJ_NO_MEMORY;
    size_t started = 0;
    for (uint32_t user = 0; status == ZJ_OK && user < users; user++) {
        const size_t before = block.n;
        status = zp_take_user(sources, count, cursors, user, &block, plain, width);
        if (!zj_allowed(guard, user)) block.n = before; /* walked past: the cursors have moved on */
        if (block.n > before) start[started++] = (uint32_t)before;
        if (status != ZJ_OK || (block.n < ZP_BLOCK && started < ZP_BLOCK && user + 1 < users)) continue;
        if (zj_stop(guard, (uint32_t)block.n + 1)) status = ZJ_CANCELLED;
        zp_gaps(block.time, block.n, rule->gap, block.first);
        while (started) {
            const uint32_t row = start[--started];
            block.first[row >> 6] |= 1ull << (row & 63);
        }
        if (status == ZJ_OK) status = zp_count_block(&block, rule, table, guard, words, width);
    }
    free(start);
    zp_block_close(&block);
    if (status == ZJ_OK) status = zp_settle_w(table, guard, words);
    return status;
}

#define ZP_RUN(words, width)                                                                              \
    return rule->plain ? zp_run_w(sources, count, cursors, users, rule, table, guard, words, 1, width)     \
                       : zp_run_w(sources, count, cursors, users, rule, table, guard, words, 0, width)

/* Walks all rows of the sources and counts the paths of their sessions.
 * REQUIRES: sources by (partition, rank); run numbers of interleaves below `runs`. */
static int zp_run(zp_source *sources, int count, zp_cursor *cursors, uint32_t users, const zp_rule *rule,
                  zp_table *table, zj_guard *guard) {
    if (table->width == 1) switch (table->words) { /* the width of a key is a constant in each copy */
        case 1: ZP_RUN(1, 1);
        case 2: ZP_RUN(2, 1);
        default: ZP_RUN(3, 1);
        }
    ZP_RUN(table->words, 2);
}

#endif
