"""Attribution: three touches before a conversion, seven days back, credit to the last and in equal
parts.

Rows of one user in one millisecond stand in the order sent in Zuji and in none in the peers, which
do not store it: a credit may differ by a conversion or two.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench.questions.question import Cells, Question, Rows, envelope, listed, within
from bench.shape import DAY_MS, event_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.polars_side import Frames
    from bench.shape import Shape

TARGET = event_name(5)
TOUCHES = (event_name(3), event_name(4), event_name(6))
LOOKBACK_MS = 7 * DAY_MS
TIES = 3
CODE = 4
"""A touch's place in the list in the last digit of a number that sorts by time."""
COLUMNS = ("in_paths", "conversions", "last", "linear")


def touches(shape: Shape) -> Question:
    """Paths, conversions, last and linear credit of each touch."""

    def zuji_cells(answers: Sequence[Sequence[dict[str, Any]]]) -> Cells:
        cells: Cells = {}
        for r in answers[0]:
            name = r["touch"] or "direct"
            cells[f"cell {name} conversions"] = int(r["conversions"])
            if not r["is_direct"]:
                cells[f"cell {name} in_paths"] = int(r["in_paths"])
                cells[f"cell {name} last"] = round(r["credit(last)"])
                cells[f"cell {name} linear"] = round(r["credit(linear)"])
        return cells

    def peer_cells(answers: Sequence[Sequence[Sequence[Any]]]) -> Cells:
        row = list(answers[0][0])
        cells = {"cell direct conversions": int(row.pop())}
        for i, name in enumerate(TOUCHES):
            for j, column in enumerate(COLUMNS):
                cells[f"cell {name} {column}"] = round(float(row[i * len(COLUMNS) + j]))
        return cells

    body = {
        "target": {"e": TARGET},
        "touches": [{"e": name} for name in TOUCHES],
        "lookback": {"n": 7, "unit": "day"},
        "models": ["last", "linear"],
    }
    return Question(
        name="attribution",
        title="attribution, 3 touches, 7 days back, last and linear",
        goal_ms=150.0,
        goal_ratio=10.0,
        queries=(envelope(shape, "attribution", body),),
        clickhouse=tuple(
            (sql,) for sql in (_frames(shape, "countIf", "maxIf"), _running(shape, True))
        ),
        duckdb=tuple((sql,) for sql in (_frames(shape), _running(shape, False))),
        polars=(partial(_polars, shape),),
        zuji_cells=zuji_cells,
        peer_cells=peer_cells,
        tolerance=TIES,
    )


def _sums(numbers: str, count: str = "") -> str:
    """The answer's columns of rows that have c0, c1, c2, and ``last`` (a touch's place) of each
    conversion. ``count``: conversions that a row stands for.
    """
    times = f" * {count}" if count else ""
    n = f"({' + '.join(f'c{i}' for i in range(len(TOUCHES)))})"
    parts = []
    for i in range(len(TOUCHES)):
        parts += [
            f"sum(c{i}{times})",
            f"sum(CASE WHEN c{i} > 0 THEN 1 ELSE 0 END{times})",
            f"sum(CASE WHEN {n} > 0 AND last = {i} THEN 1 ELSE 0 END{times})",
            f"sum(CASE WHEN {n} > 0 THEN c{i} * 1.0 / {n} ELSE 0 END{times})",
        ]
    parts.append(f"sum(CASE WHEN {n} = 0 THEN 1 ELSE 0 END{times})")
    return f"SELECT {', '.join(parts)} FROM ({numbers})"


def _frames(shape: Shape, count: str = "", most: str = "") -> str:
    """Counts over a frame of seven days before each row."""
    code = " ".join(f"WHEN event = '{name}' THEN {i}" for i, name in enumerate(TOUCHES))
    key = f"ts * {CODE} + CASE {code} ELSE 3 END"
    if count:
        counts = [f"{count}(event = '{name}') OVER w AS c{i}" for i, name in enumerate(TOUCHES)]
        newest = f"{most}({key}, event <> '{TARGET}') OVER w"
    else:
        counts = [
            f"count(*) FILTER (event = '{name}') OVER w AS c{i}" for i, name in enumerate(TOUCHES)
        ]
        newest = f"max({key}) FILTER (event <> '{TARGET}') OVER w"
    rows = (
        f"SELECT event, {', '.join(counts)}, {newest} % {CODE} AS last FROM {{events}} "
        f"WHERE event IN ({listed((TARGET, *TOUCHES))}) AND {within(shape)} "
        f"WINDOW w AS (PARTITION BY user ORDER BY ts "
        f"RANGE BETWEEN {LOOKBACK_MS} PRECEDING AND CURRENT ROW)"
    )
    return _sums(f"SELECT * FROM ({rows}) AS framed WHERE event = '{TARGET}'")


