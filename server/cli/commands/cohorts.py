"""``zuji cohort``: groups of users, by rules, from files or from answers."""

from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Data, Format, OutputFormat, Project

Name = Annotated[str, typer.Argument(help="Name of the cohort.", metavar="NAME")]
IdType = Annotated[
    str,
    typer.Option("--id", help="Type of the ids: user_id, device_id, mobile ….", metavar="TYPE"),
]
AsOf = Annotated[
    str, typer.Option("--as-of", help="2026-10-01, yesterday, -7d or an instant.", metavar="WHEN")
]


def cohort_list(
    data: Data, project: Project = "default", output_format: Format = OutputFormat.table
) -> int:
    """List the cohorts."""
    from zuji.server.cli import cohorting

    return cohorting.listed(data, project, output_format.value)


def cohort_show(name: Name, data: Data, project: Project = "default") -> int:
    """Print one cohort, JSON: definition, versions, what it reads and what is made of it."""
    from zuji.server.cli import cohorting

    return cohorting.show(data, project, name)


def cohort_set(
    file: Annotated[
        Path, typer.Argument(help="A definition or an array of them, JSON; '-': standard input.")
    ],
    data: Data,
    project: Project = "default",
) -> int:
    """Define cohorts by rules, or change them, and make a version of each."""
    from zuji.server.cli import cohorting

    return cohorting.put(data, project, file)


def cohort_estimate(
    file: Annotated[
        Path, typer.Argument(help="A rule or a definition, JSON; '-': standard input.")
    ],
    data: Data,
    project: Project = "default",
) -> int:
    """Count the users of a rule without keeping it."""
    from zuji.server.cli import cohorting

    return cohorting.estimate(data, project, file)


def cohort_refresh(
    data: Data,
    names: Annotated[list[str] | None, typer.Argument(help="Cohorts made by rules.")] = None,
    project: Project = "default",
    as_of: AsOf = "",
    parts: Annotated[bool, typer.Option("--parts", help="Before it, what it is made of.")] = False,
    due: Annotated[bool, typer.Option("--due", help="What the schedules want by now.")] = False,
) -> int:
    """Make a version of cohorts now, or as of a moment gone by."""
    from zuji.server.cli import cohorting

    return cohorting.refresh(data, project, names or [], as_of, parts, due)


def cohort_load(
    name: Name,
    file: Annotated[Path, typer.Argument(help="CSV with a line of names; '-': standard input.")],
    data: Data,
    project: Project = "default",
    id_type: IdType = "user_id",
    column: Annotated[
        str, typer.Option(help="Column with the ids; else named as their type.", metavar="COLUMN")
    ] = "",
    how: Annotated[str, typer.Option(help="replace, add or remove.")] = "replace",
    description: Annotated[str, typer.Option(help="Of a new list.")] = "",
) -> int:
    """Make a fixed list of the users with some ids, or change it."""
    from zuji.server.cli import cohorting

    return cohorting.load(data, project, name, file, id_type, column, how, description)


def cohort_save(
    name: Name,
    query: Annotated[Path, typer.Argument(help="The query, JSON; '-' is standard input.")],
    pick: Annotated[str, typer.Argument(help='The cell, JSON: {"series": "A"} …')],
    data: Data,
    project: Project = "default",
    description: Annotated[str, typer.Option(help="Of the list.")] = "",
) -> int:
    """Save the users behind a cell of an answer as a fixed list."""
    from zuji.server.cli import cohorting

    return cohorting.save(data, project, name, query, pick, description)


def cohort_members(
    name: Name,
    data: Data,
    project: Project = "default",
    id_type: IdType = "user_id",
    as_of: AsOf = "",
    output: Annotated[
        str, typer.Option("--out", "-o", help="File to write; else standard output.")
    ] = "",
) -> int:
    """Export the ids of all members, one a line."""
    from zuji.server.cli import cohorting

    return cohorting.members(data, project, name, id_type, as_of, output)


def cohort_has(
    name: Name,
    user: Annotated[str, typer.Argument(help="Id of a user.", metavar="ID")],
    data: Data,
    project: Project = "default",
    id_type: IdType = "user_id",
    as_of: AsOf = "",
) -> int:
    """Say whether somebody is a member; exit status 3: is not."""
    from zuji.server.cli import cohorting

    return cohorting.has(data, project, name, user, id_type, as_of)


def cohort_overlap(
    names: Annotated[list[str], typer.Argument(help="Two or more cohorts.", metavar="NAME…")],
    data: Data,
    project: Project = "default",
    as_of: AsOf = "",
    output_format: Format = OutputFormat.table,
) -> int:
    """Count what cohorts have in common, and what only one of them has."""
    from zuji.server.cli import cohorting

    return cohorting.overlap(data, project, names, as_of, output_format.value)


def cohort_delete(
    name: Name,
    data: Data,
    project: Project = "default",
    cascade: Annotated[
        bool, typer.Option("--cascade", help="With all that is made of it.")
    ] = False,
) -> int:
    """Remove a cohort and its versions."""
    from zuji.server.cli import cohorting

    return cohorting.delete(data, project, name, cascade)
