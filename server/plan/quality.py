"""Counters of data quality: how often what was found, by day, reason, severity, SDK and app
version.

Counted in memory, added to the database every few seconds and at the end; a kill loses the last
seconds of counts, never an event. Bounded: of a project and day at most :data:`MOST_KEYS` keys have
counters of their own, the rest share one a reason. Thread-safe.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import select, update

from zuji.engine.errors import StorageFailed
from zuji.server.meta.tables import QualityRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zuji.server.meta import Store

MOST_KEYS = 1_000
OTHER = "other"
_CHARS = 40
_SDK_CHARS = 90


class Count(NamedTuple):
    """A counter and what it counts."""

    day: str
    reason: str
    severity: str
    sdk: str
    app: str
    events: int = 0


class Quality:
    """Counters of one project, whose days are those of its zone."""

    def __init__(self, store: Store, project: str, tz: str) -> None:
        self._store = store
        self._project = project
        self._zone = ZoneInfo(tz)
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._day = ""
        self._keys: set[tuple[str, ...]] = set()  # of the day

    def add(self, found: Iterable[tuple[str, str, str, str]], now_ms: int) -> None:
        """Counts (reason, severity, SDK, app version) of events that came now."""
        day = datetime.fromtimestamp(now_ms / 1000, self._zone).date().isoformat()
        with self._lock:
            if day != self._day:
                self._keys = self._stored_keys(day)
                self._day = day
            for reason, severity, sdk, app in found:
                key = (day, reason[:_CHARS], severity, sdk[:_SDK_CHARS], app[:_CHARS])
                if key not in self._keys:
                    if len(self._keys) >= MOST_KEYS:
                        key = (day, reason[:_CHARS], severity, OTHER, OTHER)
                    else:
                        self._keys.add(key)
                self._counts[key] += 1

    def _stored_keys(self, day: str) -> set[tuple[str, ...]]:
        """Keys of a day that the database has; none when it cannot be read now: what is counted is
        worth more than the bound.
        """
        mine = (QualityRow.project == self._project, QualityRow.day == day)
        with suppress(StorageFailed), self._store.session() as session:
            rows = session.scalars(select(QualityRow).where(*mine))
            return {(r.day, r.reason, r.severity, r.sdk, r.app) for r in rows}
        return set()

    def flush(self) -> None:
        """Adds what was counted to the database.

        Raises:
            StorageFailed: it is kept and added later.
        """
        with self._flushing:
            with self._lock:
                counts, self._counts = self._counts, Counter()
            if not counts:
                return
            try:
                self._write(counts)
            except BaseException:
                with self._lock:
                    self._counts.update(counts)
                raise

    def _write(self, counts: Counter[tuple[str, ...]]) -> None:
        with self._store.session() as session:
            for (day, reason, severity, sdk, app), count in counts.items():
                names = {
                    "project": self._project,
                    "day": day,
                    "reason": reason,
                    "severity": severity,
                    "sdk": sdk,
                    "app": app,
                }
                added = session.execute(
                    update(QualityRow)
                    .where(*(getattr(QualityRow, name) == v for name, v in names.items()))
                    .values(count=QualityRow.count + count)
                )
                if not added.rowcount:  # type: ignore[attr-defined]
                    session.add(QualityRow(**names, count=count))
                    session.flush()


def counted(store: Store, project: str, first: str = "", last: str = "9999") -> list[Count]:
    """Counters of days ``first`` to ``last`` (``YYYY-MM-DD``, included), by day; most first."""
    with store.session() as session:
        asked = select(QualityRow).where(
            QualityRow.project == project, QualityRow.day >= first, QualityRow.day <= last
        )
        rows = [
            Count(r.day, r.reason, r.severity, r.sdk, r.app, r.count)
            for r in session.scalars(asked)
        ]
    return sorted(rows, key=lambda c: (c.day, -c.events, c))
