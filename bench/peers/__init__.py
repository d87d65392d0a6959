"""The peers, one file each: a class that loads the rows, opens what was loaded, and runs forms.

All have the same methods (:class:`Peer`) and live in a worker process of their own. They load the
rows without the repeats (``repeat`` is false); Zuji has to find those itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from bench.peers.clickhouse import ClickHouse
from bench.peers.duckdb_side import DuckDB
from bench.peers.polars_side import Polars

if TYPE_CHECKING:
    from pathlib import Path

    from bench.measure import Run
    from bench.questions.question import Question


class Peer(Protocol):
    """One engine on one folder."""

    def __init__(self, folder: Path, threads: int) -> None: ...

    def run(self, form: Any) -> Run: ...

    def best(self, forms: dict[str, Any]) -> tuple[str, dict[str, float]]: ...

    def version(self) -> str: ...

    def close(self) -> None: ...

    @staticmethod
    def forms(question: Question) -> dict[str, Any]: ...

    @staticmethod
    def load(folder: Path, threads: int, parquet: Path) -> dict[str, Any]: ...


PEERS: dict[str, type[Peer]] = {"clickhouse": ClickHouse, "duckdb": DuckDB, "polars": Polars}
TITLES = {"zuji": "Zuji", "clickhouse": "ClickHouse", "duckdb": "DuckDB", "polars": "Polars"}
