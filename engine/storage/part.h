/* Some values of a page, without decoding the others: for looking at one user. What zj_decode_pages would
 * give at the same rows; the page's checksum, lengths and counts are checked as there, what the values of
 * other rows would be is not.
 *
 * A section (section.h) is read by blocks of 512; sums of differences need the blocks before them, and runs
 * their lengths. O(rows asked for, blocks of the page; runs or rows before them).
 */
#ifndef ZUJI_PART_H
#define ZUJI_PART_H

#include <stdlib.h>

#include "codecs.h"

/* High bits of the patches [from, to) of a section that is not patched itself. REQUIRES: from < to. */
static void zj_highs_part(const uint8_t *in, size_t n, size_t from, size_t to, uint32_t *out) {
    const size_t blocks = zj_blocks(n);
    const int wide = in[8];
    const uint8_t *widths = in + ZJ_SECTION_HEAD, *bases = widths + blocks;
    const uint8_t *p = bases + blocks * (size_t)wide;
    uint32_t block[ZJ_BLOCK];
    for (size_t b = 0; b * ZJ_BLOCK < to; b++) {
        const size_t rows = zj_block_rows(n, b), start = b * ZJ_BLOCK;
        if (start + rows > from) {
            const size_t a = from > start ? from - start : 0, e = to - start < rows ? to - start : rows;
            zj_read_block_uint32_t(p, rows, widths[b], zj_base(in, bases, b, wide), block);
            memcpy(out, block + a, (e - a) * sizeof *block);
            out += e - a;
        }
        p += zj_packed_bytes(rows, widths[b]);
    }
}

/* Adds the high bits of a block's patches. */
static void zj_patch_block(const uint8_t *counts, const uint8_t *places, const uint32_t *high, int width,
                           int64_t *block) {
    const size_t first = counts[0], all = first + counts[1];
    if (all < ZJ_PLACES_BITMAP) {
        for (size_t i = 0; i < all; i++)
            ZJ_PATCH(int64_t, block[(i < first ? 0 : 256) + (size_t)places[i]], high[i], width);
        return;
    }
    for (size_t word = 0; word < ZJ_BLOCK / 64; word++) {
        uint64_t bits;
        memcpy(&bits, places + 8 * word, 8);
        for (; bits; bits &= bits - 1)
            ZJ_PATCH(int64_t, block[64 * word + (size_t)__builtin_ctzll(bits)], *high++, width);
    }
}

/* Values [from, to) of a checked section of n. */
static void zj_section_part(const uint8_t *in, size_t n, size_t from, size_t to, int64_t *out) {
    const size_t blocks = zj_blocks(n), whole = n / ZJ_BLOCK;
    const int wide = in[8] & ~ZJ_PATCHED, patched = in[8] & ZJ_PATCHED;
    const uint8_t *widths = in + ZJ_SECTION_HEAD, *bases = widths + blocks;
    const uint8_t *p = bases + blocks * (size_t)wide, *counts = p, *places = NULL, *highs = NULL;
    size_t patches = 0, met = 0;
    uint32_t high[ZJ_BLOCK];
    int64_t block[ZJ_BLOCK];
    if (patched) {
        p += 2 * whole;
        places = p + zj_all_packed(widths, n);
        highs = zj_find_highs(counts, places, whole, &patches);
    }
    for (size_t b = 0; b * ZJ_BLOCK < to; b++) {
        const size_t rows = zj_block_rows(n, b), start = b * ZJ_BLOCK;
        const size_t all = patched && rows == ZJ_BLOCK ? (size_t)counts[2 * b] + counts[2 * b + 1] : 0;
        if (start + rows > from) {
            const size_t a = from > start ? from - start : 0, e = to - start < rows ? to - start : rows;
            zj_read_block_int64_t(p, rows, widths[b], zj_base(in, bases, b, wide), block);
            if (all) {
                zj_highs_part(highs, patches, met, met + all, high);
                zj_patch_block(counts + 2 * b, places, high, widths[b], block);
            }
            memcpy(out, block + a, (e - a) * sizeof *block);
            out += e - a;
        }
        p += zj_packed_bytes(rows, widths[b]);
        if (patched) places += zj_places_bytes(all);
        met += all;
    }
}

#define ZJ_PART_NO_MEMORY (-2)

/* Values [from, to) of sums of differences, modulo 2^64, or 2^32 when `narrow`. */
static int zj_sums_part(const uint8_t *in, size_t size, size_t n, size_t from, size_t to, int narrow, int64_t *out) {
    uint64_t sum;
    if (size < 8 || zj_check_section(in + 8, size - 8, n - 1, 1) != 0) return -1;
    int64_t *deltas = (int64_t *)malloc(to * sizeof *deltas);
    if (deltas == NULL) return ZJ_PART_NO_MEMORY;
    memcpy(&sum, in, 8);
    if (to > 1) zj_section_part(in + 8, n - 1, 0, to - 1, deltas);
    for (size_t i = 0; i < to; i++) {
        if (i) sum += (uint64_t)deltas[i - 1];
        if (i >= from) out[i - from] = (int64_t)(narrow ? sum & UINT32_MAX : sum);
    }
    free(deltas);
    return 0;
}

