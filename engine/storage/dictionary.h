/* Byte strings in bulk, for the dictionaries of segments: ranks by byte order, and which strings a
 * predicate holds for.
 *
 * Sorting is multikey quicksort (Bentley, Sedgewick 1997) by eight bytes at a time, kept beside each
 * string: strings that share a long beginning, as URLs do, are compared once for each eight bytes of
 * it, not once for each comparison. O(n log n + bytes) expected.
 * Threads: pure functions.
 */
#ifndef ZUJI_DICTIONARY_H
#define ZUJI_DICTIONARY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint64_t key; /* eight bytes from the present depth on, first byte highest, zeros past the end */
    const uint8_t *text;
    uint32_t length, number;
} zj_word;

static inline uint64_t zj_word_key(const uint8_t *text, uint32_t length, uint32_t depth) {
    uint64_t key = 0;
    if (length >= depth + 8u) {
        memcpy(&key, text + depth, 8);
        return __builtin_bswap64(key);
    }
    if (length > depth) {
        memcpy(&key, text + depth, length - depth);
        key = __builtin_bswap64(key);
    }
    return key;
}

/* Whether a word ends within its key. */
static inline int zj_word_ends(const zj_word *w, uint32_t depth) { return w->length <= depth + 8u; }

static inline void zj_word_swap(zj_word *a, zj_word *b) {
    const zj_word c = *a;
    *a = *b;
    *b = c;
}

/* Whether a comes before b, both from `depth` on, with keys in place. */
static inline int zj_word_before(const zj_word *a, const zj_word *b, uint32_t depth) {
    if (a->key != b->key) return a->key < b->key;
    const uint32_t from = depth + 8u;
    if (a->length <= from || b->length <= from) return a->length < b->length;
    const uint32_t shorter = a->length < b->length ? a->length : b->length;
    const int order = memcmp(a->text + from, b->text + from, shorter - from);
    return order ? order < 0 : a->length < b->length;
}

/* Sorts n words whose first `depth` bytes are equal and whose keys are those at `depth`. Recursion
 * goes into the smaller parts only. */
static void zj_sort_words(zj_word *w, int64_t n, uint32_t depth, uint64_t *chance) {
    while (n > 1) {
        if (n <= 12) {
            for (int64_t i = 1; i < n; i++) {
                const zj_word x = w[i];
                int64_t at = i;
                for (; at > 0 && zj_word_before(&x, &w[at - 1], depth); at--) w[at] = w[at - 1];
                w[at] = x;
            }
            return;
        }
        /* Places that a client cannot foresee, so that no order of arrival makes this quadratic. */
        *chance = *chance * 6364136223846793005u + 1442695040888963407u;
        const uint64_t a = w[(*chance >> 33) % (uint64_t)n].key, b = w[n / 2].key;
        const uint64_t c = w[(*chance >> 12) % (uint64_t)n].key;
        const uint64_t middle = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        int64_t less = 0, at = 0, more = n;
        while (at < more) {
            if (w[at].key < middle) zj_word_swap(&w[less++], &w[at++]);
            else if (w[at].key > middle) zj_word_swap(&w[at], &w[--more]);
            else at++;
        }
        /* Of the equal ones those that end within the key come first, by length: zeros at the end of
         * a longer string look like the end of a shorter one. */
        int64_t ended = less;
        for (int64_t i = less; i < more; i++)
            if (zj_word_ends(&w[i], depth)) zj_word_swap(&w[ended++], &w[i]);
        int64_t sorted = less;
        for (uint32_t length = depth; length <= depth + 8u && sorted < ended; length++)
            for (int64_t i = sorted; i < ended; i++)
                if (w[i].length == length) zj_word_swap(&w[sorted++], &w[i]);
        for (int64_t i = ended; i < more; i++) w[i].key = zj_word_key(w[i].text, w[i].length, depth + 8u);
        /* Three parts are left: before, equal and longer, after. The largest one last, in this loop. */
        struct { zj_word *from; int64_t count; uint32_t depth; } part[3] = {
            {w, less, depth}, {w + ended, more - ended, depth + 8u}, {w + more, n - more, depth}};
        int largest = 0;
        for (int i = 1; i < 3; i++)
            if (part[i].count > part[largest].count) largest = i;
        for (int i = 0; i < 3; i++)
            if (i != largest) zj_sort_words(part[i].from, part[i].count, part[i].depth, chance);
        w = part[largest].from;
        n = part[largest].count;
        depth = part[largest].depth;
    }
}

