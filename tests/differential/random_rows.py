"""A random project in Zuji and in DuckDB: small, full of ties, midnights and missing values.

DuckDB gets a table ``events`` (``seq`` is the order sent, ``t`` ms UTC, ``day`` the local day
number of its own calendar) and ``profiles``, a row a record. In Zuji the same rows lie in segments
and in the memtable, in batches whose times overlap. The same seed makes the same project.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import msgpack
import pyarrow as pa
import pyarrow.parquet as pq

import zuji
from tests.differential.sql_peers import DuckPeer
from tests.oracle.walltime import first_date, instant, start_of
from zuji.engine.engine import create_project

if TYPE_CHECKING:
    from pathlib import Path

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
EVENTS = ("open", "view", "pay", "ping", "refund")
CITIES = ("Berlin", "杭州", "a b", None)
# Zone and a date near which its clocks change, or nothing happens.
ZONES = (("Asia/Shanghai", "2026-10-05"), ("Europe/Berlin", "2025-10-26"), ("UTC", "2026-03-02"))


class RandomRows:
    """One project, twice. ``low``, ``high``: the range that ``time`` asks for."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = rng = random.Random(f"rows {seed}")
        self.tz, around = rng.choice(ZONES)
        self.first = date.fromisoformat(around) - timedelta(days=rng.choice([1, 3, 10]))
        self.days = rng.choice([2, 5, 20])
        self.users = [f"u{n}" for n in range(rng.choice([3, 12, 60]))]
        rows = self._rows(rng.choice([20, 300, 1500]))
        records = self._records()
        self._fill(folder, rows, records)
        parquet = folder / "events.parquet"
        columns = ("user", "event", "t", "city", "amount")
        given = {name: [row[name] for row in rows] for name in columns}
        types = (pa.string(), pa.string(), pa.int64(), pa.string(), pa.float64())
        table = pa.table(given, schema=pa.schema(list(zip(columns, types, strict=True))))
        table = table.append_column("seq", pa.array(range(len(rows)), pa.int64()))
        pq.write_table(table, parquet)
        pq.write_table(_profiles(records), folder / "profiles.parquet")
        self.peer = DuckPeer(parquet, self.tz)
        self.peer.rows(
            f"CREATE TABLE profiles AS FROM read_parquet('{folder / 'profiles.parquet'}')"
        )
        # Not all of the days: sessions and lives cross both ends.
        last = self.first + timedelta(days=self.days - 1)
        start = self.first + timedelta(days=rng.choice([0, 1]))
        end = max(start, last - timedelta(days=rng.choice([0, 1])))
        self.time = {"from": start.isoformat(), "to": end.isoformat(), "tz": self.tz}
        self.low, self.high = start_of(start, self.tz), start_of(end + timedelta(1), self.tz)
        self.within = f"t >= {self.low} AND t < {self.high}"

    def _rows(self, count: int) -> list[dict[str, Any]]:
        rng, rows = self.rng, []
        steps = [0, 1, MINUTE, 29 * MINUTE, 30 * MINUTE, 30 * MINUTE + 1, 2 * HOUR, DAY]
        while len(rows) < count:
            # A visit: from a midnight or anywhere on, in steps that are just within a gap or not.
            day = self.first + timedelta(days=rng.randrange(self.days))
            t = start_of(day, self.tz) + rng.choice([0, -1, 12 * HOUR, rng.randrange(DAY)])
            user = rng.choice(self.users)
            for _ in range(rng.choice([1, 2, 6, 15])):
                rows.append(
                    {
                        "user": user,
                        "event": rng.choice(EVENTS),
                        "t": t,
                        "city": rng.choice(CITIES),
                        # Quarters add up without rounding, whatever the order.
                        "amount": rng.choice([None, rng.randint(-40, 400) / 4]),
                    }
                )
                t += rng.choice(steps)
        return rows[:count]

    def _records(self) -> list[dict[str, Any]]:
        rng, found = self.rng, []
        for user in [*self.users, "only a profile"]:
            for _ in range(rng.choice([0, 1, 3])):
                day = self.first + timedelta(days=rng.randrange(self.days))
                properties: dict[str, Any] = {}
                if rng.random() < 0.8:
                    properties["plan"] = rng.choice(["free", "gold", "杭州"])
                if rng.random() < 0.5:
                    properties["age"] = rng.randint(18, 40)
                t = start_of(day, self.tz) + rng.choice([0, -1, HOUR])
                found.append({"user": user, "t": t, "properties": properties})
        return found

    def _fill(self, folder: Path, rows: list[dict[str, Any]], records: list[Any]) -> None:
        create_project(folder / "zuji", tz=self.tz, shards=self.rng.choice([1, 2, 4]))
        self.engine = zuji.open(folder / "zuji")
        size = self.rng.choice([len(rows), 100, 37])
        for at in range(0, len(rows), size):
            self._append([_event(row) for row in rows[at : at + size]])
            if self.rng.random() < 0.5:
                self.engine.flush()
        self._append([{**_user(r), "type": "profile_set"} for r in records])
        if self.rng.random() < 0.5:
            self.engine.flush()
            self.engine.compact()

    def _append(self, events: list[dict[str, Any]]) -> None:
        assert not self.engine.append_batch(msgpack.packb({"events": events})).rejected

    def ask(self, model: str, body: dict[str, Any], **envelope: Any) -> list[dict[str, Any]]:
        """The engine's rows of a query over the range; ``grain``, ``week_start`` go into it."""
        time = {**self.time}
        for name in ("grain", "week_start"):
            if name in envelope:
                time[name] = envelope.pop(name)
        result = self.engine.query({"model": model, "time": time, "body": body, **envelope})
        return [dict(zip(result.names, row, strict=True)) for row in result.rows]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """DuckDB's rows."""
        return self.peer.rows(statement)

    def close(self) -> None:
        """Closes the engine."""
        self.engine.close()


def _event(row: dict[str, Any]) -> dict[str, Any]:
    given = {name: row[name] for name in ("city", "amount") if row[name] is not None}
    return {"user_id": row["user"], "event": row["event"], "time": row["t"], "properties": given}


def _user(record: dict[str, Any]) -> dict[str, Any]:
    return {"user_id": record["user"], "time": record["t"], "properties": record["properties"]}


def _profiles(records: list[dict[str, Any]]) -> pa.Table:
    return pa.table(
        {
            "user": pa.array([r["user"] for r in records], pa.string()),
            "t": pa.array([r["t"] for r in records], pa.int64()),
            "seq": pa.array(range(len(records)), pa.int64()),
            "plan": pa.array([r["properties"].get("plan") for r in records], pa.string()),
            "age": pa.array([r["properties"].get("age") for r in records], pa.int64()),
        }
    )


PERIODS = {
    "day": "day",
    # 1970-01-01 was a Thursday: day + 3 counts from a Monday.
    "week": "CAST(floor((day + 3) / 7.0) AS BIGINT)",
    "month": "12 * year(DATE '1970-01-01' + CAST(day AS INTEGER)) "
    "+ month(DATE '1970-01-01' + CAST(day AS INTEGER)) - 1",
}
"""SQL: number of the local period of a row, so that neighbours differ by one."""


def period_of(label: str, grain: str) -> int:
    """The number of a bucket, as PERIODS have it."""
    day = first_date(date.fromisoformat(label), grain, 1)
    if grain == "month":
        return 12 * day.year + day.month - 1
    number = instant(f"{day.isoformat()}T00:00:00Z") // DAY
    return number if grain == "day" else (number + 3) // 7
