"""What a request tells of who sent it: browser, system and kind of device by its User-Agent, region
and address by where it comes from. Off unless configured; then one place for all protocols.

Properties that an event has are never replaced, and only events are enriched, not profiles. Nothing
of a request is added to what a server sent (a program's User-Agent, or none): neither its software
nor its place tells of a person. Where a protocol knows the address of a person, it is the event's
property ``$ip`` until here, nil for "none, and not that of the request either"; it stays only with
``store_ip``. Thread-safe.

Events are unpacked and packed again, which costs more than decoding them; what was read of a
User-Agent and of an address is kept for the last different ones. A repeated key, or whatever else
the engine refuses, is left for it to refuse.
"""

from __future__ import annotations

import ipaddress
import json
import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import msgpack

from zuji.engine.errors import InvalidInput
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.collector.message import Taken
from zuji.server.protocols.records import items_of, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zuji.server.collector.message import Events, Request
    from zuji.server.settings import Settings

    Enrich = Callable[[Taken, Request], Taken]
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

AGENTS = 4_096
"""Different User-Agents that are remembered."""
AGENT_BYTES = 512
"""A longer User-Agent is cut: patterns take their time on it."""
ADDRESSES = 4_096
"""Different addresses whose region is remembered."""
_SERVERS = re.compile(
    r"(python|aiohttp|httpx|node|axios|undici|got|go-http|java/|apache-http|jakarta|ruby|faraday|php"
    r"|guzzle|curl|wget|libwww|dotnet|restsharp|reqwest|analytics-|posthog-|mixpanel|amplitude"
    r"|snowplow|sensors)",
    re.IGNORECASE,
)
"""How the User-Agent of a server begins."""
_OWN_PATHS = ("/v1/events", "/v1/profiles")
_DESKTOPS = ("Windows", "Mac OS X", "Linux", "Chrome OS", "Ubuntu", "Fedora", "Debian", "FreeBSD")


def enricher(settings: Settings) -> Enrich | None:
    """What adds to the events of a request, or None when nothing is configured.

    Raises:
        InvalidInput: a library is missing, or the file of regions cannot be read.
    """
    if not (settings.enrich_user_agent or settings.ip_regions or settings.store_ip):
        return None
    return _Enricher(
        _agents() if settings.enrich_user_agent else None,
        _regions(settings.ip_regions, settings.region_language) if settings.ip_regions else None,
        networks(settings.trusted_proxies),
        store_ip=settings.store_ip,
    )


class _Enricher:
    def __init__(
        self,
        agents: Callable[[str], Mapping[str, str]] | None,
        regions: Callable[[str], Mapping[str, str]] | None,
        proxies: Sequence[Network],
        *,
        store_ip: bool,
    ) -> None:
        self._agents = agents
        self._regions = regions
        self._proxies = proxies
        self._store_ip = store_ip

    def __call__(self, taken: Taken, request: Request) -> Taken:
        agent = request.header(b"user-agent")[:AGENT_BYTES]
        person = bool(agent) and _SERVERS.match(agent) is None
        client = client_address(request, self._proxies) if person else ""
        about = self._agents(agent) if self._agents is not None and person else {}
        own = request.path in _OWN_PATHS
        if not about and not client and not _have_addresses(taken):
            return taken
        enrich = partial(self._enrich, about=about, client=client, own=own)
        return Taken(
            events=[part for one in taken.events for part in _events(one, enrich)],
            batches=[_batch(one, enrich) for one in taken.batches],
            refused=taken.refused,
            key=taken.key,
            note=taken.note,
            judged=taken.judged,
        )

    def _enrich(self, event: Any, *, about: Mapping[str, str], client: str, own: bool) -> bool:
        """Adds to an event; whether it is to be written again. ``own``: whoever sends ``$ip`` in
        Zuji's own protocol means it.
        """
        if type(event) is not dict or event.get("type", "track") != "track":
            return False
        found = event.setdefault("properties", {})
        if type(found) is not dict:
            return False
        address = found.get("$ip", client)
        address = address if isinstance(address, str) else ""
        if not self._store_ip and not own:
            found.pop("$ip", None)
        more = dict(about)
        if self._regions is not None and address:
            more.update(self._regions(address))
        if self._store_ip and address:
            more["$ip"] = address
        if len(found) + len(more) <= DEFAULT_LIMITS.event_properties:
            for name, value in more.items():
                found.setdefault(name, value)
        return True


def _have_addresses(taken: Taken) -> bool:
    """Whether events may have addresses of their own."""
    found = any(b"$ip" in events.data for events in taken.events)
    return found or any(b"$ip" in batch for batch in taken.batches)


def _events(events: Events, enrich: Callable[[Any], bool]) -> list[Events]:
    made, start = [], 0
    try:
        unpacker = msgpack.Unpacker(**_AS_SENT, object_pairs_hook=_marked, max_buffer_size=0)
        unpacker.feed(events.data)
        for event in unpacker:
            end = unpacker.tell()
            again = enrich(event)
            made.append((items_of(event), _packed(event) if again else events.data[start:end]))
            start = end
    except _UNREADABLE:
        return [events]
    return parts(made)


def _batch(batch: bytes, enrich: Callable[[Any], bool]) -> bytes:
    """A native batch; one that cannot be read as it should is the engine's to refuse, and one that
    would be too much stays as it is.
    """
    try:
        value = _read(batch)
        events = value.get("events") if isinstance(value, dict) else value
        for event in events if isinstance(events, list) else ():
            enrich(event)
        made = _packed(value)
    except _UNREADABLE:
        return batch
    limits = DEFAULT_LIMITS
    full = len(made) > limits.batch_bytes or items_of(value) > limits.batch_items
    return batch if full else made


