"""Slow twin of the retention kernel: entries as rows, returns as sets of periods, cells as sets."""

from __future__ import annotations

from tests.differential.lanes_strategy import is_allowed, rows_of
from tests.differential.twins_events import bucket_of


def order(row):
    """Place of a row among its user's rows, over start and return lanes alike."""
    return (row.time, row.rank, row.tie)


def entries_of(rows, start_edges, cohort):
    """{period: first start row} of one user."""
    rows = [r for r in rows if r.passes]
    placed = [(bucket_of(start_edges, r.time), r) for r in rows]
    if cohort == 1:
        placed = sorted(placed, key=lambda x: x[1].key)[:1]
    placed = [(p, r) for p, r in placed if p >= 0]
    if cohort == 0:
        placed = placed[:1]
    found = {}
    for p, row in placed:
        found.setdefault(p, row)
    return found


def returned_periods(entry, period, back, is_start, period_edges, mode, period_ms, n):
    """Set of k in 0..n with a return."""
    found = set()
    for row in back:
        if not row.passes:
            continue
        starts = bool(
            is_start[row.lane]
            if isinstance(is_start[row.lane], int)
            else is_start[row.lane][row.row]
        )
        if mode == "calendar":
            q = bucket_of(period_edges, row.time)
            if q < 0:
                continue
            k = q - period
            if k == 0 and starts and order(row) <= order(entry):
                continue
        else:
            if row.time < entry.time or (
                row.time == entry.time and starts and order(row) <= order(entry)
            ):
                continue
            k = (row.time - entry.time) // period_ms
        if 0 <= k <= n:
            found.add(k)
    return found


def cell_returned(found, k, n, criterion, brackets):
    """Whether the periods of return satisfy cell k."""
    if criterion == 0:
        return k in found
    if criterion == 1:
        return any(i in found for i in range(k, n + 1))
    if criterion == 2:
        return any(i in found for i in range(1, k + 1)) if k else 0 in found
    if criterion == 3:
        return all(i in found for i in range(1, k + 1)) if k else 0 in found
    first, last = brackets[k]
    return any(first <= i <= last for i in found)


def retention_cells(
    start_lanes,
    start_groups,
    n_groups,
    return_lanes,
    is_start,
    start_edges,
    period_edges,
    mode,
    period_ms,
    n,
    cohort,
    criterion,
    brackets,
    metric_lanes,
    metric_values,
    allowed,
):
    """(size {(g, p): users}, returned {(g, p, k): users}, metric {(g, p, k): [values]})."""
    size, returned, metric = {}, {}, {}
    back_rows, metric_rows = rows_of(return_lanes), rows_of(metric_lanes)
    cells = len(brackets) if criterion == 4 else n + 1
    for user, rows in rows_of(start_lanes).items():
        if not is_allowed(allowed, user):
            continue
        for p, entry in entries_of(rows, start_edges, cohort).items():
            group = (
                0 if start_groups[entry.lane] is None else int(start_groups[entry.lane][entry.row])
            )
            if group >= n_groups:
                continue
            size.setdefault((group, p), set()).add(user)
            found = returned_periods(
                entry, p, back_rows.get(user, []), is_start, period_edges, mode, period_ms, n
            )
            for k in range(cells):
                if cell_returned(found, k, n, criterion, brackets):
                    returned.setdefault((group, p, k), set()).add(user)
            for row in metric_rows.get(user, []):
                if not row.passes:
                    continue
                if mode == "calendar":
                    q = bucket_of(period_edges, row.time)
                    k = q - p if q >= 0 else -1
                else:
                    k = (row.time - entry.time) // period_ms
                if not 0 <= k <= n:
                    continue
                values = metric_values[row.lane]
                value = 0.0 if values is None else float(values[row.row])
                hit = (
                    [k]
                    if criterion != 4
                    else [c for c, (a, b) in enumerate(brackets) if a <= k <= b]
                )
                for c in hit:
                    metric.setdefault((group, p, c), []).append(value)
    return size, returned, metric
