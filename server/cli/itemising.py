"""``zuji item``: items of a project, and the properties that name them."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from rich.table import Table

from zuji.engine.errors import InvalidInput
from zuji.server.cli.defining import read_json
from zuji.server.cli.opening import reading, writing
from zuji.server.cli.outcome import OK, REJECTS, say
from zuji.server.terminal import console

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.engine.writer import AppendResult


def types(data: Path, project: str, form: str) -> int:
    """Lists the types."""
    with reading(data, project) as engine:
        found = engine.items.types()
    if form == "json":
        _print(found)
        return OK
    table = Table("type", "items", "properties", "named by", box=None)
    for one in found:
        properties = ", ".join(f"{name} ({kind})" for name, kind in one["properties"].items())
        table.add_row(one["name"], f"{one['items']:,}", properties, ", ".join(one["joined"]))
    if found:
        console().print(table)
    else:
        say("there are no items; see `zuji item set --help` and docs/items.md")
    return OK


def listed(data: Path, project: str, item_type: str, after: str, limit: int) -> int:
    """Prints items as JSON lines."""
    with reading(data, project) as engine:
        for item_id, properties in islice(
            engine.items.all(item_type, after=after or None), limit or None
        ):
            _print({"id": item_id, "properties": properties})
    return OK


def show(data: Path, project: str, item_type: str, item_id: str) -> int:
    """Prints one item."""
    with reading(data, project) as engine:
        _print(engine.items.get(item_type, item_id))
    return OK


def put(data: Path, project: str, item_type: str, file: Path) -> int:
    """Sets the items of a file."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    given = read_json(text, str(file))
    if not isinstance(given, dict) or not all(isinstance(one, dict) for one in given.values()):
        raise InvalidInput(f"{file}: expected {{ID: {{NAME: VALUE, …}}, …}}")
    with writing(data, project) as engine:
        return _told(engine.items.set(item_type, given), "set")


def delete(data: Path, project: str, item_type: str, ids: list[str]) -> int:
    """Deletes items."""
    with writing(data, project) as engine:
        return _told(engine.items.delete(item_type, ids), "deleted")


def _told(done: AppendResult, what: str) -> int:
    say(f"{what} {done.accepted:,}")
    for one in done.rejected[:5]:
        say(f"refused: {one.reason} {one.path}: {one.message}")
    if done.rejected:
        say(f"{len(done.rejected):,} refused, in the quarantine: `zuji rejected list`")
    return REJECTS if done.rejected else OK


def join(data: Path, project: str, p: str, item_type: str) -> int:
    """Says that a property names items."""
    with writing(data, project) as engine:
        engine.items.join(p, item_type)
        kinds = next(one for one in engine.items.types() if one["name"] == item_type)["properties"]
    shown = ", ".join(f"{p}.{name}" for name in kinds) or f"nothing yet: there is no {item_type}"
    say(f"{p} names items of type {item_type}: {shown}")
    return OK


def unjoin(data: Path, project: str, p: str) -> int:
    """Takes that back."""
    with writing(data, project) as engine:
        engine.items.unjoin(p)
    say(f"{p} names no items any more")
    return OK


def _print(value: Any) -> None:
    print(msgspec.json.encode(value).decode())
