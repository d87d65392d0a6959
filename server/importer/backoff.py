"""How long to wait before a request is made again: full jitter, and never before the server said.

Many importers that were refused at one moment come back spread over time (AWS Architecture Blog,
"Exponential Backoff And Jitter", 2015).
"""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime

FIRST_S = 0.2
LONGEST_S = 30.0
LONGEST_ASKED_S = 600.0
"""A server that asks for a longer pause is asked again after this."""


def pause(attempt: int, asked: float | None, draw: float | None = None) -> float:
    """Seconds before attempt ``attempt`` + 1 (counted from 0); ``asked``: of Retry-After."""
    most = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt, 16))
    jitter = most * (random.random() if draw is None else draw)
    return jitter + min(LONGEST_ASKED_S, max(0.0, asked or 0.0))


def retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, in either of its forms; None when there is none."""
    if not value:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(value).timestamp() - time.time()
    except ValueError:
        return None
