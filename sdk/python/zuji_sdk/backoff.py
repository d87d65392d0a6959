"""When to try again: exponential back-off with full jitter, never before Retry-After.

Full jitter (a random part of the whole wait) spreads the clients that one outage stopped; source:
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015. Not thread-safe.
"""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime
from typing import Callable


class Backoff:
    """Waits in seconds: each a random part of ``base``, twice that, … up to ``cap``."""

    def __init__(
        self,
        base: float,
        cap: float,
        retry_after_cap: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._base, self._cap, self._retry_after_cap = base, cap, retry_after_cap
        self._chance = chance
        self._failures = 0

    def reset(self) -> None:
        """Something worked."""
        self._failures = 0

    def next(self, retry_after: float | None = None) -> float:
        """The wait after one more failure; on top of what the collector asked for, if it did."""
        bound = min(self._cap, self._base * 2.0 ** min(self._failures, 60))
        self._failures += 1
        return min(retry_after or 0.0, self._retry_after_cap) + self._chance() * bound


def retry_after_seconds(header: str | None) -> float | None:
    """What a Retry-After header asks for: seconds or a date. None when it says nothing readable."""
    if header is None:
        return None
    text = header.strip()
    if text.isdecimal() and text.isascii():
        return float(text[:10])
    try:
        until = parsedate_to_datetime(text)
        return max(0.0, until.timestamp() - time.time())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
