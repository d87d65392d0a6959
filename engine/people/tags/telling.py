"""Values of tags as JSON values: of one user, and how many users have each."""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine import calendars
from zuji.engine.query.combinations import sort_key
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.types import Column


def told_value(value: Any, kind: Kind, tz: str) -> Any:
    """A JSON value of what a column holds; None stays None."""
    if value is None:
        return None
    if kind == Kind.BOOL:
        return bool(value)
    return calendars.format_instant(value, tz) if kind == Kind.DATETIME else value


def value_of(column: Column | None, ordinal: int, tz: str) -> Any:
    """One user's value as a JSON value; None: none."""
    if column is None or ordinal >= column.rows:
        return None
    if column.present is not None and not column.present[ordinal]:
        return None
    value = column.values[ordinal].item()
    if column.kind == Kind.STRING:
        assert column.dictionary is not None
        return column.dictionary[value]
    return told_value(value, column.kind, tz)


def counted(
    columns: Sequence[Column | None], kind: Kind, tz: str, limit: int
) -> tuple[list[list[Any]], int]:
    """``[value, users]`` of the most frequent values, and how many users have any."""
    counts: Counter[Any] = Counter()
    for column in columns:
        if column is None:
            continue
        values = column.values if column.present is None else column.values[column.present == 1]
        if column.kind == Kind.STRING:
            numbers = np.bincount(values, minlength=1)
            found = np.flatnonzero(numbers)
            assert column.dictionary is not None
            keys: list[Any] = [column.dictionary[code] for code in found.tolist()]
            numbers = numbers[found]
        else:
            unique, numbers = np.unique(values, return_counts=True)
            keys = unique.tolist()
        for key, number in zip(keys, numbers.tolist(), strict=True):
            counts[key] += number
    best = nsmallest(limit, counts.items(), key=lambda item: (-item[1], sort_key([item[0]])))
    return [[told_value(value, kind, tz), number] for value, number in best], counts.total()
