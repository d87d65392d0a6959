"""StringTable (byte strings to dense codes) and the keyed hash that places users on shards."""

from typing import Self, final

from zuji.engine.types import I64, U8, U32, U64

@final
class StringTable:
    """Byte strings to dense uint32 codes, given in order of first appearance and never changed.

    ``salt`` keys the hash (random when None), so that a client cannot choose colliding strings.
    Not thread-safe: the caller holds a lock. Bulk calls release the GIL; a call that finds the
    table in use by another thread raises RuntimeError. Memory: about 20 bytes a string + its bytes.
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
        """Code of ``b``, inserted when new. O(len). Raises MemoryError; the table is then unchanged."""
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
    def to_list(self, start: int = 0) -> list[str]:
        """Strings from code ``start`` on, decoded. Raises UnicodeDecodeError when not UTF-8."""
    def dump(self, start: int = 0, stop: int | None = None) -> tuple[U8, I64]:
        """Copies of codes ``start .. stop``: (data uint8, offsets int64[n+1] from 0). O(bytes)."""

def stable_hash64(b: bytes, salt: int) -> int:
    """Keyed 64-bit hash whose values never change: what shards are chosen by. O(len)."""

def hash_bulk(data: U8 | bytes, offsets: I64, salt: int) -> U64:
    """``stable_hash64`` of each string, uint64[n]; arguments as ``StringTable.intern_bulk``."""
