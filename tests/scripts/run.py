"""Running of ``.test`` files against an engine, in several states of what was loaded.

``python -m tests.scripts.run FILE…`` runs files and, with ``--show``, prints what every query
answers, laid out as a script has it: write the numbers from the rules first, then compare.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgpack

from tests.scripts import script
from tests.scripts.script import BadScript, Block, Table
from zuji.engine import calendars
from zuji.engine.engine import create_project, open_project
from zuji.engine.errors import ZujiError
from zuji.engine.export import read_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.engine import Engine
    from zuji.engine.query.result import Result

STATES = ("appended", "scattered", "compacted")
"""As appended: all in the memtable. Scattered: an event a batch, a segment every three of them and
the rest in the memtable. Compacted: flushed, compacted and reopened after every load."""
ZONE, NOW = "Asia/Shanghai", "2030-01-01T00:00:00Z"
SCATTER = 3


class Run:
    """One script in one state."""

    def __init__(self, blocks: list[Block], state: str, folder: Path, show: Any = None) -> None:
        self.state, self.folder, self.show = state, folder, show
        options: dict[str, str] = {}
        if blocks[0].word == "project":
            options = blocks[0].options(("zone", "now", "shards", "shared"))
            blocks = blocks[1:]
        self.blocks = blocks
        self.zone = options.get("zone", ZONE)
        self.now = calendars.parse_instant(options.get("now", NOW))
        create_project(folder, "default", tz=self.zone, shards=int(options.get("shards", "2")))
        self.engine = self._open()
        if "shared" in options:
            self.engine.identity.set_shared_device(options["shared"])
        self.wrong: list[str] = []
        self.query: Any = None
        self.answer: Result | ZujiError | None = None

    def _open(self) -> Engine:
        return open_project(self.folder, "default", clock=lambda: self.now)

    def run(self) -> list[str]:
        """What is not as expected, one text an expectation."""
        words: dict[str, Callable[[Block], None]] = {
            "load": self._load,
            "query": self._ask,
            "expect": self._expect,
            "bind": self._say_of_ids,
            "unbind": self._say_of_ids,
            "undo": self._say_of_ids,
            "whose": self._whose,
        }
        try:
            for block in self.blocks:
                if block.word not in words:
                    raise BadScript(f"{block.place}: {block.word} stands in the first line")
                words[block.word](block)
            self._unexpected()
        finally:
            self.engine.close()
        return self.wrong

    def _load(self, block: Block) -> None:
        self._unexpected()
        self.query = None
        events = script.events(block, self.zone)
        refused = int(block.options(("refused",)).get("refused", "0"))
        if self.state == "scattered":
            for number, event in enumerate(events, 1):
                refused -= self._append([event])
                if number % SCATTER == 0:
                    self.engine.flush()
        else:
            refused -= self._append(events)
        if refused:
            raise BadScript(f"{block.place}: {-refused} more events were refused than expected")
        self._settle()

    def _settle(self) -> None:
        if self.state == "compacted":
            self.engine.flush()
            self.engine.compact()
            self.engine.close()
            self.engine = self._open()

    def _say_of_ids(self, block: Block) -> None:
        self._unexpected()
        self.query = None
        said = block.options(("user", "device", "time"))
        user, device = said.get("user"), said["device"]
        if block.word == "undo":
            assert user is not None
            self.engine.identity.undo(user, device)
        else:
            time = script.instant(said["time"], self.zone)
            say = self.engine.identity.bind if block.word == "bind" else self.engine.identity.unbind
            say(user, device, time)
        self._settle()

    def _whose(self, block: Block) -> None:
        """All events, by time: the user that each belongs to, and the device that it came with."""
        self._unexpected()
        self.query = None
        table = block.table()
        names = [script.COLUMNS.get(name, name) for name in table.columns]
        rows = [row for part in read_events(self.engine) for row in part.to_pylist()]
        rows.sort(key=lambda row: (row["time"], row["event"]))
        for row in rows:
            local = row["time"].astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
            row["time"] = local.isoformat(" ", "seconds").removesuffix(":00")
        given = [[row.get(name) for name in names] for row in rows]
        if self.show:
            self.show(f"{block.place}\n{_table(table.columns, given)}")
        if len(given) != len(table.rows) or not all(map(_same, table.rows, given)):
            self._say(block, "they are\n" + _table(table.columns, given))

    def _append(self, events: list[dict[str, Any]]) -> int:
        return len(self.engine.append_batch(msgpack.packb({"events": events})).rejected)

    def _ask(self, block: Block) -> None:
        self._unexpected()
        self.query = block.document()
        try:
            self.answer = self.engine.query(self.query)
        except ZujiError as error:
            self.answer = error
        if self.show:
            self.show(f"{block.place}: {block.rest}\n{_laid_out(self.answer)}")

    def _unexpected(self) -> None:
        """A query that failed, and nothing said that it would."""
        if isinstance(self.answer, ZujiError):
            self.wrong.append(f"{self.state}: {json.dumps(self.query)}: {self.answer}")
        self.answer = None

    def _expect(self, block: Block) -> None:
        what, _, rest = block.rest.partition(" ")
        if self.query is None:
            raise BadScript(f"{block.place}: there is no query to expect something of")
        if what == "error":
            error, self.answer = self.answer, None
            self._error(block, rest, error)
            return
        if not isinstance(self.answer, ZujiError):
            assert self.answer is not None
            if what == "users":
                self._users(block, rest)
            elif what == "columns":
                self._differ(
                    block, [c.strip() for c in " ".join(block.lines).split(",")], self.answer.names
                )
            elif what == "warning":
                told = self.answer.meta["warnings"]
                if not any(" ".join(block.lines) in str(text) for text in told):
                    self._say(block, f"warnings are {told}")
            elif what == "totals":
                totals = self.answer.totals
                self._rows(block, totals["columns"], totals["rows"], some=False)
            elif what in ("", "some"):
                self._rows(block, self.answer.names, self.answer.rows, some=what == "some")
            else:
                raise BadScript(f"{block.place}: expect {', '.join(script.EXPECTS)}, not {what!r}")

    def _rows(self, block: Block, names: list[str], rows: list[list[Any]], *, some: bool) -> None:
        table = block.table()
        if missing := [name for name in table.columns if name not in names]:
            self._say(block, f"no column {missing}; there are {names}")
            return
        at = [names.index(name) for name in table.columns]
        given = [[row[i] for i in at] for row in rows]
        left = iter(given)
        if some:
            good = all(any(_same(row, one) for one in left) for row in table.rows)
        else:
            good = len(given) == len(table.rows) and all(map(_same, table.rows, given))
        if not good:
            self._say(block, "the answer is\n" + _table(table.columns, given))

    def _users(self, block: Block, pick: str) -> None:
        try:
            listed = self.engine.users(self.query, json.loads(pick))
        except ZujiError as error:
            self._say(block, str(error))
            return
        self._differ(
            block, sorted(block.lines), sorted(user or device for user, device in listed.rows)
        )

    def _error(self, block: Block, rest: str, error: Any) -> None:
        code, _, path = rest.partition(" at ")
        if not isinstance(error, ZujiError):
            self._say(block, "there was no error, but\n" + _laid_out(error))
        elif (error.code, getattr(error, "path", "")) != (code, path or getattr(error, "path", "")):
            self._say(block, f"it was {error.code}: {error}")
        elif " ".join(block.lines) not in str(error):
            self._say(block, f"the message is {str(error)!r}")

    def _differ(self, block: Block, wanted: list[str], given: list[str]) -> None:
        if wanted != given:
            self._say(block, f"they are {given}")

    def _say(self, block: Block, text: str) -> None:
        self.wrong.append(f"{block.place}, {self.state}: {text}")


def _same(wanted: list[str], given: list[Any]) -> bool:
    return all(script.same(text, cell) for text, cell in zip(wanted, given, strict=True))


def _laid_out(answer: Result | ZujiError | None) -> str:
    if answer is None or isinstance(answer, ZujiError):
        return f"  {answer.code if answer else None}: {answer}"
    return _table(answer.names, answer.rows)


def _table(names: list[str], rows: list[list[Any]]) -> str:
    laid = Table(list(names), [[script.shown(cell) for cell in row] for row in rows])
    lines = [laid.columns, *laid.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(laid.columns))]
    padded = ([cell.ljust(w) for cell, w in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  " + " | ".join(line).rstrip() for line in padded)


def main() -> int:
    """Runs files by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.scripts.run", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--show", action="store_true", help="print every answer")
    args = parser.parse_args()
    wrong: list[str] = []
    for path in args.files:
        for state in STATES:
            show = print if args.show and state == STATES[0] else None
            with tempfile.TemporaryDirectory() as folder:
                wrong += Run(script.read(path), state, Path(folder), show).run()
    print("\n".join(wrong) or "as expected")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
