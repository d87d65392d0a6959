/* String tables, sets of keys and dictionaries beside the plainest way to do the same.
 *
 * Input: texts, each a byte of length (below 32) and its bytes. They are interned one by one and in bulk,
 * taken back half way, looked for again, ranked, and asked which equal, contain and lie between others.
 */
#include "storage/dictionary.h"
#include "index/stringbulk.h"
#include "index/hashset128.h"

#include "check.h"

#define MOST 48

static int64_t offsets[MOST + 1];
static const uint8_t *text;

static size_t size_of(size_t i) { return (size_t)(offsets[i + 1] - offsets[i]); }
static const uint8_t *start_of(size_t i) { return text + offsets[i]; }
static int order(size_t i, size_t j) {
    const size_t n = size_of(i) < size_of(j) ? size_of(i) : size_of(j);
    const int found = n ? memcmp(start_of(i), start_of(j), n) : 0;
    return found ? found : (size_of(i) > size_of(j)) - (size_of(i) < size_of(j));
}

static void tables(size_t count) {
    zj_strings one, many;
    uint32_t first[MOST];
    uint64_t distinct = 0;
    CHECK(zj_strings_init(&one, 7) == 0 && zj_strings_init(&many, 7) == 0);
    for (size_t i = 0; i < count; i++) {
        const uint32_t code = zj_strings_intern(&one, start_of(i), size_of(i));
        size_t same = 0;
        while (order(same, i)) same++;
        first[i] = same < i ? first[same] : (uint32_t)distinct++;
        CHECK(code == first[i]);
    }
    CHECK(one.count == distinct);
    const uint64_t half = distinct / 2;
    zj_strings_take_back(&one, half);
    for (size_t i = 0; i < count; i++) {
        const uint64_t hash = zj_strings_hash(&one, start_of(i), size_of(i));
        const int64_t found = zj_strings_find_hashed(&one, start_of(i), size_of(i), hash);
        CHECK(found == (first[i] < half ? (int64_t)first[i] : -1));
    }
    uint32_t codes[MOST];
    CHECK(zj_strings_intern_bulk(&many, text, offsets, (int64_t)count, codes) == 0);
    CHECK(memcmp(codes, first, count * 4) == 0);
    zj_strings_free(&one);
    zj_strings_free(&many);
}

static void keys(size_t count) {
    zj_set128 set;
    uint64_t hi[MOST], lo[MOST], there = 0;
    uint8_t added[MOST], before[MOST] = {0};
    size_t done;
    for (size_t i = 0; i < count; i++) {
        hi[i] = size_of(i) ? start_of(i)[0] % 8 : 0;
        lo[i] = size_of(i) > 1 ? start_of(i)[1] % 8 : 0;
        for (size_t k = 0; k < i; k++) before[i] |= hi[k] == hi[i] && lo[k] == lo[i];
        there += !before[i];
    }
    CHECK(zj_set128_init(&set, 3) == 0);
    CHECK(zj_set128_add(&set, hi, lo, count, added, &done) == 0);
    for (size_t i = 0; i < count; i++) CHECK(added[i] == !before[i]);
    for (size_t i = 0; i < count; i++) there -= (uint64_t)zj_set128_discard(&set, hi[i], lo[i]);
    CHECK(there == 0 && set.count == 0);
    zj_set128_free(&set);
}

static void dictionary(size_t count) {
    zj_word words[MOST];
    uint64_t chance = 1;
    uint8_t flags[MOST], wanted[MOST];
    const size_t last = count - 1;
    for (size_t i = 0; i < count; i++) {
        words[i] = (zj_word){0, start_of(i), (uint32_t)size_of(i), (uint32_t)i};
        words[i].key = zj_word_key(words[i].text, words[i].length, 0);
    }
    zj_sort_words(words, (int64_t)count, 0, &chance);
    for (size_t i = 1; i < count; i++) CHECK(order(words[i - 1].number, words[i].number) <= 0);
    zj_flag_equal(text, offsets, (int64_t)count, 0, text, offsets, 1, flags);
    for (size_t i = 0; i < count; i++) CHECK(flags[i] == (order(i, 0) == 0));
    for (int where = ZJ_CONTAINS; where <= ZJ_ENDS; where++) {
        zj_flag_part(text, offsets, (int64_t)count, where, start_of(last), size_of(last), flags);
        for (size_t i = 0; i < count; i++) {
            const size_t n = size_of(i), m = size_of(last);
            int found = 0;
            for (size_t at = 0; n >= m && at <= n - m; at++) {
                if (where == ZJ_STARTS && at != 0) continue;
                if (where == ZJ_ENDS && at != n - m) continue;
                found |= m == 0 || memcmp(start_of(i) + at, start_of(last), m) == 0;
            }
            wanted[i] = (uint8_t)found;
        }
        CHECK(memcmp(flags, wanted, count) == 0);
    }
    zj_flag_range(text, offsets, (int64_t)count, 0, start_of(0), size_of(0), 1, start_of(last), size_of(last),
                  0, flags);
    for (size_t i = 0; i < count; i++) CHECK(flags[i] == (order(i, 0) > 0 && order(i, last) <= 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    size_t count = 0, used = 0;
    uint8_t *all = malloc(n + 1);
    CHECK(all);
    for (size_t at = 0; at < n && count < MOST; count++) {
        size_t size = data[at++] % 32;
        if (size > n - at) size = n - at;
        offsets[count] = (int64_t)used;
        memcpy(all + used, data + at, size);
        used += size;
        at += size;
    }
    offsets[count] = (int64_t)used;
    uint8_t *exact = malloc(used + !used);
    CHECK(exact);
    memcpy(exact, all, used);
    free(all);
    text = exact;
    if (count) {
        tables(count);
        keys(count);
        dictionary(count);
    }
    free(exact);
    return 0;
}
