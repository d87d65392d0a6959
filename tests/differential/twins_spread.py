"""Slow twins of the kernels that count values in bins."""

from __future__ import annotations

import struct


def tally(owner, cell, cells):
    pairs = [cell.count(c) for c in range(cells)]
    users = [len({o for o, at in zip(owner, cell, strict=True) if at == c}) for c in range(cells)]
    return pairs, users


def binned(cell, value, cells, shift, first, bins):
    bits = [struct.unpack("<q", struct.pack("<d", v))[0] >> shift for v in value]
    key = [c * bins + b - first for c, b in zip(cell, bits, strict=True)]
    return key, [key.count(k) for k in range(cells * bins)]


def members(wanted, key, value):
    return [(k, v) for k, v in zip(key, value, strict=True) if wanted[k]]
