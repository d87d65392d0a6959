"""Asking a running server: for commands that need what only it has."""

from __future__ import annotations

import json
from http.client import HTTPConnection as _Plain
from http.client import HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from zuji.engine.errors import InvalidInput, NotFound, Overloaded, StorageFailed

if TYPE_CHECKING:
    from http.client import HTTPResponse

_SECONDS = 60


def opened(url: str, method: str, path: str, key: str, body: object = None) -> HTTPResponse:
    """An answer to read from. ``body``: bytes as they are, anything else as JSON.

    Raises:
        InvalidInput: a wrong address or key. NotFound, Overloaded. StorageFailed: no answer.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput(f"--url is http://HOST:PORT of the API, got {url!r}")
    kind = HTTPSConnection if parts.scheme == "https" else _Plain
    connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = body if body is None or isinstance(body, bytes) else json.dumps(body)
    try:
        connection.request(method, parts.path.rstrip("/") + path, data, headers)
        answer = connection.getresponse()
    except (OSError, HTTPException) as problem:
        raise StorageFailed(f"{url} does not answer: {problem}") from None
    if answer.status == 200:
        return answer
    raise _error(answer.status, answer.read())


def asked(url: str, method: str, path: str, key: str, body: object = None) -> Any:
    """The JSON of an answer; errors as :func:`opened`."""
    with opened(url, method, path, key, body) as answer:
        return json.loads(answer.read())


def _error(status: int, body: bytes) -> Exception:
    try:
        said = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = f"HTTP status {status}"
    if status == 404:
        return NotFound(f"the server says: {said}")
    if status == 503:
        return Overloaded(f"the server says: {said}")
    if status < 500:
        return InvalidInput(f"the server says: {said}")
    return StorageFailed(f"the server says: {said}")
