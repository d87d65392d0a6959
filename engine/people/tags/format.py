"""The values of one tag on one day: a column a shard, in one blob file. docs/format/tags.md.

Texts and truths are codes, 0 being no value, as narrow as the number of values allows; numbers and
instants are values beside a byte a user that says who has one. All are packed in checked pages
(:mod:`zuji.engine.storage.codecs`). The dictionary holds the used texts of all shards, sorted by
bytes. Reading a shard decodes that shard. Thread-safe: functions only. O(users).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.storage.codecs import (
    PAGE_DTYPE,
    PAGE_ROWS,
    CodecError,
    decode_bytes,
    decode_floats,
    decode_ints,
    encode_bytes,
    encode_floats,
    encode_ints,
)
from zuji.engine.storage.dictionary import Dictionary, as_dictionary, merge_sorted, sort_used
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.people.blob import Blob
    from zuji.engine.types import U8

FORM: Final = 1
"""Changes with the layout of the sections."""
_DICTIONARY: Final = 0
_OF_SHARD: Final = 4
"""Sections a shard: values, their pages; who has one, its pages. The dictionary's come first."""
_FIRST: Final = 2


def sections_of(
    kind: Kind, columns: Sequence[Column | None], users: Sequence[int]
) -> tuple[list[bytes], dict[str, Any]]:
    """Sections and meta of a blob. ``columns``: one a shard, None where nobody has a value;
    ``users``: ordinals of each shard.
    """
    merged, tables = _merged(columns) if kind == Kind.STRING else (Dictionary.of(()), [])
    lengths = np.diff(merged.offsets).astype("<u4").tobytes()
    data, pages = encode_bytes(lengths + merged.data[: int(merged.offsets[-1])].tobytes())
    sections = [data, pages.tobytes()]
    known: list[int] = []
    for shard, column in enumerate(columns):
        if column is None:
            sections += [b""] * _OF_SHARD
            known.append(0)
            continue
        has = np.ones(column.rows, np.uint8) if column.present is None else column.present
        values: Any = column.values
        known.append(int(np.count_nonzero(has)))
        if kind in (Kind.STRING, Kind.BOOL):
            codes = tables[shard][values] if kind == Kind.STRING else values
            codes = (codes.astype(np.uint32) + np.uint32(1)) * has
            narrow = codes.astype(_code_type(2 if kind == Kind.BOOL else len(merged)))
            data, pages = encode_ints(narrow)
            sections += [data, pages.tobytes(), b"", b""]
            continue
        if kind == Kind.FLOAT:
            data, pages = encode_floats(np.ascontiguousarray(values * has, np.float64))
        else:
            data, pages = encode_ints(np.ascontiguousarray(values * has, np.int64))
        sections += [data, pages.tobytes()]
        data, pages = encode_ints(np.ascontiguousarray(has, np.uint8))
        sections += [data, pages.tobytes()]
    meta = {
        "form": FORM,
        "kind": kind.label,
        "users": list(map(int, users)),
        "known": known,
        "values": len(merged),
        "dictionary_bytes": 4 * len(merged) + int(merged.offsets[-1]),
    }
    return sections, meta


def column_of(blob: Blob, kind: Kind, shard: int) -> Column | None:
    """The column of a shard, as many rows as it had users then; None when nobody has a value.

    Raises:
        Corruption: a checksum or length is wrong. UnsupportedFormat: of a later release.
    """
    users, known = _told(blob, kind, shard)
    if not known:
        return None
    at = _FIRST + _OF_SHARD * shard
    if kind in (Kind.STRING, Kind.BOOL):
        values = 2 if kind == Kind.BOOL else int(blob.meta["values"])
        codes: Any = np.empty(users, _code_type(values))
        _decode(blob, at, codes)
        if len(codes) and int(codes.max()) > values:
            raise Corruption("a tag has a value beyond its dictionary", blob.path)
        has = (codes != 0).view(np.uint8)
        codes -= has  # 0 stays 0
        present = None if known == users else has
        dictionary = dictionary_of(blob) if kind == Kind.STRING else None
        return Column(kind, codes, present, dictionary)
    found: Any = np.empty(users, np.float64 if kind == Kind.FLOAT else np.int64)
    _decode(blob, at, found)
    if known == users:
        return Column(kind, found)
    present = np.empty(users, np.uint8)
    _decode(blob, at + 2, present)
    return Column(kind, found, present)


