"""The Zuji side, through the public API only: load and query.

Every function runs in a process of its own (`worker.py`), so peak memory is that of Zuji alone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.generate import GROUP_ROWS, grouped, profiles_path
from bench.measure import Run, cpu_seconds, disk_bytes, io_bytes, peak_rss_bytes, timed
from bench.shape import PROFILE, PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bench.shape import Shape

PROJECT = "bench"
# Repeats are Zuji's own to find, by insert_id; only the peers look at the column `repeat`.
EVENTS = {
    "event": "event",
    "user": "user_id",
    "time": "time",
    "insert_id": "insert_id",
    "properties": {name: name for name in PROPERTIES},
}
PROFILES = {"user": "user_id", "profile": True, "properties": {name: name for name in PROFILE}}


def load(shape: Shape, parquet: Path, data: Path, threads: int) -> dict[str, Any]:
    """Parquet → durable, compacted segments; see :func:`load_stream`."""
    return load_stream(
        shape, pq.read_table(profiles_path(parquet)), _tables(parquet), data, threads
    )


def load_stream(
    shape: Shape,
    people: pa.Table,
    tables: Iterable[pa.Table],
    data: Path,
    threads: int,
    progress: Any = None,
) -> dict[str, Any]:
    """Tables → durable, compacted segments. Seconds of each phase, peak memory, bytes a row."""
    before = peak_rss_bytes()
    import zuji

    began, cpu, io = time.perf_counter(), cpu_seconds(), io_bytes()
    config = zuji.Config(threads=threads)
    rows = repeats = 0
    with zuji.open(data, PROJECT, tz=shape.tz, config=config) as engine:
        for at in range(0, len(people), GROUP_ROWS):
            engine.append_table(people.slice(at, GROUP_ROWS), PROFILES)
        for stored in engine.append_tables(tables, EVENTS):
            rows += stored.accepted
            repeats += stored.duplicates
            if progress is not None:
                progress(rows + repeats, time.perf_counter() - began)
        appended = time.perf_counter() - began
        engine.flush()
        engine.compact()
        compacted = time.perf_counter() - began
    closed = time.perf_counter() - began
    size = disk_bytes(data)
    segments = sum(p.stat().st_size for p in data.rglob("*.zseg"))
    return {
        "rows": rows,
        "repeats": repeats,
        "append_s": appended,
        "compacted_s": compacted,
        "total_s": closed,
        "cpu_s": cpu_seconds() - cpu,
        "rows_per_s": (rows + repeats) / closed,
        "peak_rss_bytes": peak_rss_bytes(),
        "rss_before_import_bytes": before,
        "disk_bytes": size,
        "bytes_per_row": segments / max(1, rows),
        "all_bytes_per_row": size / max(1, rows),
        "written_bytes": io_bytes()["write_bytes"] - io["write_bytes"],
    }


def _tables(parquet: Path) -> Iterator[pa.Table]:
    """The file in tables of about a million rows, as the importer takes them: each is one durable
    step. One is held at a time.
    """
    wanted = ["time", "user_id", "event", "insert_id", *PROPERTIES]
    batches = pq.ParquetFile(parquet).iter_batches(1 << 17, columns=wanted)
    for group in grouped(batches, GROUP_ROWS):
        yield pa.Table.from_batches(group)


class Zuji:
    """An open project for timing queries."""

    def __init__(self, data: Path, threads: int) -> None:
        import zuji

        self._engine = zuji.open(data, PROJECT, mode="r", config=zuji.Config(threads=threads))

    def run(self, form: tuple[dict[str, Any], ...]) -> Run:
        """One timed run; an answer is rows as dicts (making the dicts is not timed)."""

        def once() -> tuple[list[Any], int | None]:
            results = [ask(self._engine, query) for query in form]
            read = [int(r.meta.get("bytes_read", 0)) for r in results if hasattr(r, "meta")]
            return results, sum(read)

        run = timed(once)
        run.answer[:] = [_dicts(result) for result in run.answer]
        return run

    def close(self) -> None:
        """Closes the project."""
        self._engine.close()


def ask(engine: Any, query: dict[str, Any]) -> Any:
    """Answer of one query. Whole session paths have no model, but a private seam."""
    if "timeline" in query:
        return engine.timeline(query["timeline"])
    if "session_paths" in query:
        with engine.snapshot() as snapshot:
            return snapshot._session_paths(**query["session_paths"])[0]
    return engine.query(query)


def _dicts(result: Any) -> list[dict[str, Any]]:
    if isinstance(result, list):
        return [{"path": path, "sessions": sessions} for path, sessions in result]
    names = [column.name for column in result.columns]
    return [dict(zip(names, row, strict=True)) for row in result.rows]
