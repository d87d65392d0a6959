"""The timeline of one user: events in time order, a page at a time, with numbered sessions.

Only the user's rows are read (:mod:`point`), whatever the project holds. Order: (time, as stored),
which is stable, so that a cursor (the last row's time and its place among those of that instant)
goes on where it was although rows come late. Sessions are numbered from 1 over all events that the
caller may see, before filters. Semantics: docs/models/timeline.md. Thread-safe: functions over a
view. O(runs · log users + rows of the user).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from msgspec import Meta, Struct

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery, NotFound
from zuji.engine.index.catalog import DEVICE_ID, PROFILE_EVENTS
from zuji.engine.query import documents, ranges
from zuji.engine.query import users as profiles
from zuji.engine.query.audience import EventRef, Names, check_names
from zuji.engine.query.filter_ast import Filter, properties_of
from zuji.engine.query.filters import evaluate
from zuji.engine.query.model import Session
from zuji.engine.query.problems import Problem
from zuji.engine.query.properties import NAME_COLUMN, RECEIVED_COLUMN, TIME_COLUMN, check_property
from zuji.engine.query.result import ColumnInfo, Result
from zuji.engine.query.virtual.evaluate import evaluated
from zuji.engine.query.virtual.expand import expanded
from zuji.engine.storage import point
from zuji.engine.storage.gathered import ORIGIN
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zuji.engine.calendars import Grain
    from zuji.engine.query.context import Context
    from zuji.engine.query.scope import Scope
    from zuji.engine.query.view import View
    from zuji.engine.storage.segment import Run
    from zuji.engine.types import I64, Flags

    Find = Callable[[bytes], tuple[int, int] | None]

MAX_PAGE: Final = 1_000
BYTES_A_ROW: Final = 64
"""Held of a user's row while a page is made."""
_CURSOR = re.compile(r"(-?\d{1,15})\.(\d{1,9})")


