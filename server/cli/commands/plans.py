"""``zuji plan``, ``quality`` and ``live``: what events are expected to be, and what they are."""

from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import (
    Data,
    Database,
    Format,
    Key,
    Output,
    OutputFormat,
    Project,
    Url,
)

PlanFile = Annotated[Path, typer.Argument(help="Plan document, JSON; '-' is standard input.")]


def plan_show(
    data: Data,
    project: Project = "default",
    version: Annotated[
        int | None, typer.Option(help="An older version.", min=0, metavar="N")
    ] = None,
    database: Database = "",
) -> int:
    """Print the plan that counts."""
    from zuji.server.cli import planning

    return planning.show(data, project, database, version)


def plan_set(
    file: PlanFile,
    data: Data,
    project: Project = "default",
    note: Annotated[str, typer.Option(help="Why, in a line.", metavar="TEXT")] = "",
    expected: Annotated[
        int | None,
        typer.Option(help="Only if this version counts now.", min=0, metavar="N"),
    ] = None,
    database: Database = "",
) -> int:
    """Make a file the plan that counts; running servers take it at once."""
    from zuji.server.cli import planning

    return planning.put(data, project, database, file, note, expected)


def plan_check(
    file: PlanFile, data: Data, project: Project = "default", database: Database = ""
) -> int:
    """Say what a file would change, and what of the events stored it would not take."""
    from zuji.server.cli import planning

    return planning.check(data, project, database, file)


def plan_suggest(
    data: Data, project: Project = "default", output: Output = None, database: Database = ""
) -> int:
    """Write a plan that declares all that was seen, to be edited."""
    from zuji.server.cli import planning

    return planning.suggest(data, project, database, output)


def plan_history(data: Data, project: Project = "default", database: Database = "") -> int:
    """List the versions of the plan."""
    from zuji.server.cli import planning

    return planning.history(data, project, database)


def plan_diff(
    data: Data,
    project: Project = "default",
    old: Annotated[
        int | None, typer.Option("--from", help="Version (default: the one before).", min=0)
    ] = None,
    new: Annotated[
        int | None, typer.Option("--to", help="Version (default: the one that counts).", min=0)
    ] = None,
    database: Database = "",
) -> int:
    """Say what changed between two versions."""
    from zuji.server.cli import planning

    return planning.diff(data, project, database, old, new)


def quality(
    data: Data,
    project: Project = "default",
    first: Annotated[str | None, typer.Option("--from", help="First day.", metavar="DATE")] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last day, included.", metavar="DATE")
    ] = None,
    output_format: Format = OutputFormat.table,
    database: Database = "",
) -> int:
    """What was found wrong with events, by day, reason, SDK and app version."""
    from zuji.server.cli import planning

    return planning.quality(data, project, database, first, last, output_format.value)


def live(
    project: Annotated[
        str | None,
        typer.Option(
            "--project", "-p", envvar="ZUJI_PROJECT", help="Project (default: the key's)."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Only this device.", metavar="ID")] = "",
    user: Annotated[str, typer.Option(help="Only this user.", metavar="ID")] = "",
    url: Url = "http://127.0.0.1:8107",
    key: Key = "",
) -> int:
    """Show events as a server stores or refuses them, until Ctrl-C."""
    from zuji.server.cli import planning

    return planning.live(url, key, project, device, user)
