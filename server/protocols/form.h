/* A form as SDKs send it, and the base64 in it: fields of `a=1&b=2`, percent-decoded where wanted;
 * base64 of either alphabet, with or without padding, in which a space was a plus.
 *
 * Any bytes are safe input; nothing is read outside of [p, p + n). No state, thread-safe, O(n).
 */
#ifndef ZUJI_PROTOCOLS_FORM_H
#define ZUJI_PROTOCOLS_FORM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const uint8_t *p; /* NULL: not there */
    size_t n;
} zf_text;

/* The first field of this name: its value as it stands. */
static zf_text zf_field(const uint8_t *form, size_t size, const char *name) {
    const size_t length = strlen(name);
    const uint8_t *p = form, *const end = form + size;
    while (p < end) {
        const uint8_t *next = (const uint8_t *)memchr(p, '&', (size_t)(end - p));
        const uint8_t *const last = next ? next : end;
        if ((size_t)(last - p) > length && p[length] == '=' && !memcmp(p, name, length))
            return (zf_text){p + length + 1, (size_t)(last - p) - length - 1};
        p = last + 1;
    }
    return (zf_text){NULL, 0};
}

static inline int zf_hex(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoded bytes of `in` at out (room for n); how many. A wrong escape stays as it is. */
static size_t zf_unescape(uint8_t *out, const uint8_t *in, size_t n) {
    const uint8_t *const end = in + n;
    uint8_t *const start = out;
    while (in < end) {
        const uint8_t *mark = (const uint8_t *)memchr(in, '%', (size_t)(end - in));
        const size_t plain = (size_t)((mark ? mark : end) - in);
        memcpy(out, in, plain);
        out += plain;
        in += plain;
        if (!mark) break;
        const int high = end - in > 2 ? zf_hex(in[1]) : -1, low = end - in > 2 ? zf_hex(in[2]) : -1;
        if ((high | low) < 0) {
            *out++ = *in++;
        } else {
            *out++ = (uint8_t)(high << 4 | low);
            in += 3;
        }
    }
    return (size_t)(out - start);
}

/* Java's and the browser SDK's hashCode of ASCII text, in which a space was a plus. */
static uint32_t zf_hash(const uint8_t *p, size_t n) {
    uint32_t h = 0;
    size_t i = 0;
#define ZF_C(k) (uint32_t)(p[i + (k)] == ' ' ? '+' : p[i + (k)])
    for (; i + 4 <= n; i += 4)
        h = h * 923521u + ZF_C(0) * 29791u + ZF_C(1) * 961u + ZF_C(2) * 31u + ZF_C(3);
    for (; i < n; i++) h = h * 31u + ZF_C(0);
#undef ZF_C
    return h;
}

#define ZF_WRONG 0x80000000u
/* Six bits of each letter, in the place that they have in the three bytes, so that four look-ups
 * make them; little-endian independent: bytes are taken out by shifts. */
static uint32_t zf_letters[4][256];

__attribute__((constructor)) static void zf_init(void) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int at = 0; at < 4; at++) {
        for (int c = 0; c < 256; c++) zf_letters[at][c] = ZF_WRONG;
        for (uint32_t v = 0; v < 64; v++)
            zf_letters[at][(uint8_t)letters[v]] = v << (18 - 6 * at);
        zf_letters[at]['-'] = zf_letters[at][' '] = zf_letters[at]['+'];
        zf_letters[at]['_'] = zf_letters[at]['/'];
    }
}

/* Bytes of base64 at out (room for 3 * n / 4 + 3); -1 when it is none. Line ends and tabs around it
 * do not count. */
static int64_t zf_unbase64(uint8_t *out, const uint8_t *p, size_t n) {
#define ZF_AROUND(c) ((c) == '\n' || (c) == '\r' || (c) == '\t')
    while (n && ZF_AROUND(*p)) p++, n--;
    while (n && ZF_AROUND(p[n - 1])) n--;
#undef ZF_AROUND
    while (n && p[n - 1] == '=') n--;
    if (n % 4 == 1) return -1;
    uint8_t *const start = out;
    uint32_t wrong = 0;
    for (; n >= 4; p += 4, n -= 4, out += 3) {
        const uint32_t v = zf_letters[0][p[0]] | zf_letters[1][p[1]] | zf_letters[2][p[2]] |
                           zf_letters[3][p[3]];
        wrong |= v;
        out[0] = (uint8_t)(v >> 16);
        out[1] = (uint8_t)(v >> 8);
        out[2] = (uint8_t)v;
    }
    if (n) {
        const uint32_t v = zf_letters[0][p[0]] | zf_letters[1][p[1]] |
                           (n == 3 ? zf_letters[2][p[2]] : 0);
        wrong |= v;
        *out++ = (uint8_t)(v >> 16);
        if (n == 3) *out++ = (uint8_t)(v >> 8);
    }
    return wrong & ZF_WRONG ? -1 : (int64_t)(out - start);
}

/* Bytes of `in` at out (room for n), with what some SDKs write as two surrogates of three bytes each
 * (CESU-8; all emoji of the mini program's) as the four bytes of UTF-8; how many. */
static size_t zf_join(uint8_t *out, const uint8_t *in, size_t n) {
    const uint8_t *const end = in + n;
    uint8_t *const start = out;
    while (in < end) {
        const uint8_t *mark = (const uint8_t *)memchr(in, 0xed, (size_t)(end - in));
        const size_t plain = (size_t)((mark ? mark : end) - in);
        memcpy(out, in, plain);
        out += plain;
        in += plain;
        if (!mark) break;
        if (end - in >= 6 && (in[1] & 0xf0) == 0xa0 && (in[2] & 0xc0) == 0x80 && in[3] == 0xed &&
            (in[4] & 0xf0) == 0xb0 && (in[5] & 0xc0) == 0x80) {
            const uint32_t high = (uint32_t)(in[1] & 15) << 6 | (in[2] & 63);
            const uint32_t c = 0x10000 + (high << 10 | (uint32_t)(in[4] & 15) << 6 | (in[5] & 63));
            out[0] = (uint8_t)(0xf0 | c >> 18);
            out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
            out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
            out[3] = (uint8_t)(0x80 | (c & 63));
            out += 4;
            in += 6;
        } else {
            *out++ = *in++;
        }
    }
    return (size_t)(out - start);
}

#endif