def _running(shape: Shape, clickhouse: bool) -> str:
    """Running counts at each conversion less those at a mark seven days before it."""
    mine = f"{{events}} WHERE event IN ({listed(TOUCHES)}) AND {within(shape)}"
    asked = f"{{events}} WHERE event = '{TARGET}' AND {within(shape)}"
    code = " ".join(f"WHEN event = '{name}' THEN {i}" for i, name in enumerate(TOUCHES))
    wide = "toInt64" if clickhouse else ""
    rows = (
        f"SELECT user, {wide}(ts * 4 + 1) AS place, {wide}(CASE {code} ELSE 3 END) AS code, "
        f"{wide}(0) AS t FROM {mine} UNION ALL "
        f"SELECT user, {wide}((ts - {LOOKBACK_MS}) * 4), {wide}(3), {wide}(ts) FROM {asked} "
        f"UNION ALL SELECT user, {wide}(ts * 4 + 2), {wide}(4), {wide}(ts) FROM {asked}"
    )
    counts = ", ".join(
        f"sum(CASE WHEN code = {i} THEN 1 ELSE 0 END) OVER w AS s{i}" for i in range(len(TOUCHES))
    )
    newest = f"max(CASE WHEN code < 3 THEN place * {CODE} + code ELSE 0 END) OVER w"
    run = (
        f"SELECT user, code, t, {counts}, {newest} % {CODE} AS newest FROM ({rows}) AS placed "
        f"WINDOW w AS (PARTITION BY user ORDER BY place ROWS UNBOUNDED PRECEDING)"
    )
    at = "max(CASE WHEN code = {} THEN s{} ELSE 0 END)"
    each = ", ".join(f"{at.format(4, i)} - {at.format(3, i)} AS c{i}" for i in range(len(TOUCHES)))
    paired = (
        f"SELECT {each}, max(CASE WHEN code = 4 THEN newest ELSE 0 END) AS last, "
        f"sum(CASE WHEN code = 4 THEN 1 ELSE 0 END) AS times FROM ({run}) AS ran "
        f"WHERE code >= 3 GROUP BY user, t"
    )
    return _sums(paired, "times")


def _polars(shape: Shape, frames: Frames) -> list[Rows]:
    """One sort of touches, conversions and marks; counts between a mark and its conversion are
    those of one user, so running counts need not begin anew with each.
    """
    import polars as pl

    def placed(event: str, code: int, place: pl.Expr) -> pl.LazyFrame:
        key = pl.col("user").cast(pl.Int64) * (1 << 45) + (place - 4 * shape.start_ms + 2**36)
        rows = frames.asked(frames.events(event), shape)
        return rows.select(key.alias("key"), pl.lit(code, pl.Int8).alias("code"))

    ts = pl.col("ts").cast(pl.Int64)
    parts = [placed(name, i, ts * 4 + 1) for i, name in enumerate(TOUCHES)]
    parts += [placed(TARGET, 3, (ts - LOOKBACK_MS) * 4), placed(TARGET, 4, ts * 4 + 2)]
    newest = pl.when(pl.col("code") < 3).then(pl.col("code")).forward_fill()
    counts = [(pl.col("code") == i).cum_sum().alias(f"s{i}") for i in range(len(TOUCHES))]
    rows = pl.concat(parts).sort("key").with_columns(*counts, newest.alias("last")).collect()
    ends = rows.filter(pl.col("code") == 4)
    marks = rows.filter(pl.col("code") == 3)
    paths = pl.DataFrame(
        [
            (ends[f"s{i}"].cast(pl.Int64) - marks[f"s{i}"].cast(pl.Int64)).alias(f"c{i}")
            for i in range(len(TOUCHES))
        ]
    ).with_columns(ends["last"])
    total = pl.sum_horizontal(f"c{i}" for i in range(len(TOUCHES)))
    sums = []
    for i in range(len(TOUCHES)):
        own = pl.col(f"c{i}")
        sums += [
            own.sum().alias(f"in_paths {i}"),
            (own > 0).sum().alias(f"conversions {i}"),
            ((total > 0) & (pl.col("last") == i)).sum().alias(f"last {i}"),
            (own / total).filter(total > 0).sum().alias(f"linear {i}"),
        ]
    return [frames.rows(paths.lazy().select(*sums, (total == 0).sum().alias("direct")))]
