/* Sums of values by cell that keep what rounding takes off: Knuth's two-sum, twice the digits of a double. */
#ifndef ZUJI_CELL_SUMS_H
#define ZUJI_CELL_SUMS_H

#include "lanes.h"

/* sum[c] + lost[c] += value[i] (+ rest[i]) for c = cell[i]. Cells from `size` on are left out. O(n). */
static void zj_cell_sums(const uint32_t *cell, const double *value, const double *rest, size_t n, size_t size,
                         double *sum, double *lost) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t c = cell[i];
        if (c >= size) continue;
        const double x = value[i], before = sum[c], total = before + x, back = total - before;
        const double left = (before - (total - back)) + (x - back) + (rest ? rest[i] : 0.0);
        sum[c] = total;
        lost[c] += total - total == 0.0 ? left : 0.0; /* an infinite sum stays infinite */
    }
}

/* count[c] += 1, a[c] += x[i], b[c] += y[i] for c = cell[i]. Cells from `size` on are left out. O(n). */
static void zj_cell_counts(const uint32_t *cell, const int64_t *x, const int64_t *y, size_t n, size_t size,
                           int64_t *count, int64_t *a, int64_t *b) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t c = cell[i];
        if (c >= size) continue;
        count[c]++;
        a[c] += x[i];
        b[c] += y[i];
    }
}

#endif
