"""Timeline: the first hundred events of one user, with all that was sent."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import Cells, Question, Rows
from bench.shape import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

LIMIT = 100
SHARE = 3
"""One user in so many is before the one that is asked for."""


def first_page(shape: Shape) -> Question:
    """Time and event of each row; the properties are read, too."""
    user = shape.users // SHARE

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        rows = [(datetime.fromisoformat(r["time"]), r["event"]) for r in answers[0]]
        return _cells([(round(time.timestamp() * 1000), event) for time, event in rows])

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        return _cells([(int(ts), event) for ts, event, *_ in answers[0]])

    sql = (
        f"SELECT ts, event, {', '.join(PROPERTIES)} FROM {{events}} WHERE user = {user} "
        f"ORDER BY ts LIMIT {LIMIT}"
    )
    return Question(
        name="timeline",
        title="timeline of one user, the first 100 events with all properties",
        goal_ms=20.0,
        goal_ratio=1.0,
        queries=({"timeline": {"user_id": f"u{user:08d}", "limit": LIMIT}},),
        clickhouse=((sql,),),
        duckdb=((sql,),),
        polars=(partial(_polars, user),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _cells(rows: Sequence[tuple[int, str]]) -> Cells:
    """What rows add up to: those of one instant have no order in the peers."""
    cells = {"rows": len(rows), "times": sum(ts for ts, _ in rows)}
    for _, event in rows:
        cells[f"event {event}"] = cells.get(f"event {event}", 0) + 1
    return cells


def _polars(user: int, frames: Frames) -> list[Rows]:
    import polars as pl

    rows = frames.all().filter(pl.col("user") == user).sort("ts").head(LIMIT)
    return [frames.rows(rows.select("ts", "event", *PROPERTIES))]
