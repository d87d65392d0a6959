/* Ids as few bytes: a key (`u` or `d`, then an id) and the one packed form that it has.
 *
 * Most ids are digits, hexadecimal numbers, UUIDs or base64url; of those 4, 4, 4 or 6 bits a character are
 * kept. A packed key is
 *     head      1 byte: form << 2 | kind; kind: 0 `u`, 1 `d`, 2 other (the first byte is part of the text)
 *     prefix    1 byte, form PREFIXED alone: number of a prefix in the table's list; then the head and the
 *               rest of what follows the prefix, as of a key of kind 2
 *     length    LEB128, not of UUIDs: characters of the text; of a BLANK: bytes that follow
 *     text      HEX, UUID: 2 characters a byte; SIX: 4 characters in 3 bytes; RAW: as it is
 * The form follows from the text (the first that fits, as they are listed here), so two keys are the same if
 * and only if their packed bytes are; of PREFIXED, as long as a table only ever adds to its prefixes.
 * Pure functions; thread-safe.
 */
#ifndef ZUJI_KEYPACK_H
#define ZUJI_KEYPACK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    ZJ_KEY_BLANK, /* nobody's: the bytes that a key had, zeroed */
    ZJ_KEY_UUID_LOWER,
    ZJ_KEY_UUID_UPPER,
    ZJ_KEY_HEX_LOWER,
    ZJ_KEY_HEX_UPPER,
    ZJ_KEY_SIX,
    ZJ_KEY_PREFIXED,
    ZJ_KEY_RAW
};
enum { ZJ_KIND_USER, ZJ_KIND_DEVICE, ZJ_KIND_OTHER };

#define ZJ_KEY_BYTES_MAX ((size_t)1 << 20)
#define ZJ_KEY_SHORT 256u /* longer texts are kept as they are */
#define ZJ_PREFIXES_MAX 255u
#define ZJ_PREFIX_BYTES_MAX 128u

/* A key packed: head[0..head_size), then rest[0..rest_size) of the key itself (form RAW alone). */
typedef struct {
    const uint8_t *rest;
    size_t rest_size;
    size_t head_size;
    uint8_t head[ZJ_KEY_SHORT + 16];
} zj_packed;

/* What a character may be: 1 hex with a-f, 2 hex with A-F, 4 of 64; and its value of 6 bits. */
static const uint8_t zj_char_class[256] = {
    ['0'] = 7, ['1'] = 7, ['2'] = 7, ['3'] = 7, ['4'] = 7, ['5'] = 7, ['6'] = 7, ['7'] = 7, ['8'] = 7, ['9'] = 7,
    ['a'] = 5, ['b'] = 5, ['c'] = 5, ['d'] = 5, ['e'] = 5, ['f'] = 5,
    ['A'] = 6, ['B'] = 6, ['C'] = 6, ['D'] = 6, ['E'] = 6, ['F'] = 6,
    ['g'] = 4, ['h'] = 4, ['i'] = 4, ['j'] = 4, ['k'] = 4, ['l'] = 4, ['m'] = 4, ['n'] = 4, ['o'] = 4, ['p'] = 4,
    ['q'] = 4, ['r'] = 4, ['s'] = 4, ['t'] = 4, ['u'] = 4, ['v'] = 4, ['w'] = 4, ['x'] = 4, ['y'] = 4, ['z'] = 4,
    ['G'] = 4, ['H'] = 4, ['I'] = 4, ['J'] = 4, ['K'] = 4, ['L'] = 4, ['M'] = 4, ['N'] = 4, ['O'] = 4, ['P'] = 4,
    ['Q'] = 4, ['R'] = 4, ['S'] = 4, ['T'] = 4, ['U'] = 4, ['V'] = 4, ['W'] = 4, ['X'] = 4, ['Y'] = 4, ['Z'] = 4,
    ['-'] = 4, ['_'] = 4};
static const uint8_t zj_six_chars[65] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

