"""A group of chunks into the engine: tables in bulk, other changes of users as batches before them.

Only the last append moves the place of the import, so a kill before it repeats the group:
properties set twice are the same, batches have ids and are not stored twice, and events come last,
with the place. A group without changes is one table of users and one of events; with changes,
tables of users and batches take turns as the file has them, so that order is kept.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from zuji.engine.errors import ZujiError
from zuji.server.importer.changes import packed_changes
from zuji.server.importer.normalise import DEVICE, EVENT, INSERT_ID, TIME, USER
from zuji.server.importer.parcels import batch_of, cut, too_large
from zuji.server.importer.readers.base import Chunk, Reject, row_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from zuji.server.importer.later import Columns
    from zuji.server.importer.mapping import Resolved
    from zuji.server.importer.normalise import Normaliser
    from zuji.server.importer.parcels import Packed

_PROFILE_TYPES = {"profile_set": True, "track": False}
_BATCHES = 16
"""Of one sync."""


class Sink(Protocol):
    """The part of the engine that an import needs."""

    def append_table(
        self, table: Any, mapping: Any, *, ledger: tuple[str, int] | None = None
    ) -> Any:
        """Stores a table durably; the result has ``accepted``, ``duplicates`` and ``rejected``."""

    def append_many(self, batches: Sequence[bytes], refused: Sequence[Any] = ()) -> Sequence[Any]:
        """Stores batches durably: a result or an error for each."""

    def import_position(self, key: str) -> int:
        """Where the import of that key ended; 0 when there was none."""


class Done(NamedTuple):
    """What became of a group."""

    rows: int
    accepted: int
    duplicates: int
    refused: int


class _Table(NamedTuple):
    table: pa.Table
    numbers: Any
    profile: bool


class Appending:
    """Puts groups of one file's chunks into an engine. Used by one thread."""

    def __init__(self, key: str, engine: Sink, normaliser: Normaliser, columns: Columns) -> None:
        self._key = key
        self._engine = engine
        self._normaliser = normaliser
        self._columns = columns
        self._counts = [0, 0]

    def stored(
        self, pieces: list[Chunk], note: Callable[[list[Reject]], None], *, resume: bool
    ) -> Done:
        """Stores a group. ``note`` gets rows that are refused: those that cannot be read before
        anything is stored, so that no kill loses them. ``resume``: keeps the place.

        :raises ZujiError: from the engine; nothing of the place is moved then.
        """
        refused: list[Reject] = []
        self._counts = [0, 0]
        people: list[_Table | list[Packed]] = []
        events: list[_Table] = []
        rows = 0
        for piece in pieces:
            rows += piece.table.num_rows + len(piece.rejects) + len(piece.changes)
            refused += piece.rejects
            tables = self._tables(piece, refused)
            people += [one for one in tables if one.profile]
            events += [one for one in tables if not one.profile]
            if piece.changes:
                people.append(self._changes(piece, refused))
        if not any(piece.changes for piece in pieces):
            people = list(_joined([one for one in people if isinstance(one, _Table)]))
        steps = [*people, *_joined(events)]
        if not steps or isinstance(steps[-1], list):
            steps.append(_nothing())
        note(sorted(refused, key=lambda reject: reject.row))
        more: list[Reject] = []
        for place, step in enumerate(steps):
            if isinstance(step, list):
                more += self._batches(step)
            else:
                ledger = (self._key, pieces[-1].end) if resume and place + 1 == len(steps) else None
                more += self._table(step, ledger, pieces)
        note(sorted(more, key=lambda reject: reject.row))
        return Done(rows, self._counts[0], self._counts[1], len(refused) + len(more))

    def _tables(self, piece: Chunk, refused: list[Reject]) -> list[_Table]:
        resolved = self._columns.seen(piece.table.column_names)
        self._normaliser.resolved = resolved
        found = []
        for part, profile in by_type(piece, resolved, refused):
            table, numbers, bad = self._normaliser.table(part)
            refused += bad
            found.append(_Table(table, numbers, profile))
        return found

    def _changes(self, piece: Chunk, refused: list[Reject]) -> list[Packed]:
        resolved = self._columns.seen(name for one in piece.changes for name in one.row)
        now_ms = time.time_ns() // 1_000_000
        good = []
        clock = self._normaliser.clock
        for one in packed_changes(piece.changes, resolved, clock, now_ms, refused):
            wrong = too_large(one)
            if wrong is None:
                good.append(one)
            else:
                refused.append(wrong)
        return good

    def _table(
        self, step: _Table, ledger: tuple[str, int] | None, pieces: list[Chunk]
    ) -> Iterator[Reject]:
        mapping = _engine_mapping(self._columns.resolved, step.table, profile=step.profile)
        result = self._engine.append_table(step.table, mapping, ledger=ledger)
        self._count(result)
        for one in result.rejected:
            row = int(step.numbers[one.index])
            yield _source_reject(pieces, row, one.reason, one.message)

    def _batches(self, changes: list[Packed]) -> Iterator[Reject]:
        """Stores changes under ids that follow from their lines."""
        groups = cut(changes)
        while some := list(islice(groups, _BATCHES)):
            batches = [
                batch_of(self._key, group[0].number, 0, len(group), b"".join(e.data for e in group))
                for group in some
            ]
            for group, result in zip(some, self._engine.append_many(batches), strict=True):
                if isinstance(result, ZujiError):
                    raise result
                self._count(result)
                for one in result.rejected:
                    event = group[one.index]
                    yield Reject(event.number, one.reason, one.message, event.show(event.number))

    def _count(self, result: Any) -> None:
        self._counts[0] += result.accepted
        self._counts[1] += result.duplicates


