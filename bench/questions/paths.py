"""Session paths: which event follows which among the first five of every session, and the hundred
most frequent beginnings as a whole.

The links are the path model's; the whole paths are those of its kernel, which is asked through a
private seam of a snapshot. Rows of one user in one millisecond stand in the order sent in Zuji and
in any order in the peers, which do not store it: there are some five such pairs in 20 M rows and
fifty in 100 M, so a cell may differ by a session or two.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import Cells, Question, Rows, envelope, within

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


def links(shape: Shape) -> Question:
    """Which event follows which, layer by layer, and where sessions end."""
    body = {"max_steps": STEPS, "max_nodes": CODE, "session": {"gap": {"n": 30, "unit": "minute"}}}

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        rows = [r for r in answers[0] if r["source_kind"] == "node"]
        return {
            f"cell {r['layer']} {_rank(r['source'])}>{_rank(r['target'])}": int(r["count"])
            for r in rows
        }

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        return {f"cell {layer} {a}>{b}": int(n) for layer, a, b, n in answers[0]}

    return Question(
        name="path_links",
        title="links of session paths, 30 min gap, 5 steps",
        goal_ms=200.0,
        goal_ratio=20.0,
        queries=(envelope(shape, "path", body),),
        clickhouse=_clickhouse_links(shape),
        duckdb=((_duckdb_links(shape),),),
        polars=(partial(_polars_links, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
        tolerance=TIES,
    )


def _rank(event: str | None) -> int:
    return 0 if event is None else int(event[-2:])


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
    """The most frequent paths."""
    paths = _clickhouse_paths(shape)
    sql = f"SELECT path, count() AS n FROM ({paths}) GROUP BY path ORDER BY n DESC LIMIT {2 * TOP}"
    return (_in_order(sql), (sql,))


def _clickhouse_links(shape: Shape) -> tuple[tuple[str, ...], ...]:
    """Neighbours of each path; past its end an array gives 0. One form spreads every session, one
    every different path.
    """
    paths = _clickhouse_paths(shape)
    layers = f"ARRAY JOIN range(1, least(length(path), {STEPS - 1}) + 1) AS k"
    each = f"SELECT k, path[k] AS a, path[k + 1] AS b, count() FROM ({paths}) {layers}"
    grouped = f"SELECT path, count() AS n FROM ({paths}) GROUP BY path"
    some = f"SELECT k, path[k] AS a, path[k + 1] AS b, sum(n) FROM ({grouped}) {layers}"
    end = " GROUP BY k, a, b"
    return ((each + end,), _in_order(each + end), (some + end,))


def _in_order(sql: str) -> tuple[str, ...]:
    return (sql + " SETTINGS optimize_aggregation_in_order = 1",)


def _clickhouse_paths(shape: Shape) -> str:
    """A path a row: sorted rows of a user as one array of integers, split at the gaps."""
    rank = "toUInt64(toUInt8(substring(event, 7)))"
    codes = f"arrayMap(k -> toUInt8(k % {CODE}), keys)"
    gaps = f"arrayDifference(arrayMap(k -> intDiv(k, {CODE}), keys))"
    sessions = f"arraySplit((code, gap) -> gap > {GAP_MS}, {codes}, {gaps})"
    return (
        f"SELECT arrayJoin(arrayMap(s -> arraySlice(s, 1, {STEPS}), {sessions})) AS path FROM "
        f"(SELECT arraySort(groupArray(ts * {CODE} + {rank})) AS keys FROM {{events}} "
        f"WHERE {within(shape)} GROUP BY user)"
    )


def _duckdb(shape: Shape) -> str:
    """The most frequent paths, each as one number."""
    rows, near = _duckdb_rows(shape)
    path = "e0"
    for k in range(1, STEPS):
        path += f" + CASE WHEN {near[k]} THEN e{k}::BIGINT * {CODE**k} ELSE 0 END"
    return (
        f"SELECT {path} AS path, count(*) AS n FROM ({rows}) "
        f"WHERE before IS NULL OR t0 - before > {GAP_MS} "
        f"GROUP BY path ORDER BY n DESC LIMIT {2 * TOP}"
    )


def _duckdb_links(shape: Shape) -> str:
    """Paths once, each pair of neighbouring columns counted; 0 after the end."""
    rows, near = _duckdb_rows(shape)
    steps = ", ".join(
        f"CASE WHEN {near[k]} THEN e{k} ELSE 0 END AS s{k}" if k else "e0 AS s0"
        for k in range(STEPS)
    )
    paths = f"SELECT {steps} FROM ({rows}) WHERE before IS NULL OR t0 - before > {GAP_MS}"
    layers = " UNION ALL ".join(
        f"SELECT {k}, s{k - 1}, s{k}, count(*) FROM paths WHERE s{k - 1} > 0 GROUP BY ALL"
        for k in range(1, STEPS)
    )
    return f"WITH paths AS MATERIALIZED ({paths}) {layers}"


def _duckdb_rows(shape: Shape) -> tuple[str, list[str]]:
    """Each row with those after it, and whether step k is in one session with it. All windows have
    one order, so there is one sort; a session's path stands at its first row.
    """
    window = "OVER (PARTITION BY user ORDER BY ts)"
    leads = ", ".join(
        f"lead(ts, {k}) {window} AS t{k}, lead(code, {k}) {window} AS e{k}" for k in range(1, STEPS)
    )
    rows = (
        f"SELECT ts AS t0, code AS e0, lag(ts) {window} AS before, {leads} FROM "
        f"(SELECT user, ts, enum_code(event) + 1 AS code FROM {{events}} WHERE {within(shape)})"
    )
    near = ["true"]
    for k in range(1, STEPS):
        near.append(f"{near[-1]} AND coalesce(t{k} - t{k - 1} <= {GAP_MS}, false)")
    return rows, near


def _polars(shape: Shape, frames: Frames) -> list[Rows]:
    """The most frequent paths, each as one number."""
    import polars as pl

    path = sum((pl.col(f"s{k}") * CODE**k for k in range(1, STEPS)), pl.col("s0"))
    counted = _polars_steps(shape, frames).group_by(path.alias("path")).agg(pl.len().alias("n"))
    return [frames.rows(counted.sort("n", descending=True).head(2 * TOP))]


def _polars_links(shape: Shape, frames: Frames) -> list[Rows]:
    """Each pair of neighbouring columns counted."""
    import polars as pl

    steps = _polars_steps(shape, frames)
    layers = [
        steps.filter(pl.col(f"s{k - 1}") > 0)
        .group_by(pl.col(f"s{k - 1}").alias("a"), pl.col(f"s{k}").alias("b"))
        .agg(pl.len().alias("n"))
        .select(pl.lit(k, pl.Int64).alias("layer"), "a", "b", "n")
        for k in range(1, STEPS)
    ]
    return [frames.rows(pl.concat(layers))]


def _polars_steps(shape: Shape, frames: Frames) -> Any:
    """The steps of each session, 0 after its end: one sort by user and time, then neighbours by
    shifting.
    """
    import polars as pl

    span = 1 << 34
    user = pl.col("user").cast(pl.Int64) * span
    rows = frames.asked(frames.all(), shape).select(
        (user + pl.col("ts") - shape.asked_ms).alias("key"),
        (pl.col("event").to_physical().cast(pl.Int64) + 1).alias("code"),
    )
    # Keys of two users are further apart than any gap, so a user's end is a session's end.
    rows = rows.sort("key")
    going = pl.lit(True)
    steps = [pl.col("code").alias("s0")]
    for k in range(1, STEPS):
        near = (pl.col("key").shift(-k) - pl.col("key").shift(1 - k) <= GAP_MS).fill_null(False)
        going = going & near
        steps.append(pl.when(going).then(pl.col("code").shift(-k)).otherwise(0).alias(f"s{k}"))
    begins = (pl.col("key") - pl.col("key").shift(1) > GAP_MS).fill_null(True)
    return rows.select(*steps, begins.alias("begins")).filter("begins")
