"""``zuji plan``, ``quality``, ``live``: what a project expects, how often it is otherwise, and what
comes in now.
"""

from __future__ import annotations

import getpass
import json
import sys
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.cli import render
from zuji.server.cli.opening import reading
from zuji.server.cli.outcome import OK, REJECTS, say
from zuji.server.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zuji.server.meta import Store
    from zuji.server.plan.book import PlanBook
    from zuji.server.plan.document import Plan
    from zuji.server.plan.learn import Seen


def _store(data: Path, project: str, database: str) -> closing[Store]:
    """The server's database, once it is clear that the project is there.

    Raises:
        NotFound.
    """
    from zuji.engine.storage import names

    if not (data / project / names.CURRENT).exists():
        raise NotFound(f"there is no project {project!r} in {data}; make one with `zuji init`")
    from zuji.server.meta import open_store

    return closing(open_store(str(data), database))


@contextmanager
def _book(data: Path, project: str, database: str) -> Iterator[PlanBook]:
    with _store(data, project, database) as store:
        from zuji.server.plan.book import PlanBook

        yield PlanBook(store)


def read_plan(file: Path) -> Plan:
    """The plan of a file, ``-`` is standard input.

    Raises:
        NotFound. InvalidInput: it is not a sound plan.
    """
    from zuji.server.plan.document import decoded

    if str(file) == "-":
        return decoded(sys.stdin.buffer.read())
    if not file.is_file():
        raise NotFound(f"{file}: no such file")
    return decoded(file.read_bytes())


def show(data: Path, project: str, database: str, version: int | None) -> int:
    """Prints the plan that counts, or a version."""
    from zuji.server.plan.document import encoded

    with _book(data, project, database) as book:
        found = book.current(project) if version is None else book.version(project, version)
    render.write_text(encoded(found.plan).decode())
    say(f"version {found.version} of the plan" if found.version else "no plan was set: all is open")
    return OK


def put(
    data: Path, project: str, database: str, file: Path, note: str, expected: int | None
) -> int:
    """Makes a file the plan that counts."""
    plan = read_plan(file)
    with _book(data, project, database) as book:
        made = book.put(project, plan, _me(), note, expected)
    say(f"version {made.version} of the plan counts, mode {plan.mode}; servers take it at once")
    return OK


def check(data: Path, project: str, database: str, file: Path) -> int:
    """Says what a plan would change, and what it would do to events like those stored."""
    from zuji.server.plan.learn import differences, remarks

    plan = read_plan(file)
    with _book(data, project, database) as book:
        now = book.current(project)
    for line in differences(now.plan, plan):
        print(line)
    found = list(remarks(plan, _seen(data, project)))
    for line in found:
        print(f"! {line}")
    say(f"a sound plan; {len(found)} remarks about what is stored" if found else "a sound plan")
    return REJECTS if found else OK


def suggest(data: Path, project: str, database: str, output: Path | None) -> int:
    """Writes the plan with all that was seen declared."""
    from zuji.server.plan.document import encoded
    from zuji.server.plan.learn import suggested

    with _book(data, project, database) as book:
        now = book.current(project).plan
    plan = suggested(now, _seen(data, project))
    render.write_text(encoded(plan).decode(), output)
    say(
        f"{len(plan.events)} events, {len(plan.properties)} properties, "
        f"{len(plan.user_properties)} user properties",
        "edit it, `zuji plan check FILE`, then `zuji plan set FILE`",
    )
    return OK


def history(data: Path, project: str, database: str) -> int:
    """Lists the versions."""
    with _book(data, project, database) as book:
        versions = book.history(project)
    table = Table("version", "set", "by", "mode", "events", "properties", "note")
    for one in versions:
        made = datetime.fromtimestamp(one.created_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        plan = one.plan
        counts = (str(len(plan.events)), str(len(plan.properties) + len(plan.user_properties)))
        table.add_row(str(one.version), made, Text(one.author), plan.mode, *counts, Text(one.note))
    console().print(table if versions else Text("no plan was set: all is open"))
    return OK


def diff(data: Path, project: str, database: str, old: int | None, new: int | None) -> int:
    """Says what changed between two versions; the last two when none are named."""
    from zuji.server.plan.learn import differences

    with _book(data, project, database) as book:
        last = book.number(project) if new is None else new
        first = max(0, last - 1) if old is None else old
        before, after = book.version(project, first), book.version(project, last)
    for line in differences(before.plan, after.plan):
        print(line)
    say(f"version {first} → {last}")
    return OK


def quality(
    data: Path, project: str, database: str, first: str | None, last: str | None, form: str
) -> int:
    """Shows the counters of data quality."""
    with _store(data, project, database) as store:
        from zuji.server.plan.quality import Count, counted

        rows = counted(store, project, first or "", last or "9999-12-31")
    columns = Count._fields
    if form == "json":
        render.write_text(render.json_text([one._asdict() for one in rows]))
    elif form == "csv":
        render.write_text(render.csv_text(columns, rows))
    elif form != "table":
        raise InvalidInput("quality has the forms table, json and csv")
    elif rows:
        console().print(render.table_of(columns, rows))
    else:
        say("nothing was found wrong")
    return OK


def live(url: str, key: str, project: str | None, device: str, user: str) -> int:
    """Prints events as a server takes them in, until Ctrl-C."""
    from urllib.parse import urlencode

    asked = {"project": project, "device": device, "user": user}
    path = "/v1/live?" + urlencode({name: text for name, text in asked.items() if text})
    out = console()
    for kind, said in _streamed(url, path, key):
        if kind == "event":
            out.print(_line(said), soft_wrap=True)
        elif kind == "missed":
            say(f"{said['events']:,} more came than are shown")
        else:
            say(
                "the server stops"
                if said["code"] == "stopping"
                else "too slow: the server cut this off"
            )
    return OK


def _line(said: dict[str, Any]) -> Text:
    when = datetime.fromtimestamp(said["received_ms"] / 1000).astimezone().strftime("%H:%M:%S")
    outcome = said["outcome"]
    colour = {"stored": "green", "rejected": "red"}.get(outcome, "yellow")
    line = Text.assemble(when, " ", (outcome.ljust(8), colour), " ")
    if outcome == "rejected":
        line.append(f"{said['code']} at {said['path'] or 'the event'}: {said['message']} ")
    notes = [f"{n['code']} {n['path']}" for n in said["notes"]]
    if notes:
        line.append(f"[{', '.join(notes)}] ", "yellow")
    return line.append(json.dumps(said["event"], ensure_ascii=False))


def _streamed(url: str, path: str, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    from zuji.server.cli.asking_api import opened

    with opened(url, "GET", path, key) as answer:
        kind = ""
        for raw in answer:
            line = raw.decode().rstrip("\n")
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield kind, json.loads(line.removeprefix("data: "))


def _seen(data: Path, project: str) -> Seen:
    from zuji.server.plan.learn import Seen

    with reading(data, project) as engine:
        return Seen(engine.events(), engine.properties())


def _me() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return "command line"
