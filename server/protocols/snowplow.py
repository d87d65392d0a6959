"""Snowplow's trackers: ``POST /com.snowplowanalytics.snowplow/tp2`` and ``GET /i``.

The key is in a header (Basic, Bearer) or ``?key=``; else it is the app id, ``aid``: trackers have
no other place for one. An event with another app id than the first is refused then. Trackers take
any 2xx for done; they drop what is answered with 400, 401, 403, 410 or 422, and send everything
else again, a 413 too, for ever: so too much is 422.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from zuji.engine.errors import InvalidEvent, Overloaded, ZujiError
from zuji.server.auth import bearer
from zuji.server.collector.message import TEXT, Answer, Taken, problem
from zuji.server.errors import BadBody
from zuji.server.protocols import foreign
from zuji.server.protocols.base import Protocol, parameters
from zuji.server.protocols.mixpanel import GIF, basic
from zuji.server.protocols.native import RETRY_S, STATUS
from zuji.server.protocols.records import packed
from zuji.server.protocols.snowplow_records import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Request
    from zuji.server.settings import Settings

POST = "/com.snowplowanalytics.snowplow/tp2"
GET = "/i"


def _said(request: Request) -> str:
    """The key outside of the events, "" when there is none."""
    header = request.header(b"authorization")
    found = bearer(header) or next(filter(None, basic(header)), "")
    if not found and b"key=" in request.query:
        found = parameters(request).get("key", "")
    return found


def _key(request: Request) -> str | None:
    return _said(request) or None


def _convert(request: Request, body: bytes, settings: Settings) -> Taken:
    if request.path == GET and request.method == "GET":
        pairs = parse_qsl(
            request.query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"
        )
        records: list[Any] = [{k: v for k, v in pairs if k != "key"}]
    else:
        value = foreign.read(body)
        data = value.get("data") if isinstance(value, dict) else None
        if not isinstance(data, list):
            raise InvalidEvent("a payload has its events in the list data", reason="bad_json")
        records = data
    header = _said(request)
    key = header or next(filter(None, map(_app, records)), "")
    reading = Reading(request.received_ms, places=foreign.addresses(settings), app=bool(header))

    def make(record: dict[str, Any]) -> Any:
        if not header and _app(record) != key:
            foreign.refuse("other_project", "its app id is not that of the request's first event")
        return reading.event(record)

    made = foreign.Records((*(() if header else ("aid",)), *(() if settings.store_ip else ("ip",))))
    made.add(records, make)
    return Taken(events=packed(made.events), refused=made.refused, key=key)


def _app(record: Any) -> str:
    found = record.get("aid") if isinstance(record, dict) else None
    return found if isinstance(found, str) else ""


def _stored(request: Request, _taken: Taken, _results: Sequence[AppendResult]) -> Answer:
    if request.method == "GET":
        return Answer(200, GIF, b"image/gif", ((b"Cache-Control", b"no-store"),))
    return Answer(200, b"ok", TEXT)


def _failed(_request: Request, error: ZujiError) -> Answer:
    status = error.status if isinstance(error, BadBody) else STATUS.get(error.code, 500)
    if status in (503, 507):
        wait = error.retry_after if isinstance(error, Overloaded) else RETRY_S
        return problem(status, error.code, str(error), retry_after=wait)
    code = error.reason if isinstance(error, InvalidEvent) else error.code
    return problem(422 if status in (413, 415) else status, code, str(error))


SNOWPLOW = Protocol(
    name="snowplow",
    paths={POST: ("POST",), GET: ("GET", "POST")},
    key=_key,
    convert=_convert,
    stored=_stored,
    failed=_failed,
    fixed={},
)
