"""Slow twin of the session-path kernel: sort the rows of each user, cut, count."""

from __future__ import annotations

from collections import Counter

from zuji.engine.query.kernels._paths import HIDDEN, IGNORED


def session_paths(
    sources, *, users, gap_ms, steps, from_ms, to_ms, collapse=False, allowed=None, **_
):
    """Counter of paths, and the number of sessions."""
    rows = {user: [] for user in range(users)}
    for order, (interleave, lanes, codes, partition) in enumerate(sources):
        taken = [0] * len(lanes)
        for place, run in enumerate(interleave.tolist()):
            lane, row = lanes[run], taken[run]
            taken[run] += 1
            owner = next(i for i in range(len(lane.users)) if row < lane.offsets[i + 1])
            shown = lane.mask is None or lane.mask[row]
            rows[int(lane.users[owner])].append(
                (partition, lane.base_ms + int(lane.times[row]), order, place, codes[run], shown)
            )
    found = Counter()
    for user, own in rows.items():
        if allowed is not None and not (user < len(allowed) and allowed[user]):
            continue
        sessions, last = [], None
        for _partition, time, _order, _place, code, shown in sorted(own):
            if code == IGNORED:
                continue
            if last is None or time - last > gap_ms:
                sessions.append((time, []))
            last = time
            path = sessions[-1][1]
            if code == HIDDEN or not shown or len(path) >= steps:
                continue
            if not (collapse and path and path[-1] == code):
                path.append(code)
        found.update(tuple(path) for start, path in sessions if path and from_ms <= start < to_ms)
    return found


def top(counters, n):
    """The most frequent paths of all shards."""
    total = sum(counters, Counter())
    return sorted(total.items(), key=lambda item: (-item[1], item[0]))[:n]
