"""Arrow streams as batches: the events that they become, and streams that lie."""

import json
import struct
from datetime import UTC, datetime

import msgpack
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zuji
from zuji.engine.errors import InvalidEvent, ZujiError
from zuji.server.collector.message import Request
from zuji.server.protocols import columnar
from zuji.server.protocols._rows import pack_rows
from zuji.server.protocols.native import NATIVE
from zuji.server.settings import Settings

NOON = 1_790_827_200_000


def stream(table, *, compression=None, rows=None):
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue().to_pybytes()


def request(body, query=b""):
    return Request("POST", "/v1/events", query, {}, body, "127.0.0.1", NOON)


def taken(body, query=b""):
    return NATIVE.convert(request(body, query), body, Settings())


def events(found):
    """Events of what was taken, instants as datetimes."""
    unpack = lambda data: msgpack.unpackb(data, timestamp=3)  # noqa: E731
    loose = [
        event
        for part in found.events
        for event in unpack(b"\xdc" + part.count.to_bytes(2, "big") + part.data)
    ]
    return loose + [event for batch in found.batches for event in unpack(batch)["events"]]


def table(**columns):
    base = {
        "event": pa.array(["go", "stop"]),
        "time": pa.array([NOON, NOON + 1]),
        "user_id": pa.array(["u1", "u2"]),
    }
    return pa.table({**base, **columns})


def test_every_type_becomes_what_msgpack_would_have_carried():
    instant = datetime(2026, 10, 1, 4, 0, 0, 250_000, UTC)
    before = datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)
    found = taken(
        stream(
            table(
                time=pa.array([instant, before], pa.timestamp("us", "Asia/Shanghai")),
                device_id=pa.array([None, 7]),
                insert_id=pa.array(["i" * 40, None]),
                type=pa.array(["track", None]).dictionary_encode(),
                time_free=pa.array([True, None]),
                properties=pa.array(
                    [{"inner": 1.5, "time": "own"}, None],
                    pa.struct([("inner", pa.float32()), ("time", pa.large_string())]),
                ),
                small=pa.array([-1, 127], pa.int8()),
                large=pa.array([2**63, 1], pa.uint64()),
                yes=pa.array([True, False]),
                at=pa.array([instant, before], pa.timestamp("ns", "UTC")),
                day=pa.array([datetime(2026, 10, 1, tzinfo=UTC).date(), None]),
                text=pa.array(["济南" * 20, ""]),
                city=pa.array(["a", "a"]).dictionary_encode(),
                tags=pa.array([["x", "yy"], []]),
                more=pa.array([["x"], None], pa.large_list(pa.large_string())),
                nothing=pa.nulls(2),
            )
        )
    )
    first, second = events(found)
    day = datetime(2026, 10, 1, tzinfo=UTC)
    assert first == {
        "event": "go",
        "time": NOON - 8 * 3_600_000 + 28_800_250,
        "user_id": "u1",
        "insert_id": "i" * 40,
        "type": "track",
        "time_free": True,
        "properties": {
            "inner": 1.5,
            "time": "own",
            "small": -1,
            "large": 2**63,
            "yes": True,
            "at": instant,
            "day": day,
            "text": "济南" * 20,
            "city": "a",
            "tags": ["x", "yy"],
            "more": ["x"],
        },
    }
    assert second == {
        "event": "stop",
        "time": -1,
        "user_id": "u2",
        "device_id": 7,
        "properties": {
            "small": 127,
            "large": 1,
            "yes": False,
            "at": before,
            "text": "",
            "city": "a",
            "tags": [],
        },
    }


def test_the_items_of_parts_are_what_the_engine_counts():
    from zuji.engine.batch._decode import count_items

    rows = [["a", "b"], None, []]
    (part,) = taken(
        stream(table(tags=pa.array(rows[:2]), x=pa.array([1.0, None]), device_id=pa.nulls(2)))
    ).events
    whole = b"\xdc" + part.count.to_bytes(2, "big") + part.data
    assert count_items(whole) == part.items + 1


