"""What the terminal can show: one console a stream, Unicode or ASCII, width.

Environment variables that matter to output (``NO_COLOR``, ``COLUMNS``) are read by the console
library; the width of a pipe is ours: wide, so that nothing is cut in files and pagers.
"""

from __future__ import annotations

import os
import sys

from rich.console import Console

PIPE_WIDTH = 200


def console(*, stderr: bool = False, most_width: int | None = None) -> Console:
    """A console for standard output or standard error, at most ``most_width`` wide."""
    stream = sys.stderr if stderr else sys.stdout
    tty = stream.isatty()
    width = None if tty or os.environ.get("COLUMNS") else PIPE_WIDTH
    out = Console(stderr=stderr, width=width, highlight=False, soft_wrap=False, safe_box=True)
    if most_width is not None and out.width > most_width:
        out.width = most_width
    return out


def speaks_unicode(out: Console) -> bool:
    """Whether block characters can be printed at all."""
    encoding = (getattr(out.file, "encoding", None) or "ascii").lower().replace("_", "-")
    return encoding.startswith("utf")
