"""Slow twin of the distribution kernel: counted rows of each user and period, then a formula."""

from __future__ import annotations

import math

import numpy as np

from tests.differential.lanes_strategy import is_allowed, rows_of
from tests.differential.twins_events import bucket_of


def user_values(
    lanes, edges, periods, op, *, values=None, value_masks=None, place=None, allowed=None
):
    """``[(user, period, value, lane, row)]``; lane and row are None without a place."""
    found = []
    for user, rows in rows_of(lanes).items():
        if not is_allowed(allowed, user):
            continue
        own = {}
        for row in rows:
            span = bucket_of(edges, row.time)
            if not row.passes or span < 0:
                continue
            if op in ("sum", "avg", "min", "max"):
                if values is None or values[row.lane] is None:
                    continue
                mask = None if value_masks is None else value_masks[row.lane]
                if mask is not None and not mask[row.row]:
                    continue
            own.setdefault(int(periods[span]), []).append((row, span))
        for period in sorted(own):
            counted = own[period]
            numbers = (
                [float(values[row.lane][row.row]) for row, _ in counted]
                if op in ("sum", "avg", "min", "max")
                else []
            )
            value = {
                "rows": lambda c=counted: len(c),
                "spans": lambda c=counted: len({span for _, span in c}),
                "sum": lambda n=numbers: math.fsum(n),
                "avg": lambda n=numbers: math.fsum(n) / len(n),
                "min": lambda n=numbers: min(n),
                "max": lambda n=numbers: max(n),
            }[op]()
            at = None
            if place is not None:
                at = counted[0 if place == "first" else -1][0]
            found.append(
                (user, period, float(value), *((None, None) if at is None else (at.lane, at.row)))
            )
    return found


def listed(answer):
    """A kernel's answer in the twin's form."""
    places = zip(answer.lane.tolist(), answer.row.tolist(), strict=True)
    known = list(places) or [(None, None)] * len(answer.user)
    return [
        (u, p, v, *at)
        for u, p, v, at in zip(
            answer.user.tolist(),
            answer.period.tolist(),
            np.asarray(answer.value).tolist(),
            known,
            strict=True,
        )
    ]
