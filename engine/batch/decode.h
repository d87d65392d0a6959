/* A batch: msgpack or JSON bytes → columns, in one pass without the GIL and without an object an event.
 *
 * Event after event is read (event.h) and kept (keep.h). One that cannot be kept is walked again from
 * its start, slowly: a structural fault, or one limit on the batch too many, refuses the whole batch,
 * and then the tables get back what they had before it; else the event alone is refused.
 * In JSON lines a line that is not JSON is refused alone: the next line feed is a new start.
 *
 * Memory: keep.h, a copy of what JSON text had escapes, 64 bytes a refused event. O(bytes).
 * Threads: one zj_batch belongs to one thread; the string tables are the caller's to lock.
 */
#ifndef ZUJI_BATCH_DECODE_H
#define ZUJI_BATCH_DECODE_H

#include "batch/event.h"

enum { ZJ_MSGPACK, ZJ_JSON, ZJ_JSON_LINES };

typedef struct {
    zj_limits limits;
    uint64_t max_events, max_items;
    const uint8_t *data, *end;
    zj_reader reader; /* reader.keep.out: the columns */
    uint32_t events;
    uint64_t items;
    int form;
    int has_sent_at;
    int64_t sent_at;
    zj_text batch_id;
    const char *envelope_fault; /* with ZJ_BATCH_ENVELOPE */
    uint64_t fault_at;          /* byte offset of a structural fault */
    zj_reject *rejects;
    size_t rejected, rejects_room;
} zj_batch;

static inline void zj_batch_free(zj_batch *b) {
    zj_reader_free(&b->reader);
    free(b->rejects);
    memset(b, 0, sizeof *b);
}

#define ZJ_SPARE_BYTES (4u << 20) /* of buffers that are kept for the next batch */

/* Ready for another batch, with the buffers of this one if they are not large. */
static inline void zj_batch_reset(zj_batch *b) {
    zj_reader reader = b->reader;
    free(reader.json.made);
    memset(&reader.json, 0, sizeof reader.json);
    free(b->rejects);
    memset(b, 0, sizeof *b);
    if (zj_keeper_bytes(&reader.keep) > ZJ_SPARE_BYTES) zj_reader_free(&reader);
    b->reader = reader;
}

static int zj_batch_fault(zj_batch *b, const uint8_t *p, int fault) {
    static const uint8_t reasons[] = {ZJ_BATCH_OK, ZJ_BATCH_TRUNCATED, ZJ_BATCH_MALFORMED,
                                      ZJ_BATCH_TOO_MANY_ITEMS};
    b->fault_at = (uint64_t)(p - b->data);
    return b->reader.json.no_memory ? ZJ_BATCH_NO_MEMORY : reasons[fault];
}

static int zj_batch_envelope(zj_batch *b, const uint8_t *p, const char *fault) {
    b->fault_at = (uint64_t)(p - b->data);
    b->envelope_fault = fault;
    return ZJ_BATCH_ENVELOPE;
}

static int zj_batch_reject(zj_batch *b, zj_reject reject, const uint8_t *start, const uint8_t *end) {
    if (b->rejected == b->rejects_room) {
        size_t room = 2 * b->rejects_room + 16;
        if (zj_grow(&b->rejects, room, sizeof *b->rejects)) return ZJ_BATCH_NO_MEMORY;
        b->rejects_room = room;
    }
    reject.index = b->events;
    reject.start = (uint64_t)(start - b->data);
    reject.end = (uint64_t)(end - b->data);
    b->rejects[b->rejected++] = reject;
    return ZJ_BATCH_OK;
}

ZJ_NEVER int zj_batch_skip(zj_batch *b, const uint8_t **at, const uint8_t *end, int *deep) {
    const uint32_t depth = b->limits.depth;
    if (b->form == ZJ_MSGPACK) return mp_skip(at, end, &b->items, b->max_items, depth, deep);
    return js_skip(at, end, b->end, &b->items, b->max_items, depth, deep);
}

/* The event at *at was not read: is it whole, and why not? Moves *at past it. */
ZJ_NEVER int zj_batch_refuse(zj_batch *b, const uint8_t **at, int reason) {
    const uint8_t *start = *at;
    int deep = 0;
    zj_drop_row(&b->reader.keep);
    if (reason == ZJ_NO_MEMORY || b->reader.json.no_memory) return ZJ_BATCH_NO_MEMORY;
    zj_reject reject = b->reader.reject;
    int failed = zj_batch_skip(b, at, b->end, &deep);
    if (failed) return zj_batch_fault(b, *at, failed);
    if (deep) {
        zj_fail(&b->reader, ZJ_TOO_DEEP, ZJ_F_NONE);
        reject = b->reader.reject;
    }
    return zj_batch_reject(b, reject, start, *at);
}

