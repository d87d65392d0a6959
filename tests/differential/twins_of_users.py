"""Naive twins of the kernels of what each user did: row by row, as the definition says."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from tests.differential.lanes_strategy import is_allowed, rows_of
from tests.differential.twins_funnel import mask_of


def _rows(lanes, from_ms, to_ms, allowed):
    for user, rows in rows_of(lanes).items():
        if is_allowed(allowed, user):
            for row in rows:
                if row.passes and from_ms <= row.time < to_ms:
                    yield user, row


def counts_of(lanes, from_ms, to_ms, users, allowed):
    """Rows by ordinal."""
    found = np.zeros(users, np.uint32)
    for user, _ in _rows(lanes, from_ms, to_ms, allowed):
        if user < users:
            found[user] += 1
    return found


def values_of(lanes, from_ms, to_ms, op, values, masks, allowed):
    """User → (number of values, their exact aggregate)."""
    found: dict[int, list[Fraction]] = {}
    for user, row in _rows(lanes, from_ms, to_ms, allowed):
        own, present = values[row.lane], masks[row.lane]
        if own is None or (present is not None and not present[row.row]):
            continue
        found.setdefault(user, []).append(Fraction(float(own[row.row])))
    made = {
        "sum": sum,
        "avg": lambda x: sum(x) / len(x),
        "min": min,
        "max": max,
    }[op]
    return {user: (len(own), float(made(own))) for user, own in found.items()}


def completed(lanes, step_masks, k, window_ms, from_ms, to_ms, allowed):
    """Users with rows of steps 1..k in order, the last at most window_ms after the first."""
    done = set()
    for user, rows in rows_of(lanes).items():
        if not is_allowed(allowed, user):
            continue
        ordered = sorted((row for row in rows if row.passes), key=lambda row: row.key)
        if any(
            from_ms <= row.time < to_ms
            and mask_of(step_masks, row) & 1
            and _goes_on(ordered[at + 1 :], step_masks, 1, k, row.time + window_ms)
            for at, row in enumerate(ordered)
        ):
            done.add(user)
    return done


def _goes_on(rows, step_masks, step, k, until):
    """Whether steps from ``step`` on follow in order up to an instant: each as early as it can."""
    for at, row in enumerate(rows):
        if step == k:
            return True
        if row.time <= until and mask_of(step_masks, row) >> step & 1:
            return _goes_on(rows[at + 1 :], step_masks, step + 1, k, until)
    return step == k
