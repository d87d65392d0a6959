from typing import Any, Self, final

from zuji.engine.types import I64, U8, U16, U32, U64

MAX_SOURCES: int

@final
class KeyMerge:
    """Merges the keys of sources (oldest first), a block at a time.

    ``starts`` int64[events+1]: where the rows of each event begin. ``source`` uint8[rows] and ``tie``
    uint16[rows], zeros, are filled as rows are merged, clustered by event: the source of each row, and
    the number of rows of the same user at the same instant before it, at most 65,535.
    """

    def __new__(cls, sources: int, starts: I64, source: U8, tie: U16) -> Self: ...
    @property
    def any_tie(self) -> bool:
        """Whether two rows so far share user and instant."""

    def feed(self, number: int, keys: U64, codes: U16, last: bool) -> None:
        """The next rows of a source: keys ``ordinal << 32 | time`` and event codes, in user order.

        ``last``: there are no more. They are kept until the source is fed again. ValueError.
        """

    def run(self, interleave: U16, keys: U64) -> tuple[int, int]:
        """Merges into the arrays: (rows merged, number of the source that must be fed or −1).

        REQUIRES: every source was fed. ValueError when the rows of a source are out of order.
        O(n log sources).
        """

def count_sources(source: U8, sources: int) -> list[int]:
    """Rows of each source."""

def take_rows(source: U8, values: Any, cuts: I64, out: Any) -> None:
    """``out[i]``: the next of the values of ``source[i]``, which has ``values[cuts[s]:cuts[s+1]]``.

    ValueError when a source has fewer. O(n).
    """

def take_present(source: U8, present: U8, values: Any, cuts: I64, out: Any) -> int:
    """The same for the rows with ``present`` = 1; returns how many they are.

    ``values`` has one element more than are used, ``out`` n + 1.
    """

def expand_some(users: U32, ends: U32, at: int, row: int, out: U32) -> tuple[int, int, int]:
    """Users of the rows from ``row`` on, of user number ``at``; user u has the rows up to ``ends[u]``.

    Returns (rows written, at, row): fewer than asked for when the users end. ValueError.
    """

def relabel(codes: U32, lut: U32) -> None:
    """``codes[i] = lut[codes[i]]`` in place. IndexError."""
