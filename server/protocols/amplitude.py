"""Amplitude's SDKs: ``/2/httpapi`` (and ``/batch``, which other SDKs have, too: ``shared_paths``),
and its older forms ``/httpapi``, ``/identify`` and ``/groupidentify``.

The key is ``api_key`` in the body. SDKs read ``code`` in the body of an answer: events of a 200 are
done; of a 400 with ``missing_field``, or an error that begins with ``Invalid API key``, dropped; of
another 400 sent again; a 413 halves the batch; what is 500 or more is sent again later. So a 200 is
said of refused events, too: they are in the quarantine.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from zuji.engine.errors import InvalidEvent, Overloaded, ZujiError
from zuji.server.collector.message import TEXT, Answer, Taken, json_answer
from zuji.server.errors import BadBody
from zuji.server.protocols import foreign
from zuji.server.protocols.amplitude_records import Reading
from zuji.server.protocols.base import Protocol
from zuji.server.protocols.native import RETRY_S, STATUS
from zuji.server.protocols.records import packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Request
    from zuji.server.settings import Settings

FORMS = {
    "/httpapi": ("event", ""),
    "/identify": ("identification", "$identify"),
    "/groupidentify": ("identification", "$groupidentify"),
}
"""Older paths: the field of a form that has the records, and their event when they have none."""


def _no_key(_request: Request) -> None:
    return None


def convert(request: Request, body: bytes, settings: Settings) -> Taken:
    """See ``base.Protocol``."""
    if request.path in FORMS:
        field, name = FORMS[request.path]
        envelope = _form(body or request.query, field)
        records = envelope[field]
    else:
        envelope, name = foreign.read(body), ""
        if not isinstance(envelope, dict) or not isinstance(envelope.get("events"), list):
            raise InvalidEvent("a request is an object with api_key and events", reason="bad_json")
        records = envelope["events"]
    key = envelope.get("api_key")
    options = envelope.get("options")
    shortest = options.get("min_id_length") if isinstance(options, dict) else None
    reading = Reading(
        request.received_ms,
        _sent(envelope.get("client_upload_time")),
        shortest if type(shortest) is int else 0,
        places=foreign.addresses(settings),
    )

    def make(record: dict[str, Any]) -> Any:
        return reading.event({"event_type": name, **record} if name else record)

    made = foreign.Records(() if settings.store_ip else ("ip",))
    made.add(records, make)
    return Taken(
        events=packed(made.events),
        refused=made.refused,
        key=key if isinstance(key, str) else "",
        note=(len(records), len(body)),
    )


def _form(body: bytes, field: str) -> dict[str, Any]:
    """Key and records, which are in ``field``, of a form or of an object in JSON."""
    if body.lstrip()[:1] == b"{":
        found = foreign.read(body)
        value = found.get(field)
    else:
        found = {}
        for pair in body.split(b"&"):
            name, _, text = pair.partition(b"=")
            found.setdefault(name.decode("latin-1"), unquote_to_bytes(text.replace(b"+", b" ")))
        found["api_key"] = found.get("api_key", b"").decode("latin-1")
        value = foreign.read(found[field]) if field in found else None
    if not isinstance(value, dict | list):
        raise InvalidEvent(f"no {field}: an object or a list of them", reason="bad_json")
    return {"api_key": found.get("api_key"), field: value if isinstance(value, list) else [value]}


def _sent(text: Any) -> int | None:
    """``client_upload_time`` in ms: RFC 3339, or ms."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text if 0 < text < 1 << 53 else None
    if not isinstance(text, str):
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if when.tzinfo is None else int(when.timestamp() * 1000)


def stored(request: Request, taken: Taken, _results: Sequence[AppendResult]) -> Answer:
    """See ``base.Protocol``."""
    if request.path in FORMS:
        return Answer(200, b"success", TEXT)
    count, size = taken.note
    return json_answer(
        {
            "code": 200,
            "events_ingested": count,
            "payload_size_bytes": size,
            "server_upload_time": request.received_ms,
        }
    )


def failed(_request: Request, error: ZujiError) -> Answer:
    """See ``base.Protocol``."""
    status = error.status if isinstance(error, BadBody) else STATUS.get(error.code, 500)
    if error.code in ("unauthorized", "forbidden"):
        return json_answer({"code": 400, "error": f"Invalid API key: {error}"}, 400)
    if status in (503, 507):
        wait = error.retry_after if isinstance(error, Overloaded) else RETRY_S
        retry = ((b"Retry-After", b"%d" % max(1, round(wait))),)
        return json_answer({"code": status, "error": str(error)}, status, retry)
    said = {"code": status, "error": str(error)}
    if 400 <= status < 500 and status != 413:  # sent again, it would be no better
        said = {"code": 400, "error": str(error), "missing_field": "events"}
        status = 400
    return json_answer(said, status)


def _nothing(_request: Request) -> Answer:
    return json_answer({"configs": {}})


AMPLITUDE = Protocol(
    name="amplitude",
    paths=dict.fromkeys(("/2/httpapi", *FORMS), ("POST",)),
    key=_no_key,
    convert=convert,
    stored=stored,
    failed=failed,
    fixed={"/amplitude/config/*": _nothing},
)
