"""Owned: whose each device is, for the many that are one customer's for ever."""

from typing import Self, final

from zuji.engine.types import I64, U8, U32, Flags

@final
class Owned:
    """Devices by place (``shard << 32 | code``, int64) and, of those with one customer for ever, his
    place and the first moment at which they were seen together, ms UTC within ±2⁴⁷.

    ``shards``: places' shards are below it. 4 bytes a code and 12 a device. Not thread-safe: the
    caller holds a lock. Places out of range raise ValueError where something is stored, and are
    unknown where it is read.
    """

    def __new__(cls, shards: int) -> Self: ...
    def __len__(self) -> int:
        """Devices of which something is known."""
    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
    @property
    def numbers(self) -> int:
        """More than any number of a device."""
    def tell(self, at: I64, place: I64, time: I64) -> U8:
        """Devices were seen with customers at moments, int64[n] each. uint8[n] of what that said: 0
        nothing new; 1 of a new device; 2 an earlier moment; 3: the device is not this customer's for
        ever, and nothing was changed. O(n)."""
    def set(self, at: I64, place: I64, first: I64) -> None:
        """Says of devices whose they are, and since when; -1: of more than one, perhaps. O(n)."""
    def owners(self, at: I64) -> I64:
        """Places of customers int64[n], -1 of a device that has not one for ever. O(n)."""
    def firsts(self, at: I64) -> I64:
        """First moments int64[n], 0 where ``owners`` are -1. O(n)."""
    def known(self, at: I64) -> Flags:
        """Whether anything is known of devices, bool[n]. O(n)."""
    def numbers_of(self, at: I64) -> U32:
        """Numbers of devices uint32[n], dense from 1; 0: nothing is known of it. O(n)."""
    def clear(self, at: I64) -> None:
        """Forgets devices. O(n)."""
    def move(self, source: int, to: int) -> None:
        """Gives a device another place. Raises ValueError when something is known of that."""
