/* What Sensors Analytics' SDKs send most, straight to native events: a form with base64 of JSON in
 * it, plain or gzip, in the target or in the body.
 *
 * This reader knows right from unsure only. What is encrypted, does not fit its crc, inflates to more
 * than is usual or has a record that becomes no event is left to sensors.py, which knows why;
 * tests/differential/test_sensors_quick.py holds one against the other. Any bytes are safe input.
 * Thread-safe: a reader belongs to one thread. O(bytes, inflated).
 */
#ifndef ZUJI_PROTOCOLS_QUICK_H
#define ZUJI_PROTOCOLS_QUICK_H

#include <stdlib.h>

#include "form.h"
#include "inflate.h"
#include "sensors.h"

#define ZQ_HEAD 4096 /* bytes of JSON in which an encrypted payload says that it is one */
#define ZQ_EXT 128   /* bytes of a field that are looked at */
#define ZQ_BLOCK (256u << 10)

/* What was sent. */
typedef struct {
    const uint8_t *query, *body;
    size_t query_n, body_n;
    int64_t received_ms;
} zq_sent;

typedef struct zq_block {
    struct zq_block *before;
    size_t room, used;
    uint8_t bytes[];
} zq_block;

/* A run, and what its documents are decoded into: that stays as it is until zq_renew, as names point
 * there. `inflated`: bytes that a compressed document may have. All zero is a new one. */
typedef struct {
    zs_run run;
    zq_block *blocks;
    zi_stream gzip;
    size_t inflated;
} zq_reader;

enum { ZQ_NO_MEMORY = -1, ZQ_UNSURE, ZQ_TAKEN };
enum { ZQ_PLAIN = 1, ZQ_GZIP };

/* Room for so many bytes; NULL: no memory. */
static uint8_t *zq_room(zq_reader *r, size_t n) {
    zq_block *block = r->blocks;
    if (!block || block->room - block->used < n) {
        const size_t room = n > ZQ_BLOCK ? n : ZQ_BLOCK;
        block = (zq_block *)malloc(sizeof *block + room);
        if (!block) return NULL;
        *block = (zq_block){r->blocks, room, 0};
        r->blocks = block;
    }
    uint8_t *const found = block->bytes + block->used;
    block->used += n;
    return found;
}

/* A field as it stands: the body's, or else the target's. */
static zf_text zq_field(const zq_sent *s, const char *name) {
    const zf_text found = s->body_n ? zf_field(s->body, s->body_n, name) : (zf_text){NULL, 0};
    return found.p || !s->query_n ? found : zf_field(s->query, s->query_n, name);
}

static int zq_has(const uint8_t *p, size_t n, const char *text) {
    return memmem(p, n, text, strlen(text)) != NULL;
}

/* Whether it is worth a try, ZQ_PLAIN or ZQ_GZIP: no parameter says that the body is compressed. */
static int zq_usual(const zq_sent *s) {
    zf_text sent = zq_field(s, "data_list");
    if (!sent.n) sent = zq_field(s, "data");
    if (sent.n < 4 || (s->query_n && zq_has(s->query, s->query_n, "encoding="))) return 0;
    if (memcmp(sent.p, "H4sI", 4)) return ZQ_PLAIN;
    return zi_zlib.init ? ZQ_GZIP : 0;
}

/* The crc that was sent, 0 when none was: 1; -1 when it is written in an unusual way. */
static int zq_crc(const zq_sent *s, uint32_t *crc) {
    uint8_t held[ZQ_EXT];
    zf_text said = zq_field(s, "crc");
    if (!said.n) {
        said = zq_field(s, "ext");
        if (!said.n) return 0;
        if (said.n > ZQ_EXT) return -1;
        const size_t n = zf_unescape(held, said.p, said.n);
        const uint8_t *at = (const uint8_t *)memmem(held, n, "crc=", 4);
        if (!at) return 0;
        said.p = at + 4;
        said.n = (size_t)(held + n - said.p);
        const uint8_t *end = (const uint8_t *)memchr(said.p, '&', said.n);
        if (end) said.n = (size_t)(end - said.p);
        if (!said.n) return 0;
    }
    const int minus = *said.p == '-';
    if (minus) said.p++, said.n--;
    if (said.n < 1 || said.n > 10) return -1;
    uint64_t value = 0;
    for (size_t i = 0; i < said.n; i++) {
        if (said.p[i] < '0' || said.p[i] > '9') return -1;
        value = 10 * value + (said.p[i] - '0');
    }
    *crc = (uint32_t)(minus ? 0 - value : value);
    return 1;
}

