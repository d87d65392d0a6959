"""New rows of a memtable are sorted before the next query looks, while queries come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import zuji
from zuji.engine.writer import writer as module

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

START = 1_790_000_000_000
QUERY = {
    "v": 1,
    "model": "event",
    "time": {"from": "2026-09-01", "to": "2026-12-31", "grain": "all"},
    "body": {"series": [{"e": "a", "measure": "count"}]},
}


def events(first: int, count: int) -> list[dict[str, object]]:
    return [
        {"event": "a", "user_id": f"u{i % 7}", "time": START + i}
        for i in range(first, first + count)
    ]


def test_rows_are_sorted_ahead_while_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AHEAD_ROWS", 100)
    with zuji.open(tmp_path) as engine:
        writer = engine._writer
        woken = threading.Event()  # the thread itself waits for the other one
        monkeypatch.setattr(writer, "_to_tidy", woken)
        engine.append(events(0, 150))
        assert not woken.is_set()  # nobody has ever looked
        assert engine.query(QUERY).rows[0][-1] == 150
        assert writer.active.mem.unseen == 0
        engine.append(events(150, 99))
        assert not woken.is_set()
        engine.append(events(249, 1))
        assert woken.is_set()
        assert writer.active.mem.unseen == 100
        writer._tidy()
        assert writer.active.mem.unseen == 0
        assert engine.query(QUERY).rows[0][-1] == 250
        woken.clear()
        monkeypatch.setattr(module, "LOOKED_S", 0.0)
        engine.append(events(250, 200))
        assert not woken.is_set()
        assert engine.query(QUERY).rows[0][-1] == 450
        monkeypatch.undo()  # the thread waits for this one, when it ends too
