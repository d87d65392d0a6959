"""Encoded batches of the ingest benchmark: written to files once, read back, and made new for
another round by overwriting insert ids and times in place.

Encoding is never part of what is timed; making a batch new costs some 50 µs.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.shape import Shape
from bench.wire import events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

BATCH_EVENTS = 1_000
TURN_MS = 61_007
"""How much later the events of the next round are."""
_ID = re.compile(rb"\xa9insert_id\xb0", re.DOTALL)
_TIME = re.compile(rb"\xa4time\xcf", re.DOTALL)


def write_batches(folder: Path, count: int) -> dict[str, Any]:
    """Encodes the batches as files of length-prefixed blobs, and the rows for ClickHouse; for a
    process of its own.
    """
    import msgpack

    sizes = dict.fromkeys(("msgpack", "json"), 0)
    pack = msgpack.Packer()
    with (
        (folder / "batches.msgpack").open("wb") as as_pack,
        (folder / "batches.json").open("wb") as as_json,
        (folder / "rows.jsonl").open("wb") as rows_json,
        (folder / "rows.msgpack").open("wb") as rows_pack,
    ):
        made = events(Shape(count * BATCH_EVENTS * 2), insert_ids=True)
        for _ in range(count):
            batch = list(itertools.islice(made, BATCH_EVENTS))
            for name, out, blob in (
                ("msgpack", as_pack, pack.pack({"events": batch})),
                ("json", as_json, json.dumps({"events": batch}, ensure_ascii=False).encode()),
            ):
                sizes[name] += len(blob)
                out.write(len(blob).to_bytes(4, "little") + blob)
            for event in batch:
                row = {
                    "ts": event["time"],
                    "event": event["event"],
                    "user": int(event["user_id"][1:]),
                    **event["properties"],
                }
                rows_json.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                rows_pack.write(b"".join(pack.pack(value) for value in row.values()))
    rows = count * BATCH_EVENTS
    return {"rows": rows, **{f"{n}_bytes_per_event": size / rows for n, size in sizes.items()}}


def read_batches(folder: Path, wire: str) -> list[bytes]:
    """The encoded batches."""
    blob = (folder / f"batches.{wire}").read_bytes()
    found, at = [], 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "little")
        found.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return found


class Renewable:
    """One msgpack batch that can be sent again as other events."""

    def __init__(self, batch: bytes) -> None:
        self._bytes = np.frombuffer(batch, dtype=np.uint8)
        ids = np.array([m.end() for m in _ID.finditer(batch)], dtype=np.int64)
        times = np.array([m.end() for m in _TIME.finditer(batch)], dtype=np.int64)
        if not len(ids) == len(times) == BATCH_EVENTS:
            raise ValueError("the batch is not as it was written")
        self._ids = ids[:, None] + np.arange(4)
        self._times = times[:, None] + np.arange(8)
        self._first: npt.NDArray[Any] = self._bytes[self._times].reshape(-1).view(">u8")

    def turn(self, number: int) -> bytes:
        """The batch of round ``number``: the first four digits of its insert ids and its times are
        the round's. Round 0 is the batch as it was.
        """
        if number == 0:
            return self._bytes.tobytes()
        out = self._bytes.copy()
        out[self._ids] = np.frombuffer(f"{number:04d}".encode(), dtype=np.uint8)
        later = (self._first + np.uint64(number * TURN_MS)).astype(">u8")
        out[self._times] = later.view(np.uint8).reshape(-1, 8)
        return out.tobytes()


def endless(batches: Sequence[bytes]) -> Iterator[bytes]:
    """The batches round after round, new in every round."""
    renewable = [Renewable(batch) for batch in batches]
    for number in itertools.count():
        for batch in renewable:
            yield batch.turn(number)
