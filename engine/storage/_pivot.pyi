from typing import TypeVar

import numpy as np
import numpy.typing as npt

from zuji.engine.types import I64, U8, U16, U32

_V = TypeVar("_V", bound=npt.NDArray[np.generic])

def emit_cells(
    rows: U32, cell_start: I64, prop: U16, value: I64, props: int
) -> tuple[I64, I64, I64, U8]:
    """Values of the rows of one run by property, in the order of ``rows``. O(cells of the rows).

    ``cell_start`` int64[all rows + 1]: row i owns ``prop``, ``value``
    [cell_start[i]:cell_start[i+1]]. Returns (starts int64[props+1], values int64: property p owns
    ``values[starts[p]:starts[p+1]]``, presence int64[props]: where in ``present`` p's
    ``len(rows)`` bytes of 0/1 begin, -1 when every row or no row has it; present uint8).
    ValueError when codes or bounds are out of range.
    """

def mark_codes(codes: I64, used: U8) -> None:
    """``used[codes] = 1``. ValueError for a code out of range."""

def recode(codes: I64, lut: U32) -> U32:
    """``lut[codes]``. ValueError for a code out of range."""

def group_rows(key: U16 | U32, buckets: int) -> tuple[U32, U32, I64]:
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
