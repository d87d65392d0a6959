"""Counters of a server in Prometheus' form, with bounded labels: protocols, projects, reasons.

Thread-safe. What is asked for rarely (sizes of projects) is read when somebody scrapes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from zuji.server.plan.repeats import ToldAgain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client.metrics_core import Metric

    from zuji.engine.batch.columns import Rejected
    from zuji.engine.writer import AppendResult
    from zuji.server.collector.http import Watch
    from zuji.server.projects import Projects

disable_created_metrics()  # type: ignore[no-untyped-call]  # doubles the page for nothing
_SECONDS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._taken: defaultdict[tuple[str, str], _Taken] = defaultdict(_Taken)
        self._rejected: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._registry.register(self)
        self._queries = Histogram(
            "zuji_query_seconds",
            "time of queries",
            ("outcome",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._running = Gauge("zuji_queries_running", "now", registry=self._registry)

    def stored(
        self,
        protocol: str,
        project: str,
        results: Sequence[AppendResult],
        refused: Sequence[Rejected] = (),
        *,
        requests: int = 1,
    ) -> None:
        """A request was stored, or several together; ``refused``: what of it was not even an
        event; records of items among it are counted as events. Called on the loop's thread only,
        as :meth:`refused`: there are many requests, and
        these are plain sums.
        """
        taken = self._taken[protocol, project]
        taken.requests += requests
        for result in results:
            taken.events += result.accepted
            taken.repeats += result.duplicates
            if isinstance(result, ToldAgain):  # what was refused then was counted then
                taken.repeats += len(result.rejected)
                continue
            for one in result.rejected:
                self._rejected[project, one.reason] += 1
        for one in refused:
            if one.reason == "kept_item":
                taken.events += 1
            else:
                self._rejected[project, one.reason] += 1

    def refused(self, protocol: str, code: str) -> None:
        """A request was answered with an error."""
        self._refused[protocol, code] += 1

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client's ``Collector``."""
        kinds = ("protocol", "project")
        taken = sorted(self._taken.copy().items())
        yield _counter(
            "requests", "requests with events, stored", kinds, [(k, t.requests) for k, t in taken]
        )
        yield _counter("events", "events stored", kinds, [(k, t.events) for k, t in taken])
        yield _counter(
            "repeats", "events that were there already", kinds, [(k, t.repeats) for k, t in taken]
        )
        yield _counter(
            "rejected_events",
            "events put into the quarantine",
            ("project", "reason"),
            sorted(self._rejected.copy().items()),
        )
        yield _counter(
            "refused_requests",
            "requests answered with an error",
            ("protocol", "code"),
            sorted(self._refused.copy().items()),
        )

    def queried(self, outcome: str, seconds: float) -> None:
        """A query ended; ``outcome``: "ok" or an error's code."""
        self._queries.labels(outcome).observe(seconds)

    def running(self, change: int) -> None:
        """Queries began (1) or ended (-1)."""
        self._running.inc(change)

    def watch(self, watch: Watch | None, projects: Projects) -> None:
        """Also tells what these have when somebody scrapes."""
        self._registry.register(_Sizes(watch, projects))

    def page(self) -> bytes:
        """The text that is scraped."""
        return generate_latest(self._registry)


@dataclass(slots=True)
class _Taken:
    """What one protocol brought to one project."""

    requests: int = 0
    events: int = 0
    repeats: int = 0


def _counter(
    name: str, meaning: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"zuji_{name}", meaning, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


class _Sizes:
    """Connections, and sizes of projects."""

    def __init__(self, watch: Watch | None, projects: Projects) -> None:
        self._watch = watch
        self._projects = projects

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client's ``Collector``."""
        if self._watch is not None:
            yield GaugeMetricFamily(
                "zuji_connections", "open connections", value=len(self._watch.open)
            )
            closed = GaugeMetricFamily(
                "zuji_connections_refused", "closed by a limit", labels=["limit"]
            )
            for limit, count in sorted(self._watch.refused.items()):
                closed.add_metric([limit], count)
            yield closed
        sizes = {
            name: GaugeMetricFamily(f"zuji_project_{name}", meaning, labels=["project"])
            for name, meaning in (
                ("rows", "events stored"),
                ("users", "users"),
                ("segments", "segments"),
                ("segment_bytes", "bytes of segments"),
                ("wal_bytes", "bytes of the log that no segment holds yet"),
                ("rejected", "events in the quarantine"),
                ("erased_waiting", "erased ids whose bytes are still to be removed"),
            )
        }
        waiting = GaugeMetricFamily(
            "zuji_waiting_bytes", "requests not stored yet", labels=["project"]
        )
        memory = GaugeMetricFamily(
            "zuji_project_memory_bytes", "memory by what holds it", labels=["project", "part"]
        )
        upkeep = _upkeep_counters()
        for project in self._projects.all():
            for name, counter in upkeep.items():
                counter.add_metric([project.name], getattr(project.upkeep.done, name))
            status = project.engine.status()
            parts = {**status["memory"], "columns": status["cache"]["bytes"]}
            for part, size in parts.items():
                memory.add_metric([project.name, part], size)
            for name, family in sizes.items():
                family.add_metric([project.name], status[name])
            waiting.add_metric([project.name], project.gatherer.waiting_bytes)
        yield from upkeep.values()
        yield from sizes.values()
        yield memory
        yield waiting


def _upkeep_counters() -> dict[str, CounterMetricFamily]:
    """By what they count in :class:`~zuji.server.upkeep.Done`."""
    return {
        name: CounterMetricFamily(f"zuji_upkeep_{name}", meaning, labels=["project"])
        for name, meaning in (
            ("runs", "daily upkeeps that were done"),
            ("failures", "daily upkeeps that failed"),
            ("purged_users", "erased ids whose bytes were removed"),
            ("expired_rows", "rows that had lived past their time to live"),
        )
    }
