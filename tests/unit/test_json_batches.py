"""JSON batches through the engine: stored, logged, recovered and refused as msgpack ones are."""

from __future__ import annotations

import json
import shutil

import msgpack
import pytest

import zuji
from zuji.engine.errors import InvalidEvent

EVENTS = [
    {
        "event": "pay",
        "time": 1_790_000_000_000 + i,
        "user_id": f"u{i % 3}",
        "properties": {"city": "济南", "amount": i + 0.5},
    }
    for i in range(10)
]
WRONG = {"event": "pay", "time": "never", "user_id": "u1"}
CLASH = {"event": "pay", "time": 1_790_000_000_000, "user_id": "u1", "properties": {"amount": "x"}}
BATCH = [*EVENTS, WRONG, CLASH]
FORMS = {
    "msgpack": msgpack.packb(BATCH),
    "array": json.dumps(BATCH).encode(),
    "document": json.dumps({"events": BATCH, "batch_id": "b"}, indent=1).encode(),
    "lines": "\n".join(json.dumps(event, ensure_ascii=False) for event in BATCH).encode(),
}


def shown(engine):
    return [
        {key: row[key] for key in ("index", "reason", "path", "event")} for row in engine.rejected()
    ]


@pytest.mark.parametrize("form", FORMS)
def test_stored_and_recovered(tmp_path, form):
    with zuji.open(tmp_path / "p") as engine:
        result = engine.append_batch(FORMS[form])
        assert (result.accepted, len(result.rejected)) == (10, 2)
        shutil.copytree(tmp_path / "p", tmp_path / "left")  # as a crash leaves it: all in the log
    with zuji.open(tmp_path / "left") as engine:
        assert engine.status()["rows"] == 10
        engine.flush()
        kept = shown(engine)
    assert [row["reason"] for row in kept] == ["bad_time", "type_mismatch"]
    assert [row["event"] for row in kept] == [WRONG, CLASH]


def test_a_broken_line_alone_is_refused(tmp_path):
    lines = FORMS["lines"].split(b"\n")
    lines[3] = lines[3][:-3]
    with zuji.open(tmp_path / "p") as engine:
        result = engine.append_batch(b"\n".join(lines))
        assert result.accepted == 9
        assert [each.reason for each in result.rejected] == [
            "bad_json",
            "bad_time",
            "type_mismatch",
        ]
        assert result.rejected[0].raw == lines[3]


def test_a_broken_document_is_refused_whole(tmp_path):
    with zuji.open(tmp_path / "p") as engine:
        with pytest.raises(InvalidEvent):
            engine.append_batch(FORMS["array"][:-1])
        assert engine.status()["rows"] == 0
