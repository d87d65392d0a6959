"""JSON lines in the form of Sensors Analytics, as parcels: all fourteen types of records.

What a record means is said once, by the collector's native transcoder; here are the file, the line
numbers and the places. A group of lines goes through it as one JSON list. When that does not give
one result a line, each line goes through alone, so that a broken one spoils no other. No Python
object an event.

Times are as they stand (``time_free``): what is imported was sent long ago, and neither old times
nor clocks are put right. Records of items are put into the batch as they are, and the engine stores
them; details have no place in it: it keeps them in its quarantine, and they count as kept, not as
refused.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from zuji.engine.errors import InvalidInput
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.importer.parcels import (
    EVENT_BYTES,
    KEPT_ITEM,
    PARCEL_BYTES,
    PARCEL_ITEMS,
    PARCEL_ROWS,
    About,
    Packed,
    Parcel,
    batch_of,
    cut,
    kept_item,
    shown,
)
from zuji.server.importer.readers.base import Reject
from zuji.server.importer.readers.blocks import read_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Refusals = list[tuple[int, str, str, bytes]]
    Made = tuple[list[tuple[int, int, bytes]], Refusals]

BLOCK_BYTES = 4 << 20
_BOM = b"\xef\xbb\xbf"


class _Limits(NamedTuple):
    """Of a parcel, in the words of the transcoder."""

    batch_events: int = PARCEL_ROWS
    batch_items: int = PARCEL_ITEMS
    batch_bytes: int = EVENT_BYTES
    list_values: int = DEFAULT_LIMITS.list_values


class _Free(msgspec.Struct):
    """What is read of a record that says something about its time."""

    time_free: Any = msgspec.UNSET


class _Group(NamedTuple):
    """Lines of a parcel, as they stand in the file. ``first``: number of the first. ``start``,
    ``end``: positions.
    """

    data: bytes
    lines: int
    first: int
    start: int
    end: int
    progress: int


class SensorsSource:
    """A file of JSON lines in Sensors form. ``tz``: of dates without an offset. ``keep_ip``: the
    property ``$ip`` is stored. ``login_keys``: keys of identities that are the customer's own id.
    """

    kind = "records of Sensors Analytics"

    def __init__(
        self, path: Path, tz: str, *, keep_ip: bool = False, login_keys: tuple[str, ...] = ()
    ) -> None:
        self.path = path
        self.size_bytes = path.stat().st_size
        self.rows_known: int | None = None
        self.unsupported: dict[str, str] = {}
        self.later: list[str] = []
        self._transcode, self._messages = _of_collector()
        self._keep_ip, self._login_keys = keep_ip, login_keys
        offset = datetime.now(ZoneInfo(tz)).utcoffset()
        self._offset_ms = int(offset.total_seconds() * 1000) if offset else 0

    def parcels(self, key: str, position: int) -> Iterator[Parcel]:
        """See ``shipping.Source``."""
        for group in self._groups(position):
            yield from self._of_group(key, group)

    def _groups(self, position: int) -> Iterator[_Group]:
        """Lines in groups that depend on the bytes after ``position`` alone."""
        rest = b""
        at, line, progress = position, 0, 0
        for block in read_blocks(self.path, position, block_bytes=BLOCK_BYTES):
            line = line or block.first_line
            progress = block.progress
            rest += block.data
            cut = 0
            for size, lines in _cuts(rest):
                data = rest[cut : cut + size]
                yield _Group(data, lines, line, at, at + size, progress)
                cut, at, line = cut + size, at + size, line + lines
            rest = rest[cut:]
        if rest:
            lines = rest.count(b"\n") + (not rest.endswith(b"\n"))
            yield _Group(rest, lines, line, at, at + len(rest), progress)

    def _of_group(self, key: str, group: _Group) -> Iterator[Parcel]:
        plain = _plain(group)
        if plain is not None:
            now_ms = time.time_ns() // 1_000_000
            parts, refused = self._converted(plain, now_ms)
            if _whole(parts, refused, group.lines):
                records = _Lazy(group.data)
                numbers = range(group.first, group.first + group.lines)
                yield from self._parcels(key, group, records, numbers, [], (parts, refused))
                return
        yield from self._line_by_line(key, group)

    def _line_by_line(self, key: str, group: _Group) -> Iterator[Parcel]:
        rejects: list[Reject] = []
        records: list[bytes] = []
        numbers: list[int] = []
        for place, raw in enumerate(group.data.split(b"\n")):
            first = not group.start and not place
            line = (raw.removeprefix(_BOM) if first else raw).strip()
            if not line:
                continue
            number = group.first + place
            if len(line) > EVENT_BYTES:
                message = f"the line has {len(line):,} bytes; at most {EVENT_BYTES:,} fit"
                rejects.append(Reject(number, "too_large", message, _text(line)))
                continue
            records.append(_with_free_time(line))
            numbers.append(number)
        made = self._made(records)
        yield from self._parcels(key, group, records, numbers, rejects, made)

    def _parcels(
        self,
        key: str,
        group: _Group,
        records: Sequence[bytes],
        numbers: Sequence[int],
        rejects: list[Reject],
        made: Made,
    ) -> Iterator[Parcel]:
        parts, refused = made
        group_rejects = len(rejects)
        away: set[int] = set()
        kept: list[tuple[int, bytes]] = []
        for index, reason, path, _ in refused:
            away.add(index)
            if reason == KEPT_ITEM:
                kept.append((index, records[index]))
                continue
            message = self._messages.get(reason, reason)
            said = f"{path}: {message}" if path else message
            rejects.append(Reject(numbers[index], reason, said, _text(records[index])))
        rejects.sort(key=lambda reject: reject.row)
        good: Sequence[int] = range(len(numbers))
        if away:
            good = [index for index in good if index not in away]
        batches: list[tuple[int, bytes, Sequence[int]]] = []
        at = 0
        for count, _items, data in parts:
            batches.append((count, data, good[at : at + count]))
            at += count
        first_kept = len(batches)
        batches += _of_kept(kept)
        for part, (count, data, indexes) in enumerate(batches or [(0, b"", [])]):
            last = part >= len(batches) - 1
            yield Parcel(
                end=group.end if last else None,
                progress=group.progress,
                rows=len(numbers) + group_rejects if last else 0,
                batch=batch_of(key, group.start, part, count, data) if count else b"",
                event=_About(records, numbers, indexes, kept=part >= first_kept),
                rejects=rejects if last else [],
                ordered=b"profile_" in data,
            )

    def _converted(self, document: bytes, now_ms: int) -> Made:
        parts, refused, _ = self._transcode(
            document,
            now_ms,
            self._offset_ms,
            _Limits(),
            keep_ip=self._keep_ip,
            login_keys=self._login_keys,
        )
        return parts, refused

    def _made(self, records: Sequence[bytes]) -> Made:
        """Events and refusals of records, one of both for each."""
        if not records:
            return [], []
        now_ms = time.time_ns() // 1_000_000
        if all(one[0] == 123 and one[-1] == 125 for one in records):  # { and }
            parts, refused = self._converted(b"[" + b",".join(records) + b"]", now_ms)
            if _whole(parts, refused, len(records)):
                return parts, refused
        parts, refused = [], []
        for index, record in enumerate(records):
            alone, bad = self._converted(record, now_ms)
            if record[:1] != b"{":
                bad = [(0, "not_a_map", "", record)]
            if bad:
                worst = next((one for one in bad if one[0] < 0), bad[0])
                refused.append((index, *worst[1:]))
            else:
                parts += alone
        return parts, refused


class _Lazy(Sequence[bytes]):
    """Lines of a group, taken apart when the first is asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._lines: list[bytes] | None = None

    def __len__(self) -> int:
        return len(self._all())

    def __getitem__(self, index: Any) -> Any:
        return _with_free_time(self._all()[index])

    def _all(self) -> list[bytes]:
        if self._lines is None:
            self._lines = self._data.rstrip(b"\n").split(b"\n")
        return self._lines


