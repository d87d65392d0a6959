"""Whom: how a person is named from outside, and what the index and stored bytes call him.

``{"user_id": "c-1"}``, ``{"device_id": "A-1"}`` or a typed id ``{"$identity_mobile": "138…"}``,
which is the device id ``$identity_mobile+138…``. Functions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zuji.engine.errors import InvalidInput
from zuji.engine.types import TYPED_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

ID_BYTES: Final = 255
SHAPE: Final = (
    'a person is named by one id, like {"user_id": "c-1"}, {"device_id": "A-1"} or '
    '{"$identity_mobile": "138…"}'
)


@dataclass(frozen=True, slots=True)
class Whom:
    """One id of somebody. ``key``: as in the index (docs/format/ids.md)."""

    kind: str
    text: str

    @property
    def key(self) -> bytes:
        """``u`` + user id, ``d`` + device id or typed id."""
        if self.kind == "user_id":
            return b"u" + self.text.encode()
        if self.kind == "device_id":
            return b"d" + self.text.encode()
        return b"d" + f"{self.kind}+{self.text}".encode()

    @classmethod
    def of(cls, said: Mapping[str, Any] | Whom) -> Whom:
        """From ``{"user_id": …}`` and the like.

        Raises:
            InvalidInput: says what is wrong.
        """
        if isinstance(said, Whom):
            return said
        if not hasattr(said, "items") or len(said) != 1:
            raise InvalidInput(f"{SHAPE}, got {str(said)[:80]!r}")
        ((kind, text),) = said.items()
        typed = isinstance(kind, str) and kind.startswith(TYPED_ID) and len(kind) > len(TYPED_ID)
        if kind not in ("user_id", "device_id") and not typed:
            raise InvalidInput(f"{SHAPE}, got {str(kind)[:80]!r}")
        if not isinstance(text, str) or not text:
            raise InvalidInput(f"the {kind} of a person is a text that is not empty")
        made = cls(kind, text)
        try:
            length = len(made.key) - 1
        except UnicodeEncodeError:
            raise InvalidInput(f"the {kind} is no text that UTF-8 can hold") from None
        if length > ID_BYTES:
            raise InvalidInput(f"the {kind} has {length} bytes; an id has at most {ID_BYTES}")
        return made

    @classmethod
    def named(cls, key: bytes) -> Whom:
        """The reverse of :attr:`key`."""
        text = key[1:].decode(errors="replace")
        if key[:1] == b"u":
            return cls("user_id", text)
        kind, plus, value = text.partition("+")
        if plus and kind.startswith(TYPED_ID):
            return cls(kind, value)
        return cls("device_id", text)

    def to_dict(self) -> dict[str, str]:
        """As :meth:`of` takes it."""
        return {self.kind: self.text}
