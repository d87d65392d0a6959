"""The ClickHouse side, by chdb: two MergeTree tables of the same rows, one ORDER BY each.

ClickHouse gets what its own guide would give it: the user as UInt32, LowCardinality strings (but
for the URLs, which have too many values: grouping them took twice as long so), plain millisecond
integers for time (an integer division is its fastest day), one part after OPTIMIZE FINAL, exact
functions. Runs in a worker process of its own (`worker.py`), since chdb starts threads
and keeps its own allocator.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from bench.generate import profiles_path
from bench.measure import Run, timed
from bench.peers.probe import best

if TYPE_CHECKING:
    from pathlib import Path

    from bench.questions.question import Question

ORDERS = {"by_user": "(user, ts)", "by_event": "(event, ts)"}

COLUMNS = """
    ts UInt64 CODEC(Delta(8), LZ4),
    event LowCardinality(String), user UInt32,
    channel LowCardinality(String), os LowCardinality(String), city LowCardinality(String),
    app_version LowCardinality(String), page LowCardinality(String),
    product_id LowCardinality(String), duration_ms Int64, amount Float64,
    url String, coupon LowCardinality(Nullable(String)),
    tags Array(LowCardinality(String))
"""
_SELECT = """
    toUInt64(toUnixTimestamp64Milli(time)) AS ts, event, toUInt32(substring(user_id, 2)) AS user,
    channel, os, city, app_version, page, product_id, duration_ms, amount, url, coupon, tags
"""


class ClickHouse:
    """One chdb session on a directory. Not thread-safe."""

    def __init__(self, folder: Path, threads: int) -> None:
        from chdb import session

        folder.mkdir(parents=True, exist_ok=True)
        opened: Any = session.Session
        self._session: Any = opened(str(folder))
        self._session.query(f"SET max_threads = {threads}")
        self._session.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")

    @staticmethod
    def forms(question: Question) -> dict[str, Any]:
        """Every form of the question on every table, by a name for the report."""
        return {
            f"{table}, form {number}": tuple(
                s.format(events=f"bench.{table}", users="bench.users") for s in form
            )
            for table in ORDERS
            for number, form in enumerate(question.clickhouse, 1)
        }

    def rows(self, sql: str) -> list[list[Any]]:
        """Runs one statement; rows as lists."""
        return _rows(self._session.query(sql, "JSONCompactEachRow"))

    def execute(self, sql: str) -> None:
        """Runs one statement without an answer."""
        self._session.query(sql)

    def run(self, form: tuple[str, ...]) -> Run:
        """One timed run; parsing the small answer is not timed."""

        def once() -> tuple[list[Any], int | None]:
            answers = [self._session.query(sql, "JSONCompactEachRow") for sql in form]
            return answers, sum(a.bytes_read() for a in answers)

        run = timed(once)
        run.answer[:] = [_rows(a) for a in run.answer]
        return run

    def best(self, forms: dict[str, Any]) -> tuple[str, dict[str, float]]:
        """Name of the fastest form, and the best probe of each in seconds."""
        return best(forms, self.run)

    def version(self) -> str:
        """Version of the engine."""
        return str(self.rows("SELECT version()")[0][0])

    def close(self) -> None:
        """Ends the session."""
        self._session.close()

    @staticmethod
    def load(folder: Path, threads: int, parquet: Path) -> dict[str, Any]:
        """Fills both tables; seconds and bytes a row of each."""
        server = ClickHouse(folder, threads)
        try:
            return server._load(parquet)
        finally:
            server.close()

    def _load(self, parquet: Path) -> dict[str, Any]:
        self.execute("DROP TABLE IF EXISTS bench.users SYNC")
        self.execute(
            "CREATE TABLE bench.users (user UInt32, city LowCardinality(String), "
            "level LowCardinality(String), birth_year Int16) ENGINE = MergeTree ORDER BY user"
        )
        self.execute(
            "INSERT INTO bench.users SELECT toUInt32(substring(user_id, 2)), city, level, "
            f"birth_year FROM file('{profiles_path(parquet)}', 'Parquet')"
        )
        tables = {}
        for table, order in ORDERS.items():
            self.execute(f"DROP TABLE IF EXISTS bench.{table} SYNC")
            self.execute(
                f"CREATE TABLE bench.{table} ({COLUMNS}) ENGINE = MergeTree ORDER BY {order}"
            )
            began = time.perf_counter()
            self.execute(
                f"INSERT INTO bench.{table} SELECT {_SELECT} FROM file('{parquet}', 'Parquet') "
                "WHERE NOT repeat"
            )
            inserted = time.perf_counter() - began
            self.execute(f"OPTIMIZE TABLE bench.{table} FINAL")
            total = time.perf_counter() - began
            [[count, size]] = self.rows(
                "SELECT toInt64(sum(rows)), toInt64(sum(data_compressed_bytes)) FROM system.parts "
                f"WHERE active AND database = 'bench' AND table = '{table}'"
            )
            tables[table] = {
                "insert_s": inserted,
                "total_s": total,
                "rows": int(count),
                "rows_per_s": int(count) / total,
                "bytes_per_row": int(size) / max(1, int(count)),
            }
        return {"version": self.version(), "layouts": tables}


def _rows(answer: Any) -> list[list[Any]]:
    return [json.loads(line) for line in str(answer).splitlines() if line]
