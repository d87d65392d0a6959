"""Keys of the ids of table rows, natively. Pure functions, without the GIL. O(rows + bytes)."""

from typing import TypeAlias

from zuji.engine.types import I64, U8

_Texts: TypeAlias = tuple[U8, I64, U8 | None]
"""UTF-8 bytes, int64[n+1] offsets, uint8[n] validity (None = no nulls)."""

def id_states(user: _Texts | None, device: _Texts | None, n: int, most: int) -> U8:
    """uint8[n]: 0 the row is its user's, 1 its device's (no user id, or an empty one), 2 it has
    neither, 3 its id has more than ``most`` bytes.
    """

def id_keys(
    user: _Texts | None,
    device: _Texts | None,
    state: U8 | None,
    keep: U8 | None,
    n: int,
    first: int,
    second: int,
) -> tuple[U8, I64]:
    """Prefix byte ``first`` (``second`` in state 1) and the id of each kept row, end to end:
    uint8[total], int64[kept+1]. ``state`` None: all rows go by ``user``.
    """
