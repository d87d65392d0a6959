"""Groups of rows as kernels see them: codes as they are stored, and a table from code to group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.query.kernels.lane import NO_GROUP

if TYPE_CHECKING:
    from zuji.engine.types import U8, U32


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Group of row r: ``lut[codes[r]]``, or ``missing`` where ``present[r]`` is 0.

    ``codes`` uint8, uint16 or uint32[n]; ``lut`` uint32[m], codes past it are in no group; None:
    the code is the group. ``present`` uint8[n] of 0 and 1, None: every row has a value.
    """

    codes: Any
    lut: U32 | None = None
    present: U8 | None = None
    missing: int = NO_GROUP

    def through(self, table: U32) -> RowGroups:
        """The same rows, group g being ``table[g]``; groups past the table are none. O(lut)."""
        padded = np.append(table, np.uint32(NO_GROUP)).astype(np.uint32)
        lut = padded[:-1] if self.lut is None else padded[np.minimum(self.lut, len(table))]
        return replace(self, lut=lut, missing=int(padded[min(self.missing, len(table))]))

    def rows(self) -> U32:
        """Group of each row, uint32[n]. O(n)."""
        found: U32
        if self.lut is None:
            found = self.codes.astype(np.uint32)
        else:
            padded = np.append(self.lut, np.uint32(NO_GROUP)).astype(np.uint32)
            codes = self.codes
            if len(self.lut) <= np.iinfo(codes.dtype).max:  # else no code is past the table
                codes = np.minimum(codes, len(self.lut))
            found = padded[codes]
        if self.present is not None:
            found = np.where(self.present == 1, found, np.uint32(self.missing))
        return found
