"""Answers that were given before: a board that is opened again asks the same of the same events.

An answer is given again while nothing changed in the project that it could show (the engine's
``state``), and within the quarter of an hour of the clock: dates, hours and so ``today`` change at
its ends only, in every time zone. What names the present moment itself (``now``, ``within_last``)
is asked anew, and so is everything while the newest event lies in the future, when the clock moves
what is complete. Of each project only answers about its latest state are kept, so no older files
are held open. Thread-safe.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.engine import Engine
    from zuji.engine.query.result import Result

MOST = 256
"""Answers of a project."""
MOST_CELLS = 100_000
"""Of an answer that is kept."""
QUARTER_MS = 900_000
_MOMENT = (b'"now"', b"within_last", b"\\u")
"""In a document: it depends on the moment, or (escapes) might."""


@dataclass(slots=True)
class _Kept:
    state: object = None
    quarter: int = -1
    answers: OrderedDict[bytes, Result] = field(default_factory=OrderedDict)


class Answers:
    """Answers by project. ``clock``: ms since 1970 UTC."""

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def ask(
        self, project: str, engine: Engine, document: bytes, query: Callable[[], Result]
    ) -> Result:
        """What ``query`` answers, or answered before.

        Raises:
            ZujiError: of the query; that is not kept.
        """
        if any(word in document for word in _MOMENT):
            return query()
        state, newest_ms = engine.state()
        now = self._clock()
        quarter = now // QUARTER_MS
        with self._lock:
            kept = self._kept.setdefault(project, _Kept())
            if kept.state is not state or kept.quarter != quarter:
                self._kept[project] = kept = _Kept(state, quarter)
            found = kept.answers.get(document)
            if found is not None:
                kept.answers.move_to_end(document)
                return found
        answer = query()
        whole = len(answer.rows) * max(1, len(answer.columns)) <= MOST_CELLS
        if (newest_ms is None or newest_ms <= now) and whole and engine.state()[0] is state:
            with self._lock:
                if self._clock() // QUARTER_MS == quarter:
                    kept.answers[document] = answer
                    while len(kept.answers) > MOST:
                        kept.answers.popitem(last=False)
        return answer
