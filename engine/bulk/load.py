"""Loading tables: one, or a stream of them in a pipeline.

Of a stream, one table is read from its source, one is turned into columns, one is bound and one
written at the same time; each is one manifest edit, and they become durable in order.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from zuji.engine.allocator import keep_freed_tables
from zuji.engine.bulk.binding import bind_table
from zuji.engine.bulk.columns import read_table
from zuji.engine.writer import AppendResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from zuji.engine.bulk.columns import ReadTable
    from zuji.engine.bulk.mapping import TableMapping
    from zuji.engine.ingest.seen import FrameSays
    from zuji.engine.writer import Writer

AHEAD = 3
"""Tables of a stream that are held at a time besides the one being read from its source."""


def load_table(
    writer: Writer,
    table: pa.Table,
    mapping: TableMapping,
    ledger: tuple[str, int] | None,
    received_ms: int | None = None,
    turn: _Turn | None = None,
) -> AppendResult:
    """Binds and stores a table; see ``Engine.append_table``. ``turn``: its place in a stream."""
    turn = turn or _Turn(None, [])
    _prepare(writer)
    try:
        received = writer.now_ms() if received_ms is None else received_ms
        try:
            read: ReadTable | None = read_table(
                table, mapping, writer.tz, writer.config.limits, writer.now_ms()
            )
            del table  # a stream has no other reference to it
        except BaseException as problem:
            turn.await_one_before()
            turn.failed.append(problem)
            raise
        done: list[AppendResult] = []

        def make() -> tuple[FrameSays, dict[str, Any]]:
            nonlocal read
            assert read is not None
            bound, rejected, duplicates = bind_table(writer, read, received)
            read = None  # its texts are not needed any more
            done.append(AppendResult(bound.frame.n, duplicates, tuple(rejected)))
            return bound, {} if ledger is None else {"imports": {ledger[0]: ledger[1]}}

        turn.await_one_before()
        try:
            writer.load(make, turn.bound.set, turn.failed)
        except BaseException as problem:  # also before it was bound: by the flush that goes first
            turn.failed.append(problem)
            raise
        return done[0]
    finally:
        turn.bound.set()


def _load_held(
    writer: Writer,
    held: list[pa.Table],
    mapping: TableMapping,
    ledger: tuple[str, int] | None,
    received_ms: int,
    turn: _Turn,
) -> AppendResult:
    return load_table(writer, held.pop(), mapping, ledger, received_ms, turn)


def _prepare(writer: Writer) -> None:
    if writer.config.keep_freed_memory:
        keep_freed_tables()


class _Turn:
    """A table's place in its stream: it may be bound when the one before it was."""

    def __init__(self, before: _Turn | None, failed: list[BaseException]) -> None:
        self.bound = threading.Event()
        self.failed = failed
        self._before = None if before is None else before.bound

    def await_one_before(self) -> None:
        if self._before is not None:
            self._before.wait()


def load_tables(
    writer: Writer,
    tables: Iterable[pa.Table | tuple[pa.Table, int]],
    mapping: TableMapping,
    key: str | None,
) -> Iterator[AppendResult]:
    """Tables in a pipeline. Results in order."""
    _prepare(writer)  # before the first table is read from its source
    waiting: deque[Future[AppendResult]] = deque()
    failed: list[BaseException] = []
    received = writer.now_ms()  # one time for all: it then costs nothing to store
    turn: _Turn | None = None
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="zuji-bulk") as pool:
        try:
            for item in tables:
                table, position = item if isinstance(item, tuple) else (item, None)
                ledger = None if key is None or position is None else (key, position)
                turn = _Turn(turn, failed)
                held = [table]  # taken out by who loads it: a future keeps its arguments
                waiting.append(
                    pool.submit(_load_held, writer, held, mapping, ledger, received, turn)
                )
                del item, table
                while len(waiting) >= AHEAD or (waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # From the last: one that runs waits for those before it, which must not be cancelled.
            for future in reversed(waiting):
                future.cancel()
