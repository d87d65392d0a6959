"""The Zuji side of the ingest benchmark, one function a part, each for a process of its own."""

from __future__ import annotations

import shutil
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.batches import BATCH_EVENTS, endless, read_batches
from bench.measure import cpu_seconds, disk_bytes, io_bytes, peak_rss_bytes
from bench.questions import questions
from bench.shape import Shape, event_name
from bench.zuji_side import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

WARM_BATCHES = 100
BESIDE = ("trend", "grouped", "funnel_3", "retention", "dau_mau")


def _fresh_project(folder: Path, threads: int, **more: Any) -> tuple[Any, Path]:
    import zuji

    data = folder / "wire"
    shutil.rmtree(data, ignore_errors=True)
    config = zuji.Config(threads=threads, **more)
    return zuji.open(data, PROJECT, tz=Shape(1).tz, config=config), data


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
    engine, data = _fresh_project(folder, threads)
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


class _Flood:
    """Sends batches round after round, new in every round, until stopped."""

    def __init__(self, engine: Any, source: Iterator[bytes], senders: int) -> None:
        self._engine = engine
        self._source = source
        next(source)  # what is sent again and again is prepared now, not when it is timed
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.events = 0
        self._threads = [threading.Thread(target=self._sender) for _ in range(senders)]
        for thread in self._threads:
            thread.start()

    def _sender(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                batch = next(self._source)
            stored = self._engine.append_batch(batch)
            with self._lock:
                self.events += stored.accepted

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def _asked(names: Sequence[str]) -> dict[str, tuple[dict[str, Any], ...]]:
    return {q.name: q.queries for q in questions(Shape(20_000_000)) if q.name in names}


def _medians(ask: Callable[[Any], None], seconds: float) -> dict[str, float]:
    """Median ms of each question, asked round after round."""
    forms = _asked(BESIDE)
    seen: dict[str, list[float]] = {name: [] for name in forms}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or not all(seen.values()):
        for name, form in forms.items():
            began = time.perf_counter()
            ask(form)
            seen[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) * 1000 for name, values in seen.items()}


def beside(folder: Path, loaded: Path | None, seconds: float, threads: int) -> dict[str, Any]:
    """Queries alone, ingest alone, both together: how much each slows down."""
    import os

    import zuji

    data = folder / "beside"
    shutil.rmtree(data, ignore_errors=True)
    if loaded is not None:
        # Segments never change, so links will do; the rest is copied.
        shutil.copytree(
            loaded,
            data,
            copy_function=lambda a, b: os.link(a, b) if a.endswith(".zseg") else shutil.copy2(a, b),
        )
    engine = zuji.open(data, PROJECT, tz=Shape(1).tz, config=zuji.Config(threads=threads))
    batches = read_batches(folder, "msgpack")
    _send(engine, batches[:WARM_BATCHES], 1)

    def ask(form: tuple[dict[str, Any], ...]) -> None:
        for query in form:
            engine.query(query)

    _medians(ask, 0.0)
    alone = _medians(ask, seconds / 3)
    flood = _Flood(engine, endless(batches[WARM_BATCHES:]), 1)
    time.sleep(seconds / 3)
    rate_alone = flood.events / (seconds / 3)
    before, began = flood.events, time.perf_counter()
    together = _medians(ask, seconds / 3)
    rate_together = (flood.events - before) / (time.perf_counter() - began)
    flood.stop()
    engine.close()
    shutil.rmtree(data)
    return {
        "queries_alone_ms": alone,
        "queries_beside_ms": together,
        "query_slowdown": {name: together[name] / alone[name] for name in alone},
        "ingest_alone_per_s": rate_alone,
        "ingest_beside_per_s": rate_together,
        "ingest_slowdown": rate_alone / max(1.0, rate_together),
    }


def fresh(folder: Path, wanted: float, seconds: float, threads: int) -> dict[str, Any]:
    """Ack → visible at a steady rate: from the return of ``append_batch`` of a marked event to the
    end of the first query that counts it.
    """
    import msgpack

    engine, data = _fresh_project(folder, threads)
    batches = read_batches(folder, "msgpack")
    stop = threading.Event()
    sent = [0]

    def steady() -> None:
        began = time.perf_counter()
        for number, batch in enumerate(source):
            due = began + number * BATCH_EVENTS / wanted
            now = time.perf_counter()
            if due > now:
                stop.wait(due - now)
            if stop.is_set():
                return
            sent[0] += engine.append_batch(batch).accepted

    source = endless(batches)
    _send(engine, [next(source)], 1)
    sender = threading.Thread(target=steady)
    began = time.perf_counter()
    sender.start()
    shape = Shape(1)
    waits: list[float] = []
    number = 0
    while time.perf_counter() - began < seconds:
        number += 1
        marked = {"event": "marked", "user_id": f"m{number}", "time": shape.start_ms + number}
        engine.append_batch(msgpack.packb({"events": [marked]}))
        acked = time.perf_counter()
        while _marked(engine, shape) < number:
            pass
        waits.append(time.perf_counter() - acked)
        time.sleep(0.02)
    elapsed = time.perf_counter() - began
    stop.set()
    sender.join()
    engine.close()
    shutil.rmtree(data)
    return {
        "events_per_s": sent[0] / elapsed,
        "wanted_per_s": wanted,
        "probes": len(waits),
        "p50_ms": float(np.percentile(waits, 50)) * 1000,
        "p99_ms": float(np.percentile(waits, 99)) * 1000,
        "max_ms": max(waits) * 1000,
    }


def _marked(engine: Any, shape: Shape) -> int:
    time_range = {"from": shape.first_day, "to": shape.last_day, "grain": "all"}
    series = [{"e": "marked", "measure": "count"}]
    query = {"v": 1, "model": "event", "time": time_range, "body": {"series": series}}
    return sum(int(row[-1]) for row in engine.query(query).rows)


def compaction(folder: Path, minutes: float, senders: int, threads: int) -> dict[str, Any]:
    """Ingest at full speed for some minutes: segments over time, query time during it, and bytes
    written for every byte that is stored at the end.
    """
    engine, data = _fresh_project(folder, threads)
    batches = read_batches(folder, "msgpack")
    source = endless(batches)
    io = io_bytes()
    flood = _Flood(engine, source, senders)
    began = time.perf_counter()
    segments: list[int] = []
    trend = _asked(("trend",))["trend"][0] | {}
    query_ms: list[float] = []
    steps = max(4, round(minutes * 6))
    for step in range(1, steps + 1):
        time.sleep(max(0.0, began + minutes * 60 * step / steps - time.perf_counter()))
        segments.append(sum(1 for _ in data.rglob("*.zseg")))
        asked = time.perf_counter()
        engine.query(trend)
        query_ms.append((time.perf_counter() - asked) * 1000)
    elapsed = time.perf_counter() - began
    flood.stop()
    during = io_bytes()["write_bytes"] - io["write_bytes"]
    ended = time.perf_counter()
    engine.flush()
    engine.compact()
    tail = time.perf_counter() - ended
    written = io_bytes()["write_bytes"] - io["write_bytes"]
    asked = time.perf_counter()
    engine.query(trend)
    quiet_ms = (time.perf_counter() - asked) * 1000
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
