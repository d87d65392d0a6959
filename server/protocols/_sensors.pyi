"""Native half of :mod:`.sensors`; ``form.h`` and ``sensors.h`` say what is made of what."""

from typing import Protocol, final

class _Limits(Protocol):
    @property
    def batch_events(self) -> int: ...
    @property
    def batch_items(self) -> int: ...
    @property
    def batch_bytes(self) -> int: ...
    @property
    def list_values(self) -> int: ...

def field(form: bytes, name: bytes) -> bytes | None:
    """The first field of this name in a form, percent-decoded; a ``+`` stays."""

def unbase64(text: bytes) -> bytes | None:
    """Bytes of base64 of either alphabet, padded or not, in which a space was a ``+``; None when it
    is none.
    """

def joined(text: bytes) -> bytes:
    """UTF-8 of bytes in which surrogates have three bytes each (CESU-8)."""

def hash_code(text: bytes) -> int:
    """Java's ``hashCode`` of ASCII text, in 32 bits without sign; a space counts as a ``+``."""

def transcode(
    document: bytes,
    received_ms: int,
    offset_ms: int,
    limits: _Limits,
    keep_ip: bool = False,
    login_keys: tuple[str, ...] = (),
) -> tuple[list[tuple[int, int, bytes]], list[tuple[int, str, str, bytes]], str]:
    """Native events of a JSON document of records.

    ``received_ms``: our clock. ``offset_ms``: of dates without a zone. ``keep_ip``: a
    property ``$ip`` stays. ``login_keys``: keys of identities that are the customer's own id, at most
    4 of at most 100 bytes, the best first. Returns parts that a batch can hold (events, msgpack
    values, bytes); refusals (index of the record, reason, path, its bytes); the first token that
    stands in a record. O(bytes).

    Raises:
        MemoryError. ValueError: too many or too long login keys.
    """

@final
class Quick:
    """Reads one request at a time without an object in between, when it is sure of it.

    ``limits``, ``offset_ms``, ``keep_ip``, ``login_keys``: as of :func:`transcode`; ``inflated``:
    bytes that what came compressed may have. Thread-safe: while it reads, it answers other threads
    None.
    """

    def __new__(
        cls,
        limits: _Limits,
        offset_ms: int,
        keep_ip: bool = False,
        login_keys: tuple[str, ...] = (),
        inflated: int = 0,
    ) -> Quick: ...
    def events(
        self, query: bytes, body: bytes, received_ms: int
    ) -> list[tuple[int, int, bytes]] | None:
        """Parts as :func:`transcode` gives them, of a request's target and body; None: it is not of
        the usual kind, or something is wrong with it. O(bytes).

        Raises:
            MemoryError.
        """
