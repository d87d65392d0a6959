"""Holding: everything that is held about one person, as JSON-ready objects.

In this order: ``{"kind": "person", "ids": […]}``; an ``event`` for each, in time order; a
``profile_record`` for each change of the profile; the ``profile`` as it is now; what cohorts, tags
and the like hold (:class:`Holds`; each says its own kind); ``rejected`` events of the quarantine.
Only the person's rows are read (:mod:`~zuji.engine.storage.point`), a block at a time. Functions
over a pinned view: thread-safe.
"""

from __future__ import annotations

import heapq
import json
import threading
import zipfile
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, cast

import numpy as np

from zuji.engine import calendars
from zuji.engine.index.catalog import PROFILE_EVENTS, UNSET_LIST, USER_PREFIX
from zuji.engine.query.users import history
from zuji.engine.query.view import ProfilesKept
from zuji.engine.storage import point
from zuji.engine.storage.gathered import ORIGIN
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from zuji.engine.people.whom import Whom
    from zuji.engine.quarantine import Kept
    from zuji.engine.query.view import View
    from zuji.engine.storage.source import Run, Source
    from zuji.engine.types import I64, U16, U32

BLOCK_ROWS: Final = 4_096

Thing = dict[str, Any]
Place = tuple[int, int]


class Holds(Protocol):
    """Somebody who keeps something by ordinal: members of cohorts, values of tags."""

    def held(self, shard: int, ordinal: int) -> Iterable[Thing]:
        """What is kept of a user, JSON-ready, each with its ``kind``."""


class Holding:
    """What a view holds about people; ``keepers`` hold more."""

    def __init__(self, view: View, keepers: Sequence[Holds]) -> None:
        self._view = view
        self._keepers = keepers

    def everything(
        self, ids: Iterable[Whom], places: Sequence[Place], rejected: Iterable[Kept]
    ) -> Iterator[Thing]:
        """All of it. ``places``: (shard, ordinal) of the person's ids. Raises Corruption."""
        yield {"kind": "person", "project": self._view.project, "ids": [i.to_dict() for i in ids]}
        mine = [[only(s, ordinal) for s in self._view.sources[shard]] for shard, ordinal in places]
        yield from self._in_time_order(mine, lambda name: name not in PROFILE_EVENTS, "event")
        yield from self._in_time_order(mine, PROFILE_EVENTS.__contains__, "profile_record")
        for (shard, ordinal), sources in zip(places, mine, strict=True):
            if profile := self._profile(shard, sources):
                yield {"kind": "profile", "properties": profile}
            for keeper in self._keepers:
                yield from keeper.held(shard, ordinal)
        for kept in rejected:
            yield {"kind": "rejected", **kept.to_dict()}

    def profile(self, shard: int, ordinal: int) -> Thing:
        """Properties of one user, as they are now. Raises Corruption."""
        return self._profile(shard, [only(s, ordinal) for s in self._view.sources[shard]])

    def _in_time_order(
        self, mine: Sequence[Sequence[_Only]], shown: Callable[[str], bool], kind: str
    ) -> Iterator[Thing]:
        runs = [run for sources in mine for s in sources for n, run in s.runs.items() if shown(n)]
        parts = [self._things(run, kind) for run in runs]
        yield from map(itemgetter(1), heapq.merge(*parts, key=itemgetter(0)))

    def _things(self, run: _OnlyRun, kind: str) -> Iterator[tuple[int, Thing]]:
        tz = self._view.tz
        for at in range(0, run.rows, BLOCK_ROWS):
            start, end = run.start + at, run.start + min(at + BLOCK_ROWS, run.rows)
            times = point.times_of(run.run, start, end).tolist()
            received = point.received_of(run.run, start, end).tolist()
            shown = (name for name in run.props if name != ORIGIN)
            columns = {name: point.column_of(run.run, name, start, end) for name in shown}
            for row, time in enumerate(times):
                properties = {}
                for name, column in columns.items():
                    value = _plain(column, row, tz)
                    if value is not None:
                        properties[_shown_name(name)] = value
                yield (
                    time,
                    {
                        "kind": kind,
                        "event": run.event,
                        "time": calendars.format_instant(time, tz),
                        "time_ms": time,
                        "received_ms": received[row],
                        "properties": properties,
                    },
                )

    def _profile(self, shard: int, sources: Sequence[_Only]) -> Thing:
        """Present values: what the person's own records make."""
        empty: tuple[Any, ...] = ((),) * len(self._view.sources)
        mine = cast("tuple[Source, ...]", tuple(sources))
        alone = replace(
            self._view,
            sources=(*empty[:shard], mine, *empty[shard + 1 :]),
            cache={},
            lock=threading.Lock(),
            profiles=ProfilesKept(),
        )
        found = {}
        for stored in alone.catalog.props:
            if not stored.startswith(USER_PREFIX) or stored == UNSET_LIST:
                continue
            name = stored.removeprefix(USER_PREFIX)
            past = history(alone, shard, name)
            if past is None or not past.present[-1]:
                continue
            if past.kind == Kind.LIST:
                texts = past.dictionary or ()
                found[name] = [texts[int(code)] for code in past.values[-1]]
            else:
                last = Column(past.kind, past.values[-1:], None, past.dictionary)
                found[name] = _plain(last, 0, self._view.tz)
        return found


