"""What the rows of a shard are to paths: which are steps, under which node, which open a path, and
in which group.

One reader a shard and query, used by one thread at a time; :class:`Nodes` and :class:`PathGroups`
are shared by the shards.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.distinct import unique
from zuji.engine.errors import InvalidQuery, QueryBudgetExceeded
from zuji.engine.query.bind import kind_of
from zuji.engine.query.breakdown import Breakdown
from zuji.engine.query.checks import BODY
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.kernels._paths import HIDDEN
from zuji.engine.query.kernels.lane import NO_GROUP, Lane
from zuji.engine.query.kernels.walk import Steps
from zuji.engine.query.plan import RunRef, bytes_of
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.reader import ShardReader
from zuji.engine.query.texts import texts_of
from zuji.engine.types import PROFILE_EVENTS, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.analyses.path_query import PathBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.breakdown import Chosen
    from zuji.engine.query.model import Events
    from zuji.engine.storage.segment import Source
    from zuji.engine.types import I64, U8, U32

MAX_NODES = 4_000_000


class Nodes:
    """Numbers of nodes, the same in every shard: an event, or an event with a property's value.

    Nodes that read the same are one. A name can only be that of two when one event's name begins
    with another's and a colon: then nodes are told apart by their text.
    """

    def __init__(self, bound: Bound) -> None:
        body: PathBody = bound.query.body
        self.size = 0
        self._lock = threading.Lock()
        self._tables: dict[tuple[str, str | None], U32] = {}
        self._chunks: list[tuple[int, str, Dimension | None, I64]] = []  # first number, codes
        self._starts: list[int] = []
        self._dimensions: dict[str, Dimension] = {}
        for i, node in enumerate(body.nodes):
            kind = kind_of(bound.view.catalog, node.p)
            if kind == Kind.LIST:
                raise InvalidQuery(
                    f"{node.p} is a list; a node has one value", f"{BODY}.nodes[{i}].p"
                )
            texts = texts_of(bound.view, node.p) if kind == Kind.STRING else None
            self._dimensions.setdefault(node.p, Dimension(node.p, bound.range.tz, None, texts))
        names = bound.view.catalog.events
        alike = self._dimensions and any(
            b.startswith(a + ":") for a in names for b in names if len(b) > len(a)
        )
        self._by_text: dict[str, int] | None = {} if alike else None

    def of_event(self, event: str) -> int:
        """Number of the node of an event alone."""
        return int(self._numbers(event, None, np.zeros(1, np.int64))[0])

    def of_rows(self, reader: ShardReader, ref: RunRef, p: str) -> U32:
        """Number of each row's node, uint32[rows]."""
        dimension = self._dimensions[p]
        codes, _ = dimension.codes(reader.column(ref, p), ref.run.rows)
        used = np.zeros(int(codes.max(initial=0)) + 1, dtype=bool)
        used[codes] = True
        table = self._numbers(ref.run.event, p, np.flatnonzero(used))
        return table[codes]

    def _numbers(self, event: str, p: str | None, codes: I64) -> U32:
        """Table from code to number, in which those of ``codes`` are set."""
        with self._lock:
            table = self._tables.get((event, p), np.empty(0, np.uint32))
            size = int(codes[-1]) + 1 if len(codes) else 0
            if size > len(table):
                more = np.full(size - len(table), NO_GROUP, np.uint32)
                table = np.concatenate([table, more])
            new = codes[table[codes] == NO_GROUP]
            if len(new):
                table = table.copy()
                table[new] = self._add(event, p, new)
            self._tables[event, p] = table
            return table

    def _add(self, event: str, p: str | None, codes: I64) -> U32:
        dimension = None if p is None else self._dimensions[p]
        if self._by_text is not None:
            found = []
            for code in codes.tolist():
                text = _text(event, dimension, code)
                if text not in self._by_text:
                    self._by_text[text] = self._append(event, dimension, np.array([code]))
                found.append(self._by_text[text])
            return np.array(found, np.uint32)
        first = self._append(event, dimension, codes)
        return np.arange(first, first + len(codes), dtype=np.uint32)

    def _append(self, event: str, dimension: Dimension | None, codes: I64) -> int:
        first = self.size
        self._chunks.append((first, event, dimension, codes))
        self._starts.append(first)
        self.size += len(codes)
        if self.size > MAX_NODES:
            raise QueryBudgetExceeded(
                f"paths have more than {MAX_NODES:,} different nodes; name fewer events with a "
                "property, or filter"
            )
        return first

    def text(self, number: int) -> str:
        """What a node is called."""
        first, event, dimension, codes = self._chunks[bisect_right(self._starts, number) - 1]
        return _text(event, dimension, int(codes[number - first]))


def _text(event: str, dimension: Dimension | None, code: int) -> str:
    """``page``; with a property ``page:/loan``, and ``page`` where the value is missing."""
    value: Any = None if dimension is None else dimension.value(code)
    if value is None:
        return event
    return f"{event}:{str(value).lower() if isinstance(value, bool) else value}"


