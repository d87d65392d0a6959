"""Problems found while a query document is read: text plus the place inside the value at hand.

A :class:`Problem` travels through msgspec's converter as a ValueError; the converter adds the path
of the value it was reading, and ``parse.py`` joins both paths. User text enters messages only
through ``repr``, so the separator cannot be forged.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SEPARATOR: Final = "\x1f"
_SHOWN = 12


class Problem(ValueError):
    """``text`` says what was expected; ``path`` is relative, such as ``.all[1].op`` or ``""``."""

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(f"{text}{SEPARATOR}{path}")
        self.text = text
        self.path = path


def one_of(options: Iterable[object]) -> str:
    """``'a', 'b' or 'c'``; long lists are cut."""
    shown = [repr(option) for option in options]
    if len(shown) > _SHOWN:
        return ", ".join(shown[:_SHOWN]) + f" … ({len(shown)} in all)"
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + f" or {shown[-1]}"


def nearest(name: object, options: Iterable[object]) -> str:
    """``; did you mean 'x'?`` when one of the options is near the name, else nothing."""
    found = get_close_matches(str(name), [str(option) for option in options], n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def unknown(what: str, name: object, options: Iterable[object]) -> str:
    """``unknown op 'eqq', expected …; did you mean 'eq'?``."""
    choices = list(options)
    return f"unknown {what} {name!r}, expected {one_of(choices)}{nearest(name, choices)}"


def child(path: str, key: str) -> str:
    """The path of a field: ``.e``, or ``["a b"]`` when the name is not a word."""
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"


def shown(value: object) -> str:
    """A JSON value in an error message: its type, and its text when short."""
    names = {dict: "object", list: "array", tuple: "array", str: "string", bool: "boolean"}
    if value is None:
        return "null"
    kind = names.get(type(value), "number")
    text = "" if isinstance(value, dict | list | tuple) else repr(value)
    return f"{kind} {text}" if 0 < len(text) <= 60 else kind


def only(document: dict[str, object], known: tuple[str, ...], path: str) -> None:
    """Raises Problem for a field that is not known."""
    for key in document:
        if key not in known:
            raise Problem(
                f"unknown field {key!r}, expected {one_of(known)}{nearest(key, known)}",
                child(path, key),
            )


def array(value: object, path: str) -> list[object]:
    """Returns ``value`` when it is a JSON array, else raises Problem."""
    if not isinstance(value, list | tuple):
        raise Problem(f"expected an array, got {shown(value)}", path)
    return list(value)


def mapping(value: object, path: str) -> dict[str, Any]:
    """Returns ``value`` when it is a JSON object, else raises Problem."""
    if not isinstance(value, dict):
        raise Problem(f"expected an object, got {shown(value)}", path)
    return value


def whole(value: object, path: str, least: int = 0) -> int:
    """Returns ``value`` when it is a whole number of at least ``least``, else raises Problem."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
        raise Problem(f"expected a whole number of at least {least}, got {shown(value)}", path)
    return value
