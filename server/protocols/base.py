"""What a protocol is: functions between requests, native batches and answers.

Functions are pure and called on threads, but for ``key``, which the loop calls. A protocol whose
key stands in the body gives it with the batches.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zuji.engine.errors import ZujiError
    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Answer, Request


@dataclass(frozen=True, slots=True)
class Converted:
    """Native batches (docs/format/batch.md) of a request. ``key``: when it stood in the body."""

    batches: Sequence[bytes]
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Protocol:
    """One family of SDKs.

    ``paths``: of requests that bring events. ``key``: its text, "" when the request has none, None
    when the body tells. ``convert``: raises InvalidEvent or BadBody when nothing can be made of it.
    ``stored``: the answer to results, one a batch. ``failed``: the answer to an error. ``fixed``:
    paths with answers that need no key.
    """

    name: str
    paths: Mapping[str, Sequence[str]]  # path -> methods
    key: Callable[[Request], str | None]
    convert: Callable[[Request, bytes], Converted]
    stored: Callable[[Request, Sequence[AppendResult]], Answer]
    failed: Callable[[Request, ZujiError], Answer]
    fixed: Mapping[str, Callable[[Request], Answer]] = field(default_factory=dict)


def bearer(request: Request) -> str:
    """Key in ``Authorization: Bearer …``; "" when there is none."""
    scheme, _, text = request.header(b"authorization").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def basic_user(request: Request) -> str:
    """User name in ``Authorization: Basic …``; "" when there is none."""
    scheme, _, text = request.header(b"authorization").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(text.strip()).decode("latin-1").partition(":")[0]
    except (binascii.Error, ValueError):
        return ""


def parameters(request: Request) -> dict[str, str]:
    """Parameters of the target; the first of equal names."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(request.query.decode("latin-1"), keep_blank_values=True):
        found.setdefault(name, value)
    return found
