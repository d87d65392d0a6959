"""Time to live: events of past months that a project has kept for long enough go.

A setting for the project and one for each event that differs, in whole months; None keeps for ever.
With 13 months, in March 2027 all partitions (months of the project's time zone) before February
2026 go: nothing younger than the setting. Records of profiles stay: they are the present
state of users. Nothing goes by itself: :meth:`TimeToLive.plan` says what would, and
:meth:`TimeToLive.apply` does it in one manifest edit, noted in the same edit. docs/privacy.md.
Thread-safe.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zuji.engine import calendars
from zuji.engine.errors import InvalidInput, ReadOnly
from zuji.engine.people.store import Store
from zuji.engine.storage import names
from zuji.engine.storage.fewer import Fewer
from zuji.engine.storage.rewriting import rewrite
from zuji.engine.types import PROFILE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zuji.engine.query.view import View
    from zuji.engine.storage.manifest import SegmentMeta
    from zuji.engine.storage.segment import Segment
    from zuji.engine.storage.source import Run, Source
    from zuji.engine.writer import Writer

log = logging.getLogger(__name__)

KIND: Final = "ttl"
MONTHS: Final = 1_200
"""Of a setting, at most."""
NOTED: Final = 1_000
"""Applications that the manifest remembers."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``months`` for all events but those of ``events``; None: for ever."""

    months: int | None = None
    events: tuple[tuple[str, int | None], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"months": self.months, "events": dict(self.events)}


