"""``zuji define``: names that a project gives to filtered events and to expressions."""

from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Data, Format, OutputFormat, Project

Note = Annotated[str, typer.Option("--description", help="What it means.", metavar="TEXT")]


def define_show(
    data: Data, project: Project = "default", output_format: Format = OutputFormat.table
) -> int:
    """Print the virtual events and properties."""
    from zuji.server.cli import defining

    return defining.show(data, project, output_format.value)


def define_event(
    name: Annotated[str, typer.Argument(help="Name of the virtual event.")],
    events: Annotated[list[str], typer.Argument(help="Events that it stands for.")],
    data: Data,
    project: Project = "default",
    where: Annotated[
        str, typer.Option(help="Filter that they must pass, JSON.", metavar="JSON")
    ] = "",
    description: Note = "",
) -> int:
    """Give a name to any of some events, with a filter if wanted."""
    from zuji.server.cli import defining

    member = {"e": events, "where": defining.read_json(where, "--where") if where else None}
    one = {"of": [member], "description": description}
    return defining.change(data, project, {name: one}, {})


def define_property(
    p: Annotated[str, typer.Argument(help="event.NAME or user.NAME.", metavar="P")],
    expression: Annotated[str, typer.Argument(help="if(event.amount > 9, 'much', 'little')")],
    data: Data,
    project: Project = "default",
    kind: Annotated[
        str, typer.Option("--type", help="string, int64, float64, bool or datetime.")
    ] = "string",
    description: Note = "",
) -> int:
    """Give a name to an expression over properties."""
    from zuji.server.cli import defining

    one = {"type": kind, "as": expression, "description": description}
    return defining.change(data, project, {}, {p: one})


def define_set(
    file: Annotated[Path, typer.Argument(help="Definitions, JSON; '-' is standard input.")],
    data: Data,
    project: Project = "default",
) -> int:
    """Take all definitions of a file, as `show --format json` writes them."""
    from zuji.server.cli import defining

    return defining.put(data, project, file)


def define_remove(
    names: Annotated[list[str], typer.Argument(help="Events, or event.NAME of properties.")],
    data: Data,
    project: Project = "default",
) -> int:
    """Take definitions away."""
    from zuji.server.cli import defining

    return defining.remove(data, project, names)
