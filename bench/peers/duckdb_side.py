"""The DuckDB side: one table ordered by (event, user, ts), so that zone maps skip other events and
users lie together; ENUM types for all strings, so that comparisons and groups work on integers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bench.generate import profiles_path
from bench.measure import Run, disk_bytes, timed
from bench.peers.probe import best

if TYPE_CHECKING:
    from pathlib import Path

    from bench.questions.question import Question

FILE = "bench.duckdb"
ENUMS = ("event", "channel", "os", "city", "app_version", "page", "product_id", "url", "coupon")
MEMORY = "10GB"


class DuckDB:
    """One connection. Not thread-safe."""

    def __init__(self, folder: Path, threads: int, writing: bool = False) -> None:
        import duckdb

        folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {"threads": threads, "memory_limit": MEMORY}
        self._connection = duckdb.connect(folder / FILE, read_only=not writing, config=settings)
        self._connection.execute("SET enable_progress_bar = false")

    @staticmethod
    def forms(question: Question) -> dict[str, Any]:
        """Every form of the question, by a name for the report."""
        return {
            f"form {number}": tuple(s.format(events="events", users="users") for s in form)
            for number, form in enumerate(question.duckdb, 1)
        }

    def run(self, form: tuple[str, ...]) -> Run:
        """One timed run, fetching the small answer."""

        def once() -> tuple[list[Any], int | None]:
            return [self._connection.execute(sql).fetchall() for sql in form], None

        return timed(once)

    def best(self, forms: dict[str, Any]) -> tuple[str, dict[str, float]]:
        """Name of the fastest form, and the best probe of each in seconds."""
        return best(forms, self.run)

    def version(self) -> str:
        """Version of the engine."""
        import duckdb

        return str(duckdb.__version__)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    @staticmethod
    def load(folder: Path, threads: int, parquet: Path) -> dict[str, Any]:
        """Makes the table; seconds and bytes a row."""
        peer = DuckDB(folder, threads, writing=True)
        try:
            return peer._load(folder, parquet)
        finally:
            peer.close()

    def _load(self, folder: Path, parquet: Path) -> dict[str, Any]:
        run = self._connection.execute
        run(f"SET temp_directory = '{folder / 'spill'}'")
        began = time.perf_counter()
        for name in ENUMS:
            run(
                f"CREATE TYPE {name}_e AS ENUM (SELECT DISTINCT {name} FROM '{parquet}' "
                f"WHERE {name} IS NOT NULL ORDER BY {name})"
            )
        run(
            "CREATE TABLE users AS SELECT substring(user_id, 2)::INTEGER AS user, "
            f"city::city_e AS city, level, birth_year FROM '{profiles_path(parquet)}'"
        )
        columns = ", ".join(f"{name}::{name}_e AS {name}" for name in ENUMS)
        source = (
            f"SELECT epoch_ms(time) AS ts, substring(user_id, 2)::INTEGER AS user, {columns}, "
            f"duration_ms, amount, tags FROM '{parquet}' WHERE NOT repeat"
        )
        run(f"CREATE TABLE events AS {source} LIMIT 0")
        # Sorting all of 100 M rows at once took more than 23 GB, whatever the memory limit: rows
        # are staged, and sorted event by event.
        staged = folder / "staged.duckdb"
        run(f"ATTACH '{staged}' AS stage")
        run(f"CREATE TABLE stage.events AS {source}")
        for (event,) in run("SELECT unnest(enum_range(NULL::event_e))::VARCHAR").fetchall():
            run(
                f"INSERT INTO events SELECT * FROM stage.events WHERE event = '{event}' "
                "ORDER BY user, ts"
            )
        run("DETACH stage")
        staged.unlink()
        run("CHECKPOINT")
        total = time.perf_counter() - began
        [(rows,)] = run("SELECT count(*) FROM events").fetchall()
        return {
            "version": self.version(),
            "layouts": {
                "by event, user, ts": {
                    "total_s": total,
                    "rows": rows,
                    "rows_per_s": rows / total,
                    "bytes_per_row": disk_bytes(folder / FILE) / max(1, rows),
                }
            },
        }
