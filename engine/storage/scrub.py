"""Scrub: reads every byte of a segment that carries meaning and says what is wrong with it.

Checks, beyond the checksums that every read makes: users ascend, times ascend within a user,
presence agrees with the number of values, the interleave holds each run's number of rows, the day
index agrees with the rows. Reads one run and one property at a time. No state.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.errors import Corruption
from zuji.engine.storage._rows import expand_users
from zuji.engine.storage.days import days_from_rows
from zuji.engine.storage.merge import behaviour_in_order, keys_in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zuji.engine.storage.days import Days
    from zuji.engine.storage.segment import Segment, SegmentRun
    from zuji.engine.types import U32

_LAST_TIE = 65_535


def scrub(segment: Segment) -> Iterator[Corruption]:
    """What is wrong with a segment, one finding a structure; nothing when all is well."""
    for run in segment.runs.values():
        yield from _found(segment, partial(_check_keys, segment, run))
        for name in run.props:
            yield from _found(segment, partial(run.column, name))
        yield from _found(segment, run.received)
    for name in [prop.name for prop in segment.footer.props]:
        yield from _found(segment, partial(_check_strings, segment, name))
    yield from _found(segment, partial(_check_order, segment))


def _found(segment: Segment, check: Callable[[], object]) -> Iterator[Corruption]:
    try:
        check()
    except Corruption as problem:
        yield problem
    except ValueError as problem:
        yield Corruption(str(problem), segment.path)


def _check_keys(segment: Segment, run: SegmentRun) -> None:
    users, offsets = run.users()
    times, ties = run.times().astype(np.int64), run.ties()
    if len(users) > 1 and (np.diff(users.astype(np.int64)) <= 0).any():
        raise segment.file.damage(f"users of {run.event!r} do not ascend", run.meta.user_list)
    if (np.diff(offsets.astype(np.int64)) <= 0).any():
        raise segment.file.damage(f"a user of {run.event!r} has no row", run.meta.offsets)
    steps = np.diff(times)
    inside = np.ones(len(steps), np.bool_)
    inside[offsets[1:-1].astype(np.int64) - 1] = False
    if (steps[inside] < 0).any():
        raise segment.file.damage(f"times of {run.event!r} do not ascend", run.meta.times)
    # Ranks end at 65,535: from there on rows of an instant share it.
    wrong = None if ties is None else (ties[1:] <= ties[:-1]) & (ties[1:] < _LAST_TIE)
    if wrong is not None and wrong[inside & (steps == 0)].any():
        raise segment.file.damage(f"ties of {run.event!r} do not ascend", run.meta.ties)
    low, high = int(times.min()) + run.base_ms, int(times.max()) + run.base_ms
    if (low, high) != (run.min_ms, run.max_ms):
        raise segment.file.damage(
            f"times of {run.event!r} are not those of its footer", run.meta.times
        )
    if run.meta.days >= 0:
        ordinal = np.empty(run.rows, np.uint32)
        expand_users(users, offsets, ordinal)
        _check_days(segment, run.index, ordinal, run.times())


def _check_order(segment: Segment) -> None:
    ordinal, time = keys_in_order(segment)
    keys = ordinal.astype(np.uint64) << np.uint64(32) | time
    if (keys[1:] < keys[:-1]).any():
        raise segment.file.damage("the interleave is out of order", segment.footer.interleave)
    footer = segment.footer
    if footer.days >= 0:
        _check_days(segment, segment.file.stored_days(footer.days), ordinal, time)
    if footer.any_days >= 0:
        shown = behaviour_in_order(segment)
        if footer.any_days != footer.days:
            _check_days(segment, segment.index, *shown)
        if footer.any_all >= 0:
            _check_days(segment, segment.everybody, *shown)


def _check_days(segment: Segment, stored: Days | None, ordinal: U32, time: U32) -> None:
    assert stored is not None
    made = days_from_rows(ordinal, time, segment.base_ms, stored.edges)
    wrong = (stored.rows != made.rows).any() or (stored.cards != made.cards).any()
    for day in np.flatnonzero(made.rows).tolist():
        wrong = (
            wrong or stored.users(day) != made.users(day) or stored.multi(day) != made.multi(day)
        )
    if wrong:
        raise segment.file.damage(
            "the day index does not agree with the rows", segment.footer.day_table
        )


def _check_strings(segment: Segment, name: str) -> None:
    strings = segment.dictionary(name)
    if strings is None:
        return
    try:
        texts = strings.to_list()
    except UnicodeDecodeError as error:
        raise Corruption(f"a string of {name!r} is not UTF-8", segment.path) from error
    encoded = [text.encode() for text in texts]
    if any(a >= b for a, b in pairwise(encoded)):
        raise Corruption(f"strings of {name!r} are not in order", segment.path)
