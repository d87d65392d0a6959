/* What Sensors Analytics' SDKs send most, straight to native events: a form with base64 of JSON in
 * it, in the target or in the body.
 *
 * This reader knows right from unsure only. What is compressed, encrypted, does not fit its crc or
 * has a record that becomes no event is left to sensors.py, which knows why;
 * tests/differential/test_sensors_quick.py holds one against the other. Any bytes are safe input.
 * Thread-safe: a run belongs to one thread. O(bytes).
 */
#ifndef ZUJI_PROTOCOLS_QUICK_H
#define ZUJI_PROTOCOLS_QUICK_H

#include "form.h"
#include "sensors.h"

#define ZQ_HEAD 4096 /* bytes of JSON in which an encrypted payload says that it is one */
#define ZQ_EXT 128   /* bytes of a field that are looked at */

/* What was sent. `work`: bytes that are decoded into, ZQ_ROOM(query_n, body_n) of them, which stay
 * as they are while the run is used: names point there. */
typedef struct {
    const uint8_t *query, *body;
    size_t query_n, body_n;
    uint8_t *work;
    int64_t received_ms;
} zq_sent;
#define ZQ_ROOM(query_n, body_n) (2 * ((query_n) > (body_n) ? (query_n) : (body_n)) + 8)

enum { ZQ_NO_MEMORY = -1, ZQ_UNSURE, ZQ_TAKEN };

/* A field as it stands: the body's, or else the target's. */
static zf_text zq_field(const zq_sent *s, const char *name) {
    const zf_text found = s->body_n ? zf_field(s->body, s->body_n, name) : (zf_text){NULL, 0};
    return found.p || !s->query_n ? found : zf_field(s->query, s->query_n, name);
}

static int zq_has(const uint8_t *p, size_t n, const char *text) {
    return memmem(p, n, text, strlen(text)) != NULL;
}

/* Whether it is worth a try: no gzip, and no parameter that says so. */
static int zq_usual(const zq_sent *s) {
    zf_text sent = zq_field(s, "data_list");
    if (!sent.n) sent = zq_field(s, "data");
    if (sent.n < 4 || !memcmp(sent.p, "H4sI", 4)) return 0;
    return !s->query_n || !zq_has(s->query, s->query_n, "encoding=");
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

/* The JSON that was sent, in s->work; NULL: unsure. */
static const uint8_t *zq_document(const zq_sent *s, size_t *size) {
    zf_text sent = zq_field(s, "data_list");
    if (!sent.n) sent = zq_field(s, "data");
    if (!sent.n) return NULL;
    const zf_text packing = zq_field(s, "gzip");
    if (packing.n > 1 || (packing.n == 1 && *packing.p == '9')) return NULL;
    uint8_t *text = s->work;
    size_t n = zf_unescape(text, sent.p, sent.n);
    if (n < 4 || *text == '[' || *text == '{' || !memcmp(text, "H4sI", 4)) return NULL;
    uint32_t crc;
    const int checked = zq_crc(s, &crc);
    if (checked < 0 || (checked && crc != zf_hash(text, n))) return NULL;
    const int64_t made = zf_unbase64(text, text, n);
    if (made < 2 || (text[0] == 0x1f && text[1] == 0x8b)) return NULL;
    n = (size_t)made;
    const size_t head = n < ZQ_HEAD ? n : ZQ_HEAD;
    if (zq_has(text, head, "\"ekey\"") && zq_has(text, head, "\"pkv\"")) return NULL;
    if (memchr(text, 0xed, n)) {
        n = zf_join(text + n, text, n);
        text += made;
    }
    *size = n;
    return text;
}

/* Adds the events of a request to r->out, or nothing. */
static int zq_take(zs_run *r, const zq_sent *s) {
    size_t size = 0;
    const uint8_t *document = zq_document(s, &size);
    if (!document) return ZQ_UNSURE;
    const size_t used = r->out.used, parts = r->parts_used;
    const zs_part last = parts ? r->parts[parts - 1] : (zs_part){0, 0, 0, 0};
    r->received_ms = s->received_ms;
    if (zs_document(r, document, size)) return ZQ_NO_MEMORY;
    if (!r->refused_used) return ZQ_TAKEN;
    r->out.used = used;
    r->parts_used = parts;
    if (parts) r->parts[parts - 1] = last;
    r->refused_used = 0;
    return ZQ_UNSURE;
}

/* A run that is as new, but for the memory that it holds: at most `most` bytes of each kind. */
static void zq_renew(zs_run *r, size_t most) {
    if (r->out.room > most) free(r->out.start), r->out = (pk_out){NULL, 0, 0};
    if (r->props.room > most) free(r->props.start), r->props = (pk_out){NULL, 0, 0};
    if (r->js.made_room > most) free(r->js.made), r->js.made = NULL, r->js.made_room = 0;
    memset(r->slots, 0, sizeof r->slots);
    r->known[0].next = r->known_used = r->last = 0;
    r->out.used = r->parts_used = r->refused_used = r->token_n = 0;
}

#endif
