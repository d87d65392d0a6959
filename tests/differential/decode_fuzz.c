/* Mutates valid batches and decodes them, built with ASan and UBSan (test_decode_sanitizer.py).
 *
 * decode_fuzz FILE ROUNDS SEED: FILE is (u32 length, bytes)*. Each input lies in an allocation of
 * exactly its size, so that any read past the end is caught. With -DLIBFUZZER it is a libFuzzer
 * target instead. Prints how many inputs were refused, how many events accepted and rejected.
 */
#include <stdio.h>

#include "batch/decode.h"

static uint64_t refused, accepted, rejected;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    zj_batch b = {0};
    b.limits = (zj_limits){4, 255, 8192, 100, 255, 500, -2208988800000LL, 7258118400000LL};
    b.max_events = 2000;
    b.max_items = 65536;
    if (zj_batch_open(&b, data, n)) {
        refused++;
        zj_batch_free(&b);
        return 0;
    }
    size_t rows = b.events;
    zj_columns *o = &b.out;
    o->kind = malloc(rows + 1);
    o->event = malloc(rows * 4 + 4);
    o->user = malloc(rows * 4 + 4);
    o->device = malloc(rows * 4 + 4);
    o->insert = malloc(rows * 4 + 4);
    o->index = malloc(rows * 4 + 4);
    o->time = malloc(rows * 8 + 8);
    o->cell_start = malloc(rows * 8 + 8);
    zj_strings names, strings;
    if (zj_strings_init(&names, n) || zj_strings_init(&strings, n + 1)) abort();
    if (zj_batch_decode(&b, &names, &strings)) abort();
    if (o->rows + b.rejected != rows || o->cell_start[o->rows] != (int64_t)o->cells) abort();
    for (size_t c = 0; c < o->cells; c++) {
        if (o->cell_prop[c] >= names.count) abort();
        if (o->cell_kind[c] == ZJ_STRING && (uint64_t)o->cell_value[c] >= strings.count) abort();
        if (o->cell_kind[c] == ZJ_LIST && (uint64_t)o->cell_value[c] >= o->lists) abort();
    }
    for (size_t i = 0; i < b.rejected; i++) {
        zj_text key = b.rejects[i].key;
        if (key.p && (key.p < data || key.p + key.n > data + n)) abort();
    }
    accepted += o->rows;
    rejected += b.rejected;
    free(o->kind);
    free(o->event);
    free(o->user);
    free(o->device);
    free(o->insert);
    free(o->index);
    free(o->time);
    free(o->cell_start);
    zj_strings_free(&names);
    zj_strings_free(&strings);
    zj_batch_free(&b);
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

/* Bytes that begin something larger than is there. */
static const uint8_t tags[] = {0x8f, 0x9f, 0xbf, 0xc1, 0xc6, 0xc9, 0xcb, 0xcf, 0xd8, 0xd9,
                               0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xff, 0x00, 0x7f, 0xc0, 0xa0};

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
    printf("%llu %llu %llu\n", (unsigned long long)refused, (unsigned long long)accepted,
           (unsigned long long)rejected);
    return 0;
}
#endif
