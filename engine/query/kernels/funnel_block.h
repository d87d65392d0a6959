/* The rows of one step of a block of users, each user's in order of time, for one vector width and type
 * of time. Included by funnel_runs.h before funnel_step.h, with the same names.
 *
 * Where one source alone has rows of the block, they are read where they lie, or where its matching rows do.
 * Otherwise rows are copied to a place a user, large enough for its rows and a vector beyond: source after
 * source, so that each is read forward, and whole vectors at a time, as most slices are shorter than one.
 * Sources mostly follow each other in time; a slice that begins before the user's last row is merged.
 * O(slices + rows), in the second cache.
 */

#define ZJ_V (ZJ_W < 8 ? ZJ_W : 8) /* rows copied at once: most slices are shorter */
typedef ZJ_TIME ZJ_ISA(moved) __attribute__((vector_size(sizeof(ZJ_TIME) * ZJ_V)));
typedef uint32_t ZJ_ISA(short) __attribute__((vector_size(sizeof(uint32_t) * ZJ_V)));

/* Rows [a, b) of the n of a slice's source, a vector at a time: up to ZJ_W - 1 rows too many. */
ZJ_TARGET ZJ_INLINE void ZJ_ISA(copy)(const uint32_t *from, uint32_t a, uint32_t b, uint32_t n, int64_t shift,
                                      ZJ_TIME *out) {
    for (; a < b; a += ZJ_V, out += ZJ_V) {
        ZJ_ISA(short) rows = {0};
        if (n - a >= ZJ_V) memcpy(&rows, from + a, sizeof rows);
        else memcpy(&rows, from + a, (size_t)(n - a) * sizeof(uint32_t));
        const ZJ_ISA(moved) moved = __builtin_convertvector(rows, ZJ_ISA(moved)) + (ZJ_TIME)shift;
        memcpy(out, &moved, sizeof moved);
    }
}

ZJ_TARGET ZJ_INLINE void ZJ_ISA(copy_codes)(const uint32_t *from, uint32_t a, uint32_t b, uint32_t *out) {
    for (; a < b; a++) *out++ = from ? from[a] : 0;
}

/* Brings rows[0, middle) and rows[middle, n), each in order, into one order. *same: some of both share an
 * instant. */
ZJ_TARGET __attribute__((noinline)) static int ZJ_ISA(merge)(zj_runs *w, ZJ_TIME *rows, uint32_t *code, uint32_t middle, uint32_t n,
                                   uint8_t *same) {
    uint32_t i = middle, j = n - middle;
    if (zj_room_fit(&w->spare, j, sizeof(ZJ_TIME)) != ZJ_OK || zj_room_fit(&w->spare_code, j, 4) != ZJ_OK)
        return ZJ_NO_MEMORY;
    ZJ_TIME *later = (ZJ_TIME *)w->spare.own;
    uint32_t *later_code = (uint32_t *)w->spare_code.own;
    memcpy(later, rows + middle, j * sizeof(ZJ_TIME));
    if (code) memcpy(later_code, code + middle, j * sizeof(uint32_t));
    while (j) { /* from the end: most often only few rows overlap */
        const uint32_t to = i + j - 1;
        const int left = i && rows[i - 1] > later[j - 1];
        *same |= i && rows[i - 1] == later[j - 1];
        if (code) code[to] = left ? code[i - 1] : later_code[j - 1];
        rows[to] = left ? rows[i - 1] : later[j - 1];
        i -= (uint32_t)left;
        j -= (uint32_t)!left;
    }
    return ZJ_OK;
}

