"""Values by cell, counted in bins of their leading bits."""

from zuji.engine.types import F64, I64, U8, U32

def tally(owner: U32, cell: U32, cells: int) -> tuple[I64, I64]:
    """Rows of each cell, and owners that have one. REQUIRES: rows of an owner stand together.

    O(rows + cells). GIL released. Raises ValueError when a cell is not below ``cells``.
    """

def binned(cell: U32, value: F64, cells: int, shift: int, first: int, bins: int) -> tuple[U32, I64]:
    """cell · bins + bin of each value, and values of each: a value's bin is its bits (as int64)
    shifted right, less ``first``. O(values + bins). GIL released. Raises ValueError when a value
    is in no bin.
    """

def members(wanted: U8, key: U32, value: F64) -> tuple[U32, F64]:
    """Keys and values of those whose bin is wanted (1, else 0), in order. O(values). GIL released."""
