"""KeyTable: ids (``u…``, ``d…``) to dense codes and back, packed; many of them at once."""

from typing import Self, final

from zuji.engine.types import I64, U8, U16, U32

@final
class KeyTable:
    """Ids to dense uint32 codes, given in order of first appearance and never changed.

    ``salt`` keys the hash (random when None). Not thread-safe: the caller holds a lock. Bulk calls
    release the GIL; a call that finds the table in use by another thread raises RuntimeError. An
    id has less than 1 MiB. Memory: 11 bytes an id and its packed bytes, 17 of a UUID (``keytable.h``);
    growing pauses an insertion for a millisecond for each 25 million ids.
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
        """Code of ``b``, added when new. O(len). Raises MemoryError, also when it is too long."""
    def find(self, b: bytes) -> int:
        """Code of ``b``, or -1 when absent. O(len)."""
    def get(self, code: int) -> bytes:
        """The id of a code, empty of a blank. Raises IndexError. O(len)."""
    def intern_bulk(self, data: U8 | bytes, offsets: I64) -> U32:
        """Codes uint32[n] of the ids ``data[offsets[i]:offsets[i+1]]``; offsets int64[n+1].

        Raises ValueError when the offsets do not ascend within the data, MemoryError (the ids before
        the failing one are then added). Releases the GIL. O(bytes).
        """
    def find_bulk(self, data: U8 | bytes, offsets: I64) -> I64:
        """Codes int64[n], -1 where absent; arguments and errors as ``intern_bulk``. O(bytes)."""
    def expect(self, keys: int) -> None:
        """Makes room in an empty table at once, instead of growing to it; a hint. Raises MemoryError."""
    def append_bulk(self, data: U8 | bytes, offsets: I64) -> None:
        """Adds ids known to be new and different, in order; compares none. An empty one is a blank.
        Arguments and errors as ``intern_bulk``.
        """
    def blank(self, codes: U32) -> None:
        """Makes ids blanks: their codes stay theirs and are never given again, nothing finds them,
        their bytes become zeros. Harmless for one that is a blank. O(bytes).

        Raises IndexError; the codes before are blanks then.
        """
    def gather(self, codes: U32) -> tuple[U8, I64]:
        """Copies of the ids ``codes``: (data uint8, offsets int64[n+1]); blanks are empty.

        Raises IndexError. Releases the GIL. O(bytes).
        """
    def dump(self, start: int = 0, stop: int | None = None) -> tuple[U8, I64]:
        """Copies of codes ``start .. stop``: (data uint8, offsets int64[n+1] from 0). O(bytes)."""

def resolve_keys(tables: list[KeyTable], data: U8 | bytes, offsets: I64) -> tuple[U16, U32]:
    """Table number uint16[n] and code uint32[n] of each id, added where new: its table is the low
    bits of its hash.

    ``tables``: different ones of one salt, a power of two of them. Other arguments and errors as
    ``KeyTable.intern_bulk``. Releases the GIL; every table counts as written to. O(bytes).
    """

def find_keys(tables: list[KeyTable], data: U8 | bytes, offsets: I64) -> tuple[U16, I64]:
    """As :func:`resolve_keys`, code int64[n] -1 where absent. Every table counts as read."""
