/* Any bytes as a document of Sensors Analytics' records, and as a form and as base64.
 *
 * What is checked beside the sanitizers: whatever the records are, the events made of them are batches
 * that the engine reads whole, with as many events and no more values than announced; and a refusal
 * names bytes of the document.
 */
#include "batch/decode.h"
#include "protocols/form.h"
#include "protocols/sensors.h"

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

static void decode(const uint8_t *events, size_t size, const zs_part *part) {
    const size_t n = size + 3;
    uint8_t *batch = malloc(n);
    CHECK(batch && part->count <= 2000);
    batch[0] = 0xdc;
    batch[1] = (uint8_t)(part->count >> 8);
    batch[2] = (uint8_t)part->count;
    memcpy(batch + 3, events, size);
    zj_batch_reset(&b);
    b.limits = (zj_limits){4, 255, 8192, 100, 255, 500, -2208988800000LL, 7258118400000LL};
    b.max_events = 2000;
    b.max_items = 65536;
    CHECK(zj_batch_decode(&b, batch, n, ZJ_MSGPACK, (zj_table){&names, aside},
                          (zj_table){&strings, aside + 2}) == ZJ_BATCH_OK);
    CHECK(b.events == part->count && b.items <= (uint64_t)part->items + 1);
    free(batch);
}

static void records(const uint8_t *data, size_t n) {
    static zs_run run;
    memset(&run, 0, sizeof run);
    run.received_ms = 1790827200000;
    run.offset_ms = 28800000;
    run.max_events = 2000;
    run.max_items = 65535;
    run.max_bytes = 4194240;
    run.list_values = 500;
    run.keep_ip = n & 1;
    CHECK(zs_document(&run, data, n) == 0);
    for (size_t i = 0; i < run.parts_used; i++) {
        const zs_part *part = &run.parts[i];
        CHECK(part->start <= part->end && part->end <= run.out.used && part->count);
        decode(run.out.start + part->start, part->end - part->start, part);
    }
    for (size_t i = 0; i < run.refused_used; i++) {
        const zs_refusal *r = &run.refused[i];
        CHECK(r->start >= data && r->start <= r->end && r->end <= data + n);
        CHECK(r->reason && r->reason < sizeof zs_reasons / sizeof *zs_reasons && r->path_n <= ZS_PATH);
    }
    CHECK(run.token_n <= sizeof run.token);
    zs_free(&run);
}

static void form(const uint8_t *data, size_t n) {
    const zf_text found = zf_field(data, n, "data");
    if (found.p) {
        uint8_t *plain = malloc(found.n + !found.n), *bytes;
        CHECK(plain && found.p >= data && found.p + found.n <= data + n);
        const size_t size = zf_unescape(plain, found.p, found.n);
        CHECK(size <= found.n);
        bytes = malloc(3 * (size / 4) + 3);
        CHECK(bytes && zf_unbase64(bytes, plain, size) <= (int64_t)(3 * (size / 4) + 2));
        zf_hash(plain, size);
        free(bytes);
        free(plain);
    }
    uint8_t *bytes = malloc(3 * (n / 4) + 3);
    CHECK(bytes);
    zf_unbase64(bytes, data, n);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (inputs % 256 == 0) begin_anew();
    inputs++;
    if (n == 0) return 0;
    records(data, n);
    form(data, n);
    return 0;
}
