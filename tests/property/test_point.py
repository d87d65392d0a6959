"""Some rows of a run, read alone, are what the whole run has there: over several pages, at their
ends, where values are absent, and in lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.property.segment_rows import Row, decoded, many_rows, rows
from tests.property.test_segments import written
from zuji.engine.storage import point

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.engine.storage.segment import SegmentRun


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("points")


def check_rows(run: SegmentRun, start: int, end: int) -> None:
    """Times, ties, receive times and every column of rows [start, end)."""
    times = run.times()[start:end].astype(np.int64) + run.base_ms
    assert point.times_of(run, start, end).tolist() == times.tolist()
    ties = run.ties()
    wanted = np.zeros(end - start, np.uint16) if ties is None else ties[start:end]
    assert point.ties_of(run, start, end).tolist() == wanted.tolist()
    assert point.received_of(run, start, end).tolist() == run.received()[start:end].tolist()
    for name in run.props:
        whole, part = run.column(name), point.column_of(run, name, start, end)
        assert whole is not None
        assert part is not None
        assert part.rows == end - start
        there = np.ones(run.rows, np.uint8) if whole.present is None else whole.present
        mine = np.ones(end - start, np.uint8) if part.present is None else part.present
        assert mine.tolist() == there[start:end].tolist()
        assert _shown(part, mine) == _shown(whole, there)[start:end]


def _shown(column: Any, present: Any) -> list[Any]:
    return [v if here else None for v, here in zip(decoded(column), present, strict=True)]


@given(held=rows())
@settings(max_examples=60, deadline=None)
def test_any_rows_of_small_runs(held: list[Row], folder: Path) -> None:
    for segment in written(held, folder):
        for run in segment.runs.values():
            users, offsets = run.users()
            for ordinal in {0, 1, 2, 3, 99}:
                at = np.flatnonzero(users == ordinal)
                found = point.rows_of_user(run, ordinal)
                own = (int(offsets[at[0]]), int(offsets[at[0] + 1])) if len(at) else (0, 0)
                assert found == own
            for start in range(0, run.rows, 3):
                check_rows(run, start, min(start + 4, run.rows))


def test_rows_around_the_ends_of_pages(folder: Path) -> None:
    (segment,) = written(many_rows(3, 160_000, users=70_000), folder)
    run = segment.runs["view"]
    assert run.rows > 2 * 65_536
    for start, end in ((65_530, 65_540), (65_536, 65_537), (131_000, 131_080), (5, 6)):
        check_rows(run, start, end)
    check_rows(run, run.rows - 7, run.rows)
    check_rows(run, 65_000, 140_000)
    users, offsets = run.users()
    for at in (0, 1, len(users) // 2, len(users) - 1):
        found = point.rows_of_user(run, int(users[at]))
        assert found == (int(offsets[at]), int(offsets[at + 1]))
    assert point.rows_of_user(run, int(users[-1]) + 1) == (0, 0)


def test_a_count_of_present_values_that_is_kept_is_the_count(folder: Path) -> None:
    (segment,) = written(many_rows(8, 160_000), folder)
    run = segment.runs["view"]
    there = run.column("amount")
    assert there is not None
    assert there.present is not None
    stream = run.meta.columns[[*run.props].index("amount")].presence
    for end in (0, 1, 65_535, 65_536, 65_537, 131_072, 140_000, 66_000, run.rows):
        assert run.owner.ones(stream, end) == int(there.present[:end].sum())