def _cuts(data: bytes) -> Iterator[tuple[int, int]]:
    """Bytes and lines of each whole group at the start of ``data``: PARCEL_ROWS lines, or the lines
    until PARCEL_BYTES are reached.
    """
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10) + 1
    done, before = 0, 0
    while done < len(ends):
        full = int(np.searchsorted(ends, before + PARCEL_BYTES))
        last = min(full, done + PARCEL_ROWS - 1)
        if last >= len(ends):
            return
        end = int(ends[last])
        yield end - before, last + 1 - done
        done, before = last + 1, end


def _plain(group: _Group) -> bytes | None:
    """The lines as one JSON list, with their times as they stand; None when they need a look each:
    empty ones, such that are no objects, or say something about their time themselves.
    """
    data = group.data[:-1] if group.data.endswith(b"\n") else group.data
    if not (data.startswith(b"{") and data.endswith(b"}")) or b'"time_free"' in data:
        return None
    if data.count(b"}\n{") != group.lines - 1:
        return None
    free = b'{"time_free":true,'
    return b"[" + free + data[1:].replace(b"\n{", b"," + free) + b"]"


def _whole(parts: list[tuple[int, int, bytes]], refused: Refusals, lines: int) -> bool:
    """Whether each line has its result."""
    if any(reason in ("bad_json", "trailing_bytes") for _, reason, _, _ in refused):
        return False
    return sum(count for count, _, _ in parts) + len(refused) == lines


