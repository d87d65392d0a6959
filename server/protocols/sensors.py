"""Sensors Analytics' wire protocol, all fourteen record types, as its SDKs send it.

``/sa`` and ``/sa.gif`` take a form in the target or the body, whatever Content-Type says: ``data``
or ``data_list``, base64 of a JSON record or of a list of them, gzip if the bytes say so. What
cannot be read goes to the quarantine, with 200: most SDKs forget what they sent whatever the
answer, and Android forgets on 400, 401, 413 and 429. Back-pressure is 503 and a wrong key 403: the
SDKs that can, keep what they have and send it again. ``/debug`` tells a developer what is wrong;
its dry runs store nothing.

Records become events in ``sensors.h``, without an object each; ``docs/protocols.md`` says what
becomes what. Pure; the GIL is released where the work is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import msgpack
import msgspec

from zuji.engine.batch import Rejected
from zuji.engine.errors import Overloaded, ZujiError
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.collector.body import GZIP_MARK, inflated, most_inflated
from zuji.server.collector.message import TEXT, Answer, Events, Taken, json_answer, problem
from zuji.server.errors import BadBody, Forbidden, Unauthorized
from zuji.server.plan.judging import Judged
from zuji.server.protocols._lane import Lane
from zuji.server.protocols._sensors import (
    Quick,
    field,
    hash_code,
    joined,
    transcode,
    unbase64,
)
from zuji.server.protocols.base import Protocol
from zuji.server.protocols.records import RAW_BYTES
from zuji.server.settings import login_keys, zone_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Request
    from zuji.server.settings import Settings

GIF: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
READY: Final = b"Sensors Analytics is ready to receive your data!"
"""Sensors' FormatImporter gives up when ``GET /debug`` answers anything else."""
RETRY_S: Final = 5.0
_CONFIG: Final = {"v": "1.0", "configs": {"disableSDK": False, "disableDebugMode": False}}
_ENCRYPTED: Final = (b"9", b"13")
"""Values of the field ``gzip`` that say so."""
_SHOWN = 400
"""Bytes of a wrong record that a developer is shown."""
MESSAGES: Final[dict[str, str]] = {
    "bad_json": "this is no JSON, or it breaks off here: what follows cannot be read",
    "not_a_map": "a record is a JSON object",
    "duplicate_key": "the same key stands twice in one object",
    "bad_type": "type is one of track, track_signup, track_id_bind, track_id_unbind, profile_set, "
    "profile_set_once, profile_increment, profile_append, profile_unset, profile_delete, item_set, "
    "item_delete, detail_set and detail_delete",
    "bad_properties": "properties is an object",
    "kept_item": "items are stored as such; details and events of items have no place yet and are "
    "kept here",
    "no_item": "an item needs item_id and item_type (schema 2.0: id and schema)",
    "bad_value": "ids are texts or whole numbers; lib and identities are objects",
    "bad_name": "event is a text",
    "bad_time": "time is a whole number of milliseconds since 1970",
    "missing_id": "a record needs a distinct_id that is not empty",
    "missing_event": "a track record needs the name of its event",
    "missing_time": "a record needs a time",
    "too_many_properties": "a record has at most 255 properties and 64 fields of other names",
    "event_too_large": "the record is too large for a batch",
    "too_many_refused": "too many records of this request are wrong: this is the rest of it",
    "trailing_bytes": "something follows the end of the JSON",
    "int_out_of_range": "a whole number must fit in 64 bits, signed",
    "not_finite": "NaN and infinity are not values",
    "list_too_long": "a list has at most 500 values",
    "no_data": "neither data nor data_list is in the form",
    "bad_base64": "data is not base64",
    "bad_crc": "crc is not the hashCode of data: bytes changed on the way",
    "bad_gzip": "data is gzip that cannot be read",
    "encrypted": "encrypted by the SDK: the key is not known here; turn encryption off there",
}
"""Why a request or a record is refused (code → for people)."""


class _Debugged(NamedTuple):
    """What a developer is told of a request to /debug. ``lines``: of its records that are no
    events; ``parts``: of events that are judged.
    """

    dry: bool
    lines: list[str]
    parts: int


# -- what was sent -------------------------------------------------------------------------------


def _key(request: Request) -> str | None:
    token = field(request.query, b"token")
    return token.decode("latin-1") if token else None


