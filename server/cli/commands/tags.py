"""``zuji tag``: values that a project gives its users, by rules, from files or by hand."""

from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Data, Format, OutputFormat, Project

Name = Annotated[str, typer.Argument(help="Name of the tag.", metavar="NAME")]
User = Annotated[str, typer.Argument(help="Id of a user.", metavar="ID")]
IdType = Annotated[
    str,
    typer.Option("--id", help="Type of the ids: user_id, device_id, mobile ….", metavar="TYPE"),
]
Day = Annotated[
    str, typer.Option("--day", help="2026-10-01, yesterday, today or -7d.", metavar="DAY")
]


def tag_list(
    data: Data,
    project: Project = "default",
    archived: Annotated[bool, typer.Option("--archived", help="Archived ones, too.")] = False,
    output_format: Format = OutputFormat.table,
) -> int:
    """List the tags."""
    from zuji.server.cli import tagging

    return tagging.listed(data, project, archived, output_format.value)


def tag_show(name: Name, data: Data, project: Project = "default") -> int:
    """Print one tag, JSON: definition, days, what it reads and what is made of it."""
    from zuji.server.cli import tagging

    return tagging.show(data, project, name)


def tag_set(
    file: Annotated[
        Path, typer.Argument(help="A definition or an array of them, JSON; '-': standard input.")
    ],
    data: Data,
    project: Project = "default",
) -> int:
    """Define tags, or change them."""
    from zuji.server.cli import tagging

    return tagging.put(data, project, file)


def tag_refresh(
    data: Data,
    names: Annotated[
        list[str] | None, typer.Argument(help="Tags; none: all that are computed.")
    ] = None,
    project: Project = "default",
    day: Day = "yesterday",
    from_: Annotated[
        str, typer.Option("--from", help="Each day from this one on.", metavar="DAY")
    ] = "",
    missing: Annotated[
        bool, typer.Option("--missing", help="Only days that have no values.")
    ] = False,
    due: Annotated[bool, typer.Option("--due", help="What the schedules want by now.")] = False,
) -> int:
    """Make values of tags for a day or more."""
    from zuji.server.cli import tagging

    return tagging.refresh(data, project, names or [], day, from_, missing, due)


def tag_values(
    name: Name,
    data: Data,
    project: Project = "default",
    day: Day = "",
    limit: Annotated[int, typer.Option(help="Values at most.", min=1, max=10_000)] = 100,
    output_format: Format = OutputFormat.table,
) -> int:
    """Count the users of each value."""
    from zuji.server.cli import tagging

    return tagging.values(data, project, name, day, limit, output_format.value)


def tag_user(
    user: User,
    data: Data,
    project: Project = "default",
    id_type: IdType = "user_id",
    day: Day = "",
    name: Annotated[
        str, typer.Option("--tag", help="All values of this tag over time.", metavar="NAME")
    ] = "",
) -> int:
    """Print the tags of a user, JSON."""
    from zuji.server.cli import tagging

    return tagging.of_user(data, project, user, id_type, day, name)


def tag_give(
    name: Name,
    value: Annotated[str, typer.Argument(help="JSON, or a text; null takes it back.")],
    users: Annotated[list[str], typer.Argument(help="Ids of users.", metavar="ID…")],
    data: Data,
    who: Annotated[str, typer.Option("--who", help="Who gives it.", metavar="NAME")],
    project: Project = "default",
    id_type: IdType = "user_id",
) -> int:
    """Give users a value of a manual tag."""
    from zuji.server.cli import tagging

    return tagging.give(data, project, name, value, users, id_type, who)


def tag_load(
    name: Name,
    file: Annotated[Path, typer.Argument(help="CSV with a line of names; '-': standard input.")],
    data: Data,
    project: Project = "default",
    id_type: IdType = "user_id",
    id_column: Annotated[
        str, typer.Option(help="Column with the ids; else named as their type.", metavar="COLUMN")
    ] = "",
    value_column: Annotated[
        str, typer.Option(help="Column with the values.", metavar="COLUMN")
    ] = "value",
    day: Day = "today",
    add: Annotated[bool, typer.Option("--add", help="Onto the values that there are.")] = False,
) -> int:
    """Load the values of an imported tag."""
    from zuji.server.cli import tagging

    column = id_column or id_type
    return tagging.load(data, project, name, file, id_type, column, value_column, day, add)


def tag_graph(data: Data, project: Project = "default") -> int:
    """Print what is made of what, JSON."""
    from zuji.server.cli import tagging

    return tagging.graph(data, project)


def tag_archive(name: Name, data: Data, project: Project = "default") -> int:
    """Take a tag out of refreshes and lists; its values stay."""
    from zuji.server.cli import tagging

    return tagging.archive(data, project, name, back=False)


def tag_restore(name: Name, data: Data, project: Project = "default") -> int:
    """Undo `archive`."""
    from zuji.server.cli import tagging

    return tagging.archive(data, project, name, back=True)


def tag_delete(
    name: Name,
    data: Data,
    project: Project = "default",
    cascade: Annotated[
        bool, typer.Option("--cascade", help="With all that is made of it.")
    ] = False,
) -> int:
    """Remove a tag and its values."""
    from zuji.server.cli import tagging

    return tagging.delete(data, project, name, cascade)
