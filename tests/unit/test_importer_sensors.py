"""Records of Sensors Analytics: what each line becomes, and that broken ones spoil no other."""

from __future__ import annotations

import json
import random

import msgpack
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import zuji
from zuji.engine.errors import InvalidInput
from zuji.server.importer.parcels import PARCEL_ROWS
from zuji.server.importer.readers import opening
from zuji.server.importer.readers.opening import files_in, is_sensors
from zuji.server.importer.sensors_lines import SensorsSource

T0 = 1_500_000_000_000
KEY = "f.json:" + "0" * 32


def record(n, **more):
    return {
        "type": "track",
        "event": "go",
        "time": T0 + n,
        "distinct_id": f"u{n}",
        "properties": {"n": n},
        **more,
    }


def lines_of(*records):
    return b"".join(
        (one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in records
    )


def source(tmp_path, data):
    path = tmp_path / "f.json"
    path.write_bytes(data)
    return SensorsSource(path, "Asia/Shanghai")


def read(tmp_path, data, position=0):
    """Events with their line, refusals, lines kept aside, ends of parcels."""
    events, rejects, kept, ends = [], [], [], []
    for parcel in source(tmp_path, data).parcels(KEY, position):
        rejects += parcel.rejects
        if parcel.end is not None:
            ends.append(parcel.end)
        if parcel.batch:
            batch = msgpack.unpackb(parcel.batch, timestamp=3)
            for index, event in enumerate(batch["events"]):
                about = parcel.event(index)
                (kept if about.kept else events).append((about.number, event))
    return events, rejects, kept, ends


def test_all_fourteen_types_find_their_way(tmp_path):
    profile = {"distinct_id": "u", "time": T0, "properties": {"level": 1}}
    item = {"item_type": "good", "item_id": "1", "properties": {"x": 1}, "time": T0}
    whole = [
        record(0),
        record(1, type="track_signup", original_id="d", event="$SignUp"),
        record(2, type="track_id_bind", identities={"$identity_login_id": "u", "k": "v"}),
        record(3, type="track_id_unbind", identities={"$identity_login_id": "u", "k": "v"}),
        *({**profile, "type": f"profile_{kind}"} for kind in ("set", "set_once", "increment")),
        {**profile, "type": "profile_append", "properties": {"tags": ["a"]}},
        {**profile, "type": "profile_unset", "properties": {"level": True}},
        {**profile, "type": "profile_delete", "properties": {}},
        *({**item, "type": f"{kind}_{what}"} for kind in ("item", "detail") for what in ("set",)),
        *({**item, "type": f"{kind}_delete"} for kind in ("item", "detail")),
    ]
    assert len({one["type"] for one in whole}) == 14
    assert {one["type"] for one in whole} == opening.SENSORS_TYPES
    events, rejects, kept, _ = read(tmp_path, lines_of(*whole))
    assert rejects == []
    assert [number for number, _ in events] == list(range(1, 11))
    assert [number for number, _ in kept] == [11, 12, 13, 14]
    types = [event.get("type", "track") for _, event in events]
    assert types[:4] == ["track"] * 4
    assert types[4:] == [one["type"] for one in whole[4:10]]
    with zuji.open(tmp_path / "data") as engine:
        for parcel in source(tmp_path, lines_of(*whole)).parcels(KEY, 0):
            result = engine.append_batch(parcel.batch)
            assert all(parcel.event(r.index).kept for r in result.rejected), result
        assert [one["event"]["type"] for one in engine.rejected()] == [
            "detail_set",
            "detail_delete",
        ]
        assert engine.items.types()[0]["items"] == 0  # set, and deleted at the same time


def test_times_are_as_they_stand(tmp_path):
    """Records from years ago are not late, and clocks are not put right by when they were sent."""
    forms = [
        record(0, _flush_time=T0 + 10**9),
        record(1, _flush_time=T0 + 10**9, time_free=True),
        record(2, _flush_time=T0 + 10**9, time_free=False),
        record(3, properties={"time_free": 1}, _flush_time=T0 + 10**9),
    ]
    events, rejects, _, _ = read(tmp_path, lines_of(*forms))
    assert rejects == []
    assert [event["time"] for _, event in events] == [T0 + n for n in range(4)]
    assert all(event["time_free"] is True for _, event in events)
    assert events[3][1]["properties"]["time_free"] == 1.0


def test_what_is_no_record_is_refused_alone_and_by_its_line(tmp_path):
    good = json.dumps(record(0)).encode()
    bad = [
        (b"{broken", "bad_json"),
        (good[:-5], "bad_json"),
        (b"[1]", "not_a_map"),
        (b"{}", "bad_type"),
        (b"\x00\xff\xfe\x80", None),
        (b'{"type":"track","a":[{}', None),
        (b"{}]}", None),
        (good + b"," + good, None),
        (good + good, None),
        (b'{"type":"nonsense","distinct_id":"u"}', "bad_type"),
        (json.dumps(record(1, distinct_id="")).encode(), "missing_id"),
        (b'{"x":"' + b"y" * (3 << 20) + b'"}', "too_large"),
        (json.dumps({**record(1), "properties": [1]}).encode(), "bad_properties"),
        ("{“type”:”track”}".encode(), None),
        (json.dumps(record(1)).encode("utf-16"), None),
    ]
    data = lines_of(*(one for wrong, _ in bad for one in (good, wrong, b"", b" \t")))
    events, rejects, _, _ = read(tmp_path, data)
    newlines = [wrong.count(b"\n") for wrong, _ in bad]
    assert sum(newlines) == 0
    assert [number for number, _ in events] == [4 * place + 1 for place in range(len(bad))]
    assert [r.row for r in rejects] == [4 * place + 2 for place in range(len(bad))]
    for (_, reason), reject in zip(bad, rejects, strict=True):
        assert reason in (None, reject.reason)
        assert len(reject.values) <= 500


def test_a_byte_order_mark_and_windows_line_ends_are_nothing(tmp_path):
    data = b"\xef\xbb\xbf" + lines_of(record(0), record(1)).replace(b"\n", b"\r\n")
    events, rejects, _, _ = read(tmp_path, data)
    assert ([number for number, _ in events], rejects) == ([1, 2], [])


def test_lines_longer_than_a_block_are_read(tmp_path):
    long = record(1, properties={"x": "y" * 1_000_000})
    events, _, _, _ = read(tmp_path, lines_of(record(0), long, record(2)))
    assert [number for number, _ in events] == [1, 2, 3]


def test_reading_goes_on_from_any_end_with_the_same_parcels(tmp_path, monkeypatch):
    monkeypatch.setattr("zuji.server.importer.sensors_lines.BLOCK_BYTES", 10_000)
    rng = random.Random(1)
    total = 3 * PARCEL_ROWS + 77
    data = lines_of(
        *(
            rng.choice([b"", b"{broken", b'{"type":"item_set","item_type":"a","item_id":"1"}'])
            if rng.random() < 0.02
            else record(n)
            for n in range(total)
        )
    )
    whole = list(source(tmp_path, data).parcels(KEY, 0))
    ends = [parcel.end for parcel in whole if parcel.end is not None]
    assert ends[-1] == len(data)
    assert len(ends) == 4
    for end in ends:
        rest = list(source(tmp_path, data).parcels(KEY, end))
        after = [
            parcel.batch
            for place, parcel in enumerate(whole)
            if any(p.end == end for p in whole[:place])
        ]
        assert [parcel.batch for parcel in rest] == after
    events, rejects, kept, _ = read(tmp_path, data)
    numbers = [n for n, _ in (*events, *kept)] + [r.row for r in rejects]
    filled = [n + 1 for n, line in enumerate(data.split(b"\n")) if line.strip()]
    assert sorted(numbers) == filled


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.just(json.dumps(record(1)).encode()), st.binary(max_size=60))))
def test_any_bytes_are_events_or_refusals(tmp_path_factory, pieces):
    tmp_path = tmp_path_factory.mktemp("any")
    data = b"\n".join(pieces)
    assume(not data.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\x04\x22\x4d\x18")))
    events, rejects, kept, _ = read(tmp_path, data)
    data = data.removeprefix(b"\xef\xbb\xbf")
    numbers = [n for n, _ in (*events, *kept)] + [r.row for r in rejects]
    filled = [n + 1 for n, line in enumerate(data.split(b"\n")) if line.strip()]
    assert sorted(numbers) == filled
    good = json.dumps(record(1)).encode()
    alone = [n + 1 for n, line in enumerate(data.split(b"\n")) if line.strip() == good]
    assert set(alone) <= {n for n, _ in events}


@pytest.mark.parametrize(
    ("first", "is_one"),
    [
        (record(0), True),
        ({"type": "item_set", "item_type": "a", "item_id": "1"}, True),
        ({"type": "track", "event": "go", "user_id": "u", "time": 1}, False),
        ({"event": "go", "distinct_id": "u", "time": 1}, False),
        (b"event,time", False),
        (b"\xff", False),
    ],
)
def test_files_of_records_are_known_by_their_first_line(tmp_path, first, is_one):
    path = tmp_path / "f.json"
    path.write_bytes(b"\n" + lines_of(first))
    assert is_sensors(path) == is_one


def test_folders_stand_for_their_files(tmp_path):
    for name in ("b/2.json", "a.json", "b/1.json", ".hidden", "b/.x.zuji-1.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    found = [str(p.relative_to(tmp_path)) for p in files_in([tmp_path, tmp_path / "a.json"])]
    assert found == ["a.json", "b/1.json", "b/2.json", "a.json"]
    (tmp_path / "none").mkdir()
    with pytest.raises(InvalidInput, match="without a file"):
        files_in([tmp_path / "none"])
