/* Merging rows of several sources, a block at a time.
 *
 * The order is (ordinal, time, source, place in the source); a key is ordinal << 32 | time and never
 * UINT64_MAX. Sources are given oldest first. A winner tree (Knuth 5.4.1) finds the source of the next row; its
 * rows are then taken as long as they come before the best row of the others. Which source each row came from is
 * all that the columns need: each is gathered by it from one cursor a source.
 */
#ifndef ZUJI_MERGING_H
#define ZUJI_MERGING_H
#include <stddef.h>
#include <stdint.h>

#define MERGING_DONE UINT64_MAX

/* What is at hand of a source: rows [at, end), and whether they are its last. */
typedef struct {
    const uint64_t *keys;
    const uint16_t *codes;
    int64_t at, end;
    int last;
} merging_source;

typedef struct {
    merging_source *source;
    uint64_t *head; /* key of each source's next row, MERGING_DONE when none is left; leaves of them */
    uint32_t *tree; /* tree[1] wins; 2 * leaves */
    int64_t leaves; /* a power of two */
    uint64_t key;   /* of the last row that was merged */
    uint32_t tie;   /* rows with that key before it */
    int started, any_tie;
    int64_t *event_at;        /* place of the next row of each event */
    const int64_t *event_end;
    uint8_t *sources; /* source of each row, clustered by event */
    uint16_t *ties;
} merging;

static inline uint32_t merging_better(const merging *m, uint32_t a, uint32_t b) {
    return m->head[a] <= m->head[b] ? a : b; /* a is older */
}

static void merging_replay(merging *m, uint32_t s) {
    for (int64_t i = (m->leaves + s) >> 1; i > 0; i >>= 1)
        m->tree[i] = merging_better(m, m->tree[2 * i], m->tree[2 * i + 1]);
}

static void merging_build(merging *m) {
    for (int64_t i = 0; i < m->leaves; i++) m->tree[m->leaves + i] = (uint32_t)i;
    for (int64_t i = m->leaves - 1; i > 0; i--)
        m->tree[i] = merging_better(m, m->tree[2 * i], m->tree[2 * i + 1]);
}

/* Source and head of the best row that is not of `s`. */
static inline uint32_t merging_rival(const merging *m, uint32_t s) {
    uint32_t best = s ? 0 : 1;
    uint64_t head = MERGING_DONE;
    for (int64_t i = m->leaves + s; i > 1; i >>= 1) {
        const uint32_t r = m->tree[i ^ 1];
        if (m->head[r] < head || (m->head[r] == head && r < best)) {
            best = r;
            head = m->head[r];
        }
    }
    return best;
}

/* Merges up to `room` rows to interleave (their events) and keys. Stops early when a source needs more rows:
 * *needed is its number, else -1. Returns how many rows were merged, -1 when a source is out of order, -2 when
 * an event has more rows than were announced. */
static int64_t merging_run(merging *m, int64_t room, uint16_t *interleave, uint64_t *keys, int64_t *needed) {
    int64_t out = 0;
    *needed = -1;
    while (out < room) {
        const uint32_t s = m->leaves > 1 ? m->tree[1] : 0;
        if (m->head[s] == MERGING_DONE) break;
        uint64_t limit = MERGING_DONE;
        if (m->leaves > 1) {
            const uint32_t rival = merging_rival(m, s);
            limit = m->head[rival];
            if (limit != MERGING_DONE) limit += s < rival;
        }
        merging_source *from = &m->source[s];
        uint64_t key = m->head[s];
        do {
            if (m->started && key <= m->key) {
                if (key < m->key) return -1;
                if (m->tie < UINT16_MAX) m->tie++;
                m->any_tie = 1;
            } else {
                m->tie = 0;
            }
            m->started = 1;
            m->key = key;
            const uint16_t event = from->codes[from->at];
            const int64_t to = m->event_at[event]++;
            if (to >= m->event_end[event]) return -2;
            m->sources[to] = (uint8_t)s;
            if (m->tie) m->ties[to] = (uint16_t)m->tie;
            interleave[out] = event;
            keys[out++] = key;
            if (++from->at == from->end) {
                if (!from->last) *needed = s;
                key = MERGING_DONE;
                break;
            }
            key = from->keys[from->at];
        } while (key < limit && out < room);
        m->head[s] = key;
        if (*needed >= 0) break; /* the tree is set right when the rows are there */
        merging_replay(m, s);
    }
    return out;
}

/* ---- columns by source -------------------------------------------------------------------------------- */

/* Values of the rows of a block: row i is the next one of source[i]. at/end: cursors into values, 256 of them.
 * Returns 0, or 1 when a source has fewer values than rows. */
#define MERGING_TAKE(T)                                                                                        \
    static int merging_take_##T(const uint8_t *source, int64_t n, const T *values, int64_t *at,                \
                                const int64_t *end, T *out) {                                                  \
        for (int64_t i = 0; i < n; i++) {                                                                      \
            const int64_t from = at[source[i]]++;                                                              \
            if (from >= end[source[i]]) return 1;                                                              \
            out[i] = values[from];                                                                             \
        }                                                                                                      \
        return 0;                                                                                              \
    }                                                                                                          \
    /* The same where only rows with present[i] = 1 have a value. values has one more element than are used,   \
     * out n + 1. Returns the number of values, or -1. */                                                      \
    static int64_t merging_take_some_##T(const uint8_t *source, int64_t n, const uint8_t *present,             \
                                         const T *values, int64_t *at, const int64_t *end, T *out) {           \
        int64_t count = 0;                                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                      \
            const int64_t from = at[source[i]];                                                                \
            const int has = present[i] != 0;                                                                   \
            if (has & (from >= end[source[i]])) return -1;                                                     \
            out[count] = values[from];                                                                         \
            at[source[i]] = from + has;                                                                        \
            count += has;                                                                                      \
        }                                                                                                      \
        return count;                                                                                          \
    }
MERGING_TAKE(uint8_t)
MERGING_TAKE(uint16_t)
MERGING_TAKE(uint32_t)
MERGING_TAKE(uint64_t)
#undef MERGING_TAKE

/* Users of the next n rows: user u has the rows up to end[u], *at is the user of the row, *row its number.
 * Returns how many were written; fewer when the users end. -1: the ends descend. */
static int64_t merging_expand(const uint32_t *users, const uint32_t *ends, int64_t size, int64_t *at,
                              int64_t *row, uint32_t *out, int64_t n) {
    int64_t done = 0;
    while (done < n && *at < size) {
        const int64_t left = (int64_t)ends[*at] - *row;
        if (left < 0) return -1;
        const int64_t take = left < n - done ? left : n - done;
        for (int64_t i = 0; i < take; i++) out[done + i] = users[*at];
        done += take;
        *row += take;
        if (take == left) ++*at;
    }
    return done;
}

#endif