class _About:
    """Says which line an event of a batch was."""

    def __init__(
        self,
        records: Sequence[bytes],
        numbers: Sequence[int],
        indexes: Sequence[int],
        *,
        kept: bool,
    ) -> None:
        self._of = (records, numbers, indexes)
        self._kept = kept

    def __call__(self, index: int) -> About:
        records, numbers, indexes = self._of
        line = indexes[index]
        return About(numbers[line], _text(records[line]), self._kept)


def _of_collector() -> tuple[Callable[..., Any], Mapping[str, str]]:
    """What makes events of records, and what its refusals mean.

    :raises InvalidInput: what the server needs is not installed.
    """
    try:
        from zuji.server.protocols._sensors import transcode
        from zuji.server.protocols.sensors import MESSAGES
    except ImportError as error:
        raise InvalidInput(
            f"records of Sensors Analytics need the parts of the server ({error}): "
            "pip install 'zuji[server]'"
        ) from error
    return transcode, MESSAGES


def _with_free_time(record: bytes) -> bytes:
    """The record with its time as it stands."""
    if record[0] != 123 or record[-1] != 125:  # no object: refused later
        return record
    if b'"time_free"' in record:
        try:
            said = msgspec.json.decode(record, type=_Free).time_free
        except (msgspec.DecodeError, UnicodeDecodeError):
            return record
        if said is True:
            return record
        if said is not msgspec.UNSET:
            try:
                return msgspec.json.encode({**msgspec.json.decode(record), "time_free": True})
            except (msgspec.DecodeError, UnicodeDecodeError):
                return record
    if not record[1:-1].strip():
        return record
    return b'{"time_free":true,' + record[1:]


def _of_kept(kept: list[tuple[int, bytes]]) -> Iterator[tuple[int, bytes, list[int]]]:
    """Batches of records that are kept aside: how many, the batch's events, their lines."""
    for group in cut(Packed(index, kept_item(raw), 8, str) for index, raw in kept):
        yield len(group), b"".join(one.data for one in group), [one.number for one in group]


def _text(record: bytes) -> str:
    return str(shown(record.decode(errors="replace")))
