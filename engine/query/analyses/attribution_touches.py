"""Touches of an attribution query: rows of each run with the names that their credit goes to.

A name is a touch of the query, or one value of its ``name`` property. Values are met while shards
are read, so names are numbered when all have been (:meth:`Names.close`); of very many values only
those that rows have get a number. Thread-safe while reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.bind import kind_of
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.kernels._events import event_cells
from zuji.engine.query.kernels.lane import NO_GROUP, Lane
from zuji.engine.query.texts import texts_of
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.query.analyses.attribution_query import AttributionBody
    from zuji.engine.query.bind import Bound
    from zuji.engine.query.plan import RunRef, Scan
    from zuji.engine.query.reader import ShardReader
    from zuji.engine.types import I64, U8, U32

DENSE_NAMES = 4_096
"""Up to so many values are numbered without a look at which of them rows have."""


@dataclass(slots=True)
class Touches:
    """Touches of one run. ``parts``: (touch of the query, its mask, its codes), those asked first
    going first; ``keys`` of the rows, None without a match; ``named``: the numbers once known.
    """

    ref: RunRef
    lane: Lane
    parts: list[tuple[int, U8 | None, U32 | None]]
    keys: U32 | None
    named: U32 | int | None = None


class Names:
    """Numbers of touches and of their values."""

    def __init__(self, bound: Bound, body: AttributionBody) -> None:
        self.body = body
        self._context = bound.context
        self.dimensions: list[Dimension | None] = []
        kinds = set()
        for i, touch in enumerate(body.touches):
            if touch.name is None:
                self.dimensions.append(None)
                continue
            kind = kind_of(bound.view.catalog, touch.name)
            if kind == Kind.LIST:
                raise InvalidQuery(
                    f"{touch.name} is a list; a touch has one name", f"$.body.touches[{i}].name"
                )
            kinds.add(kind)
            texts = texts_of(bound.view, touch.name) if kind == Kind.STRING else None
            self.dimensions.append(Dimension(touch.name, bound.range.tz, None, texts))
        single = next(iter(kinds)) if len(kinds) == 1 else None
        plain = single is None or single == Kind.DATETIME
        self.kind = "string" if len(kinds) < 2 and (plain or single is None) else "any"
        if len(kinds) == 1 and single is not None and not plain:
            self.kind = single.label
        self._bases: list[int] = []
        self._table: U32 | None = None
        self._own: I64 = np.empty(0, np.int64)
        self.touches: I64 = np.empty(0, np.int64)
        """The touch of each name, once closed."""
        self.size = 0

    def close(self, read: Sequence[Touches]) -> None:
        """Numbers all names. O(rows), where names are values."""
        sizes = [1 if d is None else d.size for d in self.dimensions]
        ends = np.cumsum([0, *sizes]).tolist()
        self._bases, total = ends[:-1], ends[-1]
        for touches in read:
            touches.named = self._named(touches)
        self._context.charge(24 * total)
        if total <= DENSE_NAMES:
            self._number_all(np.arange(total))
            return
        used = np.zeros(total + 1, np.bool_)
        for base, dimension in zip(self._bases, self.dimensions, strict=True):
            used[base] |= dimension is None
        for touches in read:
            self._context.check()
            named = self.of(touches)
            used[named if isinstance(named, int) else np.minimum(named, total)] = True
        self._number_all(np.flatnonzero(used[:total]))
        self._table = np.full(total + 1, NO_GROUP, np.uint32)
        self._table[self._own] = np.arange(self.size, dtype=np.uint32)
        for touches in read:
            named = self.of(touches)
            if isinstance(named, int):
                touches.named = int(self._table[named])
            else:
                touches.named = self._table[np.minimum(named, total)]

    def _number_all(self, own: I64) -> None:
        self._own, self.size = own, len(own)
        self.touches = np.searchsorted(self._bases, own, side="right") - 1

    def _named(self, touches: Touches) -> U32 | int:
        """Names of the rows before values that no row has are left out."""
        if len(touches.parts) == 1 and touches.parts[0][2] is None:
            return self._bases[touches.parts[0][0]]
        rows = touches.lane.rows
        self._context.charge(4 * rows)
        names = np.full(rows, NO_GROUP, np.uint32)
        for touch, mask, codes in reversed(touches.parts):
            own: Any = np.uint32(self._bases[touch])
            if codes is not None:
                own = codes + own
            names = (
                np.where(mask == 1, own, names)
                if mask is not None
                else np.broadcast_to(own, (rows,))
            )
        return np.ascontiguousarray(names, np.uint32)

    def of(self, touches: Touches) -> U32 | int:
        """Name of each row of a run, or of all that pass its mask."""
        assert touches.named is not None
        return touches.named

    @property
    def direct(self) -> U8:
        """Per name 1 where ``last_non_direct`` passes over it."""
        flags = np.array([touch.direct for touch in self.body.touches], np.uint8)
        return flags[self.touches]

    def is_plain(self, touch: int) -> bool:
        """Whether a touch has one name."""
        return self.dimensions[touch] is None

    def first(self, touch: int) -> int:
        """The number of a touch with one name."""
        return self._number(self._bases[touch])

    def value(self, name: int) -> Any:
        """The value that a name stands for."""
        touch = int(self.touches[name])
        dimension = self.dimensions[touch]
        if dimension is None:
            return None
        return dimension.value(int(self._own[name]) - self._bases[touch])

    def columns(self, name: int) -> list[Any]:
        """``touch``, ``name`` and ``is_direct`` of a row."""
        if name == self.size:
            return [None, None, True]
        return [self.body.touches[int(self.touches[name])].label, self.value(name), False]

    def number(self, label: str, value: Any) -> int:
        """The name of a picked cell.

        Raises:
            InvalidQuery: no touch has that value.
        """
        touch = [t.label for t in self.body.touches].index(label)
        if self.is_plain(touch):
            return self.first(touch)
        own = np.flatnonzero(self.touches == touch).tolist()
        near = [n for n in own if self.value(n) == value]
        exact = [n for n in near if type(self.value(n)) is type(value)]
        if not near:
            raise InvalidQuery(f"the answer has no touch {label!r} named {value!r}", "$.pick.name")
        return (exact or near)[0]

    def _number(self, own: int) -> int:
        return own if self._table is None else int(self._table[own])


def read(
    reader: ShardReader,
    plans: Sequence[Scan],
    names: Names,
    keys: Callable[[ShardReader, RunRef], U32 | None],
) -> list[Touches]:
    """Touches of one shard, a run at most once."""
    found: dict[int, Touches] = {}
    for i, plan in enumerate(plans):
        dimension, p = names.dimensions[i], names.body.touches[i].name
        for chosen in reader.select(plan):
            codes = None
            if dimension is not None and p is not None:
                codes, _ = dimension.codes(reader.column(chosen.ref, p), chosen.ref.run.rows)
                reader.context.charge(codes.nbytes)
            at = id(chosen.ref.run)
            if at not in found:
                found[at] = Touches(chosen.ref, chosen.lane, [], keys(reader, chosen.ref))
            found[at].parts.append((i, chosen.lane.mask, codes))
    return list(found.values())


def counted(
    read: Sequence[Touches], names: Names, edges: I64, allowed: U8 | None, cancel: U8
) -> I64:
    """Touches by [bucket, name] of one shard. O(rows), but for runs that are inside as a whole."""
    total = np.zeros((len(edges) - 1, names.size), np.int64)
    lanes: list[Lane] = []
    rows: list[U32 | None] = []
    alone: dict[int, list[Lane]] = {}
    for touches in read:
        named = names.of(touches)
        run = touches.ref.run
        if not isinstance(named, int):
            lanes.append(touches.lane)
            rows.append(named)
            continue
        inside = edges[0] <= run.min_ms and run.max_ms < edges[-1] and len(edges) == 2
        if inside and touches.lane.mask is None and allowed is None:
            total[0, named] += run.rows
            continue
        alone.setdefault(named, []).append(touches.lane)
    for name, own in alone.items():
        total[:, name] += event_cells(own, edges, cancel=cancel, allowed=allowed).rows[0]
    if lanes:
        # A row with a number is a touch, whatever the mask of one of its touches says.
        bare = [_unmasked(lane) for lane in lanes]
        cells = event_cells(bare, edges, rows, names.size, cancel=cancel, allowed=allowed)
        total += cells.rows.T
    return total


def _unmasked(lane: Lane) -> Lane:
    return Lane(lane.users, lane.offsets, lane.times, lane.base_ms, lane.rank, lane.ties)
