"""Answering a query: parse → bind → the analysis of its model → Result; comparisons run the
analysis again, shifted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery
from zuji.engine.query import parse
from zuji.engine.query.analyses import ANALYSES
from zuji.engine.query.answer import Answer
from zuji.engine.query.bind import Bound, bind, other_side
from zuji.engine.query.crowd import audience_scans
from zuji.engine.query.model import Envelope
from zuji.engine.query.plan import explained
from zuji.engine.query.result import ColumnInfo, Result
from zuji.engine.query.virtual.expand import expanded
from zuji.engine.query.words import LANGUAGES, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.query.context import Context
    from zuji.engine.query.scope import Scope
    from zuji.engine.query.view import View
    from zuji.engine.types import U32

SMALL_ROWS = 100_000
"""A project with fewer rows is read on one thread: handing over costs more than it gives."""


def _parsed(query: Any) -> Envelope:
    return query if isinstance(query, Envelope) else parse.parse(query)


def execute(view: View, query: Any, scope: Scope | None, context: Context) -> Result:
    """Answers a query on a view.

    Raises:
        InvalidQuery, QueryCancelled, QueryBudgetExceeded, Corruption.
    """
    context.small = view.rows < SMALL_ROWS
    typed = _named(_parsed(query), view)
    bound = bind(expanded(typed, view.definitions), view, context, scope)
    analysis = ANALYSES[typed.model]
    answer: Answer = analysis.answer(bound)
    if typed.compare is not None:
        other = other_side(bound)
        assert other is not None
        answer = _compared(answer, analysis.answer(other), typed.compare.side)
    return Result(
        columns=answer.columns,
        rows=answer.rows,
        totals=answer.totals,
        meta=_meta(bound, answer),
        query=_echo(typed, bound),
    )


def users_of(
    view: View, query: Any, pick: Mapping[str, Any], scope: Scope | None, context: Context
) -> Result:
    """The users behind a cell: ``user_id``, ``device_id``, sorted by id."""
    typed, chosen, bound = _picked(view, query, pick, scope, context)
    by_shard = ANALYSES[typed.model].users(bound, chosen)
    total = sum(len(ordinals) for ordinals in by_shard)
    context.charge(200 * total)
    rows = [
        [user, device]
        for shard, ordinals in enumerate(by_shard)
        for user, device in view.names(shard, ordinals)
    ]
    rows.sort(key=lambda row: (row[0] is None, row[0] or "", row[1] or ""))
    columns = [ColumnInfo("user_id", "string", None), ColumnInfo("device_id", "string", None)]
    meta = {"total": total, "elapsed_ms": context.elapsed_ms, "warnings": context.warnings}
    query_echo = {"query": _echo(typed, bound), "pick": parse.echo(chosen)}
    return Result(columns=columns, rows=rows, totals={"users": total}, meta=meta, query=query_echo)


def ordinals_of(
    view: View, query: Any, pick: Mapping[str, Any], scope: Scope | None, context: Context
) -> list[U32]:
    """The ordinals behind a cell, one array a shard."""
    typed, chosen, bound = _picked(view, query, pick, scope, context)
    by_shard: list[U32] = ANALYSES[typed.model].users(bound, chosen)
    return by_shard


def _picked(
    view: View, query: Any, pick: Mapping[str, Any], scope: Scope | None, context: Context
) -> tuple[Envelope, Any, Bound]:
    context.small = view.rows < SMALL_ROWS
    typed = _named(_parsed(query), view)
    chosen = parse.parse_pick(dict(pick), typed)
    bound = bind(expanded(typed, view.definitions), view, context, scope)
    if chosen.range != "current":
        other = other_side(bound)
        if other is None:
            raise InvalidQuery("the query compares with nothing", "$.pick.range")
        bound = other
    return typed, chosen, bound


def explain_query(view: View, query: Any, scope: Scope | None, context: Context) -> dict[str, Any]:
    """What would be read and what is ruled out, without reading rows."""
    typed = _named(_parsed(query), view)
    bound = bind(expanded(typed, view.definitions), view, context, scope)
    scans = list(ANALYSES[typed.model].scans(bound))
    scans += audience_scans(bound)
    return {
        "query": _echo(typed, bound),
        "sentence": {one: sentence(typed, one, bound.range.tz) for one in LANGUAGES},
        "range": _range(bound),
        "scans": [explained(scan) for scan in scans],
        "warnings": context.warnings,
    }


def _named(query: Envelope, view: View) -> Envelope:
    if query.project not in ("default", view.project):
        raise InvalidQuery(f"this is project {view.project!r}, not {query.project!r}", "$.project")
    return msgspec.structs.replace(query, project=view.project)


def _compared(now: Answer, other: Answer, side: str) -> Answer:
    """Rows of both sides, told apart by the first column."""
    columns = [ColumnInfo("range", "string", None), *now.columns]
    rows = [["current", *row] for row in now.rows] + [[side, *row] for row in other.rows]
    return Answer(columns, rows, {**now.totals, side: other.totals}, now.total_kind)


def _echo(query: Envelope, bound: Bound) -> dict[str, Any]:
    echoed = parse.echo(query)
    echoed["time"]["tz"] = bound.range.tz
    return echoed


def _range(bound: Bound) -> dict[str, str]:
    r = bound.range
    return {
        "from": calendars.format_instant(r.from_ms, r.tz),
        "to": calendars.format_instant(r.to_ms, r.tz),
    }


def _meta(bound: Bound, answer: Answer) -> dict[str, Any]:
    context, view = bound.context, bound.view
    mark = view.watermark_ms
    stamp = None if mark is None else calendars.format_instant(mark, bound.range.tz)
    return {
        "range": _range(bound),
        "complete_until": stamp,
        "watermark": stamp,
        "rows_read": context.rows_read,
        "bytes_read": context.bytes_read,
        "elapsed_ms": context.elapsed_ms,
        "truncated": False,
        "total_kind": answer.total_kind,
        "index": context.used_index,
        "warnings": list(context.warnings),
    }
