"""``zuji init``, ``compact``, ``scrub``, ``status``: looking after a project."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.text import Text

from zuji.engine.errors import InvalidInput
from zuji.server.cli import render
from zuji.server.cli.opening import database_of, reading, writing
from zuji.server.cli.outcome import FAILED, OK, say
from zuji.server.importer.mapping import check_zone
from zuji.server.terminal import console

if TYPE_CHECKING:
    from pathlib import Path


def init(data: Path, project: str, tz: str, shards: int, database: str = "") -> int:
    """Makes a project with its boards, and the first administrator where there is no account."""
    check_zone(tz)
    if shards < 1 or shards & (shards - 1):
        raise InvalidInput(f"--shards is a power of two (1, 2, 4, 8 …), not {shards}")
    from zuji.engine.engine import create_project
    from zuji.server.cli.accounting import first, own_language
    from zuji.server.library.templates import make_all

    create_project(str(data), project, tz=tz, shards=shards)
    console().print(Text(f"made project {project!r} in {data} (time zone {tz}, {shards} shards)"))
    with database_of(data, database) as store:
        make_all(store, project, own_language(), [])
        first(store)
    return OK


def compact(data: Path, project: str, *, quiet: bool) -> int:
    """Merges segments."""
    from rich.progress import Progress

    out = console(stderr=True)
    with (
        writing(data, project) as engine,
        Progress(console=out, disable=quiet or not sys.stderr.isatty(), transient=True) as bar,
    ):
        task = bar.add_task("merging", total=None)

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        engine.compact(progress=on_progress)
    if not quiet:
        out.print(Text("merged"))
    return OK


def scrub(data: Path, project: str, *, quiet: bool) -> int:
    """Checks every checksum; reports damage on standard output, one line a place."""
    found = 0
    with reading(data, project) as engine:
        for problem in engine.scrub():
            found += 1
            print(problem)
    if found:
        say(
            f"{found} damaged place{'s' if found > 1 else ''}",
            "restore these files from a backup; the rest is readable",
        )
        return FAILED
    if not quiet:
        console(stderr=True).print(Text("every checksum is right"))
    return OK


def status(data: Path, project: str, form: str) -> int:
    """Shows the state of a project."""
    with reading(data, project) as engine:
        state = engine.status()
    if form == "json":
        render.write_text(render.json_text(state))
    elif form == "table":
        render.print_pairs(console(), state)
    else:
        raise InvalidInput("status has the forms table and json")
    return OK
