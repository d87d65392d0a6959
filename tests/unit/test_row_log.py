"""Columns of a memtable: spans stay good while rows come after them."""

from __future__ import annotations

import numpy as np
import pytest

from zuji.engine.storage import row_log
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.storage.row_log import FULL_ROWS, BoundChunk, CatalogNames, RowLog
from zuji.engine.types import Kind

NAMES = CatalogNames(["view"], ["n", "l"], [Kind.INT, Kind.LIST])
NO_STRINGS = Dictionary.of([])


def chunk(first, rows, received, lists=True):
    """Rows ``first`` …: property n = the row's number, and a list of it and the next."""
    numbers = np.arange(first, first + rows)
    cells = 2 if lists else 1
    values = np.empty((rows, cells), np.int64)
    values[:, 0] = numbers
    if lists:
        values[:, 1] = np.arange(rows)
    items = np.stack([numbers, numbers + 1], axis=1).ravel() if lists else []
    return BoundChunk(
        n=rows,
        shard=np.zeros(rows, np.uint16),
        ordinal=numbers.astype(np.uint32),
        event=np.zeros(rows, np.uint16),
        time=numbers.astype(np.int64) * 10,
        received=received,
        cell_start=np.arange(rows + 1, dtype=np.int64) * cells,
        cell_prop=np.tile(np.arange(cells, dtype=np.uint16), rows),
        cell_value=values.ravel(),
        list_start=np.arange(rows + 1 if lists else 1, dtype=np.int64) * 2,
        list_item=np.array(items, np.uint32),
    )


def check(span, start, end):
    assert span.n == end - start
    assert span.ordinal.tolist() == list(range(start, end))
    assert span.time.tolist() == [10 * n for n in range(start, end)]
    for i, number in enumerate(range(start, end)):
        cells = range(span.cell_start[i], span.cell_start[i + 1])
        assert [span.cell_prop[c] for c in cells] == list(range(len(cells)))
        assert span.cell_value[cells[0]] == number
        if len(cells) == 2:
            a, b = span.list_offsets[span.cell_value[cells[1]] :][:2]
            assert span.list_items[a:b].tolist() == [number, number + 1]


@pytest.mark.parametrize("like", [False, True])
def test_spans_stay_while_rows_come(like):
    log = RowLog()
    sizes = [1, 7, 900, 2000, 3, 5000]
    if like:
        log.add(chunk(0, sum(sizes), 1), NAMES.kinds)
        log = RowLog(log)
    held, at = [], 0
    for number, size in enumerate(sizes):
        log.add(chunk(at, size, number // 2, lists=number != 3), NAMES.kinds)
        held.append((log.span(at // 2, at + size, NAMES, NO_STRINGS), at // 2, at + size))
        at += size
    assert log.rows == at
    assert log.nbytes > 30 * at
    for span in held:
        check(*span)


def test_received_is_one_time_or_one_a_row():
    log = RowLog()
    for number, received in enumerate([5, 5, 8, 5]):
        log.add(chunk(10 * number, 10, received), NAMES.kinds)
    assert log.span(0, 20, NAMES, NO_STRINGS).received == 5
    assert log.span(20, 30, NAMES, NO_STRINGS).received == 8
    both = log.span(15, 25, NAMES, NO_STRINGS).received
    assert both.tolist() == [5] * 5 + [8] * 5
    assert log.span(0, 40, NAMES, NO_STRINGS).received.tolist() == [5] * 20 + [8] * 10 + [5] * 10


def test_columns_of_a_full_log_are_copied_only_while_they_are_small(monkeypatch):
    """Half a million rows copied at once would be 40 ms in which nobody can append."""
    copied = []

    def watched(values, used, wanted):
        if wanted > len(values):
            copied.append(used)
        return room(values, used, wanted)

    room = row_log.room
    monkeypatch.setattr(row_log, "room", watched)
    log, rows = RowLog(), 50_000
    wide = chunk(0, rows, 1)
    for _ in range(FULL_ROWS // rows):
        log.add(wide, NAMES.kinds)
    plain = [used for used in copied if used]
    assert max(plain) <= 2 * rows, "of cells: two a row"
    assert log.rows == FULL_ROWS // rows * rows
