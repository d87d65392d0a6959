"""What a plan may find about an event: stable codes, as in answers, the quarantine, counters and
the live view. ``docs/plan.md`` repeats the table; a test compares them.
"""

from __future__ import annotations

from typing import Final

UNKNOWN_EVENT: Final = "unknown_event"
UNKNOWN_PROPERTY: Final = "unknown_property"
CASE_CONFLICT: Final = "case_conflict"
TYPE_CAST: Final = "type_cast"
TYPE_MISMATCH: Final = "type_mismatch"
VALUE_NOT_ALLOWED: Final = "value_not_allowed"
TOO_OLD: Final = "too_old"
IN_FUTURE: Final = "in_future"
SENSITIVE_REFUSED: Final = "sensitive_refused"
SENSITIVE_TOKENISED: Final = "sensitive_tokenised"
NO_CONSENT: Final = "no_consent"
DEPRECATED: Final = "deprecated"

REASONS: dict[str, str] = {
    UNKNOWN_EVENT: "the plan has no event of this name",
    UNKNOWN_PROPERTY: "the plan has no property of this name for this event",
    CASE_CONFLICT: "two property names differ only in case",
    TYPE_CAST: "the value was of another kind and was cast to that of the plan",
    TYPE_MISMATCH: "the value cannot be cast to the kind that the plan says",
    VALUE_NOT_ALLOWED: "the plan lists other values for this property",
    TOO_OLD: "the time lies before the late window: send time_free when it is meant",
    IN_FUTURE: "the time lies ahead of the server's clock: send time_free when it is meant",
    SENSITIVE_REFUSED: "the property is declared sensitive: its value was removed",
    SENSITIVE_TOKENISED: "the property is declared sensitive: a token took the place of its value",
    NO_CONSENT: "consent to the property's purpose was not given: it was removed",
    DEPRECATED: "the plan calls the event or property deprecated",
}
