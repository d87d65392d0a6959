"""Paths that SDKs of two vendors use: the body tells which one sent it.

``/batch``: PostHog's bodies have ``batch``, Amplitude's ``events``. An error is told in Amplitude's
words, which say the same to PostHog's SDKs: those look at the status only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zuji.server.collector.body import GZIP_MARK, inflated
from zuji.server.protocols import foreign
from zuji.server.protocols.amplitude import AMPLITUDE
from zuji.server.protocols.base import Protocol
from zuji.server.protocols.posthog import POSTHOG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Answer, Request, Taken
    from zuji.server.settings import Settings


def _no_key(_request: Request) -> None:
    return None


def _convert(request: Request, body: bytes, settings: Settings) -> Taken:
    if body.startswith(GZIP_MARK):
        body = inflated(body, "gzip", settings)
    return _of(body).convert(request, body, settings)


def _of(body: bytes) -> Protocol:
    """Whose body it is. What only looks like Amplitude's is read whole, to be sure."""
    if b'"events"' not in body:
        return POSTHOG
    if b'"batch"' not in body:
        return AMPLITUDE
    value = foreign.read(body)
    return AMPLITUDE if isinstance(value, dict) and "batch" not in value else POSTHOG


def _stored(request: Request, taken: Taken, results: Sequence[AppendResult]) -> Answer:
    protocol = POSTHOG if taken.note is None else AMPLITUDE
    return protocol.stored(request, taken, results)


BATCH = Protocol(
    name="batch",
    paths={"/batch": ("POST",)},
    key=_no_key,
    convert=_convert,
    stored=_stored,
    failed=AMPLITUDE.failed,
    fixed={},
)
