"""Which reader a file needs: by its first bytes and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.importer.readers.blocks import BLOCK_BYTES, read_blocks

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.server.importer.readers.csv_lines import CsvReader
    from zuji.server.importer.readers.json_lines import JsonLinesReader
    from zuji.server.importer.readers.nginx import LogRules, NginxReader
    from zuji.server.importer.readers.parquet import ParquetReader

    AnyReader = CsvReader | JsonLinesReader | NginxReader | ParquetReader

FORMATS = ("auto", "parquet", "csv", "jsonl", "sensors", "nginx")
SENSORS_TYPES = frozenset(
    {
        *("track", "track_signup", "track_id_bind", "track_id_unbind"),
        *("profile_set", "profile_set_once", "profile_increment", "profile_append"),
        *("profile_unset", "profile_delete"),
        *("item_set", "item_delete", "detail_set", "detail_delete"),
    }
)
_CSV_NAMES = {".csv", ".tsv", ".txt", ".tab"}
_JSON_NAMES = {".jsonl", ".ndjson", ".json"}


def check_file(path: Path) -> None:
    """Whether it is a file.

    :raises NotFound: nothing is there. :raises InvalidInput: a folder.
    """
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; name its files, for example {path}/*.parquet")
    if not path.exists():
        raise NotFound(f"{path}: no such file")


def files_in(paths: list[Path]) -> list[Path]:
    """Files, in place of folders the files in them, however deep, by name; hidden ones left out.

    :raises NotFound: nothing is there. :raises InvalidInput: a folder without a file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(
            one
            for one in path.rglob("*")
            if one.is_file() and not any(p.startswith(".") for p in one.relative_to(path).parts)
        )
        if not inside:
            raise InvalidInput(f"{path} is a folder without a file")
        found += inside
    return found


def is_sensors(path: Path) -> bool:
    """Whether the first line is a record in the form of Sensors Analytics."""
    block = next(read_blocks(path, block_bytes=1 << 16), None)
    if block is None:
        return False
    line = next((one for one in block.data.split(b"\n") if one.strip()), b"")
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    if not isinstance(record, dict) or record.get("type") not in SENSORS_TYPES:
        return False
    return "distinct_id" in record or "item_id" in record or "identities" in record


def format_of(path: Path) -> str:
    """``parquet``, ``csv`` or ``jsonl``.

    :raises NotFound: no such file. :raises InvalidInput: a folder, an empty file, nothing known.
    """
    check_file(path)
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        return "parquet"
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in {".gz", ".gzip", ".zst", ".zstd", ".bz2", ".lz4"}:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    if last in _CSV_NAMES:
        return "csv"
    if last in _JSON_NAMES:
        return "jsonl"
    if last in {".parquet", ".pq"}:
        raise InvalidInput(f"{path}: not a Parquet file (its first four bytes are not PAR1)")
    block = next(read_blocks(path, block_bytes=1 << 16), None)
    if block is None:
        raise InvalidInput(f"{path}: the file is empty")
    return "jsonl" if block.data.lstrip().startswith(b"{") else "csv"


def open_reader(
    path: Path,
    *,
    file_format: str = "auto",
    delimiter: str | None = None,
    encoding: str = "utf-8",
    nulls: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    quote: str = '"',
    log: LogRules | None = None,
    append_rows: int = 1_000_000,
    changes: bool = False,
) -> AnyReader:
    """Opens a file and looks at its first block or footer.

    Chunks are no larger than ``append_rows`` asks for (text: about 100 bytes a row). ``changes``:
    see :class:`.json_lines.JsonLinesReader`.

    :raises InvalidInput: a file that cannot be read as what it seems to be.
    """
    if file_format == "nginx":
        check_file(path)
        from zuji.server.importer.readers.nginx import LogRules, NginxReader

        most = min(BLOCK_BYTES, append_rows * 100)
        return NginxReader(path, log or LogRules(), block_bytes=most)
    kind = format_of(path)
    if file_format != "auto":
        kind = file_format
    if kind == "parquet":
        from zuji.server.importer.readers.parquet import CHUNK_ROWS, ParquetReader

        return ParquetReader(path, chunk_rows=min(CHUNK_ROWS, append_rows))
    block_bytes = min(BLOCK_BYTES, append_rows * 100)
    if kind == "jsonl":
        from zuji.server.importer.readers.json_lines import JsonLinesReader

        return JsonLinesReader(path, block_bytes=block_bytes, changes=changes)
    from zuji.server.importer.readers.csv_lines import CsvReader

    return CsvReader(
        path,
        delimiter=delimiter,
        encoding=encoding,
        nulls=nulls,
        names=names,
        quote=quote,
        block_bytes=block_bytes,
    )
