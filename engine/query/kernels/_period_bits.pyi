"""Lifecycle and stickiness from sets of users: rows of bits, bit o of a row stands for ordinal o.

``days``: of each run the users of its days, uint64[days, words'], words' <= words. Rows are unions
of days (``BitRows``). ``allowed`` uint64[words], None: everybody. ``lines``: (offsets
uint32[users + 1], line uint32[m], number of lines), the lines that each user is in, none twice;
None: one line with everybody. ``level``: 0 plain code, 1 popcnt, 2 AVX-512, -1 the best that the
CPU has. GIL released. Both raise ValueError, TypeError and QueryCancelled, and also give
``anybody`` int64[lines], users of at least one of the counted rows.
"""

from collections.abc import Sequence

from zuji.engine.query.kernels.lane import BitRows
from zuji.engine.types import I32, I64, U8, U32, U64

STATES: tuple[str, ...]
"""What the last axis of ``lifecycle_bits`` stands for."""
MOST_ROWS: int

def lifecycle_bits(
    days: Sequence[U64],
    rows: BitRows,
    before: BitRows,
    allowed: U64 | None,
    *,
    words: int,
    periods: int,
    lines: tuple[U32, U32, int] | None = None,
    cancel: U8 | None = None,
    level: int = -1,
) -> tuple[I64, I64]:
    """Users in each of ``STATES``, int64[lines, periods, 5], and anybody.

    ``rows``: ``periods + 1``, the first one is the period before the first counted; ``before``: one
    row, who was active earlier still. O(words · (days + periods)); with lines also O(users active
    in each period).
    """

def stickiness_bits(
    days: Sequence[U64],
    rows: BitRows,
    buckets: I32,
    allowed: U64 | None,
    *,
    words: int,
    most: int,
    lines: tuple[U32, U32, int] | None = None,
    cancel: U8 | None = None,
    level: int = -1,
) -> tuple[I64, I64]:
    """Users who are in exactly n rows of a bucket, int64[lines, buckets, most + 1] (n = 0 is left
    0), and anybody.

    ``buckets`` int32[rows]: of each row, ascending from 0, at most ``most`` rows each.
    O(words · (days + most)); with lines also O(users active in each bucket).
    """
