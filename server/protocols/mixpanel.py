"""Mixpanel's SDKs: ``/track``, ``/engage``, ``/groups``, ``/import``, with or without a last slash.

Records come as the field ``data`` of a form (plain JSON from Python, base64 from Node and pages),
in the target of a GET, or as a JSON body. The key is the token in the records; on ``/import`` also
the user name or password of Basic, or ``api_key``. SDKs look at the text of an answer more than at
its status: ``{"status": 1}`` with ``verbose=1``, ``1`` without. What is refused is in the
quarantine, so it is 1 for them; only ``/import`` with ``strict=1`` is told which records failed.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from zuji.engine.errors import InvalidEvent, Overloaded, ZujiError
from zuji.server.auth import bearer
from zuji.server.collector.message import TEXT, Answer, Taken, json_answer
from zuji.server.errors import BadBody
from zuji.server.protocols import foreign
from zuji.server.protocols.base import Protocol, parameters
from zuji.server.protocols.foreign import addresses
from zuji.server.protocols.forms import unbase64
from zuji.server.protocols.mixpanel_records import ADDRESSES, Reading, token
from zuji.server.protocols.native import RETRY_S, STATUS
from zuji.server.protocols.records import packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Request
    from zuji.server.settings import Settings

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
"""One pixel that is not seen."""


class Note(NamedTuple):
    """What the answer needs. ``of``: the record that each event was made of. ``form``: the records
    came in a field, as older SDKs send them.
    """

    of: list[int]
    ids: list[Any]
    form: bool


def basic(authorization: str) -> tuple[str, str]:
    """User and password of ``Basic …``; empty when there are none."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


def _key(request: Request) -> str | None:
    """Of a header, or None: the records tell."""
    header = request.header(b"authorization")
    if text := bearer(header):
        return text
    user, password = basic(header)
    for one in (user, password):
        if one.startswith("zk_"):
            return one
    return None


def _convert(request: Request, body: bytes, settings: Settings) -> Taken:
    asked = parameters(request)
    what = request.path.strip("/")
    value, form = _records(request, body)
    records = value if isinstance(value, list) else [value]
    key = next(filter(None, map(token, records)), "") or asked.get("api_key", "")
    sent = asked.get("_", "")
    reading = Reading(
        request.received_ms,
        int(sent) if sent.isascii() and sent.isdigit() and len(sent) == 13 else None,
        free=what == "import",
        places=addresses(settings),
        no_place=asked.get("ip") == "0" or b"ip=0" in body.split(b"&"),
    )
    make = {"engage": reading.profile, "groups": reading.group}.get(what, reading.event)

    def of_this_project(record: dict[str, Any]) -> Any:
        said = token(record)
        if said and said != key:
            foreign.refuse("other_project", "its token is not that of the request's first record")
        return make(record)

    hidden = () if settings.store_ip else ADDRESSES
    made = foreign.Records(("token", "$token", *hidden))
    made.add(records, of_this_project)
    return Taken(
        events=packed(made.events),
        refused=made.refused,
        key=key,
        note=Note(made.of, [_insert_id(one) for one in records], form),
    )


def _insert_id(record: Any) -> Any:
    within = record.get("properties") if isinstance(record, dict) else None
    return within.get("$insert_id") if isinstance(within, dict) else None


def _records(request: Request, body: bytes) -> tuple[Any, bool]:
    """What stands in the body or the field ``data``, and whether it is the latter."""
    head = body.lstrip()[:1]
    if head in (b"[", b"{"):
        try:
            return foreign.read(body), False
        except InvalidEvent:
            if request.path.strip("/") != "import":
                raise
            lines = [_line(line) for line in body.splitlines() if line.strip()]
            if all(isinstance(line, str) for line in lines):
                raise
            return lines, False
    for text in (body, request.query):
        for pair in text.split(b"&"):
            name, _, value = pair.strip().partition(b"=")
            if name == b"data":
                return foreign.read(_plain(value)), True
    raise InvalidEvent("no field data, and the body is not JSON", reason="bad_json")


