/* Values of Sensors Analytics' properties → msgpack values of native events.
 *
 * Text that is a date as its SDKs write it becomes a timestamp; a whole number becomes a float64 as
 * other numbers do (its NUMBER is one type: 5 and 5.5 must fit into one property), but for those
 * that a float64 cannot hold; a list of texts stays one, a list of numbers becomes one of their
 * digits; any other list and every object becomes its compact JSON text. null is nothing.
 *
 * Nothing recurses (json.h), nothing is read outside of [*at, end). O(bytes).
 */
#ifndef ZUJI_PROTOCOLS_SENSORS_VALUE_H
#define ZUJI_PROTOCOLS_SENSORS_VALUE_H

#include "batch/json.h"
#include "batch/times.h"

#include "pack.h"

#define ZS_EXACT (1ll << 53) /* float64 holds whole numbers up to this */

/* What is wrong with a value. */
enum { ZS_FINE, ZS_INT_RANGE, ZS_NOT_FINITE, ZS_LONG_LIST, ZS_NO_ROOM };

/* A date without its zone: yyyy-MM-dd, or yyyy-MM-dd HH:mm:ss, or that with .S, .SS or .SSS, a number
 * of milliseconds that some SDKs do not pad: .6 is six. → ms UTC. */
static int zs_date(const uint8_t *p, size_t n, int64_t offset_ms, int64_t *ms) {
    if ((n != 10 && n != 19 && (n < 21 || n > 23)) || p[4] != '-' || p[7] != '-') return 0;
    const int32_t year = zj_digits(p, 4), month = zj_digits(p + 5, 2), day = zj_digits(p + 8, 2);
    int32_t hour = 0, minute = 0, second = 0, milli = 0;
    if (n > 10) {
        if (p[10] != ' ' || p[13] != ':' || p[16] != ':') return 0;
        hour = zj_digits(p + 11, 2);
        minute = zj_digits(p + 14, 2);
        second = zj_digits(p + 17, 2);
    }
    if (n > 19) {
        if (p[19] != '.') return 0;
        milli = zj_digits(p + 20, (uint32_t)n - 20);
    }
    if ((year | month | day | hour | minute | second | milli) < 0) return 0;
    if (year < 1 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 ||
        (uint32_t)day > zj_month_days((uint32_t)year, (uint32_t)month))
        return 0;
    const int64_t days = zj_days(year, (uint32_t)month, (uint32_t)day);
    *ms = ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000 + milli - offset_ms;
    return *ms >= -62135596800000LL && *ms < 253402300800000LL;
}

/* One escape of a JSON string at p, as json.dumps(…, ensure_ascii=False) writes what it means. */
static const uint8_t *zs_escape(pk_out *out, const uint8_t *p, const uint8_t *end) {
    uint8_t *to = out->start + out->used;
    const uint8_t *const after = p + (p[1] == 'u' ? 6 : 2);
    size_t n = 0;
    if (p[1] == '/') {
        to[n++] = '/';
    } else if (p[1] != 'u') {
        to[n++] = '\\';
        to[n++] = p[1];
    } else {
        const int32_t c = js_hex4(p + 2);
        const int pair = c >= 0xd800 && c < 0xdc00 && end - after >= 6 && after[0] == '\\' &&
                         after[1] == 'u' && (js_hex4(after + 2) & 0xfc00) == 0xdc00;
        static const char controls[] = "\b\t\n\f\r", names[] = "btnfr";
        const char *control = c && c < 0x20 ? strchr(controls, c) : NULL;
        if (pair) {
            out->used += js_unescape(to, p, after + 6);
            return after + 6;
        }
        if (control || c == '"' || c == '\\') {
            to[n++] = '\\';
            to[n++] = control ? (uint8_t)names[control - controls] : (uint8_t)c;
        } else if (c < 0x20) {
            static const char hex[] = "0123456789abcdef";
            memcpy(to, "\\u00", 4);
            to[4] = (uint8_t)hex[c >> 4];
            to[5] = (uint8_t)hex[c & 15];
            n = 6;
        } else {
            n = js_put_utf8(to, (uint32_t)c);
        }
    }
    out->used += n;
    return after;
}

