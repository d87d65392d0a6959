/* Session paths: walking the rows of sources user by user, and cutting them into sessions.
 *
 * The rows of a user in a source are known from the offsets of its runs, so no ordinal is read row by
 * row; they are counted for some thousand users at once (paths_streams.h). Whole users are laid out in
 * a block (paths_block.h); sessions are cut by the gap between neighbouring rows, a vector at a time;
 * the first `steps` codes of a session are its path, taken from the block as they lie there, and noted
 * (paths_keys.h). Sessions go on from one partition to the next.
 * O(rows), and O(rows * sources) for users whose rows of several sources in a partition overlap.
 */
#ifndef ZUJI_PATHS_H
#define ZUJI_PATHS_H

#include "paths_cells.h"
#include "paths_table.h"

/* Something else to make of the sessions: called with each block that was cut into them. start, owner
 * [users]: first rows of users, and who they are. */
typedef int (*zp_taker)(void *to, const zp_block *b, size_t sessions, const uint32_t *start,
                        const uint32_t *owner, size_t users);

/* What a walk holds. */
typedef struct {
    zp_source *source;
    int sources;
    const zp_rule *rule;
    zp_keys *keys;   /* what is made of the sessions: their paths, */
    zp_links *links; /* or the links of them, */
    zp_cells *cells; /* or cells, */
    zp_taker take;   /* or what a taker makes of them; the others are NULL */
    void *to;
    zj_guard *guard;
    zp_block block;
    uint32_t *start; /* [ZP_BLOCK + 1] first rows of users in the block */
    uint32_t *owner; /* the same: who they are */
    size_t started;
    zp_source **with_rows; /* [sources] those in which users counted at last have rows: */
    size_t *at;            /* [sources] next row of each in `loose` */
    int active;
    zp_block loose;        /* rows of some users, source by source */
} zp_walk;

/* Writes the keys of the sessions in the block that start in the range and have a step, to the last
 * chunk, which has room; how many they are. No branch: what does not count is overwritten. */
ZJ_INLINE size_t zp_keys_of(const zp_block *b, size_t sessions, const zp_rule *rule, zp_keys *keys,
                            const int words, const size_t width) {
    const uint32_t steps = (uint32_t)rule->steps;
    const int64_t from_ms = rule->from_ms, to_ms = rule->to_ms;
    const int plain = rule->plain;
    uint64_t *to = keys->last->key + keys->last->n * (size_t)words;
    size_t n = 0;
    for (size_t s = 0; s < sessions; s++) {
        const uint32_t from = b->begin[s], rows = b->begin[s + 1] - from;
        uint8_t path[ZP_PAST];
        const uint8_t *codes = b->code + (size_t)from * width;
        uint32_t length = rows < steps ? rows : steps;
        if (!plain) {
            memset(path, 0, sizeof path);
            length = (uint32_t)zp_path(rule, b, from, from + rows, path, width);
            codes = path;
        }
        for (int w = 0; w < words; w++) { /* the word, cut to the bytes that the path has there */
            const int bytes = (int)(length * width) - 8 * w;
            uint64_t word;
            memcpy(&word, codes + 8 * w, 8);
            word = bytes <= 0 ? 0 : word & (~0ull >> (bytes >= 8 ? 0 : 64 - 8 * bytes));
            to[n * (size_t)words + (size_t)w] = word;
        }
        const int64_t time = b->time[from];
        n += (size_t)((length > 0) & (time >= from_ms) & (time < to_ms));
    }
    return n;
}

/* Hands the sessions of the block on. */
ZJ_INLINE int zp_use(zp_walk *walk, size_t sessions, const int words, const size_t width) {
    const zp_block *b = &walk->block;
    if (walk->take) return walk->take(walk->to, b, sessions, walk->start, walk->owner, walk->started);
    if (width == 8)
        return zp_count_cells(b, sessions, walk->rule, walk->cells, walk->start, walk->owner, walk->started);
    if (words == 0) {
        zp_count_links(b, sessions, walk->rule, walk->links);
        return ZJ_OK;
    }
    const int status = zp_room(walk->keys, sessions);
    if (status == ZJ_OK)
        zp_note(walk->keys, zp_keys_of(b, sessions, walk->rule, walk->keys, words, width), words);
    return status;
}

