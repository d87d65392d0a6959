"""Slow twins of engine/query/slices.h: a value at a time, in Python."""

from __future__ import annotations

import math

import numpy as np


def cut(values, present, starts, least, greatest, codes):
    """As `_slices.cut`; ends of slices and codes change in place."""
    for row, value in enumerate(values.tolist()):
        if present is not None and not present[row]:
            codes[row] = 0
        elif isinstance(value, float) and math.isnan(value):
            codes[row] = np.iinfo(codes.dtype).max
        else:
            at = max((s for s, start in enumerate(starts.tolist()) if start <= value), default=0)
            codes[row] = 1 + at
            least[at] = min(least[at].item(), value)
            greatest[at] = max(greatest[at].item(), value)


def within(codes, values, first, last, one, two, low, high):
    """As `_slices.within`."""
    found = []
    for code, value in zip(codes.tolist(), values.tolist(), strict=True):
        looked = code != 0 and code in (one, two)
        found.append(low <= value <= high if looked else first <= code <= last)
    return np.array(found, np.uint8)
