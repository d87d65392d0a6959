"""The native batch format: what is taken, what is refused and why, and the way of Python events."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

import msgpack
import numpy as np
import pandas as pd
import pytest

from zuji.engine.batch import (
    BATCH_REASONS,
    EVENT_REASONS,
    NONE,
    PROFILE_APPEND,
    PROFILE_DELETE,
    PROFILE_INCREMENT,
    PROFILE_SET,
    PROFILE_SET_ONCE,
    PROFILE_UNSET,
    TRACK,
    UNSET,
    decode_batch,
    encode_events,
)
from zuji.engine.batch._decode import BATCH_CODES, EVENT_CODES, count_items
from zuji.engine.errors import InvalidEvent
from zuji.engine.index._strings import StringTable
from zuji.engine.limits import BULK_LIMITS, DEFAULT_LIMITS, LIMITS_DOC, Limits
from zuji.engine.types import Kind

DOC = Path(__file__).parents[2] / "docs/format/batch.md"
GOOD = {"event": "pay", "time": 1_790_000_000_000, "user_id": "u1"}


def decode(data, limits=DEFAULT_LIMITS):
    return decode_batch(data, limits=limits, names=StringTable(), strings=StringTable())


def one(event, limits=DEFAULT_LIMITS):
    """The batch of one event."""
    return decode(msgpack.packb([event], datetime=True), limits)


def reason(event, limits=DEFAULT_LIMITS):
    batch = one(event, limits)
    assert batch.n == 0
    return batch.rejected[0].reason, batch.rejected[0].path


def time_of(value):
    batch = one(GOOD | {"time": value})
    return int(batch.time[0]) if batch.n else batch.rejected[0].reason


def cells(batch):
    """[(name, kind, value)] of the only row."""
    assert batch.n == 1, batch.rejected
    out = []
    for prop, kind, value in zip(batch.cell_prop, batch.cell_kind, batch.cell_value, strict=True):
        shown = int(value)
        if kind == Kind.STRING:
            shown = batch.strings.get(shown).decode()
        elif kind == Kind.FLOAT:
            shown = float(value.view(np.float64))
        elif kind == Kind.LIST:
            codes = batch.list_item[batch.list_start[value] : batch.list_start[value + 1]]
            shown = [batch.strings.get(int(code)).decode() for code in codes]
        out.append((batch.names.get(int(prop)).decode(), int(kind), shown))
    return out


def test_all_kinds():
    when = dt.datetime(2026, 10, 1, 5, 0, 5, 250_999, dt.UTC)
    batch = one(
        GOOD
        | {
            "properties": {
                "城市": "济南",
                "n": -(2**63),
                "amount": 12.5,
                "vip": True,
                "since": when,
                "tags": ["a", "b", "a"],
                "nothing": None,
                "empty": [],
            }
        }
    )
    assert cells(batch) == [
        ("城市", Kind.STRING, "济南"),
        ("n", Kind.INT, -(2**63)),
        ("amount", Kind.FLOAT, 12.5),
        ("vip", Kind.BOOL, 1),
        ("since", Kind.DATETIME, 1790830805250),
        ("tags", Kind.LIST, ["a", "b", "a"]),
        ("empty", Kind.LIST, []),
    ]
    assert batch.device[0] == NONE
    assert len(batch.insert) == 0
    assert list(batch.insert_start) == [0, 0]


def test_dtypes_and_lengths():
    batch = decode(msgpack.packb([GOOD, {}, GOOD | {"properties": {"a": ["x"]}}]))
    assert batch.n == 2
    assert list(batch.index) == [0, 2]
    expected = {
        "kind": "u1", "event": "u4", "user": "u4", "device": "u4", "time": "i8", "insert": "u1",
        "insert_start": "i8",
        "index": "u4", "cell_start": "i8", "cell_prop": "u4", "cell_kind": "u1",
        "cell_value": "i8", "list_start": "i8", "list_item": "u4",
    }  # fmt: skip
    for name, dtype in expected.items():
        column = getattr(batch, name)
        assert column.dtype == dtype, name
        assert column.flags.c_contiguous, name
    assert list(batch.cell_start) == [0, 0, 1]
    assert list(batch.list_start) == [0, 1]


def test_profiles():
    batch = decode(
        msgpack.packb(
            [
                {
                    "type": "profile_set",
                    "time": 5,
                    "user_id": "u",
                    "properties": {"a": 1, "b": None},
                },
                {
                    "type": "profile_unset",
                    "time": 5,
                    "user_id": "u",
                    "properties": {"a": True, "b": None},
                },
                GOOD,
            ]
        )
    )
    assert list(batch.kind) == [PROFILE_SET, PROFILE_UNSET, TRACK]
    assert list(batch.event[:2]) == [NONE, NONE]
    assert list(batch.cell_kind) == [Kind.INT, UNSET, UNSET, UNSET]
    assert list(batch.cell_value) == [1, 0, 0, 0]


def test_profiles_that_build_on_what_was_there():
    of = {"time": 5, "user_id": "u"}
    batch = decode(
        msgpack.packb(
            [
                {"type": "profile_set_once", "properties": {"a": 1, "b": None}} | of,
                {"type": "profile_increment", "properties": {"a": 1, "b": 0.5}} | of,
                {"type": "profile_append", "properties": {"c": "x", "d": ["x", "y"]}} | of,
                {"type": "profile_delete"} | of,
                {"type": "profile_delete", "properties": {}} | of,
            ]
        )
    )
    kinds = [PROFILE_SET_ONCE, PROFILE_INCREMENT, PROFILE_APPEND, PROFILE_DELETE, PROFILE_DELETE]
    assert list(batch.kind) == kinds
    assert list(batch.cell_start) == [0, 1, 3, 5, 5, 5]
    assert list(batch.cell_kind) == [Kind.INT, Kind.INT, Kind.FLOAT, Kind.LIST, Kind.LIST]
    lists = [
        [
            batch.strings.get(int(code)).decode()
            for code in batch.list_item[slice(*batch.list_start[at : at + 2])]
        ]
        for at in batch.cell_value[3:]
    ]
    assert lists == [["x"], ["x", "y"]]


@pytest.mark.parametrize(
    ("type_", "properties", "path"),
    [
        ("profile_increment", {"a": 1, "b": "1"}, "properties.b"),
        ("profile_increment", {"a": None}, "properties.a"),
        ("profile_increment", {"a": True}, "properties.a"),
        ("profile_append", {"a": 1}, "properties.a"),
        ("profile_append", {"a": "x", "b": None}, "properties.b"),
        ("profile_unset", {"a": False}, "properties.a"),
        ("profile_delete", {"a": None}, "properties"),
    ],
)
def test_values_that_a_profile_does_not_take(type_, properties, path):
    event = {"type": type_, "time": 5, "user_id": "u", "properties": properties}
    assert reason(event) == ("bad_value", path)


def test_the_time_of_an_event_may_be_declared_free():
    for free in (True, False, None):
        assert decode(msgpack.packb([GOOD | {"time_free": free}])).n == 1


def test_ids_of_any_kind():
    batch = decode(
        msgpack.packb(
            [GOOD | {"user_id": value} for value in (7, -7, 2**64 - 1, -(2**63), "7", "", None)]
        )
    )
    texts = [batch.strings.get(int(code)).decode() for code in batch.user]
    assert texts == ["7", "-7", "18446744073709551615", "-9223372036854775808", "7"]
    assert [r.reason for r in batch.rejected] == ["missing_id", "missing_id"]


def test_many_integer_ids_in_a_row_do_not_run_into_each_other():
    batch = decode(
        msgpack.packb([GOOD | {"user_id": 10**15 + i, "insert_id": i} for i in range(50)])
    )
    assert [int(batch.strings.get(int(c))) for c in batch.user] == [10**15 + i for i in range(50)]
    bounds = batch.insert_start
    ids = [bytes(batch.insert[bounds[i] : bounds[i + 1]]) for i in range(batch.n)]
    assert ids == [b"%d" % i for i in range(50)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_790_000_000_000, 1_790_000_000_000),
        (1_790_000_000_000.9, 1_790_000_000_000),
        (-0.5, -1),
        ("2026-10-01T13:00:05+08:00", 1790830805000),
        ("2026-10-01T05:00:05.6Z", 1790830805600),
        ("2026-10-01 05:00:05.0069999z", 1790830805006),
        ("2016-12-31T23:59:60Z", 1483228800000),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1900-01-01T00:00:00Z", -2208988800000),
        (msgpack.Timestamp(-1, 999_999_999), -1),
        (dt.datetime(1969, 12, 31, 23, 59, 59, 999_500, dt.UTC), -1),
        (dt.datetime(2026, 10, 1, tzinfo=dt.timezone(dt.timedelta(hours=8))), 1790784000000),
        ("1900-01-01T00:00:00+00:01", "time_out_of_range"),
        (7_258_118_400_000, "time_out_of_range"),
        (7_258_118_399_999, 7_258_118_399_999),
        (2**64 - 1, "time_out_of_range"),
        (1e300, "time_out_of_range"),
        (float("nan"), "bad_time"),
        ("2026-10-01", "bad_time"),
        ("2026-10-01T05:00:05", "bad_time"),
        ("2026-13-01T05:00:05Z", "bad_time"),
        ("2026-02-29T05:00:05Z", "bad_time"),
        ("2026-10-01T05:00:05.Z", "bad_time"),
        ("1790000000000", "bad_time"),
        (True, "bad_time"),
        ({}, "bad_time"),
        (msgpack.ExtType(5, b"abcd"), "bad_time"),
        (None, "missing_time"),
    ],
)
def test_time(value, expected):
    assert time_of(value) == expected


def test_clock_agrees_with_datetime_on_every_day():
    days = pd.date_range("1900-01-01", "2199-12-31", freq="D", tz="UTC")
    expected = (days.as_unit("ms").asi8 + 43_200_123).tolist()
    events = [GOOD | {"time": f"{day:%Y-%m-%d}T20:00:00.123+08:00"} for day in days]
    got = [int(t) for raw in encode_events(events) for t in decode(raw).time]
    assert got == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"event": None}, ("missing_event", "event")),
        ({"event": ""}, ("bad_name", "event")),
        ({"event": "x" * 101}, ("bad_name", "event")),
        ({"event": "a\tb"}, ("bad_name", "event")),
        ({"event": 5}, ("bad_name", "event")),
        ({"type": "Track"}, ("unknown_type", "type")),
        ({"type": "profile_set"}, ("unknown_field", "event")),
        ({"type": "profile_delete"}, ("unknown_field", "event")),
        ({"type": "profile_appen"}, ("unknown_type", "type")),
        ({"time_free": 1}, ("bad_value", "time_free")),
        ({"time_free": []}, ("bad_value", "time_free")),
        ({"lib": {}}, ("unknown_field", "lib")),
        ({5: 5}, ("unknown_field", "")),
        ({"user_id": 1.5}, ("bad_value", "user_id")),
        ({"user_id": "x" * 256}, ("id_too_long", "user_id")),
        ({"insert_id": b"x"}, ("bad_value", "insert_id")),
        ({"user_id": None, "device_id": ""}, ("missing_id", "user_id")),
        ({"properties": []}, ("bad_value", "properties")),
        ({"properties": {f"p{i}": 1 for i in range(256)}}, ("too_many_properties", "properties")),
        ({"properties": {"a": "x" * 8193}}, ("string_too_long", "properties.a")),
        ({"properties": {"a": float("nan")}}, ("not_finite", "properties.a")),
        ({"properties": {"a": -float("inf")}}, ("not_finite", "properties.a")),
        ({"properties": {"a": 2**63}}, ("int_out_of_range", "properties.a")),
        ({"properties": {"a": b"x"}}, ("bad_value", "properties.a")),
        ({"properties": {"a": {}}}, ("bad_value", "properties.a")),
        ({"properties": {"a": {"b": {}}}}, ("bad_value", "properties.a")),
        ({"properties": {"a": {"b": {"c": {}}}}}, ("too_deep", "")),
        ({"properties": {"a": ["x", 5]}}, ("bad_value", "properties.a[1]")),
        ({"properties": {"a": ["x", ["y"]]}}, ("bad_value", "properties.a[1]")),
        ({"properties": {"a": [[["x"]]]}}, ("too_deep", "")),
        ({"properties": {"a": ["x"] * 501}}, ("list_too_long", "properties.a")),
        ({"properties": {"a": ["x", "y" * 8193]}}, ("string_too_long", "properties.a[1]")),
        ({"properties": {"$time": 1}}, ("bad_name", "properties.$time")),
        ({"properties": {"": 1}}, ("bad_name", "properties.")),
        ({"properties": {7: 1}}, ("bad_name", "properties")),
        ({"properties": {"a": msgpack.Timestamp(2**60)}}, ("time_out_of_range", "properties.a")),
    ],
)
def test_one_fault(change, expected):
    assert reason(GOOD | change) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"event": "x" * 100},
        {"user_id": "x" * 255},
        {"properties": {f"p{i}": 1 for i in range(255)}},
        {"properties": {"a": "x" * 8192}},
        {"properties": {"a": ["x"] * 500}},
        {"properties": {"$lib": 1, "a b": 2, "名": 3}},
        {"properties": {"birthday": msgpack.Timestamp(-62135596800)}},
        {"properties": None, "insert_id": None, "device_id": None, "type": None},
    ],
)
def test_just_within_the_limits(change):
    assert one(GOOD | change).n == 1


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe4\xb8", b"\xf4\x90\x80\x80"]
)
def test_broken_text_is_refused_wherever_it_stands(text):
    packed = msgpack.packb(
        GOOD | {"device_id": "@", "insert_id": "@", "properties": {"@": "@", "l": ["@"]}}
    )
    places = [m.start() for m in re.finditer(b"\xa1@", packed)]
    assert len(places) == 5
    for at in places:
        broken = packed[:at] + bytes([0xA0 | len(text)]) + text + packed[at + 2 :]
        batch = decode(b"\x91" + broken)
        assert [r.reason for r in batch.rejected] == ["bad_utf8"]
        assert batch.rejected[0].raw == broken


def test_duplicate_keys():
    pair = b"\xa1a\x01"
    start = msgpack.packb(GOOD)[1:]
    batch = decode(b"\x91\x84" + start + b"\xaaproperties\x82" + pair + pair)
    assert batch.rejected[0].reason == "duplicate_key"
    assert batch.rejected[0].path == "properties.a"
    batch = decode(b"\x91\x84" + start + b"\xa4time\x05")
    assert (batch.rejected[0].reason, batch.rejected[0].path) == ("duplicate_key", "time")


def test_duplicate_key_after_names_that_were_seen_before():
    """The names are known from the event before: the fast path must still notice a repeat."""
    head = msgpack.packb(GOOD)[1:] + b"\xaaproperties"
    first = b"\x84" + head + b"\x83\xa1a\x01\xa1b\x01\xa1c\x01"
    again = b"\x84" + head + b"\x84\xa1a\x01\xa1b\x01\xa1c\x01\xa1b\x02"
    swapped = b"\x84" + head + b"\x83\xa1a\x01\xa1c\x01\xa1a\x01"
    batch = decode(b"\xdc\x00\x13" + first * 16 + again + swapped + first)
    assert [(r.index, r.reason, r.path) for r in batch.rejected] == [
        (16, "duplicate_key", "properties.b"),
        (17, "duplicate_key", "properties.a"),
    ]
    assert batch.n == 17


def test_a_bad_event_leaves_no_trace():
    names, strings = StringTable(), StringTable()
    bad = {
        "event": "nope",
        "time": 1,
        "user_id": "ghost",
        "properties": {"secret": "x", "l": ["y"], "z": {}},
    }
    data = msgpack.packb([GOOD, bad, GOOD | {"user_id": "u2"}])
    batch = decode_batch(data, limits=DEFAULT_LIMITS, names=names, strings=strings)
    assert batch.n == 2
    assert names.to_list() == ["pay"]
    assert strings.to_list() == ["u1", "u2"]
    assert batch.rejected[0].raw == msgpack.packb(bad)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "truncated"),
        (b"\x91", "truncated"),
        (b"\xc1", "malformed"),
        (b"\x91\xc1", "malformed"),
        (b"\x90\x00", "trailing_bytes"),
        (b"\x05", "bad_envelope"),
        (b"\x80", "bad_envelope"),
        (msgpack.packb({"events": 5}), "bad_envelope"),
        (msgpack.packb({"events": [], "extra": 1}), "bad_envelope"),
        (msgpack.packb({"events": [], "batch_id": ""}), "bad_envelope"),
        (msgpack.packb({"events": [], "batch_id": 5}), "bad_envelope"),
        (msgpack.packb({"events": [], "batch_id": "x" * 256}), "bad_envelope"),
        (msgpack.packb({"events": [], "sent_at": "now"}), "bad_envelope"),
        (b"\x82\xa6events\x90\xa6events\x90", "bad_envelope"),
        (b"\xdd\x00\x00\x07\xd1" + b"\x80" * 2001, "too_many_events"),
        (b"\xdd\xff\xff\xff\xff", "too_many_events"),
        (b"\x91\xdf\xff\xff\xff\xff", "truncated"),
        (b"\x91\xdd\x00\x10\x00\x00" + b"\xc0" * 2**20, "too_many_items"),
        (b"\x91" + b"\x91" * 60_000, "truncated"),
        (b"\x91" + b"\x91" * 65_536 + b"\xc0", "too_many_items"),
        (b"\x90" + b"\x00" * 4 * 2**20, "batch_too_large"),
    ],
)
def test_refused_whole(data, expected):
    with pytest.raises(InvalidEvent) as caught:
        decode(data)
    assert caught.value.reason == expected
    assert caught.value.index == -1


def test_deep_nesting_refuses_the_event_only():
    deep = b"\x91" * 10_000 + b"\xc0"
    batch = decode(b"\x92" + deep + msgpack.packb(GOOD))
    assert batch.n == 1
    assert batch.rejected[0].reason == "too_deep"
    assert batch.rejected[0].raw == deep


def test_every_prefix_is_refused_whole():
    data = msgpack.packb(
        {
            "batch_id": "b",
            "sent_at": 1.5,
            "events": [GOOD | {"properties": {"a": ["x"], "b": 1.5, "c": 2**40}}],
        }
    )
    for cut in range(len(data)):
        with pytest.raises(InvalidEvent):
            decode(data[:cut])
    batch = decode(data)
    assert (batch.n, batch.batch_id, batch.sent_at) == (1, b"b", 1)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_input_types(kind):
    assert decode(kind(msgpack.packb([GOOD]))).n == 1


def test_memoryview_of_a_part():
    data = b"xx" + msgpack.packb([GOOD, 5]) + b"yy"
    batch = decode(memoryview(data)[2:-2])
    assert (batch.n, batch.rejected[0].raw) == (1, b"\x05")


def test_one_table_for_names_and_strings():
    table = StringTable()
    batch = decode_batch(
        msgpack.packb([GOOD | {"user_id": "pay"}]),
        limits=DEFAULT_LIMITS,
        names=table,
        strings=table,
    )
    assert batch.event[0] == batch.user[0]
    table.intern(b"usable after")


def test_tables_are_released_after_a_refusal():
    table = StringTable()
    with pytest.raises(InvalidEvent):
        decode_batch(b"\xc1", limits=DEFAULT_LIMITS, names=table, strings=table)
    assert table.intern(b"x") == 0


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\x00\x00\x07\xd0" + b"\xdc\x00\x20" * 1 + b"\xc0" * 32 + b"\x80" * 1999,
        b"\x91" + msgpack.packb(GOOD | {"properties": {f"p{i}": ["x"] * 200 for i in range(255)}}),
        msgpack.packb([GOOD | {"properties": {f"{i:x}": i for i in range(28)}}] * 1000),
        msgpack.packb([GOOD | {"properties": {"v": "x" * 2000}}] * 2000),
        msgpack.packb(
            [
                GOOD | {"properties": {"l": [f"{i * 400 + k:x}" for k in range(400)]}}
                for i in range(150)
            ]
        ),
    ],
    ids=["empty maps", "long lists", "small cells", "long text", "short strings"],
)
def test_memory_is_bounded(data):
    """8 times the input, 1 KB for each refused event, 64 bytes and its text for each string."""
    program = (
        "import resource, sys\n"
        "from zuji.engine.batch import decode_batch\n"
        "from zuji.engine.errors import InvalidEvent\n"
        "from zuji.engine.index._strings import StringTable\n"
        "from zuji.engine.limits import DEFAULT_LIMITS\n"
        "names, strings = StringTable(), StringTable()\n"
        "data = sys.stdin.buffer.read()\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "def run(data):\n"
        "    try: decode_batch(data, limits=DEFAULT_LIMITS, names=names, strings=strings)\n"
        "    except InvalidEvent: pass\n"
        "run(b'\\x91\\x80')\n"
        "before = peak()\n"
        "run(data)\n"
        "print(peak() - before, len(names) + len(strings))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=data, capture_output=True, check=True
    )
    used, known = map(int, done.stdout.split())
    assert used < 8 * len(data) + 2_000 * 1_024 + 64 * known


def test_bulk_limits_keep_the_limits_on_events():
    differ = {
        f.name
        for f in fields(Limits)
        if getattr(BULK_LIMITS, f.name) != getattr(DEFAULT_LIMITS, f.name)
    }
    assert differ == {"batch_bytes", "batch_events", "batch_items"}
    assert decode(msgpack.packb([GOOD] * 9000), BULK_LIMITS).n == 9000


def test_limits_are_the_callers():
    assert reason(GOOD, replace(DEFAULT_LIMITS, id_bytes=1)) == ("id_too_long", "user_id")
    assert reason(GOOD, replace(DEFAULT_LIMITS, time_max_ms=5)) == ("time_out_of_range", "time")
    assert reason(GOOD, replace(DEFAULT_LIMITS, name_bytes=2)) == ("bad_name", "event")


# Python events


def test_encode_values():
    event = GOOD | {
        "user_id": UUID(int=1),
        "time": dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
        "properties": MappingProxyType(
            {
                "day": dt.date(2026, 10, 1),
                "n": np.int32(5),
                "x": np.float32(0.5),
                "flag": np.bool_(True),
                "s": np.str_("t"),
                "d": Decimal("12.50"),
                "tuple": ("a", "b"),
                "set": {"b", "a"},
                "array": np.array(["p", "q"]),
                "np": np.datetime64("2026-10-01T00:00:00.123456"),
                "pd": pd.Timestamp("2026-10-01", tz="Asia/Shanghai"),
                "nat": pd.NaT,
                "nat64": np.datetime64("NaT"),
            }
        ),
    }
    (raw,) = encode_events([event])
    batch = decode(raw)
    assert batch.time[0] == 1790812800000
    assert batch.strings.get(int(batch.user[0])).decode() == str(UUID(int=1))
    assert cells(batch) == [
        ("day", Kind.DATETIME, 1790812800000),
        ("n", Kind.INT, 5),
        ("x", Kind.FLOAT, 0.5),
        ("flag", Kind.BOOL, 1),
        ("s", Kind.STRING, "t"),
        ("d", Kind.FLOAT, 12.5),
        ("tuple", Kind.LIST, ["a", "b"]),
        ("set", Kind.LIST, ["a", "b"]),
        ("array", Kind.LIST, ["p", "q"]),
        ("np", Kind.DATETIME, 1790812800123),
        ("pd", Kind.DATETIME, 1790784000000),
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (5, "not_a_map"),
        ([GOOD], "not_a_map"),
        (GOOD | {"properties": {"a": object()}}, "bad_value"),
        (GOOD | {"properties": {"a": 2**64}}, "int_out_of_range"),
        (GOOD | {"user_id": "\ud800"}, "bad_utf8"),
        (GOOD | {"time": dt.datetime(2026, 10, 1)}, "bad_time"),
        (GOOD | {"time": pd.Timestamp("2026-10-01")}, "bad_time"),
        (GOOD | {"properties": {"a": "x" * 5_000_000}}, "batch_too_large"),
        (GOOD | {"properties": {"a": ["x"] * 70_000}}, "batch_too_large"),
        (GOOD | {"properties": {"a": {1, "x"}}}, "bad_value"),
    ],
)
def test_encode_refuses_with_the_index(event, expected):
    with pytest.raises(InvalidEvent) as caught:
        encode_events([GOOD, GOOD, event, GOOD])
    assert (caught.value.index, caught.value.reason) == (2, expected)
    assert "event 2" in str(caught.value)


def test_encode_nests_without_end():
    event: dict = {}
    event["event"] = event
    with pytest.raises(InvalidEvent):
        encode_events([event])


def test_encode_cuts_batches_that_decode():
    events = [GOOD | {"properties": {f"p{k}": i for k in range(i % 60)}} for i in range(7_001)]
    batches = encode_events(iter(events))
    sizes = [decode(raw).n for raw in batches]
    assert sum(sizes) == len(events)
    assert max(sizes) <= DEFAULT_LIMITS.batch_events
    wide = [GOOD | {"properties": {"v": "x" * 8000}}] * 1_500
    batches = encode_events(wide)
    assert len(batches) == 3
    assert all(len(raw) <= DEFAULT_LIMITS.batch_bytes for raw in batches)
    assert sum(decode(raw).n for raw in batches) == 1_500


def test_encode_nothing():
    assert encode_events([]) == []


def test_count_items():
    assert count_items(msgpack.packb({"a": [1, 2], "b": {}})) == 7
    with pytest.raises(ValueError, match="whole"):
        count_items(b"\x92\x01")


# The page


def test_codes_of_c_and_python_are_the_same():
    assert list(EVENT_CODES) == list(EVENT_REASONS)
    assert list(BATCH_CODES) == list(BATCH_REASONS)


def test_page_has_every_reason_with_its_text():
    page = DOC.read_text(encoding="utf-8")
    for code, text in (EVENT_REASONS | BATCH_REASONS).items():
        assert f"| `{code}` | {text.format(limits=DEFAULT_LIMITS)} |" in page, code
    listed = set(re.findall(r"^\| `([a-z_0-9]+)` \|", page, re.MULTILINE))
    known = {*EVENT_REASONS, *BATCH_REASONS, *(limit.name for limit in LIMITS_DOC)}
    assert known <= listed
    fields_of_format = {
        "events", "batch_id", "sent_at", "type", "event", "time", "user_id", "device_id",
        "insert_id", "properties", "time_free",
    }  # fmt: skip
    types = {
        f"profile_{name}" for name in ("set", "set_once", "increment", "append", "unset", "delete")
    }
    assert listed - known - types == fields_of_format, "the page lists a code that does not exist"


def test_page_has_every_limit():
    page = DOC.read_text(encoding="utf-8")
    for limit in LIMITS_DOC:
        assert f"| `{limit.name}` | {limit.value:,} | {limit.unit} | {limit.reason} |" in page


def test_page_example_decodes():
    page = DOC.read_text(encoding="utf-8")
    dump = re.search(r"```hex\n(.*?)```", page, re.DOTALL)
    data = bytes.fromhex("".join(line.split("#")[0] for line in dump.group(1).splitlines()))
    batch = decode(data)
    assert (batch.n, batch.batch_id) == (1, b"b1")
    assert cells(batch) == [("city", Kind.STRING, "济南"), ("amount", Kind.FLOAT, 12.5)]
