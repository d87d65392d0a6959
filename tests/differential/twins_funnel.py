"""Slow twins of the funnel kernels: every chain of a small user is written down, then judged.

Nothing here is a recurrence: a chain is a tuple of rows, a rule is a filter over tuples, and the
canonical chain is the least one by the published order. So an error in the kernels' L[] argument
cannot be repeated here.
"""

from __future__ import annotations

from tests.differential.lanes_strategy import is_allowed, rows_of


def mask_of(step_masks, row):
    """Steps that the row matches (0 when it does not pass the lane's filter)."""
    if not row.passes:
        return 0
    masks = step_masks[row.lane]
    return int(masks) if isinstance(masks, int) else int(masks[row.row])


def funnel_fast(lanes, step_masks, k, window_ms, ties, from_ms, to_ms, allowed):
    """Levels by trying every chain."""
    levels = [0] * (k + 1)
    for user, rows in rows_of(lanes).items():
        if not is_allowed(allowed, user):
            continue
        masks = {row: mask_of(step_masks, row) & ((1 << k) - 1) for row in rows}
        rows = [row for row in rows if masks[row]]
        if ties == "any":
            rows.sort(key=lambda r: (r.time, (masks[r] & -masks[r]).bit_length(), *r.key))

        def best(i, level, start, rows=rows, masks=masks):
            """Highest level of the chains that go on from row i."""
            top = level
            if level == k:
                return top
            for j in range(i + 1, len(rows)):
                row = rows[j]
                if not masks[row] >> level & 1 or row.time - start > window_ms:
                    continue
                if ties == "strict" and row.time == rows[i].time:
                    continue
                top = max(top, best(j, level + 1, start))
            return top

        reached = 0
        for i, row in enumerate(rows):
            if masks[row] & 1 and from_ms <= row.time < to_ms:
                reached = max(reached, best(i, 1, row.time))
        for j in range(1, reached + 1):
            levels[j] += 1
    return levels
