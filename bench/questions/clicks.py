"""Clicks: which element of a page is clicked how often, and by how many."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import Cells, Question, Rows, envelope, within
from bench.shape import event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

CLICK = event_name(5)
KEYS = ("page", "product_id", "channel")
"""Page, element and text: some 20,000 combinations."""
TOP = 20


def elements(shape: Shape) -> Question:
    """Clicks and exact users of the elements that are clicked most."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        rows = [r for r in answers[0] if not r["is_other"]]
        return _cells([r["page"], r["element"], r["text"], r["clicks"], r["users"]] for r in rows)

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        return _cells(answers[0])

    names = ", ".join(KEYS)
    chosen = f"FROM {{events}} WHERE event = '{CLICK}' AND {within(shape)}"
    end = f"ORDER BY n DESC LIMIT {2 * TOP}"

    def sql(users: str) -> str:
        return f"SELECT {names}, count(*) AS n, {users} {chosen} GROUP BY {names} {end}"

    # Only users of the most clicked elements are counted.
    best = f"SELECT {names}, count(*) AS n {chosen} GROUP BY {names} {end}"
    twice = (
        f"SELECT {names}, count(*), {{users}} {chosen} AND ({names}) IN "
        f"(SELECT {names} FROM ({best}) AS best) GROUP BY {names}"
    )
    body = {"e": CLICK, "page": "event.page", "element": "event.product_id"}
    return Question(
        name="clicks",
        title="clicks and exact users of the 20 most clicked elements (5 % event)",
        goal_ms=None,
        goal_ratio=10.0,
        queries=(
            envelope(shape, "clicks", {**body, "text": "event.channel"}, "all", top={"n": TOP}),
        ),
        clickhouse=(
            (sql("uniqExact(user)"),),
            (sql("groupBitmap(user)"),),
            (twice.replace("{users}", "uniqExact(user)"),),
        ),
        duckdb=(
            (sql("count(DISTINCT user)"),),
            (twice.replace("{users}", "count(DISTINCT user)"),),
        ),
        polars=(partial(_polars, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
    )


def _cells(rows: Any) -> Cells:
    cells: Cells = {}
    for page, element, text, clicks, users in rows:
        key = f"{page} {element} {text}"
        cells[f"cell clicks {key}"] = int(clicks)
        cells[f"cell users {key}"] = int(users)
    return cells


def _polars(shape: Shape, frames: Frames) -> list[Rows]:
    import polars as pl

    rows = frames.asked(frames.events(CLICK), shape)
    best = rows.group_by(KEYS).agg(pl.len().alias("n")).top_k(2 * TOP, by="n").drop("n")
    counted = rows.join(best, on=KEYS).group_by(KEYS).agg(pl.len(), pl.col("user").n_unique())
    return [frames.rows(counted)]
