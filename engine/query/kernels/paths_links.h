/* Links of session paths, counted as they are met: which step follows which, layer by layer.
 *
 * For paths that begin with the session, whose codes fit a byte: a layer is a table of side * side
 * counters, side = codes + 2: code + 1 for a step; 0 where the session has no row left ("dropped"), and
 * side - 1 where it has rows but no step left ("elsewhere"). A path that has ended goes on as what it
 * ended with, so every layer adds up to the same total. O(steps) a session.
 */
#ifndef ZUJI_PATHS_LINKS_H
#define ZUJI_PATHS_LINKS_H

#include "paths_block.h"

typedef struct {
    int64_t gap, from_ms, to_ms;
    int steps, collapse;
    int plain; /* every row seen is a step: no masks, no hidden runs, nothing collapses */
    int reverse, every; /* paths of eight bytes an item only */
    int64_t open_ms;    /* sessions whose last row is at this time or later may go on */
    int64_t reach_ms;   /* rows at this time or later were not given */
} zp_rule;

typedef struct {
    uint64_t *count; /* [steps - 1, side, side] */
    size_t side;
    uint64_t open; /* paths of sessions that may go on */
    int beyond;    /* a session may go on in rows that were not given */
} zp_links;

/* The path of a session that is not plain; returns its length. */
ZJ_INLINE int zp_path(const zp_rule *rule, const zp_block *b, uint32_t from, uint32_t to, uint8_t *path,
                      const size_t width) {
    int length = 0;
    uint64_t previous = 0;
    for (uint32_t r = from; r < to && length < rule->steps; r++) {
        const uint64_t code = zp_get(b->code, r, width);
        if (code == 0 || (rule->collapse && code == previous)) continue;
        zp_put(path, (size_t)length++, code, width);
        previous = code;
    }
    return length;
}

/* Codes of a plain path, the first eight as one number: those past its end are 0. No branch. */
ZJ_INLINE uint64_t zp_first_codes(const uint8_t *codes, uint32_t length) {
    uint64_t word;
    memcpy(&word, codes, 8);
    return length >= 8 ? word : word & ~(~0ull << (8 * length));
}

/* Counts the sessions in the block that start in the range and have a step. few: at most eight steps. */
ZJ_INLINE void zp_count_links_as(const zp_block *b, size_t sessions, const zp_rule *rule, zp_links *links,
                                 const int few) {
    const uint32_t steps = (uint32_t)rule->steps;
    const size_t side = links->side, layer = side * side;
    for (size_t s = 0; s < sessions; s++) {
        const uint32_t from = b->begin[s], to = b->begin[s + 1], rows = to - from;
        const int64_t time = b->time[from], last = b->time[to - 1];
        if (time < rule->from_ms || time >= rule->to_ms) continue;
        uint8_t path[ZP_PAST] = {0};
        const uint8_t *codes = b->code + from;
        uint32_t length = rows < steps ? rows : steps;
        if (!rule->plain) {
            length = (uint32_t)zp_path(rule, b, from, to, path, 1);
            if (length == 0) continue;
            if (codes[rows - 1] == 0) memset(path + length, (int)(side - 1), steps - length);
            codes = path;
        } else if (!few) {
            memcpy(path, codes, length);
            codes = path;
        }
        links->open += last >= rule->open_ms;
        links->beyond |= last >= rule->reach_ms - rule->gap;
        uint64_t *count = links->count;
        uint64_t word = few ? zp_first_codes(codes, rule->plain ? length : 8) : 0;
        for (uint32_t k = 1; k < steps; k++, count += layer, word >>= 8) {
            if (few) count[(word & 0xFF) * side + (word >> 8 & 0xFF)]++;
            else count[codes[k - 1] * side + codes[k]]++;
        }
    }
}

static void zp_count_links(const zp_block *b, size_t sessions, const zp_rule *rule, zp_links *links) {
    if (rule->steps <= 8) zp_count_links_as(b, sessions, rule, links, 1);
    else zp_count_links_as(b, sessions, rule, links, 0);
}

#endif
