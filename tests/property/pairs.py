"""A generated project in the engine and in the oracle at once, taken through its states.

States: as appended (some flushes in between), after flush, after compaction, after reopening.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgpack

import zuji
from tests.oracle.answers import RefusedQuery, answer
from tests.oracle.project import OracleProject
from tests.property.comparison import differences
from zuji.engine.engine import create_project
from zuji.engine.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.oracle import generate

STATES = ("appended", "flushed", "compacted", "reopened")
NOW = 4_000_000_000_000


def packed(events: list[dict[str, Any]], batch_id: str | None) -> bytes:
    """One batch as it goes over the wire."""
    document: dict[str, Any] = {"events": events}
    if batch_id is not None:
        document["batch_id"] = batch_id
    blob: bytes = msgpack.packb(document, datetime=True)
    return blob


class Pair:
    """One project, twice."""

    def __init__(self, case: generate.Case, folder: Path) -> None:
        self.case = case
        self.folder = folder
        self.oracle = OracleProject(case.tz)
        create_project(folder, "default", tz=case.tz, shards=case.shards)
        self.engine = zuji.open(folder)
        rng = random.Random(f"load {case.seed}")
        for batch_id, events in case.batches:
            self.oracle.append(events, batch_id)
            self.engine.append_batch(packed(events, batch_id))
            if rng.random() < 0.3:
                self.engine.flush()
            if rng.random() < 0.05:
                self.engine.compact()

    def states(self) -> Iterator[str]:
        """Goes from state to state."""
        yield "appended"
        self.engine.flush()
        yield "flushed"
        self.engine.compact()
        yield "compacted"
        self.engine.close()
        self.engine = zuji.open(self.folder)
        yield "reopened"

    def rows(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        """The engine's answer as dicts."""
        result = self.engine.query(query)
        names = [column.name for column in result.columns]
        return [dict(zip(names, row, strict=True)) for row in result.rows]

    def differences(self, query: dict[str, Any]) -> list[str]:
        """Where engine and oracle disagree about one query."""
        try:
            expected = answer(self.oracle, query, NOW)
        except RefusedQuery as refusal:
            try:
                self.rows(query)
            except InvalidQuery:
                return []
            return [f"the engine answered, the oracle refused: {refusal}"]
        return differences(self.rows(query), expected)

    def close(self) -> None:
        """Closes the engine."""
        self.engine.close()
