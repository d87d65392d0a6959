"""Breakdowns: the top cities of iOS users; the top URLs among very many."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import Cells, Question, Rows, envelope, within
from bench.questions.trends import TREND_EVENT
from bench.shape import event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

SYSTEM = "iOS"
URL_EVENT = event_name(1)


def cities(shape: Shape) -> Question:
    """Count and exact users of the ten cities with most rows, one event, one system."""
    where = {"p": "event.os", "op": "eq", "v": SYSTEM}
    return _top(
        shape,
        name="grouped",
        title="top 10 cities where os = iOS, count + exact users (5 % event)",
        goals=(10.0, 10.0),
        event=TREND_EVENT,
        column="city",
        system=SYSTEM,
        top=10,
        where=where,
    )


def urls(shape: Shape) -> Question:
    """Count and exact users of the twenty URLs with most rows, of the commonest event."""
    return _top(
        shape,
        name="by_url",
        title="top 20 of very many URLs, count + exact users (23 % event)",
        goals=(None, 5.0),
        event=URL_EVENT,
        column="url",
        system=None,
        top=20,
        where=None,
    )


def _top(
    shape: Shape,
    *,
    name: str,
    title: str,
    goals: tuple[float | None, float],
    event: str,
    column: str,
    system: str | None,
    top: int,
    where: dict[str, Any] | None,
) -> Question:
    group = f"event.{column}"

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {f"{r['series']} {r[group]}": int(r["value"]) for r in answers[0]}

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells: Cells = {}
        for value, count, users in answers[0]:
            cells[f"count {value}"] = int(count)
            cells[f"users {value}"] = int(users)
        return cells

    series = [{"e": event, "measure": m, "as": m} for m in ("count", "users")]
    more = {} if where is None else {"where": where}
    query = envelope(
        shape,
        "event",
        {"series": series},
        "all",
        by=[{"p": group}],
        top={"n": top, "other": False},
        **more,
    )
    chosen = f"event = '{event}' AND {within(shape)}"
    if system is not None:
        chosen += f" AND os = '{system}'"

    def sql(users: str) -> str:
        return (
            f"SELECT {column}, count(*) AS n, {users} AS u FROM {{events}} WHERE {chosen} "
            f"GROUP BY {column} ORDER BY n DESC, {column} LIMIT {top}"
        )

    # The ranking first, then the users of the groups shown.
    def ranked(users: str) -> str:
        return (
            f"SELECT {column}, count(*) AS n, {users} AS u FROM {{events}} WHERE {chosen} "
            f"AND {column} IN (SELECT {column} FROM {{events}} WHERE {chosen} GROUP BY {column} "
            f"ORDER BY count(*) DESC, {column} LIMIT {top}) GROUP BY {column} "
            f"ORDER BY n DESC, {column}"
        )

    return Question(
        name=name,
        title=title,
        goal_ms=goals[0],
        goal_ratio=goals[1],
        queries=(query,),
        clickhouse=tuple(
            (form(users),)
            for form in (sql, ranked)
            for users in ("uniqExact(user)", "groupBitmap(user)")
        ),
        duckdb=tuple((form("count(DISTINCT user)"),) for form in (sql, ranked)),
        polars=(
            partial(_polars_top, shape, event, column, system, top),
            partial(_polars_ranked, shape, event, column, system, top),
        ),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _polars_top(
    shape: Shape, event: str, column: str, system: str | None, top: int, frames: Frames
) -> list[Rows]:
    import polars as pl

    rows = frames.asked(frames.events(event), shape)
    if system is not None:
        rows = rows.filter(pl.col("os") == system)
    grouped = rows.group_by(column).agg(pl.len().alias("n"), pl.col("user").n_unique().alias("u"))
    return [_best(grouped, column, top, frames)]


def _polars_ranked(
    shape: Shape, event: str, column: str, system: str | None, top: int, frames: Frames
) -> list[Rows]:
    """Ranks first, then counts users of the groups shown."""
    import polars as pl

    rows = frames.asked(frames.events(event), shape)
    if system is not None:
        rows = rows.filter(pl.col("os") == system)
    counted = rows.group_by(column).agg(pl.len().alias("n"))
    shown = counted.with_columns(pl.col(column).cast(pl.String).alias("text"))
    shown = shown.sort("n", "text", descending=[True, False]).head(top).select(column)
    users = (
        rows.join(shown, on=column, how="semi")
        .group_by(column)
        .agg(pl.len().alias("n"), pl.col("user").n_unique().alias("u"))
    )
    return [_best(users, column, top, frames)]


def _best(grouped: Any, column: str, top: int, frames: Frames) -> Rows:
    import polars as pl

    named = grouped.with_columns(pl.col(column).cast(pl.String))
    return frames.rows(named.sort("n", column, descending=[True, False]).head(top))
