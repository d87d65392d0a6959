"""kill -9 loop: clients count acknowledgements, the process is killed, everything is checked.

``python -m tests.crash.killer --cycles 500 [--seed 1] [--path DIR]``

In each cycle a process opens the project and runs several client threads (batches) and one thread
that imports tables, flushes and compacts, with the engine's own background thread beside them. It
is killed after a random number of acknowledgements. Then every stored row is compared with what was
sent: nothing acknowledged may be lost, nothing stored twice, nothing unknown, no batch in part.
Clients then send again what was in flight, as a real client does. The last line is the figure for
docs/operations: cycles, acknowledgements, lost, duplicates, time to open again.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

from tests.crash.process import Child, apart, pause
from tests.crash.scenario import (
    CONCURRENT,
    TABLE,
    Client,
    batch,
    contents,
    open_engine,
)
from zuji.engine.config import Config
from zuji.engine.storage.files import Files

CONFIG = Config(background=True, threads=2, memtable_rows=150, compact_after=3)
CLIENTS = 3
CYCLES_A_PROJECT = 8  # then a new one, so that checking stays fast
MAX_ACKS = 250  # of one cycle


@dataclass
class Figures:
    """What the loop found."""

    cycles: int = 0
    acked: int = 0
    unacked_kept: int = 0
    recoveries_s: list[float] = field(default_factory=list)

    def line(self) -> str:
        """One line for the report."""
        times = sorted(self.recoveries_s) or [0.0]
        p50, p99 = times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]
        return (
            f"cycles={self.cycles} acked={self.acked} lost=0 duplicates=0 "
            f"unacknowledged_but_stored={self.unacked_kept} recovery_ms_p50={p50 * 1e3:.1f} "
            f"p99={p99 * 1e3:.1f} max={times[-1] * 1e3:.1f}"
        )


def work(root: str, seed: int, next_of: list[int], next_table: int, ack) -> None:
    """The process that gets killed. ``next_of[k]``: next batch of client ``k``."""
    engine = open_engine(Files(), root, CONFIG)
    failures: list[BaseException] = []

    def send(k: int) -> None:
        try:
            n = next_of[k]
            while True:
                engine.append_batch(batch(n))
                ack(n)
                n += CLIENTS
        except BaseException as error:
            failures.append(error)
            os._exit(3)

    threads = [threading.Thread(target=send, args=(k,), daemon=True) for k in range(CLIENTS)]
    for thread in threads:
        thread.start()
    rng = random.Random(seed)
    tables = Client(Files(), root, ack, next_table=next_table)
    tables.engine = engine
    while True:
        tables.step(rng.choice("tttfc"))
        time.sleep(rng.random() * 0.02)


def check(
    root: str, acked: set[int], maybe: frozenset[int] = frozenset()
) -> tuple[set[int], set[int], float]:
    """(batches, tables) that are stored and seconds to open; fails when a promise is broken.

    ``maybe``: numbers that may be there or not.
    """
    started = time.perf_counter()
    engine = open_engine(Files(), root, CONFIG)
    seconds = time.perf_counter() - started
    try:
        batches, tables = contents(engine)
        there = batches | {TABLE + n for n in tables}
        lost = acked - there
        assert not lost, f"acknowledged and lost: {sorted(lost)[:9]} of {len(lost)}"
        unasked = there - acked - maybe
        assert len(unasked) <= CLIENTS + 1, f"never acknowledged: {sorted(unasked)}"
        for n in sorted(batches)[-5:]:
            assert engine.append_batch(batch(n)).accepted == 0, f"batch {n} was stored twice"
        assert not engine.status()["wal_damage"]
    finally:
        engine.close()
    return batches, tables, seconds


def loop(path: str, cycles: int, seed: int, *, say=lambda _text: None) -> Figures:
    """Run the loop. Raises AssertionError with the seed's cycle when a promise is broken."""
    rng = random.Random(seed)
    figures = Figures()
    root, acked = "", set()
    for cycle in range(cycles):
        if cycle % CYCLES_A_PROJECT == 0:
            shutil.rmtree(root, ignore_errors=True)
            root, acked = os.path.join(path, f"project-{cycle}"), set()
            next_of, next_table = [CONCURRENT + k for k in range(CLIENTS)], 1
        child_seed = rng.randrange(2**32)
        child = Child(
            lambda ack, s=child_seed, r=root, n=next_of, t=next_table: work(r, s, n, t, ack)
        )
        child.hear(rng.randrange(MAX_ACKS))
        pause(rng.random() * 0.01)
        child.kill()
        heard = child.end()
        acked |= set(heard)
        figures.acked += len(heard)
        try:
            batches, tables, seconds = apart(lambda r=root, a=acked: check(r, a))
        except AssertionError as error:
            raise AssertionError(f"cycle {cycle} of seed {seed}, kept in {root}: {error}") from None
        figures.unacked_kept += len(batches | {TABLE + n for n in tables}) - len(acked)
        figures.recoveries_s.append(seconds)
        figures.cycles += 1
        # A client sends again what was not acknowledged; stored or not, it must end up there once.
        next_of = [first_unacked(acked, k) for k in range(CLIENTS)]
        next_table = max(tables, default=0) + 1
        acked |= {TABLE + n for n in tables}
        if cycle % 10 == 9:
            say(figures.line())
    shutil.rmtree(root, ignore_errors=True)
    return figures


def first_unacked(acked: set[int], k: int) -> int:
    """The batch that client ``k`` sends next."""
    n = CONCURRENT + k
    while n in acked:
        n += CLIENTS
    return n


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.killer", description=__doc__)
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--path", default=None, help="directory to work in (default: a new one)")
    arguments = parser.parse_args()
    path = arguments.path or tempfile.mkdtemp(prefix="zuji-killer-")
    print(f"seed={arguments.seed} path={path}", flush=True)
    figures = loop(path, arguments.cycles, arguments.seed, say=lambda t: print(t, flush=True))
    print(figures.line())
    if arguments.path is None:
        shutil.rmtree(path, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
