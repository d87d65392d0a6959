"""A request, what it brings, and an answer, as the collector's parts hand them on.

There is one of each a request: structs are made in a fraction of a data class's time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.batch.columns import Rejected

JSON = b"application/json; charset=utf-8"
TEXT = b"text/plain; charset=utf-8"


class Request(Struct, gc=False):
    """One request. ``headers``: names in lower case, the last of equal ones. ``peer``: address of
    the client. ``received_ms``: when its last byte came.
    """

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes
    peer: str
    received_ms: int

    def header(self, name: bytes) -> str:
        """Value of a header as text, "" when it is not there."""
        return self.headers.get(name, b"").decode("latin-1")


class Events(Struct, frozen=True, gc=False):
    """Native events (docs/format/batch.md) in msgpack, one after the other, without an envelope:
    those of several requests are stored as one batch. ``items``: msgpack values, keys counted.
    """

    count: int
    items: int
    data: bytes


class Taken(Struct, frozen=True):
    """What a request brings. Each of ``batches`` (native, whole) and ``events`` (each within the
    limits of a batch) has one result, in this order; ``refused``: for the quarantine, as they came.
    ``key``: its text, when it stood in the body. ``note``: whatever the answer needs. ``judged``:
    events whose sender asks what the project's plan makes of them; what it does comes after the
    results.
    """

    batches: Sequence[bytes] = ()
    events: Sequence[Events] = ()
    refused: Sequence[Rejected] = ()
    key: str = ""
    note: Any = None
    judged: Sequence[Events] = ()


@dataclass(slots=True)
class Answer:
    """An answer; nobody changes one. ``close``: the connection ends after it. ``wire``: its bytes
    on a connection that is kept, made when it is first sent, so that an answer that is given to
    many is made once.
    """

    status: int = 200
    body: bytes = b""
    kind: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False
    wire: bytes = field(default=b"", init=False, repr=False, compare=False)


_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_NO_BODY = frozenset({204, 304})


def encoded(answer: Answer, *, keep: bool, head_only: bool = False) -> bytes:
    """Bytes of an answer on the wire."""
    if not keep or head_only:
        return _encoded(answer, keep=keep, head_only=head_only)
    if not answer.wire:
        answer.wire = _encoded(answer, keep=True, head_only=False)
    return answer.wire


def _encoded(answer: Answer, *, keep: bool, head_only: bool) -> bytes:
    parts = [_LINES[answer.status]]
    if answer.status not in _NO_BODY:
        parts.append(
            b"Content-Type: %b\r\nContent-Length: %d\r\n" % (answer.kind, len(answer.body))
        )
    parts += [b"%b: %b\r\n" % pair for pair in answer.headers]
    parts.append(b"Connection: keep-alive\r\n\r\n" if keep else b"Connection: close\r\n\r\n")
    if not head_only and answer.status not in _NO_BODY:
        parts.append(answer.body)
    return b"".join(parts)


def json_answer(
    value: object, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, _json(value), JSON, headers)


def _json(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half a character, given back as it came: \udcb9
        return json.dumps(value).encode()


def problem(
    status: int,
    code: str,
    message: str,
    *,
    retry_after: float | None = None,
    close: bool = False,
) -> Answer:
    """An error as JSON: ``{"error": {"code", "message"}}``."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if retry_after is not None:
        headers = ((b"Retry-After", b"%d" % max(1, round(retry_after))),)
    body = _json({"error": {"code": code, "message": message}})
    return Answer(status, body, JSON, headers, close)