def _line(line: bytes) -> Any:
    """A record of JSON lines; text when it is none, which is refused alone."""
    try:
        return foreign.read(line)
    except InvalidEvent:
        return line.decode("utf-8", "surrogateescape")


def _plain(value: bytes) -> bytes:
    """JSON of a field: as it is, where a ``+`` is a space, or in base64, where it is a ``+``."""
    text = unquote_to_bytes(value.replace(b"+", b" ")).strip()
    return text if text[:1] in (b"[", b"{") else unbase64(text)


def _stored(request: Request, taken: Taken, results: Sequence[AppendResult]) -> Answer:
    note: Note = taken.note
    if request.path.strip("/") != "import" or note.form:
        return _said(request, 200, None)
    failed = [(one.index, one.path, one.message) for one in taken.refused]
    first = 0
    for part, result in zip(taken.events, results, strict=True):
        failed += [(note.of[first + r.index], r.path, r.message) for r in result.rejected]
        first += part.count
    good = len(note.ids) - len({index for index, _, _ in failed})
    if not failed or parameters(request).get("strict", "0") != "1":
        return json_answer({"code": 200, "num_records_imported": good, "status": "OK"})
    records = [
        {"index": index, "insert_id": note.ids[index], "field": path, "message": message}
        for index, path, message in sorted(failed)
    ]
    return json_answer(
        {
            "code": 400,
            "error": "some data points in the request failed validation",
            "num_records_imported": good,
            "status": "Bad Request",
            "failed_records": records,
        },
        400,
    )


def _failed(request: Request, error: ZujiError) -> Answer:
    status = error.status if isinstance(error, BadBody) else STATUS.get(error.code, 500)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if status in (503, 507):
        wait = error.retry_after if isinstance(error, Overloaded) else RETRY_S
        headers = ((b"Retry-After", b"%d" % max(1, round(wait))),)
    if request.path.strip("/") == "import" and b"json" in request.headers.get(b"content-type", b""):
        said = {"code": status, "error": str(error), "status": "failed", "num_records_imported": 0}
        return json_answer(said, status, headers)
    return _said(request, status, str(error), headers)


def _said(
    request: Request,
    status: int,
    error: str | None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Answer:
    """``error``: None for success."""
    said = {**_of_body(request), **parameters(request)}
    good = error is None
    if said.get("img") == "1" and good:
        return Answer(200, GIF, b"image/gif", ((b"Cache-Control", b"no-store"),))
    if said.get("verbose") == "1":
        return json_answer({"status": int(good), "error": error}, status, headers)
    return Answer(status, b"1" if good else b"0", TEXT, headers)


def _of_body(request: Request) -> dict[str, str]:
    """Fields of a form beside ``data`` that answers depend on: Python's SDK sends them there."""
    if request.header(b"content-encoding"):
        return {"verbose": "1"}  # no SDK that compresses reads a bare 1
    return {"verbose": "1"} if b"verbose=1" in request.body.split(b"&") else {}


def _nothing(answer: dict[str, Any]) -> Any:
    return lambda _request: json_answer(answer)


SETTINGS_ANSWER: dict[str, Any] = {"sdk_config": {"config": {}}}
RECORDED = {"code": 200, "status": "OK"}
"""Recordings of sessions are not kept."""

MIXPANEL = Protocol(
    name="mixpanel",
    paths={
        path: ("GET", "POST")
        for name in ("track", "engage", "groups", "import")
        for path in (f"/{name}", f"/{name}/")
    },
    key=_key,
    convert=_convert,
    stored=_stored,
    failed=_failed,
    fixed={
        "/settings": _nothing(SETTINGS_ANSWER),
        "/settings/": _nothing(SETTINGS_ANSWER),
        "/record": _nothing(RECORDED),
        "/record/": _nothing(RECORDED),
    },
)
