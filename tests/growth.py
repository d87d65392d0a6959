"""Measures what grows with a project: names, properties, distinct values, ids.

``python tests/growth.py values properties events ids [--scale 0.1]`` prints one line a figure: wall
time, and time per unit where that should stay the same (ids: time of the thread). A cliff is a
figure per unit that rises from size to size. Needs about 2 GB of disk and 5 GB of memory at scale
1; nothing is asserted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import zuji
from zuji.engine.config import Config
from zuji.engine.index.identity import Identity
from zuji.engine.storage.files import Files

if TYPE_CHECKING:
    from collections.abc import Iterator

START_MS = 1_790_000_000_000
DAYS = 30
ALL = {"from": "2026-09-01", "to": "2026-12-01", "grain": "month"}


@contextmanager
def timed(what: str, units: int = 0, unit: str = "row") -> Iterator[None]:
    """Prints the wall time of what is inside."""
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    each = f"  {seconds / units * 1e9:10,.0f} ns/{unit}" if units else ""
    print(f"    {what:44} {seconds * 1e3:12,.1f} ms{each}", flush=True)


def table(rows: int, seed: int, **columns: Any) -> pa.Table:
    """Events of 50,000 users over a month; ``columns`` beside user and time."""
    rng = np.random.default_rng(seed)
    users = pa.array([f"c{n:08d}" for n in range(50_000)])
    return pa.table(
        {
            "user": pa.DictionaryArray.from_arrays(
                pa.array(rng.integers(0, len(users), rows, dtype=np.int32)), users
            ),
            "time": START_MS + rng.integers(0, DAYS * 86_400_000, rows),
            **columns,
        }
    )


def picked(values: list[str], codes: Any) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(values))


def ask(engine: Any, what: str, series: dict[str, Any], **more: Any) -> None:
    """Times a query twice: the first one reads and unpacks, the second finds it done."""
    query = {"model": "event", "time": ALL, "body": {"series": [series]}, **more}
    with timed(f"{what}, first"):
        engine.query(query)
    with timed(f"{what}, again"):
        engine.query(query)


@contextmanager
def project(folder: str, name: str) -> Iterator[Any]:
    config = Config(background=False)
    engine = zuji.open(folder, name, config=config)
    try:
        yield engine
    finally:
        engine.close()


def reopened(folder: str, name: str) -> Any:
    with timed("open"):
        engine = zuji.open(folder, name, mode="r")
    ask(engine, "users of * by month", {"e": "*", "measure": "users"})
    return engine


def values(scale: float) -> None:
    """One string column of more and more distinct values."""
    rows = int(2_000_000 * scale)
    for distinct in (100, 10_000, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            print(f"values: {distinct:,} distinct in {rows:,} rows")
            texts = [
                f"https://shop.example.com/item/{n * 7919 % distinct:07d}?utm={n % 97}"
                for n in range(distinct)
            ]
            rng = np.random.default_rng(1)
            with project(folder, "growth") as engine:
                for part in range(2):
                    rows_of = table(
                        rows // 2, part, url=picked(texts, rng.integers(0, distinct, rows // 2))
                    )
                    with timed("append_table", rows // 2):
                        engine.append_table(
                            rows_of, {"event_name": "view", "user": "user", "time": "time"}
                        )
                with timed("compact", rows):
                    engine.compact()
            engine = reopened(folder, "growth")
            for op, value in (
                ("eq", texts[5]),
                ("contains", "utm=13"),
                ("matches", "item/00.*utm=1$"),
            ):
                where = {"p": "event.url", "op": op, "v": value}
                ask(engine, f"where url {op}", {"e": "view", "measure": "users", "where": where})
            ask(
                engine,
                "by url, top 10",
                {"e": "view", "measure": "count"},
                by=[{"p": "event.url"}],
                top={"n": 10},
            )
            engine.close()


def properties(scale: float) -> None:
    """More and more properties, 200 an event at most."""
    rows = int(20_000 * scale)
    for count in (20, 200, 1_000):
        with tempfile.TemporaryDirectory() as folder:
            each = min(count, 200)
            events = max(1, count // each)
            print(f"properties: {count:,} in {events} events of {each}, {rows:,} rows an event")
            cells = rows * each * events
            with project(folder, "growth") as engine:
                for event in range(events):
                    columns = {
                        f"p{event * each + n}": np.arange(rows) % (n + 2) for n in range(each)
                    }
                    with timed("append_table", rows * each, "cell"):
                        engine.append_table(
                            table(rows, event, **columns),
                            {"event_name": f"e{event}", "user": "user", "time": "time"},
                        )
                few = max(1, rows // 20)
                rng = np.random.default_rng(2)
                batch = [
                    {
                        "event": f"e{n % events}",
                        "user_id": f"c{rng.integers(0, 5_000)}",
                        "time": START_MS + n,
                        "properties": {f"p{n % events * each + k}": k for k in range(each)},
                    }
                    for n in range(few)
                ]
                with timed("append", few * each, "cell"):
                    engine.append(batch)
                with timed("flush", few * each, "cell"):
                    engine.flush()
                with timed("compact", cells, "cell"):
                    engine.compact()
            engine = reopened(folder, "growth")
            where = {"p": "event.p7", "op": "eq", "v": 3}
            ask(engine, "where p7 = 3", {"e": "e0", "measure": "users", "where": where})
            engine.close()


def events(scale: float) -> None:
    """More and more event names: runs of a segment."""
    rows = int(5_000_000 * scale)
    for count in (40, 400, 1_990):
        with tempfile.TemporaryDirectory() as folder:
            print(f"events: {count:,} names in {rows:,} rows")
            names = [f"event number {n}" for n in range(count)]
            rng = np.random.default_rng(3)
            with project(folder, "growth") as engine:
                for part in range(2):
                    rows_of = table(
                        rows // 2,
                        part,
                        event=picked(names, rng.integers(0, count, rows // 2)),
                        city=picked(
                            [f"city {n}" for n in range(300)], rng.integers(0, 300, rows // 2)
                        ),
                    )
                    with timed("append_table", rows // 2):
                        engine.append_table(
                            rows_of, {"event": "event", "user": "user", "time": "time"}
                        )
                with timed("compact", rows):
                    engine.compact()
            engine = reopened(folder, "growth")
            ask(engine, "trend of one event", {"e": names[7], "measure": "users"})
            where = {"p": "event.city", "op": "eq", "v": "city 7"}
            ask(engine, "users of * where city", {"e": "*", "measure": "users", "where": where})
            by = [{"p": "event.$name"}]
            ask(engine, "count of * by name", {"e": "*", "measure": "count"}, by=by, top={"n": 10})
            engine.close()


def ids(scale: float) -> None:
    """The id index: bytes an id, inserts, look-ups in random order, loading."""
    block = 1 << 17
    bounds = np.arange(block + 1, dtype=np.int64) * 13

    def keys(numbers: Any) -> Any:
        text = np.empty((block, 13), np.uint8)
        text[:, 0] = ord("u")
        left = numbers.astype(np.uint64) * np.uint64(79_245_433) % np.uint64(10**12)
        for digit in range(12, 0, -1):
            text[:, digit] = 48 + (left % np.uint64(10)).astype(np.uint8)
            left //= np.uint64(10)
        return text.reshape(-1)

    for count in (1_000_000, 10_000_000, 70_000_000):
        wanted = int(count * scale)
        print(f"ids: {wanted:,}")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "ids").mkdir()
            index = Identity(Files(), folder, 4, 7, ())
            slowest = spent = 0.0
            for start in range(0, wanted, block):
                batch = keys(np.arange(start, start + block))
                begun = time.thread_time()
                index.resolve(batch, bounds)
                took = time.thread_time() - begun
                spent += took
                slowest = max(slowest, took)
            found = sum(index.counts())
            rate = found / spent / 1e6
            print(f"    insert {rate:.1f} M/s, slowest {block:,}: {slowest * 1e3:.0f} ms")
            print(f"    {index.nbytes / found:.1f} bytes an id, 13 of them text")
            rng = np.random.default_rng(1)
            spent = 0.0
            for _ in range(20):
                batch = keys(rng.integers(0, found, block))
                begun = time.thread_time()
                index.resolve(batch, bounds)
                spent += time.thread_time() - begun
            print(f"    look up {20 * block / spent / 1e6:.1f} M/s")
            names = (f"ids/{n:08d}.zids" for n in range(1, 1_000))
            with timed("save", found, "id"):
                chunks = index.save(index.take(index.unsaved()), lambda: next(names))  # noqa: B023
            del index
            index = Identity(Files(), folder, 4, 7, chunks)
            with timed("load", found, "id"):
                index.tables()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    what = {"values": values, "properties": properties, "events": events, "ids": ids}
    parser.add_argument("what", nargs="+", choices=what)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    for name in options.what:
        what[name](options.scale)


if __name__ == "__main__":
    main()
