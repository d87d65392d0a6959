"""Types of _slices.pyx."""

from zuji.engine.types import F64, I64, U8

def cut(values: I64 | F64, present: U8 | None, starts: I64 | F64, least: I64 | F64, greatest: I64 | F64) -> U8:
    """Code of each value, uint8[n]: 0 without one (``present`` 0), 255 of NaN, else 1 + the last of ``starts`` (at most
    254, ascending) that is not above it; 1 of what is below all. ``least`` and ``greatest`` of each slice take in the
    values that lie in it. All numbers of one type. O(n log m)."""

def within(
    codes: U8, values: I64 | F64, first: int, last: int, one: int, two: int, low: float, high: float
) -> U8:
    """1 where the code is ``first`` to ``last`` (none when ``first`` > ``last``), or it is ``one`` (0: no such code) or,
    beside that, ``two`` and ``low <= value <= high``; uint8[n]. O(n); values are read where they are looked at."""
