"""``zuji query``, ``explain``, ``events``, ``properties``: asking."""

from typing import Annotated

import typer

from zuji.server.cli.commands.options import Data, Format, Output, OutputFormat, Project, Quiet


def query(
    document: Annotated[
        str, typer.Argument(help="JSON file, '-' for standard input, or the JSON itself.")
    ],
    data: Data,
    project: Project = "default",
    output_format: Format = OutputFormat.table,
    output: Output = None,
    pick: Annotated[
        str | None,
        typer.Option(
            help='List the users behind one cell: \'{"bucket": "2026-10-01"}\'.', metavar="JSON"
        ),
    ] = None,
    chart: Annotated[bool, typer.Option(help="Draw a chart over the table.")] = True,
    rows: Annotated[int, typer.Option(help="Rows of the table to show; 0 for all.", min=0)] = 100,
    seconds: Annotated[
        float | None, typer.Option(help="Time budget of the query.", min=0.001)
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Ask a question of any model: trend, funnel, retention, path …"""
    from zuji.server.cli import asking

    return asking.query(
        document,
        data,
        project,
        asking.Form(output_format.value, output, chart=chart, rows=rows, quiet=quiet),
        pick=pick,
        seconds=seconds,
    )


def explain(
    document: Annotated[
        str, typer.Argument(help="JSON file, '-' for standard input, or the JSON itself.")
    ],
    data: Data,
    project: Project = "default",
) -> int:
    """Show how a query would be answered: what is pruned, what is read."""
    from zuji.server.cli import asking

    return asking.explain(document, data, project)


def sql(
    statement: Annotated[
        str, typer.Argument(help="A SELECT over events and users, a .sql file, or '-'.")
    ],
    data: Data,
    project: Project = "default",
    output_format: Format = OutputFormat.table,
    output: Output = None,
    rows: Annotated[int, typer.Option(help="Rows of the table to show; 0 for all.", min=0)] = 100,
    seconds: Annotated[
        float | None, typer.Option(help="Time budget of the statement.", min=0.001)
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Ask in SQL: DuckDB over the events and users of the project, read-only."""
    from zuji.server.cli import asking

    form = asking.Form(output_format.value, output, chart=False, rows=rows, quiet=quiet)
    return asking.sql(statement, data, project, form, seconds=seconds)


def events(
    data: Data, project: Project = "default", output_format: Format = OutputFormat.table
) -> int:
    """List the events: rows, users, first and last time."""
    from zuji.server.cli import asking

    return asking.events(data, project, output_format.value)


def properties(
    data: Data, project: Project = "default", output_format: Format = OutputFormat.table
) -> int:
    """List the properties: type, whose they are, which events have them."""
    from zuji.server.cli import asking

    return asking.properties(data, project, output_format.value)