/* The JSON that was sent. */
static int zq_document(zq_reader *r, const zq_sent *s, zf_text *document) {
    zf_text sent = zq_field(s, "data_list");
    if (!sent.n) sent = zq_field(s, "data");
    if (!sent.n) return ZQ_UNSURE;
    const zf_text packing = zq_field(s, "gzip");
    if (packing.n > 1 || (packing.n == 1 && *packing.p == '9')) return ZQ_UNSURE;
    uint8_t *text = zq_room(r, sent.n + 3);
    if (!text) return ZQ_NO_MEMORY;
    size_t n = zf_unescape(text, sent.p, sent.n);
    if (n < 4 || *text == '[' || *text == '{') return ZQ_UNSURE;
    uint32_t crc;
    const int checked = zq_crc(s, &crc);
    if (checked < 0 || (checked && crc != zf_hash(text, n))) return ZQ_UNSURE;
    const int64_t made = zf_unbase64(text, text, n);
    if (made < 2) return ZQ_UNSURE;
    n = (size_t)made;
    if (text[0] == 0x1f && text[1] == 0x8b) {
        const size_t size = zi_size(text, n);
        if (size < 2 || size > r->inflated) return ZQ_UNSURE;
        uint8_t *const clear = zq_room(r, size);
        if (!clear) return ZQ_NO_MEMORY;
        if (!zi_inflate(&r->gzip, text, n, clear, size)) return ZQ_UNSURE;
        text = clear;
        n = size;
    }
    const size_t head = n < ZQ_HEAD ? n : ZQ_HEAD;
    if (zq_has(text, head, "\"ekey\"") && zq_has(text, head, "\"pkv\"")) return ZQ_UNSURE;
    if (memchr(text, 0xed, n)) {
        uint8_t *const whole = zq_room(r, n);
        if (!whole) return ZQ_NO_MEMORY;
        n = zf_join(whole, text, n);
        text = whole;
    }
    *document = (zf_text){text, n};
    return ZQ_TAKEN;
}

/* Adds the events of a request to those of the run, or nothing. */
static int zq_take(zq_reader *reader, const zq_sent *s) {
    zf_text document;
    zs_run *const r = &reader->run;
    const int found = zq_document(reader, s, &document);
    if (found != ZQ_TAKEN) return found;
    const size_t used = r->out.used, parts = r->parts_used;
    const zs_part last = parts ? r->parts[parts - 1] : (zs_part){0, 0, 0, 0};
    r->received_ms = s->received_ms;
    if (zs_document(r, document.p, document.n)) return ZQ_NO_MEMORY;
    if (!r->refused_used) return ZQ_TAKEN;
    r->out.used = used;
    r->parts_used = parts;
    if (parts) r->parts[parts - 1] = last;
    r->refused_used = 0;
    return ZQ_UNSURE;
}

static void zq_forget(zq_reader *r, int all) {
    while (r->blocks && (all || r->blocks->before || r->blocks->room > ZQ_BLOCK)) {
        zq_block *const before = r->blocks->before;
        free(r->blocks);
        r->blocks = before;
    }
    if (r->blocks) r->blocks->used = 0;
}

static void zq_free(zq_reader *r) {
    zq_forget(r, 1);
    zi_free(&r->gzip);
    zs_free(&r->run);
}

/* A reader that is as new, but for the memory that it holds: at most `most` bytes of each kind. */
static void zq_renew(zq_reader *reader, size_t most) {
    zs_run *const r = &reader->run;
    zq_forget(reader, 0);
    if (r->out.room > most) free(r->out.start), r->out = (pk_out){NULL, 0, 0};
    if (r->props.room > most) free(r->props.start), r->props = (pk_out){NULL, 0, 0};
    if (r->js.made_room > most) free(r->js.made), r->js.made = NULL, r->js.made_room = 0;
    memset(r->slots, 0, sizeof r->slots);
    r->known[0].next = r->known_used = r->last = 0;
    r->out.used = r->parts_used = r->refused_used = r->token_n = 0;
}

#endif
