"""Keys of the ids of table rows, natively. Pure functions, without the GIL. O(rows + bytes)."""

from zuji.engine.types import I64, U8, Utf8

def id_states(user: Utf8 | None, device: Utf8 | None, n: int, most: int) -> U8:
    """uint8[n]: 0 the row is its user's, 1 its device's (no user id, or an empty one), 2 it has
    neither, 3 its id has more than ``most`` bytes.
    """

def id_keys(
    user: Utf8 | None,
    device: Utf8 | None,
    state: U8 | None,
    keep: U8 | None,
    n: int,
    first: int,
    second: int,
) -> tuple[U8, I64]:
    """Prefix byte ``first`` (``second`` in state 1) and the id of each kept row, end to end:
    uint8[total], int64[kept+1]. ``state`` None: all rows go by ``user``.
    """
