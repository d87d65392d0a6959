"""Click map: which elements of a page are clicked, or where on it. Rules: docs/models/clicks.md.

Clicks are counted by page and element, or by page and cell of a grid, as the event model counts
groups; the cells of the grid are virtual properties that live as long as the query.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.analyses import event
from zuji.engine.query.analyses.event_query import EventBody, EventPick, EventQuery, Series
from zuji.engine.query.answer import Answer, Model, by_columns
from zuji.engine.query.audience import Names  # noqa: TC001 -- msgspec reads it
from zuji.engine.query.checks import BODY, check_events, check_value_of_event
from zuji.engine.query.filter_ast import Filter, Leaf, Scalar, both
from zuji.engine.query.measures import Measure
from zuji.engine.query.model import (
    MAX_BY,
    By,
    Envelope,
    EventPlace,
    Events,
    Pick,
    PropertyPlace,
    place,
)
from zuji.engine.query.problems import one_of
from zuji.engine.query.result import ColumnInfo
from zuji.engine.query.virtual.definitions import Definitions, VirtualProperty
from zuji.engine.query.virtual.expression import parsed
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.plan import Scan
    from zuji.engine.query.view import View
    from zuji.engine.query.words import Words
    from zuji.engine.types import U32

CLICKS: Final = ("$WebClick", "$AppClick", "$MPClick", "click")
"""What SDKs call a click."""
MAX_COLUMNS: Final = 200
_COLUMN, _ROW = "event.$column of the grid", "event.$row of the grid"
Property = Annotated[str, Meta(min_length=1)]


class Grid(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Cells: ``columns`` over the width of the page, rows of ``row_height`` pixels."""

    x: Property = "event.$page_x"
    y: Property = "event.$page_y"
    width: Property = "event.$viewport_width"
    columns: Annotated[int, Meta(ge=1, le=MAX_COLUMNS)] = 24
    row_height: Annotated[int, Meta(ge=1, le=10_000)] = 20


class ClicksBody(Events, frozen=True, kw_only=True):
    """Body of ``"model": "clicks"``. ``on``: one page alone. ``grid`` None: by element."""

    e: Names = CLICKS
    where: Filter | None = None
    page: Property = "event.$url_path"
    on: str | None = None
    element: Property = "event.$element_path"
    text: Property = "event.$element_content"
    grid: Grid | None = None

    @property
    def cells(self) -> tuple[tuple[str, str], ...]:
        """Coordinates of a row: column of the answer, property."""
        if self.grid is None:
            return (("page", self.page), ("element", self.element), ("text", self.text))
        return (("page", self.page), ("column", _COLUMN), ("row", _ROW))


class ClicksQuery(Envelope, frozen=True, kw_only=True, tag="clicks"):
    """Where people click."""

    model: ClassVar[Literal["clicks"]] = "clicks"
    body: ClicksBody = ClicksBody()

    @property
    def has_groups(self) -> bool:
        """Cells are groups."""
        return True

    def says(self, words: Words) -> str:
        """``clicks and users by element of the page “/loan”``."""
        body = self.body
        events = words.events(body)
        page = words.property(body.page)
        if body.on is not None:
            name = words.quoted(body.on)
            of = words(f"the page {name} ({page})", f"页面{name}（{page}）")
        else:
            of = words(f"each page ({page})", f"每个页面（{page}）")
        if body.grid is None:
            parts = words.joined([words.property(body.element), words.property(body.text)])
            return words(
                f"{events} and their users on {of} by {parts}",
                f"{of}上按{parts}看{events}的次数与人数",
            )
        parts = words.joined(
            [words.property(p) for p in (body.grid.x, body.grid.y, body.grid.width)]
        )
        return words(
            f"{events} and their users on {of} by position ({parts})",
            f"{of}上按位置（{parts}）看{events}的次数与人数",
        )

    def completed(self) -> Self:
        """The query, checked."""
        body = self.body
        check_events(body, BODY)
        for name in ("page", "element", "text"):
            check_value_of_event(getattr(body, name), f"{BODY}.{name}", "a part of a page")
        if body.grid is not None:
            for name in ("x", "y", "width"):
                check_value_of_event(getattr(body.grid, name), f"{BODY}.grid.{name}", "a position")
        if len(self.by) + len(body.cells) > MAX_BY:
            raise InvalidQuery(f"a click map has at most {MAX_BY - 3} breakdowns", "$.by")
        for i, by in enumerate(self.by):
            if by.p in [p for _, p in body.cells]:
                raise InvalidQuery(f"{by.p!r} is a column of the answer already", f"$.by[{i}].p")
        return self

    def event_places(self) -> list[EventPlace]:
        """The clicks."""
        return [place(BODY, self.body)]

    def property_places(self) -> list[PropertyPlace]:
        """What a page and an element or position are."""
        body = self.body
        found = [PropertyPlace(f"{BODY}.page", body.page)]
        if body.grid is None:
            found.append(PropertyPlace(f"{BODY}.element", body.element))
            return [*found, PropertyPlace(f"{BODY}.text", body.text)]
        return found + [
            PropertyPlace(f"{BODY}.grid.{name}", getattr(body.grid, name), "number")
            for name in ("x", "y", "width")
        ]


