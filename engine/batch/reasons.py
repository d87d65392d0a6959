"""Why events and batches are refused: every stable reason code with its explanation.

The codes are the same in ``reasons.h`` (a test compares them) and are listed in
``docs/format/batch.md``. A code, once released, keeps its meaning. The texts may use the limits.
"""

from __future__ import annotations

EVENT_REASONS: dict[str, str] = {
    "not_a_map": "an event must be a map",
    "bad_json": "a line of JSON lines must be one JSON value",
    "too_deep": "values nest deeper than {limits.event_depth} levels",
    "unknown_field": (
        "only type, event, time, user_id, device_id, properties, insert_id and time_free are "
        "fields of an event; what else it carries goes into properties; a profile has no event"
    ),
    "duplicate_key": "the same key stands twice in one map",
    "unknown_type": (
        "type must be track, profile_set, profile_set_once, profile_increment, profile_append, "
        "profile_unset or profile_delete"
    ),
    "missing_event": "a track event needs the name of its event",
    "bad_name": (
        "a name is a text of 1 to {limits.name_bytes} bytes without control characters; "
        "properties named $name, $time, $received and $device_id are reserved"
    ),
    "missing_id": "an event needs a user_id or a device_id that is not empty",
    "id_too_long": "an id has at most {limits.id_bytes} bytes",
    "missing_time": "an event needs a time",
    "bad_time": (
        "time must be milliseconds since 1970 UTC, a msgpack timestamp, or RFC 3339 text with "
        "its offset"
    ),
    "time_out_of_range": (
        "event times lie in the years 1900 to 2199, datetime properties in the years 1 to 9999"
    ),
    "too_many_properties": "an event has at most {limits.event_properties} properties",
    "string_too_long": "a text value has at most {limits.string_bytes} bytes",
    "list_too_long": "a list has at most {limits.list_values} values",
    "not_finite": "NaN and infinity are not values",
    "int_out_of_range": "an integer must fit in 64 bits, signed",
    "bad_utf8": "text must be valid UTF-8",
    "bad_value": (
        "values are text, integer, float, bool, timestamp or a list of texts; ids are text or "
        "integer; profile_increment takes integers and floats, profile_append texts and lists of "
        "texts, profile_unset null or true, profile_delete no properties; time_free is a bool"
    ),
}

BATCH_REASONS: dict[str, str] = {
    "truncated": "the data ends inside a value",
    "malformed": "the data is neither msgpack nor JSON",
    "trailing_bytes": "data follows the end of the batch",
    "batch_too_large": "a batch has at most {limits.batch_bytes} bytes",
    "too_many_events": "a batch has at most {limits.batch_events} events",
    "too_many_items": "a batch has at most {limits.batch_items} values, keys counted",
    "bad_envelope": (
        "a batch is an array of events, or a map of events with batch_id and sent_at if wanted"
    ),
}
