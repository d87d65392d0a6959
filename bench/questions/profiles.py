"""User properties: the persona of the users who paid beside everybody, by two properties."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import Cells, Question, Rows, envelope, within
from bench.shape import event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

PAID = event_name(5)
TRAITS = ("level", "city")


def persona(shape: Shape) -> Question:
    """Users of each level and city, among those who paid and among all."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        cells: Cells = {}
        for r in answers[0]:
            cells[f"group {r['value']}"] = int(r["group_users"])
            cells[f"base {r['value']}"] = int(r["base_users"])
        return cells

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        cells: Cells = {}
        for rows in answers:
            for value, group, base in rows:
                cells[f"group {value}"] = int(group)
                cells[f"base {value}"] = int(base)
        return cells

    properties = [{"p": f"user.{name}"} for name in TRAITS]
    body = {"persona": {"group": {"did": {"e": PAID}}, "properties": properties}}
    payers = f"SELECT DISTINCT user FROM {{events}} WHERE event = '{PAID}' AND {within(shape)}"

    def sql(count_if: str) -> tuple[tuple[str, ...], ...]:
        tested = count_if.format(f"user IN ({payers})")
        marked = count_if.format("paid = 1")
        people = f"{{users}} LEFT JOIN (SELECT user, 1 AS paid FROM ({payers}) AS d) AS p"
        return (
            tuple(f"SELECT {p}, {tested}, count(*) FROM {{users}} GROUP BY {p}" for p in TRAITS),
            tuple(
                f"SELECT {p}, {marked}, count(*) FROM {people} USING (user) GROUP BY {p}"
                for p in TRAITS
            ),
        )

    return Question(
        name="persona",
        title="persona of those who paid beside all users: level and city (TGI)",
        goal_ms=None,
        goal_ratio=10.0,
        queries=(envelope(shape, "user_property", body, "all", top={"n": 1_000}),),
        clickhouse=sql("countIf({0})"),
        duckdb=sql("count(*) FILTER ({0})"),
        polars=(partial(_persona, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _persona(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    paid = frames.asked(frames.events(PAID), shape).select("user").unique()
    people = frames.users.lazy().join(paid.with_columns(paid=pl.lit(1)), on="user", how="left")
    return [
        frames.rows(people.group_by(name).agg(pl.col("paid").sum(), pl.len())) for name in TRAITS
    ]