/* Adds the slices of one source behind the rows that their users have. */
ZJ_TARGET ZJ_INLINE int ZJ_ISA(add)(zj_runs *w, zj_step *step, const zj_source *from, const zj_slices *slices,
                                    uint32_t block, int cut, int coded) {
    ZJ_TIME *const all = (ZJ_TIME *)step->own.own;
    uint32_t *const codes = (uint32_t *)step->own_code.own;
    uint32_t *const fill = w->fill;
    uint64_t *const after = w->after;
    const zj_slices s = *slices;
    const int64_t shift = from->shift, low = from->low, high = from->high;
    for (uint32_t i = 0; i < s.count; i++) {
        const uint32_t u = s.users[i] & (block - 1), at = fill[u];
        uint32_t a = s.offsets[i], b = s.offsets[i + 1];
        if (cut) zj_slice_cut(s.times, low, high, &a, &b);
        if (a == b) continue;
        const ZJ_TIME first = (ZJ_TIME)s.times[a] + (ZJ_TIME)shift;
        const uint64_t end = (uint64_t)(ZJ_TIME)((ZJ_TIME)s.times[b - 1] + (ZJ_TIME)shift) + 1;
        ZJ_ISA(copy)(s.times, a, b, s.n, shift, all + at);
        if (coded) ZJ_ISA(copy_codes)(s.code, a, b, codes + at);
        fill[u] = at + (b - a);
        if (after[u] > first) { /* not behind the user's last row */
            const uint32_t start = step->start[u];
            if (ZJ_ISA(merge)(w, all + start, coded ? codes + start : NULL, at - start, at - start + (b - a), &step->same[u]) != ZJ_OK)
                return ZJ_NO_MEMORY;
        }
        after[u] = after[u] > end ? after[u] : end;
    }
    return ZJ_OK;
}

/* A place for each user of the block, for the rows that all its slices have. */
ZJ_TARGET __attribute__((noinline)) static int ZJ_ISA(place)(zj_runs *w, zj_step *step, const zj_slices *slices, uint32_t block) {
    uint32_t at = 0;
    for (uint32_t s = 0; s < step->sources; s++)
        for (uint32_t i = 0; i < slices[s].count; i++)
            step->len[slices[s].users[i] & (block - 1)] += slices[s].offsets[i + 1] - slices[s].offsets[i];
    for (uint32_t u = 0; u < block; u++) {
        step->start[u] = at;
        at += step->len[u] ? step->len[u] + ZJ_W : 0;
    }
    memcpy(w->fill, step->start, block * sizeof *w->fill);
    memset(w->after, 0, block * sizeof *w->after);
    step->end = at;
    return zj_room_fit(&step->own, at, sizeof(ZJ_TIME)) != ZJ_OK || zj_room_fit(&step->own_code, step->coded ? at : 0, 4) != ZJ_OK
               ? ZJ_NO_MEMORY
               : ZJ_OK;
}

/* Rows of step s of the users in [base, base + block); *rows += how many were read. */
ZJ_TARGET __attribute__((noinline)) static int ZJ_ISA(block)(zj_runs *w, int s, uint32_t base, uint32_t block, uint32_t *rows) {
    zj_step *step = &w->step[s];
    zj_slices *slices = w->slices;
    memset(step->len, 0, block * sizeof *step->len);
    memset(step->same, 0, block);
    uint32_t filled = 0, only = 0;
    for (uint32_t i = 0; i < step->sources; i++) {
        if (zj_source_block(&step->source[i], base, block, &step->picked[i], step->coded, &slices[i], rows) != ZJ_OK)
            return ZJ_NO_MEMORY;
        if (slices[i].count) {
            only = i;
            filled++;
        }
    }
    if (!w->cut && filled < 2) { /* times of all sources count from the origin */
        slices += only;
        for (uint32_t i = 0; i < slices->count; i++) {
            const uint32_t u = slices->users[i] & (block - 1), a = slices->offsets[i];
            step->start[u] = a;
            step->len[u] = slices->offsets[i + 1] - a;
        }
        step->rows = slices->times;
        step->code = slices->code;
        step->end = slices->n;
        return ZJ_OK;
    }
    if (ZJ_ISA(place)(w, step, slices, block) != ZJ_OK) return ZJ_NO_MEMORY;
    for (uint32_t i = 0; i < step->sources; i++) {
        const zj_source *from = &step->source[i];
        int status;
        if (w->cut) status = ZJ_ISA(add)(w, step, from, &slices[i], block, 1, step->coded);
        else if (step->coded) status = ZJ_ISA(add)(w, step, from, &slices[i], block, 0, 1);
        else status = ZJ_ISA(add)(w, step, from, &slices[i], block, 0, 0);
        if (status != ZJ_OK) return status;
    }
    for (uint32_t u = 0; u < block; u++) step->len[u] = w->fill[u] - step->start[u];
    step->rows = step->own.own;
    step->code = step->coded ? (const uint32_t *)step->own_code.own : NULL;
    return ZJ_OK;
}
