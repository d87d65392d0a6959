"""The values of one tag on one day: a column a shard, in one blob file. docs/format/tags.md.

Texts and truths are codes, 0 being no value, as narrow as the number of values allows; numbers and
instants are values beside the slice that each lies in (:mod:`zuji.engine.query.slices`), 0 being no
value. All are packed in checked pages
(:mod:`zuji.engine.storage.codecs`). The dictionary holds the used texts of all shards, sorted by
bytes; of numbers the ends of the slices. Form 1 had no slices: its byte says who has a value.
Reading a shard decodes that shard. Thread-safe: functions only. O(users).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine.errors import Corruption, UnsupportedFormat
from zuji.engine.query.slices import MOST, code_type, sliced
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
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import Column, Kind, Slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.people.blob import Blob
    from zuji.engine.types import U8

FORM: Final = {Kind.STRING: 1, Kind.BOOL: 1, Kind.INT: 2, Kind.FLOAT: 2, Kind.DATETIME: 2}
"""Changes with the layout of the sections."""
_SLICED: Final = 2
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
    if kind not in (Kind.STRING, Kind.BOOL):
        return _sections_of_numbers(kind, columns, users)
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
        codes = tables[shard][values] if kind == Kind.STRING else values
        codes = (codes.astype(np.uint32) + np.uint32(1)) * has
        narrow = codes.astype(_code_type(2 if kind == Kind.BOOL else len(merged)))
        data, pages = encode_ints(narrow)
        sections += [data, pages.tobytes(), b"", b""]
    return sections, {
        **_meta(kind, users, known),
        "values": len(merged),
        "dictionary_bytes": 4 * len(merged) + int(merged.offsets[-1]),
    }


def _sections_of_numbers(
    kind: Kind, columns: Sequence[Column | None], users: Sequence[int]
) -> tuple[list[bytes], dict[str, Any]]:
    encode: Any = encode_floats if kind == Kind.FLOAT else encode_ints
    slices = sliced(columns)
    ends = next((one for one in slices if one is not None), None)
    sections = [b"" if ends is None else _ends_to(ends), b""]
    known: list[int] = []
    for column, mine in zip(columns, slices, strict=True):
        if column is None or mine is None:
            sections += [b""] * _OF_SHARD
            known.append(0)
            continue
        values: Any = column.values
        if column.present is not None:
            values = values * column.present
        known.append(int(np.count_nonzero(mine.codes)))
        data, pages = encode(np.ascontiguousarray(values, DTYPES[kind]))
        sections += [data, pages.tobytes()]
        data, pages = encode_ints(mine.codes)
        sections += [data, pages.tobytes()]
    return sections, {
        **_meta(kind, users, known),
        "slices": 0 if ends is None else len(ends.least),
    }


def _meta(kind: Kind, users: Sequence[int], known: list[int]) -> dict[str, Any]:
    return {
        "form": FORM[kind],
        "kind": kind.label,
        "users": list(map(int, users)),
        "known": known,
    }


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
    found: Any = np.empty(users, DTYPES[kind])
    _decode(blob, at, found)
    if blob.meta["form"] < _SLICED:
        if known == users:
            return Column(kind, found)
        present = np.empty(users, np.uint8)
        _decode(blob, at + 2, present)
        return Column(kind, found, present)
    least, greatest = _ends_of(blob, kind)
    mine: Any = np.empty(users, code_type(len(least)))
    _decode(blob, at + 2, mine)
    if np.any((mine > len(least)) & (mine != np.iinfo(mine.dtype).max)):
        raise Corruption("a tag has a value beyond its slices", blob.path)
    has = None if known == users else (mine != 0).view(np.uint8)
    return Column(kind, found, has, slices=Slices(mine, least, greatest))


def users_of(blob: Blob, shard: int) -> int:
    """Rows of a shard."""
    users = blob.meta["users"]
    return int(users[shard]) if shard < len(users) else 0


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


def _ends_to(slices: Slices) -> bytes:
    ends: Any = np.concatenate([slices.least, slices.greatest])
    raw: bytes = ends.astype(ends.dtype.newbyteorder("<")).tobytes()
    return raw


def _ends_of(blob: Blob, kind: Kind) -> tuple[Any, Any]:
    """Least and greatest number of each slice."""
    raw, count = blob.section(_DICTIONARY), int(blob.meta["slices"])
    if not 0 <= count <= MOST or len(raw) != 16 * count:
        raise Corruption("the slices of a tag have a wrong length", blob.path)
    ends: Any = np.frombuffer(raw, np.dtype(DTYPES[kind]).newbyteorder("<"))
    least, greatest = ends[:count].astype(DTYPES[kind]), ends[count:].astype(DTYPES[kind])
    if np.any(~(least <= greatest)) or np.any(~(greatest[:-1] < least[1:])):
        raise Corruption("the slices of a tag do not ascend", blob.path)
    return least, greatest


def _told(blob: Blob, kind: Kind, shard: int) -> tuple[int, int]:
    """Users of a shard, and how many have a value."""
    meta = blob.meta
    if meta.get("form", FORM[kind] + 1) > FORM[kind]:
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
