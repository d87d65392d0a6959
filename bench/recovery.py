"""Recovery from the log: fill it, die without closing, open again."""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, Any

from bench.wire import events
from bench.zuji_side import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.shape import Shape

BATCH_EVENTS = 1_000


def _batched(made: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(made, size)):
        yield batch


def fill_wal(shape: Shape, data: Path) -> None:
    """Appends msgpack batches that stay in the WAL, then dies without closing."""
    import msgpack

    import zuji

    config = zuji.Config(memtable_rows=1 << 62, memtable_bytes=1 << 62)
    engine = zuji.open(data, PROJECT, tz=shape.tz, config=config)
    sent = 0
    for batch in _batched(events(shape), BATCH_EVENTS):
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
