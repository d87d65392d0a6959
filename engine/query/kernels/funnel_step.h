/* One step of a funnel over the rows of one user, and the walk over all users, for one vector width.
 *
 * Included by funnel_runs.h once an instruction set: ZJ_ISA names the functions, ZJ_TARGET is their
 * attribute, ZJ_W the rows in a vector. Plain C with vector types; no intrinsics.
 *
 * A list of a step is its rows (times, ascending) with the latest start of each: 1 + time of the start,
 * 0 = none. Starts never descend along a list. So the rows of the next step take, a vector at a time, the
 * start of the last entry before them: entry by entry of the list, "where the row is after the entry,
 * its start". A row too far behind its start keeps it: all later rows are too far behind it as well, so
 * nothing is to be taken out and no list is packed.
 */

typedef uint32_t ZJ_ISA(vector) __attribute__((vector_size(4 * ZJ_W)));
#define ZJ_VECTOR ZJ_ISA(vector)
#define ZJ_ALL(x) ((ZJ_VECTOR){0} + (uint32_t)(x))

/* Least item. */
ZJ_TARGET ZJ_INLINE uint32_t ZJ_ISA(least)(const ZJ_VECTOR *v) {
    uint32_t item[ZJ_W], least = 0xFFFFFFFFu;
    memcpy(item, v, sizeof item);
    for (int i = 0; i < ZJ_W; i++) least = item[i] < least ? item[i] : least;
    return least;
}

/* Rows of a step that can be reached from the list (key, start + add)[n], n >= 1: their starts into
 * `out`, ZJ_W of room beyond; rows after `limit` are left out, *m gets how many were not. Returns the
 * earliest reached row's start (1 + time), ZJ_RUN_NONE when no row is reached. *tied: at ZJ_TIE_ASK,
 * a row and an entry share an instant. REQUIRES: rows[*m - 1] lies before `end`. */
ZJ_TARGET ZJ_INLINE uint32_t ZJ_ISA(step)(const uint32_t *key, const uint32_t *start, uint32_t add, uint32_t n,
                                          const uint32_t *rows, uint32_t *m, const uint32_t *end, int tie,
                                          uint32_t window, uint32_t limit, uint32_t *out, int *tied) {
    ZJ_VECTOR place = ZJ_ALL(0), first = ZJ_ALL(ZJ_RUN_NONE), same = ZJ_ALL(0);
    for (uint32_t i = 0; i < ZJ_W; i++) place[i] = i;
    uint32_t j = 0, carry = 0;
    for (uint32_t i = 0; i < *m; i += ZJ_W) {
        if (rows[i] > limit) {
            *m = i;
            break;
        }
        const uint32_t left = *m - i, last = rows[i + (left < ZJ_W ? left : ZJ_W) - 1];
        ZJ_VECTOR row, taken = ZJ_ALL(carry);
        if ((size_t)(end - (rows + i)) >= ZJ_W) {
            memcpy(&row, rows + i, sizeof row);
        } else {
            uint32_t tail[ZJ_W] = {0};
            memcpy(tail, rows + i, (size_t)(end - (rows + i)) * sizeof(uint32_t));
            memcpy(&row, tail, sizeof row);
        }
        j = j > 4 ? j - 4 : 0; /* entries behind the last row of the block before are looked at again */
        while (j < n && (tie == ZJ_TIE_AFTER ? key[j] < last : key[j] <= last)) {
            for (uint32_t q = 0; q < 4; q++) { /* by four: fewer mispredicted ends; the last repeats */
                const uint32_t e = j + q < n ? j + q : n - 1;
                const ZJ_VECTOR entry = ZJ_ALL(key[e]);
                const ZJ_VECTOR after = (ZJ_VECTOR)(tie == ZJ_TIE_BEFORE ? row >= entry : row > entry);
                taken = (ZJ_ALL(start[e] + add) & after) | (taken & ~after);
                if (tie == ZJ_TIE_ASK) same |= (ZJ_VECTOR)(row == entry) & (ZJ_VECTOR)(place < ZJ_ALL(left));
            }
            j += 4;
        }
        if (left > ZJ_W) carry = taken[ZJ_W - 1];
        const ZJ_VECTOR reached = (ZJ_VECTOR)(taken != ZJ_ALL(0)) & (ZJ_VECTOR)(place < ZJ_ALL(left)) &
                                  (ZJ_VECTOR)(row - taken + 1 <= ZJ_ALL(window));
        const ZJ_VECTOR mine = taken | ~reached;
        const ZJ_VECTOR less = (ZJ_VECTOR)(mine < first);
        first = (mine & less) | (first & ~less);
        memcpy(out + i, &taken, sizeof taken);
    }
    if (tie == ZJ_TIE_ASK) {
        same = ~same;
        *tied |= ZJ_ISA(least)(&same) == 0;
    }
    return ZJ_ISA(least)(&first);
}

