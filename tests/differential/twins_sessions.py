"""Slow twins of the session kernels: sort the rows of each user, cut them, look at each record."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise

from zuji.engine.query.kernels._paths import HIDDEN, IGNORED
from zuji.engine.query.kernels._sessions import COUNTS, ENDS, STARTS
from zuji.engine.query.kernels.session import NO_MS
from zuji.engine.query.kernels.walk import Steps


def _rows(sources, users, groups):
    """(time, flags, group) of the rows of each user that are seen, in order."""
    rows = {user: [] for user in range(users)}
    for order, (interleave, lanes, codes, partition) in enumerate(sources):
        taken = [0] * len(lanes)
        for place, run in enumerate(interleave.tolist()):
            lane, row, code = lanes[run], taken[run], codes[run]
            taken[run] += 1
            owner = next(i for i in range(len(lane.users)) if row < lane.offsets[i + 1])
            steps = code if isinstance(code, Steps) else Steps(code)
            if steps.code == IGNORED:
                continue
            mask = lane.mask if steps.mask is None else steps.mask
            if groups is None:
                flags = (
                    0 if steps.code == HIDDEN or (mask is not None and not mask[row]) else COUNTS
                )
            else:
                flags = steps.code if steps.nodes is None else int(steps.nodes[row])
            group = 0 if steps.groups is None else int(steps.groups[row])
            time = lane.base_ms + int(lane.times[row])
            rows[int(lane.users[owner])].append((partition, time, order, place, flags, group))
    return {user: [(r[1], *r[4:]) for r in sorted(own)] for user, own in rows.items()}


def session_records(sources, *, users, rule, groups=None, allowed=None, **_):
    """(start, end, user, depth, number, alone) of each session; beyond; before."""
    found, beyond, before = [], False, False
    for user, rows in _rows(sources, users, groups).items():
        if allowed is not None and not (user < len(allowed) and allowed[user]):
            continue
        pieces = []
        for row in rows:
            if not pieces or row[0] - pieces[-1][-1][0] > rule.gap_ms:
                pieces.append([])
            pieces[-1].append(row)
        for piece in pieces:
            low, high = piece[0][0], piece[-1][0]
            if low >= rule.to_ms or high < max(rule.from_ms, rule.alive_ms):
                continue
            midnights = rule.starts and rule.days is not None and len(rule.days)
            if rule.from_ms <= -NO_MS or midnights:
                before |= low <= rule.since_ms + rule.gap_ms
            for own, last in _cut(piece, rule):
                counted = [r for r in own if r[1] & COUNTS]
                inside = rule.from_ms <= own[0][0] < rule.to_ms
                if not inside or own[-1][0] < rule.alive_ms or not counted:
                    continue
                number = counted[-1 if rule.last else 0][2] if groups is not None else 0
                record = (own[0][0], own[-1][0], user, len(counted), number, len(own) == 1)
                found.append(record)
                beyond |= last and own[-1][0] >= rule.reach_ms - rule.gap_ms
    return found, bool(beyond), bool(before)


def _cut(piece, rule):
    """The sessions of a piece, each with whether it ends with it."""
    days = [] if rule.days is None else rule.days.tolist()
    sessions, going = [], False
    for i, row in enumerate(piece):
        same_day = i == 0 or bisect_right(days, row[0]) == bisect_right(days, piece[i - 1][0])
        if (going and not same_day) or (row[1] & STARTS if rule.starts else not going):
            sessions.append([])
            going = True
        if going:
            sessions[-1].append(i)
        if rule.ends and row[1] & ENDS:
            going = False
    return [([piece[i] for i in own], own[-1] == len(piece) - 1) for own in sessions]


def session_cells(records, *, edges, lines, n_lines, slots=None, by_depth=False, open_ms=1 << 62):
    """{(line, bucket, slot): numbers} and {line: numbers}, without empty ones."""
    offsets, numbers = lines
    cells, totals = {}, {}
    n_slots = 1 if slots is None else len(slots) + 1
    for start, end, user, depth, number, alone in records:
        bucket = bisect_right(edges.tolist(), start) - 1
        slot = 0
        if slots is not None and by_depth:
            slot = bisect_right(slots.tolist(), depth) - 1
        elif slots is not None:
            slot = n_slots - 1 if alone else bisect_right(slots.tolist(), end - start) - 1
        for line in numbers[offsets[number] : offsets[number + 1]].tolist():
            one = (user, (not alone) * 1, end - start, depth, depth == 1, end >= open_ms)
            totals.setdefault(line, []).append(one)
            if slot >= 0:
                cells.setdefault((line, bucket, slot), []).append(one)
    return {at: _numbers(own) for at, own in cells.items()}, {
        line: _numbers(own) for line, own in totals.items()
    }


def _numbers(own):
    sums = [sum(one[i] for one in own) for i in range(1, 6)]
    return [len(own), len({one[0] for one in own}), *sums]


def online_peaks(records, edges, tail_ms):
    """peaks, when first, ms of all: every start and edge is tried."""
    intervals = []
    for i, (start, end, user, *_) in enumerate(records):
        last = end + tail_ms
        if i + 1 < len(records) and records[i + 1][2] == user:
            last = min(last, records[i + 1][0] - 1)
        if max(start, edges[0]) <= min(last, edges[-1] - 1):
            intervals.append((max(start, edges[0]), min(last, edges[-1] - 1)))
    starts, ends = sorted(s for s, _ in intervals), sorted(e for _, e in intervals)
    peaks, when, areas = [], [], []
    for low, high in pairwise(edges):
        tried = [low, *(s for s in starts if low <= s < high)]
        counts = [bisect_right(starts, at) - bisect_left(ends, at) for at in tried]
        peaks.append(max(counts))
        when.append(tried[counts.index(peaks[-1])] if peaks[-1] else -1)
        areas.append(sum(max(0, min(e + 1, high) - max(s, low)) for s, e in intervals))
    return [peaks, when, areas]
