/* Retention from sets of users: cohorts and returns are rows of bits, a cell is the size of an
 * intersection.
 *
 * A row (users of one period) is the union of parts (days of runs). Rows are put together block by
 * block of ZB_BLOCK words in a scratch area that stays in the first levels of cache; all cells are
 * counted in it before the next block. O(words * (parts + P * n)).
 */
#ifndef ZUJI_RETENTION_BITS_H
#define ZUJI_RETENTION_BITS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ZB_BLOCK = 64 };
enum { ZB_FIRST_IN_RANGE = 0, ZB_FIRST_EVER = 1, ZB_RECURRING = 2 };
enum { ZB_ON = 0, ZB_ON_OR_AFTER = 1, ZB_ON_OR_BEFORE = 2, ZB_CONSECUTIVE = 3, ZB_BRACKET = 4 };

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__gnu_linux__) && \
    !defined(__SANITIZE_ADDRESS__)
#define ZB_DISPATCH 1
#define ZB_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ZB_CLONES
#endif

/* Users of the days of one run; multi: those with two rows or more on the day, or NULL. */
typedef struct {
    const uint64_t *users, *multi; /* [days, words] */
    size_t words;
} zb_days;

/* Rows as unions: row r is the days (day[i] of run[i]) with offsets[r] <= i < offsets[r + 1]. */
typedef struct {
    const int32_t *offsets, *run, *day;
} zb_rows;

typedef struct {
    const zb_days *days;
    zb_rows start, back, zero, before; /* zero: offsets NULL = back; before: one row */
    const uint64_t *allowed;           /* [words] or NULL */
    size_t words;
    int periods, n;
    int cohort, criterion;
    const int32_t *bracket;
    int k_count;
    const uint8_t *cancel;
    int64_t *size, *returned; /* [P], [P, K] */
} zb_retention;

typedef struct {
    uint64_t *start, *back, *zero; /* [rows, ZB_BLOCK] */
    uint64_t seen[ZB_BLOCK], row[ZB_BLOCK], acc[ZB_BLOCK];
} zb_scratch;

#define ZB_COUNT_BODY                                                                          \
    int64_t total = 0;                                                                         \
    for (int i = 0; i < ZB_BLOCK; i++) total += __builtin_popcountll(a[i] & b[i]);             \
    return total;

static int64_t zb_both_plain(const uint64_t *a, const uint64_t *b) { ZB_COUNT_BODY }
#ifdef ZB_DISPATCH
__attribute__((target("popcnt"))) static int64_t zb_both_popcnt(const uint64_t *a, const uint64_t *b) {
    ZB_COUNT_BODY
}
__attribute__((target("avx512f,avx512vpopcntdq,prefer-vector-width=512"))) static int64_t zb_both_512(
    const uint64_t *a, const uint64_t *b) {
    ZB_COUNT_BODY
}
#endif

typedef int64_t (*zb_counter)(const uint64_t *, const uint64_t *);

/* Bits set in both blocks, by the best code of this CPU; level 0 plain, 1 popcnt, 2 AVX-512, -1 best. */
static zb_counter zb_both(int level) {
#ifdef ZB_DISPATCH
    __builtin_cpu_init();
    if ((level < 0 || level == 2) && __builtin_cpu_supports("avx512vpopcntdq")) return zb_both_512;
    if (level != 0 && __builtin_cpu_supports("popcnt")) return zb_both_popcnt;
#endif
    (void)level;
    return zb_both_plain;
}

/* Words of block `at` that a row of `words` has. */
static size_t zb_in_block(size_t words, size_t at) {
    return words <= at ? 0 : words - at < ZB_BLOCK ? words - at : ZB_BLOCK;
}

/* One block of row r; returns whether any bit is set. */
ZB_CLONES static int zb_load(const zb_retention *q, const zb_rows *rows, int r, size_t at, uint64_t *out) {
    uint64_t any = 0;
    memset(out, 0, ZB_BLOCK * sizeof *out);
    for (int32_t i = rows->offsets[r]; i < rows->offsets[r + 1]; i++) {
        const zb_days *days = &q->days[rows->run[i]];
        const uint64_t *bits = days->users + (size_t)rows->day[i] * days->words + at;
        const size_t m = zb_in_block(days->words, at);
        for (size_t w = 0; w < m; w++) out[w] |= bits[w];
    }
    for (int w = 0; w < ZB_BLOCK; w++) any |= out[w];
    return any != 0;
}

/* One block of the users with two rows or more in row r: twice on a day, or on two of its days. */
ZB_CLONES static void zb_load_again(const zb_retention *q, const zb_rows *rows, int r, size_t at, uint64_t *once,
                          uint64_t *out) {
    memset(out, 0, ZB_BLOCK * sizeof *out);
    memset(once, 0, ZB_BLOCK * sizeof *once);
    for (int32_t i = rows->offsets[r]; i < rows->offsets[r + 1]; i++) {
        const zb_days *days = &q->days[rows->run[i]];
        const size_t first = (size_t)rows->day[i] * days->words + at, m = zb_in_block(days->words, at);
        const uint64_t *bits = days->users + first, *multi = days->multi + first;
        for (size_t w = 0; w < m; w++) {
            out[w] |= multi[w] | (once[w] & bits[w]);
            once[w] |= bits[w];
        }
    }
}