static inline int zj_batch_keep(zj_batch *b, const uint8_t *p) {
    if (zj_keep_row(&b->reader.keep, b->events)) return ZJ_BATCH_NO_MEMORY;
    b->items += b->reader.keep.row.values;
    return b->items > b->max_items ? zj_batch_fault(b, p, MP_TOO_MANY) : ZJ_BATCH_OK;
}

/* The members of the array of events; *at is past its head. */
static int zj_batch_events(zj_batch *b, const uint8_t **at, uint32_t count) {
    zj_walk walk = {count, 1};
    const int json = b->form != ZJ_MSGPACK;
    const uint8_t *p = *at;
    if (!json && count > b->max_events) return ZJ_BATCH_TOO_MANY_EVENTS;
    if (!json && count > (uint64_t)(b->end - p)) return zj_batch_fault(b, b->end, MP_TRUNCATED);
    for (;; b->events++) {
        int more = json ? zj_next(&p, b->end, &walk, ']', 1) : zj_next(&p, b->end, &walk, 0, 0);
        if (more == 0) break;
        if (more < 0) return zj_batch_fault(b, p, p >= b->end ? MP_TRUNCATED : MP_MALFORMED);
        if (b->events == b->max_events) {
            b->fault_at = (uint64_t)(p - b->data);
            return ZJ_BATCH_TOO_MANY_EVENTS;
        }
        const uint8_t *after = json ? zj_read_event_json(&b->reader, p, b->end)
                                    : zj_read_event_msgpack(&b->reader, p, b->end);
        int failed;
        if (after) {
            p = after;
            failed = zj_batch_keep(b, p);
        } else {
            const uint8_t *start = p;
            failed = zj_batch_refuse(b, &start, b->reader.failed);
            p = start;
        }
        if (failed) return failed;
    }
    *at = p;
    return ZJ_BATCH_OK;
}

static void zj_blank(const uint8_t **at, const uint8_t *end) {
    while (*at < end && (**at == ' ' || **at == '\t' || **at == '\r')) (*at)++;
}