class TimeToLive:
    """The time to live of a project's events. ``pin``: its present state."""

    def __init__(self, writer: Writer, pin: Callable[[], View], *, writable: bool) -> None:
        self._writer = writer
        self._pin = pin
        self._writable = writable
        self._store = Store(
            writer.files,
            writer.directory,
            KIND,
            writable=writable,
            empty={"months": None, "events": {}},
            named=lambda _document: (),
        )

    @property
    def settings(self) -> Settings:
        """As they are."""
        document = self._store.now.document if self._writable else self._store.refresh().document
        return Settings(document["months"], tuple(sorted(document["events"].items())))

    def set(self, months: int | None, events: Mapping[str, int | None] | None = None) -> Settings:
        """Replaces the settings, durable on return; nothing goes before :meth:`apply`.

        ``months``: for all events; ``events``: for those that differ, None: for ever.

        Raises:
            InvalidInput: nothing is changed. StorageFull, StorageFailed, ReadOnly.
        """
        self._check_writable()
        asked = dict(events or {})
        _check_months("months", months)
        for name, each in asked.items():
            if not isinstance(name, str) or not name:
                raise InvalidInput("events: a name is a text that is not empty")
            if name in PROFILE_EVENTS:
                raise InvalidInput(f"events: {name} are records of profiles, which stay")
            _check_months(f"events: {name}", each)
        self._store.change(lambda _old: {"months": months, "events": asked})
        return self.settings

    def plan(self) -> dict[str, Any]:
        """What :meth:`apply` would remove now: ``{"settings", "before", "rows", "bytes",
        "partitions": [{"partition", "from_ms", "to_ms", "events": [{"event", "rows", "bytes"}],
        "rows", "bytes"}]}``, oldest first. ``before``: the first month that stays, by setting.
        ``bytes`` are what the rows take on disk, about; of rows in memory what they take there.
        """
        settings, view = self.settings, self._pin()
        gone = _gone(settings, self._month(view.now_ms))
        found: dict[int, dict[str, Any]] = {}
        for shard in view.sources:
            for source in shard:
                for name, run in source.runs.items():
                    if gone(name, source.partition):
                        _count(found, source, name, run)
        partitions = [found[month] for month in sorted(found)]
        for entry in partitions:
            entry["events"] = [entry["events"][name] for name in sorted(entry["events"])]
        return {
            "settings": settings.to_dict(),
            "before": self._before(settings, view.now_ms),
            "rows": sum(entry["rows"] for entry in partitions),
            "bytes": sum(entry["bytes"] for entry in partitions),
            "partitions": partitions,
        }

    def apply(
        self, by: str = "", progress: Callable[[int, int], None] | None = None
    ) -> dict[str, Any]:
        """Removes what :meth:`plan` says, all of it or nothing, durable on return; what was noted
        about it (:meth:`applied`). Segments of which a part stays are written anew. ``progress``:
        segments written, of how many.

        Raises:
            Corruption: a segment is damaged. StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        self._check_writable()
        if not isinstance(by, str) or len(by.encode(errors="replace")) > MONTHS:
            raise InvalidInput(f"'by' is a text of at most {MONTHS} bytes")
        writer = self._writer
        writer.check_open()
        settings, now_ms = self.settings, writer.now_ms()
        gone = _gone(settings, self._month(now_ms))
        writer.flush()
        with writer.merging():
            return self._remove(gone, settings, now_ms, by, progress)

    def applied(self) -> list[dict[str, Any]]:
        """What went by time to live, oldest first: ``at_ms, by, settings, before, rows, bytes,
        segments, events`` (rows by name) and ``partitions``.
        """
        return list(self._writer.manifest.state.extra.get("ttl_applied", []))

    def _remove(
        self,
        gone: Callable[[str, int], bool],
        settings: Settings,
        now_ms: int,
        by: str,
        progress: Callable[[int, int], None] | None,
    ) -> dict[str, Any]:
        state = self._writer
        chosen = []
        for segment in state.segments:
            names_gone = [name for name in segment.runs if gone(name, segment.partition)]
            if names_gone:
                chosen.append((segment, names_gone))
        events: dict[str, int] = {}
        written: list[str] = []
        pairs: list[tuple[Segment, SegmentMeta | None]] = []
        committing = False
        try:
            for number, (segment, names_gone) in enumerate(chosen):
                for name in names_gone:
                    events[name] = events.get(name, 0) + segment.runs[name].rows
                fewer = Fewer(segment, events=names_gone)
                meta = None
                if fewer.rows:
                    ident = state.number()
                    file = state.new(names.segment(ident), written)
                    path = state.path(file)
                    meta = rewrite(
                        state.files, fewer, path, segment_id=ident, file=file, tz=state.tz
                    )
                pairs.append((segment, meta))
                if progress is not None:
                    progress(number + 1, len(chosen))
            state.files.sync_dir(state.path(names.SEGMENT_DIR))
            before = sum(segment.meta.bytes for segment, _ in chosen)
            note = {
                "at_ms": now_ms,
                "by": by,
                "settings": settings.to_dict(),
                "before": self._before(settings, now_ms),
                "rows": sum(events.values()),
                "bytes": before - sum(meta.bytes for _, meta in pairs if meta is not None),
                "segments": len(chosen),
                "events": events,
                "partitions": sorted({_label(segment.partition) for segment, _ in chosen}),
            }
            with state.lock:
                committing = True
                state.replace(pairs, {"ttl_applied": [*self.applied(), note][-NOTED:]})
        except BaseException as problem:
            known = state.discard_unless_unknown(written, problem, committing=committing)
            state.failed("time to live", problem, known=known)
            raise
        state.discard(state.path(segment.meta.file) for segment, _ in chosen)
        log.info("time to live rows=%d segments=%d", note["rows"], note["segments"])
        return note

    def _month(self, now_ms: int) -> int:
        today = calendars.local_date(now_ms, self._writer.tz)
        return today.year * 12 + today.month - 1

    def _before(self, settings: Settings, now_ms: int) -> dict[str, Any]:
        """First month that stays: ``{"all": "2026-02", "events": {…}}``; None: all stay."""

        def first(months: int | None) -> str | None:
            return None if months is None else _label(self._month(now_ms) - months)

        return {
            "all": first(settings.months),
            "events": {name: first(months) for name, months in settings.events},
        }

    def _check_writable(self) -> None:
        if not self._writable:
            raise ReadOnly("the project is open for reading")


def _gone(settings: Settings, month: int) -> Callable[[str, int], bool]:
    """Whether the rows of an event in a partition have lived for long enough."""
    own = dict(settings.events)

    def gone(name: str, partition: int) -> bool:
        months = own.get(name, settings.months)
        return months is not None and name not in PROFILE_EVENTS and partition < month - months

    return gone


def _count(found: dict[int, dict[str, Any]], source: Source, name: str, run: Run) -> None:
    entry = found.setdefault(
        source.partition,
        {
            "partition": _label(source.partition),
            "from_ms": source.base_ms,
            "to_ms": source.end_ms,
            "rows": 0,
            "bytes": 0,
            "events": {},
        },
    )
    mine = entry["events"].setdefault(name, {"event": name, "rows": 0, "bytes": 0})
    size = run.nbytes(None) + sum(run.nbytes(prop) for prop in run.props)
    for each in (entry, mine):
        each["rows"] += run.rows
        each["bytes"] += size


def _label(partition: int) -> str:
    return f"{partition // 12:04d}-{partition % 12 + 1:02d}"


def _check_months(what: str, months: Any) -> None:
    good = months is None or (
        isinstance(months, int) and not isinstance(months, bool) and 1 <= months <= MONTHS
    )
    if not good:
        raise InvalidInput(f"{what}: whole months from 1 to {MONTHS:,}, or none for ever")