class Span(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """``from``/``to`` as in a query; null: no bound. ``tz`` null: the project's zone."""

    from_: str | None = None
    to: str | None = None
    tz: str | None = None


class TimelineQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to show. One of ``user_id`` and ``device_id`` says whom (the latter: users that are
    known by a device alone). ``properties``: those shown, null is all.
    """

    v: Literal[1] = 1
    project: str = "default"
    user_id: str | None = None
    device_id: str | None = None
    time: Span = Span()
    e: Names = "*"
    where: Filter | None = None
    session: Session = Session()
    order: Literal["asc", "desc"] = "asc"
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 100
    cursor: str | None = None
    properties: Annotated[tuple[str, ...], Meta(max_length=1_000)] | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    """The user's rows in one run: [start, end); ``number`` of its source."""

    run: Run
    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Bounds:
    """A :class:`ranges.TimeSpec` of a span."""

    from_: str
    to: str
    tz: str | None
    grain: Grain = "all"
    week_start: int = 1


def timeline(
    view: View,
    query: Mapping[str, Any] | str | bytes,
    scope: Scope | None,
    context: Context,
    find: Find,
) -> Result:
    """A page: ``time, event, session, device_id, properties``; ``meta.next`` is the cursor of the
    page after it, or None. ``find``: shard and ordinal of an id's key.

    Raises:
        InvalidQuery: with the JSON path. NotFound: nobody has this id, or nothing may be seen.
        QueryCancelled, QueryBudgetExceeded, Corruption.
    """
    began = time.perf_counter()
    asked = _parsed(query, view)
    meant = expanded(EventRef(asked.e, asked.where), view.definitions)
    if scope is not None:
        scope.check(_used(asked, meant, view))
    from_ms, to_ms = _range(asked.time, view)
    shard, ordinal = _who(asked, find)
    rows = _UserRows(view, shard, ordinal, context)
    seen = rows.passing(None if scope is None else scope.where)
    if scope is not None and not seen.any():
        raise _nobody(asked)
    session = rows.sessions(seen, asked.session.gap.ms)
    shown = seen & rows.passing(meant.where) & rows.named(meant.names)
    tz = asked.time.tz or view.tz
    shown &= (rows.times >= from_ms) & (rows.times < to_ms)
    page, more = _page(rows, shown, asked)
    masked: frozenset[str] = frozenset() if scope is None else scope.masked
    wanted = None if asked.properties is None else frozenset(asked.properties)
    made = sorted(frozenset(view.definitions.properties) & (wanted or frozenset()))

    def shows(name: str) -> bool:
        full = f"event.{name}"
        return full not in masked and (wanted is None or full in wanted or name == DEVICE_ID)

    cells = [
        [
            calendars.format_instant(int(rows.times[at]), tz),
            None if NAME_COLUMN in masked else rows.pieces[rows.piece[at]].run.event,
            int(session[at]),
            values.pop(DEVICE_ID, None),
            values,
        ]
        for at, values in zip(page, rows.properties(page, shows, made), strict=True)
    ]
    last = page[-1] if page else 0
    meta = {
        "next": f"{rows.times[last]}.{rows.places[last]}" if more else None,
        "rows_read": context.rows_read,
        "elapsed_ms": round((time.perf_counter() - began) * 1000, 3),
        "warnings": list(context.warnings),
    }
    totals = {"events": int(shown.sum()), "sessions": int(session.max(initial=0))}
    echoed = documents.plain(asked)
    echoed["time"]["tz"] = tz
    return Result(_COLUMNS, cells, totals, meta, echoed)


_COLUMNS = [
    ColumnInfo("time", "datetime", None),
    ColumnInfo("event", "string", None),
    ColumnInfo("session", "int64", None),
    ColumnInfo("device_id", "string", None),
    ColumnInfo("properties", "object", None),
]


def _parsed(query: Any, view: View) -> TimelineQuery:
    asked: TimelineQuery = documents.convert(documents.load(query), TimelineQuery)
    if asked.project not in ("default", view.project):
        raise InvalidQuery(f"this is project {view.project!r}, not {asked.project!r}", "$.project")
    if not (asked.user_id is None) ^ (asked.device_id is None):
        raise InvalidQuery("say whose timeline: user_id or device_id", "$.user_id")
    if asked.cursor is not None and not _CURSOR.fullmatch(asked.cursor):
        raise InvalidQuery("not a cursor; take meta.next of the page before", "$.cursor")
    try:
        check_names(asked.e, "$.e")
        for i, p in enumerate(asked.properties or ()):
            check_property(p, f"$.properties[{i}]", ("event",))
    except Problem as problem:
        raise InvalidQuery(problem.text, problem.path) from None
    return asked


def _used(asked: TimelineQuery, meant: EventRef, view: View) -> set[str]:
    """Properties that a page depends on; a virtual one with all that it is made of."""
    used = {*properties_of(meant.where), *(asked.properties or ())}
    if meant.names is not None:
        used.add(NAME_COLUMN)
    return {part for p in used for part in view.definitions.closure(p)}


def _who(asked: TimelineQuery, find: Find) -> tuple[int, int]:
    key = f"u{asked.user_id}" if asked.user_id is not None else f"d{asked.device_id}"
    found = find(key.encode())
    if found is None:
        raise _nobody(asked)
    return found


def _nobody(asked: TimelineQuery) -> NotFound:
    what, known = (
        ("user_id", asked.user_id) if asked.user_id is not None else ("device_id", asked.device_id)
    )
    return NotFound(f"there is no user with the {what} {known!r}")


def _range(span: Span, view: View) -> tuple[int, int]:
    """Half-open ms UTC."""
    if span.from_ is None and span.to is None and span.tz is None:
        return calendars.MIN_MS, calendars.MAX_MS
    bounds = _Bounds(span.from_ or "1900-01-02", span.to or "2199-12-30", span.tz)
    r = ranges.resolve_range(bounds, view.now_ms, view.tz)
    return (
        calendars.MIN_MS if span.from_ is None else r.from_ms,
        calendars.MAX_MS if span.to is None else r.to_ms,
    )


def _page(rows: _UserRows, shown: Flags, asked: TimelineQuery) -> tuple[list[int], bool]:
    """Rows of the page, in order, and whether there are more."""
    found = np.flatnonzero(shown)
    if asked.cursor is not None:
        at = _CURSOR.fullmatch(asked.cursor)
        assert at is not None
        moment, place = int(at[1]), int(at[2])
        times, places = rows.times[found], rows.places[found]
        after = (times > moment) | ((times == moment) & (places > place))
        before = (times < moment) | ((times == moment) & (places < place))
        found = found[after if asked.order == "asc" else before]
    if asked.order == "desc":
        found = found[::-1]
    return found[: asked.limit].tolist(), len(found) > asked.limit


class _UserRows:
    """All rows of a user, in order. ``piece``: which run each is of; ``row``: its number there;
    ``places``: its place among the rows of its instant.
    """

    def __init__(self, view: View, shard: int, ordinal: int, context: Context) -> None:
        self._view, self._shard, self._ordinal, self._context = view, shard, ordinal, context
        self.pieces = self._pieces()
        total = sum(piece.end - piece.start for piece in self.pieces)
        context.charge(BYTES_A_ROW * total)
        context.read(total, 0)
        parts = [(p.run, p.start, p.end) for p in self.pieces]
        times = np.concatenate([np.empty(0, np.int64), *(point.times_of(*p) for p in parts)])
        ties = np.concatenate([np.empty(0, np.uint16), *(point.ties_of(*p) for p in parts)])
        lengths = [p.end - p.start for p in self.pieces]
        piece = np.repeat(np.arange(len(lengths)), lengths)
        source = np.repeat(np.array([p.number for p in self.pieces], np.int64), lengths)
        row = np.concatenate([np.empty(0, np.int64), *(np.arange(a, b) for _, a, b in parts)])
        order = np.lexsort((ties, source, times))
        self.times: I64 = times[order]
        self.piece: I64 = piece[order]
        self.row: I64 = row[order]
        self.places = _places(self.times)

    def _pieces(self) -> list[_Piece]:
        found = []
        for number, source in enumerate(self._view.sources[self._shard]):
            self._context.check()
            for event, run in source.runs.items():
                if event in PROFILE_EVENTS:
                    continue
                start, end = point.rows_of_user(run, self._ordinal)
                if end > start:
                    found.append(_Piece(run, number, start, end))
        return found

    def passing(self, where: Filter | None) -> Flags:
        """Rows that pass a filter."""
        out: Flags = np.ones(len(self.times), np.bool_)
        if where is None:
            return out
        for number, piece in enumerate(self.pieces):
            mask = evaluate(
                where,
                piece.end - piece.start,
                partial(self._column, piece),
                now_ms=self._view.now_ms,
                warn=self._context.warn,
            )
            mine = self.piece == number
            if isinstance(mask, bool):
                out[mine] = mask
            else:
                out[mine] = mask[self.row[mine] - piece.start] != 0
        return out

    def named(self, names: tuple[str, ...] | None) -> Flags:
        """Rows of some events; None: of any."""
        if names is None:
            return np.ones(len(self.times), np.bool_)
        hit = np.array([piece.run.event in names for piece in self.pieces], np.bool_)
        found: Flags = hit[self.piece] if len(hit) else np.zeros(0, np.bool_)
        return found

    def sessions(self, seen: Flags, gap_ms: int) -> I64:
        """Number of each row's session, from 1; 0 where it is not seen."""
        out = np.zeros(len(self.times), np.int64)
        times = self.times[seen]
        begins = np.ones(len(times), np.int64)
        begins[1:] = np.diff(times) > gap_ms
        out[seen] = np.cumsum(begins)
        return out

    def properties(
        self, page: list[int], shows: Callable[[str], bool], made: list[str]
    ) -> list[dict[str, Any]]:
        """Properties of rows, by name: those that were sent and ``shows`` takes, and the virtual
        ones of ``made``.
        """
        out: dict[int, dict[str, Any]] = {at: {} for at in page}
        chosen = np.array(page, np.int64)
        of_piece, rows = self.piece[chosen], self.row[chosen]
        for number in np.unique(of_piece).tolist():
            self._context.check()
            mine = np.flatnonzero(of_piece == number)
            piece = self.pieces[number]
            run = piece.run
            first, last = int(rows[mine].min()), int(rows[mine].max()) + 1
            places = [(page[i], int(rows[i]) - first) for i in mine.tolist()]
            part = replace(piece, start=first, end=last)
            columns = [
                (name, point.column_of(run, name, first, last))
                for name in sorted(filter(shows, run.props))
                if name != ORIGIN and f"event.{name}" not in made
            ]
            columns += [(p.partition(".")[2], self._column(part, p)) for p in made]
            for name, column in columns:
                for at, row in places:
                    if column is not None and (column.present is None or column.present[row]):
                        out[at][name] = _value(column, row, self._view.tz)
        return list(out.values())

    def _column(self, piece: _Piece, p: str) -> Column | None:
        """A property as a filter names it, for the user's rows of a run."""
        run, start, end = piece.run, piece.start, piece.end
        rows = end - start
        if p == NAME_COLUMN:
            return Column(Kind.STRING, np.zeros(rows, np.uint32), None, [run.event])
        if p == TIME_COLUMN:
            return Column(Kind.DATETIME, point.times_of(run, start, end))
        if p == RECEIVED_COLUMN:
            return Column(Kind.DATETIME, point.received_of(run, start, end))
        scope, _, name = p.partition(".")
        virtual = self._view.definitions.properties.get(p)
        if virtual is not None and scope == "event":
            own = partial(self._column, piece)
            return evaluated(virtual.tree, rows, own, virtual.kind, self._view.tz)
        if scope == "user":
            column = profiles.user_column(self._view, self._shard, name)
            return None if column is None else _repeated(column, self._ordinal, rows)
        column = point.column_of(run, name, start, end)
        return None if column is None else point.with_own_texts(column)


def _places(times: I64) -> I64:
    """Place of each row among those of its instant, from 0; times ascend."""
    at = np.arange(len(times))
    begins = np.ones(len(times), np.bool_)
    begins[1:] = times[1:] != times[:-1]
    return at - np.maximum.accumulate(np.where(begins, at, 0))


def _repeated(column: Column, ordinal: int, rows: int) -> Column:
    """One user's value for each of their rows."""
    present = None if column.present is None else np.repeat(column.present[ordinal], rows)
    if column.offsets is None:
        values = np.repeat(column.values[ordinal : ordinal + 1], rows)
        return Column(column.kind, values, present, column.dictionary)
    items = column.values[column.offsets[ordinal] : column.offsets[ordinal + 1]]
    offsets = (np.arange(rows + 1) * len(items)).astype(np.uint32)
    return Column(column.kind, np.tile(items, rows), present, column.dictionary, offsets)


def _value(column: Column, row: int, tz: str) -> Any:
    """A JSON value; datetimes as RFC 3339 text in the project's zone."""
    if column.kind == Kind.LIST:
        assert column.offsets is not None
        codes = column.values[column.offsets[row] : column.offsets[row + 1]]
        return [_text(column, int(code)) for code in codes]
    value = column.values[row].item()
    if column.kind == Kind.STRING:
        return _text(column, value)
    if column.kind == Kind.BOOL:
        return bool(value)
    if column.kind == Kind.DATETIME:
        return calendars.format_instant(value, tz)
    return value


def _text(column: Column, code: int) -> str:
    assert column.dictionary is not None
    return column.dictionary[code]
