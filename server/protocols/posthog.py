"""PostHog's SDKs: ``/batch/``, ``/e/``, ``/capture/``, ``/i/v0/e/``, ``/i/v1/analytics/events``.

Bodies are JSON, with or without gzip (posthog-js says so nowhere), or a form whose ``data`` is JSON
or base64 of it. The key stands in the body; for V1 it is a bearer token, and the answer tells what
became of each event. Feature flags and remote configuration get fixed answers: there are none.

Whose an event is: :func:`_identity`. ``$set``, ``$set_once`` and ``$unset`` change the profile, but
not on events without a person; they stay on their event, too. docs/protocols.md has it all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zuji.engine.errors import InvalidEvent, Overloaded
from zuji.server.auth import bearer
from zuji.server.collector.body import GZIP_MARK, inflated
from zuji.server.collector.message import Answer, Taken, json_answer
from zuji.server.errors import BadBody
from zuji.server.protocols import foreign
from zuji.server.protocols.base import Protocol, parameters
from zuji.server.protocols.forms import of_request, unbase64
from zuji.server.protocols.iso import happened, sent
from zuji.server.protocols.native import RETRY_S, STATUS
from zuji.server.protocols.records import packed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zuji.engine.errors import ZujiError
    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Request
    from zuji.server.settings import Settings

V1 = "/i/v1/analytics/events"
_OPTIONS = {
    "cookieless_mode": "$cookieless_mode",
    "process_person_profile": "$process_person_profile",
    "product_tour_id": "$product_tour_id",
}
"""Options of V1 events, and the properties that they are elsewhere."""
_LIFTED = {"session_id": "$session_id", "window_id": "$window_id"}
"""Fields of V1 events, and the properties that they are elsewhere."""
_CHANGES = {"$set": "profile_set", "$set_once": "profile_set_once", "$unset": "profile_unset"}
"""Properties that change the person's profile, and the records that do."""
_FIELDS = frozenset(
    {
        *("event", "distinct_id", "$distinct_id", "uuid", "timestamp", "offset", "sent_at"),
        *("properties", "options", "api_key", "token", "type", "library", "library_version"),
        *_CHANGES,
        *_LIFTED,
    }
)
"""Fields of an event that are read here; whatever else it has becomes properties."""
_HIDDEN = frozenset({"api_key", "token", "$ip"})
"""Fields that the quarantine does not keep."""
_READ = frozenset({"distinct_id", "token", "api_key", "$device_id"})
"""Properties that are read here."""


def _key(request: Request) -> str | None:
    return bearer(request.header(b"authorization")) if request.path == V1 else None


def document(request: Request, body: bytes, settings: Settings) -> tuple[Any, dict[str, str]]:
    """The JSON value that a request brings, and the parameters beside it.

    Raises:
        InvalidEvent, BadBody: there is none.
    """
    beside = parameters(request)
    body = _unpacked(body, settings).removeprefix(b"\xef\xbb\xbf").strip()
    if body[:1] not in (b"{", b"["):
        fields = of_request(request, body)
        for name, value in fields.items():
            beside.setdefault(name.decode("latin-1"), value.decode("utf-8", "replace"))
        body = fields.get(b"data", body)
        if beside.get("compression") == "lz64":
            raise BadBody("lz64 is not read: use a posthog-js of 2021 or later", 415)
    if body[:1] not in (b"{", b"["):
        if not body:
            raise InvalidEvent("the request has no events", reason="bad_envelope")
        body = _unpacked(unbase64(body), settings)
    return foreign.read(body), beside


def _unpacked(body: bytes, settings: Settings) -> bytes:
    return inflated(body, "gzip", settings) if body.startswith(GZIP_MARK) else body


def convert(request: Request, body: bytes, settings: Settings) -> Taken:
    """See ``Protocol.convert``."""
    value, beside = document(request, body, settings)
    events: Any = value
    envelope: dict[str, Any] = {}
    if isinstance(value, dict):
        envelope = value
        events = value.get("batch", [value])
    if not isinstance(events, list):
        raise InvalidEvent("batch must be a list of events", reason="bad_envelope")
    batch = _Batch(request, envelope, beside, places=foreign.addresses(settings))
    records = foreign.Records(_HIDDEN)
    records.add(events, batch.made)
    return Taken(
        events=packed(records.events),
        refused=records.refused,
        key=_key_of(envelope, beside, events),
        note=_Note(events, records) if request.path == V1 else None,
    )


def _key_of(envelope: dict[str, Any], beside: dict[str, str], events: list[Any]) -> str:
    """The key, where the body has it: the envelope, the form, or the first event."""
    places: list[Any] = [envelope, beside]
    if events and isinstance(events[0], dict):
        places += [events[0], events[0].get("properties")]
    for place in places:
        if isinstance(place, dict):
            for name in ("api_key", "token"):
                if isinstance(place.get(name), str) and place[name]:
                    return str(place[name])
    return ""


