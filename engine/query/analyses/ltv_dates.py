"""The instants that a date property names, by ordinal.

JSON has no dates, so most profiles hold them as text. Read are RFC 3339 instants, local dates
(their first instant) and local times without an offset, in the query's zone. Pure functions.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine import calendars
from zuji.engine.distinct import unique
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.query.context import Context
    from zuji.engine.types import I64, U8, Column

_LOCAL = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
TEXTS_AT_ONCE = 1 << 12
"""Texts read between two looks at the cancel flag."""


def instants(column: Column, tz: str, p: str, context: Context) -> tuple[I64, U8]:
    """(ms UTC int64[n], 1 where there is one uint8[n]) of a column of datetimes or texts. O(n +
    different texts). Texts that are no dates are left out, with a warning.
    """
    present = np.ones(column.rows, np.uint8) if column.present is None else column.present
    if column.kind == Kind.DATETIME:
        return np.ascontiguousarray(column.values, np.int64), present
    codes = column.values.astype(np.int64)
    texts = column.dictionary or ()
    used = unique(codes[present == 1])
    table, known = np.zeros(len(texts) + 1, np.int64), np.zeros(len(texts) + 1, np.uint8)
    local: list[tuple[int, int]] = []
    for number, code in enumerate(used.tolist()):
        if number % TEXTS_AT_ONCE == 0:
            context.check()
        at, is_local = _read(texts[code])
        if at is None:
            continue
        known[code] = 1
        table[code] = at
        if is_local:
            local.append((at, code))
    local.sort()
    if local:
        wall = np.array([at for at, _ in local], np.int64)
        table[[code for _, code in local]] = calendars.from_local(wall, tz)
    if len(used) and not known[used].all():
        context.warn(f"some texts of {p!r} are no dates: their users are in no cohort")
    codes = np.where(present == 1, codes, len(texts))
    return table[codes], known[codes]


def _read(text: str) -> tuple[int | None, bool]:
    """(ms, whether they are local) of a text; None when it is no date."""
    match = _LOCAL.fullmatch(text)
    with suppress(ValueError):
        if match is None:
            return calendars.parse_instant(text), False
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
        millis = int(((match[7] or "") + "000")[:3])
        wall = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        return calendars.check_ms((wall - _EPOCH) // _MILLISECOND + millis), True
    return None, False
