from zuji.engine.types import I64, U8, U32

def rank_strings(data: U8, offsets: I64, cuts: I64 | None = None) -> tuple[U32, U32]:
    """(rank uint32[n] of each string among the distinct ones in byte order, uint32[u] an index of
    each). O(n log n); O(n log parts) when ``cuts``, 0 … n, part the strings in lists that ascend.
    ValueError.
    """

def ascends(data: U8, offsets: I64) -> bool:
    """Whether the strings ascend by bytes, each one once. O(bytes). ValueError."""

def gather_strings(data: U8, offsets: I64, codes: U32) -> tuple[U8, I64]:
    """The strings ``codes`` as (data uint8[total], offsets int64[n+1]).

    ValueError for a code out of range.
    """

def flag_equal(data: U8, offsets: I64, wanted: U8, bounds: I64, ordered: bool) -> U8:
    """uint8[n]: 1 for the strings that are one of the ``wanted`` (as data and offsets), which ascend.

    O(wanted · log n) when the strings are ``ordered``, else O(n · log wanted). ValueError.
    """

def flag_part(data: U8, offsets: I64, where: str, part: bytes) -> U8:
    """uint8[n]: 1 for the strings with ``part`` in the place ``where``: ``contains``,
    ``starts_with`` or ``ends_with``. O(bytes). ValueError, KeyError.
    """

def flag_range(
    data: U8,
    offsets: I64,
    low: bytes | None,
    low_open: bool,
    high: bytes | None,
    high_open: bool,
    ordered: bool,
) -> U8:
    """uint8[n]: 1 for the strings from ``low`` to ``high`` bytewise; an open end is not itself in.

    None is no end. O(log n) and a fill when ``ordered``, else O(n). ValueError.
    """
