"""A record made by way of its batch's keys is an lz4 block of the same bytes, whatever the marks
say.
"""

from __future__ import annotations

import json
import random

import lz4.block
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zuji.engine.batch import Decoder
from zuji.engine.index._strings import StringTable
from zuji.engine.limits import Limits
from zuji.engine.storage import log_format
from zuji.engine.storage._lz4 import pack_marked

HEAD = b"received"


def decoder():
    return Decoder(Limits(), StringTable(salt=1), StringTable(salt=1))


def event(rng, number):
    properties = {
        "city": f"城市{rng.randrange(50):03d}",
        "page": "/p/" + "x" * rng.choice([1, 3, 300]),
        "amount": rng.random(),
        "n": rng.randrange(1 << rng.randrange(1, 60)),
        "tags": rng.sample(["a", "bb", "ccc"], rng.randrange(3)),
    }
    found = {"event": f"e{rng.randrange(5)}", "user_id": f"u{number}", "time": 1_790_000_000_000}
    if rng.random() < 0.1:
        found["unknown"] = 1
    kept = {k: v for k, v in properties.items() if rng.random() < 0.9}
    return found | {"insert_id": f"{rng.random()}", "properties": kept}


@pytest.mark.parametrize("form", ["msgpack", "json", "lines"])
@pytest.mark.parametrize("count", [0, 1, 2, 30, 1000])
def test_a_batch_comes_back(form, count):
    rng = random.Random(count)
    events = [event(rng, i) for i in range(count)]
    raw = msgpack.packb({"events": events})
    if form == "json":
        raw = json.dumps(
            {"events": events}, ensure_ascii=False, indent=rng.choice([None, 1])
        ).encode()
    elif form == "lines":
        raw = "\n".join(json.dumps(e) for e in events).encode()
    reader = decoder()
    reader.decode(raw or b"\x90")
    stored, flags = log_format.pack_batch(HEAD, raw, reader.marks())
    back = lz4.block.decompress(stored) if flags & log_format.LZ4 else stored
    assert back == HEAD + raw
    if count == 1000:
        assert flags == log_format.LZ4
        assert len(stored) < len(raw) * 0.55


def test_marks_stand_at_keys():
    raw = msgpack.packb(
        [{"event": "a", "time": 5, "user_id": "u", "properties": {"x": 1, "yy": 2}}] * 2
    )
    reader = decoder()
    reader.decode(raw)
    marks, first = reader.marks()
    texts = [raw[at + 1 : at + 1 + (raw[at] & 31)].decode() for at in marks]
    assert texts == ["event", "time", "user_id", "properties", "x", "yy"] * 2
    assert first.tolist() == [0, 6, 12]


@given(
    data=st.binary(max_size=400).map(lambda b: b * 3),
    head=st.binary(max_size=40),
    marks=st.lists(st.integers(0, 1300), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=12),
)
def test_any_marks_give_a_valid_block(data, head, marks, cuts):
    mark = np.array(sorted(marks), np.uint32)
    first = np.array(sorted([0, *(min(c, len(mark)) for c in cuts), len(mark)]), np.uint32)
    packed = pack_marked(head, data, mark, first)
    assert lz4.block.decompress(packed) == head + data


def test_marks_that_are_too_few_are_refused():
    with pytest.raises(ValueError, match="marks"):
        pack_marked(b"", b"x" * 200, np.zeros(1, np.uint32), np.array([0, 2], np.uint32))
