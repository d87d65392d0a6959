"""Mixpanel's records as native events: ``/track`` and ``/import``, ``/engage``, ``/groups``.

Ids follow its simplified merge: ``$user_id`` is the customer, ``$device_id`` the device, and
``distinct_id`` one of the two (``$device:…`` says the device); from servers, which send it alone,
it is the customer. Times are seconds, or milliseconds when they are that large. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zuji.server.protocols import foreign
from zuji.server.protocols.foreign import Part, ident, refuse
from zuji.server.protocols.records import by_our_clock, once

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICE = "$device:"
SECONDS_BELOW = 100_000_000_000
"""A smaller time is seconds: as milliseconds it would lie in 1973."""
OPERATIONS = {
    "$delete": "profile_delete",
    "$unset": "profile_unset",
    "$set": "profile_set",
    "$set_once": "profile_set_once",
    "$add": "profile_increment",
    "$append": "profile_append",
    "$union": "profile_append",
}
"""Of profiles, in the order in which those of one record are done."""
_ABOUT = frozenset(
    {
        "$token",
        "$distinct_id",
        "$group_key",
        "$group_id",
        "$user_id",
        "$device_id",
        "$had_persisted_distinct_id",
        "$time",
        "$ip",
        "$ignore_time",
        "$ignore_alias",
        "mp_lib",
        "$lib_version",
    }
)
"""Fields of a profile record beside its operations."""
ADDRESSES = ("ip", "$ip")
"""Properties with the network address of a person."""
_IDS = ("token", "distinct_id", "$user_id", "$device_id", "time", "$insert_id", "mp_lib")


def token(record: Any) -> str:
    """The project's token in a record, "" when it has none."""
    if not isinstance(record, dict):
        return ""
    within = record.get("properties")
    found = record.get("$token") or (within.get("token") if isinstance(within, dict) else "")
    return found if isinstance(found, str) else ""


class Reading:
    """How the records of one request are read.

    ``sent_ms``: the client's clock when it sent them, when it told. ``free``: old times are meant.
    ``places``: whether an address of the person is handed on, as ``$ip`` (see ``server.enrich``);
    ``no_place``: the sender wants none to be derived from the request.
    """

    def __init__(
        self,
        received_ms: int,
        sent_ms: int | None,
        *,
        free: bool = False,
        places: bool = False,
        no_place: bool = False,
    ) -> None:
        self._received = received_ms
        self._sent = sent_ms
        self._free = free
        self._places = places
        self._no_place = no_place

    def _time(self, value: Any, name: str) -> int:
        if value is None:
            return self._received
        found = foreign.number(value, name)
        ms = foreign.milliseconds(found * 1000 if abs(found) < SECONDS_BELOW else found, name)
        return ms if self._free else by_our_clock(ms, self._sent, self._received)

    def event(self, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """An event of /track or /import."""
        name = foreign.event_name(record.get("event"), "event")
        found = foreign.mapping(record.get("properties"), "properties")
        user, device, rest = _who(found, "distinct_id")
        if name == "$create_alias":  # what was known until now, and the customer's name
            known = ident(found.get("distinct_id"), "distinct_id")
            user, device = ident(found.get("alias"), "alias"), _bare(known)
            rest = {"distinct_id": known}
        elif name == "$merge":
            user, device = _merged(found.get("$distinct_ids"))
        elif name == "$identify":
            anonymous = ident(found.get("$anon_distinct_id"), "$anon_distinct_id")
            user = user or ident(found.get("$identified_id"), "$identified_id")
            device = device or _bare(anonymous)
        made = foreign.properties(found, (*_IDS, *ADDRESSES))
        if self._places:
            address = found.get("$ip") or found.get("ip")
            if isinstance(address, str) or self._no_place:
                made["$ip"] = address if isinstance(address, str) else None
        made |= {field: value for field, value in rest.items() if value is not None}
        if (lib := found.get("mp_lib")) is not None:
            made["$lib"] = foreign.native(lib)
        if "$app_version" not in made and (version := made.get("$app_version_string")):
            made["$app_version"] = version
        event = {
            "event": name,
            "time": self._time(found.get("time"), "time"),
            "user_id": user,
            "device_id": device,
            "properties": made,
        }
        if (insert := ident(found.get("$insert_id"), "$insert_id")) is not None:
            event["insert_id"] = once(name, user, device, found.get("time"), insert)
        if self._free:
            event["time_free"] = True
        yield event

    def profile(self, record: dict[str, Any]) -> Iterator[dict[str, Any] | Part]:
        """Changes of a profile, of /engage."""
        user, device, _ = _who(record, "$distinct_id")
        about = {
            "time": self._time(record.get("$time"), "$time"),
            "user_id": user,
            "device_id": device,
        }
        asked = [name for name in record if name not in _ABOUT]
        if not asked:
            refuse("unsupported", f"no operation: one of {', '.join(OPERATIONS)}")
        for name, kind in OPERATIONS.items():
            if name not in record:
                continue
            values = record[name]
            made = {} if name == "$delete" else foreign.changes(kind, values, name)
            change = {"type": kind, **about, "properties": made}
            if _exact(record.get("$time")):
                insert = once(name, user, device, record["$time"], foreign.written(values))
                change["insert_id"] = insert
            yield change
        others = [name for name in asked if name not in OPERATIONS]
        if others:
            left = {k: v for k, v in record.items() if k not in OPERATIONS}
            yield Part("unsupported", f"profiles have no operation like {others[0][:50]}", left)

    def group(self, record: dict[str, Any]) -> Iterator[dict[str, Any] | Part]:
        """Changes of a group, of /groups: kept, since groups have no profiles yet."""
        if not record.get("$group_key") or not record.get("$group_id"):
            refuse("missing_id", "a group needs $group_key and $group_id")
        yield Part("kept_group", "groups have no profiles yet: kept as it came", record)


def _who(found: dict[str, Any], field: str) -> tuple[str | None, str | None, dict[str, Any]]:
    """Customer and device; and the distinct id, when it is neither."""
    user = ident(found.get("$user_id"), "$user_id")
    device = ident(found.get("$device_id"), "$device_id")
    distinct = ident(found.get(field), field)
    if distinct is None or distinct == device:
        return user, device, {}
    if distinct.startswith(DEVICE):
        if device is None:
            return user, _bare(distinct), {}
        return user, device, {} if _bare(distinct) == device else {field: distinct}
    if user is None or user == distinct:
        return distinct, device, {}
    return user, device, {field: distinct}


def _bare(distinct: str | None) -> str | None:
    return distinct.removeprefix(DEVICE) if distinct else None


def _merged(ids: Any) -> tuple[str | None, str | None]:
    """The first customer and the first device among ids that are said to be one person's."""
    if not isinstance(ids, list) or not ids:
        refuse("bad_value", "$merge needs $distinct_ids, a list")
    texts = [ident(one, "$distinct_ids") or "" for one in ids]
    user = next((one for one in texts if one and not one.startswith(DEVICE)), None)
    device = next((one for one in texts if one.startswith(DEVICE)), None)
    return user, _bare(device)


def _exact(time: Any) -> bool:
    """Whether no two changes can have this time by chance: Python's, to the microsecond."""
    return isinstance(time, float) and not time.is_integer() and abs(time) < SECONDS_BELOW
