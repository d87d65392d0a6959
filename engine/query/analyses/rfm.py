"""RFM: users by how recently they did the chosen events, how often, and what they spent.

Semantics: docs/models/rfm.md. Each user with a chosen event in the range has three exact values;
edges cut each of them (given, or found so that they cut the users), and a user's layer or score
cell is where the values lie. One pass over the rows a shard; the users' values of all shards are
held until the answer is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery
from zuji.engine.query.analyses.event_values import picked_line
from zuji.engine.query.analyses.rfm_edges import quantile_edges, scored
from zuji.engine.query.answer import Answer, Model, by_columns
from zuji.engine.query.breakdown import Breakdown, Chosen, choose, line_values, one_line
from zuji.engine.query.checks import BODY, check_events, check_value_of_event
from zuji.engine.query.crowd import allowed
from zuji.engine.query.entries import Entries, entries
from zuji.engine.query.kernels._cell_sums import cell_counts, cell_sums
from zuji.engine.query.kernels._user_rows import user_rows
from zuji.engine.query.model import Envelope, EventPlace, Events, Pick, PropertyPlace, place
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.result import ColumnInfo
from zuji.engine.query.sums import added, rounded

if TYPE_CHECKING:
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.context import Context
    from zuji.engine.query.words import Words
    from zuji.engine.types import F64, I64, U8, U32

Layer = Literal[
    "important_value",
    "important_keep",
    "important_develop",
    "important_win_back",
    "general_value",
    "general_keep",
    "general_develop",
    "general_win_back",
]
LAYERS: dict[Layer, tuple[bool, bool, bool]] = {
    "important_value": (True, True, True),
    "important_keep": (False, True, True),
    "important_develop": (True, False, True),
    "important_win_back": (False, False, True),
    "general_value": (True, True, False),
    "general_keep": (False, True, False),
    "general_develop": (True, False, False),
    "general_win_back": (False, False, False),
}
"""Name → whether recency, frequency and monetary value are high."""
SCORES = 5
SCORES_CELLS = 6**3
VALUES = ("recency", "frequency", "monetary")

Days = Annotated[int, Meta(ge=0)]
Times = Annotated[int, Meta(ge=1)]
Score = Annotated[int, Meta(ge=1, le=SCORES)]
Quantile = Annotated[float, Meta(gt=0, lt=1)]


class Thresholds(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Edges of each value, ascending; None: found by ``quantiles``. Recency in days: a user is
    above an edge with at most so many. Frequency and monetary: with at least so much.
    """

    recency: tuple[Days, ...] | None = None
    frequency: tuple[Times, ...] | None = None
    monetary: tuple[int | float, ...] | None = None


class RfmBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "rfm"``. ``monetary``: the property that is summed. ``cells``: the eight
    layers, or scores 1 to 5 of each value. Parsed: ``quantiles`` is set.
    """

    event: Events
    monetary: str
    cells: Literal["layers", "scores"] = "layers"
    thresholds: Thresholds = Thresholds()
    quantiles: tuple[Quantile, ...] | None = None


class RfmQuery(Envelope, frozen=True, kw_only=True, tag="rfm"):
    """Users by recency, frequency and monetary value."""

    model: ClassVar[Literal["rfm"]] = "rfm"
    body: RfmBody

    def says(self, words: Words) -> str:
        """``users by how recently, how often and for how much “amount” they did “pay”``."""
        events, p = words.events(self.body.event), words.property(self.body.monetary)
        cells = words("layers", "分层") if self.body.cells == "layers" else words("scores", "打分")
        return words(
            f"users in {cells} by how recently, how often and for how much {p} they did {events}",
            f"按最近一次、次数与{p}之和对做{events}的用户{cells}",
        )

    def completed(self) -> Self:
        """The query, checked, with its quantiles."""
        body = self.body
        check_events(body.event, f"{BODY}.event")
        check_value_of_event(body.monetary, f"{BODY}.monetary", "summed")
        edges = 1 if body.cells == "layers" else SCORES - 1
        for name in VALUES:
            _check_edges(getattr(body.thresholds, name), edges, f"{BODY}.thresholds.{name}")
        quantiles = body.quantiles
        if quantiles is None:
            quantiles = (0.5,) if edges == 1 else (0.2, 0.4, 0.6, 0.8)
        _check_edges(quantiles, edges, f"{BODY}.quantiles")
        return replace(self, body=replace(body, quantiles=quantiles))

    def event_places(self) -> list[EventPlace]:
        """The rows that are counted."""
        return [place(f"{BODY}.event", self.body.event)]

    def property_places(self) -> list[PropertyPlace]:
        """What is summed."""
        return [PropertyPlace(f"{BODY}.monetary", self.body.monetary, "number")]


def _check_edges(edges: tuple[float, ...] | None, count: int, path: str) -> None:
    if edges is None:
        return
    if len(edges) != count:
        cells = "one edge makes two layers" if count == 1 else f"{count} edges make {SCORES} scores"
        raise InvalidQuery(f"{cells}, got {len(edges)}", path)
    if any(a >= b for a, b in pairwise(edges)):
        raise InvalidQuery("edges must ascend", path)


class RfmPick(Pick, frozen=True, kw_only=True):
    """Users of a layer, or of a cell of scores; without either all users of the line."""

    layer: Layer | None = None
    r: Score | None = None
    f: Score | None = None
    m: Score | None = None

    def completed(self, query: RfmQuery) -> Self:
        """The pick, checked."""
        scores = query.body.cells == "scores"
        for name in ("layer", "r", "f", "m"):
            if getattr(self, name) is not None and scores == (name == "layer"):
                told = "scores" if scores else "layers"
                raise InvalidQuery(f"the answer has {told}, no {name!r}", f"$.{name}")
        return self


# ---------------------------------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class People:
    """Users with a chosen event of one shard, by ordinal: int64 days since the last one, number of
    them, sum and what rounding took off it; all [n].
    """

    users: U32
    recency: I64
    frequency: I64
    monetary: F64
    rest: F64
    entries: Entries | None
    ordinals: int


def scans(bound: Bound) -> list[Scan]:
    """The chosen events of the range."""
    body: RfmBody = bound.query.body
    event = body.event
    where, by = bound.where(event.where), Breakdown(bound)
    columns = columns_of(where, body.monetary, *by.columns)
    r = bound.range
    return [planned(Scan("event", event.names, r.from_ms, r.to_ms, where, columns), bound.view)]


class _Work:
    """Values of all users, their edges and groups."""

    def __init__(self, bound: Bound) -> None:
        self.bound, self.by = bound, Breakdown(bound)
        self.body: RfmBody = bound.query.body
        self.scan = scans(bound)[0]
        r = bound.range
        self.last_day = int(calendars.local_days(np.array([r.to_ms - 1], np.int64), r.tz)[0])
        self.shards = bound.context.map(self._people, list(range(bound.view.shards)))
        self.edges = _edges(self.body, self.shards, bound.context)
        self.chosen = self._choose()

    def _people(self, shard: int) -> People:
        bound, context = self.bound, self.bound.context
        reader = ShardReader(bound.view, shard, context)
        selected = reader.select(self.scan)
        values: list[F64 | None] = []
        present: list[U8 | None] = []
        for chosen in selected:
            column = reader.column(chosen.ref, self.body.monetary)
            values.append(None if column is None else np.asarray(column.values, np.float64))
            present.append(None if column is None else column.present)
            context.charge(8 * chosen.lane.rows)
        context.charge(60 * reader.users)
        found = user_rows(
            [chosen.lane for chosen in selected],
            self.scan.from_ms,
            self.scan.to_ms,
            reader.users,
            values=values,
            present=present,
            last=True,
            cancel=context.flag,
            allowed=allowed(bound, reader),
        )
        at = np.flatnonzero(found.count)
        days = calendars.local_days(found.time.take(at), bound.range.tz)
        assert found.sum is not None
        assert found.rest is not None
        return People(
            at.astype(np.uint32),
            self.last_day - days.astype(np.int64),
            found.count.take(at).astype(np.int64),
            found.sum.take(at),
            found.rest.take(at),
            entries(self.by, reader, selected, found) if self.by.by else None,
            reader.users,
        )

    def _choose(self) -> Chosen:
        """The groups with the most users."""
        if not self.by.by:
            return one_line()
        size = self.by.groups.size
        totals = np.zeros(size, np.int64)
        for people in self.shards:
            assert people.entries is not None
            totals += people.entries.counts(size)
        return choose(self.bound, self.by.groups, totals.tolist(), np.flatnonzero(totals).tolist())

    def cells(self, people: People) -> U32:
        """Cell of each user: a layer's number in LAYERS, or r · 36 + f · 6 + m."""
        r, f, m = (
            scored(values, edges, down=down)
            for values, edges, down in zip(
                (people.recency, people.frequency, people.monetary),
                self.edges,
                (True, False, False),
                strict=True,
            )
        )
        cell = r * 36 + f * 6 + m  # below 6³, which one byte holds
        if self.body.cells == "scores":
            return cell.astype(np.uint32)
        return _LAYER_NUMBERS.take(cell)

    def lines(self, people: People) -> list[tuple[int, Any]]:
        """(line, index into the users of the shard) of every line of the answer."""
        if people.entries is None:
            return [(0, slice(None))]
        owners, lines, _ = people.entries.lines(self.chosen, people.ordinals)
        owner = np.repeat(np.arange(people.ordinals), np.diff(owners))
        order = np.argsort(lines, kind="stable")
        cuts = np.searchsorted(lines[order], np.arange(self.chosen.lines + 1))
        at = np.searchsorted(people.users, owner[order])
        return [(g, at[a:b]) for g, (a, b) in enumerate(pairwise(cuts.tolist()))]


