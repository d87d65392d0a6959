/* Events that were made of something else, read by the engine's decoder: they must be a batch that it reads
 * whole. Its tables stay from input to input, as in a server, and begin anew every 256th time.
 */
#ifndef ZUJI_FUZZ_DECODED_H
#define ZUJI_FUZZ_DECODED_H

#include "batch/decode.h"
#include "protocols/sensors.h"

#include "check.h"

static zj_batch b;
static zj_strings names, strings;
static void *aside[4];
static unsigned inputs;

static void next_input(void) {
    if (inputs++ % 256) return;
    if (inputs > 1) {
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

static void decode_all(const zs_run *run) {
    for (size_t i = 0; i < run->parts_used; i++) {
        const zs_part *part = &run->parts[i];
        CHECK(part->start <= part->end && part->end <= run->out.used && part->count);
        decode(run->out.start + part->start, part->end - part->start, part);
    }
}

static void limits_of(zs_run *run) {
    run->received_ms = 1790827200000;
    run->offset_ms = 28800000;
    run->max_events = 2000;
    run->max_items = 65535;
    run->max_bytes = 4194240;
    run->list_values = 500;
}

#endif
