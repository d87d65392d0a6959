"""Slow twins of the stream kernels."""

from __future__ import annotations

from tests.differential.lanes_strategy import rows_of


def sessions(lanes, gap_ms):
    """Session number per row, by walking each user's rows in order."""
    out = [[None] * lane.rows for lane in lanes]
    number = -1
    for rows in rows_of(lanes).values():
        before = None
        for row in rows:
            if before is None or row.time - before.time > gap_ms:
                number += 1
            out[row.lane][row.row] = number
            before = row
    return out


def asof(history, lane):
    """Last history row at or before each row, by looking at all of them."""
    out = [-1] * lane.rows
    for user, rows in rows_of([lane]).items():
        for row in rows:
            for i, (owner, time) in enumerate(history):
                if owner == user and time <= row.time:
                    out[row.row] = i
    return out
