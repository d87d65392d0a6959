"""Which SDK and app an event came from, as counters name them. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from zuji.engine.batch import Rejected
from zuji.engine.quarantine import Kept

if TYPE_CHECKING:
    from collections.abc import Mapping

_SDK_CHARS = 40
_CLIENT = ("$lib", "$lib_version", "$app_version")


def client_of(event: Mapping[str, Any]) -> tuple[str, str]:
    """SDK ("name version") and app version of an event, native or Sensors'."""
    said: dict[str, Any] = {}
    for part in (event.get("lib"), event.get("properties")):
        if isinstance(part, dict):
            said |= {n: str(part[n])[:_SDK_CHARS] for n in _CLIENT if part.get(n) is not None}
    sdk = " ".join(said[name] for name in _CLIENT[:2] if name in said)
    return sdk, said.get("$app_version", "")


class _Names(msgspec.Struct):
    lib: str | None = msgspec.field(default=None, name=_CLIENT[0])
    version: str | None = msgspec.field(default=None, name=_CLIENT[1])
    app: str | None = msgspec.field(default=None, name=_CLIENT[2])


class _Event(msgspec.Struct):
    """What is read of an event; all else is passed over and nothing is made of it."""

    lib: _Names | None = None
    properties: _Names | None = None


_MSGPACK = msgspec.msgpack.Decoder(_Event)
_JSON = msgspec.json.Decoder(_Event)


def client_of_raw(raw: bytes) -> tuple[str, str]:
    """:func:`client_of` of a refused event as it came, which may be anything: ("", "") for what is
    no event. O(bytes), without an object for each of what may be hundreds of properties.
    """
    try:
        found = (_JSON if raw[:1] == b"{" else _MSGPACK).decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError):  # it is refused for something
        event = Kept(Rejected(0, "", "", "", raw), 0).to_dict()["event"]
        return client_of(event) if isinstance(event, dict) else ("", "")
    parts = (
        None if one is None else dict(zip(_CLIENT, (one.lib, one.version, one.app), strict=True))
        for one in (found.lib, found.properties)
    )
    return client_of(dict(zip(("lib", "properties"), parts, strict=True)))
