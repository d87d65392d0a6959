"""What a question is, and the parts that its forms share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.shape import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

Cells = dict[str, int]
Rows = list[list[Any]]
PolarsForm = "Callable[[Frames], list[Rows]]"


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the report. A form is what is timed as one: statements run one after the other,
    an answer each.
    """

    name: str
    title: str
    goal_ms: float | None
    """Median at 100 M rows on two quiet cores that is asked for."""
    goal_ratio: float
    """How many times faster than the best peer of the same run."""
    queries: tuple[dict[str, Any], ...]
    clickhouse: tuple[tuple[str, ...], ...]
    """SQL with ``{events}`` and ``{users}``; all forms give the same rows."""
    duckdb: tuple[tuple[str, ...], ...]
    polars: tuple[Callable[[Frames], list[Rows]], ...]
    """Functions of a module, so that they can be sent to the peer's process."""
    zuji_cells: Callable[[Sequence[Sequence[dict[str, Any]]]], Cells] = field(repr=False)
    peer_cells: Callable[[Sequence[Sequence[Sequence[Any]]]], Cells] = field(repr=False)
    tolerance: int = 0
    """By how much a cell may differ where the peers cannot know the order of rows."""

    def with_ties_any(self) -> tuple[dict[str, Any], ...]:
        """The queries for comparing answers: the peers order one instant by step, which is
        ``ties: any``.
        """
        return tuple(
            {**q, "body": {**q["body"], "ties": "any"}} if q.get("model") == "funnel" else q
            for q in self.queries
        )


def envelope(
    shape: Shape, model: str, body: dict[str, Any], grain: str = "day", **more: Any
) -> dict[str, Any]:
    """A Zuji query over the asked days."""
    time = {"from": shape.asked_first_day, "to": shape.last_day, "tz": shape.tz, "grain": grain}
    return {"v": 1, "model": model, "time": time, "body": body, **more}


def within(shape: Shape) -> str:
    """SQL condition of the asked days; true where they are all there are."""
    return "true" if shape.asked_days == shape.days else f"ts >= {shape.asked_ms}"


def day(shape: Shape, divide: str = "intDiv({0}, {1})") -> str:
    """SQL of the number of the asked day, 0-based. The zone of the data has no clock changes."""
    return divide.format(f"ts - {shape.asked_ms}", DAY_MS)


def duck_day(shape: Shape) -> str:
    """The same for DuckDB."""
    return day(shape, "(({0}) // {1})")


def day_number(shape: Shape, label: object) -> int:
    """Number of the asked day of a bucket's label."""
    from datetime import date

    first = date.fromisoformat(shape.asked_first_day)
    return (date.fromisoformat(str(label)[:10]) - first).days


def listed(names: Sequence[str]) -> str:
    """Texts for an SQL ``IN``."""
    return ", ".join(f"'{name}'" for name in names)
