"""``zuji serve`` and ``zuji key``: the server and the programs that may use it."""

from pathlib import Path
from typing import Annotated

import typer

from zuji.server.cli.commands.options import Data, Database, Project


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
        bool, typer.Option("--dev", help="No keys, no accounts; on this machine only.")
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


def key_revoke(
    key: Annotated[str, typer.Argument(help="Its id, or the key itself.")],
    data: Data,
    database: Database = "",
) -> int:
    """Take a key back: running servers refuse it at once."""
    from zuji.server.cli import serving

    return serving.revoke(data, key, database)
