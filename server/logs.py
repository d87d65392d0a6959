"""Log lines of a server: ``key=value`` text or one JSON object a line, never an event's content.

The text of an error may have such content (``KeyError: '330102…'``), and so may the texts of those
that it came from. So of an error that a line is about kinds and places are written, no texts.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import Any

_PLACES = 8
"""Of the stack, innermost last."""


def bug_of(problem: BaseException | None) -> str:
    """Kind of an error and where it was raised, then of those that it came from; no texts."""
    said: list[str] = []
    while problem is not None and len(said) < _PLACES:
        stack = traceback.extract_tb(problem.__traceback__)[-_PLACES:]
        places = " > ".join(f"{frame.filename}:{frame.lineno}" for frame in stack)
        said.append(f"kind={type(problem).__name__} at={places or '-'}")
        problem = problem.__cause__ or problem.__context__
    return " from ".join(said)


class _Text(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        return bug_of(ei[1])


class _Json(_Text):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(level: str, form: str) -> None:
    """Sends log lines of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(_Json())
    else:
        text = _Text("%(asctime)s %(levelname)s %(name)s %(message)s")
        text.converter = time.gmtime
        handler.setFormatter(text)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").addFilter(_without_texts)
    for noisy in ("uvicorn.access", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _without_texts(record: logging.LogRecord) -> bool:
    """asyncio puts the error's text into the message itself."""
    if record.exc_info:
        record.msg, record.args = "an error that nothing caught", ()
    return True
