"""Lengths of time in a query: ``{"n": 30, "unit": "minute"}``.

A length is a fixed number of milliseconds (a day is 24 h): it measures the distance between two
instants. Buckets and ranges are local-calendar spans and live in ``ranges.py``.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from zuji.engine.query.problems import Problem, mapping, only, unknown, whole

UNIT_MS: Final = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
MAX_DURATION_MS: Final = 366 * UNIT_MS["day"]
"""Longest conversion window and session gap: 366 days."""


class Duration(Struct, frozen=True, forbid_unknown_fields=True):
    """A fixed length of time."""

    n: Annotated[int, Meta(ge=1, le=100_000_000)]
    unit: Literal["second", "minute", "hour", "day", "week"]

    @property
    def ms(self) -> int:
        """Length in milliseconds."""
        return self.n * UNIT_MS[self.unit]


def duration_from(document: object, path: str) -> Duration:
    """Reads ``{"n", "unit"}`` from JSON values. Raises Problem; at most 300 years."""
    fields = mapping(document, path)
    only(fields, ("n", "unit"), path)
    n, unit = whole(fields.get("n"), f"{path}.n", 1), fields.get("unit")
    if not isinstance(unit, str) or unit not in UNIT_MS:
        raise Problem(unknown("unit", unit, UNIT_MS), f"{path}.unit")
    if n * UNIT_MS[unit] > 300 * MAX_DURATION_MS:
        raise Problem("expected a length of at most 300 years", path)
    return Duration(n, unit)  # type: ignore[arg-type]


def duration_to(length: Duration) -> dict[str, object]:
    """The JSON values of a length."""
    return {"n": length.n, "unit": length.unit}