/* One event a line; lines with nothing but white space do not count. */
static int zj_batch_lines(zj_batch *b, const uint8_t *p) {
    for (;;) {
        js_space(&p, b->end);
        if (p == b->end) return ZJ_BATCH_OK;
        if (b->events == b->max_events) {
            b->fault_at = (uint64_t)(p - b->data);
            return ZJ_BATCH_TOO_MANY_EVENTS;
        }
        const uint8_t *start = p;
        const uint8_t *end = (const uint8_t *)memchr(p, '\n', (size_t)(b->end - p));
        if (!end) end = b->end;
        const uint8_t *after = zj_read_event_json(&b->reader, p, end);
        const int reason = after ? ZJ_ACCEPTED : b->reader.failed;
        int failed;
        if (after) zj_blank(&after, end);
        if (after == end) {
            p = end;
            failed = zj_batch_keep(b, p);
        } else {
            const uint64_t before = b->items;
            zj_reject reject = b->reader.reject;
            int deep = 0;
            zj_drop_row(&b->reader.keep);
            if (reason == ZJ_NO_MEMORY || b->reader.json.no_memory) return ZJ_BATCH_NO_MEMORY;
            p = start;
            failed = zj_batch_skip(b, &p, end, &deep);
            const uint8_t *last = p;
            if (!failed) zj_blank(&p, end);
            if (failed == MP_TOO_MANY) return zj_batch_fault(b, p, failed);
            if (failed || p != end) {
                zj_fail(&b->reader, ZJ_BAD_JSON, ZJ_F_NONE);
                reject = b->reader.reject;
                for (last = end; last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r';) last--;
                b->items = before + 1;
            } else if (deep) {
                zj_fail(&b->reader, ZJ_TOO_DEEP, ZJ_F_NONE);
                reject = b->reader.reject;
            }
            failed = b->items > b->max_items ? zj_batch_fault(b, end, MP_TOO_MANY)
                                             : zj_batch_reject(b, reject, start, last);
            p = end;
        }
        if (failed) return failed;
        b->events++;
    }
}

enum { ZJ_E_BATCH_ID = 1, ZJ_E_SENT_AT = 2, ZJ_E_EVENTS = 4 };

static uint32_t zj_envelope_key(const mp_value *key) {
    if (key->type != MP_STR) return 0;
    return ZJ_IS(*key, "batch_id") ? ZJ_E_BATCH_ID
           : ZJ_IS(*key, "sent_at") ? ZJ_E_SENT_AT
           : ZJ_IS(*key, "events") ? ZJ_E_EVENTS
                                   : 0;
}

static int zj_batch_map(zj_batch *b, const uint8_t **at, uint32_t pairs) {
    const int json = b->form != ZJ_MSGPACK;
    zj_reader *r = &b->reader;
    const uint8_t *p = *at;
    zj_walk walk = {pairs, 1};
    uint32_t keys = 0;
    for (;;) {
        mp_value key, v;
        int more = json ? zj_next(&p, b->end, &walk, '}', 1) : zj_next(&p, b->end, &walk, 0, 0);
        if (more == 0) break;
        if (more < 0) return zj_batch_fault(b, p, p >= b->end ? MP_TRUNCATED : MP_MALFORMED);
        const uint8_t *here = p;
        int failed = json ? zj_read_key(r, &p, b->end, &key, 1) : zj_read_key(r, &p, b->end, &key, 0);
        if (failed) return zj_batch_fault(b, p, failed);
        uint32_t which = zj_envelope_key(&key);
        if (!which) return zj_batch_envelope(b, here, "a key other than batch_id, sent_at, events");
        if (keys & which) return zj_batch_envelope(b, here, "the same key twice");
        keys |= which;
        b->items += 2;
        here = p;
        failed = json ? zj_read(r, &p, b->end, &v, 1) : zj_read(r, &p, b->end, &v, 0);
        if (failed) return zj_batch_fault(b, p, failed);
        if (which == ZJ_E_EVENTS) {
            if (v.type != MP_ARRAY) return zj_batch_envelope(b, here, "events is not an array");
            failed = zj_batch_events(b, &p, v.size);
            if (failed) return failed;
        } else if (v.type == MP_NIL) {
            continue;
        } else if (which == ZJ_E_SENT_AT) {
            if (zj_read_time(&v, &b->sent_at) || b->sent_at < b->limits.time_min ||
                b->sent_at >= b->limits.time_max)
                return zj_batch_envelope(b, here, "sent_at is not a time");
            b->has_sent_at = 1;
        } else {
            if (v.type != MP_STR || v.size == 0 || v.size > b->limits.id_bytes ||
                !zj_utf8_ok(v.bytes, v.size))
                return zj_batch_envelope(b, here, "batch_id is not a text of a usable length");
            b->batch_id = (zj_text){v.bytes, v.size};
        }
    }
    if (!(keys & ZJ_E_EVENTS)) return zj_batch_envelope(b, p, "no events");
    *at = p;
    return ZJ_BATCH_OK;
}

/* An object whose first key belongs to a batch is one; any other is the first of JSON lines. */
static int zj_is_envelope(zj_batch *b, const uint8_t *p) {
    uint32_t first = 1;
    mp_value key;
    int found = js_next(&p, b->end, &first, '}') == 1 && p < b->end && *p == '"' &&
                js_read(&b->reader.json, &p, b->end, &key, b->end) == MP_OK && zj_envelope_key(&key);
    b->reader.json.made_used = 0;
    return found;
}

static int zj_batch_read(zj_batch *b) {
    const uint8_t *p = b->data;
    mp_value v;
    int failed;
    if (b->form == ZJ_MSGPACK) {
        failed = mp_read(&p, b->end, &v);
    } else {
        failed = js_read(&b->reader.json, &p, b->end, &v, b->end);
        if (!failed && v.type == MP_MAP && !zj_is_envelope(b, p)) {
            b->form = ZJ_JSON_LINES;
            b->items = 1;
            return b->reader.json.no_memory ? ZJ_BATCH_NO_MEMORY : zj_batch_lines(b, b->data);
        }
    }
    if (failed) return zj_batch_fault(b, p, failed);
    b->items = 1;
    if (v.type == MP_ARRAY) failed = zj_batch_events(b, &p, v.size);
    else if (v.type == MP_MAP) failed = zj_batch_map(b, &p, v.size);
    else failed = zj_batch_envelope(b, b->data, "neither a map nor an array of events");
    if (failed) return failed;
    if (b->items > b->max_items) return zj_batch_fault(b, p, MP_TOO_MANY);
    if (b->form == ZJ_JSON) js_space(&p, b->end);
    if (p != b->end) {
        b->fault_at = (uint64_t)(p - b->data);
        return ZJ_BATCH_TRAILING;
    }
    return ZJ_BATCH_OK;
}

/* Which form the bytes have: no msgpack batch starts as JSON does. */
static inline int zj_form_of(const uint8_t *data, size_t n) {
    if (!n) return ZJ_MSGPACK;
    const uint8_t c = data[0];
    return c == '{' || c == '[' || c == ' ' || c == '\n' || c == '\t' || c == '\r' ? ZJ_JSON
                                                                                   : ZJ_MSGPACK;
}

/* ZJ_BATCH_OK and the columns in b->reader.keep.out; else the reason, and the tables are as before.
 * REQUIRES: *b is zero or reset but for limits, max_events, max_items. */
static int zj_batch_decode(zj_batch *b, const uint8_t *data, size_t n, int form, zj_table names,
                           zj_table strings) {
    static const uint8_t nothing[1] = {0};
    const uint64_t names_before = names.strings->count;
    const uint64_t strings_before = strings.strings->count;
    if (!n) data = nothing;
    b->data = data;
    b->end = data + n;
    b->form = form;
    int failed = ZJ_BATCH_NO_MEMORY;
    if (zj_reader_begin(&b->reader, &b->limits, data, n, names, strings) == 0)
        failed = zj_batch_read(b);
    if (!failed && zj_keeper_end(&b->reader.keep)) failed = ZJ_BATCH_NO_MEMORY;
    if (failed) {
        zj_table_back(strings, strings_before);
        if (names.strings != strings.strings) zj_table_back(names, names_before);
    }
    return failed;
}

static int zj_slice_members(const uint8_t *p, const uint8_t *end, int json, uint32_t size,
                            const uint8_t *data, const int64_t *wanted, size_t count,
                            uint64_t *bounds) {
    zj_walk walk = {size, 1};
    size_t got = 0;
    for (int64_t i = 0; got < count; i++) {
        uint64_t items = 0;
        int deep = 0, failed;
        if ((json ? zj_next(&p, end, &walk, ']', 1) : zj_next(&p, end, &walk, 0, 0)) != 1) return -1;
        const uint8_t *start = p;
        failed = json ? js_skip(&p, end, end, &items, UINT64_MAX, JS_LEVELS, &deep)
                      : mp_skip(&p, end, &items, UINT64_MAX, MP_DEPTH, &deep);
        if (failed) return -1;
        if (i != wanted[got]) continue;
        bounds[2 * got] = (uint64_t)(start - data);
        bounds[2 * got + 1] = (uint64_t)(p - data);
        got++;
    }
    return 0;
}

static int zj_slice_lines(const uint8_t *p, const uint8_t *end, const uint8_t *data,
                          const int64_t *wanted, size_t count, uint64_t *bounds) {
    size_t got = 0;
    for (int64_t i = 0; got < count; i++) {
        js_space(&p, end);
        if (p == end) return -1;
        const uint8_t *line = (const uint8_t *)memchr(p, '\n', (size_t)(end - p));
        const uint8_t *last = line ? line : end;
        if (i == wanted[got]) {
            bounds[2 * got] = (uint64_t)(p - data);
            p = last;
            while (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r') last--;
            bounds[2 * got + 1] = (uint64_t)(last - data);
            got++;
        } else {
            p = last;
        }
    }
    return 0;
}

/* The bytes of events `wanted` (ascending) of a batch that was decoded: bounds[2 k, 2 k + 1] of the
 * k-th. 0, or -1 when it has them not. O(bytes). */
static int zj_slices(const uint8_t *data, size_t n, const int64_t *wanted, size_t count,
                     uint64_t *bounds) {
    const uint8_t *p = data, *end = data + n;
    zj_batch b = {0};
    mp_value v;
    uint64_t items = 0;
    int deep = 0, found = -1;
    const int json = zj_form_of(data, n) == ZJ_JSON;
    if (!n) return -1;
    b.data = data;
    b.end = b.reader.room = b.reader.json.room = end;
    b.reader.json.made_room = n;
    if (json ? zj_read(&b.reader, &p, end, &v, 1) : mp_read(&p, end, &v)) goto done;
    if (v.type == MP_ARRAY) {
        found = zj_slice_members(p, end, json, v.size, data, wanted, count, bounds);
    } else if (v.type == MP_MAP && json && !zj_is_envelope(&b, p)) {
        found = zj_slice_lines(data, end, data, wanted, count, bounds);
    } else if (v.type == MP_MAP) {
        zj_walk walk = zj_walk_of(&v);
        mp_value key;
        for (;;) {
            if ((json ? zj_next(&p, end, &walk, '}', 1) : zj_next(&p, end, &walk, 0, 0)) != 1) break;
            if (json ? zj_read_key(&b.reader, &p, end, &key, 1) : mp_read(&p, end, &key)) break;
            if (zj_envelope_key(&key) == ZJ_E_EVENTS) {
                if (json ? zj_read(&b.reader, &p, end, &v, 1) : mp_read(&p, end, &v)) break;
                if (v.type == MP_ARRAY)
                    found = zj_slice_members(p, end, json, v.size, data, wanted, count, bounds);
                break;
            }
            if (json ? js_skip(&p, end, end, &items, UINT64_MAX, JS_LEVELS, &deep)
                     : mp_skip(&p, end, &items, UINT64_MAX, MP_DEPTH, &deep))
                break;
        }
    }
done:
    free(b.reader.json.made);
    return found;
}

#endif
