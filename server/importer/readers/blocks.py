"""Text files as blocks of whole lines: opening, decompressing, cutting, skipping.

A block ends at a line end that is not inside a quoted CSV field. Positions are bytes after
decompression. gzip and zstd are recognised by the file's first bytes, not by its name.
Memory: two blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK_BYTES = 16 << 20
PARCEL_BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 64 << 20
_QUOTE_SEARCH = 4096  # line ends tried before a stray quote is taken as a plain character

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bz2"),
    (b"\x04\x22\x4d\x18", "lz4"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines. ``start``/``end`` are positions, ``first_line`` is 1-based."""

    data: bytes
    start: int
    end: int
    first_line: int
    progress: int


def compression_of(path: Path) -> str | None:
    """Name of the compression that the file's first bytes show, or None."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)


def cut_at_line_end(data: bytes | bytearray, quote: bytes) -> int:
    """Length of the longest prefix that ends with a line end outside quotes, or 0."""
    end = data.rfind(b"\n") + 1
    if not quote or not end:
        return end
    inside = data.count(quote, 0, end) % 2
    cut = end
    for _ in range(_QUOTE_SEARCH):
        if not inside:
            return cut
        previous = data.rfind(b"\n", 0, cut - 1) + 1
        if not previous:
            break
        inside ^= data.count(quote, previous, cut) % 2
        cut = previous
    return end


def read_blocks(
    path: Path, position: int = 0, *, quote: bytes = b"", block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Blocks of whole lines from ``position``.

    :raises InvalidInput: a damaged compressed stream, or a line longer than 64 MiB.
    """
    compression = compression_of(path)
    with path.open("rb") as raw:
        stream = pa.PythonFile(raw, mode="r")
        source = pa.CompressedInputStream(stream, compression) if compression else stream
        done, line, rest = 0, 1, b""
        while True:
            try:
                piece = source.read(block_bytes)
            except OSError as error:
                raise InvalidInput(
                    f"{path}: the {compression} stream is damaged: {error}"
                ) from error
            data = rest + piece if rest else piece
            if not data:
                return
            cut = cut_at_line_end(data, quote) if piece else len(data)
            if not cut:
                if len(data) > LONGEST_LINE_BYTES:
                    raise InvalidInput(
                        f"{path}: line {line} is longer than 64 MiB; is this a text file of lines?"
                    )
                rest = data
                continue
            block, rest = data[:cut], data[cut:]
            start, done = done, done + len(block)
            first, line = line, line + block.count(b"\n")
            if done <= position:
                continue
            if start < position:  # other block borders than in the run that stopped
                skipped = position - start
                first += block.count(b"\n", 0, skipped)
                start, block = position, block[skipped:]
            yield Block(block, start, done, first, raw.tell())
