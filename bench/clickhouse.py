"""The ClickHouse side, by chdb: two MergeTree tables of the same rows, one ORDER BY each.

ClickHouse gets what its own guide would give it: the user as UInt32, LowCardinality strings, plain
millisecond integers for time (an integer division is its fastest day), one part after OPTIMIZE
FINAL, exact functions. Runs in a worker process of its own (`worker.py`), since chdb starts threads
and keeps its own allocator.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from bench.questions import Question

ORDERS = {"by_user": "(user, ts)", "by_event": "(event, ts)"}

_COLUMNS = """
    ts UInt64 CODEC(Delta(8), LZ4),
    event LowCardinality(String), user UInt32,
    channel LowCardinality(String), os LowCardinality(String), city LowCardinality(String),
    app_version LowCardinality(String), page LowCardinality(String),
    product_id LowCardinality(String), duration_ms Int64, amount Float64
"""
_SELECT = """
    toUInt64(toUnixTimestamp64Milli(time)) AS ts, event, toUInt32(substring(user_id, 2)) AS user,
    channel, os, city, app_version, page, product_id, duration_ms, amount
"""


def _session(path: Path) -> Any:
    from chdb import session

    return session.Session(str(path))  # type: ignore[no-untyped-call]


def candidates(question: Question) -> dict[str, str]:
    """Every form of the question on every table, by a name for the report."""
    return {
        f"{table}, form {number}": form.format(table=f"bench.{table}")
        for table in ORDERS
        for number, form in enumerate(question.forms, 1)
    }


class ClickHouse:
    """One chdb session on a directory. Not thread-safe."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session: Any = _session(path)
        self._session.query(f"SET max_threads = {threads}")
        self._session.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")

    def rows(self, sql: str) -> list[list[Any]]:
        """Runs one statement; rows as lists."""
        text = str(self._session.query(sql, "JSONCompactEachRow"))
        return [json.loads(line) for line in text.splitlines() if line]

    def load(self, parquet: Path) -> dict[str, Any]:
        """Fills both tables; seconds and bytes a row of each."""
        report: dict[str, Any] = {}
        for table, order in ORDERS.items():
            self._session.query(f"DROP TABLE IF EXISTS bench.{table} SYNC")
            self._session.query(
                f"CREATE TABLE bench.{table} ({_COLUMNS}) ENGINE = MergeTree ORDER BY {order}"
            )
            began = time.perf_counter()
            self._session.query(
                f"INSERT INTO bench.{table} SELECT {_SELECT} FROM file('{parquet}', 'Parquet')"
            )
            inserted = time.perf_counter() - began
            self._session.query(f"OPTIMIZE TABLE bench.{table} FINAL")
            total = time.perf_counter() - began
            [[count, size]] = self.rows(
                "SELECT toInt64(sum(rows)), toInt64(sum(data_compressed_bytes)) FROM system.parts "
                f"WHERE active AND database = 'bench' AND table = '{table}'"
            )
            report[table] = {
                "insert_s": inserted,
                "insert_and_merge_s": total,
                "rows": int(count),
                "bytes_per_row": int(size) / max(1, int(count)),
            }
        return report

    def best(self, candidates: dict[str, str], probes: int = 2) -> tuple[str, dict[str, float]]:
        """Name of the fastest statement, and the best probe of each in seconds."""
        seen: dict[str, float] = {}
        for name, sql in candidates.items():
            seen[name] = min(self.timed(sql)[0] for _ in range(probes))
        return min(seen, key=seen.__getitem__), seen

    def timed(self, sql: str) -> tuple[float, list[list[Any]]]:
        """Seconds of one run and its rows (parsing the small answer is not timed)."""
        began = time.perf_counter()
        answer = self._session.query(sql, "JSONCompactEachRow")
        elapsed = time.perf_counter() - began
        return elapsed, [json.loads(line) for line in str(answer).splitlines() if line]

    def close(self) -> None:
        """Ends the session."""
        self._session.close()


def load_both(path: Path, threads: int, parquet: Path) -> tuple[str, dict[str, Any]]:
    """ClickHouse's version and the figures of loading both tables, for a process of its own."""
    server = ClickHouse(path, threads)
    try:
        return str(server.rows("SELECT version()")[0][0]), server.load(parquet)
    finally:
        server.close()
