"""Slow twin of the session-path kernel: sort the rows of each user, cut, count."""

from __future__ import annotations

from collections import Counter

from zuji.engine.query.kernels._paths import HIDDEN, IGNORED
from zuji.engine.query.kernels.walk import Steps


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


def _item(steps, lane, row):
    """(node or None, opens, group) of a row; None for a row that is not seen."""
    if isinstance(steps, int):
        steps = Steps(steps)
    if steps.code == IGNORED:
        return None
    mask = steps.mask if steps.mask is not None else lane.mask
    if steps.code == HIDDEN or (mask is not None and not mask[row]):
        return (None, False, 0)
    node = steps.code if steps.nodes is None else int(steps.nodes[row])
    opens = steps.opens if isinstance(steps.opens, bool) else bool(steps.opens[row])
    return (node, opens, 0 if steps.groups is None else int(steps.groups[row]))


def paths(sources, rule, allowed=None):
    """Every path: (user, nodes, end, group, open), and whether rows not given may belong to it.

    ``end`` is "dropped", "elsewhere" or None for a path of all steps asked for.
    """
    rows = {}
    for order, (interleave, lanes, codes, partition) in enumerate(sources):
        taken = [0] * len(lanes)
        for place, run in enumerate(interleave.tolist()):
            lane, row = lanes[run], taken[run]
            taken[run] += 1
            owner = next(i for i in range(len(lane.users)) if row < lane.offsets[i + 1])
            item = _item(codes[run], lane, row)
            if item is not None:
                time = lane.base_ms + int(lane.times[row])
                rows.setdefault(int(lane.users[owner]), []).append(
                    (partition, time, order, place, item)
                )
    found, beyond = [], False
    for user, own in sorted(rows.items()):
        if allowed is not None and not (user < len(allowed) and allowed[user]):
            continue
        sessions = []
        for _, time, _, _, item in sorted(own, key=lambda r: r[:4]):
            if not sessions or time - sessions[-1][-1][0] > rule.gap_ms:
                sessions.append([])
            sessions[-1].append((time, item))
        for session in sessions:
            if not rule.from_ms <= session[0][0] < rule.to_ms:
                continue
            made = _of_session(session, rule)
            last = session[-1][0]
            found += [(user, *path, last >= rule.open_ms) for path in made]
            beyond |= bool(made) and last + rule.gap_ms >= rule.reach_ms
    return found, beyond


def _of_session(session, rule):
    items = [item for _, item in session]
    if rule.reverse:
        items = items[::-1]
    steps = []  # [node, group of the row that opens a path or None]
    for node, opens, group in items:
        if node is None:
            continue
        if rule.collapse and steps and steps[-1][0] == node:
            if opens and steps[-1][1] is None:
                steps[-1][1] = group
            continue
        steps.append([node, group if opens else None])
    ended = "elsewhere" if items[-1][0] is None else "dropped"
    found = []
    for i, (_, group) in enumerate(steps):
        if group is None:
            continue
        nodes = tuple(node for node, _ in steps[i : i + rule.steps])
        found.append((nodes, None if len(nodes) == rule.steps else ended, group))
        if not rule.every:
            break
    return found
