"""``zuji cohort``: what its commands do."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
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


def _document(file: Path) -> Any:
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    return read_json(text, str(file))


def listed(data: Path, project: str, form: str) -> int:
    """Prints the cohorts."""
    with reading(data, project) as engine:
        found = engine.cohorts.all()
    if form == "json":
        return _print(found)
    table = Table("name", "kind", "users", "schedule", "description", box=None)
    for one in found:
        users = "" if one["users"] is None else f"{one['users']:,}"
        table.add_row(one["name"], one["kind"], users, one["schedule"] or "", one["description"])
    if found:
        console().print(table)
    else:
        say("there are no cohorts; see `zuji cohort set --help` and docs/cohorts.md")
    return OK


def show(data: Path, project: str, name: str) -> int:
    """Prints one."""
    with reading(data, project) as engine:
        return _print(engine.cohorts.show(name))


def put(data: Path, project: str, file: Path) -> int:
    """Defines the cohorts of a file, in its order."""
    document = _document(file)
    given = document if isinstance(document, list) else [document]
    if not given or not all(isinstance(one, dict) for one in given):
        raise InvalidInput(f"{file}: expected a definition {{'name': …, 'rule': …}}, or an array")
    with writing(data, project) as engine:
        for one in given:
            made = engine.cohorts.define(one)
            for warning in made["warnings"]:
                say(f"warning: {warning}")
            say(f"defined {made['name']}: {made['users']:,} users")
    return OK


def estimate(data: Path, project: str, file: Path) -> int:
    """Prints the size of a rule."""
    document = _document(file)
    if not isinstance(document, dict):
        raise InvalidInput(f"{file}: expected a rule {{'did': …}} or a definition")
    with reading(data, project) as engine:
        return _print(engine.cohorts.estimate(document))


def refresh(data: Path, project: str, names: list[str], as_of: str, parts: bool, due: bool) -> int:
    """Makes versions, and says how many users they have."""
    if due == bool(names) or (due and (as_of or parts)):
        raise InvalidInput("name cohorts, or say --due alone: what the schedules want by now")
    failed = 0
    with writing(data, project) as engine:
        if not due:
            for name in names:
                made = engine.cohorts.refresh(name, as_of=as_of or None, parts=parts)
                say(f"{name}: {made['users']:,} users")
            return OK
        found = engine.cohorts.refresh_due()
    for one in found:
        failed += "code" in one
        say(f"{one['cohort']}: " + (one.get("message") or f"{one['users']:,} users"))
    if not found:
        say("nothing to do")
    return FAILED if failed else OK


def load(
    data: Path,
    project: str,
    name: str,
    file: Path,
    id_type: str,
    column: str,
    how: str,
    description: str,
) -> int:
    """Loads a CSV file."""
    from zuji.engine.people.cohort_members import ids_of_csv

    kind = ids.id_type(id_type)
    with writing(data, project) as engine, ExitStack() as opened:
        lines = (
            sys.stdin
            if str(file) == "-"
            else opened.enter_context(file.open(encoding="utf-8-sig", newline=""))
        )
        found = ids_of_csv(lines, column or None, id_type)
        loaded = engine.cohorts.load(name, found, kind, how=how, description=description)
    say(f"{loaded['found']:,} of {loaded['given']:,} ids found; {name}: {loaded['users']:,} users")
    if loaded["unknown"]:
        say(f"nobody has {loaded['unknown']:,} ids, as {', '.join(loaded['examples'])}")
    return OK


def save(data: Path, project: str, name: str, query: Path, pick: str, description: str) -> int:
    """Saves the users behind a cell."""
    cell = read_json(pick, "the cell")
    if not isinstance(cell, dict):
        raise InvalidInput("the cell is a JSON object, like {'series': 'A'}")
    with writing(data, project) as engine:
        made = engine.cohorts.save(name, _document(query), cell, description=description)
    say(f"{name}: {made['users']:,} users")
    return OK


def members(data: Path, project: str, name: str, id_type: str, as_of: str, output: str) -> int:
    """Writes the ids of all members."""
    count, kind = 0, ids.id_type(id_type)
    with reading(data, project) as engine, ExitStack() as opened:
        found = engine.cohorts.export(name, as_of=as_of or None, id_type=kind)
        first = next(found, None)
        out = (
            opened.enter_context(open(output, "w", encoding="utf-8", newline=""))
            if output
            else sys.stdout
        )
        out.write(f"{id_type}\n")
        if first is not None:
            import csv

            writer = csv.writer(out, lineterminator="\n")
            writer.writerow([first])
            count = 1
            for text in found:
                writer.writerow([text])
                count += 1
    if output:
        say(f"wrote {count:,} ids to {output}")
    return OK


def has(data: Path, project: str, name: str, user: str, id_type: str, as_of: str) -> int:
    """Says whether somebody is a member."""
    kind = ids.id_type(id_type)
    with reading(data, project) as engine:
        found = engine.cohorts.contains(name, {kind: user}, as_of=as_of or None)
    print("yes" if found else "no")
    return OK if found else FAILED


def overlap(data: Path, project: str, names: list[str], as_of: str, form: str) -> int:
    """Prints how cohorts lie to each other."""
    with reading(data, project) as engine:
        found = engine.cohorts.overlap(names, as_of=as_of or None)
    if form == "json":
        return _print(found)
    table = Table("cohorts", "users", "in both", "only first", "only second", box=None)
    for name, users in found["users"].items():
        table.add_row(name, f"{users:,}", "", f"{found['only'][name]:,}", "")
    for pair in found["pairs"]:
        sizes = (f"{pair[key]:,}" for key in ("both", "only_first", "only_second"))
        table.add_row(f"{pair['first']} × {pair['second']}", "", *sizes)
    console().print(table)
    say(f"{found['all']:,} users in all of them, {found['any']:,} in any")
    return OK


def delete(data: Path, project: str, name: str, cascade: bool) -> int:
    """Removes."""
    with writing(data, project) as engine:
        gone = engine.cohorts.delete(name, cascade=cascade)
    say(f"removed {', '.join(gone)}")
    return OK