class PathGroups:
    """Groups of paths, by the row that opens them. A list puts a row in several groups: it then has
    the number of that set of groups, else that of its group.
    """

    def __init__(self, bound: Bound) -> None:
        self.by = Breakdown(bound)
        self.of_lists = any(kind_of(bound.view.catalog, by.p) == Kind.LIST for by in bound.query.by)
        self._lock = threading.Lock()
        self._sets: dict[tuple[int, ...], int] = {}

    @property
    def size(self) -> int:
        """Numbers of rows are below it."""
        if not self.by.by:
            return 1
        return len(self._sets) if self.of_lists else self.by.groups.size

    def of_rows(self, reader: ShardReader, ref: RunRef, rows: int) -> U32:
        """Number of each row, uint32[rows]."""
        # A lane of one user: the grouping only spreads its rows.
        lane = Lane(
            np.zeros(1, np.uint32),
            np.array([0, rows], np.uint32),
            np.zeros(rows, np.uint32),
            0,
        )
        _, index, groups = self.by.groups.of_rows(lane, self.by.codes(reader, ref))
        assert groups is not None
        if not self.of_lists:
            return groups
        lengths = np.ones(rows, np.int64) if index is None else np.bincount(index, minlength=rows)
        ends = np.cumsum(lengths)
        out = np.zeros(rows, np.uint32)
        for length in np.unique(lengths).tolist():
            mine = np.flatnonzero(lengths == length)
            items = groups[(ends[mine] - length)[:, None] + np.arange(length)]
            items.sort(axis=1)
            found, inverse = np.unique(items, axis=0, return_inverse=True)
            with self._lock:
                numbers = [
                    self._sets.setdefault(tuple(one), len(self._sets)) for one in found.tolist()
                ]
            out[mine] = np.array(numbers, np.uint32)[inverse.reshape(-1)]
        return out

    def members(self) -> tuple[I64, I64]:
        """(number, group) pairs, by number: the groups that rows of a number are in."""
        if not self.of_lists:
            every = np.arange(self.size)
            return every, every
        sizes = np.array([len(one) for one in self._sets], np.int64)
        groups = np.array([g for one in self._sets for g in one], np.int64)
        return np.repeat(np.arange(len(sizes)), sizes), groups

    def totals(self, paths: I64) -> I64:
        """Paths of each group, from those of each number."""
        number, group = self.members()
        found = np.zeros(self.by.groups.size, np.int64)
        np.add.at(found, group, paths[number])
        return found

    def lines(self, chosen: Chosen, only: int = -1) -> tuple[U32, U32]:
        """Lines of each number as the kernel takes them. ``only``: a line that is then line 0."""
        number, group = self.members()
        line = chosen.table[group].astype(np.int64)
        keep = line < chosen.lines if only < 0 else line == only
        pairs = unique(number[keep] * (chosen.lines + 1) + line[keep])
        number, line = np.divmod(pairs, chosen.lines + 1)
        offsets = np.zeros(self.size + 1, np.uint32)
        np.cumsum(np.bincount(number, minlength=self.size), out=offsets[1:])
        return offsets, (line if only < 0 else np.zeros_like(line)).astype(np.uint32)


class StepReader:
    """Reads the rows of one shard as steps."""

    def __init__(self, bound: Bound, shard: int, nodes: Nodes, groups: PathGroups) -> None:
        self.reader = ShardReader(bound.view, shard, bound.context)
        self.bound, self.nodes, self.groups = bound, nodes, groups
        self.body: PathBody = bound.query.body

    def of_source(self, source: Source) -> dict[str, int | Steps]:
        """What the rows of each event of a source are."""
        found: dict[str, int | Steps] = {}
        for name, run in source.runs.items():
            if name not in PROFILE_EVENTS:
                self.bound.context.check()
                found[name] = self._of_run(RunRef(self.reader.shard, source, run, inside=False))
        return found

    def _of_run(self, ref: RunRef) -> int | Steps:
        body, name, anchor = self.body, ref.run.event, self.body.anchor
        opens = True if anchor is None else self._any(ref, [anchor])
        shown = opens if anchor is not None else False
        if shown is not True:
            shown = _either(shown, self._any(ref, body.events))
        left_out = self._any(ref, body.exclude, own=True)
        mask = _but(shown, left_out)
        if mask is False:
            return HIDDEN
        p = next(
            (n.p for n in body.nodes if n.names is None or name in n.names), None
        )  # the first that names the event
        number: int = 0
        numbers: U32 | None = None
        if p is None:
            number = self.nodes.of_event(name)
        else:
            self._charge(ref, 4)
            numbers = self.nodes.of_rows(self.reader, ref, p)
        groups = None
        if self.bound.query.by and opens is not False:
            self._charge(ref, 4)
            groups = self.groups.of_rows(self.reader, ref, ref.run.rows)
        self._read(ref, p)
        return Steps(number, numbers, None if mask is True else mask, opens, groups)

    def _charge(self, ref: RunRef, width: int) -> None:
        self.bound.context.charge(width * ref.run.rows)

    def _read(self, ref: RunRef, p: str | None) -> None:
        """Counts the stored bytes of the columns; those of the walk are counted there."""
        used = columns_of(None, p, *self.groups.by.columns)
        if used:
            self.bound.context.read(0, bytes_of(ref, used) - bytes_of(ref, frozenset()))

    def _any(self, ref: RunRef, places: Sequence[Events], *, own: bool = False) -> U8 | bool:
        """Rows that match one of the places; ``own``: by its own filter alone."""
        found: U8 | bool = False
        for place in places:
            if place.names is not None and ref.run.event not in place.names:
                continue
            where = place.where if own else self.bound.where(place.where)
            mask = True if where is None else self.reader.mask(ref, where)
            if mask is True:
                return True
            if mask is not False:
                self._charge(ref, 1)
            found = _either(found, mask)
        return found


def _either(a: U8 | bool, b: U8 | bool) -> U8 | bool:
    if isinstance(a, bool):
        return True if a else b
    return (True if b else a) if isinstance(b, bool) else a | b


def _but(a: U8 | bool, b: U8 | bool) -> U8 | bool:
    """Rows of a that are not of b."""
    if isinstance(b, bool):
        return False if b else a
    if isinstance(a, bool):
        return b ^ np.uint8(1) if a else False
    return a & (b ^ np.uint8(1))
