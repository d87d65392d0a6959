"""StringTable (byte strings to dense codes) and the keyed hash that places users on shards."""

from typing import Self, final

from zuji.engine.types import I64, U8, U16, U32, U64

@final
class StringTable:
    """Byte strings to dense uint32 codes, given in order of first appearance and never changed.

    ``salt`` keys the hash (random when None), so that a client cannot choose colliding strings.
    Not thread-safe: the caller holds a lock. Bulk calls release the GIL; a call that finds the
    table in use by another thread raises RuntimeError. A string has less than 1 MiB. Memory: 14 to
    24 bytes a string + its bytes; growing pauses an insertion for 10 to 14 ms at most, as measured.
    """

    def __new__(cls, salt: int | None = None) -> Self: ...
    def __len__(self) -> int: ...
    @property
    def salt(self) -> int:
        """The 64-bit salt."""
    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
    def intern(self, b: bytes) -> int:
        """Code of ``b``, inserted when new. O(len).

        Raises MemoryError, also for a string that is too long; the table is then unchanged.
        """
    def find(self, b: bytes) -> int:
        """Code of ``b``, or -1 when absent. O(len)."""
    def get(self, code: int) -> bytes:
        """The string of a code. Raises IndexError. O(len)."""
    def intern_bulk(self, data: U8 | bytes, offsets: I64) -> U32:
        """Codes uint32[n] of the strings ``data[offsets[i]:offsets[i+1]]``; offsets int64[n+1].

        Raises ValueError when the offsets do not ascend within the data, MemoryError (the strings
        before the failing one are then interned). Releases the GIL. O(bytes).
        """
    def find_bulk(self, data: U8 | bytes, offsets: I64) -> I64:
        """Codes int64[n], -1 where absent; arguments and errors as ``intern_bulk``. O(bytes)."""
    def expect(self, strings: int) -> None:
        """Makes room in an empty table at once, instead of growing to it; a hint. Raises MemoryError."""
    def append_bulk(self, data: U8 | bytes, offsets: I64) -> None:
        """Adds strings known to be new and different, in order; compares none. An empty one is a
        blank. Arguments and errors as ``intern_bulk``.
        """
    def blank(self, codes: U32) -> None:
        """Makes strings blanks: their codes stay theirs and are never given again, nothing finds
        them, their bytes become zeros. Harmless for one that is a blank. O(bytes).

        Raises IndexError; the codes before are blanks then.
        """
    def gather(self, codes: U32, prefix: bytes = b"") -> tuple[U8, I64]:
        """Copies of the strings ``codes``, each behind ``prefix``: (data uint8, offsets int64[n+1]).

        Raises IndexError. Releases the GIL. O(bytes).
        """
    def to_list(self, start: int = 0) -> list[str]:
        """Strings from code ``start`` on, decoded. Raises UnicodeDecodeError when not UTF-8."""
    def dump(self, start: int = 0, stop: int | None = None) -> tuple[U8, I64]:
        """Copies of codes ``start .. stop``: (data uint8, offsets int64[n+1] from 0). O(bytes)."""

def resolve_bulk(tables: list[StringTable], data: U8 | bytes, offsets: I64) -> tuple[U16, U32]:
    """Table number uint16[n] and code uint32[n] of each string, inserted where new: its table is the
    low bits of its hash.

    ``tables``: different ones of one salt, a power of two of them. Other arguments and errors as
    ``StringTable.intern_bulk``. Releases the GIL; every table counts as written to. O(bytes).
    """

def stable_hash64(b: bytes, salt: int) -> int:
    """Keyed 64-bit hash whose values never change: what shards are chosen by. O(len)."""

def hash_bulk(data: U8 | bytes, offsets: I64, salt: int) -> U64:
    """``stable_hash64`` of each string, uint64[n]; arguments as ``StringTable.intern_bulk``."""
