"""A generated project in the engine and in the oracle at once, taken through its states.

States: as appended (some flushes in between), after flush, after compaction, after reopening, after
more batches, and after the recovery of a copy of its files.
"""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import msgpack

import zuji
from tests.oracle.asking import RefusedQuery
from tests.oracle.models import MODELS
from tests.oracle.project import OracleProject
from tests.property.comparison import Expected
from zuji.engine.config import Config
from zuji.engine.engine import create_project
from zuji.engine.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.oracle import generate

STATES = ("appended", "flushed", "compacted", "reopened", "grown", "recovered")
NOW = 4_000_000_000_000
# A pair is small; its budgets only have to outlast a busy machine.
PATIENT = Config(query_seconds=300.0)


def packed(events: list[dict[str, Any]], batch_id: str | None) -> bytes:
    """One batch as it goes over the wire."""
    document: dict[str, Any] = {"events": events}
    if batch_id is not None:
        document["batch_id"] = batch_id
    blob: bytes = msgpack.packb(document, datetime=True)
    return blob


def dicts(result: Any) -> list[dict[str, Any]]:
    """Rows of a result, by column."""
    names = [column.name for column in result.columns]
    return [dict(zip(names, row, strict=True)) for row in result.rows]


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """The picks that a row of the answer offers, with the number of users that each must list."""
    pick: dict[str, Any] = {}
    if query.get("by"):
        if row["is_other"]:
            pick["is_other"] = True
        else:
            pick["by"] = {item["p"]: row[item["p"]] for item in query["by"]}
    if "range" in row:
        pick["range"] = row["range"]
    told = MODELS[query["model"]].picks(query, row)
    return [({**pick, **own}, size) for own, size in told]


class Pair:
    """One project, twice."""

    def __init__(self, case: generate.Case, folder: Path) -> None:
        self.case = case
        self.folder = folder
        self.oracle = OracleProject(case.tz)
        create_project(folder, "default", tz=case.tz, shards=case.shards)
        self.engine = zuji.open(folder, config=PATIENT)
        self._told: dict[str, Expected | RefusedQuery] = {}
        self._rng = random.Random(f"load {case.seed}")
        # Some batches are kept for after the reopening: late events, repeats across a restart.
        self._later = len(case.batches) * self._rng.choice([2, 3, 4]) // 4
        self._append(case.batches[: self._later])

    def _append(self, batches: list[tuple[str | None, list[dict[str, Any]]]]) -> None:
        self._told.clear()
        for batch_id, events in batches:
            self.oracle.append(events, batch_id)
            self.engine.append_batch(packed(events, batch_id))
            if self._rng.random() < 0.3:
                self.engine.flush()
            if self._rng.random() < 0.05:
                self.engine.compact()

    def states(self) -> Iterator[str]:
        """Goes from state to state."""
        yield "appended"
        self.engine.flush()
        yield "flushed"
        self.engine.compact()
        yield "compacted"
        self.engine.close()
        self.engine = zuji.open(self.folder, config=PATIENT)
        yield "reopened"
        if not self.case.batches:
            return
        # The first batch again, too: with an id or insert ids it must not count twice.
        self._append([*self.case.batches[self._later :], self.case.batches[0]])
        yield "grown"
        # What a killed process leaves behind: the files as they are, the WAL not yet in segments.
        copied = self.folder.with_name(self.folder.name + "-copy")
        shutil.copytree(self.folder, copied)
        self.engine.close()
        self.engine = zuji.open(copied, config=PATIENT)
        yield "recovered"

    def rows(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """The engine's answer as dicts."""
        return dicts(self.engine.query(query))

    def expected(self, query: dict[str, Any]) -> Expected | RefusedQuery:
        """What the oracle says, made once for all states that hold the same events."""
        key = json.dumps(query, sort_keys=True)
        if key not in self._told:
            try:
                self._told[key] = Expected.of(self.oracle, query, NOW)
            except RefusedQuery as refusal:
                self._told[key] = refusal
        return self._told[key]

    def differences(self, query: dict[str, Any]) -> list[str]:
        """Where engine and oracle disagree about one query."""
        expected = self.expected(query)
        if isinstance(expected, RefusedQuery):
            try:
                self.rows(query)
            except InvalidQuery:
                return []
            return [f"the engine answered, the oracle refused: {expected}"]
        result = self.engine.query(query)
        return expected.differences(dicts(result), result.totals)

    def wrong_lists(self, query: dict[str, Any], rng: random.Random, most: int = 12) -> list[str]:
        """Cells whose list of users has another size than the cell."""
        try:
            rows = self.rows(query)
        except InvalidQuery:
            return []
        found: list[str] = []
        cells = [cell for row in rows for cell in picks(query, row)]
        for pick, size in rng.sample(cells, min(most, len(cells))):
            listed = self.engine.users(query, pick)
            if len(listed.rows) != size or len({tuple(r) for r in listed.rows}) != size:
                found.append(f"{pick} lists {len(listed.rows)} users, the cell says {size}")
        return found

    def close(self) -> None:
        """Closes the engine."""
        self.engine.close()
