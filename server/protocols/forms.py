"""Fields of a form, wherever an SDK put them: in the target, or in a body of any Content-Type."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from zuji.engine.errors import InvalidEvent

if TYPE_CHECKING:
    from zuji.server.collector.message import Request


def fields(text: bytes) -> dict[bytes, bytes]:
    """Fields of ``a=1&b=2``, percent-decoded; the first of equal names. A ``+`` stays: it is base64
    more often than a space.
    """
    found: dict[bytes, bytes] = {}
    for pair in text.split(b"&"):
        name, equals, value = pair.partition(b"=")
        if equals and name not in found:
            found[name] = unquote_to_bytes(value) if b"%" in value else value
    return found


def of_request(request: Request, body: bytes) -> dict[bytes, bytes]:
    """Fields of target and body; those of the body win."""
    found = fields(request.query)
    found.update(fields(body))
    return found


def unbase64(text: bytes) -> bytes:
    """Bytes of base64, of either alphabet, with or without padding; a space was a ``+``.

    Raises:
        InvalidEvent.
    """
    text = text.strip().replace(b" ", b"+").replace(b"-", b"+").replace(b"_", b"/")
    text = text.rstrip(b"=")
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error as problem:
        raise InvalidEvent(f"not base64: {problem}", reason="bad_base64") from None
