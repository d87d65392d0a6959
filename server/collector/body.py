"""Bodies as they were before they were compressed, within the limits.

A decoder is asked for at most one byte more than the limit, so a bomb costs no more memory than a
good body of the largest size. Pure; the GIL is released while bytes are inflated.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol, cast

import lz4.frame
import zstandard
from isal import isal_zlib

from zuji.server.errors import BadBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.server.settings import Settings

    class _Inflater(Protocol):
        @property
        def eof(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def decompress(self, data: memoryview, most: int, /) -> bytes: ...


_NOT_DEFLATE: tuple[type[Exception], ...] = (zlib.error, cast("type[Exception]", isal_zlib.error))
_UNREADABLE: tuple[type[Exception], ...] = (
    *_NOT_DEFLATE,
    zstandard.ZstdError,
    RuntimeError,
    EOFError,
)
SMALL = 64 * 1024
"""Inflated sizes up to this are no bomb, whatever their ratio: constant text packs well."""
GZIP_MARK = b"\x1f\x8b"
LZ4_MARK = b"\x04\x22\x4d\x18"
MEMBER_BYTES = 1024
"""Members (gzip) and frames (zstd, lz4) of a body have so many bytes on average, but for 16: each
costs a new decoder, so a body of empty ones would cost a thousand times what it weighs."""
BLOCK_BYTES = 8
"""The same of blocks of zstd, but for 1,024."""
FIRST_STEP = 4096
_ZSTD_HEADER_BYTES = 18
_TOO_MANY = "the compressed body has too many parts: compress it in one"


def _gzip(body: bytes, limit: int) -> bytes:
    """gzip or zlib, told apart by the header; several members follow each other in gzip."""
    return _members(body, limit, lambda: isal_zlib.decompressobj(wbits=47), GZIP_MARK)


def _deflate(body: bytes, limit: int) -> bytes:
    try:
        return _gzip(body, limit)
    except _NOT_DEFLATE:
        return _members(body, limit, lambda: zlib.decompressobj(wbits=-15), None)


def _members(body: bytes, limit: int, make: Callable[[], _Inflater], mark: bytes | None) -> bytes:
    """Member after member, each by a decoder of its own, up to one byte more than the limit.

    A decoder gets little first and then twice as much each time: it hands back what it did not
    need, which would be the whole rest of the body once a member.
    """
    view, at = memoryview(body), 0
    parts: list[bytes] = []
    room = limit + 1
    for _ in range(_most_members(body)):
        decoder, step = make(), FIRST_STEP
        while not decoder.eof:
            if at == len(view):
                raise BadBody("the compressed body ends too early")
            chunk = view[at : at + step]
            parts.append(decoder.decompress(chunk, room))
            room -= len(parts[-1])
            if room <= 0:
                return b"".join(parts)
            at += len(chunk) - len(decoder.unused_data)
            step *= 2
        if mark is None or view[at : at + len(mark)] != mark:
            if body.count(0, at) != len(view) - at:  # zeros are padding
                raise BadBody("the compressed body has something else behind its end")
            return b"".join(parts)
    raise BadBody(_TOO_MANY)


def _most_members(body: bytes) -> int:
    return 16 + len(body) // MEMBER_BYTES


def _zstd(body: bytes, limit: int) -> bytes:
    _check_whole(body)
    with zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(
        body, read_across_frames=True
    ) as reader:
        return reader.read(limit + 1)


def _check_whole(body: bytes) -> None:
    """Raises BadBody when zstd frames end too early: the reader takes that for the end.

    Follows the headers of frames and blocks, RFC 8878 §3.1.1.
    """
    view, at = memoryview(body), 0
    frames, blocks = _most_members(body), 1024 + len(body) // BLOCK_BYTES
    while at < len(body):
        frame = view[at : at + _ZSTD_HEADER_BYTES]
        frames -= 1
        if frames < 0 or blocks < 0:
            raise BadBody(_TOO_MANY)
        if 0x184D2A50 <= int.from_bytes(frame[:4], "little") <= 0x184D2A5F:  # skippable
            at += 8 + int.from_bytes(frame[4:8], "little")
            continue
        checked = zstandard.get_frame_parameters(frame).has_checksum
        at += zstandard.frame_header_size(frame)
        last = False
        while not last and at + 3 <= len(body) and blocks >= 0:
            header = int.from_bytes(view[at : at + 3], "little")
            last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            at += 3 + (1 if kind == 1 else size)  # a repeated byte is one
            blocks -= 1
        at += 4 if checked else 0
        if not last and blocks >= 0:
            break
    else:
        if at == len(body):
            return
    raise BadBody("the compressed body ends too early")


def _lz4(body: bytes, limit: int) -> bytes:
    return _members(body, limit, lambda: cast("_Inflater", _Lz4()), LZ4_MARK)


class _Lz4:
    """An lz4 decoder whose ``unused_data`` is bytes when there is none, as others have it."""

    def __init__(self) -> None:
        self._decoder = lz4.frame.LZ4FrameDecompressor()

    @property
    def eof(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data or b""

    def decompress(self, data: memoryview, most: int) -> bytes:
        found: bytes = self._decoder.decompress(data, most)
        return found


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
    "lz4": _lz4,
}


def most_inflated(settings: Settings) -> int:
    """Up to how many bytes a body may inflate to, whatever its ratio."""
    return min(SMALL, settings.inflated_bytes)


def inflated(body: bytes, coding: str, settings: Settings, *, bulk: bool = False) -> bytes:
    """The body in clear. ``coding``: value of Content-Encoding; "" and "identity" leave it.

    Raises:
        BadBody: an unknown coding (415), too much (413), or bytes that are not that coding (400).
    """
    limit = settings.bulk_body_bytes if bulk else settings.inflated_bytes
    if len(body) > (settings.bulk_body_bytes if bulk else settings.body_bytes):
        raise BadBody("the body is too large: send smaller batches", 413)
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    decode = _DECODERS.get(coding)
    if decode is None:
        raise BadBody(f"Content-Encoding is one of {', '.join(sorted(_DECODERS))}", 415)
    try:
        found = decode(body, limit)
    except _UNREADABLE as error:
        raise BadBody(f"the body is not {coding}: {error}") from None
    if len(found) > limit:
        raise BadBody(f"the body inflates to more than {limit:,} bytes: send smaller batches", 413)
    if len(found) > SMALL and len(found) > settings.inflate_ratio * len(body):
        raise BadBody(f"the body inflates more than {settings.inflate_ratio}-fold", 413)
    return found
