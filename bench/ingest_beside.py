"""Queries beside ingest, the Zuji side: one function a part, each for a process of its own.

``beside`` wants a loaded project: on an empty one every query takes half a millisecond and reads
nothing but the memtable, so a ratio says little.
"""

from __future__ import annotations

import os
import shutil
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.batches import BATCH_EVENTS, endless, read_batches
from bench.measure import cpu_seconds
from bench.questions import questions
from bench.shape import Shape
from bench.zuji_side import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

BESIDE = ("trend", "grouped", "funnel_3", "retention", "dau_mau")
LEAD_BATCHES = 100
"""Sent before anything is timed, so that dictionaries are warm and a memtable has rows."""
ANALYSTS = 16
PROBE_PAUSE_S = 0.02


def fresh_project(folder: Path, threads: int, **more: Any) -> tuple[Any, Path]:
    """An engine on a new, empty project, and where it lies."""
    import zuji

    data = folder / "wire"
    shutil.rmtree(data, ignore_errors=True)
    config = zuji.Config(threads=threads, **more)
    return zuji.open(data, PROJECT, tz=Shape(1).tz, config=config), data


def loaded_project(folder: Path, loaded: Path | None, threads: int) -> tuple[Any, Path]:
    """An engine on a copy of a loaded project, or on an empty one, and where it lies."""
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
    return zuji.open(data, PROJECT, tz=Shape(1).tz, config=zuji.Config(threads=threads)), data


class Flood:
    """Sends batches round after round, new in every round, until stopped: as fast as it can, or at
    ``wanted`` events/s in all (the next one at once when it is late).
    """

    def __init__(
        self, engine: Any, source: Iterator[bytes], senders: int, wanted: float | None = None
    ) -> None:
        self._engine = engine
        self._source = source
        next(source)  # what is sent again and again is prepared now, not when it is timed
        self._pause = 0.0 if wanted is None else BATCH_EVENTS / wanted
        self._sent = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.events = 0
        self.acks: list[float] = []
        self._began = time.perf_counter()
        self._threads = [threading.Thread(target=self._sender) for _ in range(senders)]
        for thread in self._threads:
            thread.start()

    def _sender(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                batch = next(self._source)
                due = self._began + self._sent * self._pause
                self._sent += 1
            early = due - time.perf_counter()
            if self._pause and early > 0 and self._stop.wait(early):
                return
            began = time.perf_counter()
            stored = self._engine.append_batch(batch)
            with self._lock:
                self.acks.append(time.perf_counter() - began)
                self.events += stored.accepted

    def during(self, work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
        """What ``work`` returns, and rate and acks while it ran."""
        with self._lock:
            events, acks, began = self.events, len(self.acks), time.perf_counter()
        found = work()
        with self._lock:
            elapsed = time.perf_counter() - began
            waits = np.array(self.acks[acks:] or [np.nan]) * 1000
            rate = (self.events - events) / elapsed
        return found, {
            "events_per_s": rate,
            "ack_p50_ms": float(np.percentile(waits, 50)),
            "ack_p99_ms": float(np.percentile(waits, 99)),
        }

    def stop(self) -> None:
        """Ends the senders."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


def asked(names: Sequence[str]) -> dict[str, tuple[dict[str, Any], ...]]:
    """Queries of some questions."""
    return {q.name: q.queries for q in questions(Shape(20_000_000)) if q.name in names}


def _medians(ask: Callable[[Any], None], seconds: float) -> dict[str, float]:
    """Median ms of each question, asked round after round."""
    forms = asked(BESIDE)
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
    engine, data = loaded_project(folder, loaded, threads)
    batches = read_batches(folder, "msgpack")
    for batch in batches[:LEAD_BATCHES]:
        engine.append_batch(batch)

    def ask(form: tuple[dict[str, Any], ...]) -> None:
        for query in form:
            engine.query(query)

    _medians(ask, 0.0)
    alone = _medians(ask, seconds / 3)
    flood = Flood(engine, endless(batches[LEAD_BATCHES:]), 1)
    _, ingest_alone = flood.during(lambda: time.sleep(seconds / 3))
    together, ingest_beside = flood.during(lambda: _medians(ask, seconds / 3))
    flood.stop()
    engine.close()
    shutil.rmtree(data)
    rate = max(1.0, ingest_beside["events_per_s"])
    return {
        "queries_alone_ms": alone,
        "queries_beside_ms": together,
        "query_slowdown": {name: together[name] / alone[name] for name in alone},
        "ingest_alone": ingest_alone,
        "ingest_beside": ingest_beside,
        "ingest_slowdown": ingest_alone["events_per_s"] / rate,
    }


def busy(
    folder: Path, loaded: Path | None, wanted: float, seconds: float, threads: int
) -> dict[str, Any]:
    """Sixteen analysts beside a steady rate of events: what they cost acks, and it them."""
    engine, data = loaded_project(folder, loaded, threads)
    batches = read_batches(folder, "msgpack")
    for batch in batches[:LEAD_BATCHES]:
        engine.append_batch(batch)
    forms = list(asked(BESIDE).values())

    def analysts() -> dict[str, float]:
        waits: list[float] = []
        until = time.perf_counter() + seconds / 3

        def analyst(number: int) -> None:
            at = number
            while time.perf_counter() < until:
                began = time.perf_counter()
                for query in forms[at % len(forms)]:
                    engine.query(query)
                waits.append(time.perf_counter() - began)
                at += 1

        began = time.perf_counter()
        threads = [threading.Thread(target=analyst, args=(i,)) for i in range(ANALYSTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {
            "queries_per_s": len(waits) / (time.perf_counter() - began),
            "p50_ms": float(np.percentile(waits, 50)) * 1000,
            "p99_ms": float(np.percentile(waits, 99)) * 1000,
        }

    alone = analysts()
    flood = Flood(engine, endless(batches[LEAD_BATCHES:]), 2, wanted)
    _, ingest_alone = flood.during(lambda: time.sleep(seconds / 3))
    together, ingest_beside = flood.during(analysts)
    flood.stop()
    engine.close()
    shutil.rmtree(data)
    return {
        "wanted_per_s": wanted,
        "analysts_alone": alone,
        "analysts_beside": together,
        "ingest_alone": ingest_alone,
        "ingest_beside": ingest_beside,
    }


def fresh(
    folder: Path, wanted: float, seconds: float, senders: int, threads: int
) -> dict[str, Any]:
    """Ack → visible while some senders offer ``wanted`` events/s: from the return of
    ``append_batch`` of a marked event to the end of the first query that counts it.

    Making a batch new (50 µs) is part of the load; what rate was reached is in the result.
    """
    import msgpack

    engine, data = fresh_project(folder, threads)
    source = endless(read_batches(folder, "msgpack"))
    for _ in range(LEAD_BATCHES):
        engine.append_batch(next(source))
    shape = Shape(1)
    waits: list[float] = []

    def probe() -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            number = len(waits) + 1
            marked = {"event": "marked", "user_id": f"m{number}", "time": shape.start_ms + number}
            engine.append_batch(msgpack.packb({"events": [marked]}))
            acked = time.perf_counter()
            while _marked(engine, shape) < number:
                pass
            waits.append(time.perf_counter() - acked)
            time.sleep(PROBE_PAUSE_S)

    cpu = cpu_seconds()
    flood = Flood(engine, source, senders, wanted)
    _, reached = flood.during(probe)
    cpu = cpu_seconds() - cpu
    flood.stop()
    engine.close()
    shutil.rmtree(data)
    return {
        **reached,
        "wanted_per_s": wanted,
        "senders": senders,
        "cpu_cores": cpu / seconds,
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
