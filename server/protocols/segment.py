"""Segment's and RudderStack's SDKs: ``/v1/batch``, ``/v1/track`` and its kin, ``/v1/t`` and its.

The key is the user of Basic authorization, or ``writeKey`` in body or query. ``userId`` is the
customer, ``anonymousId`` the device; calls of a message become events: track its own name,
identify ``$identify``, page ``$pageview``, screen ``$screen``, group ``$group``, alias ``$alias``.
Traits of identify change the profile, too. What stands in ``context`` becomes properties: some have
names of their own (:data:`CONTEXT`), others are called ``context.NAME``. docs/protocols.md has it.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import InvalidEvent, Overloaded
from zuji.server.auth import bearer
from zuji.server.collector.body import GZIP_MARK, inflated
from zuji.server.collector.message import Answer, Taken, json_answer
from zuji.server.errors import BadBody
from zuji.server.protocols import foreign
from zuji.server.protocols.base import Protocol, parameters
from zuji.server.protocols.forms import unbase64
from zuji.server.protocols.iso import happened, sent
from zuji.server.protocols.native import RETRY_S, STATUS
from zuji.server.protocols.records import packed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zuji.engine.errors import ZujiError
    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Request
    from zuji.server.settings import Settings

KINDS = {
    "track": "",
    "identify": "$identify",
    "page": "$pageview",
    "screen": "$screen",
    "group": "$group",
    "alias": "$alias",
}
"""Calls, and the events that they become."""
_SHORT = {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias"}
_PATHS = {f"/v1/{name}": name for name in KINDS} | {f"/v1/{s}": name for s, name in _SHORT.items()}
"""Paths of one message, and the call that it is."""
CONTEXT = {
    ("app", "version"): "$app_version",
    ("app", "name"): "$app_name",
    ("app", "build"): "$app_build",
    ("app", "namespace"): "$app_id",
    ("library", "name"): "$lib",
    ("library", "version"): "$lib_version",
    ("page", "url"): "$url",
    ("page", "path"): "$url_path",
    ("page", "title"): "$title",
    ("page", "referrer"): "$referrer",
    ("page", "search"): "$url_query",
    ("campaign", "source"): "$utm_source",
    ("campaign", "medium"): "$utm_medium",
    ("campaign", "name"): "$utm_campaign",
    ("campaign", "term"): "$utm_term",
    ("campaign", "content"): "$utm_content",
    ("os", "name"): "$os",
    ("os", "version"): "$os_version",
    ("device", "manufacturer"): "$manufacturer",
    ("device", "model"): "$model",
    ("device", "type"): "$device_type",
    ("screen", "width"): "$screen_width",
    ("screen", "height"): "$screen_height",
}
"""Values of ``context`` with a name of their own."""
_IN_CONTEXT = frozenset(group for group, _ in CONTEXT)
_LEFT_OUT = frozenset({"ip", "userAgent", "userAgentData"})
"""Of ``context``: what says who and where somebody is is kept only when that is asked for."""
_HIDDEN = frozenset({"writeKey", "ip", "request_ip"})
"""Fields that the quarantine does not keep."""
_FIELDS = frozenset(
    {
        *("type", "event", "name", "category", "properties", "traits", "context", "userId"),
        *("anonymousId", "previousId", "groupId", "messageId", "timestamp", "originalTimestamp"),
        *("sentAt", "writeKey", "integrations", "_metadata", "receivedAt", "request_ip"),
    }
)
"""Fields of a message that are read here, or say nothing about what happened; whatever else it has
becomes properties."""


def _key(request: Request) -> str | None:
    said = request.header(b"authorization")
    scheme, _, text = said.partition(" ")
    if scheme.lower() == "basic":
        try:
            return unbase64(text.encode("latin-1")).partition(b":")[0].decode("latin-1")
        except (InvalidEvent, binascii.Error):
            return ""
    return bearer(said) or None


def convert(request: Request, body: bytes, settings: Settings) -> Taken:
    """See ``Protocol.convert``."""
    if body.startswith(GZIP_MARK):
        body = inflated(body, "gzip", settings)
    value = foreign.read(body)
    if not isinstance(value, dict):
        raise InvalidEvent("a request is an object", reason="bad_envelope")
    call = _PATHS.get(request.path, "")
    messages = [value] if call else value.get("batch")
    if not isinstance(messages, list):
        raise InvalidEvent("batch must be a list of messages", reason="bad_envelope")
    batch = _Batch(request, value, call, places=foreign.addresses(settings))
    records = foreign.Records(_HIDDEN)
    records.add(messages, batch.made)
    return Taken(
        events=packed(records.events),
        refused=records.refused,
        key=_key_of(request, value, messages),
    )


def _key_of(request: Request, envelope: dict[str, Any], messages: list[Any]) -> str:
    first = messages[0] if messages else None
    for place in (envelope, parameters(request), first):
        if isinstance(place, dict):
            key = place.get("writeKey")
            if isinstance(key, str) and key:
                return key
    return ""


class _Batch:
    """What the messages of one request share. ``call``: what a single message is. ``places``:
    whether the address of the person is handed on.
    """

    def __init__(
        self, request: Request, envelope: dict[str, Any], call: str, *, places: bool
    ) -> None:
        self._request = request
        self._envelope = envelope
        self._call = call
        self._places = places
        shared = envelope.get("context")
        self._context = shared if not call and isinstance(shared, dict) else {}

    def made(self, message: dict[str, Any]) -> Iterator[dict[str, Any] | foreign.Part]:
        """Native events of one message: itself, and the traits of whom it identifies."""
        call = self._call or message.get("type")
        if not isinstance(call, str) or call not in KINDS:
            foreign.refuse("unknown_type", f"type is one of {', '.join(KINDS)}")
        context = {**self._context, **foreign.mapping(message.get("context"), "context")}
        user = foreign.ident(message.get("userId"), "userId")
        device = foreign.ident(message.get("anonymousId"), "anonymousId")
        traits = _traits(message, context) if call == "identify" else {}
        properties = _properties(call, message, traits)
        if call == "alias":
            before = foreign.ident(message.get("previousId"), "previousId")
            if before is not None and before != user:
                if device is not None and device != before:
                    properties["anonymous_id"] = device
                device = before
        if call == "identify":
            context.pop("traits", None)
        made = self._flat(context)
        made.update(foreign.properties(properties))
        sent_at = sent(message.get("sentAt"), self._envelope.get("sentAt"))
        when = message.get("timestamp") or message.get("originalTimestamp")
        shared: dict[str, Any] = {"time": happened(when, "timestamp", sent_at, self._request)}
        if user is not None:
            shared["user_id"] = user
        if device is not None:
            shared["device_id"] = device
        once = foreign.ident(message.get("messageId"), "messageId")
        name = KINDS[call] or foreign.event_name(message.get("event"), "event")
        one = {**shared, "event": name, "properties": made}
        yield {**one, "insert_id": once} if once else one
        if traits:
            told = {**shared, "type": "profile_set", "properties": foreign.properties(traits)}
            yield {**told, "insert_id": f"{once}:traits"} if once else told

    def _flat(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Properties that stand in ``context``."""
        found: dict[str, Any] = {}
        for name, value in context.items():
            if name in _LEFT_OUT:
                if name == "ip" and self._places and value is not None:
                    found["$ip"] = foreign.native(value)
                continue
            if name in _IN_CONTEXT and isinstance(value, dict):
                rest: dict[str, Any] = {}
                for inner, one in foreign.mapping(value, name).items():
                    own = CONTEXT.get((name, inner))
                    if own is None:
                        rest[inner] = one
                    elif one is not None and one != "":
                        found[own] = foreign.native(one)
                value = rest
            if value is not None and value not in ("", {}, []):
                found[f"context.{name}"] = foreign.native(value)
        return found


