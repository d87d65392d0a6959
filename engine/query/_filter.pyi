from zuji.engine.types import F64, I64, U8, U16, U32

def between_i64(values: I64, present: U8 | None, low: int, high: int) -> U8:
    """``low <= values <= high`` as uint8[n]; absent rows are 0. O(n)."""

def between_f64(values: F64, present: U8 | None, low: float, high: float) -> U8:
    """``low <= values <= high`` as uint8[n]; absent rows are 0. O(n)."""

def equal(codes: U8 | U16 | U32, present: U8 | None, code: int) -> U8:
    """``codes == code`` as uint8[n]; absent rows are 0. OverflowError: no such code fits. O(n)."""

def member_i64(values: I64, present: U8 | None, ascending: I64) -> U8:
    """Values that stand in ``ascending`` as uint8[n]. O(n log m)."""

def member_f64(values: F64, present: U8 | None, ascending: F64) -> U8:
    """Values that stand in ``ascending`` as uint8[n]. O(n log m)."""

def lookup(codes: U8 | U16 | U32, present: U8 | None, table: U8) -> U8:
    """``table[codes]`` as uint8[n]; 0 for absent rows and codes past the table. O(n)."""

def list_any(codes: U32, offsets: U32, present: U8 | None, table: U8) -> U8:
    """Rows with an item that ``table`` (uint8[size] of 0/1) marks, uint8[n]. O(n + items)."""

def list_all(codes: U32, offsets: U32, present: U8 | None, place: U32, wanted: int) -> U8:
    """Rows with all ``wanted`` items; ``place[code]`` is 1..wanted, 0 for others. O(n + items)."""

def list_empty(offsets: U32, present: U8 | None) -> U8:
    """Rows with a list of no items, uint8[n]. O(n)."""

def and_into(out: U8, other: U8) -> None:
    """``out &= other``. O(n)."""

def or_into(out: U8, other: U8) -> None:
    """``out |= other``. O(n)."""

def invert(out: U8) -> None:
    """``out ^= 1``. O(n)."""
