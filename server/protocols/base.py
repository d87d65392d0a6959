"""What a protocol is: functions between requests, native batches and answers.

Functions are pure and called on threads, but for ``key``, which the loop calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zuji.engine.errors import ZujiError
    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Answer, Request


@dataclass(frozen=True, slots=True)
class Protocol:
    """One family of SDKs.

    ``paths``: of requests that bring events. ``key``: its text, "" when the request has none.
    ``convert``: native batches (docs/format/batch.md) of a request and its body in clear; raises
    InvalidEvent or BadBody when nothing can be made of it. ``stored``: the answer to results, one a
    batch. ``failed``: the answer to an error.
    """

    name: str
    paths: Mapping[str, Sequence[str]]  # path -> methods
    key: Callable[[Request], str]
    convert: Callable[[Request, bytes], Sequence[bytes]]
    stored: Callable[[Request, Sequence[AppendResult]], Answer]
    failed: Callable[[Request, ZujiError], Answer]


def parameters(request: Request) -> dict[str, str]:
    """Parameters of the target; the first of equal names."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(request.query.decode("latin-1"), keep_blank_values=True):
        found.setdefault(name, value)
    return found
