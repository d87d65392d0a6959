"""Slow twin of the attribution kernel: every touch looked at for every conversion, credit as
fractions.
"""

from __future__ import annotations

import math
from fractions import Fraction

from tests.differential.lanes_strategy import is_allowed, rows_of
from tests.differential.twins_events import bucket_of

WHOLE = 1 << 56


def order(row):
    """Place of a row among its user's rows, over target and touch lanes alike."""
    return (row.time, row.rank, row.tie)


def named(names, n_names, row):
    """Name of a touch row, None when it is no touch."""
    own = names[row.lane]
    if isinstance(own, int):
        return own if row.passes else None
    return int(own[row.row]) if own[row.row] < n_names else None


def shares(touches, model, direct):
    """Credit of each touch of one conversion, in order; ``touches``: [(time, name)]."""
    kind, a, b = model
    n = len(touches)
    given = [Fraction(0)] * n
    if kind == "first":
        given[0] = Fraction(1)
    elif kind == "last":
        given[-1] = Fraction(1)
    elif kind == "last_non_direct":
        sources = [i for i, (_, name) in enumerate(touches) if not direct[name]]
        given[sources[-1] if sources else -1] = Fraction(1)
    elif kind == "linear":
        given = [Fraction(1, n)] * n
    elif kind == "position":
        if n == 1:
            given = [Fraction(1)]
        elif n == 2:
            head = Fraction(int(a), int(a + b)) if a + b else Fraction(1, 2)
            given = [head, 1 - head]
        else:
            middle = (100 - int(a) - int(b)) / Fraction(100) / (n - 2)
            given = [Fraction(int(a), 100), *[middle] * (n - 2), Fraction(int(b), 100)]
    elif kind == "time_decay":
        weights = [0.5 ** ((touches[-1][0] - time) / a) for time, _ in touches]
        total = math.fsum(weights)
        given = [Fraction(weight / total) for weight in weights]
    else:
        assert kind == "participation", kind
        seen = set()
        for i, (_, name) in enumerate(touches):
            given[i] = Fraction(name not in seen)
            seen.add(name)
    return given


def lines_of(lines, row, n_lines):
    """Lines that a conversion is in."""
    own = None if lines is None else lines[row.lane]
    if own is None:
        found = [0]
    elif isinstance(own, tuple):
        offsets, codes = own
        found = [int(code) for code in codes[offsets[row.row] : offsets[row.row + 1]]]
    else:
        found = [int(own[row.row])]
    return [line for line in found if line < n_lines]


def conversions(
    target,
    lines,
    n_lines,
    values,
    touch,
    names,
    n_names,
    edges,
    lookback,
    once,
    target_keys,
    touch_keys,
    allowed,
):
    """[(user, line, bucket, value, [(time, name), …])] of every conversion and line."""
    found = []
    touches_of = rows_of(touch)
    for user, rows in rows_of(target).items():
        if not is_allowed(allowed, user):
            continue
        mine = [(r, named(names, n_names, r)) for r in touches_of.get(user, [])]
        spent = set()
        for row in rows:
            bucket = bucket_of(edges, row.time)
            if not row.passes or (bucket < 0 and not once):
                continue
            served = []
            for touch_row, name in mine:
                if name is None or order(touch_row) >= order(row):
                    continue
                if row.time - touch_row.time > lookback or touch_row in spent:
                    continue
                if target_keys is not None:
                    ours, theirs = target_keys[row.lane], touch_keys[touch_row.lane]
                    key = 0 if ours is None else int(ours[row.row])
                    if key == 0 or theirs is None or int(theirs[touch_row.row]) != key:
                        continue
                served.append((touch_row, name))
            if once:
                spent |= {touch_row for touch_row, _ in served}
            if bucket < 0:
                continue
            value = 0.0
            if values is not None and values[row.lane] is not None:
                value = float(values[row.lane][row.row])
                value = 0.0 if math.isnan(value) else value
            for line in lines_of(lines, row, n_lines):
                path = [(touch_row.time, name) for touch_row, name in served]
                found.append((user, line, bucket, value, path))
    return found


def cells(found, n_names, models, direct):
    """{(line, bucket, name): sums} of the conversions; name ``n_names`` is "no touch"."""
    made = {}
    for user, line, bucket, value, path in found:
        for name in {name for _, name in path} or {n_names}:
            cell = made.setdefault(
                (line, bucket, name),
                {
                    "touches": 0,
                    "conversions": 0,
                    "assisted": 0,
                    "users": set(),
                    "credit": [Fraction(0)] * len(models),
                    "value": [[] for _ in models],
                },
            )
            cell["touches"] += sum(one == name for _, one in path)
            cell["conversions"] += 1
            cell["assisted"] += bool(path) and path[-1][1] != name
            cell["users"].add(user)
            for m, model in enumerate(models):
                mine = Fraction(1)
                if path:
                    given = shares(path, model, direct)
                    mine = sum(
                        (g for g, (_, one) in zip(given, path, strict=True) if one == name),
                        Fraction(0),
                    )
                cell["credit"][m] += mine
                cell["value"][m].append(float(mine) * value)
    return made
