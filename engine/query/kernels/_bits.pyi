"""Sets of users as rows of bits or bytes: bit or byte o stands for ordinal o."""

from zuji.engine.types import U8, U32, U64

def set_bits(users: U32, row: U64) -> None:
    """Sets the bits of ``users`` uint32[n] in ``row`` uint64[words]. O(n). GIL released.

    Raises ValueError when a user lies beyond the row; bits of users before it are then set.
    """

def add_rows(users: U32, offsets: U32, counts: U32) -> None:
    """Adds to ``counts`` uint32[ordinals] the rows of each of ``users`` uint32[n], which its slice of
    ``offsets`` uint32[n + 1] tells. O(n). GIL released.

    Raises ValueError when a user lies beyond the counts; those before it are then added.
    """

def seen(users: U32, allowed: U8 | None, fresh: U8) -> tuple[int, int]:
    """How many of ``users`` uint32[n], each once, count, and how many of those are new.

    ``allowed`` uint8[ordinals]: 1 = counts (None: everybody does). ``fresh`` uint8[ordinals]: 1 = not
    seen yet; set to 0 for those that count. O(n). GIL released. Raises ValueError when a user lies
    beyond; ``fresh`` is then changed for those before it.
    """
