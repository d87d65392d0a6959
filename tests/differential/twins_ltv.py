"""Slow twin of the lifetime value kernel: sums as lists, payers as sets."""

from __future__ import annotations

import math

from tests.differential.lanes_strategy import is_allowed, rows_of
from tests.differential.twins_events import bucket_of


def lines_of(lines, user, n_lines):
    """Lines of an ordinal."""
    if lines is None:
        found = [0]
    elif isinstance(lines, tuple):
        offsets, codes = lines
        found = [int(code) for code in codes[offsets[user] : offsets[user + 1]]]
    else:
        found = [int(lines[user])]
    return [line for line in found if line < n_lines]


def ltv_cells(lanes, values, cohort, entry, lines, n_lines, periods, edges, period_ms, allowed):
    """{(line, cohort, period): {"values": […], "payers": {users}}}."""
    made = {}
    for user, rows in rows_of(lanes).items():
        if user >= len(cohort) or cohort[user] < 0 or not is_allowed(allowed, user):
            continue
        for row in rows:
            value = float(values[row.lane][row.row])
            if not row.passes or math.isnan(value):
                continue
            if entry is None:
                at = bucket_of(edges, row.time)
                k = at - int(cohort[user]) if at >= 0 else -1
            else:
                passed = row.time - int(entry[user])
                k = passed // period_ms if passed >= 0 else -1
            if not 0 <= k < periods:
                continue
            for line in lines_of(lines, user, n_lines):
                cell = made.setdefault(
                    (line, int(cohort[user]), k), {"values": [], "payers": set()}
                )
                cell["values"].append(value)
                if value > 0:
                    cell["payers"].add(user)
    return made


def payers(made, line, cohort, period, so_far):
    """Who paid in a period, or in any up to it; line and cohort -1 = any."""
    found = set()
    for (own_line, own_cohort, k), cell in made.items():
        asked = line in (-1, own_line) and cohort in (-1, own_cohort)
        if asked and (k == period or (so_far and k < period)):
            found |= cell["payers"]
    return found
