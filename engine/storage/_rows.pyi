from zuji.engine.types import I64, U8, U16, U32, U64

def user_keys(codes: U16, ordinal: U32, time: U32, run_start: I64, out: U64) -> None:
    """Keys ``ordinal << 32 | time`` of a source in user order, into ``out`` uint64[n]. O(n).

    ``codes`` uint16[n]: the interleave; ``ordinal``, ``time`` uint32[n]: rows run after run;
    ``run_start`` int64[runs+1]. ValueError when they do not agree.
    """

def expand_users(users: U32, offsets: U32, out: U32) -> None:
    """Writes the user of every row: ``out`` uint32[n].

    ValueError when the offsets do not cover n rows.
    """

def days_of(ordinal: U32, time: U32, edges: I64) -> tuple[I64, I64, U32, U8]:
    """(rows int64[days], starts int64[days+1], users uint32[pairs], multi uint8[pairs]). O(n).

    REQUIRES: rows in (ordinal, time) order, ``edges`` int64[days+1] on the base of ``time``. The
    users of day d ascend in ``users[starts[d]:starts[d+1]]``; ``multi`` is 1 for two rows or more
    on that day.
    """

def few_values(values: I64, most: int) -> tuple[I64, U32] | None:
    """(distinct values in order of appearance, uint32[n] codes), or None past ``most`` distinct
    values.
    """