static inline uint32_t zj_six_of(uint8_t c) {
    if (c <= '-') return 62;
    if (c <= '9') return (uint32_t)(c - '0');
    if (c <= 'Z') return (uint32_t)(c - 'A') + 36;
    return c == '_' ? 63 : (uint32_t)(c - 'a') + 10;
}

/* The value of a hexadecimal character, of either case. */
static inline uint32_t zj_nibble_of(uint8_t c) { return (c & 15u) + 9u * (c >> 6); }

static inline size_t zj_put_length(uint8_t *to, size_t n) {
    size_t at = 0;
    for (; n >= 128; n >>= 7) to[at++] = (uint8_t)(n | 128);
    to[at++] = (uint8_t)n;
    return at;
}

static inline size_t zj_take_length(const uint8_t *p, size_t *n) {
    size_t at = 0, value = 0;
    int shift = 0;
    do {
        value |= (size_t)(p[at] & 127) << shift;
        shift += 7;
    } while (p[at++] & 128);
    *n = value;
    return at;
}

/* Bytes of a text of n characters. */
static inline size_t zj_text_size(int form, size_t n) {
    if (form == ZJ_KEY_SIX) return (n * 6 + 7) / 8;
    return form == ZJ_KEY_HEX_LOWER || form == ZJ_KEY_HEX_UPPER ? (n + 1) / 2 : n;
}

static inline int zj_is_uuid(const uint8_t *p, uint8_t wanted) {
    for (int i = 0; i < 36; i++) {
        const int dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? p[i] != '-' : !(zj_char_class[p[i]] & wanted)) return 0;
    }
    return 1;
}

/* The form of a text that has no prefix. */
static inline int zj_form_of(const uint8_t *p, size_t n) {
    unsigned all = 7;
    if (n > ZJ_KEY_SHORT || n == 0) return ZJ_KEY_RAW;
    for (size_t i = 0; i < n; i++) all &= zj_char_class[p[i]];
    if (all & 1) return ZJ_KEY_HEX_LOWER;
    if (all & 2) return ZJ_KEY_HEX_UPPER;
    if (!(all & 4)) return ZJ_KEY_RAW;
    if (n == 36 && p[8] == '-') {
        if (zj_is_uuid(p, 1)) return ZJ_KEY_UUID_LOWER;
        if (zj_is_uuid(p, 2)) return ZJ_KEY_UUID_UPPER;
    }
    return ZJ_KEY_SIX;
}

/* Appends the head and text of p[0..n) to what is packed. */
static inline void zj_pack_text(zj_packed *k, int kind, const uint8_t *p, size_t n) {
    const int form = zj_form_of(p, n);
    uint8_t *to = k->head + k->head_size;
    k->rest = p;
    k->rest_size = 0;
    *to++ = (uint8_t)(form << 2 | kind);
    if (form == ZJ_KEY_UUID_LOWER || form == ZJ_KEY_UUID_UPPER) {
        for (int i = 0; i < 36;) {
            if (p[i] == '-') i++;
            *to++ = (uint8_t)(zj_nibble_of(p[i]) << 4 | zj_nibble_of(p[i + 1]));
            i += 2;
        }
    } else {
        to += zj_put_length(to, n);
        if (form == ZJ_KEY_RAW) {
            k->rest_size = n;
        } else if (form == ZJ_KEY_SIX) {
            uint32_t bits = 0;
            int have = 0;
            for (size_t i = 0; i < n; i++) {
                bits = bits << 6 | zj_six_of(p[i]);
                have += 6;
                if (have >= 8) *to++ = (uint8_t)(bits >> (have -= 8));
            }
            if (have) *to++ = (uint8_t)(bits << (8 - have));
        } else {
            for (size_t i = 0; i + 1 < n; i += 2) *to++ = (uint8_t)(zj_nibble_of(p[i]) << 4 | zj_nibble_of(p[i + 1]));
            if (n & 1) *to++ = (uint8_t)(zj_nibble_of(p[n - 1]) << 4);
        }
    }
    k->head_size = (size_t)(to - k->head);
}