def networks(trusted: str) -> tuple[Network, ...]:
    """Addresses and networks of the setting ``trusted_proxies``.

    Raises:
        InvalidInput.
    """
    found = []
    for text in filter(None, map(str.strip, trusted.split(","))):
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            raise InvalidInput(
                f"trusted_proxies has addresses and networks (10.0.0.0/8), not {text!r}"
            ) from None
    return tuple(found)


def client_address(request: Request, proxies: Sequence[Network]) -> str:
    """Address of who sent the request: the peer, or what the trusted proxies before it say, read
    from the nearest to the farthest; "" when that is no address.
    """
    address = _address(request.peer)
    said = request.header(b"x-forwarded-for").split(",")
    while address and said and _trusted(address, proxies):
        text = said.pop().strip()
        if not text:
            break
        address = _address(text)
    return address


def _address(text: str) -> str:
    try:
        found = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _trusted(address: str, proxies: Sequence[Network]) -> bool:
    if not proxies:
        return False
    one = ipaddress.ip_address(address)
    return any(one in network for network in proxies if network.version == one.version)


def _agents() -> Callable[[str], Mapping[str, str]]:
    try:
        import ua_parser
    except ImportError:
        raise InvalidInput(
            "enrich_user_agent needs the library ua-parser: pip install 'zuji[enrich]'"
        ) from None
    ua_parser.parse("Mozilla/5.0")  # reads its patterns now, not at the first request

    def read(agent: str) -> Mapping[str, str]:
        return _of_agent(agent, ua_parser.parse(agent))

    return lru_cache(AGENTS)(read)


def _of_agent(agent: str, found: Any) -> dict[str, str]:
    """Properties of what ua-parser found. The version of a browser is its first number, which can
    be cast where an SDK sends it as a number.
    """
    made = {}
    if found.user_agent is not None:
        made["$browser"] = found.user_agent.family
        if found.user_agent.major:
            made["$browser_version"] = found.user_agent.major
    family = "" if found.os is None else found.os.family
    if found.os is not None:
        made["$os"] = family
        version = ".".join(filter(None, (found.os.major, found.os.minor, found.os.patch)))
        if version:
            made["$os_version"] = version
    device = "" if found.device is None else found.device.family
    if device == "Spider":
        made["$device_type"] = "Bot"
    elif device == "iPad" or (family == "Android" and "Mobile" not in agent):
        made["$device_type"] = "Tablet"
    elif family in ("Android", "iOS", "HarmonyOS") or "Mobile" in agent:
        made["$device_type"] = "Mobile"
    elif family in _DESKTOPS:
        made["$device_type"] = "Desktop"
    return made


def _regions(path: str, language: str) -> Callable[[str], Mapping[str, str]]:
    try:
        import maxminddb
    except ImportError:
        raise InvalidInput(
            "ip_regions needs the library maxminddb: pip install 'zuji[enrich]'"
        ) from None
    try:
        reader = maxminddb.open_database(path)
        reader.get("127.0.0.1")
    except OSError as problem:
        raise InvalidInput(f"ip_regions {path}: {problem.strerror or problem}") from None
    except (maxminddb.InvalidDatabaseError, ValueError, EOFError) as problem:
        raise InvalidInput(f"ip_regions {path} is not a MaxMind database: {problem}") from None

    def read(address: str) -> Mapping[str, str]:
        try:
            return _of_region(reader.get(address), language)
        except (maxminddb.InvalidDatabaseError, ValueError):
            return {}

    return lru_cache(ADDRESSES)(read)


def _of_region(found: Any, language: str) -> dict[str, str]:
    """Properties of a record: MaxMind's form, or a flat one with text."""
    if not isinstance(found, dict):
        return {}
    divisions = found.get("subdivisions")
    first = divisions[0] if isinstance(divisions, list) and divisions else found.get("region")
    texts = (
        ("$country", _name(found.get("country"), language)),
        ("$province", _name(first, language)),
        ("$city", _name(found.get("city"), language)),
    )
    return {name: text for name, text in texts if text}


def _name(value: Any, language: str) -> str:
    """A name in the language, else in English, else its code."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return ""
    names = value.get("names")
    names = names if isinstance(names, dict) else {}
    found = names.get(language) or names.get("en") or value.get("iso_code") or ""
    return found if isinstance(found, str) else ""


class _Twice(dict[Any, Any]):
    """A map in which a key stands twice."""


def _marked(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Twice(found)


def _once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no value")


_AS_SENT: dict[str, Any] = {
    "strict_map_key": False,
    "unicode_errors": "surrogatepass",
    "timestamp": 0,
}
_UNREADABLE = (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException)
_ENVELOPE = ("events", "batch_id", "sent_at")


def _packed(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed


def _read(batch: bytes) -> Any:
    """A native batch, whichever form it has (docs/format/batch.md).

    Raises:
        One of _UNREADABLE: it is none, or none that would be the same when it is written again.
    """
    if batch[:1] not in (b"{", b"[", b" ", b"\t", b"\r", b"\n"):
        return msgpack.unpackb(batch, **_AS_SENT, object_pairs_hook=_once)
    try:
        value = _json(batch)
    except json.JSONDecodeError:
        return [_json(line) for line in batch.splitlines() if line.strip()]
    if isinstance(value, dict) and next(iter(value), "") not in _ENVELOPE:
        return [value]
    return value


def _json(text: bytes) -> Any:
    return json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_number)
