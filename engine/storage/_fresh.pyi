"""Final order of rows that lie in the order they came, place by place."""

from zuji.engine.types import I64, U8, U16, U32

def order_places(
    shard: U16, ordinal: U32, event: U16, time: I64, edges: I64, shards: int, rank: U16
) -> tuple[U32, U32, U32, U16, U16, I64, I64, U8, U16, I64]:
    """Rows of a memtable sorted as :func:`zuji.engine.storage.build.order` sorts those of one place.

    ``edges`` int64[months + 1] ms UTC; place = month * ``shards`` + shard. ``rank`` uint16[codes]:
    of each event code in the order of the names; equal names have one.

    Returns, a place after the other: perm uint32[n] (row), ordinal, time uint32[n] (ms after the
    month's start), interleave uint16[n] (number of the event among those of its place) and tie
    uint16[n], all but the interleave clustered by event; place_start, place_run int64[places + 1]:
    the first row and the first run of each; tied uint8[places] (0 = all ties are 0); run_rank
    uint16[runs], run_start int64[runs]: the rank of a run's event, and its first row in its place.
    O(n x digits), 26 bytes of scratch a row. GIL released.

    Raises ValueError (lengths; a shard, code or time out of range), MemoryError.
    """