static int zj_runs_part(const uint8_t *in, size_t size, size_t n, size_t from, size_t to, int64_t *out) {
    size_t runs, total = 0, first = 0, last = 0, begins = 0;
    const uint8_t *lengths;
    if (zj_check_pair(in, size, n, 0, &runs, &lengths) != 0) return -1;
    uint32_t *length = (uint32_t *)malloc(2 * runs * sizeof *length); /* and what patches need */
    if (length == NULL) return ZJ_PART_NO_MEMORY;
    zj_read_section_uint32_t(lengths, runs, length, length + runs);
    for (size_t r = 0; r < runs; r++) {
        if (total <= from) {
            first = r;
            begins = total;
        }
        if (total < to) last = r;
        total += length[r];
    }
    int64_t *value = total == n ? (int64_t *)malloc((last + 1 - first) * sizeof *value) : NULL;
    if (value == NULL) {
        free(length);
        return total == n ? ZJ_PART_NO_MEMORY : -1;
    }
    zj_section_part(in + ZJ_PAIR_HEAD, runs, first, last + 1, value);
    size_t at = begins;
    for (size_t r = first; r <= last; r++) {
        const size_t end = at + length[r];
        for (size_t i = at > from ? at : from; i < end && i < to; i++) out[i - from] = value[r - first];
        at = end;
    }
    free(length);
    free(value);
    return 0;
}

static int zj_dict_part(const uint8_t *in, size_t size, size_t n, size_t from, size_t to, int64_t *out) {
    int64_t table[ZJ_DICT_MAX];
    uint32_t highs[ZJ_DICT_MAX];
    size_t entries;
    const uint8_t *second;
    if (zj_check_pair(in, size, ZJ_DICT_MAX, n, &entries, &second) != 0) return -1;
    zj_section_part(second, n, from, to, out);
    zj_read_section_int64_t(in + ZJ_PAIR_HEAD, entries, table, highs);
    for (size_t i = 0; i < to - from; i++) {
        const uint16_t code = (uint16_t)out[i];
        if (code >= entries) return -1;
        out[i] = table[code];
    }
    return 0;
}

/* Decodes rows [from, to) of page `e` to out, as int64, or doubles for ZJ_F64; a type narrower than int64 is the
 * caller's to cast to. `verified`: the page's flag, or NULL. Pages that are RAW or RAW_LZ4 are checked and left to
 * the caller, with *raw set. */
static int zj_decode_part(const uint8_t *data, size_t size, const zj_entry *entry, size_t from, size_t to, int type,
                          int64_t *out, uint8_t *verified, int *raw) {
    static const int64_t limits[5] = {UINT8_MAX, UINT16_MAX, UINT32_MAX, 0, 0};
    const zj_entry e = *entry;
    int status = -1;
    *raw = 0;
    if (e.offset > size || e.length > size - e.offset || e.rows == 0 || e.rows > ZJ_PAGE_ROWS) return ZJ_BAD_ENTRY;
    if (from > to || to > e.rows) return ZJ_BAD_ROWS;
    const uint8_t *in = data + e.offset;
    if (!verified || !*verified) {
        if (zj_crc32c(0, in, e.length) != e.crc) return ZJ_BAD_CRC;
        if (verified) *verified = 1;
    }
    if (type < ZJ_I64 && (e.low < 0 || e.high > limits[type])) return ZJ_BAD_RANGE;
    if (from == to) return ZJ_OK;
    switch (e.codec) {
        case ZJ_RAW:
        case ZJ_RAW_LZ4: *raw = 1; return ZJ_OK;
        case ZJ_CONST:
            if (e.length != 8) break;
            for (size_t i = 0; i < to - from; i++) memcpy(out + i, in, 8);
            status = 0;
            break;
        case ZJ_FOR:
            if (zj_check_section(in, e.length, e.rows, 1) != 0) break;
            zj_section_part(in, e.rows, from, to, out);
            status = 0;
            break;
        case ZJ_DELTA: status = zj_sums_part(in, e.length, e.rows, from, to, type < ZJ_I64, out); break;
        case ZJ_DELTA32: status = zj_sums_part(in, e.length, e.rows, from, to, 1, out); break;
        case ZJ_RLE: status = zj_runs_part(in, e.length, e.rows, from, to, out); break;
        case ZJ_DICT: status = zj_dict_part(in, e.length, e.rows, from, to, out); break;
        default: break;
    }
    if (status == 0 && type == ZJ_F64) status = zj_finish_floats((double *)out, to - from, e.param);
    return status == 0 ? ZJ_OK : status == ZJ_PART_NO_MEMORY ? ZJ_PART_NO_MEMORY : ZJ_BAD_PAGE;
}

#endif