/* [p, end), a whole JSON value, as a text without white space and needless escapes. */
static int zs_compact(pk_out *out, const uint8_t *p, const uint8_t *end) {
    if (pk_room(out, (size_t)(end - p) + PK_TEXT)) return ZS_NO_ROOM;
    const size_t head = out->used;
    int inside = 0;
    out->used += PK_TEXT;
    while (p < end) {
        const uint8_t c = *p;
        if (inside && c == '\\') {
            p = zs_escape(out, p, end);
            continue;
        }
        if (c == '"') inside = !inside;
        if (!inside && (c == 'N' || c == 'I')) return ZS_NOT_FINITE;
        if (inside || c > ' ') pk_byte(out, c);
        p++;
    }
    out->start[head] = 0xdb;
    pk_u32(out->start + head + 1, (uint32_t)(out->used - head - PK_TEXT));
    return ZS_FINE;
}

/* The list [p, end), of which js_skip said that it is one. `items`: its msgpack values. */
static int zs_list(js_reader *js, pk_out *out, const uint8_t *p, const uint8_t *end, uint32_t most,
                   uint32_t *items) {
    const uint8_t *at = p + 1;
    uint32_t first = 1, texts = 0, numbers = 0, infinite = 0;
    while (js_next(&at, end, &first, ']') > 0) {
        mp_value v;
        if (*at == '{' || *at == '[') return zs_compact(out, p, end);
        if (js_read(NULL, &at, end, &v, js->room)) break; /* never: it was skipped */
        if (v.type == MP_STR) texts++;
        else if (v.type == MP_NIL || v.type == MP_BOOL) return zs_compact(out, p, end);
        else numbers++;
        infinite |= v.type == MP_FLOAT && !isfinite(v.number);
    }
    if (texts && numbers) return zs_compact(out, p, end);
    if (infinite) return ZS_NOT_FINITE;
    if (texts + numbers > most) return ZS_LONG_LIST;
    if (pk_room(out, 2 * (size_t)(end - p) + 16)) return ZS_NO_ROOM;
    pk_head(out, 0xdc, texts + numbers);
    *items = 1 + texts + numbers;
    for (at = p + 1, first = 1; js_next(&at, end, &first, ']') > 0;) {
        const uint8_t *const start = at;
        mp_value v;
        if (js_read(js, &at, end, &v, js->room)) return ZS_NO_ROOM;
        if (texts) pk_text(out, v.bytes, v.size);
        else pk_text(out, start, (size_t)(at - start));
    }
    return ZS_FINE;
}

static inline int zs_number(pk_out *out, const mp_value *v) {
    if (v->type == MP_FLOAT) {
        if (!isfinite(v->number)) return ZS_NOT_FINITE;
        pk_float(out, v->number);
    } else if (v->type != MP_INT) {
        return ZS_INT_RANGE;
    } else if (v->integer > ZS_EXACT || v->integer < -ZS_EXACT) {
        pk_int(out, v->integer);
    } else {
        pk_float(out, (double)v->integer);
    }
    return ZS_FINE;
}

/* The value at *at. Returns MP_OK or what is wrong with the JSON. `items`: msgpack values written, 0
 * for null and when *fault says what is wrong with the value. REQUIRES: room for PK_VALUE. */
static int zs_value(js_reader *js, pk_out *out, const uint8_t **at, const uint8_t *end, int dates,
                    int64_t offset_ms, uint32_t list_values, uint32_t *items, int *fault) {
    const uint8_t *p = *at;
    mp_value v;
    int failed;
    *items = 0;
    *fault = ZS_FINE;
    if (p < end && *p <= ' ') js_space(&p, end);
    if (p < end && (*p == '{' || *p == '[')) {
        const uint8_t *const start = p;
        uint64_t skipped = 0;
        int deep = 0;
        failed = js_skip(&p, end, js->room, &skipped, UINT64_MAX, JS_LEVELS, &deep);
        if (failed) return failed;
        *items = 1;
        *fault = *start == '{' ? zs_compact(out, start, p)
                               : zs_list(js, out, start, p, list_values, items);
        *at = p;
        if (*fault) *items = 0;
        return MP_OK;
    }
    failed = js_read(js, &p, end, &v, js->room);
    if (failed) return failed;
    *at = p;
    *items = 1;
    if (v.type == MP_STR) {
        int64_t ms;
        if (pk_room(out, (size_t)v.size + PK_VALUE)) *fault = ZS_NO_ROOM;
        else if (dates && zs_date(v.bytes, v.size, offset_ms, &ms)) pk_time(out, ms);
        else pk_text(out, v.bytes, v.size);
    } else if (v.type == MP_BOOL) {
        pk_bool(out, (int)v.integer);
    } else if (v.type == MP_NIL) {
        *items = 0;
    } else {
        *fault = zs_number(out, &v);
    }
    if (*fault) *items = 0;
    return MP_OK;
}

#endif