/* Cuts the block into sessions and uses them; the block is empty afterwards. words: of a key, or 0. */
ZJ_INLINE int zp_cut(zp_walk *walk, const int words, const size_t width) {
    zp_block *b = &walk->block;
    size_t sessions = 0;
    int status = zj_stop(walk->guard, (uint32_t)b->n + 1) ? ZJ_CANCELLED : ZJ_OK;
    zp_gaps(b->time, b->n, walk->rule->gap, b->first);
    for (size_t i = 0; i < walk->started; i++) b->first[walk->start[i] >> 6] |= 1ull << (walk->start[i] & 63);
    for (size_t word = 0; word * 64 < b->n; word++)
        for (uint64_t bits = b->first[word]; bits; bits &= bits - 1)
            b->begin[sessions++] = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(bits);
    b->begin[sessions] = (uint32_t)b->n;
    if (status == ZJ_OK && sessions) status = zp_use(walk, sessions, words, width);
    walk->started = 0;
    b->n = 0;
    return status;
}

/* The next rows of a source to a block. */
ZJ_INLINE int zp_take_users(zp_walk *walk, zp_source *source, size_t rows, zp_block *block,
                            const size_t width) {
    const int status = zp_block_reserve(block, rows + 1, width);
    if (status != ZJ_OK) return status;
    return zp_take(source, rows, block, walk->rule->plain && source->whole, width);
}

/* The n users from `from` on, which were counted, of whom `only` alone has rows: straight to the block. */
ZJ_INLINE int zp_walk_one(zp_walk *walk, zp_source *only, uint32_t from, uint32_t n, const int words,
                          const size_t width) {
    zp_block *block = &walk->block;
    int status = ZJ_OK;
    size_t seen = block->n, ahead = 0; /* rows of the block, and of users that are still to be taken */
    for (uint32_t i = 0; i < n && status == ZJ_OK; i++) {
        const uint32_t m = only->rows[i];
        walk->start[walk->started] = (uint32_t)seen;
        if (width == 8 || walk->take) walk->owner[walk->started] = from + i;
        walk->started += m > 0;
        seen += m;
        ahead += m + (size_t)only->unseen[i];
        if (seen < ZP_BLOCK && i + 1 < n) continue;
        status = zp_take_users(walk, only, ahead, block, width);
        ahead = 0;
        if (status == ZJ_OK && block->n != seen) status = ZJ_REJECTED;
        if (status == ZJ_OK && seen >= ZP_BLOCK) {
            status = zp_cut(walk, words, width);
            seen = 0;
        }
    }
    return status;
}

/* One user's rows of several sources, each in order, to the block. */
ZJ_INLINE void zp_bring_user(zp_walk *walk, uint32_t user, const size_t width) {
    zp_block *block = &walk->block;
    size_t first = block->n; /* of the partition */
    for (int s = 0; s < walk->active; s++) {
        zp_source *source = walk->with_rows[s];
        const size_t m = source->rows[user], at = walk->at[s];
        if (s && source->partition != walk->with_rows[s - 1]->partition) first = block->n;
        if (m == 0) continue;
        walk->at[s] += m;
        if (block->n == first || block->time[block->n - 1] <= walk->loose.time[at])
            zp_copy(block, &walk->loose, at, m, width);
        else zp_merge(block, first, &walk->loose, at, m, width);
    }
}

/* The n users from `from` on, which were counted: some users at a time, source by source, then user by
 * user. One call takes many rows; what it takes is copied once more. */
ZJ_INLINE int zp_walk_many(zp_walk *walk, uint32_t from, uint32_t n, uint64_t total, const int words,
                           const size_t width) {
    zp_block *block = &walk->block, *loose = &walk->loose;
    const uint64_t some = n * (uint64_t)ZP_BLOCK / total;
    const uint32_t step = some < 1 ? 1 : some > n ? n : (uint32_t)some;
    int status = ZJ_OK;
    for (uint32_t i = 0; i < n && status == ZJ_OK; i += step) {
        const uint32_t end = n - i < step ? n : i + step;
        loose->n = 0;
        for (int s = 0; s < walk->active && status == ZJ_OK; s++) {
            zp_source *source = walk->with_rows[s];
            size_t seen = 0, unseen = 0;
            for (uint32_t u = i; u < end; u++) seen += source->rows[u], unseen += source->unseen[u];
            walk->at[s] = loose->n;
            status = zp_take_users(walk, source, seen + unseen, loose, width);
            if (status == ZJ_OK && loose->n != walk->at[s] + seen) status = ZJ_REJECTED;
        }
        if (status == ZJ_OK) status = zp_block_reserve(block, loose->n, width);
        for (uint32_t u = i; u < end && status == ZJ_OK; u++) {
            const size_t before = block->n;
            zp_bring_user(walk, u, width);
            if (!zj_allowed(walk->guard, from + u)) block->n = before;
            if (block->n == before) continue;
            walk->owner[walk->started] = from + u;
            walk->start[walk->started++] = (uint32_t)before;
            if (walk->started == ZP_BLOCK) status = zp_cut(walk, words, width);
        }
        if (status == ZJ_OK && block->n >= ZP_BLOCK / 2) status = zp_cut(walk, words, width);
    }
    return status;
}

