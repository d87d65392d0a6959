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
from zuji.engine.storage.fewer import Fewer
from zuji.engine.storage.gathered import DEVICE_ID, HOME, ORIGIN, STORED, Gathered, Picked
from zuji.engine.storage.memory import MemorySource
from zuji.engine.storage.partition import Partition, day_edges
from zuji.engine.storage.segment import Segment

if TYPE_CHECKING:
    from pathlib import Path

PARTITION = Partition(MONTH, START, END)
EDGES = day_edges(TZ, START, END)
NO_IDS = Dictionary.of([])


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
            origin = np.full(len(numbers), STORED, np.uint32)
            chosen = np.array(numbers, np.int64)
            parts.append(Picked(run, chosen, run.times()[chosen], users, origin, NO_IDS, age))
    given_rows += [replace(row, ordinal=to[row.ordinal]) for row in held if row.ordinal in to]
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
    exact = MemorySource(Gathered(0, PARTITION, picked, True), 9, EDGES)
    check(exact, wanted)
    loose = MemorySource(Gathered(0, PARTITION, picked, False), 9, EDGES)
    check(loose, wanted, exact=False)
    # Written beside what is left, it is as if the rows had always been theirs.
    gone = np.array(sorted(to), np.uint32)
    left: list[Row] = []
    sources: list[Any] = []
    for age, source, held in bases:
        rest = [row for row in held if row.ordinal not in to]
        if rest:
            source.rank = age
            sources.append(Fewer(source, gone))
            left += rest
    number = 1_000_000 + len(list(folder.iterdir()))
    path = folder / f"{number:08d}.zseg"
    meta = compaction.merge(
        FILES, [*sources, exact], str(path), segment_id=number, file=path.name, tz=TZ
    )
    merged = Segment(FILES, str(path), meta)
    check(merged, left + wanted)
    assert list(merged.scrub()) == []


def _shown(run: Any, name: str) -> dict[int, str]:
    """Values of a text property by count."""
    column, count = run.column(name), run.column("count").values.tolist()
    if column is None:
        return {}
    present = column.present if column.present is not None else [1] * len(count)
    rows = zip(count, decoded(column), present, strict=True)
    return {number: value for number, value, there in rows if there}


def test_the_id_that_a_row_came_with() -> None:
    # rows of user 0 are 0 and 3, of user 1 are 1 and 4, of user 2 are 2 and 5
    held = [Row("view", n % 3, START + n, END, props={"count": n}) for n in range(6)]
    run = viewed(held).runs["view"]
    numbers, users = np.arange(6, dtype=np.int64), np.full(6, 8, np.uint32)
    ids = Dictionary.of(["phone", "tablet"])
    origin = np.array([1, 1, STORED, STORED, 0, 0], np.uint32)
    moved = {0: "tablet", 3: "tablet", 2: "phone", 5: "phone"}
    for exact in (False, True):
        part = Picked(run, numbers, run.times()[numbers], users, origin, ids, 0)
        found = MemorySource(Gathered(0, PARTITION, [part], exact), 9, EDGES).runs["view"]
        assert _shown(found, ORIGIN) == _shown(found, DEVICE_ID) == moved
        # Gathered once more: as they stand, with other ids, and back home.
        order = found.column("count").values.tolist()  # type: ignore[union-attr]
        other = {0: HOME, 3: STORED, 2: 1, 5: HOME}
        again = np.array([other.get(n, STORED) for n in order], np.uint32)
        part = Picked(found, numbers, found.times()[numbers], users, again, ids, 0)
        twice = MemorySource(Gathered(0, PARTITION, [part], exact), 9, EDGES).runs["view"]
        assert _shown(twice, ORIGIN) == _shown(twice, DEVICE_ID) == {3: "tablet", 2: "tablet"}
        part = Picked(
            found, numbers, found.times()[numbers], users, np.full(6, HOME, np.uint32), ids, 0
        )
        home = MemorySource(Gathered(0, PARTITION, [part], exact), 9, EDGES).runs["view"]
        assert _shown(home, ORIGIN) == _shown(home, DEVICE_ID) == {}
        assert (ORIGIN in home.props) != exact
