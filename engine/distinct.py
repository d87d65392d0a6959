"""Distinct numbers, by sorting or by marking. ``np.unique`` hashes where nothing but the values is
asked for (NumPy 2.3 and later): 8 to 12 times as slow where most of them differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from zuji.engine.types import U32, Flags

Number = TypeVar("Number", bound="np.integer[Any]")

SPARSE = 16
"""Codes are marked in a table when there are at most so many in it for each that is given."""


def unique(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Values [n] of any integer kind, each once, ascending. O(n · log n)."""
    found = np.sort(values)
    if len(found) < 2:
        return found
    first = np.empty(len(found), np.bool_)
    first[0] = True
    np.not_equal(found[1:], found[:-1], out=first[1:])
    return found[first]


def renumbered(codes: U32, size: int, there: Flags | None = None) -> tuple[U32, U32]:
    """The codes below ``size`` that rows use, ascending, and uint32[n]: the place of each row's
    code among them. ``there`` bool[n]: rows to look at; of others the code may be anything, and the
    place is any, or 0. O(n + size), or O(n · log n) where there are few rows.
    """
    mine = codes if there is None else codes[there]
    places: U32
    if size > SPARSE * len(mine):
        used = unique(mine).astype(np.uint32)
        places = np.searchsorted(used, codes).astype(np.uint32)
        return used, np.minimum(places, np.uint32(max(len(used), 1) - 1))
    marked = np.zeros(size, np.bool_)
    marked[mine] = True
    table = np.cumsum(marked, dtype=np.uint32)
    table -= marked
    if there is None:
        places = table[codes]
    else:
        places = np.zeros(len(codes), np.uint32)
        places[there] = table[mine]
    return np.flatnonzero(marked).astype(np.uint32), places