class ClicksPick(Pick, frozen=True, kw_only=True):
    """Users who clicked there: ``cell`` has a value of each column (null: of those without one);
    None: anywhere.
    """

    cell: dict[str, Scalar | None] | None = None

    def completed(self, query: ClicksQuery) -> Self:
        """The pick, checked."""
        names = [name for name, _ in query.body.cells]
        if self.cell is not None and set(self.cell) != set(names):
            raise InvalidQuery(f"a cell has {one_of(names)}", "$.cell")
        if self.cell is None and self.by is not None:
            raise InvalidQuery("a group of a click map needs its 'cell'", "$.cell")
        if self.cell is not None and query.by and self.by is None:
            raise InvalidQuery("the values of the breakdowns are missing", "$.by")
        return self


def scans(bound: Bound) -> list[Scan]:
    """The clicks, once for their number and once for their users."""
    return event.scans(_counted(bound))


def answer(bound: Bound) -> Answer:
    """Rows: by…, page, element and text (or column and row), clicks, users, share."""
    asked, cells = _counted(bound), bound.query.body.cells
    found = event.answer(asked)
    half = len(found.rows) // 2
    overall = dict(map(tuple, found.totals["overall"]))
    every = overall["clicks"] or 0
    n = len(bound.query.by)
    rows: list[list[Any]] = []
    for clicks, users in zip(found.rows[:half], found.rows[half:], strict=True):
        head, coordinates, is_other = clicks[2 : 2 + n], clicks[2 + n : -2], clicks[-2]
        if clicks[-1] or users[-1]:
            share = clicks[-1] / every if every else None
            rows.append([*head, *coordinates, is_other, clicks[-1], users[-1], share])
    grouped = by_columns(asked)
    columns = [
        *grouped[:n],
        *(ColumnInfo(name, grouped[n + i].type) for i, (name, _) in enumerate(cells)),
        ColumnInfo("is_other", "bool", None),
        ColumnInfo("clicks", "int64", None),
        ColumnInfo("users", "int64", "users"),
        ColumnInfo("share", "float64", "ratio"),
    ]
    totals = [[every, overall["users"] or 0]]
    return Answer(
        columns,
        rows,
        {"kind": "deduplicated", "columns": ["clicks", "users"], "rows": totals},
    )


def users(bound: Bound, pick: ClicksPick) -> list[U32]:
    """Ordinals with a click in the cell."""
    by = None
    if pick.cell is not None:
        own = {p: pick.cell[name] for name, p in bound.query.body.cells}
        by = {**(pick.by or {}), **own}
    return event.users(_counted(bound), EventPick(series="users", by=by, is_other=pick.is_other))


def _counted(bound: Bound) -> Bound:
    """The same as a question of the event model: two series, grouped by the cells."""
    query = bound.query
    body: ClicksBody = query.body
    where = body.where
    if body.on is not None:
        where = both(where, Leaf(body.page, "eq", body.on))
    series = tuple(
        Series(e=body.e, where=where, measure=Measure(op), as_=name)
        for name, op in (("clicks", "count"), ("users", "users"))
    )
    own = tuple(By(p=p, as_of="event") for _, p in body.cells)
    shared = {name: value for name, value in _fields(query).items() if name not in ("by", "body")}
    asked = EventQuery(**shared, by=(*query.by, *own), body=EventBody(series=series))
    view = bound.view if body.grid is None else _with_cells(bound.view, body.grid)
    return replace(bound, query=asked, view=view, range=replace(bound.range, grain="all"))


def _fields(query: Envelope) -> dict[str, Any]:
    return {name: getattr(query, name) for name in query.__struct_fields__}


def _with_cells(view: View, grid: Grid) -> View:
    """The view with the cells of a grid as properties."""

    def named(p: str) -> str:
        scope, _, name = p.partition(".")
        return f"{scope}[{name!r}]"

    x, y, width = named(grid.x), named(grid.y), named(grid.width)
    last = grid.columns - 1
    texts = {
        _COLUMN: f"min(max(floor({x} * {grid.columns} / {width}), 0), {last})",
        _ROW: f"max(floor({y} / {grid.row_height}), 0)",
    }
    made = {p: VirtualProperty(p, Kind.INT, text, parsed(text)) for p, text in texts.items()}
    known = view.definitions
    definitions = Definitions(known.events, {**known.properties, **made})
    catalog = view.catalog.copy()
    catalog.virtual = definitions.kinds
    return replace(view, catalog=catalog, definitions=definitions)


MODEL = Model(ClicksQuery, ClicksPick, scans, answer, users)
