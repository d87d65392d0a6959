"""Row order of a source: sorting permutations, gather, tie ranks and the CSR of users."""

from zuji.engine.types import U16, U32, Values

def order_rows(ordinal: U32, time: U32, event: U16, low: U32 | None = None) -> tuple[U32, U32]:
    """(perm_time, perm_event), each uint32[n] row numbers.

    perm_time: rows by (ordinal, time, low, input order); perm_event: rows by (event, ordinal, time,
    low, input order). All inputs have length n < 2^32 - 1. Raises ValueError (lengths),
    OverflowError (n), MemoryError (20 bytes of scratch a row). Releases the GIL. O(n x digits).
    """

def take(src: Values, idx: U32, out: Values) -> None:
    """out[i] = src[idx[i]]: contiguous arrays of one type of 1, 2, 4 or 8 bytes.

    Raises IndexError (nothing is then written), TypeError, ValueError. Releases the GIL. O(n).
    """

def ties(ordinal: U32, time: U32, perm_time: U32) -> U16:
    """Rank of each input row among the rows of the same (ordinal, time), in perm_time order.

    Ranks above 65,535 are 65,535. Raises IndexError when perm_time is not in range. O(n).
    """

def csr(ordinals_sorted: U32) -> tuple[U32, U32]:
    """(users uint32[nu], offsets uint32[nu+1]): rows of users[i] are offsets[i] .. offsets[i+1].

    Raises ValueError when the ordinals do not ascend. O(n).
    """
