"""Event analysis: measures of events per local bucket and group. Semantics: docs/query.md, "Event".

Without breakdown and filter the day index answers count and users (:mod:`event_index`), everything
else is counted from rows (:mod:`event_rows`). Formulas, totals and the tidy rows are made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.query import ranges
from zuji.engine.query.analyses import event_index, event_values
from zuji.engine.query.analyses.event_query import EventPick, EventQuery, formulas
from zuji.engine.query.analyses.event_rows import RowWork
from zuji.engine.query.analyses.event_values import Line
from zuji.engine.query.answer import Answer, Model, bucket_type, by_columns
from zuji.engine.query.breakdown import Breakdown, Chosen, line_values, one_line
from zuji.engine.query.formula import evaluate as evaluate_formula
from zuji.engine.query.plan import Scan, planned
from zuji.engine.query.properties_used import columns_of
from zuji.engine.query.result import ColumnInfo
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.query.analyses.event_query import Series
    from zuji.engine.query.bind import Bound
    from zuji.engine.types import U32


def scans(bound: Bound) -> list[Scan]:
    """One scan a series."""
    query = bound.query
    assert isinstance(query, EventQuery)
    by = Breakdown(bound)
    found = []
    for series in query.body.series:
        where = bound.where(series.where)
        found.append(
            planned(
                Scan(
                    series.as_ or "",
                    series.names,
                    bound.range.from_ms,
                    bound.range.to_ms,
                    where,
                    columns_of(where, series.measure.p, *by.columns),
                    index_wanted=event_index.fits(bound, series),
                ),
                bound.view,
            )
        )
    return found


def answer(bound: Bound) -> Answer:
    """Rows: series, bucket, by…, value."""
    query = bound.query
    assert isinstance(query, EventQuery)
    buckets = ranges.buckets(bound.range)
    lines = event_index.lines(bound, query.body.series, buckets.edges)
    bound.context.used_index |= any(line is not None for line in lines)
    rest = [i for i, line in enumerate(lines) if line is None]
    breakdown, chosen = Breakdown(bound), one_line()
    if rest:
        wanted = [query.body.series[i] for i in rest]
        work = RowWork(bound, wanted, breakdown, buckets.edges)
        chosen = work.choose()
        for i, line in zip(rest, work.lines(chosen), strict=True):
            lines[i] = line
    done = [line for line in lines if line is not None]
    return _answer(bound, query, done, breakdown, chosen, buckets.labels)


def users(bound: Bound, pick: EventPick) -> list[U32]:
    """Ordinals with a row of the picked series, bucket and group."""
    query = bound.query
    assert isinstance(query, EventQuery)
    buckets = ranges.buckets(bound.range)
    names = [s.as_ for s in query.body.series]
    number = names.index(pick.series) if pick.series in names else 0
    bucket = -1 if pick.bucket is None else event_values.label_number(buckets.labels, pick.bucket)
    breakdown = Breakdown(bound)
    work = RowWork(bound, list(query.body.series), breakdown, buckets.edges)
    if not query.by:
        line, chosen = -1, one_line()
    else:
        chosen = work.choose()
        line = event_values.picked_line(bound, breakdown.groups, chosen, pick)
    return work.pick(number, chosen, line, bucket)


def _answer(
    bound: Bound,
    query: EventQuery,
    lines: list[Line],
    by: Breakdown,
    chosen: Chosen,
    labels: list[str],
) -> Answer:
    """Rows of series and formulas, and their totals."""
    body = query.body
    names = [s.as_ or "" for s in body.series]
    whole = [_is_whole(bound, s) for s in body.series]
    table = list(lines)
    for tree, formula in zip(formulas(body), body.formula, strict=True):
        table.append(
            Line(
                evaluate_formula(tree, [line.values for line in lines]),
                evaluate_formula(tree, [line.totals for line in lines]),
                float(evaluate_formula(tree, [np.array([line.overall]) for line in lines])[0]),
            )
        )
        names.append(formula.as_ or formula.expr)
        whole.append(False)
    columns = [
        ColumnInfo("series", "string", None),
        ColumnInfo("bucket", bucket_type(bound), None),
        *by_columns(bound),
        ColumnInfo("value", "float64", None),
    ]
    bound.context.charge(120 * len(table) * chosen.lines * len(labels))
    rows: list[list[Any]] = []
    totals: list[list[Any]] = []
    heads = []
    for g in range(chosen.lines):
        bound.context.check()
        heads.append(line_values(bound, by.groups, chosen, g))
    for name, line, is_whole in zip(names, table, whole, strict=True):
        for g, head in enumerate(heads):
            bound.context.check()
            cells = event_values.plain(line.values[g], is_whole)
            rows += [[name, label, *head, cell] for label, cell in zip(labels, cells, strict=True)]
            totals.append([name, *head, event_values.plain(line.totals[g : g + 1], is_whole)[0]])
    overall = [
        [name, event_values.plain(np.array([line.overall]), is_whole)[0]]
        for name, line, is_whole in zip(names, table, whole, strict=True)
    ]
    return Answer(
        columns,
        rows,
        {
            "kind": "deduplicated",
            "columns": ["series", *[c.name for c in by_columns(bound)], "value"],
            "rows": totals,
            "overall": overall,
        },
    )


def _is_whole(bound: Bound, series: Series) -> bool:
    """Whether values are whole numbers."""
    if series.moving_average is not None:
        return False
    op, p = series.measure.op, series.measure.p
    if op in ("count", "users", "sessions", "distinct"):
        return True
    from zuji.engine.query.bind import kind_of

    kind = None if p is None else kind_of(bound.view.catalog, p)
    return op in ("sum", "min", "max") and kind in (Kind.INT, Kind.BOOL, Kind.DATETIME)


MODEL = Model(EventQuery, EventPick, scans, answer, users)
