"""A history of ids in the engine and in the oracle at once: whose each row is, and every answer.

:class:`Lives` takes the steps one by one. At each ``ask`` three things are compared: the owner of
every stored row (by reading the project out), the values of every user's properties, and the
answers of some queries. Cells that count users must list as many.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

import zuji
from tests.oracle.asking import RefusedQuery
from tests.oracle.identity import OracleIdentity
from tests.oracle.models import MODELS
from tests.oracle.project import OracleProject
from tests.oracle.queries import query_of
from tests.property.comparison import Expected
from tests.property.pairs import NOW, dicts, packed, picks
from zuji.engine.config import Config
from zuji.engine.engine import create_project
from zuji.engine.errors import InvalidQuery, NotFound
from zuji.engine.types import PROFILE_EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.oracle.histories import History, Step
    from zuji.engine.engine import Engine
    from zuji.engine.types import Column

QUERIES = 2
"""Queries at each ``ask``, drawn anew from all models."""
LISTS = 2
# A history is small: one thread is enough, and its budgets have to outlast a busy machine.
PATIENT = Config(threads=1, query_seconds=300.0)
MODEL_NAMES = sorted(MODELS)


class Lives:
    """One history, twice."""

    def __init__(self, history: History, folder: Path) -> None:
        self.history = history
        self.oracle = OracleProject(history.tz, identity=OracleIdentity(history.shared))
        self._folder = folder
        self._copies = 0
        create_project(folder, "default", tz=history.tz, shards=history.shards)
        self.engine = zuji.open(folder, config=PATIENT)
        self.engine.identity.set_shared_device(history.shared)

    def differences(self, only: str | None = None) -> Iterator[tuple[int, str]]:
        """Goes through the history; (number of the step, what differed after it). ``only``: queries
        of that model alone.
        """
        for number, step in enumerate(self.history.steps):
            if step[0] == "ask":
                for line in self._asked(number, only):
                    yield number, line
            else:
                self._do(step)

    def _do(self, step: Step) -> None:
        what, *given = step
        if what == "append":
            batch_id, events = given
            self.oracle.append(events, batch_id)
            self.engine.append_batch(packed(events, batch_id))
        elif what == "bind":
            user, device, time = given
            self.oracle.identity.together(device, user, time)
            self.engine.identity.bind(user, device, time)
        elif what == "unbind":
            user, device, time = given
            self.oracle.identity.apart(device, user, time)
            self.engine.identity.unbind(user, device, time)
        elif what == "undo":
            user, device = given
            known = user in self.oracle.identity.customers_of(device)
            try:
                self.engine.identity.undo(user, device)
            except NotFound:
                assert not known, f"there was something to undo of {user} and {device}"
            self.oracle.identity.undo(device, user)
        elif what == "flush":
            self.engine.flush()
        elif what == "compact":
            self.engine.compact()
        else:
            self._reopen(killed=what == "killed")
        self.oracle.resolve_again()

    def _reopen(self, *, killed: bool) -> None:
        """Opens the files anew; killed: as a dead process leaves them, the WAL not in segments."""
        if killed:
            self._copies += 1
            copied = self._folder.with_name(f"killed{self._copies}")
            shutil.copytree(self._folder, copied)
            self.engine.close()
            shutil.rmtree(self._folder)
            self._folder = copied
        else:
            self.engine.close()
        self.engine = zuji.open(self._folder, config=PATIENT)

    # -- what must be equal --------------------------------------------------------------------

    def _asked(self, number: int, only: str | None) -> Iterator[str]:
        yield from self._wrong_owners()
        yield from self._wrong_conflicts()
        if self.history.tied:
            return
        if self._has_ties():
            return
        rng = random.Random(f"ask {self.history.seed} {number}")
        for _ in range(QUERIES):
            query = query_of(self.history, rng.randrange(10**6), only or rng.choice(MODEL_NAMES))
            if rng.random() < 0.7:
                query.pop("compare", None)
            wrong = self.wrong_answer(query)
            if not wrong and rng.random() < 0.3:
                wrong = self._wrong_lists(query, rng)
            for line in wrong:
                yield f"{query}: {line}"

    def _has_ties(self) -> bool:
        """Whether somebody has rows of two ids at one instant: these have no order."""
        instants: dict[tuple[Any, int], Any] = {}
        rows = [(row.user, row.time, row.ids) for row in self.oracle.rows]
        rows += [
            (self.oracle.owner(*ids, time), time, ids) for ids, time, _ in self.oracle._records
        ]
        named = (
            (owner, time, ("user", ids[0]) if ids[0] is not None else ("device", ids[1]))
            for owner, time, ids in rows
        )
        return any(instants.setdefault((owner, time), who) != who for owner, time, who in named)

    def _wrong_owners(self) -> Iterator[str]:
        """Rows whose owner differs; a row is known by its event, time and raw ids."""
        stored = Counter(rows_of(self.engine))
        wanted: Counter[tuple[Any, ...]] = Counter()
        for row in self.oracle.rows:
            user = row.user[1] if row.user[0] == "user" else None
            wanted[row.event, row.time, user, row.ids[1]] += 1
        for sign, rows in (("missing", wanted - stored), ("too many", stored - wanted)):
            for row, count in sorted(rows.items(), key=repr):
                yield f"{sign} ({count}): event, time, user, device = {row}"

    def _wrong_conflicts(self) -> Iterator[str]:
        told = [
            (c["device_id"], c["time"], tuple(c["user_ids"]))
            for c in self.engine.identity.conflicts()
        ]
        wanted = [(c.device, c.time, c.customers) for c in self.oracle.identity.conflicts()]
        if told != wanted:
            yield f"conflicts: engine {told}, oracle {wanted}"

    def wrong_answer(self, query: dict[str, Any]) -> list[str]:
        """Where the answers to a query differ."""
        try:
            expected = Expected.of(self.oracle, query, NOW)
        except RefusedQuery as refusal:
            try:
                self.engine.query(query)
            except InvalidQuery:
                return []
            return [f"the engine answered, the oracle refused: {refusal}"]
        try:
            result = self.engine.query(query)
        except InvalidQuery as refusal:
            if "nests at most" in str(refusal):  # audiences of audiences, by chance
                return []
            raise
        return expected.differences(dicts(result), result.totals)

    def _wrong_lists(self, query: dict[str, Any], rng: random.Random) -> list[str]:
        try:
            rows = dicts(self.engine.query(query))
        except InvalidQuery:
            return []
        found = []
        cells = [cell for row in rows for cell in picks(query, row)]
        for pick, size in rng.sample(cells, min(LISTS, len(cells))):
            listed = self.engine.users(query, pick).rows
            if len(listed) != size or len({tuple(r) for r in listed}) != size:
                found.append(f"{pick} lists {len(listed)} users, the cell says {size}")
        return found

    def close(self) -> None:
        """Closes the engine."""
        self.engine.close()


def rows_of(engine: Engine) -> Iterator[tuple[str, int, str | None, str | None]]:
    """(event, ms, customer, device) of each row that queries see; no customer: the device's own."""
    view = engine._pin()
    for shard, sources in enumerate(view.sources):
        for source in sources:
            for event, run in source.runs.items():
                if event in PROFILE_EVENTS:
                    continue
                ordinals, offsets = run.users()
                owners = [
                    owner
                    for owner, rows in zip(
                        view.names(shard, ordinals), np.diff(offsets).tolist(), strict=True
                    )
                    for _ in range(rows)
                ]
                times = (run.times().astype(np.int64) + run.base_ms).tolist()
                devices = _texts(run.column("$device_id"), len(times))
                for ms, (user, own), device in zip(times, owners, devices, strict=True):
                    yield event, ms, user, device if own is None else own


def _texts(column: Column | None, rows: int) -> list[str | None]:
    if column is None:
        return [None] * rows
    there = np.ones(rows, bool) if column.present is None else column.present > 0
    names = list(column.dictionary or ())
    return [
        names[code] if has else None
        for code, has in zip(column.values.tolist(), there.tolist(), strict=True)
    ]
