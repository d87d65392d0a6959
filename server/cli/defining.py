"""``zuji define``: virtual events and properties of a project."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.table import Table

from zuji.engine.errors import InvalidInput
from zuji.server.cli.opening import reading, writing
from zuji.server.cli.outcome import OK, say
from zuji.server.terminal import console

if TYPE_CHECKING:
    from pathlib import Path


def show(data: Path, project: str, form: str) -> int:
    """Prints what is defined."""
    with reading(data, project) as engine:
        found = engine.definitions()
    if form == "json":
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return OK
    table = Table("name", "what it stands for", "type", "description", box=None)
    for name, one in found["events"].items():
        members = [_event(each) for each in one["of"]]
        table.add_row(name, " or ".join(members), "event", one["description"])
    for p, one in found["properties"].items():
        table.add_row(p, one["as"], one["type"], one["description"])
    if table.row_count:
        console().print(table)
    else:
        say("nothing is defined; see `zuji define event --help`")
    return OK


def _event(ref: dict[str, Any]) -> str:
    names = ref["e"] if isinstance(ref["e"], str) else " | ".join(ref["e"])
    where = ref.get("where")
    return names if where is None else f"{names} {json.dumps(where, ensure_ascii=False)}"


def put(data: Path, project: str, file: Path) -> int:
    """Takes the definitions of a file, beside those that are there."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    document = read_json(text, str(file))
    if not isinstance(document, dict) or not set(document) <= {"events", "properties"}:
        raise InvalidInput(f"{file}: expected {{'events': …, 'properties': …}}")
    return change(data, project, document.get("events", {}), document.get("properties", {}))


def change(data: Path, project: str, events: dict[str, Any], properties: dict[str, Any]) -> int:
    """Defines, and says how many."""
    with writing(data, project) as engine:
        engine.define(events, properties)
    say(f"defined {', '.join([*events, *properties]) or 'nothing'}")
    return OK


def remove(data: Path, project: str, names: list[str]) -> int:
    """Takes definitions away."""
    with writing(data, project) as engine:
        engine.undefine(*names)
    say(f"removed {', '.join(names)}")
    return OK


def read_json(text: str, what: str) -> Any:
    """JSON values of a text.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from None
