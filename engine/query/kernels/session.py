"""How sessions are cut, and what the session kernels give back. Plain data, immutable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from zuji.engine.types import I64

NO_MS = 1 << 61


@dataclass(frozen=True, slots=True)
class SessionCut:
    """Sessions whose first row lies in [from_ms, to_ms); ``from_ms`` -NO_MS: whenever they began.

    ``gap_ms``: a longer gap between neighbouring rows cuts. ``days`` int64[], ascending: midnights
    cut. ``starts``: sessions begin at rows flagged so (and at midnights within one). ``ends``: they
    end after rows flagged so. ``last``: the group is that of the last row that counts, not the
    first. ``alive_ms``: sessions must have a row then or later. ``since_ms``, ``reach_ms``: rows
    before, and from then on, were not given.
    """

    gap_ms: int
    from_ms: int
    to_ms: int
    days: I64 | None = None
    starts: bool = False
    ends: bool = False
    last: bool = False
    alive_ms: int = -NO_MS
    since_ms: int = -NO_MS
    reach_ms: int = NO_MS


@dataclass(frozen=True, slots=True)
class SessionRecords:
    """``records``: ``start, end`` (first and last row, ms UTC), ``user, depth`` (rows that count),
    ``number`` (group), ``alone`` (1: it has one row). ``beyond``, ``before``: rows that were not
    given may belong to one of them.
    """

    records: np.ndarray[Any, np.dtype[Any]]
    beyond: bool
    before: bool


@dataclass(frozen=True, slots=True)
class SessionCells:
    """``cells`` int64[lines, buckets, slots, 7], ``totals`` int64[lines, 7] over all buckets and
    slots: sessions, users, those with a duration, their durations (ms), depth, sessions of depth 1,
    those that may go on.
    """

    cells: I64
    totals: I64
