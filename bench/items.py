"""Properties of items beside the same properties carried by every event, on the demo's data.

Loads the purchases of "The Complete Journey" with ``product_id`` alone and its products as items,
asks for sales by department, brand and category both ways, and says how much a query of items
costs more. The answers must be equal. ``python -m bench.items [FOLDER]``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

import zuji
from zuji.server.demo.source import TZ, data_folder, purchases

if TYPE_CHECKING:
    from zuji.engine.engine import Engine

TRIES = 7
CARRIED = {"department": "department", "category": "product_category", "brand": "brand"}


def loaded(folder: Path) -> Engine:
    """A project with purchases that carry everything, and products as items."""
    engine = zuji.open(folder, tz=TZ)
    if engine.items.joins():
        return engine
    table = purchases(data_folder()).table
    mapping = {"user": "household_id", "time": "$time", "event_name": "purchase"}
    engine.append_table(table.cast(_plain(table)), mapping)
    products = pq.read_table(data_folder() / "products.parquet")
    began = time.perf_counter()
    done = engine.items.set("product", _items(products))
    print(f"{done.accepted:,} products in {time.perf_counter() - began:.1f} s")
    engine.items.join("event.product_id", "product")
    engine.compact()
    return engine


def _plain(table: Any) -> Any:
    """The table's schema with product ids as text, as SDKs send them."""
    import pyarrow as pa

    at = table.schema.get_field_index("product_id")
    return table.schema.set(at, pa.field("product_id", pa.string()))


def _items(products: Any) -> list[tuple[str, dict[str, Any]]]:
    names = {"department": "department", "product_category": "category", "brand": "brand"}
    return [
        (
            str(row["product_id"]),
            {new: row[old] for old, new in names.items() if row[old] is not None},
        )
        for row in products.to_pylist()
    ]


def query(by: str | None, where: dict[str, Any] | None) -> dict[str, Any]:
    """Sales of the year in groups."""
    found: dict[str, Any] = {
        "v": 1,
        "model": "event",
        "time": {"from": "2017-01-01", "to": "2018-01-31", "grain": "all"},
        "body": {"series": [{"e": "purchase", "measure": "users"}]},
    }
    if by is not None:
        found |= {"by": [{"p": by}], "top": {"n": 500}}
    return found | ({"where": where} if where is not None else {})


def fastest(engine: Engine, document: dict[str, Any]) -> tuple[float, Any]:
    """Milliseconds of the fastest of several tries, and the rows."""
    best, rows = float("inf"), None
    for _ in range(TRIES):
        began = time.perf_counter()
        rows = engine.query(document).rows
        best = min(best, 1000 * (time.perf_counter() - began))
    return best, rows


def main(folder: Path) -> None:
    """Prints a table."""
    with loaded(folder) as engine:
        print("| question | carried by events, ms | of items, ms |")
        print("|---|---:|---:|")
        for name, carried in CARRIED.items():
            of_item = f"event.product_id.{name}"
            value = engine.query(query(f"event.{carried}", None)).rows[0][2]
            cases: dict[str, list[tuple[str | None, dict[str, Any] | None]]] = {
                f"by {name}": [(f"event.{carried}", None), (of_item, None)],
                f"{name} = {value}": [
                    (None, {"p": p, "op": "eq", "v": value}) for p in (f"event.{carried}", of_item)
                ],
            }
            for title, pair in cases.items():
                (plain, rows), (joined, same) = (fastest(engine, query(*one)) for one in pair)
                assert rows == same, title
                print(f"| {title} | {plain:.1f} | {joined:.1f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as place:
            main(Path(place))