def known_of(blob: Blob) -> int:
    """How many users have a value."""
    return sum(map(int, blob.meta["known"]))


def dictionary_of(blob: Blob) -> Dictionary:
    """The texts, sorted by bytes.

    Raises:
        Corruption.
    """
    raw = _bytes(blob, _DICTIONARY)
    count = int(blob.meta["values"])
    if len(raw) != int(blob.meta["dictionary_bytes"]) or len(raw) < 4 * count:
        raise Corruption("the dictionary of a tag has a wrong length", blob.path)
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(np.frombuffer(raw, "<u4", count), out=offsets[1:])
    if 4 * count + int(offsets[-1]) != len(raw):
        raise Corruption("the dictionary of a tag has a wrong length", blob.path)
    return Dictionary(np.frombuffer(raw, np.uint8, offset=4 * count), offsets, ordered=True)


def _told(blob: Blob, kind: Kind, shard: int) -> tuple[int, int]:
    """Users of a shard, and how many have a value."""
    meta = blob.meta
    if meta.get("form", FORM + 1) > FORM:
        raise UnsupportedFormat(f"{blob.path} has values of tags in a form of a later release")
    if meta["kind"] != kind.label or blob.sections != _FIRST + _OF_SHARD * len(meta["users"]):
        raise Corruption("the file does not hold what the catalogue says", blob.path)
    if shard >= len(meta["users"]):
        return 0, 0
    return int(meta["users"][shard]), int(meta["known"][shard])


def _merged(columns: Sequence[Column | None]) -> tuple[Dictionary, list[Any]]:
    """One dictionary of the used texts of all shards, and of each shard old code → new code."""
    parts, own = [], []
    for column in columns:
        used: U8 = np.zeros(0 if column is None else len(column.dictionary or ()), np.uint8)
        if column is not None:
            values = column.values
            used[values if column.present is None else values[column.present == 1]] = 1
        strings = as_dictionary(None if column is None else column.dictionary)
        part, table = sort_used(strings, used)
        parts.append(part)
        own.append(table)
    merged, tables = merge_sorted(parts)
    found = []
    for table, more in zip(own, tables, strict=True):
        found.append(more[table] if len(more) else table)
    return merged, found


def _code_type(values: int) -> Any:
    """The narrowest type for codes 0 … ``values``."""
    return np.uint8 if values < 1 << 8 else np.uint16 if values < 1 << 16 else np.uint32


def _pages(blob: Blob, index: int) -> Any:
    raw = blob.section(index)
    if len(raw) % PAGE_DTYPE.itemsize:
        raise Corruption("the pages of a tag have a wrong length", blob.path)
    return np.frombuffer(raw, PAGE_DTYPE)


def _decode(blob: Blob, index: int, out: Any) -> None:
    pages = _pages(blob, index + 1)
    if int(pages["rows"].sum()) != len(out) or len(pages) != -(-len(out) // PAGE_ROWS):
        raise Corruption("the pages of a tag have a wrong number of rows", blob.path)
    decode = decode_floats if out.dtype == np.float64 else decode_ints
    # The section's own checksum covers the pages.
    checked = np.ones(len(pages), np.uint8)
    try:
        decode(blob.section(index), pages, out, verify=checked)
    except CodecError as error:
        raise Corruption(f"values of a tag: {error.args[0]}", blob.path) from None


def _bytes(blob: Blob, index: int) -> bytes:
    try:
        return decode_bytes(blob.section(index), _pages(blob, index + 1))
    except CodecError as error:
        raise Corruption(f"texts of a tag: {error.args[0]}", blob.path) from None
