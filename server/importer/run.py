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
from typing import TYPE_CHECKING

import pyarrow as pa

from zuji.server.importer.ahead import Ahead
from zuji.server.importer.appending import Appending, Sink
from zuji.server.importer.later import Columns, open_names
from zuji.server.importer.ledger import import_key
from zuji.server.importer.mapping import Resolved, resolve, with_kinds
from zuji.server.importer.normalise import (
    Constants,
    Normaliser,
    read_types,
)
from zuji.server.importer.readers.json_lines import JsonLinesReader
from zuji.server.importer.times import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zuji.server.importer.mapping import Mapping, PropertyType
    from zuji.server.importer.place import LedgerPlace
    from zuji.server.importer.readers.base import Chunk, Reject
    from zuji.server.importer.readers.opening import AnyReader
    from zuji.server.importer.rejects import RejectsFile

APPEND_ROWS = 1_000_000
APPEND_BYTES = 256 << 20
AHEAD_CHUNKS = 4


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
    group = Appending(plan.key, engine, normaliser, columns)
    first = True

    def note(refused: list[Reject]) -> None:
        rejects.add(plan.path, refused, plan.key)

    with Ahead(plan.reader.chunks(start), AHEAD_CHUNKS) as chunks:
        for pieces in _gathered(chunks, min(append_rows, limit_rows or append_rows)):
            if first and place is not None:
                place.begin()
            if first:
                rejects.resume(plan.path, plan.key)
            first = False
            state.skipped += sum(piece.skipped for piece in pieces)
            done = group.stored(pieces, note, resume=resume)
            state.rows += done.rows
            state.accepted += done.accepted
            state.duplicates += done.duplicates
            state.rejected += done.refused
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
