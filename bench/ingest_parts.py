"""The Zuji side of the ingest benchmark, what concerns ingest itself: one function a part, each for
a process of its own. Queries beside ingest are in :mod:`bench.ingest_beside`.
"""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.batches import endless, read_batches
from bench.ingest_beside import Flood, asked, fresh_project
from bench.measure import cpu_seconds, disk_bytes, io_bytes, peak_rss_bytes
from bench.shape import event_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WARM_BATCHES = 100


def _send(engine: Any, batches: Sequence[bytes], senders: int) -> list[float]:
    """Sends all batches from some threads; seconds of each ack."""
    waits: list[float] = []
    failed: list[Exception] = []
    todo = iter(batches)
    lock = threading.Lock()

    def sender() -> None:
        while True:
            with lock:
                batch = next(todo, None)
            if batch is None:
                return
            began = time.perf_counter()
            try:
                engine.append_batch(batch)
            except Exception as problem:
                failed.append(problem)
                return
            waits.append(time.perf_counter() - began)

    threads = [threading.Thread(target=sender) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return waits


def rate(folder: Path, wire: str, senders: int, threads: int) -> dict[str, Any]:
    """Events/s to acks, and to flushed and compacted segments; CPU seconds per million events.

    The first batches warm the dictionaries and are not counted.
    """
    import zuji

    batches = read_batches(folder, wire)
    engine, data = fresh_project(folder, threads)
    try:
        _send(engine, batches[:WARM_BATCHES], 1)
    except zuji.ZujiError as problem:
        engine.close()
        return {"refused": str(problem)}
    warm = engine.append_batch(batches[0])
    per_batch = warm.accepted + warm.duplicates
    rest = batches[WARM_BATCHES:]
    events = per_batch * len(rest)
    began, cpu, io = time.perf_counter(), cpu_seconds(), io_bytes()
    waits = _send(engine, rest, senders)
    acked, acked_cpu = time.perf_counter() - began, cpu_seconds() - cpu
    engine.flush()
    engine.compact()
    total, total_cpu = time.perf_counter() - began, cpu_seconds() - cpu
    written = io_bytes()["write_bytes"] - io["write_bytes"]
    engine.close()
    size = disk_bytes(data)
    shutil.rmtree(data)
    return {
        "events": events,
        "acked_events_per_s": events / acked,
        "acked_cpu_s_per_million": acked_cpu / events * 1e6,
        "events_per_s": events / total,
        "cpu_s_per_million": total_cpu / events * 1e6,
        "events_per_cpu_s": events / total_cpu,
        "ack_p50_ms": float(np.percentile(waits, 50)) * 1000,
        "ack_p99_ms": float(np.percentile(waits, 99)) * 1000,
        "bytes_per_event": size / (events + WARM_BATCHES * per_batch),
        "written_bytes_per_event": written / events,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def compaction(folder: Path, minutes: float, senders: int, threads: int) -> dict[str, Any]:
    """Ingest at full speed for some minutes: segments over time, query time during it, and bytes
    written for every byte that is stored at the end.
    """
    engine, data = fresh_project(folder, threads)
    batches = read_batches(folder, "msgpack")
    source = endless(batches)
    io = io_bytes()
    flood = Flood(engine, source, senders)
    began = time.perf_counter()
    segments: list[int] = []
    trend = asked(("trend",))["trend"][0] | {}
    query_ms: list[float] = []
    steps = max(4, round(minutes * 6))
    for step in range(1, steps + 1):
        time.sleep(max(0.0, began + minutes * 60 * step / steps - time.perf_counter()))
        segments.append(sum(1 for _ in data.rglob("*.zseg")))
        before = time.perf_counter()
        engine.query(trend)
        query_ms.append((time.perf_counter() - before) * 1000)
    elapsed = time.perf_counter() - began
    flood.stop()
    during = io_bytes()["write_bytes"] - io["write_bytes"]
    ended = time.perf_counter()
    engine.flush()
    engine.compact()
    tail = time.perf_counter() - ended
    written = io_bytes()["write_bytes"] - io["write_bytes"]
    before = time.perf_counter()
    engine.query(trend)
    quiet_ms = (time.perf_counter() - before) * 1000
    engine.close()
    stored = sum(p.stat().st_size for p in data.rglob("*.zseg"))
    shutil.rmtree(data)
    return {
        "events": flood.events,
        "events_per_s": flood.events / elapsed,
        "segments": segments,
        "trend_of_" + event_name(5) + "_ms": query_ms,
        "quiet_ms": quiet_ms,
        "left_to_compact_s": tail,
        "written_bytes": written,
        "written_during_bytes": during,
        "stored_bytes": stored,
        "write_amplification": written / max(1, stored),
    }
