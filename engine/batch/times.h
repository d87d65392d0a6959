/* Times on the wire → int64 milliseconds UTC: integers, floats, RFC 3339 text, msgpack timestamps.
 *
 * Fractions of a millisecond are cut towards the past (floor), everywhere. Results that do not fit
 * are ZJ_TIME_RANGE, never wrapped. No locale, no libc time functions, no state: thread-safe.
 */
#ifndef ZUJI_BATCH_TIMES_H
#define ZUJI_BATCH_TIMES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/msgpack.h"

enum { ZJ_TIME_OK, ZJ_TIME_BAD, ZJ_TIME_RANGE };

/* Days from 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, days_from_civil). */
static inline int64_t zj_days(int64_t year, uint32_t month, uint32_t day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    uint32_t yoe = (uint32_t)(year - era * 400);
    uint32_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    uint32_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static inline uint32_t zj_month_days(uint32_t year, uint32_t month) {
    static const uint8_t days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month];
}

/* `width` decimal digits at p; -1 when one of them is not a digit. */
static inline int32_t zj_digits(const uint8_t *p, uint32_t width) {
    int32_t v = 0;
    for (uint32_t i = 0; i < width; i++) {
        uint32_t digit = (uint32_t)p[i] - '0';
        if (digit > 9) return -1;
        v = v * 10 + (int32_t)digit;
    }
    return v;
}

/* RFC 3339: 2026-10-01T13:00:05.250+08:00. `t`, `z` and a space for the T are allowed, as the RFC
 * allows; the offset is not optional; second 60 is the first second of the next minute. */
static inline int zj_time_text(const uint8_t *p, size_t n, int64_t *ms) {
    if (n < 20 || n > 64) return ZJ_TIME_BAD;
    int32_t year = zj_digits(p, 4), month = zj_digits(p + 5, 2), day = zj_digits(p + 8, 2);
    int32_t hour = zj_digits(p + 11, 2), minute = zj_digits(p + 14, 2), second = zj_digits(p + 17, 2);
    if ((year | month | day | hour | minute | second) < 0) return ZJ_TIME_BAD;
    if (p[4] != '-' || p[7] != '-' || p[13] != ':' || p[16] != ':') return ZJ_TIME_BAD;
    if (p[10] != 'T' && p[10] != 't' && p[10] != ' ') return ZJ_TIME_BAD;
    if (month < 1 || month > 12 || day < 1 ||
        (uint32_t)day > zj_month_days((uint32_t)year, (uint32_t)month))
        return ZJ_TIME_BAD;
    if (hour > 23 || minute > 59 || second > 60) return ZJ_TIME_BAD;
    size_t at = 19;
    int64_t milli = 0;
    if (p[at] == '.') {
        size_t first = ++at;
        int64_t scale = 100;
        while (at < n && (uint32_t)p[at] - '0' <= 9) {
            milli += scale * (p[at] - '0');
            scale /= 10;
            at++;
        }
        if (at == first || at == n) return ZJ_TIME_BAD;
    }
    int64_t offset = 0;
    if (p[at] == 'Z' || p[at] == 'z') {
        at++;
    } else if (p[at] == '+' || p[at] == '-') {
        if (n - at < 6 || p[at + 3] != ':') return ZJ_TIME_BAD;
        int32_t oh = zj_digits(p + at + 1, 2), om = zj_digits(p + at + 4, 2);
        if (oh < 0 || om < 0 || oh > 23 || om > 59) return ZJ_TIME_BAD;
        offset = (int64_t)(oh * 60 + om) * (p[at] == '-' ? -60 : 60);
        at += 6;
    } else {
        return ZJ_TIME_BAD;
    }
    if (at != n) return ZJ_TIME_BAD;
    int64_t seconds = zj_days(year, (uint32_t)month, (uint32_t)day) * 86400 +
                      (int64_t)(hour * 3600 + minute * 60 + second) - offset;
    *ms = seconds * 1000 + milli;
    return ZJ_TIME_OK;
}

/* The body of msgpack extension -1: 4, 8 or 12 bytes. */
static inline int zj_time_ext(const uint8_t *p, size_t n, int64_t *ms) {
    int64_t seconds;
    uint32_t nanos = 0;
    if (n == 4) {
        seconds = mp_u32(p);
    } else if (n == 8) {
        uint64_t both = mp_u64(p);
        nanos = (uint32_t)(both >> 34);
        seconds = (int64_t)(both & 0x3ffffffffULL);
    } else if (n == 12) {
        nanos = mp_u32(p);
        seconds = (int64_t)mp_u64(p + 4);
    } else {
        return ZJ_TIME_BAD;
    }
    if (nanos > 999999999u) return ZJ_TIME_BAD;
    if (seconds < -1000000000000LL || seconds > 1000000000000LL) return ZJ_TIME_RANGE;
    *ms = seconds * 1000 + nanos / 1000000u;
    return ZJ_TIME_OK;
}

/* Float milliseconds. */
static inline int zj_time_float(double number, int64_t *ms) {
    if (!isfinite(number)) return ZJ_TIME_BAD;
    if (number < -1e15 || number > 1e15) return ZJ_TIME_RANGE;
    *ms = (int64_t)floor(number);
    return ZJ_TIME_OK;
}

#endif
