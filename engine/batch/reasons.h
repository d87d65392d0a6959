/* Why events and batches are refused, and what a refusal says; the limits that are checked.
 *
 * The codes are stable: reasons.py explains them, docs/format/batch.md lists them, tests compare all
 * three. Plain data, no functions that keep state.
 */
#ifndef ZUJI_BATCH_REASONS_H
#define ZUJI_BATCH_REASONS_H

#include <stddef.h>
#include <stdint.h>

#define ZJ_REASONS(X)                        \
    X(ACCEPTED, "")                          \
    X(NOT_A_MAP, "not_a_map")                \
    X(BAD_JSON, "bad_json")                  \
    X(TOO_DEEP, "too_deep")                  \
    X(UNKNOWN_FIELD, "unknown_field")        \
    X(DUPLICATE_KEY, "duplicate_key")        \
    X(UNKNOWN_TYPE, "unknown_type")          \
    X(MISSING_EVENT, "missing_event")        \
    X(BAD_NAME, "bad_name")                  \
    X(MISSING_ID, "missing_id")              \
    X(ID_TOO_LONG, "id_too_long")            \
    X(MISSING_TIME, "missing_time")          \
    X(BAD_TIME, "bad_time")                  \
    X(TIME_OUT_OF_RANGE, "time_out_of_range")\
    X(TOO_MANY_PROPERTIES, "too_many_properties") \
    X(STRING_TOO_LONG, "string_too_long")    \
    X(LIST_TOO_LONG, "list_too_long")        \
    X(NOT_FINITE, "not_finite")              \
    X(INT_RANGE, "int_out_of_range")         \
    X(BAD_UTF8, "bad_utf8")                  \
    X(BAD_VALUE, "bad_value")

/* Why a whole batch is refused. */
#define ZJ_BATCH_REASONS(X)                  \
    X(OK, "")                                \
    X(TRUNCATED, "truncated")                \
    X(MALFORMED, "malformed")                \
    X(TRAILING, "trailing_bytes")            \
    X(TOO_LARGE, "batch_too_large")          \
    X(TOO_MANY_EVENTS, "too_many_events")    \
    X(TOO_MANY_ITEMS, "too_many_items")      \
    X(ENVELOPE, "bad_envelope")

#define ZJ_NAME(id, text) ZJ_##id,
enum { ZJ_REASONS(ZJ_NAME) ZJ_REASON_COUNT, ZJ_NO_MEMORY = 255 };
#undef ZJ_NAME
#define ZJ_NAME(id, text) ZJ_BATCH_##id,
enum { ZJ_BATCH_REASONS(ZJ_NAME) ZJ_BATCH_REASON_COUNT, ZJ_BATCH_NO_MEMORY = 255 };
#undef ZJ_NAME

enum { ZJ_F_NONE, ZJ_F_TYPE, ZJ_F_EVENT, ZJ_F_TIME, ZJ_F_USER, ZJ_F_DEVICE, ZJ_F_INSERT,
       ZJ_F_PROPERTIES, ZJ_F_TIME_FREE, ZJ_FIELDS };

typedef struct {
    uint32_t depth, properties, string_bytes, name_bytes, id_bytes, list_values;
    int64_t time_min, time_max;
} zj_limits;

typedef struct {
    const uint8_t *p; /* NULL: absent */
    uint32_t n;
} zj_text;

typedef struct {
    uint8_t reason, field;
    int32_t item; /* in a list, or -1 */
    uint32_t index; /* of the event */
    zj_text key;    /* property, or unknown field */
    uint64_t start, end; /* the event's own bytes */
} zj_reject;

#endif