class _Batch:
    """What the events of one request share. ``places``: whether ``$ip`` is handed on."""

    def __init__(
        self,
        request: Request,
        envelope: dict[str, Any],
        beside: dict[str, str],
        *,
        places: bool,
    ) -> None:
        self._request = request
        self._places = places
        self._but = _READ if places else _READ | {"$ip"}
        self._sent = (
            envelope.get("sent_at"),
            request.header(b"posthog-request-timestamp"),
            beside.get("sent_at"),
            beside.get("_"),
        )
        self._time_free = envelope.get("historical_migration") is True
        self._lib = ""
        if request.path == V1:
            self._lib = request.header(b"posthog-sdk-info")

    def made(self, event: dict[str, Any]) -> Iterator[dict[str, Any] | foreign.Part]:
        """Native events of one of PostHog's: itself, and what it says of the person."""
        properties = dict(foreign.mapping(event.get("properties"), "properties"))
        self._lift(event, properties)
        name = foreign.event_name(event.get("event"), "event")
        user, device = _identity(name, event, properties)
        options = foreign.mapping(event.get("options"), "options")
        own = properties.get("$device_id")
        kept = foreign.properties(properties, self._but)
        if own is not None and own != device:
            kept["_$device_id"] = foreign.native(own)
        if self._places and properties.get("$geoip_disable") is True:
            kept["$ip"] = None  # see enrich: no place is to be made of the request's
        shared: dict[str, Any] = {"time": self._time(event, properties, options)}
        if user is not None:
            shared["user_id"] = user
        if device is not None:
            shared["device_id"] = device
        if self._time_free:
            shared["time_free"] = True
        once = foreign.ident(event.get("uuid") or properties.get("$insert_id"), "uuid")
        yield {**shared, "event": name, "properties": kept, **_once(once)}
        if properties.get("$process_person_profile") is not False:
            for field, kind in _CHANGES.items():
                values = properties.get(field)
                if not values:
                    continue
                try:
                    if kind == "profile_set_once" and isinstance(values, dict):
                        values = {n: value for n, value in values.items() if value is not None}
                    changes = foreign.changes(kind, values, field)
                except InvalidEvent as problem:
                    yield foreign.Part(problem.reason, str(problem), event)
                    continue
                if changes:
                    told = _once(once and f"{once}:{kind}")
                    yield {**shared, "type": kind, "properties": changes, **told}

    def _lift(self, event: dict[str, Any], properties: dict[str, Any]) -> None:
        """Puts into the properties what events carry beside them."""
        for name in _CHANGES:
            beside = event.get(name)
            if beside is None:
                continue
            inner = properties.get(name)
            both = isinstance(beside, dict) and isinstance(inner, dict)
            properties[name] = {**inner, **beside} if both and inner else beside
        for option, value in foreign.mapping(event.get("options"), "options").items():
            properties.setdefault(_OPTIONS.get(option, option), value)
        for name, prop in _LIFTED.items():
            if event.get(name) is not None:
                properties.setdefault(prop, event[name])
        lib, _, version = self._lib.partition("/")
        for prop, value in (
            ("$lib", event.get("library") or lib),
            ("$lib_version", event.get("library_version") or version),
        ):
            if value and prop not in properties:
                properties[prop] = value
        for name, value in event.items():
            if name not in _FIELDS and value not in (None, "", {}, []):
                properties.setdefault(name, value)

    def _time(
        self, event: dict[str, Any], properties: dict[str, Any], options: dict[str, Any]
    ) -> int:
        if event.get("timestamp") in (None, "") and event.get("offset") is not None:
            return self._request.received_ms - foreign.milliseconds(event["offset"], "offset")
        own = properties.get("$ignore_sent_at") or options.get("disable_skew_correction")
        sent_ms = None if own else sent(*self._sent, event.get("sent_at"))
        return happened(event.get("timestamp"), "timestamp", sent_ms, self._request)


def _once(insert_id: str | None) -> dict[str, str]:
    return {"insert_id": insert_id} if insert_id else {}


