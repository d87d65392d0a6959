/* Mutates valid batches and decodes them, built with ASan and UBSan (test_decode_sanitizer.py).
 *
 * decode_fuzz FILE ROUNDS SEED: FILE is (u32 length, bytes)*. Each input lies in an allocation of
 * exactly its size, so that any read past the end is caught. With -DLIBFUZZER it is a libFuzzer
 * target instead. Prints how many inputs were refused, how many events accepted and rejected, and a
 * digest of all columns and rejects, which must not depend on the compiler's flags.
 */
#include <stdio.h>

#include "batch/decode.h"

static uint64_t refused, accepted, rejected, digest = 0xcbf29ce484222325ull;
static zj_batch b; /* its buffers go from input to input */

static void add(const void *p, size_t n) {
    for (size_t i = 0; i < n; i++) digest = (digest ^ ((const uint8_t *)p)[i]) * 0x100000001b3ull;
}

static void decode(const uint8_t *data, size_t n, int form, zj_table to_names, zj_table to_strings) {
    const zj_strings *names = to_names.strings, *strings = to_strings.strings;
    const uint64_t names_before = names->count, strings_before = strings->count;
    zj_batch_reset(&b);
    b.limits = (zj_limits){4, 255, 8192, 100, 255, 500, -2208988800000LL, 7258118400000LL};
    b.max_events = 2000;
    b.max_items = 65536;
    int failed = zj_batch_decode(&b, data, n, form, to_names, to_strings);
    add(&failed, sizeof failed);
    if (failed) {
        if (names->count != names_before || strings->count != strings_before) abort();
        refused++;
        return;
    }
    const zj_columns *o = &b.reader.keep.out;
    if (o->rows + b.rejected != b.events || o->cell_start[o->rows] != (int64_t)o->cells) abort();
    for (size_t c = 0; c < o->cells; c++) {
        if (o->cell_prop[c] >= names->count) abort();
        if (o->cell_kind[c] == ZJ_STRING && (uint64_t)o->cell_value[c] >= strings->count) abort();
        if (o->cell_kind[c] == ZJ_LIST && (uint64_t)o->cell_value[c] >= o->lists) abort();
    }
    add(o->kind, o->rows);
    add(o->event, o->rows * 4);
    add(o->user, o->rows * 4);
    add(o->device, o->rows * 4);
    add(o->insert, o->insert_bytes);
    add(o->insert_start, o->rows * 8);
    add(o->index, o->rows * 4);
    add(o->time, o->rows * 8);
    add(o->cell_start, o->rows * 8 + 8);
    add(o->cell_prop, o->cells * 4);
    add(o->cell_kind, o->cells);
    add(o->cell_value, o->cells * 8);
    add(o->list_start, o->lists * 8 + 8);
    add(o->list_item, o->items * 4);
    for (size_t i = 0; i < b.rejected; i++) {
        const zj_reject *r = &b.rejects[i];
        const int64_t index = r->index;
        uint64_t bounds[2];
        if (r->start > r->end || r->end > n) abort();
        if (r->key.p) add(r->key.p, r->key.n);
        add(&r->reason, 1);
        add(&r->item, 4);
        add(&r->start, 16);
        if (form != zj_form_of(data, n)) continue;
        if (zj_slices(data, n, &index, 1, bounds)) abort();
        if (bounds[0] != r->start || bounds[1] != r->end) abort();
    }
    accepted += o->rows;
    rejected += b.rejected;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    zj_strings names, strings;
    void *aside[4] = {NULL, NULL, NULL, NULL};
    if (zj_strings_init(&names, n) || zj_strings_init(&strings, n + 1)) abort();
    for (int again = 0; again < 2; again++) /* into empty tables, and with all that it knows then */
        decode(data, n, zj_form_of(data, n), (zj_table){&names, aside}, (zj_table){&strings, aside + 2});
    add(strings.arena, strings.arena_used);
    add(names.arena, names.arena_used);
    for (int i = 0; i < 4; i++) free(aside[i]);
    zj_strings_free(&names);
    zj_strings_free(&strings);
    return 0;
}

#ifndef LIBFUZZER
static uint64_t state;

static uint32_t below(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return n ? (uint32_t)((state >> 20) % n) : 0;
}

/* Bytes that begin something larger than is there, and what JSON is made of. */
static const uint8_t tags[] = {0x8f, 0x9f, 0xbf, 0xc1, 0xc6, 0xc9, 0xcb, 0xcf, 0xd8, 0xd9,
                               0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff, 0x00, 0x7f, 0xc0, 0xa0,
                               '"', '\\', '{', '}', '[', ']', ',', ':', '.', 'e', '-', '0', '\n'};

static void try_one(const uint8_t *source, uint32_t n) {
    uint32_t keep = below(8) ? n : below(n + 1);
    uint8_t *data = malloc(keep ? keep : 1);
    memcpy(data, source, keep);
    if (!keep) data = realloc(data, 1);
    for (uint32_t k = keep ? below(6) : 0; k; k--) {
        uint32_t at = below(keep), how = below(4);
        if (how == 0) data[at] ^= (uint8_t)(1u << below(8));
        else if (how == 1) data[at] = (uint8_t)below(256);
        else if (how == 2) data[at] = tags[below(sizeof tags)];
        else {
            uint32_t from = below(keep), m = below(16);
            if (m > keep - at) m = keep - at;
            if (m > keep - from) m = keep - from;
            memmove(data + at, data + from, m);
        }
    }
    LLVMFuzzerTestOneInput(data, keep);
    free(data);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    FILE *f = fopen(argv[1], "rb");
    static uint8_t source[1 << 20];
    uint32_t n;
    state = strtoull(argv[3], NULL, 10) * 2 + 1;
    if (!f) return 2;
    while (fread(&n, 4, 1, f) == 1 && n <= sizeof source && fread(source, 1, n, f) == n)
        for (long round = 0; round < atol(argv[2]); round++) try_one(source, n);
    fclose(f);
    zj_batch_free(&b);
    printf("%llu %llu %llu %llx\n", (unsigned long long)refused, (unsigned long long)accepted,
           (unsigned long long)rejected, (unsigned long long)digest);
    return 0;
}
#endif
