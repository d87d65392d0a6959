"""What a user's property is after each profile record: the records of one property, folded.

Records are sorted by (user, time, order of arrival), so the order in which they arrived counts only
among those of one time. Numbers, texts and dates are folded natively; lists here, a Python step a
record, and what a list becomes by appending shares its memory. Pure functions: thread-safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.query.kernels._profiles import fold
from zuji.engine.types import (
    PROFILE_APPEND,
    PROFILE_DELETE,
    PROFILE_INCREMENT,
    PROFILE_SET,
    PROFILE_SET_ONCE,
    PROFILE_UNSET,
    Kind,
)

if TYPE_CHECKING:
    from zuji.engine.types import U8, U32, Values

SET: Final = 0
NOTHING: Final = 1
ONCE: Final = 2
INCREMENT: Final = 3
APPEND: Final = 4

OPS: Final = {
    PROFILE_SET: SET,
    PROFILE_UNSET: NOTHING,
    PROFILE_SET_ONCE: ONCE,
    PROFILE_INCREMENT: INCREMENT,
    PROFILE_APPEND: APPEND,
    PROFILE_DELETE: NOTHING,
}
"""What the values of a profile event do; what its list of removed names does is NOTHING."""

LIST_VALUES: Final = DEFAULT_LIMITS.list_values
"""A list grows to so many values: it puts its user in as many groups."""


def folded(kind: Kind, users: U32, ops: U8, values: Values) -> tuple[Values, U8]:
    """Value of the property after each record, and where it has one (uint8[n] of 0/1).

    ``values``: as a :class:`~zuji.engine.types.Column` of ``kind`` has them; for LIST an object
    array of uint32 arrays. O(n), and for lists O(items).
    """
    if not len(ops) or ops.max() <= NOTHING:
        return values, (ops == SET).astype(np.uint8)
    if kind == Kind.LIST:
        return _lists(users, ops, values)
    present = np.empty(len(ops), np.uint8)
    bits = values.copy().view(np.int64) if kind == Kind.FLOAT else values.astype(np.int64)
    fold(users, ops, bits, present, kind)
    return bits.view(np.float64) if kind == Kind.FLOAT else bits.astype(values.dtype), present


class _Growing:
    """A list, and the records after which it was a prefix of what it is now."""

    __slots__ = ("_at", "_have", "_items")

    def __init__(self) -> None:
        self._items: list[int] = []
        self._have: set[int] = set()
        self._at: list[tuple[int, int]] = []

    def append(self, items: list[int]) -> None:
        for item in items:
            if item not in self._have and len(self._items) < LIST_VALUES:
                self._have.add(item)
                self._items.append(item)

    def begin(self, items: list[int]) -> None:
        """The list is ``items``, repeats and all."""
        self._items, self._have = list(items), set(items)

    def mark(self, row: int) -> None:
        """After record ``row`` the list is as it is now."""
        self._at.append((row, len(self._items)))

    def write(self, out: Any) -> None:
        """Puts the list of each marked record in its place."""
        items = np.array(self._items, np.uint32)
        for row, length in self._at:
            out[row] = items[:length]


def _lists(users: U32, ops: U8, values: Values) -> tuple[Values, U8]:
    n = len(ops)
    out = np.empty(n, object)
    present = np.zeros(n, np.uint8)
    nothing = np.empty(0, np.uint32)
    now: _Growing | None = None
    for row, (user, op) in enumerate(zip(users.tolist(), ops.tolist(), strict=True)):
        begins = op in (SET, NOTHING) or (row > 0 and user != users[row - 1])
        if now is not None and begins:
            now.write(out)
            now = None
        if op == NOTHING:
            out[row] = nothing
            continue
        if op == APPEND or now is None:
            items = values[row].tolist()
            if now is None:
                now = _Growing()
                if op != APPEND:
                    now.begin(items)
            if op == APPEND:
                now.append(items)
        now.mark(row)
        present[row] = 1
    if now is not None:
        now.write(out)
    return out, present
