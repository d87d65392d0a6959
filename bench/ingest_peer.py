"""ClickHouse taking in the rows of the ingest benchmark: CPU seconds a row, from files in the page
cache, into a MergeTree table by (user, ts), merged to one part.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bench.measure import cpu_seconds
from bench.peers.clickhouse import ClickHouse

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"JSONEachRow": "rows.jsonl", "MsgPack": "rows.msgpack"}
_COLUMNS = (
    "ts UInt64, event LowCardinality(String), user UInt32, channel LowCardinality(String), "
    "os LowCardinality(String), city LowCardinality(String), app_version LowCardinality(String), "
    "page LowCardinality(String), product_id LowCardinality(String), duration_ms Int64, "
    "amount Float64"
)


def rate(folder: Path, form: str, threads: int) -> dict[str, Any]:
    """Rows/s and CPU seconds per million rows; the insert alone, and with the merge."""
    import shutil

    server = ClickHouse(folder / "clickhouse", threads)
    try:
        server.execute("DROP TABLE IF EXISTS bench.wire SYNC")
        server.execute(
            f"CREATE TABLE bench.wire ({_COLUMNS}) ENGINE = MergeTree ORDER BY (user, ts)"
        )
        source = folder / FILES[form]
        source.read_bytes()
        began, cpu = time.perf_counter(), cpu_seconds()
        server.execute(
            f"INSERT INTO bench.wire SELECT * FROM file('{source}', '{form}', '{_COLUMNS}')"
        )
        inserted, insert_cpu = time.perf_counter() - began, cpu_seconds() - cpu
        server.execute("OPTIMIZE TABLE bench.wire FINAL")
        total, total_cpu = time.perf_counter() - began, cpu_seconds() - cpu
        [[rows]] = server.rows("SELECT toInt64(count()) FROM bench.wire")
        rows = int(rows)
    finally:
        server.close()
        shutil.rmtree(folder / "clickhouse", ignore_errors=True)
    return {
        "rows": rows,
        "rows_per_s": rows / inserted,
        "cpu_s_per_million": insert_cpu / rows * 1e6,
        "merged_rows_per_s": rows / total,
        "merged_cpu_s_per_million": total_cpu / rows * 1e6,
    }


def ratios(report: dict[str, Any]) -> dict[str, float]:
    """ClickHouse's CPU a row over Zuji's, both to merged segments and parts."""
    found = {}
    for wire, form in (("json", "JSONEachRow"), ("msgpack", "MsgPack")):
        ours, theirs = report.get(f"rate_{wire}", {}), report.get(f"clickhouse_{form}", {})
        if "cpu_s_per_million" in ours and theirs:
            mine = ours["cpu_s_per_million"]
            found[f"{wire}_insert"] = theirs["cpu_s_per_million"] / mine
            found[f"{wire}_merged"] = theirs["merged_cpu_s_per_million"] / mine
    return found