def _field(request: Request, body: bytes, name: bytes) -> bytes:
    """A field of the body's form, or else of the target's; b"" when neither has it."""
    found = field(body, name) if body else None
    return (found if found is not None else field(request.query, name)) or b""


class Unreadable(Exception):
    """A request whose records cannot be read. ``raw``: what the quarantine keeps of it."""

    def __init__(self, reason: str, raw: bytes) -> None:
        super().__init__(reason)
        self.reason = reason
        self.raw = raw


def document(request: Request, body: bytes, settings: Settings) -> bytes:
    """The JSON in a request; b"" when it brings nothing at all.

    Raises:
        Unreadable.
    """
    sent = _field(request, body, b"data_list") or _field(request, body, b"data")
    if not sent:
        sent = body.strip()
        if sent[:1] not in (b"[", b"{"):
            if sent:
                raise Unreadable("no_data", sent[:RAW_BYTES])
            return b""
    if sent[:1] in (b"[", b"{"):  # no letters of base64
        if _field(request, body, b"gzip") in _ENCRYPTED or _is_encrypted(sent):
            raise Unreadable("encrypted", sent)
        return joined(sent)
    if _field(request, body, b"gzip") in _ENCRYPTED:
        raise Unreadable("encrypted", sent)
    _check_crc(request, body, sent)
    packed = unbase64(sent)
    if packed is None:
        raise Unreadable("bad_base64", sent[:RAW_BYTES])
    if packed.startswith(GZIP_MARK):
        try:
            packed = inflated(packed, "gzip", settings)
        except BadBody:
            raise Unreadable("bad_gzip", sent[:RAW_BYTES]) from None
    if _is_encrypted(packed):
        raise Unreadable("encrypted", packed)
    return joined(packed)


def _is_encrypted(text: bytes) -> bool:
    head = text[:4096]
    return b'"ekey"' in head and b'"pkv"' in head


def _check_crc(request: Request, body: bytes, sent: bytes) -> None:
    said = _field(request, body, b"crc")
    if not said:
        said = _field(request, body, b"ext").partition(b"crc=")[2].partition(b"&")[0]
    if said:
        try:
            same = hash_code(sent) == int(said) & 0xFFFFFFFF
        except ValueError:
            same = False
        if not same:
            raise Unreadable("bad_crc", sent[:RAW_BYTES])


@lru_cache(4)
def _quick(zone: str, keep_ip: bool, logins: str, inflated: int) -> Quick:
    return Quick(DEFAULT_LIMITS, zone_ms(zone), keep_ip, login_keys(logins), inflated)


def _convert(request: Request, body: bytes, settings: Settings) -> Taken:
    if request.path != "/debug" and field(
        request.query, b"token"
    ):  # else the body may name the key
        quick = _quick(
            settings.sensors_zone,
            settings.store_ip,
            settings.sensors_login_keys,
            most_inflated(settings),
        )
        parts = quick.events(request.query, body, request.received_ms)
        if parts is not None:
            return Taken(events=[Events(*part) for part in parts])
    return slowly(request, body, settings)


def slowly(request: Request, body: bytes, settings: Settings) -> Taken:
    """What any request brings; knows what is wrong with it."""
    token = field(body, b"token") if body else None
    key = token.decode("latin-1") if token else ""
    debugged = request.path == "/debug"
    try:
        found = document(request, body, settings)
    except Unreadable as error:
        wrong = Rejected(0, error.reason, "", MESSAGES[error.reason], error.raw)
        return _taken(request, key, [], [wrong], debugged=debugged)
    if not found:
        return _taken(request, key, [], [], debugged=debugged)
    zone, now = zone_ms(settings.sensors_zone), request.received_ms
    keys = login_keys(settings.sensors_login_keys)
    parts, kept, said = transcode(found, now, zone, DEFAULT_LIMITS, settings.store_ip, keys)
    rejected = [Rejected(at, code, path, MESSAGES[code], raw) for at, code, path, raw in kept]
    events = [Events(count, items, data) for count, items, data in parts]
    return _taken(request, key or said, events, rejected, debugged=debugged)


def _taken(
    request: Request,
    key: str,
    events: list[Events],
    rejected: list[Rejected],
    *,
    debugged: bool,
) -> Taken:
    if not key and not _key(request):  # in development mode a project's name will do
        project = field(request.query, b"project") or b""
        key = project.decode("latin-1")
    if not debugged:
        return Taken(events=events, refused=rejected, key=key)
    dry = request.header(b"dry-run").lower() == "true"
    note = _Debugged(dry, list(_lines(rejected)), len(events))
    if dry:
        return Taken(key=key, note=note, judged=events)
    return Taken(events=events, refused=rejected, key=key, note=note, judged=events)


