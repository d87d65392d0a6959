"""Rows gathered from several sources for other users, against plain rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.segment_rows import END, MONTH, START, Row, check, decoded, in_order, rows
from tests.property.test_segments import FILES, TZ, viewed, written
from zuji.engine.storage import compaction
from zuji.engine.storage.cache import ColumnCache
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.storage.gathered import NONE, ORIGIN, Gathered, Picked
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.partition import Partition, day_edges
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.without import Rewritten

if TYPE_CHECKING:
    from pathlib import Path

PARTITION = Partition(MONTH, START, END)
EDGES = day_edges(TZ, START, END)
NOBODY = np.empty(0, np.uint32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gathered")


def _picked(
    source: Any, held: list[Row], age: int, to: dict[int, int]
) -> tuple[list[Picked], list[Row]]:
    """The rows of users that ``to`` names, given to the users it says; the same as plain rows."""
    parts, given_rows = [], []
    ordered = [row for _, row in in_order(held)]
    for event, run in source.runs.items():
        mine = [row for row in ordered if row.event == event]
        numbers = [i for i, row in enumerate(mine) if row.ordinal in to]
        if numbers:
            users = np.array([to[mine[i].ordinal] for i in numbers], np.uint32)
            origin = np.full(len(numbers), NONE, np.uint32)
            parts.append(Picked(run, np.array(numbers, np.int64), users, origin, age))
    for row in held:
        if row.ordinal in to:
            given_rows.append(replace(row, ordinal=to[row.ordinal]))
    return parts, given_rows


@given(
    parts=st.lists(rows(max_size=14), min_size=1, max_size=4),
    moved=st.sets(st.integers(0, 3), min_size=1),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_gathered_rows(
    parts: list[list[Row]], moved: set[int], data: st.DataObject, folder: Path
) -> None:
    # At one instant, the rows of two users who become one have no order.
    to = {user: 10 * (4 - user) for user in moved}
    picked: list[Picked] = []
    wanted: list[Row] = []
    bases: list[tuple[int, Any, list[Row]]] = []
    for age, held in enumerate(parts):
        in_memory = data.draw(st.booleans())
        source: Any = viewed(held) if in_memory else written(held, folder)[0]
        if not in_memory and data.draw(st.booleans()):
            source.keep_in(ColumnCache(1 << 20))
        some, given_rows = _picked(source, held, age, to)
        picked += some
        wanted += given_rows
        bases.append((age, source, held))
    if not wanted:
        return
    exact = MemorySource(Gathered(0, PARTITION, picked, Dictionary.of([]), True), 9, EDGES)
    check(exact, wanted)
    loose = MemorySource(Gathered(0, PARTITION, picked, Dictionary.of([]), False), 9, EDGES)
    check(loose, wanted, exact=False)
    # Written beside what is left, it is as if the rows had always been theirs.
    gone = np.array(sorted(to), np.uint32)
    left: list[Row] = []
    sources: list[Any] = []
    for age, source, held in bases:
        rest = [row for row in held if row.ordinal not in to]
        if rest:
            source.rank = age
            sources.append(Rewritten(source, gone))
            left += rest
    number = 1_000_000 + len(list(folder.iterdir()))
    path = folder / f"{number:08d}.zseg"
    meta = compaction.merge(
        FILES, [*sources, exact], str(path), segment_id=number, file=path.name, tz=TZ
    )
    merged = Segment(FILES, str(path), meta)
    check(merged, left + wanted)
    assert list(merged.scrub()) == []


def test_the_id_that_a_row_came_with() -> None:
    held = [Row("view", n % 3, START + n, END, props={"count": n}) for n in range(6)]
    source = viewed(held)
    run = source.runs["view"]
    numbers = np.arange(6, dtype=np.int64)
    origin = np.array([1, 1, NONE, NONE, 0, 0], np.uint32)
    users = np.full(6, 8, np.uint32)
    part = Picked(run, numbers, users, origin, 0)
    for exact in (False, True):
        of = Gathered(0, PARTITION, [part], Dictionary.of(["phone", "tablet"]), exact)
        found = MemorySource(of, 9, EDGES).runs["view"]
        assert ORIGIN in found.props
        column = found.column(ORIGIN)
        assert column is not None
        assert column.present is not None
        shown = dict(zip(found.column("count").values.tolist(), decoded(column), strict=True))  # type: ignore[union-attr]
        there = dict(zip(found.column("count").values.tolist(), column.present, strict=True))  # type: ignore[union-attr]
        # rows of user 0 are 0 and 3, of user 1 are 1 and 4, of user 2 are 2 and 5
        assert {n: shown[n] for n in shown if there[n]} == {
            0: "tablet",
            3: "tablet",
            2: "phone",
            5: "phone",
        }
        # gathered once more, the origins are those that are given now
        again = Picked(found, numbers, users, np.full(6, NONE, np.uint32), 0)
        twice = Gathered(0, PARTITION, [again], Dictionary.of([]), exact)
        assert ORIGIN not in MemorySource(twice, 9, EDGES).runs["view"].props
