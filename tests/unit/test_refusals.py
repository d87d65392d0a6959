"""What stands in a batch for an event that somebody before the engine refused."""

import json

import msgpack
import pytest

import zuji
from zuji.engine.quarantine import refusal

GOOD = {"event": "go", "time": 1_790_827_200_000, "user_id": "u"}


def packed(as_json, parts, **head):
    """A batch of encoded events."""
    if as_json:
        start = json.dumps({**head, "events": 0})[:-2].encode()
        return start + b"[" + b",".join(parts) + b"]}"
    packer = msgpack.Packer()
    start = packer.pack_map_header(1 + len(head))
    for name, value in head.items():
        start += packer.pack(name) + packer.pack(value)
    return start + packer.pack("events") + packer.pack_array_header(len(parts)) + b"".join(parts)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_refusal_is_the_event_that_it_stands_for(tmp_path, as_json):
    write = (lambda v: json.dumps(v).encode()) if as_json else msgpack.packb
    raw = write({**GOOD, "properties": {"deep": {"a": [1, {"b": '中"\n'}]}}})
    parts = [write(GOOD), refusal("unknown_event", "event", "no", raw, as_json=as_json), b""]
    parts[2] = write(GOOD)
    batch = packed(as_json, parts, batch_id="b1")
    for again in (False, True):
        with zuji.open(tmp_path) as engine:
            result = engine.append_batch(batch)
            (kept,) = engine.rejected()
            assert kept["reason"] == "unknown_event"
            assert kept["event"]["properties"]["deep"] == {"a": [1, {"b": '中"\n'}]}
            if again:
                assert (result.accepted, result.duplicates) == (0, 3)
                continue
            assert result.accepted == 2
            (told,) = result.rejected
            assert (told.index, told.reason, told.path, told.message) == (
                *(1, "unknown_event", "event", "no"),
            )
            assert told.raw == raw


def test_it_survives_a_kill(tmp_path):
    engine = zuji.open(tmp_path)
    engine.append_batch(msgpack.packb([GOOD])[:1] + refusal("x", "p", "m", msgpack.packb(GOOD)))
    engine._lock_handle.release()  # as the end of the process does
    with zuji.open(tmp_path) as engine:
        assert [(r["reason"], r["event"]) for r in engine.rejected()] == [("x", GOOD)]


@pytest.mark.parametrize("said", [0, [], ["a", "b", "c"], ["a", "b", "c", 5], [1, "b", "c", b"d"]])
def test_one_that_is_not_whole_is_an_event_like_any_other(tmp_path, said):
    with zuji.open(tmp_path) as engine:
        (told,) = engine.append_batch(msgpack.packb([{"$refused": said}])).rejected
        assert told.reason == "unknown_field"