/* Highest level of the starts times[a, b) of step 1 by the user at `u` of the block, and the start of its
 * first chain; level 0 = ask the other kernel. */
ZJ_TARGET ZJ_INLINE int ZJ_ISA(level)(zj_runs *w, uint32_t u, uint32_t a, uint32_t b, uint32_t *found) {
    const uint32_t *key = w->step[0].times + a, *start = key;
    const uint32_t limit = key[b - a - 1] > ~w->window ? 0xFFFFFFFFu : key[b - a - 1] + w->window;
    uint32_t n = b - a, add = 1, *out = w->starts, *spare = w->starts + w->room;
    int level = 1, tied = 0;
    *found = *key + 1;
    for (; level < w->k; level++) {
        const uint32_t at = w->place[((size_t)level << w->block_bits) + u];
        if (at == ZJ_RUN_NONE) break;
        const zj_run *run = &w->step[level];
        const uint32_t *rows = run->times + run->offsets[at], *end = run->times + run->n;
        uint32_t m = run->offsets[at + 1] - run->offsets[at], first;
        for (; m > ZJ_W && rows[ZJ_W - 1] < *key; m -= ZJ_W) rows += ZJ_W;
        switch (w->tie[level]) {
        case ZJ_TIE_AFTER:
            first = ZJ_ISA(step)(key, start, add, n, rows, &m, end, ZJ_TIE_AFTER, w->window, limit, out, &tied);
            break;
        case ZJ_TIE_BEFORE:
            first = ZJ_ISA(step)(key, start, add, n, rows, &m, end, ZJ_TIE_BEFORE, w->window, limit, out, &tied);
            break;
        default:
            first = ZJ_ISA(step)(key, start, add, n, rows, &m, end, ZJ_TIE_ASK, w->window, limit, out, &tied);
            if (tied) return 0;
        }
        if (first == ZJ_RUN_NONE) break;
        *found = first;
        key = rows;
        start = out;
        n = m;
        add = 0;
        out = spare;
        spare = (uint32_t *)start;
    }
    return level;
}

/* Counts all users. Returns ZJ_REJECTED when too many are left over. */
ZJ_TARGET static int ZJ_ISA(count)(zj_runs *w) {
    const zj_run *first = &w->step[0];
    for (uint32_t i = 0; i < first->nu;) {
        const uint32_t base = first->users[i] >> w->block_bits << w->block_bits, from = i;
        zj_runs_place(w, base);
        for (; i < first->nu && first->users[i] - base < 1u << w->block_bits; i++) {
            uint32_t a = first->offsets[i], b = first->offsets[i + 1], found = 0;
            const uint32_t user = first->users[i];
            int whole = 1;
            if (!zj_allowed(w->guard, user) || !zj_runs_trim(w, &a, &b, &whole)) continue;
            w->pending = 0;
            while (a < b && whole) {
                int32_t bucket = 0;
                const uint32_t stop = zj_runs_bucket(w, a, b, &bucket);
                if (bucket >= 0) {
                    const int level = ZJ_ISA(level)(w, user - base, a, stop, &found);
                    whole = level > 0;
                    if (whole) zj_runs_add(w, a, found - 1, bucket, level);
                }
                a = stop;
            }
            if (whole) zj_runs_commit(w);
            else if (zj_runs_leave(w, user) != ZJ_OK) return ZJ_NO_MEMORY;
        }
        if (w->left > 4096 && w->left > i / 4) return ZJ_REJECTED;
        if (zj_stop(w->guard, first->offsets[i] - first->offsets[from] + 1)) return ZJ_CANCELLED;
    }
    return ZJ_OK;
}

#undef ZJ_VECTOR
#undef ZJ_ALL
#undef ZJ_ISA
#undef ZJ_TARGET
#undef ZJ_W
