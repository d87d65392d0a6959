"""Path: which step follows which in the sessions of users, as links from layer to layer.

Semantics: docs/models/path.md. Sessions are cut over all events, then rows that are no steps are
left out, repeats collapsed, and paths begun and cut to their length. Without breakdowns, an anchor
or named properties, links are counted in one walk, node by node, and folded afterwards; otherwise a
first walk counts nodes by layer and paths by group, and a second one the links between the chosen
nodes, line by line, and the users behind them. Memory: what rows are to paths where that differs
within a run, and tables of nodes and cells; sessions are never held.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query.analyses.event_values import picked_line
from zuji.engine.query.analyses.path_query import PathPick, PathQuery
from zuji.engine.query.analyses.path_steps import Nodes, PathGroups, StepReader
from zuji.engine.query.answer import Answer, Model, by_columns
from zuji.engine.query.breakdown import Chosen, choose, line_values, one_line
from zuji.engine.query.crowd import allowed
from zuji.engine.query.kernels._paths import (
    LINE_HEAD,
    NARROW_CODES,
    path_cells,
    path_links,
    path_tally,
)
from zuji.engine.query.kernels.walk import PathCells, SessionRule, Steps
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.result import ColumnInfo
from zuji.engine.query.walks import BYTES_A_ROW, NEVER_MS, around, walk_bytes, walk_of
from zuji.engine.storage.feeds import SCRATCH_BYTES, Feeds

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.query.analyses.path_query import NodeKind, PathBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.kernels.walk import Walk
    from zuji.engine.types import I64, U8, U16, U32

    Names = list[list[tuple[str | None, NodeKind]]]

MAX_CELLS = 1 << 24
"""Lines × cells of a line."""
ENDS = 2
"""Columns after those of nodes: no row left; rows, but no step left."""


def scans(bound: Bound) -> list[Scan]:
    """All events of the range and of one gap around it."""
    query = bound.query
    assert isinstance(query, PathQuery)
    columns: set[str] = {by.p for by in query.by if by.p.startswith("event.")}
    columns |= {node.p for node in query.body.nodes}
    for _, _, where in query.event_places():
        columns |= columns_of(bound.where(where))
    gap, r = query.body.session.gap.ms, bound.range
    scan = Scan("sessions", None, r.from_ms - gap, r.to_ms + gap, None, frozenset(columns))
    return [planned(scan, bound.view)]


def answer(bound: Bound) -> Answer:
    """Rows: by…, layer, source, source_kind, target, target_kind, count."""
    found = _whole(bound, None)
    body: PathBody = bound.query.body
    unit = {"sessions": "sessions", "users": "users", "occurrences": "paths"}[body.count]
    heads = by_columns(bound)
    columns = [
        *heads,
        ColumnInfo("layer", "int64", None),
        ColumnInfo("source", "string", None),
        ColumnInfo("source_kind", "string", None),
        ColumnInfo("target", "string", None),
        ColumnInfo("target_kind", "string", None),
        ColumnInfo("count", "int64", unit),
    ]
    cells, rows, nodes, totals = found.cells, [], [], []
    count = np.count_nonzero(cells.links) + np.count_nonzero(cells.nodes)
    bound.context.charge(200 * int(count))
    own = found.names
    for line in range(found.chosen.lines):
        bound.context.check()
        head = line_values(bound, found.groups.by.groups, found.chosen, line)
        links, shown = found.links(line, own), found.nodes_of(line, own)
        rows += [[*head, *row] for row in links] if head else links
        nodes += [[*head, *row] for row in shown] if head else shown
        totals.append([*head, int(cells.total[line]), int(cells.open[line])])
    names = [column.name for column in heads]
    return Answer(
        columns,
        rows,
        {
            "columns": [*names, "total", "open"],
            "rows": totals,
            "nodes": {"columns": [*names, "layer", "node", "kind", "count"], "rows": nodes},
        },
        "deduplicated" if body.count == "users" else "sum",
    )


def users(bound: Bound, pick: PathPick) -> list[U32]:
    """Ordinals behind a link, a node, or all paths of a line."""
    return _whole(bound, pick).picked


def _whole(bound: Bound, pick: PathPick | None) -> _Found:
    """The cells, or the users of one; once more with what lies behind when a session goes on."""
    until = bound.range.to_ms
    while True:
        before = bound.context.charged
        work = _Work(bound, until)
        found = work.found() if pick is None else work.of_pick(pick)
        if not found.cells.beyond:
            return found
        until = work.given.reach_ms
        bound.context.release(bound.context.charged - before)


# ------------------------------------------------------------------------------------- columns


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where nodes are shown. ``table`` uint16[steps, nodes]; ``own``: numbers of the nodes that
    have a column in each layer, in order; ``other``: the column of all others, after them.
    """

    table: U16
    own: list[list[int]]
    other: int

    @property
    def size(self) -> int:
        """Columns, but for the ends."""
        return self.other + 1


