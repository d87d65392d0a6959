"""Rows from a generator process to the loader over a pipe of Arrow IPC: nothing is kept on disk but
the project. A pipe is bounded, so the generator waits for the loader.
"""

from __future__ import annotations

import multiprocessing as mp
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.ipc as ipc

from bench.generate import GROUP_ROWS, blocks, grouped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.shape import Shape

_FORK = mp.get_context("fork")
_PIPE_BYTES = 1 << 20


def _write(shape: Shape, reading: int, writing: int) -> None:
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=_PIPE_BYTES) as out:
        writer: Any = None
        for batch in blocks(shape):
            if writer is None:
                writer = ipc.new_stream(out, batch.schema)
            writer.write_batch(batch)
        writer.close()


@contextmanager
def streamed(shape: Shape) -> Iterator[Iterator[pa.Table]]:
    """Tables of about a million rows, made by another process while this one works.

    Call it before this process has threads: the generator is forked.

    Raises:
        RuntimeError: the generator died.
    """
    reading, writing = os.pipe()
    process = _FORK.Process(target=_write, args=(shape, reading, writing), daemon=True)
    process.start()
    os.close(writing)
    source = os.fdopen(reading, "rb", buffering=_PIPE_BYTES)
    try:
        yield _tables(shape, source)
    finally:
        source.close()
        process.join(10)
        if process.is_alive():
            process.terminate()
            process.join()


def _tables(shape: Shape, source: Any) -> Iterator[pa.Table]:
    rows = 0
    for group in grouped(iter(ipc.open_stream(source)), GROUP_ROWS):
        table = pa.Table.from_batches(group)
        rows += table.num_rows
        yield table
    if rows != shape.rows:
        raise RuntimeError(f"the generator ended after {rows:,} of {shape.rows:,} rows")
