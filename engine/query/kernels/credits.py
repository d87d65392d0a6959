"""What the attribution kernel gives back. Credit is a sum of whole shares of 2^-56.

A cell is a (line, bucket, name); the last name is "no touch". Parts of disjoint users add up, in
any order, to the same bits (values but to rounding). Plain data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zuji.engine.query.sums import added, rounded

if TYPE_CHECKING:
    from zuji.engine.types import F64, I64, U32

SHARE_BITS = 56
"""A conversion is 2^56 shares."""
MODELS = {
    "first": 0,
    "last": 1,
    "last_non_direct": 2,
    "linear": 3,
    "position": 4,
    "time_decay": 5,
    "participation": 6,
}


@dataclass(frozen=True, slots=True)
class CreditCells:
    """Cells of some users. With L lines, B buckets, N names and M models:

    ``touches``, ``conversions``, ``assisted``, ``users`` int64[L, B, N + 1]; ``whole`` and ``part``
    int64[L, B, N + 1, M]: credit in conversions and in shares, 0 ≤ part < 2^56; ``kept_value``
    float64[L, B, N + 1, M] twice, a sum and what rounding took off it, or None.
    ``all_conversions``, ``touched``, ``all_users`` int64[L, B] and ``kept_worth`` float64[L, B]
    twice or None: conversions whatever came before them; ``line_users`` int64[L]. ``picked``
    uint32[]: ordinals behind the pick, ascending.
    """

    touches: I64
    conversions: I64
    assisted: I64
    users: I64
    whole: I64
    part: I64
    kept_value: tuple[F64, F64] | None
    all_conversions: I64
    touched: I64
    all_users: I64
    kept_worth: tuple[F64, F64] | None
    line_users: I64
    picked: U32

    @property
    def credit(self) -> F64:
        """Credit in conversions, float64[L, B, N + 1, M]; each is the float next to the sum."""
        found: F64 = self.whole + self.part * 2.0**-SHARE_BITS
        return found

    @property
    def value(self) -> F64 | None:
        """Value of the credit, rounded, float64[L, B, N + 1, M]."""
        return None if self.kept_value is None else rounded(self.kept_value)

    @property
    def worth(self) -> F64 | None:
        """Value of all conversions, rounded, float64[L, B]."""
        return None if self.kept_worth is None else rounded(self.kept_worth)

    def plus(self, other: CreditCells) -> CreditCells:
        """The cells of both: of other users, so that all numbers add up."""
        part = self.part + other.part
        return CreditCells(
            self.touches + other.touches,
            self.conversions + other.conversions,
            self.assisted + other.assisted,
            self.users + other.users,
            self.whole + other.whole + (part >> SHARE_BITS),
            part & ((1 << SHARE_BITS) - 1),
            _both(self.kept_value, other.kept_value),
            self.all_conversions + other.all_conversions,
            self.touched + other.touched,
            self.all_users + other.all_users,
            _both(self.kept_worth, other.kept_worth),
            self.line_users + other.line_users,
            self.picked,
        )


def _both(a: tuple[F64, F64] | None, b: tuple[F64, F64] | None) -> tuple[F64, F64] | None:
    return None if a is None or b is None else added(a, b)
