/* Any bytes as a document of Sensors Analytics' records, and as a form and as base64.
 *
 * What is checked beside the sanitizers: whatever the records are, the events made of them are batches
 * that the engine reads whole, with as many events and no more values than announced; and a refusal
 * names bytes of the document.
 */
#include "protocols/form.h"

#include "decoded.h"

static void records(const uint8_t *data, size_t n) {
    static zs_run run;
    memset(&run, 0, sizeof run);
    limits_of(&run);
    run.keep_ip = n & 1;
    if (n & 2) CHECK(zs_add_login(&run, (const uint8_t *)"$identity_bank_cif", 18) == 0);
    CHECK(zs_document(&run, data, n) == 0);
    decode_all(&run);
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
    next_input();
    if (n == 0) return 0;
    records(data, n);
    form(data, n);
    return 0;
}
