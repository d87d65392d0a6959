"""Two answers side by side: rows matched by their coordinates, numbers equal to 1e-9.

What the oracle says is made once and compared in every state of the files: :class:`Expected`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.oracle.answers import answer, totals
from tests.oracle.models import MODELS

if TYPE_CHECKING:
    from tests.oracle.project import OracleProject

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the oracle answers: rows, and the totals that the model offers."""

    model: str
    rows: list[Row]
    totals: list[Row] | None
    overall: dict[str, Any] | None

    @classmethod
    def of(cls, project: OracleProject, query: dict[str, Any], now: int) -> Expected:
        """Asks the oracle.

        Raises:
            RefusedQuery: the engine must refuse it, too.
        """
        return cls(query["model"], answer(project, query, now), *totals(project, query, now))

    def differences(self, rows: list[Row], given: dict[str, Any], most: int = 8) -> list[str]:
        """What differs from the engine's rows and totals, one line a row; empty when equal."""
        found = differences(self.model, rows, self.rows)
        if not found and self.totals is not None:
            told = [dict(zip(given["columns"], row, strict=True)) for row in given["rows"]]
            found = [f"totals: {line}" for line in differences(self.model, told, self.totals)]
        if not found and self.overall is not None:
            together = dict(given["overall"])
            if not same(together, self.overall):
                found = [f"overall: engine {together}, oracle {self.overall}"]
        return found[:most]


def coordinates(model: str, row: Row) -> tuple[Any, ...]:
    """What names a cell: its fixed columns and the values of the breakdowns."""
    names = ("range", "bucket", "is_other", *MODELS[model].COORDINATES)
    fixed = tuple((name, row[name]) for name in names if name in row)
    # True == 1 == 1.0 in Python, but they are different group values.
    groups = tuple(
        (name, type(value).__name__ if isinstance(value, bool | str) else "number", value)
        for name, value in sorted(row.items())
        if name.startswith(("event.", "user."))
    )
    return (*fixed, *groups)


def same(a: Any, b: Any) -> bool:
    """Equal values; numbers up to rounding; null only equals null."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if a is None or b is None or isinstance(a, bool | str) or isinstance(b, bool | str):
        return a == b and isinstance(a, bool) == isinstance(b, bool)
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def differences(model: str, engine: list[Row], oracle: list[Row]) -> list[str]:
    """What differs, one line a row; empty when the answers are equal."""
    found: list[str] = []
    ours = {coordinates(model, row): row for row in engine}
    theirs = {coordinates(model, row): row for row in oracle}
    if len(ours) != len(engine):
        found.append(f"the engine gave {len(engine) - len(ours)} rows twice")
    if len(theirs) != len(oracle):
        found.append(f"the oracle gave {len(oracle) - len(theirs)} rows twice")
    for at, row in theirs.items():
        if at not in ours:
            found.append(f"missing in the engine: {row}")
            continue
        wrong = [
            f"{name}: engine {ours[at].get(name)!r}, oracle {value!r}"
            for name, value in row.items()
            if name not in ours[at] or not same(ours[at][name], value)
        ]
        more = [f"{name}: only in the engine" for name in ours[at] if name not in row]
        if wrong or more:
            found.append(f"{at}: " + "; ".join(wrong + more))
    return found + [f"only in the engine: {row}" for at, row in ours.items() if at not in theirs]
