"""Slow twins of engine/query/slices.h: a value at a time, in Python."""

from __future__ import annotations

import math

import numpy as np


def cut(values, present, starts, least, greatest):
    """As `_slices.cut`; ends of slices change in place."""
    codes = []
    for row, value in enumerate(values.tolist()):
        if present is not None and not present[row]:
            codes.append(0)
        elif isinstance(value, float) and math.isnan(value):
            codes.append(255)
        else:
            at = max((s for s, start in enumerate(starts.tolist()) if start <= value), default=0)
            codes.append(1 + at)
            least[at] = min(least[at].item(), value)
            greatest[at] = max(greatest[at].item(), value)
    return np.array(codes, np.uint8)


def within(codes, values, first, last, one, two, low, high):
    """As `_slices.within`."""
    found = []
    for code, value in zip(codes.tolist(), values.tolist(), strict=True):
        looked = code != 0 and code in (one, two)
        found.append(low <= value <= high if looked else first <= code <= last)
    return np.array(found, np.uint8)