def _identity(
    name: str, event: dict[str, Any], properties: dict[str, Any]
) -> tuple[str | None, str | None]:
    """User and device of an event.

    PostHog has one id. It is the user's when the SDK says so (``$is_identified``, ``$identify``,
    ``$user_id``) and on events of servers, which know no device. It is the device's where there is
    no person (``$process_person_profile`` false) and in apps before somebody is identified. An
    alias links a device to a user: of its two ids, Node sends the user's as ``distinct_id``, all
    others as ``alias``; an id that is identified already is no device.
    """
    found = event.get("distinct_id", event.get("$distinct_id", properties.get("distinct_id")))
    distinct = foreign.ident(found, "distinct_id")
    device = foreign.ident(properties.get("$device_id"), "$device_id")
    said = properties.get("$is_identified")
    personless = properties.get("$process_person_profile") is False
    if name in ("$create_alias", "$merge_dangerously"):
        alias = foreign.ident(properties.get("alias"), "alias")
        if said is True or alias is None:
            return distinct, device
        if properties.get("$lib") == "posthog-node" or name == "$merge_dangerously":
            return distinct, alias
        return alias, distinct
    if name == "$identify":
        before = foreign.ident(properties.get("$anon_distinct_id"), "$anon_distinct_id")
        return distinct, device if before is None else before
    if name == "$groupidentify" and distinct is not None:
        group = f"${properties.get('$group_type')}_{properties.get('$group_key')}"
        if distinct == group:  # nobody: what Node puts there
            return None, distinct
    if isinstance(said, bool):
        identified = said
    elif device is not None:
        identified = properties.get("$user_id") is not None
    else:
        identified = not personless
    return (distinct, device) if identified else (None, distinct)


class _Note:
    """For the answer of V1: ids of the events, and which native ones were made of each."""

    def __init__(self, events: list[Any], records: foreign.Records) -> None:
        self.ids = [event.get("uuid") if isinstance(event, dict) else None for event in events]
        self.of = records.of


def _stored(_request: Request, taken: Taken, results: Sequence[AppendResult]) -> Answer:
    note = taken.note
    if not isinstance(note, _Note):
        return json_answer({"status": 1})
    made = frozenset(note.of)
    told: dict[int, dict[str, str]] = {}
    for one in taken.refused:
        result = "warning" if one.index in made else "drop"  # a part of it, or all
        told.setdefault(one.index, {"result": result, "details": one.reason})
    first = 0
    for part, stored in zip(taken.events, results, strict=True):
        for rejected in stored.rejected:
            at = first + rejected.index
            whole = at == 0 or note.of[at] != note.of[at - 1]
            result = "drop" if whole else "warning"
            told.setdefault(note.of[at], {"result": result, "details": rejected.reason})
        first += part.count
    return json_answer(
        {
            "results": {
                uuid: told.get(index, {"result": "ok"})
                for index, uuid in enumerate(note.ids)
                if isinstance(uuid, str)
            }
        }
    )


def failed(_request: Request, error: ZujiError) -> Answer:
    """An error as PostHog tells it; 5xx is sent again, 4xx is not."""
    status = error.status if isinstance(error, BadBody) else STATUS.get(error.code, 500)
    status = 401 if status == 403 else status
    code = error.reason if isinstance(error, InvalidEvent) else error.code
    kind = "authentication_error" if status == 401 else "validation_error"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if status in (503, 507):
        kind = "server_error"
        wait = error.retry_after if isinstance(error, Overloaded) else RETRY_S
        headers = ((b"Retry-After", b"%d" % max(1, round(wait))),)
    said = {"type": kind, "code": code, "detail": str(error), "error": str(error)}
    return json_answer(said, status, headers)


_FLAGS = json_answer(
    {
        "featureFlags": {},
        "featureFlagPayloads": {},
        "flags": {},
        "errorsWhileComputingFlags": False,
        "quotaLimited": [],
    }
)
_CONFIG = json_answer(
    {
        "supportedCompression": ["gzip", "gzip-js", "base64"],
        "hasFeatureFlags": False,
        "autocapture_opt_out": False,
        "autocaptureExceptions": False,
        "capturePerformance": False,
        "sessionRecording": False,
        "surveys": False,
        "heatmaps": False,
        "toolbarParams": {},
        "isAuthenticated": False,
        "siteApps": [],
    }
)


def _remote_config(request: Request) -> Answer:
    """``/array/TOKEN/config`` is the configuration, ``config.js`` a script without effect."""
    if request.path.endswith("/config"):
        return _CONFIG
    return Answer(200, b"", b"application/javascript; charset=utf-8")


POSTHOG = Protocol(
    name="posthog",
    paths={
        "/batch/": ("POST",),
        "/e": ("POST", "GET"),
        "/e/": ("POST", "GET"),
        "/capture": ("POST", "GET"),
        "/capture/": ("POST", "GET"),
        "/i/v0/e": ("POST", "GET"),
        "/i/v0/e/": ("POST", "GET"),
        V1: ("POST",),
    },
    key=_key,
    convert=convert,
    stored=_stored,
    failed=failed,
    fixed={
        "/flags": lambda _request: _FLAGS,
        "/flags/": lambda _request: _FLAGS,
        "/decide": lambda _request: _FLAGS,
        "/decide/": lambda _request: _FLAGS,
        "/array/*": _remote_config,
    },
)
