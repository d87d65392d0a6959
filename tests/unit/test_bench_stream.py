"""Streaming a data set into a project: the same rows as from a file, repeats dropped, all told."""

from __future__ import annotations

import pyarrow as pa
import pytest

from bench import zuji_side
from bench.contest import alone
from bench.generate import blocks, profiles
from bench.questions import questions
from bench.shape import Shape
from bench.stream import _tables, streamed
from bench.worker import run_alone

SHAPE = Shape(30_000)


def _streamed(shape: Shape) -> pa.Table:
    with streamed(shape) as tables:
        return pa.concat_tables(tables)


def _load(shape: Shape, data) -> dict:
    with streamed(shape) as tables:
        return zuji_side.load_stream(shape, profiles(shape), tables, data, 2)


def test_the_pipe_gives_the_generators_rows():
    assert run_alone(_streamed, SHAPE).equals(pa.Table.from_batches(blocks(SHAPE)))


def test_a_generator_that_dies_is_told():
    part = next(iter(blocks(SHAPE))).slice(0, 10)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.schema) as writer:
        writer.write_batch(part)
    tables = _tables(SHAPE, pa.BufferReader(sink.getvalue()))
    assert next(tables).num_rows == 10
    with pytest.raises(RuntimeError, match="after 10 of 30,000 rows"):
        next(tables)


def test_every_question_is_answered_on_streamed_rows(tmp_path):
    loaded = run_alone(_load, SHAPE, tmp_path / "zuji")
    assert loaded["repeats"] == SHAPE.rows // 100
    assert loaded["rows"] + loaded["repeats"] == SHAPE.rows
    report: dict = {}
    alone(questions(SHAPE), tmp_path / "zuji", 2, 1, report, lambda: None)
    assert set(report["queries"]) == {q.name for q in questions(SHAPE)}
    empty = {n for n, line in report["queries"].items() if not sum(line["cells"].values())}
    assert empty <= {"cohort"}
    assert report["queries"]["dau_mau"]["cells"]["month"] <= SHAPE.users