def _chosen_columns(nodes: Nodes, paths: I64, most: int) -> _Columns:
    """The ``most`` nodes of each layer with the most paths; of equal ones those whose name sorts
    first.
    """
    own = []
    for layer in paths:
        seen = np.flatnonzero(layer)
        if len(seen) > most:
            least = np.partition(layer[seen], len(seen) - most)[len(seen) - most]
            seen = seen[layer[seen] >= least]
        counts = layer.tolist() if len(layer) < 1 << 16 else layer
        own.append(nsmallest(most, seen.tolist(), lambda n: (-int(counts[n]), nodes.text(n))))  # noqa: B023
    other = max(map(len, own), default=0)
    table = np.full(paths.shape, other, np.uint16)
    for layer, numbers in zip(table, own, strict=True):
        layer[numbers] = np.arange(len(numbers))
    return _Columns(table, own, other)


def _all_columns(steps: int, nodes: int) -> _Columns:
    every = np.arange(nodes, dtype=np.uint16)
    return _Columns(np.tile(every, (steps, 1)), [list(range(nodes))] * steps, nodes)


@dataclass(frozen=True, slots=True)
class _Found:
    """Cells, and what their lines and columns are; or the users of a cell."""

    cells: PathCells
    chosen: Chosen
    groups: PathGroups
    columns: _Columns
    nodes: Nodes
    reverse: bool
    picked: list[U32]

    @property
    def names(self) -> list[list[tuple[str | None, NodeKind]]]:
        """Name and kind of every column of every layer."""
        gone: NodeKind = "entered" if self.reverse else "dropped"
        ends: list[tuple[str | None, NodeKind]] = [(None, gone), (None, "elsewhere")]
        found = []
        for own in self.columns.own:
            named: list[tuple[str | None, NodeKind]] = [(self.nodes.text(n), "node") for n in own]
            named += [(None, "other")] * (self.columns.size - len(own))
            found.append(named + ends)
        return found

    def links(self, line: int, names: Names) -> list[list[Any]]:
        """layer, source, source_kind, target, target_kind, count: layer by layer, greatest
        first. Source is always the earlier one.
        """
        cells = self.cells.links[line]
        layers, a, b = np.nonzero(cells)
        counts = cells[layers, a, b].tolist()
        found: list[list[Any]] = []
        for layer, here, there, count in zip(
            layers.tolist(), a.tolist(), b.tolist(), counts, strict=True
        ):
            source, target = names[layer][here], names[layer + 1][there]
            if self.reverse:
                source, target = target, source
            found.append([layer + 1, *source, *target, count])
        found.sort(key=lambda r: (r[0], -r[5], r[2], r[1] or "", r[4], r[3] or ""))
        return found

    def nodes_of(self, line: int, names: Names) -> list[list[Any]]:
        """layer, node, kind, count."""
        cells = self.cells.nodes[line]
        layers, a = np.nonzero(cells)
        counts = cells[layers, a].tolist()
        found: list[list[Any]] = [
            [layer + 1, *names[layer][column], count]
            for layer, column, count in zip(layers.tolist(), a.tolist(), counts, strict=True)
        ]
        found.sort(key=lambda r: (r[0], -r[3], r[2], r[1] or ""))
        return found

    def column_of(self, layer: int, text: str | None, kind: NodeKind, path: str) -> int:
        """The column of a node as a pick names it. Raises InvalidQuery."""
        for column, one in enumerate(self.names[layer]):
            if one == (text, kind):
                return column
        what = repr(text) if kind == "node" else f"of kind {kind!r}"
        raise InvalidQuery(f"layer {layer + 1} shows no node {what}", f"$.pick.{path}")


# ---------------------------------------------------------------------------------------- work