def _lines(rejected: Sequence[Rejected]) -> Iterator[str]:
    """What is wrong with records, for the developer that sent them."""
    for one in rejected:
        if one.reason != "kept_item":
            shown = one.raw[:_SHOWN].decode(errors="replace")
            yield f"record {one.index}: {one.reason} {one.path}: {one.message}\n  {shown}"


# -- what they get back --------------------------------------------------------------------------


_PIXEL = Answer(200, GIF, b"image/gif", ((b"Cache-Control", b"no-store"),))
_NOTHING = Answer(200, b"", TEXT)


def _stored(request: Request, taken: Taken, results: Sequence[AppendResult]) -> Answer:
    if isinstance(taken.note, _Debugged):
        return _debugged(taken.note, results)
    if request.method == "GET":
        return _PIXEL
    return _NOTHING


def _debugged(found: _Debugged, results: Sequence[AppendResult]) -> Answer:
    """What became of records, or would: refused ones as an error, which SDKs show."""
    first_judged = len(results) - found.parts
    stored, judged = results[:first_judged], results[first_judged:]
    wrong: dict[int, str] = {}
    notes: list[str] = []
    for each in (judged, stored):
        first = 0
        for result in each:
            for one in result.rejected:
                line = f"event {first + one.index}: {one.reason} {one.path}: {one.message}"
                wrong.setdefault(first + one.index, f"{line}\n  {_shown(one.raw)}")
            if isinstance(result, Judged):
                notes += (f"event {first + n.index}: {n.code} {n.path}" for n in result.notes)
            first += result.accepted + result.duplicates + len(result.rejected)
    lines = [*found.lines, *(wrong[index] for index in sorted(wrong))]
    if lines:
        said = ["not stored:" if found.dry else "in the quarantine:", *lines, ""]
        return Answer(400, "\n".join(said).encode(errors="replace"), TEXT)
    said = ["valid" if found.dry else "stored", *notes, ""]
    return Answer(200, "\n".join(said).encode(errors="replace"), TEXT)


def _shown(raw: bytes) -> str:
    """A refused event for people."""
    try:
        event = msgpack.unpackb(raw, unicode_errors="replace", timestamp=3)
        return msgspec.json.encode(event)[:_SHOWN].decode(errors="replace")
    except (ValueError, TypeError, msgpack.UnpackException):
        return raw[:_SHOWN].decode(errors="replace")


def _failed(request: Request, error: ZujiError) -> Answer:
    if isinstance(error, BadBody) and request.path != "/debug":
        # Nobody could read it: sent again, it would be the same.
        # `zuji_refused_requests_total` counts it.
        return _stored(request, Taken(), ())
    if isinstance(error, BadBody):
        return problem(400, error.code, str(error))
    if isinstance(error, Unauthorized | Forbidden):
        return problem(403, error.code, str(error))
    after = error.retry_after if isinstance(error, Overloaded) else RETRY_S
    return problem(503, error.code, str(error), retry_after=after)


def _ready(request: Request) -> Answer:
    if request.method != "GET":
        return problem(405, "method_not_allowed", "GET or POST /debug")
    if b"dry-run" in request.headers:
        return Answer(200, b"{}", TEXT)  # the web SDK asks so whether it may debug
    return Answer(200, READY, TEXT)


def _configured(request: Request) -> Answer:
    if not request.path.endswith(".conf"):
        return problem(404, "not_found", "configurations end in .conf")
    return json_answer(_CONFIG)


def _lane(settings: Settings, most: int, began: Callable[[], object]) -> Lane:
    zone = zone_ms(settings.sensors_zone)
    keys = login_keys(settings.sensors_login_keys)
    inflated = most_inflated(settings)
    return Lane(DEFAULT_LIMITS, zone, settings.store_ip, most, began, keys, inflated)


_BOTH = ("GET", "POST")
SENSORS = Protocol(
    name="sensors",
    paths={"/sa": _BOTH, "/sa.gif": _BOTH, "/debug": ("POST",)},
    key=_key,
    convert=_convert,
    stored=_stored,
    failed=_failed,
    lane=_lane,
    fixed={"/debug": _ready, "/config/*": _configured, "/sa/config/*": _configured},
)
