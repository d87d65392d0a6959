/* A plain request that lies whole in the bytes of one read, taken apart in one pass.
 *
 * Nearly all requests of SDKs are so. Whatever is not beyond doubt is left to llhttp and guard.py,
 * which know why it is wrong: this reader knows right from unsure only. It takes GET and POST of
 * HTTP/1.1 that keep the connection, one Host, visible ASCII targets without escapes in the path,
 * every name once, and a body announced by Content-Length alone. tests/server/test_scan.py holds
 * what it takes against what the other reader makes of the same bytes.
 *
 * Any bytes are safe input. No state, thread-safe, O(n + fields²) with at most ZP_FIELDS fields.
 */
#ifndef ZUJI_COLLECTOR_PLAIN_H
#define ZUJI_COLLECTOR_PLAIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ZP_FIELDS 64

typedef struct {
    const uint8_t *p;
    size_t n;
} zp_text;

typedef struct {
    int max_target, max_fields, max_head; /* bytes, fields, bytes of all fields */
    int64_t max_body;
} zp_limits;

/* Its parts, where they stand. `query.p` NULL: none. Names are as they were sent. */
typedef struct {
    int is_post, fields;
    zp_text path, query, body;
    zp_text names[ZP_FIELDS], values[ZP_FIELDS];
    uint64_t hashes[ZP_FIELDS];
    const uint8_t *after;
} zp_request;

enum { ZP_TOKEN = 1, ZP_VALUE = 2, ZP_HOST = 4 }; /* of a name, RFC 9110 §5.6.2; of values; of a host */
static uint8_t zp_kinds[256], zp_lower[256];

__attribute__((constructor)) static void zp_init(void) {
    for (int c = 0; c < 256; c++) {
        const int digit = c >= '0' && c <= '9', upper = c >= 'A' && c <= 'Z';
        const int letter = upper || (c >= 'a' && c <= 'z');
        zp_lower[c] = (uint8_t)(upper ? c + 32 : c);
        const int mark = c && c < 128 && strchr("!#$%&'*+-.^_`|~", c);
        if (digit || letter || mark) zp_kinds[c] |= ZP_TOKEN;
        if ((c >= 0x20 && c < 0x7f) || c == '\t') zp_kinds[c] |= ZP_VALUE;
        if (c > 0x20 && c < 0x7f && !strchr("#,/@?\\", c)) zp_kinds[c] |= ZP_HOST;
    }
}

/* Where visible ASCII but # ends. 32 bytes at a time, which the compiler makes wide. */
static const uint8_t *zp_target_end(const uint8_t *at, const uint8_t *end) {
    while (end - at >= 32) {
        uint8_t bad = 0;
        for (int i = 0; i < 32; i++) bad |= (uint8_t)(at[i] - 0x21) > 0x5d || at[i] == '#';
        if (bad) break;
        at += 32;
    }
    while (at < end && (uint8_t)(*at - 0x21) <= 0x5d && *at != '#') at++;
    return at;
}

/* Whether a text is `lower`, a word in lower case, in whatever case. */
static int zp_is(zp_text text, const char *lower) {
    if (text.n != strlen(lower)) return 0;
    for (size_t i = 0; i < text.n; i++)
        if (zp_lower[text.p[i]] != (uint8_t)lower[i]) return 0;
    return 1;
}

/* The value of a field; {NULL, 0} when it is not there. */
static zp_text zp_value(const zp_request *r, const char *lower) {
    for (int i = 0; i < r->fields; i++)
        if (zp_is(r->names[i], lower)) return r->values[i];
    return (zp_text){NULL, 0};
}