/* Cohort rows from start rows, in place: of first kinds a user keeps only the first row. */
static void zb_cohorts(const zb_retention *q, zb_scratch *s, size_t at) {
    if (q->cohort == ZB_RECURRING) return;
    memset(s->seen, 0, sizeof s->seen);
    if (q->cohort == ZB_FIRST_EVER) zb_load(q, &q->before, 0, at, s->seen);
    for (int p = 0; p < q->periods; p++) {
        uint64_t *row = s->start + (size_t)p * ZB_BLOCK;
        for (int w = 0; w < ZB_BLOCK; w++) {
            const uint64_t there = row[w];
            row[w] = there & ~s->seen[w];
            s->seen[w] |= there;
        }
    }
}

/* acc = acc | row, or acc & row. */
ZB_CLONES static void zb_join(uint64_t *acc, const uint64_t *row, int both) {
    for (int w = 0; w < ZB_BLOCK; w++) acc[w] = both ? acc[w] & row[w] : acc[w] | row[w];
}

/* Adds one block of cohort p to its cells. `filled` says of each return row whether it has a bit. */
static void zb_cells(const zb_retention *q, zb_scratch *s, int p, zb_counter both, const uint8_t *filled) {
    const uint64_t *cohort = s->start + (size_t)p * ZB_BLOCK;
    const uint64_t *zero = s->zero ? s->zero + (size_t)p * ZB_BLOCK : s->back + (size_t)p * ZB_BLOCK;
    const uint64_t *back = s->back + (size_t)p * ZB_BLOCK;
    int64_t *cells = q->returned + (size_t)p * (size_t)q->k_count;
    const int n = q->n;
    memset(s->acc, 0, sizeof s->acc);
    switch (q->criterion) {
    case ZB_ON:
        cells[0] += both(cohort, zero);
        for (int k = 1; k <= n; k++)
            if (filled[p + k]) cells[k] += both(cohort, back + (size_t)k * ZB_BLOCK);
        break;
    case ZB_ON_OR_AFTER:
        for (int k = n; k >= 0; k--) {
            zb_join(s->acc, k ? back + (size_t)k * ZB_BLOCK : zero, 0);
            cells[k] += both(cohort, s->acc);
        }
        break;
    case ZB_BRACKET:
        for (int b = 0; b < q->k_count; b++) {
            memset(s->acc, 0, sizeof s->acc);
            for (int k = q->bracket[2 * b]; k <= q->bracket[2 * b + 1]; k++)
                zb_join(s->acc, k ? back + (size_t)k * ZB_BLOCK : zero, 0);
            cells[b] += both(cohort, s->acc);
        }
        break;
    default: /* on or before, consecutive: period 0 by itself, then from 1 on */
        cells[0] += both(cohort, zero);
        if (q->criterion == ZB_CONSECUTIVE) memset(s->acc, 0xFF, sizeof s->acc);
        for (int k = 1; k <= n; k++) {
            zb_join(s->acc, back + (size_t)k * ZB_BLOCK, q->criterion == ZB_CONSECUTIVE);
            cells[k] += both(cohort, s->acc);
        }
    }
}

/* Adds sizes and returns of all cohorts. Returns 0, 1 when cancelled, 2 without memory. */
static int zb_retention_run(const zb_retention *q, int level) {
    const size_t P = (size_t)q->periods, Q = P + (size_t)q->n;
    const zb_counter both = zb_both(level);
    zb_scratch s;
    uint8_t *filled = (uint8_t *)malloc(Q);
    s.start = (uint64_t *)malloc((2 * P + Q) * ZB_BLOCK * sizeof(uint64_t));
    if (s.start == NULL || filled == NULL) {
        free(s.start);
        free(filled);
        return 2;
    }
    s.back = s.start + P * ZB_BLOCK;
    s.zero = q->zero.offsets ? s.back + Q * ZB_BLOCK : NULL;
    int status = 0;
    for (size_t at = 0; at < q->words && status == 0; at += ZB_BLOCK) {
        for (int p = 0; p < q->periods; p++) {
            uint64_t *row = s.start + (size_t)p * ZB_BLOCK;
            if (!zb_load(q, &q->start, p, at, row) || q->allowed == NULL) continue;
            const size_t m = zb_in_block(q->words, at);
            for (size_t w = 0; w < m; w++) row[w] &= q->allowed[at + w];
            for (size_t w = m; w < ZB_BLOCK; w++) row[w] = 0;
        }
        zb_cohorts(q, &s, at);
        for (size_t r = 0; r < Q; r++)
            filled[r] = (uint8_t)zb_load(q, &q->back, (int)r, at, s.back + r * ZB_BLOCK);
        for (int p = 0; p < q->periods && status == 0; p++) {
            const uint64_t *row = s.start + (size_t)p * ZB_BLOCK;
            if (q->cancel != NULL && *(const volatile uint8_t *)q->cancel) status = 1; /* n brackets: n * n rows */
            const int64_t members = both(row, row);
            if (s.zero) zb_load_again(q, &q->zero, p, at, s.row, s.zero + (size_t)p * ZB_BLOCK);
            q->size[p] += members;
            if (members) zb_cells(q, &s, p, both, filled);
        }
    }
    free(s.start);
    free(filled);
    return status;
}

#endif
