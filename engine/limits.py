"""Every limit on what comes in, with its unit and its reason: one table for code, docs and tests.

A limit lives here or it does not exist: decoders, the query parser and the catalog take a
:class:`Limits`, and ``docs/format/batch.md`` repeats :data:`LIMITS_DOC` (a test compares them).
Change a number here and its line there in one commit. Raising a limit never makes stored data
unreadable: limits are checked on the way in only, so no format version goes with them.
Thread-safety: immutable.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

KIB = 1024
MIB = 1024 * KIB


def _limit(default: int, unit: str, reason: str) -> Any:
    return field(default=default, metadata={"unit": unit, "reason": reason})


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one project or one caller. Lengths of text are in bytes of UTF-8."""

    batch_bytes: int = _limit(
        4 * MIB, "bytes", "one request, inflated: bounds the memory of a decoder to 8 times this"
    )
    batch_events: int = _limit(
        2_000, "events", "a batch is one WAL record and is held in memory whole"
    )
    batch_items: int = _limit(
        64 * KIB,
        "values",
        "msgpack values in a batch, keys and containers counted: 4 MB of empty maps would "
        "otherwise unpack to 275 MB",
    )
    event_depth: int = _limit(
        4, "levels", "event, properties, list, and one more to say what is wrong with it"
    )
    event_properties: int = _limit(
        255, "properties", "more is a map used as a list; every property is a column"
    )
    string_bytes: int = _limit(8 * KIB, "bytes", "dictionaries hold every distinct string once")
    name_bytes: int = _limit(
        100, "bytes", "names of events and properties: kept in memory and in each segment"
    )
    id_bytes: int = _limit(255, "bytes", "user, device, insert and batch ids: kept in memory")
    list_values: int = _limit(500, "strings", "a list puts its row in as many groups")
    time_min_ms: int = _limit(
        -2_208_988_800_000, "ms UTC", "1900-01-01: an earlier time is a wrong unit or a wrong field"
    )
    time_max_ms: int = _limit(
        7_258_118_400_000, "ms UTC", "2200-01-01, exclusive: microseconds sent as milliseconds"
    )
    project_event_names: int = _limit(
        2_000, "names", "event names in a project: ids used as names would make a run for each"
    )
    project_property_names: int = _limit(
        10_000, "names", "property names of a project, of events and users: each may be a column"
    )
    event_property_names: int = _limit(
        1_000, "names", "property names of one event: each is a column in every segment"
    )
    query_bytes: int = _limit(64 * KIB, "bytes", "a query document is written by people and tools")
    query_depth: int = _limit(16, "levels", "nesting of a query document; parsers recurse")
    query_list_values: int = _limit(
        10_000, "values", "values of one `in` list; a longer one is a cohort"
    )


@dataclass(frozen=True, slots=True)
class LimitDoc:
    """One line of the published table."""

    name: str
    value: int
    unit: str
    reason: str


DEFAULT_LIMITS = Limits()

LIMITS_DOC: tuple[LimitDoc, ...] = tuple(
    LimitDoc(
        name=each.name,
        value=getattr(DEFAULT_LIMITS, each.name),
        unit=each.metadata["unit"],
        reason=each.metadata["reason"],
    )
    for each in fields(Limits)
)

# Trusted bulk loading (the importer, `Engine.append` of an analyst's own data): the same limits on
# each event, 16 times the room for a batch.
BULK_LIMITS = replace(
    DEFAULT_LIMITS,
    batch_bytes=16 * DEFAULT_LIMITS.batch_bytes,
    batch_events=16 * DEFAULT_LIMITS.batch_events,
    batch_items=16 * DEFAULT_LIMITS.batch_items,
)
