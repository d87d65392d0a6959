/* Any bytes as requests on a connection, and what they carry as Sensors' usual requests, some at a time in
 * one run, as the collector's lane reads them.
 *
 * Input: a byte whose lowest bit says whether HTTP comes, or the form of a target at once; then the bytes.
 * What is checked beside the sanitizers: a request that is taken lies in the bytes, within its limits; and
 * the events of a run are batches that the engine reads whole, also after a request that was left alone.
 */
#include "collector/plain.h"
#include "protocols/quick.h"

#include "decoded.h"

#define MOST 16
#define INFLATED (1u << 16)

static const zp_limits limits = {1024, 32, 2048, 1 << 16};
static zq_reader *reader;
static size_t taken;

static void lies_in(zp_text text, const uint8_t *from, const uint8_t *to) {
    CHECK(text.n == 0 || (text.p >= from && text.p + text.n <= to));
}

static void take(zp_text query, zp_text body) {
    zq_sent sent = {query.p, body.p, query.n, body.n, 1790827200000};
    zs_run *const run = &reader->run;
    if (taken == MOST) return;
    const size_t parts = run->parts_used, used = run->out.used;
    zq_usual(&sent);
    taken++;
    const int done = zq_take(reader, &sent);
    CHECK(done == ZQ_TAKEN || done == ZQ_UNSURE);
    if (done == ZQ_UNSURE) CHECK(run->parts_used == parts && run->out.used == used);
}

static void connection(const uint8_t *data, size_t n) {
    const uint8_t *at = data, *const end = data + n;
    zp_request r;
    while (at < end && zp_read(&r, at, end, &limits)) {
        CHECK(r.after > at && r.after <= end && r.fields <= limits.max_fields);
        CHECK((int64_t)r.body.n <= limits.max_body && r.path.n + r.query.n <= (size_t)limits.max_target);
        lies_in(r.path, at, end);
        lies_in(r.query, at, end);
        lies_in(r.body, at, end);
        for (int i = 0; i < r.fields; i++) lies_in(r.names[i], at, end), lies_in(r.values[i], at, end);
        CHECK(zp_value(&r, "host").n && !zp_value(&r, "transfer-encoding").p);
        take(r.query, r.body);
        at = r.after;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n < 2) return 0;
    next_input();
    if (!reader) CHECK(reader = calloc(1, sizeof *reader));
    reader->inflated = INFLATED;
    limits_of(&reader->run);
    reader->run.keep_ip = data[0] >> 1 & 1;
    uint8_t *exact = malloc(n - 1);
    CHECK(exact);
    memcpy(exact, data + 1, n - 1);
    if (data[0] & 1) connection(exact, n - 1);
    else {
        take((zp_text){exact, n - 1}, (zp_text){NULL, 0});
        take((zp_text){NULL, 0}, (zp_text){exact, n - 1});
    }
    decode_all(&reader->run);
    free(exact);
    taken = 0;
    zq_renew(reader, 4 << 20);
    return 0;
}