_LAYER_NUMBERS = np.zeros(SCORES_CELLS, np.uint32)
"""By r · 36 + f · 6 + m, each 1 or 2."""
for _number, (_r, _f, _m) in enumerate(LAYERS.values()):
    _LAYER_NUMBERS[(_r + 1) * 36 + (_f + 1) * 6 + (_m + 1)] = _number


# ----------------------------------------------------------------------------------------- edges


def _edges(
    body: RfmBody, shards: list[People], context: Context
) -> tuple[list[Any], list[Any], list[Any]]:
    """Edges of recency, frequency and monetary value; None where no user lies above one."""

    def found(name: str) -> list[Any]:
        given = getattr(body.thresholds, name)
        if given is not None:
            return list(given)
        every = np.concatenate([getattr(people, name) for people in shards])
        return quantile_edges(every, body.quantiles or (), down=name == "recency")

    recency, frequency, monetary = context.map(found, VALUES)
    return recency, frequency, monetary


# ---------------------------------------------------------------------------------------- answer


def answer(bound: Bound) -> Answer:
    """Rows: by…, the layer or the scores, users, share and the averages."""
    work = _Work(bound)
    scores = work.body.cells == "scores"
    size = SCORES_CELLS if scores else len(LAYERS)
    lines = work.chosen.lines
    bound.context.charge(8 * 5 * lines * size * (len(work.shards) + 1))

    def one(people: People) -> tuple[F64, tuple[F64, F64]]:
        """Users, days and times float64[3, lines, cells], and money as a sum and its rest."""
        sums = np.zeros((3, lines, size))
        money = np.zeros((lines, size)), np.zeros((lines, size))
        cells = work.cells(people)
        for g, at in work.lines(people):
            bound.context.check()
            cell = cells[at]
            sums[:, g] = cell_counts(cell, people.recency[at], people.frequency[at], size)
            money[0][g], money[1][g] = cell_sums(cell, people.monetary[at], size, people.rest[at])
        return sums, money

    parts = bound.context.map(one, work.shards)
    worth = rounded(reduce(added, [money for _, money in parts]))
    sums = np.concatenate([sum(counts for counts, _ in parts), worth[None]])
    own = [("layer", "string")] if not scores else [(name, "int64") for name in "rfm"]
    columns = [
        *by_columns(bound),
        *(ColumnInfo(name, kind, None) for name, kind in own),
        ColumnInfo("users", "int64", "users"),
        ColumnInfo("share", "float64", "ratio"),
        ColumnInfo("recency", "float64", "day"),
        ColumnInfo("frequency", "float64", None),
        ColumnInfo("monetary", "float64", None),
        ColumnInfo("monetary_sum", "float64", None),
    ]
    rows: list[list[Any]] = []
    totals: list[list[Any]] = []
    for g in range(lines):
        head = line_values(bound, work.by.groups, work.chosen, g)
        count = sums[0, g].astype(np.int64)
        everybody = int(count.sum())
        totals.append([*head, everybody])
        shown = np.flatnonzero(count).tolist() if scores else range(size)
        for cell in shown:
            users = int(count[cell])
            place = _scores_of(cell) if scores else [list(LAYERS)[cell]]
            means = [float(total) / users if users else None for total in sums[1:, g, cell]]
            share = users / everybody if everybody else None
            rows.append([*head, *place, users, share, *means, float(sums[3, g, cell])])
    names = [column.name for column in by_columns(bound)]
    thresholds = dict(zip(VALUES, work.edges, strict=True))
    told = {"columns": [*names, "users"], "rows": totals, "thresholds": thresholds}
    return Answer(columns, rows, told)


def _scores_of(cell: int) -> list[int]:
    return [cell // 36, cell // 6 % 6, cell % 6]


def cells_of_users(bound: Bound) -> list[tuple[U32, U32]]:
    """Of each shard the ordinals with a chosen event, ascending, and their cells: numbers of
    :data:`LAYERS`, or r · 36 + f · 6 + m.
    """
    work = _Work(bound)
    return [(people.users, work.cells(people)) for people in work.shards]


def users(bound: Bound, pick: RfmPick) -> list[U32]:
    """Ordinals of a layer, of a cell of scores, or of a whole line."""
    work = _Work(bound)
    line = picked_line(bound, work.by.groups, work.chosen, pick) if bound.query.by else -1
    found = []
    for people in work.shards:
        cells = work.cells(people)
        hit = np.ones(len(cells), np.bool_)
        if pick.layer is not None:
            hit = cells == list(LAYERS).index(pick.layer)
        for wanted, have in zip((pick.r, pick.f, pick.m), _scores_of(cells), strict=True):  # type: ignore[arg-type]
            if wanted is not None:
                hit &= have == wanted
        if line >= 0 and people.entries is not None:
            hit &= people.entries.of_line(work.chosen, line, people.ordinals)[people.users] == 1
        found.append(people.users[hit])
    return found


MODEL = Model(RfmQuery, RfmPick, scans, answer, users)