class _Work:
    """Rows of the sessions of a range, as steps."""

    def __init__(self, bound: Bound, until_ms: int) -> None:
        self.bound, self.context = bound, bound.context
        self.body: PathBody = bound.query.body
        body, r, mark = self.body, bound.range, bound.view.watermark_ms
        gap = body.session.gap.ms
        self.given = around(bound.view, r.from_ms, until_ms, gap)
        self.rule = SessionRule(
            gap_ms=gap,
            from_ms=r.from_ms,
            to_ms=r.to_ms,
            steps=body.max_steps,
            collapse=body.collapse,
            reverse=body.reverse,
            every=body.count == "occurrences",
            open_ms=NEVER_MS if mark is None else mark - gap,
            reach_ms=self.given.reach_ms,
        )
        self.nodes, self.groups = Nodes(bound), PathGroups(bound)
        self.shards = list(range(bound.view.shards))
        self.allowed: list[U8 | None] = [None] * len(self.shards)
        self.steps = self.context.map(self._read, self.shards)

    def _read(self, shard: int) -> list[dict[str, int | Steps]]:
        reader = StepReader(self.bound, shard, self.nodes, self.groups)
        self.allowed[shard] = allowed(self.bound, reader.reader)
        found = []
        for source in self.given.shards[shard]:
            self.context.read(source.rows, BYTES_A_ROW * source.rows)
            found.append(reader.of_source(source))
        return found

    @property
    def is_narrow(self) -> bool:
        """Whether links of all nodes are counted in one walk."""
        return (
            not self.bound.query.by
            and self.body.anchor is None
            and self.body.count == "sessions"
            and not self.body.nodes
            and self.nodes.size <= NARROW_CODES
        )

    # -- cells ---------------------------------------------------------------------------------

    def found(self) -> _Found:
        """All cells."""
        if self.is_narrow:
            return self._narrow()
        columns, chosen, beyond = self._choose()
        if beyond:
            return self._found(replace(_no_cells(), beyond=True), chosen, columns)
        cells = self._cells(columns, self.groups.lines(chosen), chosen.lines, None)
        return self._found(_added(cells), chosen, columns)

    def of_pick(self, pick: PathPick) -> _Found:
        """The users of one cell."""
        columns, chosen, beyond = self._choose()
        found = self._found(replace(_no_cells(), beyond=beyond), chosen, columns)
        if beyond:
            return found
        line = -1
        if self.bound.query.by:
            line = picked_line(self.bound, self.groups.by.groups, chosen, pick)
        lines = self.groups.lines(chosen, line) if line >= 0 else self._anybody()
        cells = self._cells(columns, lines, 1, _cell(found, pick, self.body.max_steps))
        return replace(found, cells=_added(cells), picked=[part.picked for part in cells])

    def _anybody(self) -> tuple[U32, U32]:
        """Lines when all groups are one."""
        size = self.groups.size
        return np.arange(size + 1, dtype=np.uint32), np.zeros(size, np.uint32)

    def _found(self, cells: PathCells, chosen: Chosen, columns: _Columns) -> _Found:
        return _Found(cells, chosen, self.groups, columns, self.nodes, self.body.reverse, [])

    def _narrow(self) -> _Found:
        steps, nodes = self.body.max_steps, self.nodes.size
        side = nodes + ENDS
        held = 8 * (steps - 1) * side * side
        parts = self._walked(
            held,
            lambda shard, walks: path_links(
                walks,
                users=self.bound.view.users[shard],
                n_codes=nodes,
                rule=self.rule,
                allowed=self.allowed[shard],
                cancel=self.context.flag,
            ),
        )
        links = sum(part[0] for part in parts)
        assert isinstance(links, np.ndarray)
        of_layer = np.concatenate([links.sum(axis=2), links[-1:].sum(axis=1)])
        columns = _chosen_columns(self.nodes, of_layer[:, :nodes], self.body.max_nodes)
        ends = np.arange(columns.size, columns.size + ENDS)
        place = [np.concatenate([row.astype(np.int64), ends]) for row in columns.table]
        size = columns.size + ENDS
        shown = np.zeros((1, steps - 1, size, size), np.int64)
        shown_nodes = np.zeros((1, steps, size), np.int64)
        for k in range(steps):
            np.add.at(shown_nodes[0, k], place[k], of_layer[k])
            if k:
                at = (place[k - 1][:, None], place[k][None, :])
                np.add.at(shown[0, k - 1], at, links[k - 1])
        cells = PathCells(
            links[0].sum().reshape(1),
            np.array([sum(part[1] for part in parts)]),
            shown_nodes,
            shown,
            np.empty(0, np.uint32),
            any(part[2] for part in parts),
        )
        return self._found(cells, one_line(), columns)

    def _choose(self) -> tuple[_Columns, Chosen, bool]:
        """The nodes and groups with the most paths; whether rows are missing."""
        steps, nodes, by = self.body.max_steps, self.nodes.size, self.bound.query.by
        if not by and nodes <= self.body.max_nodes:
            return _all_columns(steps, nodes), one_line(), False
        groups = self.groups.size
        parts = self._walked(
            16 * (steps * nodes + groups),
            lambda shard, walks: path_tally(
                walks,
                users=self.bound.view.users[shard],
                nodes=nodes,
                groups=groups,
                rule=self.rule,
                allowed=self.allowed[shard],
                cancel=self.context.flag,
            ),
        )
        by_node, by_group = sum(part[0] for part in parts), sum(part[1] for part in parts)
        assert isinstance(by_node, np.ndarray)
        assert isinstance(by_group, np.ndarray)
        columns = _chosen_columns(self.nodes, by_node, self.body.max_nodes)
        chosen = one_line()
        if by:
            totals = self.groups.totals(by_group)
            own = self.groups.by.groups
            chosen = choose(self.bound, own, totals.astype(np.float64), np.flatnonzero(totals))
        return columns, chosen, any(part[2] for part in parts)

    def _cells(
        self, columns: _Columns, lines: tuple[U32, U32], n_lines: int, pick: int | None
    ) -> list[PathCells]:
        """Cells of each shard."""
        steps, side = self.body.max_steps, columns.size + ENDS
        size = n_lines * (LINE_HEAD + steps * side + (steps - 1) * side * side)
        if size > MAX_CELLS:
            raise QueryBudgetExceeded(
                f"{n_lines:,} groups of {steps} steps and {side} nodes a step are too many cells; "
                "show fewer groups ('top'), nodes ('max_nodes') or steps ('max_steps')"
            )
        return self._walked(
            20 * size,
            lambda shard, walks: path_cells(
                walks,
                users=self.bound.view.users[shard],
                shown=columns.table,
                columns=columns.size,
                lines=lines,
                n_lines=n_lines,
                rule=self.rule,
                by_user=self.body.count == "users",
                pick=pick,
                allowed=self.allowed[shard],
                cancel=self.context.flag,
            ),
        )

    def _walked(self, held_bytes: int, kernel: Callable[[int, list[Walk]], Any]) -> list[Any]:
        """What a kernel gives for each shard."""

        def work(shard: int) -> Any:
            feeds, keep = Feeds(), self.given.keep
            sources = self.given.shards[shard]
            held = held_bytes + SCRATCH_BYTES + sum(walk_bytes(s, keep=keep) for s in sources)
            self.context.charge(held)
            walks = []
            for source, steps in zip(sources, self.steps[shard], strict=True):
                self.context.check()
                walks.append(walk_of(source, steps, feeds, keep=keep))
            try:
                return kernel(shard, walks)
            except ValueError:
                feeds.check()
                raise
            finally:
                self.context.release(held)

        return self.context.map(work, self.shards)


