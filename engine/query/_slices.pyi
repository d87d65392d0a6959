"""Types of _slices.pyx."""

from zuji.engine.types import F64, I64, U8, U16

def cut(
    values: I64 | F64,
    present: U8 | None,
    starts: I64 | F64,
    least: I64 | F64,
    greatest: I64 | F64,
    codes: U8 | U16,
) -> None:
    """Writes the code of each value: 0 without one (``present`` 0), all ones of NaN, else 1 + the last of ``starts``
    (ascending; at most 254, or 65,534 with codes of two bytes) that is not above it; 1 of what is below all. ``least``
    and ``greatest`` of each slice take in the values that lie in it. All numbers of one type. O(n log m)."""

def within(
    codes: U8 | U16,
    values: I64 | F64,
    first: int,
    last: int,
    one: int,
    two: int,
    low: float,
    high: float,
) -> U8:
    """1 where the code is ``first`` to ``last`` (none when ``first`` > ``last``), or it is ``one`` (0: no such code) or,
    beside that, ``two`` and ``low <= value <= high``; uint8[n]. O(n); values are read where they are looked at."""