def _traits(message: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """Traits of a message; RudderStack's stand in its context."""
    within = foreign.mapping(context.get("traits"), "context.traits")
    return {**within, **foreign.mapping(message.get("traits"), "traits")}


def _properties(call: str, message: dict[str, Any], traits: dict[str, Any]) -> dict[str, Any]:
    """What a message says in its own fields. ``traits``: those of identify."""
    found = {**foreign.mapping(message.get("properties"), "properties"), **traits}
    if call == "group":
        found.update(foreign.mapping(message.get("traits"), "traits"))
        found["$group_id"] = foreign.ident(message.get("groupId"), "groupId")
    elif call == "alias":
        found["previous_id"] = foreign.ident(message.get("previousId"), "previousId")
    if call in ("page", "screen"):
        for name in ("name", "category"):
            if message.get(name) not in (None, ""):
                found.setdefault(name, message[name])
    for name, value in message.items():
        if name not in _FIELDS and value not in (None, "", {}, []):
            found.setdefault(name, value)
    if call not in ("identify", "group") and message.get("traits"):
        found.setdefault("traits", message["traits"])
    return found


def _stored(_request: Request, _taken: Taken, _results: Sequence[AppendResult]) -> Answer:
    return json_answer({"success": True})


def failed(_request: Request, error: ZujiError) -> Answer:
    """An error; 5xx is sent again, 4xx is not."""
    status = error.status if isinstance(error, BadBody) else STATUS.get(error.code, 500)
    status = 401 if status == 403 else status
    code = error.reason if isinstance(error, InvalidEvent) else error.code
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if status in (503, 507):
        wait = error.retry_after if isinstance(error, Overloaded) else RETRY_S
        headers = ((b"Retry-After", b"%d" % max(1, round(wait))),)
    return json_answer({"success": False, "code": code, "message": str(error)}, status, headers)


def _settings(request: Request) -> Answer:
    """``/v1/projects/KEY/settings``: what a page reads before it sends: here, by one integration.

    The host that pages send to is the one that they read this from.
    """
    host = request.header(b"host")
    key = request.path.removeprefix("/v1/projects/").partition("/")[0]
    if not request.path.endswith("/settings"):
        return json_answer({"success": False, "code": "not_found"}, 404)
    integration = {"apiKey": key, "apiHost": f"{host}/v1", "type": "browser"}
    return json_answer(
        {
            "integrations": {"Segment.io": integration},
            "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
            "edgeFunction": {},
            "analyticsNextEnabled": True,
            "middlewareSettings": {},
            "enabledMiddleware": {},
            "metrics": {"sampleRate": 0},
            "remotePlugins": [],
        }
    )


def _source(request: Request) -> Answer:
    """``/sourceConfig/``: what RudderStack's SDK for pages reads before it sends."""
    key = parameters(request).get("writeKey", "")
    off = {"enabled": False}
    return json_answer(
        {
            "source": {
                "id": "zuji",
                "name": "zuji",
                "writeKey": key,
                "enabled": True,
                "workspaceId": "zuji",
                "destinations": [],
                "connections": [],
                "config": {"statsCollection": {"errors": off, "metrics": off}},
                "dataplanes": {},
            },
            "updatedAt": "2026-01-01T00:00:00.000Z",
        }
    )


def _ignored(_request: Request) -> Answer:
    return json_answer({"success": True})


SEGMENT = Protocol(
    name="segment",
    paths=dict.fromkeys(("/v1/batch", "/v1/import", "/beacon/v1/batch", *_PATHS), ("POST",)),
    key=_key,
    convert=convert,
    stored=_stored,
    failed=failed,
    fixed={
        "/v1/m": _ignored,
        "/v1/projects/*": _settings,
        "/sourceConfig": _source,
        "/sourceConfig/": _source,
    },
)
