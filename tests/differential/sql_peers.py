"""DuckDB and ClickHouse (chdb) over one Parquet file of events, asked in SQL that both understand.

The table ``events``: ``seq`` (order sent), ``t`` (ms UTC), ``day`` (local day number, each engine's
own calendar), ``event``, ``user``, and properties as nullable columns. Both engines get the file,
not our arrays, so nothing of Zuji's reading is shared.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Rows = list[tuple[Any, ...]]


def needs(*peers: str) -> None:
    """Skips the module where a peer is not installed. Peers are imported when they are asked:
    ClickHouse is 200 MB, and threads, in a process that other tests fork from.
    """
    for peer in peers:
        if importlib.util.find_spec(peer) is None:
            pytest.skip(f"needs {peer}", allow_module_level=True)


class Peer(Protocol):
    """A database that holds ``events``."""

    name: str

    def rows(self, sql: str) -> Rows:
        """Answer of one statement; floats and ints as Python numbers."""


class DuckPeer:
    """DuckDB in memory."""

    name = "duckdb"

    def __init__(self, parquet: Path, tz: str) -> None:
        import duckdb

        self._connection = duckdb.connect()
        self._connection.execute("SET threads = 2")
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute(
            "CREATE TABLE events AS SELECT *, "
            f"CAST(timezone('{tz}', to_timestamp(t / 1000.0)) AS DATE) - DATE '1970-01-01' AS day "
            f"FROM read_parquet('{parquet}')"
        )

    def rows(self, sql: str) -> Rows:
        """Answer of one statement."""
        return [tuple(row) for row in self._connection.execute(sql).fetchall()]


class ClickPeer:
    """ClickHouse in this process. It has one server a process, so each peer is a database of it."""

    name = "clickhouse"
    _session: Any = None
    _folder: tempfile.TemporaryDirectory[str] | None = None

    def __init__(self, parquet: Path, tz: str, database: str) -> None:
        from chdb.session import Session

        if ClickPeer._session is None:
            ClickPeer._folder = tempfile.TemporaryDirectory(prefix="zuji-clickhouse-")
            ClickPeer._session = Session(ClickPeer._folder.name)
            for setting in ("max_threads = 2", "join_use_nulls = 1"):
                self._session.query(f"SET {setting}")
        self._database = database
        self._session.query(f"CREATE DATABASE {database} ENGINE = Atomic")
        self._session.query(
            f"CREATE TABLE {database}.events ENGINE = MergeTree ORDER BY tuple() AS SELECT *, "
            f"toInt64(toDate(fromUnixTimestamp64Milli(assumeNotNull(t), '{tz}'))) AS day "
            f"FROM file('{parquet}', 'Parquet')"
        )

    def rows(self, sql: str) -> Rows:
        """Answer of one statement."""
        self._session.query(f"USE {self._database}")
        text = str(
            self._session.query(
                sql + " SETTINGS output_format_json_quote_64bit_integers = 0", "JSONCompactEachRow"
            )
        )
        return [tuple(json.loads(line)) for line in text.splitlines() if line]

    def close(self) -> None:
        """Drops the database."""
        self._session.query(f"DROP DATABASE {self._database} SYNC")


# ------------------------------------------------------------------- questions in common SQL


def funnel(steps: Sequence[str], window_ms: int, low: int, high: int, ties: str) -> str:
    """Users by level, for an ordered funnel: the latest start of a chain, carried by window
    functions.

    ``steps`` are SQL conditions. ``s_k`` of a row is the latest start of a chain of k steps that
    ends with it: the running maximum of ``s_(k-1)`` over earlier rows, when it is still in the
    window.
    """
    # "sequence": earlier in the order sent; "strict": at an earlier instant.
    order = "ORDER BY t, seq ROWS" if ties == "sequence" else "ORDER BY t RANGE"
    any_step = " OR ".join(f"({s})" for s in steps)
    inner = (
        'SELECT "user", t, seq, '
        + ", ".join(f"({s}) AS m{k}" for k, s in enumerate(steps, 1))
        + f", CASE WHEN ({steps[0]}) AND t >= {low} AND t < {high} THEN t END AS s1 "
        + f"FROM events WHERE {any_step}"
    )
    for k in range(2, len(steps) + 1):
        carried = (
            f'SELECT *, max(s{k - 1}) OVER (PARTITION BY "user" {order} '
            f"BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS l{k} FROM ({inner}) AS f{k}"
        )
        inner = (
            f"SELECT *, CASE WHEN m{k} AND l{k} IS NOT NULL AND t - l{k} <= {window_ms} "
            f"THEN l{k} END AS s{k} FROM ({carried}) AS c{k}"
        )
    reached = ", ".join(
        f'count(DISTINCT CASE WHEN s{k} IS NOT NULL THEN "user" END)'
        for k in range(1, len(steps) + 1)
    )
    return f"SELECT {reached} FROM ({inner}) AS chains"


def retention(start: str, back: str, first_day: int, days: int, n: int, cohort: str) -> str:
    """(cohort day, period, users) of calendar days, criterion "on"; period -1 is the size.

    For ``start`` and ``back`` that never match the same row: then any return on day 0 counts.
    """
    last = first_day + days - 1
    if cohort == "recurring":
        starts = f'SELECT DISTINCT "user", day AS d FROM events WHERE ({start})'
    elif cohort == "first_ever":
        starts = f'SELECT "user", min(day) AS d FROM events WHERE ({start}) GROUP BY "user"'
    else:
        starts = (
            f'SELECT "user", min(day) AS d FROM events WHERE ({start}) '
            f'AND day BETWEEN {first_day} AND {last} GROUP BY "user"'
        )
    inside = f'SELECT "user", d FROM ({starts}) AS s0 WHERE d BETWEEN {first_day} AND {last}'
    backs = f'SELECT DISTINCT "user", day AS r FROM events WHERE ({back})'
    return (
        f"SELECT d, -1 AS k, count(*) AS c FROM ({inside}) AS s1 GROUP BY d UNION ALL "
        f"SELECT s2.d AS d, b.r - s2.d AS k, count(*) AS c "
        f"FROM ({inside}) AS s2 JOIN ({backs}) AS b "
        f'ON s2."user" = b."user" WHERE b.r >= s2.d AND b.r - s2.d <= {n} GROUP BY s2.d, b.r - s2.d'
    )


def rolling_retention(start: str, back: str, low: int, high: int, period_ms: int, n: int) -> str:
    """(cohort day, period, users) of 24-hour periods after each user's first start in the range."""
    starts = (
        f'SELECT "user", min(t) AS t0, min(day) AS d FROM events WHERE ({start}) '
        f'AND t >= {low} AND t < {high} GROUP BY "user"'
    )
    return (
        f"SELECT d, -1 AS k, count(*) AS c FROM ({starts}) AS s1 GROUP BY d UNION ALL "
        f'SELECT d, k, count(*) AS c FROM (SELECT DISTINCT s.d AS d, s."user" AS u, '
        f"CAST(floor((e.t - s.t0) / {period_ms}.0) AS BIGINT) AS k FROM ({starts}) AS s "
        f'JOIN events AS e ON s."user" = e."user" WHERE ({back}) AND e.t >= s.t0 '
        f"AND e.t < s.t0 + {period_ms * (n + 1)}) AS x GROUP BY d, k"
    )
