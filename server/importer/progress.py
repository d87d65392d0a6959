"""The progress bar of an import: share of the file, rows/s, time left. Off when nobody watches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.server.importer.run import Progress as State


class _Rows(ProgressColumn):
    """``1,234,567 rows  987,654 rows/s``."""

    def render(self, task: Any) -> Text:
        rows, seconds = task.fields["rows"], max(task.fields["seconds"], 1e-6)
        return Text(f"{rows:>12,} rows {rows / seconds:>11,.0f} rows/s", style="cyan")


class ImportProgress:
    """One line a file on standard error, only when that is a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>5.1f}%"),
            _Rows(),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            disable=quiet or not sys.stderr.isatty(),
        )
        self._tasks: dict[Path, Any] = {}

    def __enter__(self) -> ImportProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()

    def update(self, state: State) -> None:
        """Shows the state of one file."""
        task = self._tasks.get(state.path)
        if task is None:
            task = self._bar.add_task(state.path.name, total=state.bytes_total, rows=0, seconds=0.0)
            self._tasks[state.path] = task
        self._bar.update(task, completed=state.bytes_done, rows=state.rows, seconds=state.seconds)
