"""Bodies as they were before they were compressed, within the limits.

A decoder is asked for at most one byte more than the limit, so a bomb costs no more memory than a
good body of the largest size. Pure; the GIL is released while bytes are inflated.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, cast

import lz4.frame
import zstandard
from isal import isal_zlib

from zuji.server.errors import BadBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.server.settings import Settings

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


def _gzip(body: bytes, limit: int) -> bytes:
    """gzip or zlib, told apart by the header; several members follow each other in gzip."""
    parts, room = [], limit + 1
    rest = body
    while rest and room > 0:
        decoder = isal_zlib.decompressobj(wbits=47)
        parts.append(decoder.decompress(rest, room))
        room -= len(parts[-1])
        if not decoder.eof and room > 0:
            raise BadBody("the compressed body ends too early")
        rest = decoder.unused_data
        if rest and not rest.startswith(GZIP_MARK):
            break  # padding
    return b"".join(parts)


def _deflate(body: bytes, limit: int) -> bytes:
    try:
        return _gzip(body, limit)
    except _NOT_DEFLATE:
        return zlib.decompressobj(wbits=-15).decompress(body, limit + 1)


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
    at = 0
    while at < len(body):
        frame = body[at:]
        if 0x184D2A50 <= int.from_bytes(frame[:4], "little") <= 0x184D2A5F:  # skippable
            at += 8 + int.from_bytes(frame[4:8], "little")
            continue
        checked = zstandard.get_frame_parameters(frame).has_checksum
        at += zstandard.frame_header_size(frame)
        last = False
        while not last and at + 3 <= len(body):
            header = int.from_bytes(body[at : at + 3], "little")
            last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            at += 3 + (1 if kind == 1 else size)  # a repeated byte is one
        at += 4 if checked else 0
        if not last:
            break
    else:
        if at == len(body):
            return
    raise BadBody("the compressed body ends too early")


def _lz4(body: bytes, limit: int) -> bytes:
    decoder = lz4.frame.LZ4FrameDecompressor()
    found: bytes = decoder.decompress(body, limit + 1)
    if not decoder.eof and len(found) <= limit:
        raise BadBody("the compressed body ends too early")
    return found


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
    "lz4": _lz4,
}


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
