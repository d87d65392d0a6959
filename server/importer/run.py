"""Runs imports: a reader thread decodes ahead while this thread puts chunks into the engine.

Each chunk goes in together with the place it ends at (``ledger``), in one durable step. So a run
that was stopped or killed loses nothing and repeats nothing: the next run asks the engine for the
place and reads from there. Chunks are gathered to about a million rows an append. Memory: one
append, four chunks ahead.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from zuji.server.importer.ahead import Ahead
from zuji.server.importer.later import Columns, open_names
from zuji.server.importer.ledger import import_key
from zuji.server.importer.mapping import Resolved, resolve, with_kinds
from zuji.server.importer.normalise import (
    DEVICE,
    EVENT,
    INSERT_ID,
    TIME,
    USER,
    Constants,
    Normaliser,
    read_types,
)
from zuji.server.importer.readers.base import Chunk, Reject, row_values
from zuji.server.importer.readers.json_lines import JsonLinesReader
from zuji.server.importer.times import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zuji.server.importer.mapping import Mapping, PropertyType
    from zuji.server.importer.place import LedgerPlace
    from zuji.server.importer.readers.opening import AnyReader
    from zuji.server.importer.rejects import RejectsFile

APPEND_ROWS = 1_000_000
APPEND_BYTES = 256 << 20
AHEAD_CHUNKS = 4
_PROFILE_TYPES = {"profile_set": True, "track": False}


class Sink(Protocol):
    """The part of the engine that an import needs."""

    def append_table(
        self, table: Any, mapping: Any, *, ledger: tuple[str, int] | None = None
    ) -> Any:
        """Stores a table durably; the result has ``accepted``, ``duplicates`` and ``rejected``."""

    def import_position(self, key: str) -> int:
        """Where the import of that key ended; 0 when there was none."""


@dataclass
class Progress:
    """Counters of one file while it is read; bytes are those of the file itself. ``later``: columns
    that its first lines had not.
    """

    path: Path
    bytes_total: int
    rows_total: int | None = None
    bytes_done: int = 0
    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    kept: int = 0
    skipped: int = 0
    resumed_at: int = 0
    already_done: bool = False
    stopped: bool = False
    seconds: float = 0.0
    unsupported: dict[str, str] = field(default_factory=dict)
    later: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """A file that is ready to be imported: opened, its columns resolved."""

    path: Path
    reader: AnyReader
    mapping: Mapping
    resolved: Resolved
    tz: str
    key: str
    kinds: dict[str, PropertyType] = field(default_factory=dict)

    def columns(self) -> Columns:
        """What its columns are, for one run."""
        return Columns(self.mapping, self.resolved, self.reader.columns, self.path, self.kinds)


def plan_file(
    path: Path,
    reader: AnyReader,
    mapping: Mapping,
    project_tz: str,
    kinds: dict[str, PropertyType] | None = None,
    how: str = "",
) -> Plan:
    """Holds the mapping against the file; nothing is written.

    ``kinds``: types that properties have in the project already; columns are read as these unless
    the mapping says otherwise. ``how``: further words for the key of the import.

    :raises InvalidInput: the mapping does not fit.
    """
    resolved = with_kinds(resolve(mapping, reader.columns, path), kinds or {})
    types = read_types(resolved)
    columns = reader.columns
    reader.retype({name: kind for name, kind in types.items() if name in columns})
    if isinstance(reader, JsonLinesReader):  # ids are text, wherever they begin
        later = [name for name in open_names(mapping, resolved) if name not in columns]
        reader.retype(dict.fromkeys(later, pa.string()))
    reader.only(resolved.columns)
    tz = mapping.tz or project_tz
    key = import_key(path, mapping, tz + how)
    return Plan(path, reader, mapping, resolved, tz, key, kinds or {})


def run_file(
    plan: Plan,
    engine: Sink,
    rejects: RejectsFile,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    stop: threading.Event | None = None,
    append_rows: int = APPEND_ROWS,
    limit_rows: int | None = None,
    resume: bool = True,
    place: LedgerPlace | None = None,
) -> Progress:
    """Imports one file from where it stopped. ``place``: also guards against a changed file.

    :returns: what was done; ``stopped`` when ``stop`` was set before the end.
    :raises InvalidInput: damaged file. :raises ZujiError: from the engine.
    """
    stop = stop or threading.Event()
    state = Progress(plan.path, plan.reader.size_bytes, plan.reader.rows_known)
    start = engine.import_position(plan.key) if resume else 0
    if place is not None:
        start = place.position
    state.resumed_at = start
    began = time.monotonic()
    normaliser, columns = normaliser_of(plan), plan.columns()
    first = True
    with Ahead(plan.reader.chunks(start), AHEAD_CHUNKS) as chunks:
        for pieces in _gathered(chunks, min(append_rows, limit_rows or append_rows)):
            if first and place is not None:
                place.begin()
            if first and start:
                rejects.resume(plan.path, plan.key)
            first = False
            state.skipped += sum(piece.skipped for piece in pieces)
            rows, refused = _append(
                plan.key if resume else "", normaliser, columns, pieces, engine, state
            )
            state.rows += rows
            state.rejected += len(refused)
            rejects.add(plan.path, refused, plan.key)
            state.bytes_done = pieces[-1].progress
            state.seconds = time.monotonic() - began
            on_progress(state)
            if stop.is_set() or (limit_rows is not None and state.rows >= limit_rows):
                state.stopped = stop.is_set()
                break
        else:
            if place is not None:
                place.finish()
    state.already_done = first and start > 0
    state.unsupported, state.later = normaliser.unsupported, columns.later
    state.seconds = time.monotonic() - began
    return state


def normaliser_of(plan: Plan) -> Normaliser:
    """What brings the file's chunks into the engine's form."""
    mapping = plan.mapping
    clock = Clock(plan.tz, mapping.time_unit, mapping.time_format)
    same = Constants(
        user=mapping.user_value,
        device=mapping.device_value,
        time_ms=None if mapping.time_value is None else clock.instant(mapping.time_value),
        list_separator=mapping.list_separator or plan.reader.list_separator,
    )
    return Normaliser(plan.resolved, Clock(plan.tz, mapping.time_unit, mapping.time_format), same)


def _append(
    key: str,
    normaliser: Normaliser,
    columns: Columns,
    pieces: list[Chunk],
    engine: Sink,
    state: Progress,
) -> tuple[int, list[Reject]]:
    """Puts a group of chunks in; only the last append moves the place. ``key``: of the import; "":
    no place is kept.
    """
    batches: list[tuple[pa.Table, Any, bool]] = []
    refused: list[Reject] = []
    rows = 0
    for piece in pieces:
        rows += piece.table.num_rows + len(piece.rejects)
        refused += piece.rejects
        normaliser.resolved = columns.seen(piece.table.column_names)
        for part, profile in by_type(piece, normaliser.resolved, refused):
            table, numbers, bad = normaliser.table(part)
            refused += bad
            batches.append((table, numbers, profile))
    # Profiles first: a property set twice is the same, so they may repeat after a crash.
    batches.sort(key=lambda batch: not batch[2])
    ledger = (key, pieces[-1].end) if key else None
    batches = _joined(batches)
    for place, (table, numbers, profile) in enumerate(batches):
        last = place == len(batches) - 1
        result = engine.append_table(
            table,
            _engine_mapping(columns.resolved, table, profile=profile),
            ledger=ledger if last else None,
        )
        state.accepted += result.accepted
        state.duplicates += result.duplicates
        refused += [
            _source_reject(pieces, int(numbers[r.index]), r.reason, r.message)
            for r in result.rejected
        ]
    refused.sort(key=lambda reject: reject.row)
    return rows, refused


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


def _joined(batches: list[tuple[pa.Table, Any, bool]]) -> list[tuple[pa.Table, Any, bool]]:
    """One table a kind where possible, so that a group goes in as one durable step."""
    joined: list[tuple[pa.Table, Any, bool]] = []
    for table, numbers, profile in batches:
        if joined and joined[-1][2] == profile:
            before, old, _ = joined[-1]
            one = _concat(before, table)
            if one is not None:
                joined[-1] = (one, np.concatenate([old, numbers]), profile)
                continue
        joined.append((table, numbers, profile))
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
                f"the type {kind!r} is not track or profile_set",
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


def _gathered(chunks: Iterator[Chunk], most_rows: int) -> Iterator[list[Chunk]]:
    """Chunks joined to about ``most_rows``: big appends make few, large segments."""
    group: list[Chunk] = []
    rows = bytes_held = 0
    for chunk in chunks:
        group.append(chunk)
        rows += chunk.table.num_rows + len(chunk.rejects)
        bytes_held += chunk.table.nbytes
        if rows >= most_rows or bytes_held >= APPEND_BYTES:
            yield group
            group, rows, bytes_held = [], 0, 0
    if group:
        yield group
