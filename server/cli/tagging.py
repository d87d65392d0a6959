"""``zuji tag``: what its commands do."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.table import Table

from zuji.engine.errors import InvalidInput
from zuji.server.cli import ids
from zuji.server.cli.defining import read_json
from zuji.server.cli.opening import reading, writing
from zuji.server.cli.outcome import FAILED, OK, say
from zuji.server.terminal import console

if TYPE_CHECKING:
    from pathlib import Path


def _print(value: Any) -> int:
    print(json.dumps(value, ensure_ascii=False, indent=1))
    return OK


def listed(data: Path, project: str, archived: bool, form: str) -> int:
    """Prints the tags."""
    with reading(data, project) as engine:
        found = engine.tags.all(archived=archived)
    if form == "json":
        return _print(found)
    table = Table("name", "kind", "type", "last day", "users", "description", box=None)
    for one in found:
        users = "" if one["users"] is None else f"{one['users']:,}"
        name = one["name"] + (" (archived)" if one["archived"] else "")
        day = one["last_day"] or ""
        table.add_row(name, one["kind"], one["type"], day, users, one["description"])
    if found:
        console().print(table)
    else:
        say("there are no tags; see `zuji tag set --help` and docs/tags.md")
    return OK


def show(data: Path, project: str, name: str) -> int:
    """Prints one."""
    with reading(data, project) as engine:
        return _print(engine.tags.show(name))


def put(data: Path, project: str, file: Path) -> int:
    """Defines the tags of a file, in its order."""
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    document = read_json(text, str(file))
    given = document if isinstance(document, list) else [document]
    if not given or not all(isinstance(one, dict) for one in given):
        raise InvalidInput(f"{file}: expected a definition {{'name': …, 'rule': …}}, or an array")
    with writing(data, project) as engine:
        for one in given:
            made = engine.tags.define(one)
            for warning in made["warnings"]:
                say(f"warning: {warning}")
            say(f"defined {made['name']} ({made['type']})")
    return OK


def refresh(
    data: Path, project: str, names: list[str], day: str, from_: str, missing: bool, due: bool
) -> int:
    """Makes values, and says how many users have one."""
    if due and (names or from_ or missing):
        raise InvalidInput("--due asks the schedules: it stands alone")
    with writing(data, project) as engine:
        tags = engine.tags
        if due:
            found = tags.refresh_due()
        else:
            found = tags.refresh(names or None, day=day, from_=from_ or None, missing=missing)
    failed = 0
    for one in found:
        if "error" in one:
            failed += 1
            say(f"{one['tag']} {one['day']}: {one['error']['message']}")
        else:
            say(f"{one['tag']} {one['day']}: {one['users']:,} users, {one['seconds']:.2f} s")
    if not found:
        say("nothing to do")
    return FAILED if failed else OK


def values(data: Path, project: str, name: str, day: str, limit: int, form: str) -> int:
    """Prints how many users have which value."""
    with reading(data, project) as engine:
        found = engine.tags.values(name, day=day or None, limit=limit)
    if form == "json":
        return _print(found)
    table = Table("value", "users", box=None)
    for value, users in found["rows"]:
        text = value if isinstance(value, str) else json.dumps(value)
        table.add_row(text, f"{users:,}")
    console().print(table)
    say(f"{found['users']:,} users" + (f", as of {found['day']}" if found["day"] else ""))
    return OK


def of_user(data: Path, project: str, user: str, id_type: str, day: str, name: str) -> int:
    """Prints a user's tags, or one over time."""
    kind = ids.id_type(id_type)
    with reading(data, project) as engine:
        if name:
            return _print(engine.tags.history(name, user, id_type=kind))
        return _print(engine.tags.of_user(user, id_type=kind, day=day or None))


def give(
    data: Path, project: str, name: str, value: str, users: list[str], id_type: str, who: str
) -> int:
    """Gives, or takes back."""
    kind = ids.id_type(id_type)
    try:
        given = json.loads(value)
    except ValueError:
        given = value
    with writing(data, project) as engine:
        count = engine.tags.give(name, [(one, given) for one in users], who, id_type=kind)
    say(f"{'took back from' if given is None else 'given to'} {count:,} users")
    return OK


def load(
    data: Path,
    project: str,
    name: str,
    file: Path,
    id_type: str,
    id_column: str,
    value_column: str,
    day: str,
    add: bool,
) -> int:
    """Loads a CSV file."""
    from zuji.engine.people.tags.loading import rows_of_csv

    kind = ids.id_type(id_type)
    with writing(data, project) as engine:
        if str(file) == "-":
            rows = rows_of_csv(sys.stdin, id_column, value_column)
            loaded = engine.tags.load(name, rows, id_type=kind, day=day, add=add)
        else:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                rows = rows_of_csv(lines, id_column, value_column)
                loaded = engine.tags.load(name, rows, id_type=kind, day=day, add=add)
    say(f"{loaded.users:,} users have a value from the file")
    if loaded.unknown:
        some = ", ".join(loaded.unknown_ids)
        say(f"{loaded.unknown:,} rows have ids that nobody has: {some}")
    return OK


def graph(data: Path, project: str) -> int:
    """Prints what is made of what."""
    with reading(data, project) as engine:
        return _print(engine.tags.graph())


def archive(data: Path, project: str, name: str, *, back: bool) -> int:
    """Archives, or brings back."""
    with writing(data, project) as engine:
        engine.tags.archive(name, back=back)
    say(f"{'restored' if back else 'archived'} {name}")
    return OK


def delete(data: Path, project: str, name: str, cascade: bool) -> int:
    """Removes."""
    with writing(data, project) as engine:
        gone = engine.tags.delete(name, cascade=cascade)
    say(f"removed {', '.join(gone)}")
    return OK
