"""The Polars side: an uncompressed Arrow IPC file, memory-mapped, with the rows ordered by (event,
user, ts) and Enum strings.

Polars has no index, so the slice of each event is kept beside the frame and a question starts from
the slices of its events: the best that a careful analyst would do. Questions are lazy queries.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from bench.generate import profiles_path
from bench.measure import Run, disk_bytes, timed
from bench.peers.probe import best
from bench.shape import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import polars as pl

    from bench.questions.question import Question, Rows
    from bench.shape import Shape

FILE, USERS, SLICES = "events.arrow", "users.arrow", "slices.json"
ENUMS = ("event", "channel", "os", "city", "app_version", "page", "product_id", "url", "coupon")


class Frames:
    """What the forms ask: slices of events, users, days."""

    def __init__(self, folder: Path) -> None:
        import polars as pl

        self._frame = pl.read_ipc(folder / FILE)
        self.users = pl.read_ipc(folder / USERS)
        self._slices: dict[str, tuple[int, int]] = json.loads((folder / SLICES).read_text())

    def events(self, name: str) -> pl.LazyFrame:
        """Rows of one event, ordered by (user, ts); no copy."""
        start, length = self._slices[name]
        return self._frame.slice(start, length).lazy()

    def all(self) -> pl.LazyFrame:
        """All rows."""
        return self._frame.lazy()

    def asked(self, rows: pl.LazyFrame, shape: Shape) -> pl.LazyFrame:
        """Rows of the asked days."""
        import polars as pl

        if shape.asked_days == shape.days:
            return rows
        return rows.filter(pl.col("ts") >= shape.asked_ms)

    def days(self, rows: pl.LazyFrame, shape: Shape) -> pl.LazyFrame:
        """Rows of the asked days with a column ``day``, 0-based."""
        import polars as pl

        number = (pl.col("ts") - shape.asked_ms) // DAY_MS
        return self.asked(rows, shape).with_columns(number.alias("day"))

    def rows(self, query: pl.LazyFrame) -> Rows:
        """Runs a lazy query; rows as lists."""
        return [list(row) for row in query.collect().rows()]


class Polars:
    """The mapped file. Not thread-safe."""

    def __init__(self, folder: Path, threads: int) -> None:
        os.environ["POLARS_MAX_THREADS"] = str(threads)
        self._frames = Frames(folder)

    @staticmethod
    def forms(question: Question) -> dict[str, Any]:
        """Every form of the question, by a name for the report."""
        return {f"form {number}": form for number, form in enumerate(question.polars, 1)}

    def run(self, form: Callable[[Frames], list[Rows]]) -> Run:
        """One timed run."""
        return timed(lambda: (form(self._frames), None))

    def best(self, forms: dict[str, Any]) -> tuple[str, dict[str, float]]:
        """Name of the fastest form, and the best probe of each in seconds."""
        return best(forms, self.run)

    def version(self) -> str:
        """Version of the engine."""
        import polars as pl

        return str(pl.__version__)

    def close(self) -> None:
        """Lets go of the file."""
        del self._frames

    @staticmethod
    def load(folder: Path, threads: int, parquet: Path) -> dict[str, Any]:
        """Makes the file from rows that DuckDB has sorted (it spills to disk, Polars does not)."""
        os.environ["POLARS_MAX_THREADS"] = str(threads)
        import polars as pl

        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        spilled = folder / "sorted.parquet"
        _sort(parquet, spilled, threads, folder)
        compressed = disk_bytes(spilled)
        lazy = pl.scan_parquet(spilled)
        kinds = {}
        for name in ENUMS:
            values = lazy.select(pl.col(name).cast(pl.String).unique()).collect().to_series()
            kinds[name] = pl.Enum(values.drop_nulls().sort())
        lazy.with_columns(pl.col(name).cast(kind) for name, kind in kinds.items()).sink_ipc(
            folder / FILE, compression="uncompressed"
        )
        spilled.unlink()
        users = pl.read_parquet(profiles_path(parquet))
        number = pl.col("user_id").str.slice(1).cast(pl.UInt32).alias("user")
        city = pl.col("city").cast(pl.String).cast(kinds["city"])
        users.select(number, city, pl.col("level").cast(pl.String), "birth_year").write_ipc(
            folder / USERS, compression="uncompressed"
        )
        counts = (
            pl.scan_ipc(folder / FILE)
            .select(pl.col("event").cast(pl.String))
            .with_row_index()
            .group_by("event")
            .agg(pl.col("index").min(), pl.len())
            .collect()
        )
        slices = {event: (int(start), int(n)) for event, start, n in counts.rows()}
        (folder / SLICES).write_text(json.dumps(slices))
        total = time.perf_counter() - began
        rows = sum(n for _, n in slices.values())
        layouts = {
            "Arrow IPC by event, user, ts": {
                "total_s": total,
                "rows": rows,
                "rows_per_s": rows / total,
                "bytes_per_row": disk_bytes(folder / FILE) / max(1, rows),
                "parquet_bytes_per_row": compressed / max(1, rows),
            }
        }
        return {"version": pl.__version__, "layouts": layouts}


def _sort(parquet: Path, out: Path, threads: int, folder: Path) -> None:
    import duckdb

    others = ", ".join(name for name in ENUMS if name != "event")
    with duckdb.connect(config={"threads": threads, "memory_limit": "10GB"}) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"SET temp_directory = '{folder / 'spill'}'")
        connection.execute(
            f"COPY (SELECT epoch_ms(time) AS ts, substring(user_id, 2)::UINTEGER AS user, event, "
            f"{others}, duration_ms, amount, tags FROM '{parquet}' WHERE NOT repeat "
            f"ORDER BY event, user, ts) TO '{out}' (FORMAT parquet, COMPRESSION zstd)"
        )
