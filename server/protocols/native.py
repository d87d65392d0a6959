"""Zuji's own protocol: ``POST /v1/events`` and ``/v1/profiles`` with a native batch.

The body is msgpack, JSON or JSON lines, told apart by its first byte (docs/format/batch.md), so
no Content-Type is wrong. Where headers cannot be set (sendBeacon), the key is ``?key=`` and the
compression ``?encoding=``. 200 means durable; an event that was refused is in the quarantine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zuji.engine.errors import InvalidEvent, Overloaded
from zuji.engine.writer import AppendResult
from zuji.server.auth import bearer
from zuji.server.collector.message import Answer, Taken, json_answer, problem
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
    "storage_full": 507,
    "storage_failed": 503,
    "read_only": 503,
    "closed": 503,
}
"""HTTP status of an error's code; everything else is 500."""
RETRY_S = 5.0
"""Retry-After of errors that pass, when they do not say themselves."""


def _key(request: Request) -> str:
    return bearer(request.header(b"authorization")) or parameters(request).get("key", "")


def _convert(_request: Request, body: bytes, _settings: Settings) -> Taken:
    return Taken(batches=(body,))


def _stored(_request: Request, _taken: Taken, results: Sequence[AppendResult]) -> Answer:
    total = sum(results, AppendResult())
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


def failed(_request: Request, error: ZujiError) -> Answer:
    """An error with the status of its code."""
    if isinstance(error, BadBody):
        return problem(error.status, error.code, str(error))
    status = STATUS.get(error.code, 500)
    more: dict[str, Any] = {}
    if status in (503, 507):
        more["retry_after"] = error.retry_after if isinstance(error, Overloaded) else RETRY_S
    code = error.reason if isinstance(error, InvalidEvent) else error.code
    return problem(status, code, str(error), **more)


NATIVE = Protocol(
    name="native",
    paths={"/v1/events": ("POST",), "/v1/profiles": ("POST",)},
    key=_key,
    convert=_convert,
    stored=_stored,
    failed=failed,
    fixed={},
)