/* ---- merging. The key of a word is how many bytes it shares with the word before it in its list. ------ */

/* Bytes that two strings of at least `n` bytes share, of which the first `from` are known to be. */
static inline uint32_t zj_common(const uint8_t *a, const uint8_t *b, uint32_t from, uint32_t n) {
    for (; from + 8u <= n; from += 8u) {
        uint64_t x, y;
        memcpy(&x, a + from, 8);
        memcpy(&y, b + from, 8);
        if (x != y) return from + (uint32_t)__builtin_ctzll(x ^ y) / 8u;
    }
    while (from < n && a[from] == b[from]) from++;
    return from;
}

/* Bytes that a and b share, the first `from` being known; *order < 0, 0, > 0 as a is to b. */
static inline uint32_t zj_word_common(const zj_word *a, const zj_word *b, uint32_t from, int *order) {
    const uint32_t shorter = a->length < b->length ? a->length : b->length;
    const uint32_t common = zj_common(a->text, b->text, from, shorter);
    if (common < shorter) *order = a->text[common] < b->text[common] ? -1 : 1;
    else *order = a->length < b->length ? -1 : a->length > b->length;
    return common;
}

/* Fills in the keys of a list; whether it ascends. */
static int zj_words_ascend(zj_word *w, int64_t n) {
    int order = -1;
    if (n > 0) w[0].key = 0;
    for (int64_t i = 1; i < n && order <= 0; i++) w[i].key = zj_word_common(&w[i - 1], &w[i], 0, &order);
    return order <= 0;
}

/* Merges two ascending lists with keys into one. No byte is looked at twice: of two heads the one that
 * shares more with the last word written comes first, and only equals are compared, from there on. */
static void zj_merge_two(const zj_word *a, const zj_word *a_end, const zj_word *b, const zj_word *b_end,
                         zj_word *out) {
    uint64_t in_a = 0, in_b = 0; /* bytes shared with the last word written */
    while (a < a_end && b < b_end) {
        int first = in_a > in_b; /* a goes first */
        uint32_t common = 0;
        const uint64_t shared = first ? in_a : in_b;
        if (in_a == in_b) {
            int order;
            common = zj_word_common(a, b, (uint32_t)in_a, &order);
            first = order <= 0;
            if (first) in_b = common;
            else in_a = common;
        }
        *out = first ? *a++ : *b++;
        out++->key = shared;
        if (first) in_a = a < a_end ? a->key : 0;
        else in_b = b < b_end ? b->key : 0;
    }
    /* What is left shares with the last word written what was counted for its head. */
    if (a < a_end) {
        memcpy(out, a, (size_t)(a_end - a) * sizeof *a);
        out->key = in_a;
    } else if (b < b_end) {
        memcpy(out, b, (size_t)(b_end - b) * sizeof *b);
        out->key = in_b;
    }
}

/* Merges `parts` lists with keys, cut at cuts[0 .. parts]; spare: as many words. Returns where the one
 * list is. Destroys cuts. O(n log parts + bytes). */
static zj_word *zj_merge_words(zj_word *w, zj_word *spare, int64_t *cuts, int64_t parts) {
    while (parts > 1) {
        int64_t left = 0;
        for (int64_t i = 0; i < parts; i += 2) {
            const int64_t end = i + 2 <= parts ? cuts[i + 2] : cuts[parts];
            const int64_t middle = i + 2 <= parts ? cuts[i + 1] : end;
            zj_merge_two(w + cuts[i], w + middle, w + middle, w + end, spare + cuts[i]);
            cuts[left++] = cuts[i];
            if (i + 2 >= parts) cuts[left] = end;
        }
        parts = left;
        zj_word *other = w;
        w = spare;
        spare = other;
    }
    return w;
}

