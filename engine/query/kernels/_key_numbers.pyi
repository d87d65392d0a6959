"""Numbers of 64-bit keys in the order in which they are met first."""

from typing import final

from zuji.engine.types import I64, U32

@final
class KeyNumbers:
    """A growing table of different keys. Not thread-safe. 16 to 32 bytes a key."""

    def __new__(cls) -> KeyNumbers: ...
    def __len__(self) -> int:
        """Number of different keys."""

    def numbers(self, keys: I64) -> U32:
        """Number of each key, uint32[n]: that of the same key before, or the next one. O(n).

        Raises TypeError, ValueError, MemoryError. GIL released.
        """

    def keys(self) -> I64:
        """The keys by number; a copy."""

    def key(self, number: int) -> int:
        """One of them. Raises IndexError, OverflowError."""
