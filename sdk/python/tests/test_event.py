"""What is refused before it is queued, with the codes that the collector would give."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum

import msgpack
import pytest

from zuji_sdk import InvalidEvent, event, limits


def track(name="e", properties=None, user="u", device=None, time=0, insert=None):
    return event.track(name, properties, user, device, time, insert)


def fields(record):
    return msgpack.unpackb(record.data, timestamp=0)


class Color(str, Enum):
    RED = "red"


def test_every_kind_of_value_goes_out_as_itself():
    birthday = datetime(1890, 5, 1, tzinfo=timezone.utc)
    record = track(
        properties={
            "text": "济南",
            "int": -(2**63),
            "float": -0.0,
            "bool": True,
            "time": birthday,
            "list": ("a", ""),
            "none": None,
            "decimal": Decimal("12.5"),
            "uuid": uuid.UUID(int=1),
            "enum": Color.RED,
        }
    )
    found = fields(record)["properties"]
    assert str(found["float"]) == "-0.0"
    assert found["time"].to_datetime() == birthday
    del found["time"]
    assert found == {
        "text": "济南",
        "int": -(2**63),
        "float": 0.0,
        "bool": True,
        "list": ["a", ""],
        "decimal": 12.5,
        "uuid": str(uuid.UUID(int=1)),
        "enum": "red",
    }
    assert found["bool"] is True


def test_numpy_scalars_need_no_numpy():
    class Scalar:
        def item(self):
            return 7

    assert fields(track(properties={"n": Scalar()}))["properties"] == {"n": 7}


def test_items_count_msgpack_values():
    def count(value):
        if isinstance(value, dict):
            return 1 + sum(1 + count(inner) for inner in value.values())
        return 1 + sum(map(count, value)) if isinstance(value, list) else 1

    for record in (
        track(properties={"a": 1, "b": ["x", "y"]}),
        track(),
        event.other("item_set", {"item": {"id": "7", "tags": ["a"]}}, "u", None, 0, None),
    ):
        assert record.items >= count(fields(record)) >= record.items - 3


@pytest.mark.parametrize(
    ("arguments", "code", "path"),
    [
        ({"name": ""}, "missing_event", "event"),
        ({"name": None}, "missing_event", "event"),
        ({"name": "x" * 101}, "bad_name", "event"),
        ({"name": "济" * 34}, "bad_name", "event"),
        ({"name": "a\nb"}, "bad_name", "event"),
        ({"name": 7}, "bad_name", "event"),
        ({"name": "\ud800"}, "bad_utf8", "event"),
        ({"user": None}, "missing_id", ""),
        ({"user": ""}, "missing_id", ""),
        ({"user": "x" * 256}, "id_too_long", "user_id"),
        ({"user": 1.5}, "bad_value", "user_id"),
        ({"user": True}, "bad_value", "user_id"),
        ({"insert": "x" * 256}, "id_too_long", "insert_id"),
        ({"time": datetime(2026, 1, 1)}, "bad_time", "time"),
        ({"time": "2026-01-01"}, "bad_time", "time"),
        ({"time": float("nan")}, "bad_time", "time"),
        ({"time": 1_790_000_000_000_000}, "time_out_of_range", "time"),
        ({"properties": [1]}, "bad_value", "properties"),
        ({"properties": {"$time": 1}}, "bad_name", "properties.$time"),
        ({"properties": {"": 1}}, "bad_name", "properties."),
        ({"properties": {1: 1}}, "bad_name", "properties.1"),
        ({"properties": {"p": "x" * 8193}}, "string_too_long", "properties.p"),
        ({"properties": {"p": "济" * 2731}}, "string_too_long", "properties.p"),
        ({"properties": {"p": "\ud800"}}, "bad_utf8", "properties.p"),
        ({"properties": {"p": ["\ud800"]}}, "bad_utf8", "properties.p"),
        ({"properties": {"p": 2**63}}, "int_out_of_range", "properties.p"),
        ({"properties": {"p": float("inf")}}, "not_finite", "properties.p"),
        ({"properties": {"p": Decimal("NaN")}}, "not_finite", "properties.p"),
        ({"properties": {"p": datetime(2026, 1, 1)}}, "bad_value", "properties.p"),
        ({"properties": {"p": b"x"}}, "bad_value", "properties.p"),
        ({"properties": {"p": {"q": 1}}}, "bad_value", "properties.p"),
        ({"properties": {"p": ["a", 1]}}, "bad_value", "properties.p[1]"),
        ({"properties": {"p": ["a"] * 501}}, "list_too_long", "properties.p"),
        ({"properties": {str(n): n for n in range(256)}}, "too_many_properties", "properties"),
        (
            {"properties": {str(n): "x" * 8192 for n in range(130)}},
            "event_too_large",
            "",
        ),
        (
            {"properties": {str(n): ["x"] * 500 for n in range(130)}},
            "too_many_items",
            "",
        ),
    ],
)
def test_what_is_refused(arguments, code, path):
    with pytest.raises(InvalidEvent) as caught:
        track(**arguments)
    assert (caught.value.code, caught.value.path) == (code, path)


def test_the_largest_of_everything_is_taken():
    record = track(
        "x" * 100,
        {**{str(n): n for n in range(253)}, "s": "济" * 2730 + "ab", "l": ["x"] * 500},
        "u" * 255,
        "d" * 255,
        limits.TIME_MAX_MS - 1,
        "i" * 255,
    )
    assert len(fields(record)["properties"]) == 255


def test_times():
    zone = timezone(timedelta(hours=8))
    early = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc)
    assert fields(track(time=datetime(1970, 1, 1, 8, tzinfo=zone)))["time"] == 0
    assert fields(track(time=early))["time"] == -1
    assert fields(track(time=1.9))["time"] == 1
    assert fields(track(time=-0.5))["time"] == -1


def test_ids_are_text():
    assert fields(track(user=7, device=uuid.UUID(int=0))) == {
        "time": 0,
        "event": "e",
        "user_id": "7",
        "device_id": str(uuid.UUID(int=0)),
    }


def test_profiles():
    assert fields(event.profile_set({"a": 1, "b": None}, "u", None, 0, None)) == {
        "type": "profile_set",
        "time": 0,
        "user_id": "u",
        "properties": {"a": 1, "b": None},
    }
    assert fields(event.profile_unset(["a"], "u", None, 0, None))["properties"] == {"a": None}
    with pytest.raises(InvalidEvent):
        event.profile_unset("abc", "u", None, 0, None)


def test_records_of_other_types():
    assert fields(event.other("bind", {"key": "k"}, "u", "d", 0, None)) == {
        "type": "bind",
        "time": 0,
        "user_id": "u",
        "device_id": "d",
        "key": "k",
    }
    with pytest.raises(InvalidEvent):
        event.other("bind", {"time": 1}, "u", None, 0, None)
    with pytest.raises(InvalidEvent):
        event.other("bind", {"k": object()}, "u", None, 0, None)
