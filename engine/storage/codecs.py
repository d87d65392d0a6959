"""Page codecs: arrays to checksummed pages and back. Format: docs/format/page.md.

A *stream* is an array cut in pages of PAGE_ROWS values (bytes: PAGE_RAW_BYTES). Each page is
encoded by the codec that makes it smallest and described by one PAGE_DTYPE entry of the stream's
directory; the caller stores the bytes and the directory. Codecs that decode slower must save more
to be chosen: patches and dictionaries 1/32, differences modulo 2^32 an eighth, lz4 a fifth.

Invariants: decoding gives back exactly the bits that were encoded; whatever the bytes are, decoding
ends in the right number of rows or in CodecError, and reads nothing outside ``data``.
Threads: pure functions; heavy work releases the GIL. ``verify`` flags may be shared by threads (a
lost update costs one more checksum). O(n).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import lz4.block
import numpy as np

from zuji.engine.errors import Corruption
from zuji.engine.storage._codecs import STATUS, PageEncoder, crc32c, decode_pages
from zuji.engine.storage._codecs import decode_part as decode_part_native

if TYPE_CHECKING:
    import numpy.typing as npt

    from zuji.engine.types import F64, I64, U8, U16, U32

    Pages = npt.NDArray[np.void]
    Data = memoryview | bytes | U8

__all__ = [
    "PAGE_DTYPE",
    "PAGE_RAW_BYTES",
    "PAGE_ROWS",
    "CodecError",
    "Page",
    "crc32c",
    "decode_bytes",
    "decode_floats",
    "decode_ints",
    "decode_part",
    "encode_bytes",
    "encode_floats",
    "encode_ints",
    "encode_page",
]

PAGE_ROWS: Final = 65_536
PAGE_RAW_BYTES: Final = 262_144

CONST, FOR, DELTA, RLE, RAW_LZ4, RAW, DELTA32, DICT = range(8)
CODEC_NAMES: Final = ("CONST", "FOR", "DELTA", "RLE", "RAW_LZ4", "RAW", "DELTA32", "DICT")
FLOAT_BITS: Final = 255
"""``param`` of a float page that holds the bits of its values instead of scaled decimals."""

PAGE_DTYPE: Final = np.dtype(
    [
        ("offset", "<u8"),
        ("length", "<u4"),
        ("rows", "<u4"),
        ("crc", "<u4"),
        ("codec", "u1"),
        ("param", "u1"),
        ("reserved", "<u2"),
        ("min", "<i8"),
        ("max", "<i8"),
    ]
)

_LZ4_SAMPLE_ROWS = 4_096
_LZ4_MIN_BYTES = 256
_LZ4_GAIN = 0.8


class Page(NamedTuple):
    """One encoded page and what its directory entry says of it."""

    rows: int
    codec: int
    param: int
    data: bytes
    low: int
    high: int


class CodecError(Corruption):
    """A page that fails its checksum or structure: number ``page``, at byte ``offset``."""

    def __init__(self, message: str, page: int, offset: int) -> None:
        super().__init__(message, f"page {page}", offset)
        self.page = page


def encode_ints(values: I64 | U32 | U16 | U8, *, ascending: bool = False) -> tuple[bytes, Pages]:
    """(data, directory) of an integer stream; min and max of each page are in the directory.

    ``values``: int64, uint32, uint16 or uint8 [n], contiguous. ``ascending``: also try DELTA
    (values that do not ascend are still encoded right). Raises TypeError, ValueError. O(n).
    """
    return _encode(values, ascending=ascending)


def encode_floats(values: F64) -> tuple[bytes, Pages]:
    """(data, directory) of a float64 stream, kept bit for bit (NaN, infinities and -0.0 too).

    A page whose values are all exactly an integer / 10^k, k <= 4, is stored as those integers. min
    and max of the directory are the bits of float64s (-inf and inf for a page with a NaN).
    Raises TypeError, ValueError. O(n).
    """
    return _encode(values, ascending=False)


def encode_bytes(raw: bytes | memoryview) -> tuple[bytes, Pages]:
    """(data, directory) of a blob, in pages of 256 KiB, lz4 or stored; ``rows`` counts bytes."""
    view = memoryview(raw).cast("B")
    writer = _Writer((len(view) + PAGE_RAW_BYTES - 1) // PAGE_RAW_BYTES)
    for start in range(0, len(view), PAGE_RAW_BYTES):
        part = view[start : start + PAGE_RAW_BYTES]
        packed = lz4.block.compress(part, store_size=False)
        if len(packed) < len(part):
            writer.add(len(part), RAW_LZ4, 1, packed, 0, 0)
        else:
            writer.add(len(part), RAW, 1, bytes(part), 0, 0)
    return writer.finish()


def decode_ints(
    data: Data,
    pages: Pages,
    out: I64 | U32 | U16 | U8,
    *,
    first_page: int = 0,
    last_page: int | None = None,
    verify: U8 | None = None,
) -> None:
    """Decodes pages ``first_page .. last_page`` of an integer stream, exactly filling ``out``.

    ``verify``: uint8, one flag a page of the whole directory, shared by all readers of one
    mapping: a page whose flag is set is not checksummed again; None checks always. Raises
    CodecError (bad page, or its values do not fit ``out``), TypeError, ValueError. O(rows).
    """
    _decode(data, pages, out, first_page, last_page, verify)


def decode_floats(
    data: Data,
    pages: Pages,
    out: F64,
    *,
    first_page: int = 0,
    last_page: int | None = None,
    verify: U8 | None = None,
) -> None:
    """Decodes pages of a float stream to ``out``; arguments and errors as ``decode_ints``."""
    if out.dtype != np.float64:
        raise TypeError("out must be float64")
    _decode(data, pages, out, first_page, last_page, verify)


def decode_part(
    data: Data,
    pages: Pages,
    page: int,
    start: int,
    stop: int,
    dtype: npt.DTypeLike,
    *,
    verify: U8 | None = None,
) -> npt.NDArray[Any]:
    """Rows [start, stop) of one page of a stream of numbers, as ``dtype``; the others are not
    decoded where the codec allows it.

    ``verify``: as in ``decode_ints``. Raises CodecError, TypeError, ValueError.
    """
    status, found = decode_part_native(data, pages, page, start, stop, dtype, verify)
    if status:
        raise CodecError(STATUS[status], page, int(pages[page]["offset"]))
    if found is None:
        whole = np.empty(int(pages[page]["rows"]), dtype)
        _decode_raw(_view(data), pages, whole, page, page + 1)
        found = whole[start:stop]
    return found


def decode_bytes(data: Data, pages: Pages) -> bytes:
    """The blob, every page checksummed. Raises CodecError. O(n)."""
    view = _view(data)
    parts = []
    for number in range(len(pages)):
        entry = pages[number]
        rows, codec = int(entry["rows"]), int(entry["codec"])
        start, length = int(entry["offset"]), int(entry["length"])
        if start + length > len(view) or not 0 < rows <= PAGE_RAW_BYTES:
            raise CodecError("bad directory entry", number, start)
        stored = view[start : start + length]
        if crc32c(stored) != int(entry["crc"]):
            raise CodecError("checksum mismatch", number, start)
        parts.append(_raw_bytes(stored, codec, rows, number, start))
    return b"".join(parts)


class _Writer:
    """Pages of one stream, end to end, and their directory."""

    def __init__(self, pages: int) -> None:
        self.pages: Pages = np.zeros(pages, PAGE_DTYPE)
        self.parts: list[bytes] = []
        self.offset = 0

    def add(self, rows: int, codec: int, param: int, data: bytes, low: int, high: int) -> None:
        crc = crc32c(data)
        entry: Any = (self.offset, len(data), rows, crc, codec, param, 0, low, high)
        self.pages[len(self.parts)] = entry
        self.parts.append(data)
        self.offset += len(data)

    def finish(self) -> tuple[bytes, Pages]:
        return b"".join(self.parts), self.pages


def _view(data: Data) -> memoryview:
    return memoryview(cast("bytes", data)).cast("B")


def encode_page(
    encoder: PageEncoder, part: npt.NDArray[Any], *, ascending: bool = False, pack: bool = True
) -> Page:
    """One page of a stream. ``pack``: whether lz4 is tried for integers; floats always try it."""
    codec, param, data, low, high = encoder.encode(part, ascending)
    floats = low is None or high is None or part.dtype == np.float64
    if low is None or high is None:
        low, high = _float_range(part)
    if len(data) > _LZ4_MIN_BYTES and (pack or floats):
        if floats and param == FLOAT_BITS:
            data, codec = _smaller_raw(part, data, codec)
            if codec in (RAW, RAW_LZ4):
                param = 8
        elif not floats:
            packed, width = _packed_ints(part, low, high, len(data))
            if packed is not None:
                codec, param = RAW_LZ4, width
                data = low.to_bytes(8, "little", signed=True) + packed
    return Page(len(part), codec, param, data, low, high)


def _encode(values: npt.NDArray[Any], *, ascending: bool) -> tuple[bytes, Pages]:
    encoder = PageEncoder()
    writer = _Writer((len(values) + PAGE_ROWS - 1) // PAGE_ROWS)
    for start in range(0, len(values), PAGE_ROWS):
        part = values[start : start + PAGE_ROWS]
        writer.add(*encode_page(encoder, part, ascending=ascending))
    return writer.finish()


def _float_range(part: F64) -> tuple[int, int]:
    """Bits of the smallest and the largest value; of -inf and inf when a NaN makes them unknown."""
    low, high = part.min(), part.max()
    if np.isnan(low):
        low, high = np.float64(-np.inf), np.float64(np.inf)
    return int(low.view(np.int64)), int(high.view(np.int64))


def _smaller_raw(part: F64, data: bytes, codec: int) -> tuple[bytes, int]:
    """Bits of doubles that are no decimals: lz4, stored, or as they came, the smallest."""
    limit = min(len(data), part.nbytes)
    if _lz4_is_worth(part[_sample(part)], len(part), limit):
        packed = lz4.block.compress(part, store_size=False)
        if len(packed) < limit * _LZ4_GAIN:
            return packed, RAW_LZ4
    return (part.tobytes(), RAW) if part.nbytes < len(data) else (data, codec)


def _packed_ints(
    part: npt.NDArray[Any], low: int, high: int, limit: int
) -> tuple[bytes | None, int]:
    """(lz4, width) of the values less ``low`` in ``width`` bytes each; None when not worth it."""
    span = high - low
    width = 1 if span < 1 << 8 else 2 if span < 1 << 16 else 4 if span < 1 << 32 else 8
    if not _lz4_is_worth(_narrow(part[_sample(part)], low, width), len(part), limit):
        return None, width
    packed: bytes = lz4.block.compress(_narrow(part, low, width), store_size=False)
    return (packed if len(packed) + 8 < limit * _LZ4_GAIN else None), width


def _narrow(part: npt.NDArray[Any], low: int, width: int) -> npt.NDArray[Any]:
    shifted = part.astype(np.int64).view(np.uint64) - np.uint64(low & 0xFFFF_FFFF_FFFF_FFFF)
    return shifted.astype(f"<u{width}")


def _sample(part: npt.NDArray[Any]) -> slice:
    start = max(0, (len(part) - _LZ4_SAMPLE_ROWS) // 2)
    return slice(start, start + _LZ4_SAMPLE_ROWS)


def _lz4_is_worth(sample: npt.NDArray[Any], rows: int, limit: int) -> bool:
    """Whether the sample compresses so well that the page is likely to beat ``limit`` bytes."""
    packed = lz4.block.compress(sample, store_size=False)
    return len(packed) * rows < limit * _LZ4_GAIN * len(sample)


def _decode(
    data: Data,
    pages: Pages,
    out: npt.NDArray[Any],
    first_page: int,
    last_page: int | None,
    verify: U8 | None,
) -> None:
    last = len(pages) if last_page is None else last_page
    status, page, raw = decode_pages(data, pages, out, first_page, last, verify)
    if status:
        offset = int(pages[page]["offset"]) if page < len(pages) else 0
        raise CodecError(STATUS[status], page, offset)
    if raw:
        _decode_raw(_view(data), pages, out, first_page, last)


def _decode_raw(
    view: memoryview, pages: Pages, out: npt.NDArray[Any], first: int, last: int
) -> None:
    """Fills in the RAW and RAW_LZ4 pages; the native part has checked entries and checksums."""
    at = 0
    for number in range(first, last):
        entry = pages[number]
        rows, codec, width = int(entry["rows"]), int(entry["codec"]), int(entry["param"])
        if codec in (RAW, RAW_LZ4):
            start, length = int(entry["offset"]), int(entry["length"])
            floats = out.dtype == np.float64
            skip = 0 if floats else 8
            if width not in ((8,) if floats else (1, 2, 4, 8)) or length < skip:
                raise CodecError("malformed page", number, start)
            stored = view[start + skip : start + length]
            raw = _raw_bytes(stored, codec, rows * width, number, start)
            if floats:
                out[at : at + rows] = np.frombuffer(raw, np.float64)
            else:
                base = np.frombuffer(view[start : start + 8], "<u8")
                shifted = np.frombuffer(raw, f"<u{width}").astype(np.uint64) + base
                out[at : at + rows] = shifted.astype(out.dtype)
        at += rows


def _raw_bytes(stored: memoryview, codec: int, size: int, page: int, offset: int) -> bytes:
    """The ``size`` bytes of a stored or lz4 block."""
    if codec == RAW:
        raw = bytes(stored)
    elif codec == RAW_LZ4:
        try:
            raw = lz4.block.decompress(stored, uncompressed_size=size)
        except (lz4.block.LZ4BlockError, ValueError) as error:
            raise CodecError("malformed lz4 block", page, offset) from error
    else:
        raise CodecError("malformed page", page, offset)
    if len(raw) != size:
        raise CodecError("wrong number of rows", page, offset)
    return raw
