"""Rows in final order, a block at a time: what a segment is written from.

:class:`RowBlocks` gives each stream of a segment from its beginning to its end in blocks of any
size, so what gives them need not hold them: :class:`~zuji.engine.storage.merge.MergedRows` does
not. :class:`WholeRows` gives rows that are in memory, one block each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from zuji.engine.storage._rows import user_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from zuji.engine.storage.build import Packed, SortedProp, SortedRows
    from zuji.engine.storage.dictionary import Dictionary
    from zuji.engine.types import I64, U8, U16, U32, U64, Kind


class PropBlocks(Protocol):
    """One property. Blocks are valid until the next one is asked for."""

    kind: Kind

    @property
    def dictionary(self) -> Dictionary | None:
        """Strings that codes stand for; None when it has none."""

    def runs(self) -> Sequence[int]:
        """Runs of which any row has a value, ascending."""

    def presence(self, run: int) -> Iterator[U8] | None:
        """uint8: whether each row has a value; None when every one has. REQUIRES: the run has
        some.
        """

    def blocks(self, run: int) -> Iterator[Packed]:
        """Presence and values; with or without presence throughout. REQUIRES: the run has
        some.
        """


class RowBlocks(Protocol):
    """Rows of one shard and partition; names as in :class:`~zuji.engine.storage.build.SortedRows`.

    :meth:`walk` is called once and ends before anything of a run is asked for. Blocks are valid
    until the next one is asked for.
    """

    rows: int
    names: list[str]
    starts: I64

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Properties that a row has, sorted by name."""

    def walk(self, *, keys: bool) -> Iterator[tuple[U16, U64 | None]]:
        """(index into names uint16, ``ordinal << 32 | time`` uint64) in user order; the second is
        given at least when ``keys`` is asked for.
        """

    def keys(self, run: int) -> Iterator[tuple[U32, U32]]:
        """(ordinal, time) of the run's rows."""

    def times(self, run: int) -> Iterator[U32]:
        """Time alone."""

    def ties(self, run: int) -> U16 | None:
        """uint16[rows of the run]; None = all 0."""

    def received_at(self, run: int) -> int | None:
        """When all rows of the run were received; None when it may differ."""

    def received(self, run: int) -> Iterator[I64]:
        """When the rows were received, in the blocks of :meth:`times`."""

    def prop(self, name: str) -> PropBlocks:
        """A property; the caller drops it before it asks for the next."""


class WholeRows:
    """Rows in memory as blocks."""

    def __init__(self, rows: SortedRows) -> None:
        self.rows = rows.rows
        self.names = rows.names
        self.starts = rows.starts
        self.kinds = rows.kinds
        self._of = rows
        self._received: tuple[int, I64 | int] = (-1, 0)

    def walk(self, *, keys: bool) -> Iterator[tuple[U16, U64 | None]]:
        """See :class:`RowBlocks`."""
        of, found = self._of, None
        if not self.rows:
            return
        if keys:
            found = np.empty(self.rows, np.uint64)
            user_keys(of.interleave, of.ordinal, of.time, of.starts, found)
        yield of.interleave, found

    def keys(self, run: int) -> Iterator[tuple[U32, U32]]:
        """See :class:`RowBlocks`."""
        yield self._of.ordinal[self._span(run)], self._of.time[self._span(run)]

    def times(self, run: int) -> Iterator[U32]:
        """See :class:`RowBlocks`."""
        yield self._of.time[self._span(run)]

    def ties(self, run: int) -> U16 | None:
        """See :class:`RowBlocks`."""
        return None if self._of.tie is None else self._of.tie[self._span(run)]

    def received_at(self, run: int) -> int | None:
        """See :class:`RowBlocks`."""
        received = self._receipt(run)
        return received if isinstance(received, int) else None

    def received(self, run: int) -> Iterator[I64]:
        """See :class:`RowBlocks`."""
        received = self._receipt(run)
        assert not isinstance(received, int), "asked for only when it may differ"
        yield received

    def prop(self, name: str) -> WholeProp:
        """See :class:`RowBlocks`."""
        return WholeProp(self._of.prop(name))

    def _span(self, run: int) -> slice:
        return slice(int(self.starts[run]), int(self.starts[run + 1]))

    def _receipt(self, run: int) -> I64 | int:
        if self._received[0] != run:
            self._received = (run, self._of.received(run))
        return self._received[1]


class WholeProp:
    """A property of rows in memory as blocks."""

    def __init__(self, of: SortedProp) -> None:
        self.kind = of.kind
        self.dictionary = of.dictionary
        self.runs = of.runs
        self._of = of
        self._run = -1
        self._packed: Packed | None = None

    def presence(self, run: int) -> Iterator[U8] | None:
        """See :class:`PropBlocks`."""
        present = self._whole(run).present
        return None if present is None else iter((present,))

    def blocks(self, run: int) -> Iterator[Packed]:
        """See :class:`PropBlocks`."""
        yield self._whole(run)

    def _whole(self, run: int) -> Packed:
        if self._packed is None or self._run != run:
            self._run, self._packed = run, self._of.run(run)
        return self._packed
