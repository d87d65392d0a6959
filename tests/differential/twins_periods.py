"""Slow twins of the kernels over periods and over the rows of a user, in Python sets and loops."""

from __future__ import annotations

import math

from tests.differential.lanes_strategy import is_allowed


def members(runs, row):
    """Users of a row, the union of days (run, day)."""
    return {user for run, day in row for user in runs[run][day]}


def lines_of(lines, user):
    """The lines that a user is in; without lines everybody is in line 0."""
    return [0] if lines is None else lines.get(user, [])


def lifecycle(runs, rows, before, allowed, lines, n_lines):
    """``{(line, period, state): users}`` and users of any period by line."""
    cells, anybody = {}, dict.fromkeys(range(n_lines), 0)
    active = [members(runs, row) for row in rows]
    if allowed is not None:
        active = [users & allowed for users in active]
    everybody = set().union(*active)
    for user in everybody:
        mine = [line for line in lines_of(lines, user) if line < n_lines]
        there = [user in users for users in active]
        for line in mine:
            anybody[line] += any(there[1:])
        for p in range(1, len(active)):
            states = []
            if there[p]:
                states.append("active")
                if there[p - 1]:
                    states.append("returning")
                elif any(there[:p]) or user in members(runs, before):
                    states.append("resurrected")
                else:
                    states.append("new")
            elif there[p - 1]:
                states.append("dormant")
            for line in mine:
                for state in states:
                    cells[line, p - 1, state] = cells.get((line, p - 1, state), 0) + 1
    return cells, anybody


def stickiness(runs, rows, buckets, allowed, lines, n_lines):
    """``{(line, bucket, rows): users}`` and users of any row by line."""
    cells, anybody = {}, dict.fromkeys(range(n_lines), 0)
    active = [members(runs, row) for row in rows]
    for user in set().union(*active):
        if allowed is not None and user not in allowed:
            continue
        counts = {}
        for users, bucket in zip(active, buckets, strict=True):
            if user in users:
                counts[bucket] = counts.get(bucket, 0) + 1
        for line in lines_of(lines, user):
            if line >= n_lines:
                continue
            anybody[line] += 1
            for bucket, number in counts.items():
                cells[line, bucket, number] = cells.get((line, bucket, number), 0) + 1
    return cells, anybody


def user_rows(rows, values, from_ms, to_ms, last, allowed):
    """``{user: (count, sum, time, lane, row)}`` of rows as ``lanes_strategy.rows_of`` gives them.

    ``values``: per lane a list with None where a row has no value, or None.
    """
    found = {}
    for user, mine in rows.items():
        if not is_allowed(allowed, user):
            continue
        there = [r for r in mine if r.passes and from_ms <= r.time < to_ms]
        if not there:
            continue
        chosen = there[-1 if last else 0]
        numbers = [values[r.lane][r.row] for r in there if values and values[r.lane]]
        total = math.fsum(n for n in numbers if n is not None)
        found[user] = (len(there), total, chosen.time, chosen.lane, chosen.row)
    return found
