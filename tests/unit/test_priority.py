"""Threads that give way: merges and flushes that run by themselves do, those that somebody waits
for do not.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import zuji
from zuji.engine.priority import MERGING_NICE, give_way
from zuji.engine.storage import compaction
from zuji.engine.writer import flusher

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.engine.writer.pace import Loud

linux = pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@linux
def test_one_thread_gives_way_alone() -> None:
    before = nice()
    seen: list[int] = []

    def work() -> None:
        assert give_way()
        seen.append(nice())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [min(19, before + MERGING_NICE)]
    assert nice() == before


def test_a_system_that_refuses_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert not give_way()
    monkeypatch.setattr(sys, "platform", "other")
    assert not give_way()


@linux
def test_merges_give_way_unless_somebody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    merge = compaction.merge

    def noted(*arguments: Any, **more: Any) -> Any:
        seen.append(nice())
        return merge(*arguments, **more)

    monkeypatch.setattr(compaction, "merge", noted)
    config = zuji.Config(background=False, compact_after=4)
    with zuji.open(tmp_path, config=config) as engine:
        for number in range(8):
            engine.append([{"event": "a", "user_id": "u", "time": 1_790_000_000_000 + number}])
            engine.flush()
        engine._writer._merger.merge_some()
        alone = list(seen)
        engine.compact()
    assert set(alone) == {min(19, nice() + MERGING_NICE)}
    assert set(seen[len(alone) :]) <= {nice()}


@linux
def test_flushes_give_way_unless_somebody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    write = flusher.write_frame

    def noted(*arguments: Any, pace: Loud, **more: Any) -> Any:
        seen.extend(pace.map(lambda _: nice(), [0]))
        return write(*arguments, pace=pace, **more)

    monkeypatch.setattr(flusher, "write_frame", noted)
    own = nice()
    with zuji.open(tmp_path, config=zuji.Config(memtable_rows=10, threads=2)) as engine:
        engine.append(
            [{"event": "a", "user_id": "u", "time": 1_790_000_000_000 + i} for i in range(10)]
        )
        deadline = time.monotonic() + 20
        while not engine.status()["segments"] and time.monotonic() < deadline:
            time.sleep(0.01)
        engine.append([{"event": "a", "user_id": "u", "time": 1_790_000_000_000}])
        engine.flush()
    assert seen == [min(19, own + MERGING_NICE), own]
