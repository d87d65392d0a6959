"""Zuji's own protocol: ``POST /v1/events``, ``/v1/profiles`` and ``/v1/items`` with a native batch.

The body is msgpack, JSON, JSON lines or an Arrow stream, told apart by its first bytes
(docs/format/batch.md, ``columnar.py``), so no Content-Type is wrong. Where headers cannot be set
(sendBeacon), the key is ``?key=`` and the compression ``?encoding=``. 200 means durable; an event
that was refused is in the quarantine.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from zuji.engine.batch._decode import count_items
from zuji.engine.errors import InvalidEvent, Overloaded
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.writer import AppendResult
from zuji.server.auth import bearer
from zuji.server.collector.message import Answer, Events, Taken, json_answer, problem
from zuji.server.errors import BadBody
from zuji.server.protocols.base import Protocol, parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.errors import ZujiError
    from zuji.server.collector.message import Request
    from zuji.server.settings import Settings

STATUS: dict[str, int] = {
    "invalid_event": 400,
    "invalid_input": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "overloaded": 503,
    "throttled": 503,
    "storage_full": 507,
    "storage_failed": 503,
    "read_only": 503,
    "closed": 503,
}
"""HTTP status of an error's code; everything else is 500."""
ARROW = "application/vnd.apache.arrow.stream"
_ARROW_MARK = b"\xff\xff\xff\xff"
LOOSE_BYTES = 64 << 10
"""A larger batch gains nothing from being stored together with others."""
RETRY_S = 5.0
"""Retry-After of errors that pass, when they do not say themselves."""


def _key(request: Request) -> str:
    text = bearer(request.header(b"authorization"))
    return text or (parameters(request).get("key", "") if request.query else "")


def _convert(request: Request, body: bytes, _settings: Settings) -> Taken:
    if body[:4] == _ARROW_MARK or request.header(b"content-type").lower().startswith(ARROW):
        # Here, not above: pyarrow takes 0.3 s and 40 MB that most servers never need.
        from zuji.server.protocols import columnar

        return columnar.convert(body, parameters(request).get("batch_id", ""))
    loose = _loose(body) if len(body) <= LOOSE_BYTES else None
    return Taken(batches=(body,)) if loose is None else Taken(events=(loose,))


def _loose(body: bytes) -> Events | None:
    """The events of a msgpack array, when it is whole: it has no batch id, so others' events may
    stand beside them. What is wrong in one event is for the engine to find.
    """
    first = body[0] if body else 0
    if 0x90 < first <= 0x9F:
        count, head = first & 15, 1
    elif first == 0xDC:
        count, head = int.from_bytes(body[1:3], "big"), 3
    else:
        return None
    if not 0 < count <= DEFAULT_LIMITS.batch_events:
        return None
    try:
        items = count_items(body)
    except ValueError:
        return None
    return Events(count, items - 1, body[head:])


def _stored(_request: Request, taken: Taken, results: Sequence[AppendResult]) -> Answer:
    if taken.note is not None:
        total = _by_row(taken, results)
    else:
        total = results[0] if len(results) == 1 else sum(results, AppendResult())
    if not total.rejected:
        return _all_right(total.accepted, total.duplicates)
    return json_answer(
        {
            "accepted": total.accepted,
            "duplicates": total.duplicates,
            "rejected": [
                {"index": r.index, "code": r.reason, "path": r.path, "message": r.message}
                for r in total.rejected
            ],
        }
    )


def _by_row(taken: Taken, results: Sequence[AppendResult]) -> AppendResult:
    """Results of the parts of a columnar batch as one; refused events by their row."""
    rejected = list(taken.refused)
    for first, result in zip(taken.note, results, strict=True):
        rejected += [replace(one, index=first + one.index) for one in result.rejected]
    rejected.sort(key=lambda one: one.index)
    total = sum(results, AppendResult())
    return AppendResult(total.accepted, total.duplicates, tuple(rejected))


@lru_cache(maxsize=4096)
def _all_right(accepted: int, duplicates: int) -> Answer:
    return json_answer({"accepted": accepted, "duplicates": duplicates, "rejected": []})


def failed(_request: Request, error: ZujiError) -> Answer:
    """An error with the status of its code."""
    if isinstance(error, BadBody):
        return problem(error.status, error.code, str(error))
    # Not in the table, which is also for SDKs that forget on 429.
    status = 429 if error.code == "throttled" else STATUS.get(error.code, 500)
    more: dict[str, Any] = {}
    if status in (429, 503, 507):
        more["retry_after"] = error.retry_after if isinstance(error, Overloaded) else RETRY_S
    code = error.reason if isinstance(error, InvalidEvent) else error.code
    return problem(status, code, str(error), **more)


NATIVE = Protocol(
    name="native",
    paths={"/v1/events": ("POST",), "/v1/profiles": ("POST",), "/v1/items": ("POST",)},
    key=_key,
    convert=_convert,
    stored=_stored,
    failed=failed,
    fixed={},
)
