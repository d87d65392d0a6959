"""Retention from sets of users: rows of bits, bit o of a row stands for ordinal o."""

from collections.abc import Sequence

from zuji.engine.query.kernels.lane import BitRows, Lane
from zuji.engine.types import I64, U8, U64

def retention_bits(
    days: Sequence[tuple[U64, U64 | None]],
    starts: BitRows,
    backs: BitRows,
    zeros: BitRows | None,
    before: BitRows,
    allowed: U64 | None,
    *,
    words: int,
    periods: int,
    n: int,
    cohort: int,
    criterion: int,
    brackets: Sequence[tuple[int, int]] | None = None,
    cancel: U8 | None = None,
    level: int = -1,
) -> tuple[I64, I64]:
    """Sizes int64[P] and returns int64[P, K] of P cohorts, K = n + 1 or the number of brackets.

    ``days``: of each run the users of its days and those with two rows or more on a day, both
    uint64[days, words'], words' <= words (the second is needed when ``zeros`` are given).
    ``starts`` P rows; ``backs`` P + n rows; ``zeros`` P rows: who has two rows or more there
    returned in period 0 (None: who is in ``backs`` did); ``before`` one row, users of earlier
    starts. ``allowed`` uint64[words]. Numbers of cohort and criterion as in ``retention_cells``.
    ``level``: 0 plain code, 1 popcnt, 2 AVX-512, -1 the best that the CPU has.
    O(words · (days + P · n)). GIL released. Raises ValueError, QueryCancelled.
    """

def rows_bits(
    lanes: Sequence[Lane], edges: I64, words: int, *, multi: bool = False, cancel: U8 | None = None
) -> tuple[U64, U64 | None]:
    """Users of each period from rows, uint64[periods + 2, words], and those with two rows or more.

    Period p = [edges[p], edges[p + 1]) is row p + 1; row 0 is all before, the last row all after.
    Masked rows do not count. O(rows). GIL released. Raises ValueError when a user lies beyond the
    words, QueryCancelled.
    """
