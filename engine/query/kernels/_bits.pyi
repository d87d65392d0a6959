"""Sets of users as rows of bits: bit o of a row stands for ordinal o."""

from zuji.engine.types import U32, U64

def set_bits(users: U32, row: U64) -> None:
    """Sets the bits of ``users`` uint32[n] in ``row`` uint64[words]. O(n). GIL released.

    Raises ValueError when a user lies beyond the row; bits of users before it are then set.
    """