/* One field of the header, all but what it means. Its line's end, or NULL. */
static const uint8_t *zp_field(zp_request *r, const uint8_t *line, const uint8_t *end, int *head) {
    const uint8_t *at = line, *stop;
    uint64_t hash = 0;
    while (at < end && zp_kinds[*at] & ZP_TOKEN) hash = hash * 0x100000001b3ull + zp_lower[*at++];
    if (at == line || at >= end || *at != ':' || r->fields == ZP_FIELDS) return NULL;
    for (int i = 0; i < r->fields; i++)
        if (r->hashes[i] == hash) return NULL; /* it stands twice, or may */
    r->hashes[r->fields] = hash;
    r->names[r->fields] = (zp_text){line, (size_t)(at - line)};
    const uint8_t *value = ++at;
    while (at < end && zp_kinds[*at] & ZP_VALUE) at++;
    if (end - at < 2 || at[0] != '\r' || at[1] != '\n') return NULL;
    *head += (int)(at - line) + 3;
    stop = at;
    while (value < stop && (*value == ' ' || *value == '\t')) value++;
    while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
    r->values[r->fields++] = (zp_text){value, (size_t)(stop - value)};
    return at + 2;
}

static int zp_is_unsure(zp_text name) {
    switch (name.n) {
        case 2: return zp_is(name, "te");
        case 6: return zp_is(name, "expect");
        case 7: return zp_is(name, "upgrade") || zp_is(name, "trailer");
        case 14: return zp_is(name, "http2-settings");
        case 16: return zp_is(name, "proxy-connection");
        case 17: return zp_is(name, "transfer-encoding");
        default: return 0;
    }
}

/* The last field taken: whether it may be; its host and its length. */
static int zp_check(const zp_request *r, int64_t max_body, int *hosts, int64_t *length) {
    const zp_text name = r->names[r->fields - 1], value = r->values[r->fields - 1];
    if (name.n == 4 && zp_is(name, "host")) {
        *hosts += 1;
        for (size_t i = 0; i < value.n; i++)
            if (!(zp_kinds[value.p[i]] & ZP_HOST)) return 0;
        return value.n > 0;
    }
    if (name.n == 14 && zp_is(name, "content-length")) {
        *length = 0;
        if (!value.n || value.n > 12) return 0;
        for (size_t i = 0; i < value.n; i++) {
            if (value.p[i] < '0' || value.p[i] > '9') return 0;
            *length = *length * 10 + (value.p[i] - '0');
        }
        return *length <= max_body;
    }
    if (name.n == 10 && zp_is(name, "connection")) return zp_is(value, "keep-alive");
    return !zp_is_unsure(name);
}

/* The request that begins at `at`: 1, or 0 when it is not whole, not plain, or beyond a limit. */
static int zp_read(zp_request *r, const uint8_t *at, const uint8_t *end, const zp_limits *limits) {
    if (end - at < 18) return 0;
    r->is_post = *at == 'P';
    if (memcmp(at, r->is_post ? "POST /" : "GET /", r->is_post ? 6 : 5)) return 0;
    const uint8_t *const target = at + (r->is_post ? 5 : 4);
    at = zp_target_end(target, end);
    const size_t size = (size_t)(at - target);
    const uint8_t *mark = (const uint8_t *)memchr(target, '?', size);
    r->path = (zp_text){target, mark ? (size_t)(mark - target) : size};
    r->query = mark ? (zp_text){mark + 1, (size_t)(at - mark) - 1} : (zp_text){NULL, 0};
    if (memchr(target, '%', r->path.n)) return 0;
    if ((int64_t)size > limits->max_target) return 0;
    if (end - at < 11 || memcmp(at, " HTTP/1.1\r\n", 11)) return 0;
    at += 11;
    int head = 0, hosts = 0;
    int64_t length = -1;
    for (r->fields = 0;;) {
        if (end - at < 2) return 0;
        if (*at == '\r') {
            if (at[1] != '\n') return 0;
            at += 2;
            break;
        }
        at = zp_field(r, at, end, &head);
        if (!at || r->fields > limits->max_fields || head > limits->max_head) return 0;
        if (!zp_check(r, limits->max_body, &hosts, &length)) return 0;
    }
    if (hosts != 1 || (r->is_post && length < 0) || end - at < length) return 0;
    r->body = (zp_text){at, length > 0 ? (size_t)length : 0};
    r->after = at + r->body.n;
    return 1;
}

#endif
