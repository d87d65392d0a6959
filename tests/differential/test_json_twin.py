"""The native JSON decoder against its slow twin, json.loads and the msgpack form."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.differential.random_batches import random_batch
from tests.differential.test_decode_twin import (
    LIMITS,
    batches,
    event_lists,
    good_events,
    profiles,
)
from tests.differential.twin_decode import Refused, rows_of
from tests.differential.twin_json import decode_json_slow, is_json, read_json
from tests.differential.wire import write
from tests.differential.wire_json import write_json, write_lines
from zuji.engine.batch import EVENT_REASONS, decode_batch, decode_json, slice_events
from zuji.engine.errors import InvalidEvent
from zuji.engine.index._strings import StringTable
from zuji.engine.limits import DEFAULT_LIMITS

randoms = st.integers(0, 2**32).map(Random)
documents = st.one_of(
    st.builds(write_json, batches, randoms),
    st.builds(write_json, batches, randoms),
    st.builds(write_lines, event_lists, randoms),
)


def fast(data: bytes, limits=LIMITS):
    names, strings = StringTable(), StringTable()
    names.intern(b"before")
    strings.intern(b"before")
    try:
        batch = decode_json(data, limits=limits, names=names, strings=strings)
    except InvalidEvent:
        assert (len(names), len(strings)) == (1, 1), "a refused batch leaves nothing"
        assert strings.find(b"before") == 0
        return "refused"
    check_slices(data, batch)
    return rows_of(batch)


def check_slices(data: bytes, batch):
    if is_json(data) and batch.rejected:
        indexes = [reject.index for reject in batch.rejected]
        assert slice_events(data, indexes) == [reject.raw for reject in batch.rejected]


def slow(data: bytes, limits=LIMITS):
    try:
        return decode_json_slow(data, limits)
    except Refused:
        return "refused"


@settings(max_examples=1000, deadline=None)
@given(documents)
@example(b"[]")
@example(b"{}")
@example(b' {"events":[]}')
@example(b'{"event')
@example(b'{"events":[],"events":[]}')
@example(b'[{"event":"e","time":1,"user_id":"u","properties":{"a":1,"\\u0061":2}}]')
@example(b'{"event":"e","time":1,"user_id":"u"} x')
@example(b'[{"a":' + b"[" * 254 + b"]" * 254 + b"}]")
@example(b'[{"a":' + b"[" * 255 + b"]" * 255 + b"}]")
@example(b'[{"event":"e","time":1,"user_id":123456789012345678901234567890}]')
@example(b'[{"event":"e","time":1,"user_id":-0,"properties":{"z":-0,"f":-0.0}}]')
def test_same_as_twin(data):
    assert fast(data) == slow(data)


def test_same_as_twin_in_volume():
    reasons, kinds, rows = Counter(), Counter(), 0
    for seed in range(600):
        rng = Random(seed)
        batch = random_batch(rng)
        lines = isinstance(batch, list) and rng.random() < 0.5
        data = write_lines(batch, rng) if lines else write_json(batch, rng)
        if lines and rng.random() < 0.3:
            data = data.replace(b":", b"", 1)
        expected = slow(data)
        assert fast(data) == expected, f"seed {seed}"
        if expected == "refused":
            continue
        rows += len(expected["rows"])
        kinds.update(cell[1] for row in expected["rows"] for cell in row["properties"])
        reasons.update(reject[1] for reject in expected["rejected"])
    assert set(reasons) == set(EVENT_REASONS), "every reason must occur"
    assert set(kinds) == {0, 1, 2, 3, 5, 6}, "JSON has no timestamps"
    assert rows > 4000


PIECES = [bytes([char]) for char in b'"\\{}[],:0-.e \n\x00\xff\xe4\x1f']
PIECES += [b"\\u", b"\\ud83d", b"null", b"NaN", b"1e999"]


def damaged(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out) + 1)
        how = rng.randrange(4)
        if how == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            out[at : at + rng.randrange(3)] = rng.choice(PIECES)
        elif how == 2:
            del out[at : at + rng.randrange(1, 4)]
        elif rng.random() < 0.3:
            del out[at:]
    return bytes(out)


@settings(max_examples=800, deadline=None)
@given(documents, randoms)
def test_same_as_twin_after_damage(data, rng):
    data = damaged(data, rng)
    assert fast(data) == slow(data)


@settings(max_examples=300, deadline=None)
@given(randoms)
def test_same_as_twin_after_damage_in_volume(rng):
    batch = random_batch(rng)
    lines = isinstance(batch, list) and rng.random() < 0.5
    data = damaged(write_lines(batch, rng) if lines else write_json(batch, rng), rng)
    assert fast(data) == slow(data)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.binary(max_size=40), st.lists(st.sampled_from(PIECES)).map(b"".join)))
def test_same_as_twin_on_any_bytes(data):
    for each in (data, b"[" + data, b'[{"a":' + data + b"}]", b'{"event":"e"' + data):
        assert fast(each) == slow(each)


@pytest.mark.parametrize("lines", [False, True])
def test_cut_at_every_byte(lines):
    events = [
        {"event": "pay", "time": 5, "user_id": "u1", "properties": {"城市": "济南\n", "n": -1.5e3}},
        {
            "event": "pay",
            "time": "2026-10-01T13:00:05Z",
            "device_id": 7,
            "properties": {"l": ["a"]},
        },
    ]
    rng = Random(1)
    data = write_lines(events, rng) if lines else write_json({"events": events}, rng)
    for cut in range(len(data)):
        assert fast(data[:cut]) == slow(data[:cut]), data[:cut]


@settings(max_examples=400, deadline=None)
@given(st.builds(write_json, batches, randoms), randoms)
def test_trees_are_those_of_json_loads(data, rng):
    """The twin's reader, judged by the library."""

    def plain(node):
        if node.type == "map":
            return {plain(k): plain(v) for k, v in node.value}
        if node.type == "array":
            return [plain(v) for v in node.value]
        return node.value.decode("utf-8", "surrogatepass") if node.type == "str" else node.value

    data = damaged(data, rng) if rng.random() < 0.3 else data
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        expected = json.loads(text)
    except ValueError:
        expected = "refused"
    try:
        node = read_json(data, 0)
        got = plain(node) if not data[node.end :].strip(b" \t\r\n") else "refused"
    except Refused:
        got = "refused"
    assert repr(got) == repr(expected)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(good_events, profiles), min_size=1, max_size=8), randoms)
