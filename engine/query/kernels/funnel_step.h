/* One step of a funnel over the rows of one user, and the walk over all users, for one vector width and
 * type of time.
 *
 * Included by funnel_runs.h once an instruction set and type: ZJ_ISA names the functions, ZJ_TARGET is
 * their attribute, ZJ_TIME the type of a time, ZJ_W the times in a vector. Plain C with vector types; no
 * intrinsics.
 *
 * A list of a step is its rows (times, ascending) with the latest start of each: 1 + time of the start,
 * 0 = none. Starts never descend along a list. So the rows of the next step take, a vector at a time, the
 * start of the last entry before them: entry by entry of the list, "where the row is after the entry,
 * its start". A row too far behind its start keeps it: all later rows are too far behind it as well, so
 * nothing is to be taken out and no list is packed.
 */

typedef ZJ_TIME ZJ_ISA(vector) __attribute__((vector_size(sizeof(ZJ_TIME) * ZJ_W)));
#define ZJ_VECTOR ZJ_ISA(vector)
#define ZJ_ALL(x) ((ZJ_VECTOR){0} + (ZJ_TIME)(x))
#define ZJ_NONE ((ZJ_TIME)-1) /* the start of no row */

/* Least item. */
ZJ_TARGET ZJ_INLINE ZJ_TIME ZJ_ISA(least)(const ZJ_VECTOR *v) {
    ZJ_TIME item[ZJ_W], least = ZJ_NONE;
    memcpy(item, v, sizeof item);
    for (int i = 0; i < ZJ_W; i++) least = item[i] < least ? item[i] : least;
    return least;
}

/* First place in [a, b) at or after t. */
ZJ_TARGET ZJ_INLINE uint32_t ZJ_ISA(from)(const ZJ_TIME *times, uint32_t a, uint32_t b, uint64_t t) {
    while (a < b) {
        const uint32_t middle = a + (b - a) / 2;
        if (times[middle] < t) a = middle + 1;
        else b = middle;
    }
    return a;
}

/* Cuts [a, b) to the starts in range; false when none is left. */
ZJ_TARGET ZJ_INLINE int ZJ_ISA(trim)(const zj_runs *w, const ZJ_TIME *times, uint32_t *a, uint32_t *b, int *whole) {
    if (*a == *b) return 0;
    if (times[*a] < w->low) *a = ZJ_ISA(from)(times, *a, *b, w->low);
    if (times[*b - 1] >= w->high) {
        *b = ZJ_ISA(from)(times, *a, *b, w->high);
        *whole = !w->high_cut;
        return *a < *b || !*whole;
    }
    return *a < *b;
}

/* Bucket of the start at a (-1 = none), and where the starts of that bucket end. */
ZJ_TARGET ZJ_INLINE uint32_t ZJ_ISA(bucket)(const zj_runs *w, const ZJ_TIME *times, uint32_t a, uint32_t b,
                                            int32_t *bucket) {
    if (w->edge == NULL) return b;
    const int32_t found = sizeof(ZJ_TIME) == 4 ? zj_bucket(&w->bucket, (uint32_t)times[a])
                                               : zj_bucket_search(w->ask->edges, w->ask->buckets, w->origin + (int64_t)times[a]);
    if (found < 0 || found >= w->ask->buckets) {
        *bucket = -1;
        return a + 1;
    }
    *bucket = found;
    for (a++; a < b && times[a] < w->edge[found + 1]; a++) {}
    return a;
}

/* Rows of a step that can be reached from the list (key, start + add)[n], n >= 1: their starts into
 * `out`, ZJ_W of room beyond; rows after `limit` are left out, *m gets how many were not. Returns the
 * earliest reached row's start (1 + time), ZJ_NONE when no row is reached. *tied: at ZJ_TIE_ASK,
 * a row and an entry share an instant. REQUIRES: rows[*m - 1] lies before `end`. */
