"""``zuji rejected``: the quarantine."""

from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Database, Format, Key, OutputFormat, Project

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
