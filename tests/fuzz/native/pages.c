/* Any bytes as a page of any codec, type and number of rows, with a good checksum; and what decodes is
 * encoded and decoded again. Every instruction set must give the same.
 *
 * Input: codec, type and scale, rows − 1 (2 bytes; mostly few, which is quicker), then the page.
 */
#ifdef __clang__ /* knows GCC's shuffle by another name, and without variables for the order */
#define __builtin_shuffle(from, zero, ...)                                                      \
    ({                                                                                          \
        __typeof__(from) from_ = (from), to_ = (zero), order_ = (__VA_ARGS__);                  \
        for (int i_ = 0; i_ < 16; i_++) to_[i_] = order_[i_] < 16 ? from_[order_[i_]] : 0;      \
        to_;                                                                                    \
    })
#endif
#include "storage/codecs.h"

#include "check.h"

static zj_decode_scratch scratch;
static zj_scratch encoder;
static const size_t sizes[5] = {1, 2, 4, 8, 8};

static int decoded(const uint8_t *page, size_t size, zj_entry e, int type, void *out) {
    size_t at, raw;
    e.crc = zj_crc32c(0, page, size);
    return zj_decode_pages(page, size, &e, 0, 1, type, out, e.rows, NULL, &scratch, &at, &raw);
}

static void again(const void *values, size_t rows, int type) {
    static uint8_t page[ZJ_PAGE_BYTES_MAX];
    int64_t *back = malloc(rows * 8);
    int param = 0;
    CHECK(back);
    if (type == ZJ_F64) param = zj_load_floats(&encoder, values, rows);
    else zj_load(&encoder, type, values, rows);
    const zj_page made = zj_encode_page(&encoder, rows, rows & 1, page);
    CHECK(made.bytes <= sizeof page);
    uint8_t *exact = malloc(made.bytes);
    CHECK(exact);
    memcpy(exact, page, made.bytes);
    const zj_entry e = {0, (uint32_t)made.bytes, (uint32_t)rows, 0, (uint8_t)made.codec, (uint8_t)param,
                        0, made.low, made.high};
    CHECK(decoded(exact, made.bytes, e, type, back) == ZJ_OK);
    CHECK(memcmp(back, values, rows * sizes[type]) == 0);
    free(exact);
    free(back);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    zj_codecs_init();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n < 4) return 0;
    const int type = data[1] % 5;
    const size_t rows = 1 + (data[2] | (size_t)(data[3] < 0xFF ? data[3] & 3 : 0xFF) << 8);
    const size_t size = n - 4;
    zj_entry e = {0, (uint32_t)size, (uint32_t)rows, 0, data[0] % 9, data[1] / 5 % 6, 0, 0, 0};
    uint8_t *out[2], *page = malloc(size + !size);
    int status[2];
    if (e.param == 5) e.param = ZJ_FLOAT_BITS;
    CHECK(page);
    memcpy(page, data + 4, size);
    for (int isa = 0; isa < 2; isa++) {
        zj_set_isa(isa ? 2 : 0);
        out[isa] = calloc(rows, sizes[type]);
        CHECK(out[isa]);
        status[isa] = decoded(page, size, e, type, out[isa]);
    }
    CHECK(status[0] == status[1]);
    if (status[0] == ZJ_OK) {
        CHECK(memcmp(out[0], out[1], rows * sizes[type]) == 0);
        if (e.codec < ZJ_RAW_LZ4 || e.codec >= ZJ_DELTA32) again(out[0], rows, type);
    }
    free(out[0]);
    free(out[1]);
    free(page);
    return 0;
}
