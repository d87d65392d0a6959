"""Slow twins of the event kernels: dictionaries and sets, one row at a time."""

from __future__ import annotations

import math

from tests.differential.lanes_strategy import is_allowed, rows_of


def bucket_of(edges, time):
    """Number of the half-open bucket that holds the instant, or -1."""
    for b in range(len(edges) - 1):
        if edges[b] <= time < edges[b + 1]:
            return b
    return -1


def group_of(groups, row):
    """Group of a row of RowGroups."""
    if groups.present is not None and not groups.present[row]:
        return groups.missing
    code = int(groups.codes[row])
    if groups.lut is None:
        return code
    return int(groups.lut[code]) if code < len(groups.lut) else 0xFFFFFFFF


def event_cells(lanes, edges, groups, n_groups, values, value_masks, allowed):
    """``{(group, bucket): {rows, users, new, values}}``."""
    cells = {
        (g, b): {"rows": 0, "users": set(), "new": set(), "values": []}
        for g in range(n_groups)
        for b in range(len(edges) - 1)
    }
    first = {}
    for user, rows in rows_of(lanes).items():
        for row in rows:
            b = bucket_of(edges, row.time)
            g = 0 if groups is None or groups[row.lane] is None else int(groups[row.lane][row.row])
            if b < 0 or g >= n_groups or not row.passes or not is_allowed(allowed, user):
                continue
            cell = cells[g, b]
            cell["rows"] += 1
            cell["users"].add(user)
            first[g, user] = min(first.get((g, user), b), b)
            if values is not None and values[row.lane] is not None:
                masks = value_masks[row.lane] if value_masks is not None else None
                if masks is None or masks[row.row]:
                    cell["values"].append(float(values[row.lane][row.row]))
    for (g, user), b in first.items():
        cells[g, b]["new"].add(user)
    return cells


def code_rows(lane, edges, groups, size, allowed):
    """Rows of each code, and of no value."""
    counts = [0] * (size + 1)
    for user, rows in rows_of([lane]).items():
        for row in rows:
            if bucket_of(edges, row.time) < 0 or not row.passes or not is_allowed(allowed, user):
                continue
            if groups.present is not None and not groups.present[row.row]:
                counts[size] += 1
            elif groups.codes[row.row] < size:
                counts[int(groups.codes[row.row])] += 1
    return counts


def pick_users(lanes, edges, groups, bucket, group, allowed):
    """Ordinals with a row in the cell, ascending."""
    picked = []
    for user, rows in rows_of(lanes).items():
        for row in rows:
            b = bucket_of(edges, row.time)
            g = 0 if groups is None or groups[row.lane] is None else int(groups[row.lane][row.row])
            if b < 0 or g == 0xFFFFFFFF or not row.passes or not is_allowed(allowed, user):
                continue
            if bucket in (-1, b) and group in (-1, g):
                picked.append(user)
                break
    return picked


def count_by_user(lanes, from_ms, to_ms, n_ord, values, allowed):
    """Rows and sums per ordinal."""
    counts, sums = [0] * n_ord, [[] for _ in range(n_ord)]
    for user, rows in rows_of(lanes).items():
        if user >= n_ord or not is_allowed(allowed, user):
            continue
        for row in rows:
            if row.passes and from_ms <= row.time < to_ms:
                counts[user] += 1
                if values[row.lane] is not None:
                    sums[user].append(float(values[row.lane][row.row]))
    return counts, [math.fsum(s) for s in sums]
