"""The whole engine under a scripted client that counts acknowledgements, and the check afterwards.

Every batch and every table has a content that follows from its number, so that after a crash each
stored row can be compared field by field. The client is the one that the promises are made to: it
sends batches in order, each with a batch id, and sends one again until it is acknowledged.

Acknowledgements are numbers: batch ``n`` is ``n``; table ``n`` is ``TABLE + n``.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgpack
import numpy as np
import pyarrow as pa

import zuji.engine.bulk  # noqa: F401  (for the same reason)
from zuji.engine.config import Config
from zuji.engine.engine import open_project
from zuji.engine.errors import StorageFull
from zuji.engine.storage.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.engine.engine import Engine

TABLE = 1_000_000_000
CONCURRENT = 100_000  # batches from here on may come in any order: no two share an insert id
LEDGER = "orders.parquet"
SECOND_FILE = 500  # tables above this number are another file, imported beside the first
START_MS = 1_700_000_000_000
STEP_MS = 200 * 60_000  # batches spread over several months, so over several partitions
NOW_MS = START_MS + 400 * 86_400_000
EVENTS = ("view", "cart", "buy")
TABLE_ROWS = 4
CONFIG = Config(background=False, threads=1, memtable_rows=40, compact_after=3)


def _events(n: int) -> list[dict]:
    """Events of batch ``n``: all kinds of values, a repeated insert id, a profile, a bad event."""
    found = []
    for i in range(2 + n % 4):
        properties = {"batch": n, "i": i, "city": f"city-{(n * 7 + i) % 13}", "amount": n + i / 4}
        if i == 0:
            properties[f"mark-{n % 90}"] = n  # most batches bring a new name
        if i % 2:
            properties["tags"] = ["x" * (n % 3), f"t{i}"]
            properties["vip"] = n % 2 == 0
        event = {
            "event": EVENTS[(n + i) % 3],
            "time": START_MS + n * STEP_MS + i * (n % 2),
            "user_id": f"user-{(n * 5 + i * 3) % 17}",
            "properties": properties,
        }
        if i == 0 and n % 3 == 0:
            # Below CONCURRENT the first of two batches has it.
            event["insert_id"] = f"once-{n // 6 if n < CONCURRENT else n}"
        if i == 1:
            event["device_id"] = f"device-{n % 5}"
        found.append(event)
    if n % 5 == 0:
        found.append({"event": "nobody", "time": START_MS, "properties": {"batch": n}})
    if n % 7 == 3:
        found.append(
            {
                "type": "profile_set",
                "time": START_MS + n * STEP_MS,
                "user_id": f"user-{n % 17}",
                "properties": {"batch": n, "level": n % 4},
            }
        )
    return found


def batch(n: int) -> bytes:
    """Wire bytes of batch ``n``."""
    return msgpack.packb({"batch_id": f"batch-{n}", "events": _events(n)})


def table(n: int) -> pa.Table:
    """Arrow table ``n`` (1, 2, 3 …): rows ``(n-1)·4 … n·4-1`` of a file being imported."""
    rows = range((n - 1) * TABLE_ROWS, n * TABLE_ROWS)
    return pa.table(
        {
            "at": pa.array([START_MS + r * STEP_MS for r in rows], pa.timestamp("ms", "UTC")),
            "customer": [f"user-{r % 19}" for r in rows],
            "row": list(rows),
            "amount": [r * 0.25 for r in rows],
            "city": [f"city-{r % 4}" for r in rows],
            "receipt": [f"receipt-{r}" for r in rows],
            f"column-{n % 30}": [r % 3 == 0 for r in rows],
        }
    )


table(1)  # children are forked often: what this imports must not be imported in each of them
MAPPING = {"event_name": "order", "user": "customer", "time": "at", "insert_id": "receipt"}


def batch_rows(n: int) -> tuple[list[tuple], int]:
    """Rows that batch ``n`` must store, and how many of its events must be in quarantine."""
    rows, rejected = [], 0
    for event in _events(n):
        if "user_id" not in event:
            rejected += 1
            continue
        if "insert_id" in event and n % 6 == 3 and 3 < n < CONCURRENT:
            continue  # its twin came with batch n - 3
        profile = event.get("type") == "profile_set"
        prefix = "$user." if profile else ""
        properties = {prefix + key: value for key, value in event["properties"].items()}
        if "device_id" in event:
            properties["$device_id"] = event["device_id"]
        name = "$profile_set" if profile else event["event"]
        rows.append(_row(name, event["user_id"], event["time"], properties))
    return rows, rejected


def table_rows(n: int) -> list[tuple]:
    """Rows that table ``n`` must store."""
    return [
        _row(
            "order",
            f"user-{r % 19}",
            START_MS + r * STEP_MS,
            {
                "row": r,
                "amount": r * 0.25,
                "city": f"city-{r % 4}",
                f"column-{n % 30}": r % 3 == 0,
            },
        )
        for r in range((n - 1) * TABLE_ROWS, n * TABLE_ROWS)
    ]


def ledger_of(n: int) -> tuple[str, int]:
    """Import and position that table ``n`` brings it to."""
    return (LEDGER, n) if n <= SECOND_FILE else ("second " + LEDGER, n - SECOND_FILE)


def _row(event: str, user: str, time_ms: int, properties: dict) -> tuple:
    plain = {k: tuple(v) if isinstance(v, list) else v for k, v in properties.items()}
    return event, user, time_ms, tuple(sorted(plain.items()))


def open_engine(files: Files, root: str, config: Config = CONFIG) -> Engine:
    """The project under test, made if need be."""
    return open_project(root, config=config, files=files, clock=lambda: NOW_MS)


def stored_rows(engine: Engine) -> Counter:
    """Every stored row, decoded, with how often it is there."""
    found: Counter = Counter()
    view = engine._pin()
    for shard, sources in enumerate(view.sources):
        for source in sources:
            for name, run in source.runs.items():
                users, offsets = run.users()
                owners = [
                    pair[0] if pair[0] is not None else pair[1]
                    for pair in engine._writer.external(shard, users)
                ]
                owner = np.repeat(np.arange(len(users)), np.diff(offsets.astype(np.int64)))
                times = run.times().astype(np.int64) + run.base_ms
                columns = {prop: _values(run.column(prop)) for prop in run.props}
                for row in range(run.rows):
                    properties = {
                        prop: values[row]
                        for prop, values in columns.items()
                        if values[row] is not None
                    }
                    found[_row(name, owners[owner[row]], int(times[row]), properties)] += 1
    return found


def _values(column) -> list:
    """Python values of a column, None where absent."""
    texts = column.dictionary
    if column.offsets is not None:
        bounds = column.offsets.tolist()
        codes = column.values.tolist()
        values = [[texts[c] for c in codes[a:b]] for a, b in itertools.pairwise(bounds)]
    elif texts is not None:
        values = [
            None if column.present is not None and not column.present[k] else texts[code]
            for k, code in enumerate(column.values.tolist())
        ]
    else:
        values = column.values.tolist()
        if column.kind.label == "bool":
            values = [bool(v) for v in values]
    if column.present is None:
        return values
    return [v if p else None for v, p in zip(values, column.present.tolist(), strict=True)]


@dataclass
class Client:
    """Sends batches and tables in order; ``steps`` is a script of one letter a step.

    ``a`` batch, ``t`` table, ``f`` flush, ``c`` compact, ``o`` close and open again.
    """

    files: Files
    root: str
    acked: Callable[[int], object] = lambda _number: None
    next_batch: int = 1
    next_table: int = 1
    config: Config = CONFIG
    engine: Engine | None = field(default=None, init=False)

    def run(self, steps: str) -> None:
        """Do all steps and close. Errors of the engine pass through."""
        self.open()
        for step in steps:
            self.step(step)
        self.close()

    def open(self) -> None:
        self.engine = open_engine(self.files, self.root, self.config)

    def close(self) -> None:
        if self.engine is not None:
            self.engine.close()
            self.engine = None

    def step(self, step: str) -> None:
        engine = self.engine
        if step == "a":
            engine.append_batch(batch(self.next_batch))
            self.acked(self.next_batch)
            self.next_batch += 1
        elif step == "t":
            engine.append_table(table(self.next_table), MAPPING, ledger=ledger_of(self.next_table))
            self.acked(TABLE + self.next_table)
            self.next_table += 1
        elif step == "f":
            engine.flush()
        elif step == "c":
            engine.compact()
        else:
            self.close()
            self.open()

    def step_until_done(self, step: str, on_full: Callable[[], object]) -> int:
        """Repeat a step while the disk is full; how often it was refused."""
        refused = 0
        while True:
            try:
                self.step(step)
            except StorageFull:
                refused += 1
                on_full()
                assert refused < 50
            else:
                return refused


def contents(engine: Engine) -> tuple[set[int], set[int]]:
    """Numbers of the batches and tables that are stored; fails unless each is there exactly once.

    Fails for a row that no batch or table has, a row there twice, part of a batch, or a row whose
    event or properties the catalog does not know.
    """
    found = stored_rows(engine)
    _check_catalog(engine, found)
    twice = [row for row, count in found.items() if count > 1]
    assert not twice, f"stored twice: {twice[:3]}"
    batches = {dict(row[3]).get("batch", dict(row[3]).get("$user.batch")) for row in found}
    batches.discard(None)
    tables = set(range(1, engine.import_position(LEDGER) + 1))
    second, _ = ledger_of(SECOND_FILE + 1)
    tables |= {SECOND_FILE + k + 1 for k in range(engine.import_position(second))}
    expected: set[tuple] = set()
    rejected = 0
    for n in batches:
        rows, bad = batch_rows(n)
        expected.update(rows)
        rejected += bad
    for n in tables:
        expected.update(table_rows(n))
    missing = expected - found.keys()
    extra = found.keys() - expected
    assert not missing, f"parts are missing: {sorted(missing, key=repr)[:3]} of {len(missing)}"
    assert not extra, f"nobody sent: {sorted(extra, key=repr)[:3]} of {len(extra)}"
    kept = list(engine.rejected())
    assert len(kept) == rejected, f"quarantine holds {len(kept)}, {rejected} were refused"
    return batches, tables


def _check_catalog(engine: Engine, found: Counter) -> None:
    catalog = engine._pin().catalog
    pairs = {(row[0], prop) for row in found for prop, _ in row[3]}
    for event in {event for event, _ in pairs}:
        known = set(catalog.props_of(event))
        missing = {prop for name, prop in pairs if name == event} - known
        assert not missing, f"the catalog forgot {sorted(missing)} of {event}"


def check(
    root: str,
    acked: set[int],
    *,
    go_on: bool = True,
    files: Files | None = None,
    mark: Callable[[int], object] = lambda _number: None,
) -> None:
    """Open what a crash left: everything acknowledged is there once, and work goes on.

    At most one batch or table that was not acknowledged may be there too: the one in flight.
    """
    files = files or Files()
    client = Client(files, root, mark)
    client.open()
    try:
        there = _check_opened(client, acked)
        for number in sorted(there - acked):
            mark(number)  # it was answered from: from now on it must stay
        if go_on:
            _check_going_on(client, acked)
    finally:
        client.close()


def _check_opened(client: Client, acked: set[int]) -> set[int]:
    batches, tables = contents(client.engine)
    there = batches | {TABLE + n for n in tables}
    lost = acked - there
    assert not lost, f"acknowledged and lost: {sorted(lost)}"
    unasked = there - acked
    assert len(unasked) <= 1, f"never acknowledged: {sorted(unasked)}"
    assert unasked <= {max(batches, default=0), TABLE + max(tables, default=0)}
    status = client.engine.status()
    assert not status["wal_damage"]
    client.next_batch = max(batches, default=0) + 1
    client.next_table = max((n for n in tables if n <= SECOND_FILE), default=0) + 1
    return there


def _check_going_on(client: Client, acked: set[int]) -> None:
    """Everything sent once more is recognised; new work is stored; it survives another opening."""
    before = contents(client.engine)
    last = max(before[0], default=0)
    for n in sorted(before[0])[-3:]:
        again = client.engine.append_batch(batch(n))
        assert again.accepted == 0, f"batch {n} was stored twice"
    for step in "aftaco":
        client.step(step)
    batches, tables = contents(client.engine)
    assert batches == before[0] | {last + 1, last + 2}
    assert len(tables) == len(before[1]) + 1
    assert list(client.engine.scrub()) == []
