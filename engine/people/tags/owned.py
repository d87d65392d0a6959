"""Values of tags as whose they are by now: devices that turned out to be a customer's, the erased.

Files keep the ordinals of when they were written. Functions only: thread-safe.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.types import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.query.view import View


def moved(view: View) -> bool:
    """Whether somebody is no user any more."""
    return any(len(view.nobody(shard)) for shard in range(view.shards))


def owned(view: View, shard: int, column: Callable[[int], Column | None]) -> Column | None:
    """The column of a shard with nothing for who is no user any more, and with the values of those
    who are somebody of this shard by now, for owners who have none of their own. ``column`` gives
    that of a shard as it was made. O(users) when somebody moved.
    """
    own = column(shard)
    if not moved(view):
        return own
    found = _blank(own, view.nobody(shard))
    for other in range(view.shards):
        gone = view.nobody(other)
        there = own if other == shard else column(other) if len(gone) else None
        if there is None or not len(gone):
            continue
        if there.present is not None:
            gone = gone[there.present[gone] == 1]
        shards, ordinals = view.owners(other, gone)
        mine = (shards == shard) & ((ordinals != gone) | (shards != other))
        if mine.any():
            found = _given(found, view.users[shard], ordinals[mine], there, gone[mine])
    return found


def _blank(column: Column | None, gone: Any) -> Column | None:
    """The column without the values of some ordinals."""
    if column is None or not len(gone):
        return column
    has = np.ones(column.rows, np.uint8) if column.present is None else column.present.copy()
    if not has[gone].any():
        return column
    has[gone] = 0
    if not has.any():
        return None
    values: Any = column.values.copy()
    values[gone] = 0
    slices = column.slices
    if slices is not None:
        codes = slices.codes.copy()
        codes[gone] = 0
        slices = replace(slices, codes=codes)
    return Column(column.kind, values, has, column.dictionary, slices=slices)


def _given(own: Column | None, users: int, to: Any, there: Column, source: Any) -> Column:
    """Values of ``there`` at ``source`` for those of ``to`` who have none."""
    kind = there.kind
    if own is None:
        present: Any = np.zeros(users, np.uint8)
        texts: list[str] = []
        values: Any = np.zeros(users, np.uint32 if kind == Kind.STRING else there.values.dtype)
    else:
        mine = own.present
        present = np.ones(users, np.uint8) if mine is None else mine.copy()
        texts = list(own.dictionary or ())
        values = own.values.astype(np.uint32) if kind == Kind.STRING else own.values.copy()
    free = present[to] == 0
    to, source = to[free], source[free]
    found = there.values[source]
    if kind == Kind.STRING:
        code = {text: i for i, text in enumerate(texts)}
        for text in there.dictionary or ():
            code.setdefault(text, len(code))
        table = np.array([code[text] for text in there.dictionary or ()] or [0], np.uint32)
        texts, found = list(code), table[found]
    values[to], present[to] = found, 1
    slices = there.slices
    if slices is not None:
        # Those of one file: all shards are cut at the same numbers.
        codes = np.zeros(users, slices.codes.dtype)
        if own is not None and own.slices is not None:
            codes[:] = own.slices.codes
        codes[to] = slices.codes[source]
        slices = replace(slices, codes=codes)
    has = None if present.all() else present
    return Column(kind, values, has, texts or None, slices=slices)
