"""Slow twin of the interval kernel: the rows of a user and a held value one after the other."""

from __future__ import annotations

from itertools import groupby

from tests.differential.lanes_strategy import is_allowed, rows_of
from tests.differential.twins_events import bucket_of

START, END = 1, 2


def interval_pairs(
    lanes,
    roles,
    edges,
    *,
    nearest="start",
    strict=False,
    cap_ms=None,
    first_ms=None,
    start_keys=None,
    end_keys=None,
    allowed=None,
):
    """``[(user, bucket, gap, (start lane, row), (end lane, row))]``, sorted."""
    found = []
    first = int(edges[0]) if first_ms is None else first_ms
    for user, rows in rows_of(lanes).items():
        if not is_allowed(allowed, user):
            continue
        events = []
        for row in rows:
            role = roles[row.lane] if isinstance(roles[row.lane], int) else roles[row.lane][row.row]
            if not row.passes or row.time < first:
                continue
            if role & END:
                events.append((row, "end", _key(end_keys, row)))
            if role & START:
                events.append((row, "start", _key(start_keys, row)))
        if strict:
            events = [
                event
                for _, instant in groupby(events, key=lambda e: e[0].time)
                for event in sorted(instant, key=lambda e: e[1])
            ]
        for key in {key for _, _, key in events if key is not None}:
            own = [(row, role) for row, role, other in events if other == key]
            for start, end in _paired(own, nearest, cap_ms):
                bucket = bucket_of(edges, start.time)
                if bucket >= 0:
                    ends = (start.lane, start.row), (end.lane, end.row)
                    found.append((user, bucket, end.time - start.time, *ends))
    return sorted(found)


def _key(keys, row):
    """Held value of a row, 0 when nothing is held, None when it has none."""
    if keys is None:
        return 0
    if keys[row.lane] is None or keys[row.lane][row.row] == 0xFFFFFFFF:
        return None
    return int(keys[row.lane][row.row])


def _paired(events, nearest, cap_ms):
    pairs = []
    waiting = None
    for row, role in events:
        if waiting is not None and cap_ms is not None and row.time - waiting.time > cap_ms:
            waiting = None
        if role == "end":
            if waiting is not None:
                pairs.append((waiting, row))
            waiting = None
        elif waiting is None or nearest == "end":
            waiting = row
    return pairs