/* Bytes of the key that are a prefix such as `$identity_mobile+`; 0: it has none. */
static inline size_t zj_prefix_of(const uint8_t *p, size_t n) {
    static const char begin[] = "$identity_";
    if (n < sizeof begin || memcmp(p, begin, sizeof begin - 1) != 0) return 0;
    const uint8_t *end = (const uint8_t *)memchr(p, '+', n < ZJ_PREFIX_BYTES_MAX ? n : ZJ_PREFIX_BYTES_MAX);
    return end ? (size_t)(end - p) + 1 : 0;
}

static inline int zj_key_kind(const uint8_t *p, size_t n) {
    if (n == 0) return ZJ_KIND_OTHER;
    return p[0] == 'u' ? ZJ_KIND_USER : p[0] == 'd' ? ZJ_KIND_DEVICE : ZJ_KIND_OTHER;
}

/* Bytes of the packed key at p. */
static inline size_t zj_packed_size(const uint8_t *p) {
    size_t before = 0, n;
    int form = p[0] >> 2;
    if (form == ZJ_KEY_PREFIXED) {
        before = 2;
        form = p[2] >> 2;
    }
    if (form == ZJ_KEY_UUID_LOWER || form == ZJ_KEY_UUID_UPPER) return before + 17;
    const size_t at = zj_take_length(p + before + 1, &n);
    return before + 1 + at + zj_text_size(form, n);
}

/* Makes a packed key of `size` bytes a blank of as many. */
static inline void zj_make_blank(uint8_t *p, size_t size) {
    memset(p, 0, size); /* form BLANK */
    if (size < 130) {
        p[1] = (uint8_t)(size - 2);
        return;
    }
    const size_t rest = size - 4; /* the length takes three bytes, whatever it is */
    p[1] = (uint8_t)(rest | 128);
    p[2] = (uint8_t)(rest >> 7 | 128);
    p[3] = (uint8_t)(rest >> 14);
}

/* Characters of the text at p (its head), and where its bytes begin. */
static inline size_t zj_text_of(const uint8_t *p, const uint8_t **text) {
    const int form = p[0] >> 2;
    size_t n = 36;
    *text = p + 1;
    if (form != ZJ_KEY_UUID_LOWER && form != ZJ_KEY_UUID_UPPER) *text += zj_take_length(p + 1, &n);
    return n;
}

/* The text at p (its head) to out[0..its characters). */
static inline void zj_unpack_text(const uint8_t *p, uint8_t *out) {
    const int form = p[0] >> 2;
    const uint8_t *text;
    const size_t n = zj_text_of(p, &text);
    const char *digits = form == ZJ_KEY_UUID_UPPER || form == ZJ_KEY_HEX_UPPER ? "0123456789ABCDEF" : "0123456789abcdef";
    switch (form) {
    case ZJ_KEY_UUID_LOWER:
    case ZJ_KEY_UUID_UPPER:
        for (int i = 0; i < 16; i++) {
            if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
            *out++ = (uint8_t)digits[text[i] >> 4];
            *out++ = (uint8_t)digits[text[i] & 15];
        }
        return;
    case ZJ_KEY_HEX_LOWER:
    case ZJ_KEY_HEX_UPPER:
        for (size_t i = 0; i < n; i++) out[i] = (uint8_t)digits[i & 1 ? text[i / 2] & 15 : text[i / 2] >> 4];
        return;
    case ZJ_KEY_SIX: {
        uint32_t bits = 0;
        int have = 0;
        for (size_t i = 0; i < n; i++) {
            if (have < 6) {
                bits = bits << 8 | *text++;
                have += 8;
            }
            out[i] = zj_six_chars[bits >> (have -= 6) & 63];
        }
        return;
    }
    default:
        if (n) memcpy(out, text, n);
    }
}

#endif
