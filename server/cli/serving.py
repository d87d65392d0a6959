"""``zuji serve`` and ``zuji key``: the server and its keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.cli.accounting import first
from zuji.server.cli.opening import database_of
from zuji.server.cli.outcome import OK, say
from zuji.server.terminal import console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def serve(flags: Mapping[str, Any], config: Path | None, more: Sequence[str]) -> int:
    """Serves until it is stopped. ``more``: ``name=value``."""
    from zuji.server.settings import load

    settings = load(flags, config=config, said=more)
    from zuji.server.serve import serve as run

    if settings.api and not settings.dev:
        with database_of(Path(settings.data), settings.database) as store:
            first(store)

    def started(addresses: dict[str, str]) -> None:
        for name, where in addresses.items():
            what = "events" if name == "collect" else "queries"
            page = ", the console and /docs in a browser there" if name == "api" else ""
            say(f"{what} at {where}{page}")
        if settings.dev:
            say("development mode: no keys, no accounts, on this machine only")

    run(settings, started)
    return OK


def create(data: Path, project: str, kinds: Sequence[str], note: str, database: str) -> int:
    """Makes a key and shows it, once."""
    if len(kinds) != 1:
        raise InvalidInput("say what the key may do: one of --write, --read, --admin")
    from zuji.engine.storage import names
    from zuji.server.auth import Kind, make_key

    if not (data / project / names.CURRENT).exists():
        raise NotFound(f"there is no project {project!r} in {data}; make one with `zuji init`")
    with database_of(data, database) as store:
        key, text = make_key(store, project, Kind(kinds[0]), note)
    print(text)
    say(
        f"{'an' if key.kind is Kind.ADMIN else 'a'} {key.kind} key of project {project!r}; "
        "it is shown this once",
        f"take it back with `zuji key revoke {key.id} --data {data}`",
    )
    return OK


def show(data: Path, project: str | None, database: str) -> int:
    """Lists keys."""
    from datetime import UTC, datetime

    from zuji.server.auth import list_keys

    with database_of(data, database) as store:
        keys = list_keys(store, project)
    table = Table("id", "project", "kind", "made", "state", "note")
    for key in keys:
        made = datetime.fromtimestamp(key.created_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        state = "works" if key.revoked_ms is None else "revoked"
        table.add_row(key.id, key.project, str(key.kind), made, state, Text(key.note))
    console().print(table if keys else Text("no keys; make one with `zuji key create`"))
    return OK


def revoke(data: Path, name: str, database: str) -> int:
    """Takes a key back."""
    from zuji.server.auth import revoke_key

    with database_of(data, database) as store:
        key = revoke_key(store, name)
    say(f"key {key.id} of project {key.project!r} is revoked")
    return OK
