/* Any bytes as a batch: msgpack, JSON or JSON lines → columns, and from the columns the lz4 block of the log.
 *
 * Tables, shapes and buffers stay from input to input, as in a server, and begin anew every 256th time.
 * What is checked beside the sanitizers: a refused batch leaves the tables as they were, every code is in
 * range, the bytes of a refused event are found again, and the block unpacks to the batch.
 */
#include "batch/decode.h"
#include "storage/lz4marks.h"

#include "check.h"

static zj_batch b;
static zj_strings names, strings;
static void *aside[4];
static unsigned inputs;

static void begin_anew(void) {
    if (inputs) {
        for (int i = 0; i < 4; i++) free(aside[i]);
        zj_strings_free(&names);
        zj_strings_free(&strings);
        zj_batch_free(&b);
    }
    memset(aside, 0, sizeof aside);
    CHECK(zj_strings_init(&names, 1) == 0 && zj_strings_init(&strings, 2) == 0);
}

static void pack(const uint8_t *data, size_t n, const zj_columns *o) {
    static const uint8_t head[] = "head";
    uint8_t *packed = malloc(ZJ_LZ4_BOUND(4 + n)), *plain = malloc(4 + n);
    CHECK(packed && plain);
    const size_t size = zj_lz4_marks(head, 4, data, n, o->mark, o->row_mark, o->rows, packed);
    CHECK(size <= ZJ_LZ4_BOUND(4 + n));
    CHECK(unpacked(packed, size, plain, 4 + n));
    CHECK(memcmp(plain, head, 4) == 0 && (n == 0 || memcmp(plain + 4, data, n) == 0));
    free(packed);
    free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (inputs % 256 == 0) begin_anew();
    inputs++;
    const uint64_t names_before = names.count, strings_before = strings.count;
    zj_batch_reset(&b);
    b.limits = (zj_limits){4, 255, 8192, 100, 255, 500, -2208988800000LL, 7258118400000LL};
    b.max_events = 2000;
    b.max_items = 65536;
    const int form = zj_form_of(data, n);
    const int failed = zj_batch_decode(&b, data, n, form, (zj_table){&names, aside},
                                       (zj_table){&strings, aside + 2});
    if (failed) {
        CHECK(names.count == names_before && strings.count == strings_before);
        return 0;
    }
    const zj_columns *o = &b.reader.keep.out;
    CHECK(o->rows + b.rejected == b.events && o->cell_start[o->rows] == (int64_t)o->cells);
    for (size_t c = 0; c < o->cells; c++) {
        CHECK(o->cell_prop[c] < names.count);
        if (o->cell_kind[c] == ZJ_STRING) CHECK((uint64_t)o->cell_value[c] < strings.count);
        if (o->cell_kind[c] == ZJ_LIST) CHECK((uint64_t)o->cell_value[c] < o->lists);
    }
    for (size_t i = 0; i < o->items; i++) CHECK(o->list_item[i] < strings.count);
    for (size_t i = 0; i < b.rejected; i++) {
        const zj_reject *r = &b.rejects[i];
        const int64_t index = r->index;
        uint64_t bounds[2];
        CHECK(r->start <= r->end && r->end <= n);
        CHECK(zj_slices(data, n, &index, 1, bounds) == 0);
        CHECK(bounds[0] == r->start && bounds[1] == r->end);
    }
    if (o->rows && o->marks) pack(data, n, o);
    return 0;
}