def test_long_tables_are_parts_of_batches_and_rows_are_told_as_sent(tmp_path):
    count = 4_500
    long = pa.table(
        {
            "event": ["go"] * count,
            "time": pa.array(np.arange(count) + NOON),
            "user_id": pa.array(
                [None if i in (1, 2_100, 4_499) else f"u{i}" for i in range(count)]
            ),
            "n": pa.array(range(count)),
        }
    )
    body = stream(long, rows=3_000)
    found = taken(body, b"batch_id=b1")
    assert [len(msgpack.unpackb(batch)["events"]) for batch in found.batches] == [
        *(2_000, 1_000, 1_500),
    ]
    assert found.note == [0, 2_000, 3_000]
    with zuji.open(tmp_path) as engine:
        answer = NATIVE.stored(request(body), found, engine.append_many(found.batches))
        said = json.loads(answer.body)
        assert said["accepted"] == count - 3
        assert [(one["index"], one["code"]) for one in said["rejected"]] == [
            *((1, "missing_id"), (2_100, "missing_id"), (4_499, "missing_id")),
        ]
        again = NATIVE.stored(request(body), found, engine.append_many(found.batches))
        assert json.loads(again.body)["duplicates"] == count
        assert engine.status()["rows"] == count - 3


def test_the_id_of_a_batch_may_stand_in_the_schema():
    given_ = table().replace_schema_metadata({"batch_id": "b7"})
    (batch,) = taken(stream(given_)).batches
    assert msgpack.unpackb(batch)["batch_id"] == "b7"
    (batch,) = taken(stream(given_), b"batch_id=b8").batches
    assert msgpack.unpackb(batch)["batch_id"] == "b8"


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_buffers_are_read_and_bombs_are_not(monkeypatch, compression):
    text = pa.array(["a" * 1000] * 2)
    assert len(events(taken(stream(table(text=text), compression=compression)))) == 2
    zeros = pa.table(
        {"x": pa.array(np.zeros(90_000, np.int64))}
        | {f"x{i}": pa.array(np.zeros(90_000, np.int64)) for i in range(60)}
    )
    bomb = stream(zeros, compression=compression)
    assert len(bomb) < 1 << 20
    opened = []
    monkeypatch.setattr(columnar.pa.ipc, "open_stream", lambda *_: opened.append(1))
    with pytest.raises(InvalidEvent, match="too large") as caught:
        taken(bomb)
    assert caught.value.reason == "batch_too_large"
    assert not opened  # refused by what the messages say


def refused(body, reason, query=b""):
    with pytest.raises(InvalidEvent) as caught:
        taken(body, query)
    assert caught.value.reason == reason, caught.value
    assert caught.value.index == -1
    return str(caught.value)


