"""Options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class OutputFormat(StrEnum):
    """Forms that answers are given in."""

    table = "table"
    json = "json"
    csv = "csv"
    arrow = "arrow"


Data = Annotated[
    Path, typer.Option("--data", "-d", envvar="ZUJI_DATA", help="Data directory.", metavar="DIR")
]
Project = Annotated[
    str,
    typer.Option("--project", "-p", envvar="ZUJI_PROJECT", help="Project in the data directory."),
]
Format = Annotated[OutputFormat, typer.Option("--format", "-f", help="Form of the answer.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Write to this file instead of standard output.", metavar="FILE"
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]
Database = Annotated[
    str,
    typer.Option(envvar="ZUJI_DATABASE", help="Server's database, when not in DIR.", metavar="URL"),
]
Url = Annotated[
    str, typer.Option(envvar="ZUJI_URL", help="Address of a server's API.", metavar="URL")
]
Key = Annotated[str, typer.Option(envvar="ZUJI_KEY", help="Key for that server.", metavar="KEY")]