def test_same_rows_as_msgpack(events, rng):
    """What both forms can say they say alike, into tables that they share."""
    for event in events:
        if not isinstance(event["time"], int | float | str):
            event["time"] = 5
    packed, text = write(events, rng), write_json(events, rng)
    names, strings = StringTable(), StringTable()
    both = []
    for data in (packed, text, packed, write_lines(events, rng)):
        batch = decode_batch(data, limits=LIMITS, names=names, strings=strings)
        got = rows_of(batch)
        both.append((got["rows"], [reject[:3] for reject in got["rejected"]]))
    assert both[0] == both[1] == both[2] == both[3]


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][-+]?[0-9]{1,3})?\Z"),
    st.from_regex(r"\A[1-9][0-9]{14,18}\.[0-9]{1,3}\Z"),
    st.integers(-(2**65), 2**65).map(str),
    st.floats(1e-5, 1e15).map(lambda x: f"{x:.2f}"),
)


@settings(max_examples=1500, deadline=None)
@given(numbers)
@example("9007199254740993.0")
@example("9007199254740992.5")
@example("1e22")
@example("1e23")
@example("-9223372036854775808")
@example("-9223372036854775809")
@example("18446744073709551616")
@example("0." + "0" * 400 + "1e400")
@example("1" + "0" * 500 + "e-500")
def test_numbers_are_exact(text):
    event = b'[{"event":"e","time":5,"user_id":"u","properties":{"v":%s}}]' % text.encode()
    got = fast(event, DEFAULT_LIMITS)
    value = float(text) if any(c in text for c in ".eE") else int(text)
    if isinstance(value, int):
        ok = -(2**63) <= value < 2**63
        expected = [("v", 2, value)]
    else:
        ok = math.isfinite(value)
        expected = [("v", 3, struct.pack("<d", value))]
    if ok:
        assert got["rows"][0]["properties"] == expected
    else:
        assert got["rejected"][0][1] == (
            "int_out_of_range" if expected[0][1] == 2 else "not_finite"
        )


def test_text_of_every_length_and_place():
    """Runs are read sixteen bytes at a time: what ends or marks them stands at every offset."""
    marks = ["", "é", "\U0001f600", '"', "\\", "\n", "\x7f"]
    limits = replace(LIMITS, batch_items=100_000, batch_events=5000, string_bytes=100)
    events = []
    for n in range(40):
        for mark in marks:
            for at in {0, n // 2, n}:
                text = "x" * at + mark + "y" * (n - at)
                events.append({"event": "e", "time": 5, "user_id": "u", "properties": {"v": text}})
    for ascii_only in (True, False):
        data = json.dumps(events, ensure_ascii=ascii_only).encode()
        got = fast(data, limits)
        texts = [row["properties"][0][2] for row in got["rows"]]
        assert texts == [event["properties"]["v"] for event in events]


@pytest.mark.slow
@settings(max_examples=100_000, deadline=None)
@given(documents, randoms)
def test_same_as_twin_long(data, rng):
    assert fast(data) == slow(data)
    data = damaged(data, rng)
    assert fast(data) == slow(data)
