"""``zuji demo``: loads the data set once, then asks the three questions and draws the answers.

Loading is an import with a place that is kept, so a second run only asks. Everything printed is
measured in this run.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import Progress
from rich.text import Text

from zuji.engine.errors import InvalidInput
from zuji.server.cli.opening import writing
from zuji.server.cli.render import answer, size, summary, table_of
from zuji.server.demo import source
from zuji.server.demo.questions import QUESTIONS
from zuji.server.terminal import console, speaks_unicode

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.engine.engine import Engine

PROJECT = "demo"
PICTURE_WIDTH = 112
SCREEN_WIDTH = 130
TABLE_ROWS = 9
_LEDGER = f"demo:{source.DISTRIBUTION}:1:"


def run(data: Path, *, fresh: bool, svg: Path | None) -> None:
    """Loads, asks, prints; with ``svg`` also saves the screen.

    :raises NotFound: the package with the data is not installed.
    """
    folder = source.data_folder()
    out = console(most_width=SCREEN_WIDTH)
    picture = _Picture() if svg is not None else None
    if fresh:
        _delete(data)
    _make(data)
    with writing(data, PROJECT) as engine:
        said = _load(engine, folder)
        out.print(said)
        if picture is not None:
            picture.print(said)
        _say_contents(engine, out)
        for place, (title, query) in enumerate(QUESTIONS, 1):
            _ask(engine, out, f"{place}. {title}", query, picture)
    out.print(
        Text("Ask your own: ", style="bold")
        + Text(f"zuji query FILE --data {data} --project {PROJECT}   ")
    )
    if svg is not None and picture is not None:
        picture.save(svg)


def _delete(data: Path) -> None:
    """Removes a project that this command made, and nothing else."""
    if not data.exists():
        return
    if not _is_ours(data):
        raise InvalidInput(
            f"{data} is not a data directory with a project {PROJECT!r}; --fresh deletes only that"
        )
    shutil.rmtree(data / PROJECT)


def _is_ours(data: Path) -> bool:
    return (data / PROJECT).is_dir()


def _make(data: Path) -> None:
    from zuji.engine.engine import create_project

    if not _is_ours(data):
        create_project(str(data), PROJECT, tz=source.TZ)


def _load(engine: Engine, folder: Path) -> Text:
    """Loads what is not loaded yet; returns what to say of it."""
    from zuji.engine.bulk import TableMapping

    rows = 0
    began = time.monotonic()
    bar = Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    with bar:
        task = bar.add_task("loading", total=len(source.PARTS))
        for make in source.PARTS:
            key = _LEDGER + make.__name__
            if not engine.import_position(key):
                part = make(folder)
                bar.update(task, description=f"loading {part.event or 'profiles'}")
                mapping = TableMapping(
                    event_name=part.event,
                    user=source.USER,
                    time=source.TIME if source.TIME in part.table.column_names else None,
                    profile=part.event is None,
                )
                result = engine.append_table(part.table, mapping, ledger=(key, part.table.num_rows))
                rows += result.accepted
            bar.advance(task)
        if rows:
            bar.update(task, description="merging")
            loaded = time.monotonic() - began
            engine.compact()
    if not rows:
        return Text("the data is loaded already (--fresh loads it again)", style="dim")
    seconds = time.monotonic() - began
    said = Text(f"loaded {rows:,} rows in {loaded:.2f} s ({rows / loaded:,.0f} rows/s)")
    return said.append(f", merged in {seconds - loaded:.2f} s more", style="dim")


def _say_contents(engine: Engine, out: Console) -> None:
    rows = [[e["name"], e["rows"], e["properties"]] for e in engine.events()]
    total = sum(row[1] for row in rows)
    stored = _stored_bytes(engine)
    if stored and total:
        out.print(Text(f"{total:,} events in {size(stored)}, {stored / total:.1f} bytes a row"))
    out.print(table_of(["event", "rows", "properties"], rows))


def _stored_bytes(engine: Engine) -> int:
    value = engine.status().get("segment_bytes", 0)
    return int(value) if isinstance(value, int) else 0


def _ask(
    engine: Engine, out: Console, title: str, query: dict[str, Any], picture: _Picture | None
) -> None:
    began = time.monotonic()
    result = engine.query(query)
    seconds = time.monotonic() - began
    foot = summary(result.meta, seconds)
    parts = answer(
        result,
        width=min(out.width - 6, 130),
        unicode=speaks_unicode(out),
        with_totals=query["model"] != "funnel",
        most=TABLE_ROWS,
    )
    out.print(_framed(title, foot, parts))
    if picture is not None:
        drawn = answer(result, width=PICTURE_WIDTH - 6, unicode=True)[:1]
        picture.print(_framed(title, foot, drawn))


def _framed(title: str, foot: str, parts: list[Any]) -> Panel:
    return Panel(
        Group(*parts), title=title, title_align="left", subtitle=foot, subtitle_align="right"
    )


class _Picture:
    """The charts of the demo as an SVG of a terminal; needs no font or file from elsewhere."""

    def __init__(self) -> None:
        self._console = Console(
            file=io.StringIO(),
            record=True,
            width=PICTURE_WIDTH,
            force_terminal=True,
            color_system="truecolor",
            highlight=False,
        )

    def print(self, part: Any) -> None:
        """Adds a part."""
        self._console.print(part)

    def save(self, path: Path) -> None:
        """Writes the file."""
        form = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = self._console.export_svg(title="make demo", code_format=form, unique_id="demo")
        path.write_text(text, "utf-8")
