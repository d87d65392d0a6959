"""What a protocol is: functions between requests, native events and answers.

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
    from zuji.server.collector.message import Answer, Request, Taken
    from zuji.server.protocols._lane import Lane
    from zuji.server.settings import Settings


@dataclass(frozen=True, slots=True)
class Protocol:
    """One family of SDKs.

    ``paths``: of requests that bring events, and their methods. ``key``: its text, "" when the
    request has none, None when the body tells. ``convert``: a request and its body, inflated as its
    header says; raises InvalidEvent or BadBody when nothing can be made of it. ``stored``: the
    answer to what was taken and the result of each part. ``failed``: the answer to an error.
    ``fixed``: paths with answers that need no key; one that ends in ``/*`` is all below it.
    ``lane``: a native reader of its usual requests, many at a time, for one project; it gets the
    bytes that may wait and what to call when something came. Such requests are answered by
    ``stored`` and ``failed`` as all are, which see no headers of them.
    """

    name: str
    paths: Mapping[str, Sequence[str]]
    key: Callable[[Request], str | None]
    convert: Callable[[Request, bytes, Settings], Taken]
    stored: Callable[[Request, Taken, Sequence[AppendResult]], Answer]
    failed: Callable[[Request, ZujiError], Answer]
    fixed: Mapping[str, Callable[[Request], Answer]]
    lane: Callable[[Settings, int, Callable[[], object]], Lane] | None = None


def parameters(request: Request) -> dict[str, str]:
    """Parameters of the target; the first of equal names."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(request.query.decode("latin-1"), keep_blank_values=True):
        found.setdefault(name, value)
    return found
