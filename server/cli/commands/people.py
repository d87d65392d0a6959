"""``zuji erase``, ``zuji export-user`` and ``zuji ttl``: what a person may ask for, and what a
project forgets by itself.
"""

from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Key, Project
from zuji.server.cli.commands.rejected import MaybeData, ServerUrl

Users = Annotated[
    list[str] | None, typer.Option("--user-id", help="A customer (repeatable).", metavar="ID")
]
Devices = Annotated[
    list[str] | None, typer.Option("--device-id", help="A device (repeatable).", metavar="ID")
]
Typed = Annotated[
    list[str] | None,
    typer.Option("--id", help="Another id, as mobile=138….", metavar="TYPE=ID"),
]
By = Annotated[str, typer.Option(help="Who asked for it.", metavar="NAME")]
Yes = Annotated[bool, typer.Option("--yes", help="They are gone for good.")]


def erase(
    data: MaybeData = None,
    project: Project = "default",
    user_id: Users = None,
    device_id: Devices = None,
    typed: Typed = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Ids, one a line.", metavar="FILE")
    ] = None,
    file_type: Annotated[
        str, typer.Option("--file-id", help="Type of its ids, as mobile.", metavar="TYPE")
    ] = "user_id",
    by: By = "",
    reason: Annotated[str, typer.Option(help="Why.", metavar="TEXT")] = "",
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove the bytes now, not at the next compaction.")
    ] = False,
    shown: Annotated[bool, typer.Option("--list", help="Show the ledger.")] = False,
    save: Annotated[
        Path | None,
        typer.Option("--save-ledger", help="Write the ledger to a file.", metavar="FILE"),
    ] = None,
    replay: Annotated[
        bool,
        typer.Option("--replay-ledger", help="Carry out what the ledger says and is not done."),
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(help="With --replay-ledger: one that was saved.", metavar="FILE"),
    ] = None,
    erased_ids: Annotated[
        str,
        typer.Option(
            help="What becomes of erased ids that come again: accept or refuse.", metavar="WHAT"
        ),
    ] = "",
    sure: Yes = False,
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Erase people: out of every answer at once, out of all files with the next compaction."""
    from zuji.server.cli import people

    place = people.Place(data, project, url, key)
    if shown:
        return people.listed(place)
    if save is not None:
        return people.save_ledger(place, save)
    if replay or ledger is not None:
        return people.replay(place, ledger)
    if erased_ids:
        return people.set_erased_ids(place, erased_ids)
    named = people.named(user_id, device_id, typed, file, file_type)
    if purge and not named:
        return people.purge(place)
    return people.erase(place, named, by, reason, purge=purge, sure=sure)


def export_user(
    data: MaybeData = None,
    project: Project = "default",
    user_id: Users = None,
    device_id: Devices = None,
    typed: Typed = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write to this file; .zip makes an archive.", metavar="FILE"
        ),
    ] = None,
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Export everything that is held about one person, over all ids, as JSON lines or a zip."""
    from zuji.server.cli import people

    place = people.Place(data, project, url, key)
    return people.export(place, people.named(user_id, device_id, typed, None), output)


def ttl(
    data: MaybeData = None,
    project: Project = "default",
    months: Annotated[
        str | None,
        typer.Option(help="How long events live; 'ever': for ever.", metavar="N"),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", help="How long this one lives.", metavar="NAME=N"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Remove what has lived so long.")] = False,
    by: By = "",
    sure: Yes = False,
    url: ServerUrl = "",
    key: Key = "",
) -> int:
    """Time to live: for how many months events are kept; what would go, and letting it go."""
    from zuji.server.cli import people

    place = people.Place(data, project, url, key)
    return people.ttl(place, months, event or [], by, dry_run=dry_run, apply=apply, sure=sure)
