"""What requests bring: bodies of bounded size, decoded as what a route takes, and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from starlette.requests import Request


async def body_of(request: Request, most: int) -> bytes:
    """The body.

    Raises:
        InvalidInput: it is longer than ``most`` bytes.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise InvalidInput(f"the body has at most {most:,} bytes")
        parts.append(part)
    return b"".join(parts)


def read_as(body: bytes, kind: Any, what: str = "the body is wrong") -> Any:
    """The JSON of a body as ``kind``. The error does not repeat what the body says: that may be a
    password, or content of events.

    Raises:
        InvalidInput: begins with ``what``.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as problem:
        raise InvalidInput(f"{what}: {problem}") from None
    except UnicodeDecodeError:  # not in msgspec's family
        raise InvalidInput(f"{what}: it is not UTF-8") from None
    except RecursionError:
        raise InvalidInput(f"{what}: it is nested too deeply") from None


def number_of(request: Request, name: str) -> int | None:
    """A parameter that is a whole number.

    Raises:
        InvalidInput: it is something else.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isdecimal() or len(text) > 9:
        raise InvalidInput(f"{name} is a whole number, got {text[:40]!r}")
    return int(text)


def truth_of(request: Request, name: str) -> bool:
    """A parameter that is true or false, and false when it is not given.

    Raises:
        InvalidInput: it is something else.
    """
    text = request.query_params.get(name, "false")
    if text not in ("true", "false", "1", "0"):
        raise InvalidInput(f"{name} is true or false, got {text[:40]!r}")
    return text in ("true", "1")
