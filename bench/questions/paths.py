"""Session paths: the hundred most frequent beginnings of sessions, five events long.

Zuji has no path model yet: its kernel is asked through a private seam of a snapshot. Rows of one
user in one millisecond stand in the order sent in Zuji and in any order in the peers, which do not
store it: there are some five such pairs in 20 M rows and fifty in 100 M, so a path may differ by a
session or two.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import Cells, Question, Rows, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

GAP_MS = 30 * 60_000
STEPS = 5
TOP = 100
TIES = 2
# A path as one number: six bits an event, which is its rank; 0 after the end.
CODE = 64


def session_paths(shape: Shape) -> Question:
    """The most frequent first five events of a session."""
    asked = {
        "gap_ms": GAP_MS,
        "steps": STEPS,
        "from_ms": shape.asked_ms,
        "to_ms": shape.end_ms,
        "n": TOP,
    }

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        return {
            "cell " + ">".join(str(int(name[-2:])) for name in r["path"]): int(r["sessions"])
            for r in answers[0]
        }

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        return {f"cell {_steps(path)}": int(sessions) for path, sessions in answers[0]}

    return Question(
        name="paths",
        title="top 100 session paths, 30 min gap, 5 steps",
        goal_ms=200.0,
        goal_ratio=10.0,
        queries=({"session_paths": asked},),
        clickhouse=_clickhouse(shape),
        duckdb=((_duckdb(shape),),),
        polars=(partial(_polars, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
        tolerance=TIES,
    )


def _steps(path: Any) -> str:
    """Ranks of a path, from a list or from one number."""
    if isinstance(path, list):
        return ">".join(str(int(code)) for code in path)
    number, ranks = int(path), []
    while number:
        ranks.append(str(number % CODE))
        number //= CODE
    return ">".join(ranks)


def _clickhouse(shape: Shape) -> tuple[tuple[str, ...], ...]:
    """Sorted rows of a user as one array of integers, split at the gaps."""
    rank = "toUInt64(toUInt8(substring(event, 7)))"
    codes = f"arrayMap(k -> toUInt8(k % {CODE}), keys)"
    gaps = f"arrayDifference(arrayMap(k -> intDiv(k, {CODE}), keys))"
    sessions = f"arraySplit((code, gap) -> gap > {GAP_MS}, {codes}, {gaps})"
    sql = (
        f"SELECT path, count() AS n FROM "
        f"(SELECT arrayJoin(arrayMap(s -> arraySlice(s, 1, {STEPS}), {sessions})) AS path FROM "
        f"(SELECT arraySort(groupArray(ts * {CODE} + {rank})) AS keys FROM {{events}} "
        f"WHERE {within(shape)} GROUP BY user)) GROUP BY path ORDER BY n DESC LIMIT {2 * TOP}"
    )
    return (sql,), (sql + " SETTINGS optimize_aggregation_in_order = 1",)


def _duckdb(shape: Shape) -> str:
    """All windows have one order, so there is one sort; a session's path stands at its first
    row.
    """
    window = "OVER (PARTITION BY user ORDER BY ts)"
    leads = ", ".join(
        f"lead(ts, {k}) {window} AS t{k}, lead(code, {k}) {window} AS e{k}" for k in range(1, STEPS)
    )
    rows = (
        f"SELECT ts AS t0, code AS e0, lag(ts) {window} AS before, {leads} FROM "
        f"(SELECT user, ts, enum_code(event) + 1 AS code FROM {{events}} WHERE {within(shape)})"
    )
    path, going = "e0", "true"
    for k in range(1, STEPS):
        going += f" AND coalesce(t{k} - t{k - 1} <= {GAP_MS}, false)"
        path += f" + CASE WHEN {going} THEN e{k}::BIGINT * {CODE**k} ELSE 0 END"
    return (
        f"SELECT {path} AS path, count(*) AS n FROM ({rows}) "
        f"WHERE before IS NULL OR t0 - before > {GAP_MS} "
        f"GROUP BY path ORDER BY n DESC LIMIT {2 * TOP}"
    )


def _polars(shape: Shape, frames: Frames) -> list[Rows]:
    """One sort by user and time, then neighbours by shifting."""
    import polars as pl

    span = 1 << 34
    user = pl.col("user").cast(pl.Int64) * span
    rows = frames.asked(frames.all(), shape).select(
        (user + pl.col("ts") - shape.asked_ms).alias("key"),
        (pl.col("event").to_physical().cast(pl.Int64) + 1).alias("code"),
    )
    # Keys of two users are further apart than any gap, so a user's end is a session's end.
    rows = rows.sort("key")
    path, going = pl.col("code"), pl.lit(True)
    for k in range(1, STEPS):
        near = (pl.col("key").shift(-k) - pl.col("key").shift(1 - k) <= GAP_MS).fill_null(False)
        going = going & near
        step = pl.when(going).then(pl.col("code").shift(-k) * CODE**k).otherwise(0)
        path = path + step
    begins = (pl.col("key") - pl.col("key").shift(1) > GAP_MS).fill_null(True)
    firsts = rows.select(path.alias("path"), begins.alias("begins")).filter("begins")
    counted = firsts.group_by("path").agg(pl.len().alias("n"))
    return [frames.rows(counted.sort("n", descending=True).head(2 * TOP))]