ZJ_TARGET ZJ_INLINE ZJ_TIME ZJ_ISA(step)(const ZJ_TIME *key, const ZJ_TIME *start, uint32_t add, uint32_t n,
                                         const ZJ_TIME *rows, uint32_t *m, const ZJ_TIME *end, int tie,
                                         ZJ_TIME window, ZJ_TIME limit, ZJ_TIME *out, int *tied) {
    ZJ_VECTOR place = ZJ_ALL(0), first = ZJ_ALL(ZJ_NONE), same = ZJ_ALL(0);
    for (uint32_t i = 0; i < ZJ_W; i++) place[i] = i;
    uint32_t j = 0;
    ZJ_TIME carry = 0;
    for (uint32_t i = 0; i < *m; i += ZJ_W) {
        if (rows[i] > limit) {
            *m = i;
            break;
        }
        const uint32_t left = *m - i;
        const ZJ_TIME last = rows[i + (left < ZJ_W ? left : ZJ_W) - 1];
        ZJ_VECTOR row, taken = ZJ_ALL(carry);
        if ((size_t)(end - (rows + i)) >= ZJ_W) {
            memcpy(&row, rows + i, sizeof row);
        } else {
            ZJ_TIME tail[ZJ_W] = {0};
            memcpy(tail, rows + i, (size_t)(end - (rows + i)) * sizeof(ZJ_TIME));
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

/* Highest level of the starts times[0, n) of step 1 by the user at u of the block, and the start of its
 * first chain; level 0 = ask the other kernel, -1 = no memory. */
ZJ_TARGET ZJ_INLINE int ZJ_ISA(level)(zj_runs *w, uint32_t u, const ZJ_TIME *times, uint32_t n, ZJ_TIME *found) {
    const ZJ_TIME *key = times, *start = times, window = (ZJ_TIME)w->window;
    const ZJ_TIME limit = times[n - 1] > (ZJ_TIME)~window ? ZJ_NONE : times[n - 1] + window;
    uint32_t add = 1;
    int level = 1, tied = 0;
    *found = *key + 1;
    for (; level < w->k && w->step[level].len[u]; level++) {
        const zj_step *step = &w->step[level];
        const ZJ_TIME *rows = (const ZJ_TIME *)step->rows + step->start[u], *end = (const ZJ_TIME *)step->rows + step->end;
        uint32_t m = step->len[u];
        ZJ_TIME first;
        if (zj_room_fit(&w->starts[level & 1], m + ZJ_W, sizeof(ZJ_TIME)) != ZJ_OK) return -1;
        ZJ_TIME *out = (ZJ_TIME *)w->starts[level & 1].own;
        for (; m > ZJ_W && rows[ZJ_W - 1] < *key; m -= ZJ_W) rows += ZJ_W;
        switch (w->tie[level]) {
        case ZJ_TIE_AFTER:
            first = ZJ_ISA(step)(key, start, add, n, rows, &m, end, ZJ_TIE_AFTER, window, limit, out, &tied);
            break;
        case ZJ_TIE_BEFORE:
            first = ZJ_ISA(step)(key, start, add, n, rows, &m, end, ZJ_TIE_BEFORE, window, limit, out, &tied);
            break;
        default:
            first = ZJ_ISA(step)(key, start, add, n, rows, &m, end, ZJ_TIE_ASK, window, limit, out, &tied);
            if (tied) return 0;
        }
        if (first == ZJ_NONE) break;
        *found = first;
        key = rows;
        start = out;
        n = m;
        add = 0;
    }
    return level;
}

/* Notes the cell of the chain that starts at `start`, in the row of that time first after a. False: which
 * row that is, is not clear. */
ZJ_TARGET ZJ_INLINE int ZJ_ISA(note)(zj_runs *w, uint32_t u, uint32_t a, ZJ_TIME start, int32_t bucket, int level) {
    const zj_step *step = &w->step[0];
    uint32_t group = 0;
    if (step->code) {
        const ZJ_TIME *times = (const ZJ_TIME *)step->rows + step->start[u];
        while (times[a] < start) a++;
        if (step->same[u] && a + 1 < step->len[u] && times[a + 1] == start) return 0;
        group = step->code[step->start[u] + a];
        if (group >= w->ask->groups) return 1;
    }
    const int64_t buckets = w->edge ? w->ask->buckets : 1;
    w->cell[w->pending++] = ((int64_t)group * buckets + bucket) * w->stride + level;
    return 1;
}

/* Counts the user at u of the block. */
ZJ_TARGET ZJ_INLINE int ZJ_ISA(user)(zj_runs *w, uint32_t u, uint32_t user) {
    const ZJ_TIME *times = (const ZJ_TIME *)w->step[0].rows + w->step[0].start[u];
    uint32_t a = 0, b = w->step[0].len[u];
    int whole = 1;
    if (!ZJ_ISA(trim)(w, times, &a, &b, &whole)) return ZJ_OK;
    w->pending = 0;
    while (a < b && whole) {
        int32_t bucket = 0;
        const uint32_t stop = ZJ_ISA(bucket)(w, times, a, b, &bucket);
        if (bucket >= 0) {
            ZJ_TIME found = 0;
            const int level = ZJ_ISA(level)(w, u, times + a, stop - a, &found);
            if (level < 0) return ZJ_NO_MEMORY;
            whole = level > 0 && ZJ_ISA(note)(w, u, a, found - 1, bucket, level);
        }
        a = stop;
    }
    if (!whole) return zj_runs_leave(w, user);
    for (size_t i = 0; i < w->pending; i++) w->cells[w->cell[i]]++;
    if (w->ask->complete && user < w->ask->room)
        for (size_t i = 0; i < w->pending; i++)
            if (w->cell[i] % w->stride == w->stride - 1) w->ask->complete[user] = 1;
    return ZJ_OK;
}

/* Counts all users. Returns ZJ_REJECTED when too many are left over. */
ZJ_TARGET static int ZJ_ISA(count)(zj_runs *w) {
    const uint32_t block = 1u << w->block_bits;
    size_t users = 0;
    for (;;) {
        uint32_t base = zj_runs_next(w), rows = block;
        if (base == ZJ_END) return ZJ_OK;
        base = base >> w->block_bits << w->block_bits;
        for (int s = 0; s < w->k; s++) {
            const int status = ZJ_ISA(block)(w, s, base, block, &rows);
            if (status != ZJ_OK) return status;
        }
        for (uint32_t u = 0; u < block; u++) {
            if (!w->step[0].len[u] || !zj_allowed(w->guard, base + u)) continue;
            users++;
            const int status = ZJ_ISA(user)(w, u, base + u);
            if (status != ZJ_OK) return status;
        }
        if (w->left > 4096 && w->left > users / 4) return ZJ_REJECTED;
        if (zj_stop(w->guard, rows)) return ZJ_CANCELLED;
    }
}

#undef ZJ_VECTOR
#undef ZJ_V
#undef ZJ_ALL
#undef ZJ_NONE
#undef ZJ_ISA
#undef ZJ_TARGET
#undef ZJ_TIME
#undef ZJ_W