def _nothing() -> _Table:
    """No rows: the place is moved with it."""
    empty = {EVENT: pa.string(), USER: pa.string(), TIME: pa.int64()}
    columns = {name: pa.array([], kind) for name, kind in empty.items()}
    return _Table(pa.table(columns), np.zeros(0, np.int64), profile=False)


def _source_reject(pieces: list[Chunk], row: int, reason: str, message: str) -> Reject:
    """A refusal by the engine, with the row as it stands in the file."""
    for piece in pieces:
        if piece.numbers is not None:
            index = int(np.searchsorted(piece.numbers, row))
            there = index < len(piece.numbers) and int(piece.numbers[index]) == row
        else:
            index = row - piece.first_row
            there = 0 <= index < piece.table.num_rows
        if there:
            return Reject(row, reason, message, row_values(piece.table, index))
    return Reject(row, reason, message)


def _joined(tables: list[_Table]) -> list[_Table]:
    """One table where possible, so that a group goes in as one durable step."""
    joined: list[_Table] = []
    for one in tables:
        both = _concat(joined[-1].table, one.table) if joined else None
        if both is None:
            joined.append(one)
        else:
            numbers = np.concatenate([joined[-1].numbers, one.numbers])
            joined[-1] = _Table(both, numbers, one.profile)
    return joined


def _concat(before: pa.Table, after: pa.Table) -> pa.Table | None:
    """Both tables as one; columns whose types differ become text, which the engine casts."""
    try:
        return pa.concat_tables([before, after], promote_options="default")
    except pa.ArrowException:
        pass
    mixed = [
        f.name
        for f in before.schema
        if f.name in after.column_names and after.schema.field(f.name).type != f.type
    ]
    try:
        for name in mixed:
            before = before.set_column(
                before.column_names.index(name), name, before[name].cast(pa.string())
            )
            after = after.set_column(
                after.column_names.index(name), name, after[name].cast(pa.string())
            )
        return pa.concat_tables([before, after], promote_options="default")
    except pa.ArrowException:
        return None


def by_type(
    piece: Chunk, resolved: Resolved, refused: list[Reject]
) -> Iterator[tuple[Chunk, bool]]:
    """Native JSON lines hold events and profiles; they go in as separate tables."""
    if not resolved.native or "type" not in piece.table.column_names:
        yield piece, resolved.profile
        return
    import pyarrow.compute as pc

    kinds = pc.fill_null(piece.table.column("type").cast("string"), "track")
    numbers = np.array([piece.row_number(i) for i in range(piece.table.num_rows)], np.int64)
    for kind in pc.unique(kinds).to_pylist():
        mask = np.asarray(pc.equal(kinds, kind).to_numpy(zero_copy_only=False), dtype=bool)
        table = piece.table.filter(mask)
        if kind in _PROFILE_TYPES:
            yield (
                Chunk(table, piece.end, piece.progress, piece.first_row, numbers[mask]),
                _PROFILE_TYPES[kind],
            )
            continue
        refused.extend(
            Reject(
                int(n),
                "unknown_type",
                f"there is no type {kind!r}: see docs/format/batch.md",
                row_values(table, i),
            )
            for i, n in enumerate(numbers[mask])
        )


def _engine_mapping(resolved: Resolved, table: pa.Table, *, profile: bool) -> Any:
    from zuji.engine.bulk import TableMapping

    there = table.column_names
    system = {EVENT, USER, DEVICE, TIME, INSERT_ID}

    def column(name: str) -> str | None:
        return name if name in there else None

    named = resolved.event_name is not None or profile
    return TableMapping(
        event=None if named else column(EVENT),
        event_name=None if profile else resolved.event_name,
        user=column(USER),
        device=column(DEVICE),
        time=column(TIME),
        insert_id=column(INSERT_ID),
        properties={name: name for name in there if name not in system},
        profile=profile,
    )
