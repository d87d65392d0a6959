from typing import TypeVar

import numpy as np
import numpy.typing as npt

from zuji.engine.types import I64, U8, U16, U32

_V = TypeVar("_V", bound=npt.NDArray[np.generic])

def count_cells(cell_start: I64, prop: U16, slices: U16, props: int, counts: I64) -> None:
    """Adds the cells of every (slice, property) to ``counts`` int64[slices * props]. O(cells).

    ``cell_start`` int64[n+1], ``prop`` uint16[cells], ``slices`` uint16[n]. Raises ValueError when
    the starts do not ascend or a code is ``>= props``.
    """

def scatter_cells(
    cell_start: I64,
    prop: U16,
    value: I64,
    slices: U16,
    local: U32,
    shift: I64,
    props: int,
    cursor: I64,
    rows_out: U32,
    values_out: I64,
) -> None:
    """Writes each cell's ``local[row]`` and ``value + shift[prop]`` at its bucket's cursor.
    O(cells).

    REQUIRES: the same cells went through :func:`count_cells`; ``cursor`` int64[slices * props]
    holds bucket starts and is advanced, so that chunks can be scattered one after another.
    """

def group_rows(key: U16, buckets: int) -> tuple[U32, U32, I64]:
    """Stable counting sort: (order uint32[n], local uint32[n], starts int64[buckets+1]).

    ``order[starts[b]:starts[b+1]]`` are the rows of bucket b, ``local`` a row's number in its
    bucket.
    """

def positions(rows: U32, n: int) -> U32:
    """Inverse of ``rows``: uint32[n], 0xFFFFFFFF where a row is not listed."""

def gather_present(position: U32, perm: U32, values: _V) -> tuple[_V, U8]:
    """Values of the rows ``perm`` that have one, and uint8[n] of 0/1 for which have. O(len(perm)).

    REQUIRES: every ``perm`` < len(position), positions from :func:`positions` over ``len(values)``
    rows.
    """

def expand(values: _V, present: U8) -> _V:
    """Spreads values of present rows over all rows; absent rows hold 0.

    ValueError when counts differ.
    """

def gather_lists(offsets: U32, items: U32, index: U32) -> tuple[U32, U32]:
    """Lists ``index`` of a CSR of lists, as a new CSR (offsets uint32[n+1], items uint32)."""
