"""Value types: the six kinds a property can have, and the columns that carry them.

Events in bulk are never objects: they are columns. A :class:`Column` holds the values of one
property for all rows of one run (one event in one source), already decoded.
Thread-safety: all of it is immutable after construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    U8 = npt.NDArray[np.uint8]
    U16 = npt.NDArray[np.uint16]
    U32 = npt.NDArray[np.uint32]
    I32 = npt.NDArray[np.int32]
    I64 = npt.NDArray[np.int64]
    U64 = npt.NDArray[np.uint64]
    F64 = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]
    Values = npt.NDArray[np.generic]
    Utf8 = tuple[U8, I64, U8 | None]
    """Texts: UTF-8 bytes, int64[n+1] offsets, uint8[n] validity (None = no nulls)."""


PROFILE_SET = "$profile_set"
PROFILE_UNSET = "$profile_unset"
PROFILE_SET_ONCE = "$profile_set_once"
PROFILE_INCREMENT = "$profile_increment"
PROFILE_APPEND = "$profile_append"
PROFILE_DELETE = "$profile_delete"
PROFILE_EVENTS = (
    PROFILE_SET,
    PROFILE_UNSET,
    PROFILE_SET_ONCE,
    PROFILE_INCREMENT,
    PROFILE_APPEND,
    PROFILE_DELETE,
)
"""Records about a user, stored as events: nobody's behaviour, so no part of "any event". In the
order of ``batch.columns``: a record of kind k is ``PROFILE_EVENTS[k - 1]``.
"""

TYPED_ID = "$identity_"
"""Begins the names of properties that are ids of a kind: ``$identity_mobile``."""


class Kind(IntEnum):
    """Type of a property. The number is what segments and the manifest store: never renumber."""

    BOOL = 1
    INT = 2
    FLOAT = 3
    DATETIME = 4
    STRING = 5
    LIST = 6

    @property
    def label(self) -> str:
        """Name in queries, schemas and errors: ``bool int64 float64 datetime string list``."""
        return _LABELS[self]


_LABELS = {
    Kind.BOOL: "bool",
    Kind.INT: "int64",
    Kind.FLOAT: "float64",
    Kind.DATETIME: "datetime",
    Kind.STRING: "string",
    Kind.LIST: "list",
}
KIND_BY_LABEL = {label: kind for kind, label in _LABELS.items()}


@dataclass(frozen=True, slots=True)
class Slices:
    """Where the values of a column of numbers lie: in which of some stretches of numbers, which
    ascend and do not overlap.

    ``codes``: uint8[n], or uint16[n] of more than 254 slices: 0 of a row without a value, all ones
    of NaN, else 1 + its slice. ``least`` and
    ``greatest``: the ends of each slice, inclusive, of the type of the values.
    """

    codes: U8 | U16
    least: I64 | F64
    greatest: I64 | F64


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one property for the ``n`` rows of one run.

    ``values``: BOOL uint8[n]; INT int64[n]; FLOAT float64[n]; DATETIME int64[n] (ms UTC);
    STRING uint32[n] codes into ``dictionary`` (uint8 or uint16 where they fit and are kept);
    LIST uint32[total] codes, row i owning ``values[offsets[i]:offsets[i+1]]``. Absent rows hold 0
    (LIST: an empty range).
    ``present``: uint8[n] of 0/1, or None when every row has a value.
    ``slices``: of a column of numbers, in which stretch of numbers each value lies, where a filter
    may look before it looks at values; None where nobody made them.
    """

    kind: Kind
    values: Values
    present: U8 | None = None
    dictionary: Sequence[str] | None = None
    offsets: U32 | None = None
    slices: Slices | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.offsets) - 1 if self.offsets is not None else len(self.values)
