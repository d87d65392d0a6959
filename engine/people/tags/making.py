"""Making the values of a tag for a day: each rule's columns, shard by shard.

A rule says a value for some users; the others known by then get the tag's ``else``. A user without
an event or profile by the end of the day has no value. Reads a pinned view, writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine import calendars
from zuji.engine.people.tags.behaviour import aggregated, taken
from zuji.engine.people.tags.moment import Moment
from zuji.engine.people.tags.rules import Aggregate, Derived, Layers, ScoreTag, Taken, tree_of
from zuji.engine.query.analyses.scoring import SCORES
from zuji.engine.query.bind import Bound
from zuji.engine.query.crowd import members
from zuji.engine.query.model import Time
from zuji.engine.query.ranges import resolve_range
from zuji.engine.query.virtual.evaluate import evaluated
from zuji.engine.query.virtual.expand import expanded
from zuji.engine.storage.frame import DTYPES
from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from zuji.engine.people.tags.rules import AnyRule, Definition
    from zuji.engine.query.context import Context
    from zuji.engine.query.view import View
    from zuji.engine.types import U8


def made(
    definition: Definition, kind: Kind, view: View, context: Context, day: date
) -> list[Column | None]:
    """The column of each shard.

    Raises:
        InvalidQuery: the rule does not fit the project any more. QueryCancelled,
        QueryBudgetExceeded, Corruption.
    """
    moment = Moment(view, context, day)
    rule: AnyRule = expanded(definition.rule, view.definitions)
    one = _maker(rule, kind, moment)

    def work(shard: int) -> Column | None:
        column = one(shard)
        whole = isinstance(rule, Layers | Derived)
        if definition.else_ is None and (column is None or not whole):
            return column
        return _among_known(column, kind, definition.else_, moment.known(shard))

    return context.map(work, list(range(view.shards)))


def _maker(rule: AnyRule, kind: Kind, moment: Moment) -> Callable[[int], Column | None]:
    if isinstance(rule, Layers):
        layers = rule
        bound = moment.bound(rule.days)
        return lambda shard: _layered(layers, kind, bound, moment, shard)
    if isinstance(rule, Taken):
        return lambda shard: taken(rule, kind, moment, shard)
    if isinstance(rule, Aggregate):
        return lambda shard: aggregated(rule, kind, moment, shard)
    if isinstance(rule, ScoreTag):
        cells = SCORES.of_users(_score_question(rule, moment))
        own = rule
        return lambda shard: _of_cells(own, *cells[shard], moment.view.users[shard])
    assert isinstance(rule, Derived)
    return lambda shard: _derived(rule, kind, moment, shard)


def _layered(rule: Layers, kind: Kind, bound: Bound, moment: Moment, shard: int) -> Column | None:
    """The first layer that each user is in."""
    reader = moment.reader(shard)
    moment.context.charge(2 * reader.users)
    values = list(dict.fromkeys(layer.v for layer in rule.layers))
    at = np.zeros(reader.users, np.uint8)  # 1 + number of the value
    for layer in rule.layers:
        moment.context.check()
        mask = members(layer.if_, bound, reader)
        assert mask is not None
        at += (mask & (at == 0)) * np.uint8(values.index(layer.v) + 1)
    has = (at != 0).view(np.uint8)
    if not has.any():
        return None
    present = None if has.all() else has
    if kind == Kind.STRING:
        return Column(kind, at - has, present, [str(value) for value in values])
    table = np.array([0, *values], DTYPES[kind])
    return Column(kind, table[at], present)


def _derived(rule: Derived, kind: Kind, moment: Moment, shard: int) -> Column | None:
    reader = moment.reader(shard)
    moment.context.charge(20 * reader.users)
    return evaluated(
        tree_of(rule),
        reader.users,
        lambda p: reader.profile(p.partition(".")[2]),
        kind,
        moment.view.tz,
    )


# ------------------------------------------------------------------------------------------ scores


def _score_question(rule: ScoreTag, moment: Moment) -> Bound:
    first = calendars.local_date(moment.begin_ms(rule.days), moment.view.tz)
    time = Time(from_=first.isoformat(), to=moment.day.isoformat(), tz=moment.view.tz)
    query = SCORES.question(
        rule.event,
        rule.monetary,
        time,
        layers=rule.gives == "layer",
        thresholds=rule.thresholds,
        quantiles=rule.quantiles,
    )
    span = resolve_range(time, moment.view.now_ms, moment.view.tz)
    return Bound(query, moment.view, moment.context, span, None, moment.end_ms)


def _of_cells(rule: ScoreTag, who: Any, cells: Any, users: int) -> Column | None:
    if not len(who):
        return None
    has = np.zeros(users, np.uint8)
    has[who] = 1
    present = None if has.all() else has
    if rule.gives == "layer":
        layers: Any = np.zeros(users, np.uint8)
        layers[who] = cells
        return Column(Kind.STRING, layers, present, list(SCORES.layers))
    scores = cells // 36, cells // 6 % 6, cells % 6
    if rule.gives == "scores":
        texts = [f"{r}{f}{m}" for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)]
        codes: Any = np.zeros(users, np.uint8)
        codes[who] = ((scores[0] - 1) * 5 + scores[1] - 1) * 5 + scores[2] - 1
        return Column(Kind.STRING, codes, present, texts)
    values: Any = np.zeros(users, np.int64)
    values[who] = scores[SCORES.letters.index(rule.gives)]
    return Column(Kind.INT, values, present)


# -------------------------------------------------------------------------------------------- else


def _among_known(column: Column | None, kind: Kind, other: Any, known: U8) -> Column | None:
    """The column with ``other`` for those without a value, and nothing for who is not known."""
    users = len(known)
    if column is None:
        if other is None or not known.any():
            return None
        has: U8 = np.zeros(users, np.uint8)
        values: Any = np.zeros(users, np.uint8 if kind == Kind.STRING else DTYPES[kind])
        texts: list[str] = []
    else:
        has = np.ones(users, np.uint8) if column.present is None else column.present
        values = column.values
        texts = list(column.dictionary) if column.dictionary is not None else []
    if other is None:
        has = has & known
        values = values * has
    else:
        rest = known & (has ^ 1)
        has = known
        if kind == Kind.STRING:
            if other not in texts:
                texts.append(other)
            code = texts.index(other)
            if code > np.iinfo(values.dtype).max:
                values = values.astype(np.uint32)
            values = np.where(rest == 1, values.dtype.type(code), values * (known & (rest ^ 1)))
        else:
            given: Any = DTYPES[kind](plain_value(other, kind))
            values = np.where(rest == 1, given, values * (known & (rest ^ 1)))
        values = values.astype(values.dtype)
    if not has.any():
        return None
    present = None if has.all() else np.ascontiguousarray(has, np.uint8)
    return Column(kind, values, present, texts if kind == Kind.STRING else None)


def plain_value(value: Any, kind: Kind) -> Any:
    """A JSON value as a column of the kind holds it; texts stay texts."""
    if kind == Kind.DATETIME and isinstance(value, str):
        return calendars.parse_instant(value)
    return value
