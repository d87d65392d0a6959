"""Reading of ``.test`` files: blocks of load, query and expect (README.md says how they look).

A block is a line at the left margin and the indented lines below it. Nothing is run here. What is
wrong with a file is a :class:`BadScript` with the file and the line.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from pathlib import Path

NULL = "-"
WORDS = ("project", "load", "query", "expect", "bind", "unbind", "undo", "whose")
COLUMNS = {"user": "user_id", "device": "device_id"}
FIELDS = ("user_id", "device_id", "event", "time", "type", "insert_id")
EXPECTS = ("some", "totals", "columns", "users", "error", "warning")
CELL = re.compile(r'\s*((?:"(?:\\.|[^"\\])*"|[^|"])*)(\||$)')
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BadScript(Exception):
    """The file is not written as README.md says."""


@dataclass(frozen=True, slots=True)
class Table:
    """Texts of cells below the names of their columns."""

    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class Block:
    """One block. ``rest``: what follows the word in its first line."""

    place: str
    word: str
    rest: str
    lines: list[str]

    def table(self) -> Table:
        """The lines as a table."""
        rows = [cells(line) for line in self.lines]
        if not rows:
            raise BadScript(f"{self.place}: a table has a line with the names of its columns")
        for row in rows[1:]:
            if len(row) != len(rows[0]):
                raise BadScript(
                    f"{self.place}: {' | '.join(row)!r} has {len(row)} cells, not {len(rows[0])}"
                )
        return Table(rows[0], rows[1:])

    def document(self) -> Any:
        """The lines as one JSON document."""
        try:
            return json.loads("\n".join(self.lines))
        except ValueError as error:
            raise BadScript(f"{self.place}: {error}") from error

    def options(self, known: tuple[str, ...]) -> dict[str, str]:
        """``a=1 b=2`` after the word."""
        found = dict(pair.partition("=")[::2] for pair in self.rest.split())
        if not found.keys() <= set(known):
            raise BadScript(f"{self.place}: {self.word} knows {', '.join(known)}")
        return found


def read(path: Path) -> list[Block]:
    """The blocks of a file, in order."""
    return blocks(path.read_text(encoding="utf-8"), path.name)


def blocks(text: str, name: str) -> list[Block]:
    """The blocks of a text, in order. ``name``: what it is called in errors."""
    found: list[Block] = []
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{name}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            if not found:
                raise BadScript(f"{place}: an indented line belongs to a block")
            found[-1].lines.append(line.strip())
            continue
        word, _, rest = line.partition(" ")
        if word not in WORDS:
            raise BadScript(f"{place}: a block begins with one of {', '.join(WORDS)}, not {word!r}")
        found.append(Block(place, word, rest.strip(), []))
    if not any(block.word in ("expect", "whose") for block in found):
        raise BadScript(f"{name}: nothing is expected")
    return found


def cells(line: str) -> list[str]:
    """Texts between bars; a bar inside of double quotes is text."""
    found, at = [], 0
    while True:
        part = CELL.match(line, at)
        if part is None:
            raise BadScript(f"a double quote has no end: {line!r}")
        found.append(part[1].strip())
        if part[2] == "":
            return found
        at = part.end()


def events(block: Block, zone: str) -> list[dict[str, Any]]:
    """The events of a load block: JSON, one a line, or a table."""
    if block.lines and block.lines[0].startswith("{"):
        try:
            return [json.loads(line) for line in block.lines]
        except ValueError as error:
            raise BadScript(f"{block.place}: {error}") from error
    table = block.table()
    names = [COLUMNS.get(name, name) for name in table.columns]
    return [_event(dict(zip(names, row, strict=True)), zone) for row in table.rows]


def _event(row: dict[str, str], zone: str) -> dict[str, Any]:
    given = {name: value(text) for name, text in row.items() if text != NULL}
    event = {name: given.pop(name) for name in FIELDS if name in given}
    event["time"] = instant(row["time"], zone)
    return {**event, "properties": given}


def value(text: str) -> Any:
    """A cell of a loaded table: JSON where it is some, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def instant(text: str, zone: str) -> int:
    """``2026-10-01 09:00`` in the project's zone, or with an offset of its own; ms UTC."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        local = moment.replace(tzinfo=ZoneInfo(zone))
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            raise BadScript(f"{text!r} in {zone} is no moment or two; write its offset")
        moment = local
    return (moment - EPOCH) // timedelta(milliseconds=1)


def same(text: str, given: Any) -> bool:
    """Whether a cell of an answer is what the script says: a number with decimals to as many as
    are written, anything else exactly.
    """
    if given is None or text == NULL:
        return given is None and text == NULL
    if isinstance(given, bool):
        return text == str(given).lower()
    if isinstance(given, int | float):
        try:
            wanted = float(text)
        except ValueError:
            return False
        decimals = len(text.partition(".")[2])
        return (round(given, decimals) if decimals else given) == wanted
    if isinstance(given, str):
        return given == (value(text) if text.startswith('"') else text)
    return bool(value(text) == given)


def shown(given: Any) -> str:
    """A cell of an answer as a script would write it."""
    if given is None:
        return NULL
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, int | float):
        return f"{round(given, 4):.10g}"
    if isinstance(given, str) and given not in ("", NULL) and not {"|", '"'} & set(given):
        return given
    return json.dumps(given, ensure_ascii=False)