def _cell(found: _Found, pick: PathPick, steps: int) -> int:
    """Number of the picked cell in its line."""
    if pick.layer is None:
        return int(pick.open)
    layer, side = pick.layer - 1, found.columns.size + ENDS
    if pick.kind is not None:
        return LINE_HEAD + layer * side + found.column_of(layer, pick.node, pick.kind, "node")
    assert pick.source_kind is not None
    assert pick.target_kind is not None
    at = (layer + 1, layer) if found.reverse else (layer, layer + 1)
    source = found.column_of(at[0], pick.source, pick.source_kind, "source")
    target = found.column_of(at[1], pick.target, pick.target_kind, "target")
    a, b = (target, source) if found.reverse else (source, target)
    return LINE_HEAD + steps * side + (layer * side + a) * side + b


def _no_cells() -> PathCells:
    empty = np.zeros(0, np.int64)
    return PathCells(empty, empty, empty, empty, np.empty(0, np.uint32), False)


def _added(parts: list[PathCells]) -> PathCells:
    """Cells of all shards together: no user is in two."""
    return PathCells(
        np.sum([part.total for part in parts], axis=0),
        np.sum([part.open for part in parts], axis=0),
        np.sum([part.nodes for part in parts], axis=0),
        np.sum([part.links for part in parts], axis=0),
        np.empty(0, np.uint32),
        any(part.beyond for part in parts),
    )


MODEL = Model(PathQuery, PathPick, scans, answer, users)
