"""``zuji import`` and ``export``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Data, Project, Quiet


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
    login_key: Annotated[
        list[str] | None,
        typer.Option(help="Identity of Sensors records that is the customer.", metavar="NAME"),
    ] = None,
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
            login_keys=tuple(login_key or ()),
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
