"""Set128: a set of 128-bit keys for deduplication, filled and asked in bulk."""

from typing import Self, final

from zuji.engine.types import U8, U64

@final
class Set128:
    """Set of 128-bit keys, each given as two uint64 halves.

    ``salt`` keys the placement (random when None). Not thread-safe: the caller holds a lock; a call
    that finds the set in use by another thread raises RuntimeError. Bulk calls release the GIL.
    """

    def __new__(cls, salt: int | None = None) -> Self: ...
    def __len__(self) -> int: ...
    @property
    def moving(self) -> bool:
        """Whether keys are on their way to more slots, of which some go with each one added."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory held: 16 a slot; half as much again while keys move."""
    def reserve(self, keys: int) -> None:
        """Makes room for so many more keys at once. Raises MemoryError."""
    def add_bulk(self, hi: U64, lo: U64) -> U8:
        """Adds the keys (hi[i], lo[i]); uint8[n], 1 = newly added, 0 = seen before.

        A key repeated within the call is new once. Raises ValueError (lengths differ), MemoryError
        (nothing is then added). O(n) expected.
        """
    def add_new(self, hi: U64, lo: U64, known: U8 | None) -> tuple[U8, int]:
        """As :meth:`add_bulk`, without the keys whose ``known`` is not 0; and how many were new."""

    def contains_bulk(self, hi: U64, lo: U64) -> U8:
        """uint8[n], 1 = in the set. O(n) expected."""
    def discard_bulk(self, hi: U64, lo: U64) -> U8:
        """Removes the keys; uint8[n], 1 = it was there. Takes back an ``add_bulk``. O(n) expected."""
    def keys(self) -> tuple[U64, U64]:
        """All keys as (hi, lo), in no stated order. O(capacity)."""
