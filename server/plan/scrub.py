"""Taking sensitive values out of things that need not be events: texts of JSON inside properties,
and records that are wrong and go to the quarantine as they came.

Names are compared without regard to case, at any depth; of names that stand twice both are looked
at. What cannot be read is withheld as a whole. Pure; safe on any thread.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zuji.server.plan.tokens import Tokens

WITHHELD = b'{"$withheld": "it cannot be read, and the plan has sensitive properties"}'
REFUSE = "refuse"
_GONE = object()


class Scrub:
    """Sensitive names of a plan and what is done about them."""

    def __init__(self, names: Mapping[str, str], tokens: Tokens | None) -> None:
        self.names = {name.casefold(): how for name, how in names.items()}
        self._tokens = tokens

    def __bool__(self) -> bool:
        return bool(self.names)

    def how(self, name: str) -> str:
        """ "refuse", "tokenise" or "" for a name."""
        return self.names.get(name.casefold(), "")

    def token(self, value: Any) -> Any:
        """What stands for a value: a token; of a list, one an item."""
        assert self._tokens is not None
        if isinstance(value, list | tuple):
            return [self._tokens.of(_text(item)) for item in value]
        return self._tokens.of(_text(value))

    def text(self, text: str) -> str | None:
        """A text that may be JSON, without sensitive values inside; None: nothing can stay."""
        if text.lstrip()[:1] not in ("{", "["):
            return text
        touched: list[bool] = []
        try:
            found = json.loads(text, object_pairs_hook=lambda pairs: self._object(pairs, touched))
            found = self._inside(found, touched)
            if not touched:
                return text
            return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError):
            return None if self._named(text) else text

    def record(self, raw: bytes) -> bytes:
        """A record that is not an event, JSON or msgpack, without sensitive values."""
        touched: list[bool] = []

        def pairs(found: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
            return self._object(found, touched)

        try:
            if len(raw) > 1 and raw[0] < 0x80:  # in msgpack an integer of one byte
                said = json.loads(raw.decode("utf-8", "replace"), object_pairs_hook=pairs)
                return json.dumps(self._inside(said, touched)).encode()
            said = msgpack.unpackb(
                raw,
                strict_map_key=False,
                unicode_errors="replace",
                timestamp=0,
                object_pairs_hook=pairs,
            )
            packed: bytes = msgpack.packb(self._inside(said, touched))
        except Exception:  # whatever is raised on bytes that are wrong: nothing of them is kept
            return WITHHELD
        return packed

    def _object(self, pairs: Iterable[tuple[Any, Any]], touched: list[bool]) -> dict[Any, Any]:
        made = {}
        for name, value in pairs:
            plain = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
            how = self.how(plain)
            if how and value is not None:
                touched.append(True)
                if how == REFUSE or isinstance(value, dict):
                    continue
                made[name] = self.token(value)
            else:
                kept = self._inside(value, touched)
                if kept is not _GONE:
                    made[name] = kept
        return made

    def _inside(self, value: Any, touched: list[bool]) -> Any:
        if isinstance(value, str):
            kept = self.text(value)
            if kept != value:
                touched.append(True)
            return _GONE if kept is None else kept
        if isinstance(value, list | tuple):
            items = [self._inside(item, touched) for item in value]
            return [item for item in items if item is not _GONE]
        if isinstance(value, bytes):  # no value of an event; who knows what is in it
            touched.append(True)
            return _GONE
        return value  # objects have been looked at when they were read

    def _named(self, text: str) -> bool:
        folded = text.casefold()
        return "\\u" in folded or any(name in folded for name in self.names)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