/* ---- predicates: flags[i] = 1 where one holds for string i, data[offsets[i] .. offsets[i + 1]) --------
 * REQUIRES everywhere: 0 <= offsets[i] <= offsets[i + 1] <= length of data. */

static inline int zj_text_order(const uint8_t *a, size_t n, const uint8_t *b, size_t m) {
    const size_t shorter = n < m ? n : m;
    const int order = shorter ? memcmp(a, b, shorter) : 0;
    return order ? order : n < m ? -1 : n > m;
}

/* First of n ascending strings that is not before p[0..m), or with `after` that is after it. */
static inline int64_t zj_text_bound(const uint8_t *data, const int64_t *offsets, int64_t n,
                                    const uint8_t *p, size_t m, int after) {
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const size_t size = (size_t)(offsets[middle + 1] - offsets[middle]);
        if (zj_text_order(data + offsets[middle], size, p, m) < after) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Equal to one of `count` wanted strings, which ascend. O(count log n) when the n strings ascend too,
 * else O(n log count). */
static void zj_flag_equal(const uint8_t *data, const int64_t *offsets, int64_t n, int ordered,
                          const uint8_t *wanted, const int64_t *bounds, int64_t count,
                          uint8_t *flags) {
    const int64_t steps = ordered ? count : n;
    memset(flags, 0, (size_t)n);
    for (int64_t i = 0; i < steps; i++) {
        const uint8_t *p = ordered ? wanted + bounds[i] : data + offsets[i];
        const size_t size = (size_t)(ordered ? bounds[i + 1] - bounds[i] : offsets[i + 1] - offsets[i]);
        const uint8_t *in = ordered ? data : wanted;
        const int64_t *cuts = ordered ? offsets : bounds;
        const int64_t at = zj_text_bound(in, cuts, ordered ? n : count, p, size, 0);
        if (at == (ordered ? n : count) || (size_t)(cuts[at + 1] - cuts[at]) != size) continue;
        if (size == 0 || memcmp(in + cuts[at], p, size) == 0) flags[ordered ? at : i] = 1;
    }
}

enum { ZJ_CONTAINS = 0, ZJ_STARTS = 1, ZJ_ENDS = 2 };

/* Has p[0..m) somewhere, at its start or at its end. O(bytes). */
static void zj_flag_part(const uint8_t *data, const int64_t *offsets, int64_t n, int where,
                         const uint8_t *p, size_t m, uint8_t *flags) {
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *text = data + offsets[i];
        const size_t size = (size_t)(offsets[i + 1] - offsets[i]);
        if (m == 0 || size < m) flags[i] = m == 0;
        else if (where == ZJ_STARTS) flags[i] = memcmp(text, p, m) == 0;
        else if (where == ZJ_ENDS) flags[i] = memcmp(text + size - m, p, m) == 0;
        else flags[i] = memmem(text, size, p, m) != NULL;
    }
}

/* Not before `low` (with low_open: after it) and not after `high` (with high_open: before it), bytewise;
 * NULL leaves a side open. O(log n + n / 64) when the strings ascend, else O(n). */
static void zj_flag_range(const uint8_t *data, const int64_t *offsets, int64_t n, int ordered,
                          const uint8_t *low, size_t low_size, int low_open, const uint8_t *high,
                          size_t high_size, int high_open, uint8_t *flags) {
    if (ordered) {
        const int64_t from = low ? zj_text_bound(data, offsets, n, low, low_size, low_open) : 0;
        const int64_t to = high ? zj_text_bound(data, offsets, n, high, high_size, !high_open) : n;
        memset(flags, 0, (size_t)n);
        if (to > from) memset(flags + from, 1, (size_t)(to - from));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *text = data + offsets[i];
        const size_t size = (size_t)(offsets[i + 1] - offsets[i]);
        flags[i] = (!low || zj_text_order(text, size, low, low_size) >= low_open) &&
                   (!high || zj_text_order(text, size, high, high_size) <= -high_open);
    }
}

#endif