def test_what_swells_is_refused():
    names = {f"n{i:02}" * 25: pa.array(np.zeros(90_000, bool)) for i in range(99)}
    refused(stream(pa.table(names)), "batch_too_large")
    one = pa.DictionaryArray.from_arrays(np.zeros(90_000, np.int8), pa.array(["a" * 8_000]))
    refused(stream(pa.table({"x": one})), "batch_too_large")
    refused(stream(pa.table({"x": pa.nulls(columnar.ROWS + 1)})), "too_many_events")
    half = pa.table({"x": pa.nulls(columnar.ROWS // 2 + 1)})
    refused(stream(pa.concat_tables([half, half])), "too_many_events")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": pa.array([{"a": 1}, None])}, "column 'x' is struct"),
        ({"x": pa.array([[1], [2]])}, "column 'x' is list"),
        ({"x": pa.array([["a"], [None]])}, "null in it"),
        ({"x": pa.array([b"a", b"b"])}, "column 'x' is binary"),
        ({"x": pa.array([datetime(2026, 1, 1), None])}, "time zone"),
        ({"x": pa.array(["a", "b"]).cast(pa.string_view())}, "string_view"),
        ({"properties": pa.array(["a", "b"])}, "properties is a struct"),
        ({"x" * 101: pa.array([1, 2])}, "too long"),
        ({f"x{i}": pa.array([1, 2]) for i in range(256)}, "too many columns"),
        ({"properties": pa.array([{"x": 1}] * 2), "x": pa.array([1, 2])}, "two of one name"),
    ],
)
def test_columns_that_cannot_be_taken_are_named(columns, said):
    assert said in refused(stream(table(**columns)), "bad_columns")


def test_one_event_that_is_too_large_is_refused_alone():
    texts = [["x" * 8_000] * 499, ["y"]]
    many = {f"t{i}": pa.array(texts) for i in range(2)}
    found = taken(stream(table(**many)))
    assert [(one.index, one.reason) for one in found.refused] == [(0, "event_too_large")]
    assert [event["event"] for event in events(found)] == ["stop"]
    assert found.note == [1]


def test_an_empty_stream_brings_nothing():
    found = taken(stream(table().slice(0, 0)))
    assert (found.events, found.batches, found.refused) == ([], (), [])
    assert NATIVE.stored(request(b""), found, ()).body.startswith(b'{"accepted":0')


WHOLE = stream(table(tags=pa.array([["x"], None]), c=pa.array(["a", "b"]).dictionary_encode()))
PACKED = stream(table(x=pa.array(["a" * 99, "b"])), compression="lz4")


@pytest.mark.parametrize("whole", [WHOLE, PACKED], ids=["plain", "lz4"])
def test_streams_that_end_too_early_or_are_none(whole):
    for end in range(4, len(whole) - 8, 7):
        try:
            found = taken(whole[:end])
        except InvalidEvent:
            continue
        assert len(events(found)) in (0, 2)
    refused(b"\xff\xff\xff\xff" + b"x" * 50, "malformed")
    with pytest.raises(InvalidEvent):
        columnar.convert(b"[1, 2]", "")


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from([WHOLE, PACKED]),
    st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_changed_byte_never_crashes(whole, changes):
    body = bytearray(whole)
    for at, byte in changes:
        body[4 + at % (len(body) - 4)] = byte
    try:
        found = taken(bytes(body))
    except ZujiError:
        return
    for event in events_loosely(found):
        assert isinstance(event, dict)


def events_loosely(found):
    for part in found.events:
        data = b"\xdc" + part.count.to_bytes(2, "big") + part.data
        yield from msgpack.unpackb(
            data, strict_map_key=False, unicode_errors="replace", timestamp=0
        )


def test_rows_are_not_written_from_arrays_that_do_not_fit():
    starts = np.array([0, 1, 2], np.int64)
    text = np.zeros(2, np.uint8)
    good = (b"\xa1x", 5, text, None, starts, None)
    assert pack_rows(2, [good], [], 100) is not None
    for bad in (
        (b"\xa1x", 5, text, None, starts[:2], None),
        (b"\xa1x", 5, text[:1], None, starts, None),
        (b"\xa1x", 5, text, None, starts[::-1].copy(), None),
        (b"\xa1x", 0, starts, None, None, None),
        (b"\xa1x", 3, text[:1], None, None, None),
        (b"\xa1x", 0, starts[:2], text[:1], None, None),
        (b"\xa1x", 6, text, None, starts, np.array([0, 1, 3], np.int64)),
        (b"\xa1x", 6, text, None, starts, np.array([-1, 1, 2], np.int64)),
    ):
        with pytest.raises(ValueError, match="fit"):
            pack_rows(2, [bad], [], 100)
    with pytest.raises(ValueError, match="rows"):
        pack_rows(0, [], [], 100)
    assert pack_rows(2, [good], [], 30) is None


def test_sizes_are_read_as_arrow_writes_them():
    """Were the layout of messages misread, bombs would pass."""
    table_ = pa.table({"x": pa.array(np.arange(1_000, dtype=np.int64))})
    body = stream(table_, compression="zstd")
    messages = list(pa.ipc.MessageReader.open_stream(body))
    data = messages[1].metadata.to_pybytes()
    header = columnar._Table(data, struct.unpack_from("<I", data)[0])
    batch = header.table(2)
    assert (header.number(1, "<B"), batch.number(0, "<q"), batch.has(3)) == (3, 1_000, True)
    assert columnar._inflated(messages[1].body, batch) == 8_000
