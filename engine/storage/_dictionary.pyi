from zuji.engine.types import I64, U8, U32

def rank_strings(data: U8, offsets: I64) -> tuple[U32, U32]:
    """(rank uint32[n] of each string among the distinct ones in byte order, uint32[u] an index of
    each). O(n log n).
    """

def gather_strings(data: U8, offsets: I64, codes: U32) -> tuple[U8, I64]:
    """The strings ``codes`` as (data uint8[total], offsets int64[n+1]).

    ValueError for a code out of range.
    """
