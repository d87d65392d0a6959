"""Generated rows as events on the wire: the eight properties of every event, some 190 bytes each in
msgpack. Made before anything is timed, so plain dicts will do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.generate import blocks
from bench.shape import WIRE_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.shape import Shape


def events(shape: Shape, insert_ids: bool = False) -> Iterator[dict[str, Any]]:
    """Events in the order of their arrival, repeats left out."""
    for block in blocks(shape):
        columns = {
            name: block.column(name).to_pylist()
            for name in ("event", "user_id", "insert_id", "repeat", *WIRE_PROPERTIES)
        }
        times = block.column("time").cast("int64").to_pylist()
        for i, at in enumerate(times):
            if columns["repeat"][i]:
                continue
            event = {
                "event": columns["event"][i],
                "user_id": columns["user_id"][i],
                "time": at,
                "properties": {name: columns[name][i] for name in WIRE_PROPERTIES},
            }
            if insert_ids:
                event["insert_id"] = columns["insert_id"][i]
            yield event
