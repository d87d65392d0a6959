"""The Zuji side, through the public API only: load, query, reopen, recover.

Every function runs in a process of its own (`worker.py`, `__main__.py`), so peak memory and cold
starts are those of Zuji alone.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.generate import profiles_path
from bench.shape import PROFILE, PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.questions import Question
    from bench.shape import Shape

# Rows of one append_table call, as the importer takes them: each call is one durable step.
APPEND_ROWS = 1_000_000
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


def peak_rss_bytes() -> int:
    """High-water mark of this process's resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def disk_bytes(path: Path) -> int:
    """Bytes of all files under ``path``."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def load(shape: Shape, parquet: Path, data: Path, threads: int) -> dict[str, Any]:
    """Parquet → durable, compacted segments. Seconds of each phase, peak memory, bytes a row."""
    before = peak_rss_bytes()
    import zuji

    began = time.perf_counter()
    config = zuji.Config(threads=threads)
    rows = repeats = 0
    with zuji.open(data, PROJECT, tz=shape.tz, config=config) as engine:
        engine.append_table(pq.read_table(profiles_path(parquet)), PROFILES)
        for stored in engine.append_tables(_tables(parquet), EVENTS):
            rows += stored.accepted
            repeats += stored.duplicates
        appended = time.perf_counter() - began
        engine.flush()
        flushed = time.perf_counter() - began
        engine.compact()
        compacted = time.perf_counter() - began
    closed = time.perf_counter() - began
    return {
        "rows": rows,
        "repeats": repeats,
        "append_s": appended,
        "append_and_flush_s": flushed,
        "compacted_s": compacted,
        "total_s": closed,
        "rows_per_s": rows / closed,
        "peak_rss_bytes": peak_rss_bytes(),
        "rss_before_import_bytes": before,
        "disk_bytes": disk_bytes(data),
        "bytes_per_row": disk_bytes(data) / max(1, rows),
    }


def _tables(parquet: Path) -> Iterator[pa.Table]:
    """The file in tables of about APPEND_ROWS rows; one is held at a time."""
    source = pq.ParquetFile(parquet)
    batches: list[pa.RecordBatch] = []
    rows = 0
    for batch in source.iter_batches(1 << 17):
        batches.append(batch)
        rows += batch.num_rows
        if rows >= APPEND_ROWS:
            yield pa.Table.from_batches(batches)
            batches, rows = [], 0
    if batches:
        yield pa.Table.from_batches(batches)


class Zuji:
    """An open project for timing queries."""

    def __init__(self, data: Path, threads: int) -> None:
        import zuji

        self._engine = zuji.open(data, PROJECT, mode="r", config=zuji.Config(threads=threads))

    def timed(self, query: dict[str, Any]) -> tuple[float, list[dict[str, Any]]]:
        """Seconds of one run and its rows as dicts (making the dicts is not timed)."""
        began = time.perf_counter()
        result = self._engine.query(query)
        elapsed = time.perf_counter() - began
        names = [column.name for column in result.columns]
        return elapsed, [dict(zip(names, row, strict=True)) for row in result.rows]

    def close(self) -> None:
        """Closes the project."""
        self._engine.close()


def import_seconds(runs: int = 7) -> dict[str, float]:
    """Medians in fresh interpreters: ``import zuji`` alone, and until ``zuji.open`` can be
    called.
    """
    code = (
        "import time; t = time.perf_counter(); import zuji; a = time.perf_counter() - t\n"
        "zuji.open; print(a, time.perf_counter() - t)"
    )
    seen = [[float(x) for x in _python(code).split()] for _ in range(runs)]
    middle = runs // 2
    return {
        "import_s": sorted(s[0] for s in seen)[middle],
        "import_engine_s": sorted(s[1] for s in seen)[middle],
    }


def first_query_seconds(data: Path, question: Question, runs: int = 5) -> dict[str, float]:
    """Medians, each in a fresh process: import + open, and those with the first query."""
    code = (
        "import sys, time, json\n"
        "q = json.loads(sys.argv[2]); t = time.perf_counter(); import zuji\n"
        f"e = zuji.open(sys.argv[1], {PROJECT!r}, mode='r'); a = time.perf_counter() - t\n"
        "e.query(q); print(json.dumps([a, time.perf_counter() - t]))\n"
    )
    seen = [json.loads(_python(code, str(data), json.dumps(question.query))) for _ in range(runs)]
    middle = runs // 2
    return {
        "open_s": sorted(s[0] for s in seen)[middle],
        "open_and_query_s": sorted(s[1] for s in seen)[middle],
    }


def _python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def _events(shape: Shape) -> Iterator[dict[str, Any]]:
    from bench.generate import blocks

    for block in blocks(shape):
        columns = {
            name: block.column(name).to_pylist() for name in block.schema.names if name != "time"
        }
        times = block.column("time").cast("int64").to_pylist()
        names = [n for n in columns if n not in ("event", "user_id")]
        for i, at in enumerate(times):
            yield {
                "event": columns["event"][i],
                "user_id": columns["user_id"][i],
                "time": at,
                "properties": {name: columns[name][i] for name in names},
            }


def _batched(events: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(events, size)):
        yield batch


def fill_wal(shape: Shape, data: Path) -> None:
    """Appends msgpack batches of 2,000 events that stay in the WAL, then dies without closing."""
    import msgpack

    import zuji

    config = zuji.Config(memtable_rows=1 << 62, memtable_bytes=1 << 62)
    engine = zuji.open(data, PROJECT, tz=shape.tz, config=config)
    sent = 0
    for batch in _batched(_events(shape), 2_000):
        blob = msgpack.packb({"events": batch})
        engine.append_batch(blob)
        sent += len(blob)
    # The process dies on purpose, so what it knows goes through a file beside the project.
    data.with_suffix(".sent").write_text(str(sent))
    os._exit(0)


def recover(data: Path) -> dict[str, float]:
    """Seconds to open a project whose WAL holds everything, per GB of WAL."""
    import zuji

    wal_bytes = sum(p.stat().st_size for p in data.rglob("*.wal"))
    open_project = zuji.open
    began = time.perf_counter()
    engine = open_project(data, PROJECT)
    elapsed = time.perf_counter() - began
    rows = sum(int(e["rows"]) for e in engine.events())
    engine.close()
    sent = int(data.with_suffix(".sent").read_text())
    return {
        "wal_bytes": wal_bytes,
        "batch_bytes": sent,
        "seconds_per_gb_of_batches": elapsed / (sent / 1e9),
        "rows": rows,
        "recovery_s": elapsed,
        "seconds_per_gb": elapsed / (wal_bytes / 1e9) if wal_bytes else 0.0,
        "rows_per_s": rows / elapsed if elapsed else 0.0,
    }
