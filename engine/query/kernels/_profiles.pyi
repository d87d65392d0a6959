from zuji.engine.types import I64, U8, U32

def fold(users: U32, ops: U8, values: I64, present: U8, kind: int) -> None:
    """Turns records of one property, sorted by (user, time, order of arrival), into what the property
    is after each of them, in place.

    ``ops`` uint8[n]: 0 set, 1 remove, 2 set if there is none, 3 add (to none: set). ``values`` int64[n]:
    of the record, as bits if ``kind`` is FLOAT → of the property, 0 where there is none. ``present``
    uint8[n]: 1 where there is one. Sums stay at the ends of int64, or of the finite floats.
    Raises ValueError when the lengths differ. O(n).
    """
