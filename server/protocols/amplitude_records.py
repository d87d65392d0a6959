"""Amplitude's events as native ones: events, ``$identify``, ``$groupidentify``.

``user_id`` is the customer, ``device_id`` the device. User properties of any event change the
profile: plain ones are set, ``$identify`` names its operations. Fields of the event itself become
properties under the names that Zuji has for them (:data:`FIELDS`). Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zuji.server.protocols import foreign
from zuji.server.protocols.foreign import Part, ident, mapping
from zuji.server.protocols.records import by_our_clock, once

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS = {
    "$clearAll": "profile_delete",
    "$unset": "profile_unset",
    "$set": "profile_set",
    "$setOnce": "profile_set_once",
    "$add": "profile_increment",
    "$append": "profile_append",
    "$postInsert": "profile_append",
}
"""Of profiles, in the order in which those of one record are done."""
OTHERS = ("$prepend", "$preInsert", "$remove")
"""Operations without a counterpart."""
FIELDS = {
    "app_version": "$app_version",
    "version_name": "$version_name",
    "platform": "$platform",
    "os_name": "$os",
    "os_version": "$os_version",
    "device_brand": "$brand",
    "device_manufacturer": "$manufacturer",
    "device_model": "$model",
    "carrier": "$carrier",
    "country": "$country",
    "region": "$province",
    "city": "$city",
    "dma": "$dma",
    "language": "$language",
    "price": "$price",
    "quantity": "$quantity",
    "revenue": "$revenue",
    "productId": "$product_id",
    "revenueType": "$revenue_type",
    "currency": "$currency",
    "location_lat": "$latitude",
    "location_lng": "$longitude",
    "ip": "$ip",
    "idfa": "$idfa",
    "idfv": "$idfv",
    "adid": "$adid",
    "android_id": "$android_id",
    "event_id": "$event_id",
    "session_id": "$session_id",
    "user_agent": "$user_agent",
    "plan": "$plan",
    "ingestion_metadata": "$ingestion_metadata",
    "partner_id": "$partner_id",
    "groups": "$groups",
    "group_properties": "$group_properties",
}
"""Fields of an event and their properties; others keep their names."""
_READ = frozenset(
    {
        "event_type",
        "user_id",
        "device_id",
        "time",
        "insert_id",
        "library",
        "event_properties",
        "user_properties",
        *FIELDS,
    }
)
_REMOTE = "$remote"
"""Address of the request."""


class Reading:
    """How the events of one request are read.

    ``sent_ms``: the client's clock when it sent them, when it told. ``shortest``: least characters
    of an id. ``places``: whether addresses of persons are handed on (see ``server.enrich``).
    """

    def __init__(
        self, received_ms: int, sent_ms: int | None, shortest: int, *, places: bool = False
    ) -> None:
        self._received = received_ms
        self._sent = sent_ms
        self._shortest = shortest
        self._places = places

    def event(self, record: dict[str, Any]) -> Iterator[dict[str, Any] | Part]:
        """An event, and what it changes of the profile."""
        name = foreign.event_name(record.get("event_type"), "event_type")
        user, device = self._id(record, "user_id"), self._id(record, "device_id")
        time = record.get("time")
        when = self._received if time is None else foreign.milliseconds(time)
        if time is not None:
            when = by_our_clock(when, self._sent, self._received)
        about: dict[str, Any] = {"time": when, "user_id": user, "device_id": device}
        insert = ident(record.get("insert_id"), "insert_id")
        if name == "$groupidentify" and user is None and device is None:
            yield Part("kept_group", "groups have no profiles yet: kept as it came", record)
            return
        event = {"event": name, **about, "properties": self._properties(record)}
        if insert is not None:
            event["insert_id"] = once(device, user, insert)
        yield event
        for number, change in enumerate(_changes(record)):
            if isinstance(change, Part):
                yield change
                continue
            if insert is not None:
                change["insert_id"] = once(device, user, insert, number)
            yield {**about, **change}

    def _id(self, record: dict[str, Any], field: str) -> str | None:
        found = ident(record.get(field), field)
        if found is not None and len(found) < self._shortest:
            foreign.refuse("id_too_short", f"{field} has fewer characters than min_id_length")
        return found

    def _properties(self, record: dict[str, Any]) -> dict[str, Any]:
        made = foreign.properties(mapping(record.get("event_properties"), "event_properties"))
        for field, value in record.items():
            if field in FIELDS:
                if value is not None:
                    made.setdefault(FIELDS[field], foreign.native(value))
            elif field not in _READ and value is not None:
                made |= foreign.properties({f"_{field}" if field in made else field: value})
        if made.get("$ip") == _REMOTE or not self._places:
            made.pop("$ip", None)
        else:
            made.setdefault("$ip", None)  # Amplitude takes no place from a request unasked
        if made.get("$session_id") == -1:  # none
            del made["$session_id"]
        library = record.get("library")
        if isinstance(library, str):
            lib, _, version = library.partition("/")
            made["$lib"] = lib
            if version:
                made["$lib_version"] = version
        return made


def _changes(record: dict[str, Any]) -> Iterator[dict[str, Any] | Part]:
    """Profile records of the user properties of an event."""
    found = mapping(record.get("user_properties"), "user_properties")
    plain = {k: v for k, v in found.items() if k not in OPERATIONS and k not in OTHERS}
    for name, kind in OPERATIONS.items():
        if name in found:
            made = {} if name == "$clearAll" else foreign.changes(kind, found[name], name)
            yield {"type": kind, "properties": made}
    if plain:
        yield {"type": "profile_set", "properties": foreign.changes("profile_set", plain, "")}
    for name in OTHERS:
        if name in found:
            left = {k: v for k, v in record.items() if k not in ("event_properties", "plan")}
            left["user_properties"] = {name: found[name]}
            yield Part("unsupported", f"profiles have no operation like {name}", left)