ZJ_INLINE int zp_walk_w(zp_walk *walk, uint32_t users, const int words, const size_t width) {
    int status = ZJ_OK;
    for (uint32_t from = 0; status == ZJ_OK && from < users; from += ZP_USERS) {
        const uint32_t n = users - from < ZP_USERS ? users - from : ZP_USERS;
        uint64_t total = 0, own;
        walk->active = 0;
        for (int s = 0; s < walk->sources && status == ZJ_OK; s++) {
            status = zp_count_rows(&walk->source[s], from, n, &own);
            if (own) walk->with_rows[walk->active++] = &walk->source[s];
            total += own;
        }
        if (status != ZJ_OK || total == 0) continue;
        if (walk->active == 1 && walk->guard->allowed == NULL)
            status = zp_walk_one(walk, walk->with_rows[0], from, n, words, width);
        else status = zp_walk_many(walk, from, n, total, words, width);
    }
    if (status == ZJ_OK) status = zp_cut(walk, words, width);
    for (int s = 0; status == ZJ_OK && s < walk->sources; s++) status = zp_at_end(&walk->source[s]);
    return status;
}

static int zp_walk_open(zp_walk *walk, size_t width) {
    const size_t count = (size_t)walk->sources + 1;
    walk->start = (uint32_t *)malloc((ZP_BLOCK + 1) * sizeof *walk->start);
    walk->owner = (uint32_t *)malloc((ZP_BLOCK + 1) * sizeof *walk->owner);
    walk->with_rows = (zp_source **)calloc(count, sizeof *walk->with_rows);
    walk->at = (size_t *)calloc(count, sizeof *walk->at);
    const int status = zp_block_reserve(&walk->block, ZP_BLOCK, width);
    const int there = walk->start && walk->owner && walk->with_rows && walk->at;
    return there ? status : ZJ_NO_MEMORY;
}

static void zp_walk_close(zp_walk *walk) {
    free(walk->start);
    free(walk->owner);
    free(walk->with_rows);
    free(walk->at);
    zp_block_close(&walk->loose);
    zp_block_close(&walk->block);
}

/* Walks all rows of the sources and makes of their sessions what one of keys, links and cells is for.
 * REQUIRES: sources by (partition, rank), their streams at the start, their `rows` with room for
 * ZP_USERS. links: codes of a byte. cells: every source has what an item is made of. */
static int zp_run_walk(zp_source *sources, int count, uint32_t users, const zp_rule *rule, zp_keys *keys,
                       zp_links *links, zp_cells *cells, zj_guard *guard) {
    zp_walk walk = {.source = sources, .sources = count, .rule = rule, .guard = guard};
    const size_t width = cells ? 8 : links ? 1 : keys->width;
    walk.keys = keys;
    walk.links = links;
    walk.cells = cells;
    int status = zp_walk_open(&walk, width);
    if (status == ZJ_OK)
        status = cells              ? zp_walk_w(&walk, users, 0, 8) /* constants in each copy */
                 : links            ? zp_walk_w(&walk, users, 0, 1)
                 : width == 2       ? zp_walk_w(&walk, users, keys->words, 2)
                 : keys->words == 1 ? zp_walk_w(&walk, users, 1, 1)
                 : keys->words == 2 ? zp_walk_w(&walk, users, 2, 1)
                                    : zp_walk_w(&walk, users, 3, 1);
    if (cells) zp_cells_close(cells);
    zp_walk_close(&walk);
    return status;
}

/* The same for a taker. wide: rows are items of eight bytes, else of one: 0 where no step is. */
static inline int zp_run_walk_to(zp_source *sources, int count, uint32_t users, const zp_rule *rule,
                                 int wide, zp_taker take, void *to, zj_guard *guard) {
    zp_walk walk = {.source = sources, .sources = count, .rule = rule, .guard = guard};
    walk.take = take;
    walk.to = to;
    int status = zp_walk_open(&walk, wide ? 8 : 1);
    if (status == ZJ_OK) status = wide ? zp_walk_w(&walk, users, 0, 8) : zp_walk_w(&walk, users, 0, 1);
    zp_walk_close(&walk);
    return status;
}

#endif