class _OnlyRun:
    """The rows of one user in a run."""

    def __init__(self, run: Run, ordinal: int, start: int, end: int) -> None:
        self.run = run
        self.event = run.event
        self.base_ms = run.base_ms
        self.props = run.props
        self.start, self.end = start, end
        self.rows = end - start
        self._ordinal = ordinal

    def users(self) -> tuple[U32, U32]:
        """See :class:`Run`."""
        return np.array([self._ordinal], np.uint32), np.array([0, self.rows], np.uint32)

    def times(self) -> U32:
        """See :class:`Run`."""
        times: I64 = point.times_of(self.run, self.start, self.end) - self.base_ms
        return times.astype(np.uint32)

    def ties(self) -> U16:
        """See :class:`Run`."""
        return point.ties_of(self.run, self.start, self.end)

    def column(self, name: str) -> Column | None:
        """See :class:`Run`."""
        return point.column_of(self.run, name, self.start, self.end)


class _Only:
    """The rows of one user in a source, for what reads runs."""

    def __init__(self, runs: dict[str, _OnlyRun]) -> None:
        self.runs = runs


def only(source: Source, ordinal: int) -> _Only:
    """The rows of one user."""
    runs = {}
    for name, run in source.runs.items():
        start, end = point.rows_of_user(run, ordinal)
        if end > start:
            runs[name] = _OnlyRun(run, ordinal, start, end)
    return _Only(runs)


def _shown_name(stored: str) -> str:
    return "$unset" if stored == UNSET_LIST else stored.removeprefix(USER_PREFIX)


def _plain(column: Column | None, row: int, tz: str) -> Any:
    """A JSON value, None where there is none."""
    if column is None or (column.present is not None and not column.present[row]):
        return None
    texts = column.dictionary or ()
    if column.kind == Kind.LIST:
        assert column.offsets is not None
        codes = column.values[column.offsets[row] : column.offsets[row + 1]]
        return [texts[int(code)] for code in codes]
    value = column.values[row].item()
    if column.kind == Kind.STRING:
        return texts[value]
    if column.kind == Kind.BOOL:
        return bool(value)
    if column.kind == Kind.DATETIME:
        return calendars.format_instant(value, tz)
    return value


def write_lines(things: Iterable[Thing], out: BinaryIO) -> int:
    """One JSON object a line; how many."""
    count = 0
    for thing in things:
        out.write(json.dumps(thing, ensure_ascii=False).encode(errors="replace") + b"\n")
        count += 1
    return count


def write_zip(things: Iterable[Thing], out: BinaryIO) -> int:
    """A zip archive with a file of JSON lines for each kind (``event.jsonl``); how many things."""
    count = 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        # Things of one kind come together, but for what keepers hold; so files are few and small.
        rest: dict[str, list[Thing]] = {}
        open_kind, member = "", None
        try:
            for thing in things:
                count += 1
                kind = str(thing["kind"])
                if kind not in ("event", "profile_record"):
                    rest.setdefault(kind, []).append(thing)
                    continue
                if kind != open_kind:
                    if member is not None:
                        member.close()
                    open_kind, member = kind, archive.open(f"{kind}.jsonl", "w")
                assert member is not None
                write_lines([thing], member)  # type: ignore[arg-type]
        finally:
            if member is not None:
                member.close()
        for kind, mine in rest.items():
            with archive.open(f"{kind}.jsonl", "w") as file:
                write_lines(mine, file)  # type: ignore[arg-type]
    return count
