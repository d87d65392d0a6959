"""Mapping, times and the engine's table: every column has its part, every time one meaning."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.importer.mapping import (
    Mapping,
    PropertyRule,
    check_zone,
    merge,
    read_mapping,
    resolve,
    with_kinds,
)
from zuji.server.importer.normalise import Normaliser, read_types
from zuji.server.importer.readers.base import Chunk
from zuji.server.importer.times import Clock

FILE = Path("events.csv")
NATIVE = ["type", "event", "time", "user_id", "properties.page", "properties.amount"]


def ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


# -- mapping --------------------------------------------------------------------------------------


def test_native_columns_need_no_options():
    got = resolve(Mapping(), NATIVE, FILE)
    assert (got.event, got.time, got.user, got.native) == ("event", "time", "user_id", True)
    assert {c: n for c, (n, _) in got.properties.items()} == {
        "properties.page": "page",
        "properties.amount": "amount",
    }
    assert got.guessed == {"event": "event", "time": "time", "user": "user_id"}


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (Mapping(user="usr"), r"no column 'usr' \(user\); did you mean 'user'\?"),
        (Mapping(user="user", time="at"), "which event"),
        (Mapping(event_name="e", time="at"), "whose events.*--user"),
        (Mapping(event_name="e", user="user"), "when did it happen.*--time"),
        (Mapping(event="what", event_name="e", user="user", time="at"), "not both"),
        (Mapping(event_name="e", user="user", time="at", drop=["zzz"]), r"\(drop\)"),
        (
            Mapping(event_name="e", user="user", time="at", properties={"what": "x", "city": "x"}),
            "both be property 'x'",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_says_what_to_do(mapping, said):
    with pytest.raises(InvalidInput, match=said):
        resolve(mapping, ["user", "at", "what", "city"], FILE)


def test_properties_are_all_other_columns_or_the_named_ones():
    columns = ["user", "at", "a", "b", "c"]
    base = Mapping(event_name="e", user="user", time="at")
    assert list(resolve(base, columns, FILE).properties) == ["a", "b", "c"]
    named = merge(base, properties={"a": "x", "b": PropertyRule(name="y", type="string")})
    got = resolve(named, columns, FILE)
    assert got.properties == {"a": ("x", None), "b": ("y", "string")}
    assert got.dropped == ["c"]
    assert list(resolve(merge(named, rest=True), columns, FILE).properties) == ["a", "b", "c"]
    assert list(resolve(merge(base, drop=["b"]), columns, FILE).properties) == ["a", "c"]


def test_an_id_column_can_also_be_a_property():
    got = resolve(
        Mapping(event_name="e", user="u", time="t", properties={"u": "household"}), ["u", "t"], FILE
    )
    assert got.properties == {"u": ("household", None)}


def test_toml_mappings(tmp_path):
    path = tmp_path / "m.toml"
    path.write_text(
        'event_name = "purchase"\nuser = "id"\ntime = "at"\ntz = "America/New_York"\n'
        '[properties]\namount = ""\nstore = { name = "shop", type = "string" }\n'
    )
    mapping = read_mapping(path)
    assert mapping.properties == {"amount": "", "store": PropertyRule(name="shop", type="string")}
    assert resolve(mapping, ["id", "at", "amount", "store"], FILE).properties == {
        "amount": ("amount", None),
        "store": ("shop", "string"),
    }
    for text, said in (
        ("x = [", "not valid TOML"),
        ('usr = "id"', r"unknown field `usr`.*known keys: event,"),
        ('[properties]\na = { type = "number" }', r"\$\.properties"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidInput, match=said):
            read_mapping(path)
    with pytest.raises(NotFound):
        read_mapping(tmp_path / "none.toml")


def test_options_win_over_the_file():
    base = Mapping(event_name="e", user="a", time="t")
    assert merge(base, user="b", event=None, drop=[]) == Mapping(event_name="e", user="b", time="t")
    assert merge(base, event="col").event_name is None


def test_another_mapping_is_another_import():
    assert Mapping(user="a").fingerprint() == Mapping(user="a").fingerprint()
    assert Mapping(user="a").fingerprint() != Mapping(user="b").fingerprint()


def test_zones_are_checked():
    with pytest.raises(InvalidInput, match=r"did you mean .*Asia/Shanghai"):
        check_zone("Asia/Shanghia")


# -- times ----------------------------------------------------------------------------------------

NOON = ms("2026-10-01T12:00:00+08:00")


@pytest.mark.parametrize(
    "value",
    [
        "2026-10-01T12:00:00+08:00",
        "2026-10-01T04:00:00Z",
        "2026-10-01T04:00:00.000Z",
        "2026-10-01 12:00:00",
        "2026-10-01T12:00",
        "2026/10/01 12:00:00",
        "20261001120000",
        "2026年10月01日 12:00:00",
        " 2026-10-01 12:00:00 ",
        str(NOON),
        str(NOON // 1000),
        f"{NOON // 1000}.0",
        NOON,
        NOON // 1000,
        NOON * 1000,
        NOON * 1_000_000,
        NOON / 1000,
    ],
)
def test_forms_of_one_instant(value):
    assert Clock("Asia/Shanghai").to_ms(pa.chunked_array([[value]])).to_pylist() == [NOON]


def test_mixed_forms_in_one_column_and_what_fits_none():
    values = [
        "2026-10-01T04:00:00Z",
        "2026-10-01 12:00:00",
        "2026/10/01 12:00:00",
        None,
        "soon",
        "",
    ]
    got = Clock("Asia/Shanghai").to_ms(pa.chunked_array([values])).to_pylist()
    assert got == [NOON, NOON, NOON, None, None, None]


def test_dates_are_local_midnights_and_clock_changes_have_one_answer():
    clock = Clock("America/New_York")
    for text, meant in (
        ("2017-01-01", "2017-01-01T00:00:00-05:00"),
        ("20170101", "2017-01-01T00:00:00-05:00"),
        ("2017-11-05 01:30:00", "2017-11-05T01:30:00-04:00"),  # twice: the first
        ("2017-03-12 02:30:00", "2017-03-12T03:00:00-04:00"),  # never: the change
    ):
        assert clock.to_ms(pa.chunked_array([[text]])).to_pylist() == [ms(meant)], text


def test_time_format_and_unit_are_obeyed():
    clock = Clock("UTC", time_format="%d.%m.%Y %H:%M")
    assert clock.to_ms(pa.chunked_array([["01.10.2026 04:00", "2026-10-01"]])).to_pylist() == [
        NOON,
        None,
    ]
    assert Clock("UTC", "s").to_ms(pa.chunked_array([[5]])).to_pylist() == [5000]


def test_the_unit_of_the_first_chunk_holds():
    clock = Clock("UTC")
    clock.to_ms(pa.chunked_array([[NOON // 1000]]))
    assert clock.to_ms(pa.chunked_array([[5]])).to_pylist() == [5000]


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime(1900, 1, 2), datetime(2199, 1, 1)),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_timestamps_of_every_unit_floor_to_milliseconds(moment, unit):
    array = pa.array([moment], pa.timestamp("us")).cast(pa.timestamp(unit), safe=False)
    us = round((moment - datetime(1970, 1, 1)).total_seconds() * 1e6) if unit != "s" else None
    got = Clock("UTC").instants(array).to_pylist()[0]
    if us is not None and unit != "ms":
        exact = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        assert (
            got
            == (exact.days * 86_400_000_000 + exact.seconds * 1_000_000 + exact.microseconds)
            // 1000
        )
    else:
        assert abs(got - moment.replace(tzinfo=UTC).timestamp() * 1000) <= 1000


# -- the engine's table ---------------------------------------------------------------------------


def normal(table, mapping, **kw):
    resolved = resolve(mapping, table.column_names, FILE)
    normaliser = Normaliser(resolved, Clock("Asia/Shanghai"))
    return (*normaliser.table(Chunk(table, 0, 0, 1, **kw)), normaliser)


def test_ids_are_text_however_they_came():
    table = pa.table({"u": [1.0, 2.0, None], "at": [NOON] * 3, "d": [7, 8, 9]})
    got, numbers, rejects, _ = normal(
        table, Mapping(event_name="e", user="u", device="d", time="at")
    )
    assert got["$user"].to_pylist() == ["1", "2", None]
    assert got["$device"].to_pylist() == ["7", "8", "9"]
    assert list(numbers) == [1, 2, 3]
    assert rejects == []


def test_a_time_that_cannot_be_read_refuses_its_row():
    table = pa.table({"u": ["a", "b", "c", "d"], "at": ["2026-10-01", "soon", None, "2026-10-02"]})
    got, numbers, rejects, _ = normal(
        table, Mapping(event_name="e", user="u", time="at"), numbers=np.array([2, 3, 5, 9])
    )
    assert got["$user"].to_pylist() == ["a", "c", "d"]  # a missing time is for the engine to refuse
    assert list(numbers) == [2, 5, 9]
    assert [(r.row, r.reason, r.values) for r in rejects] == [
        (3, "bad_time", {"u": "b", "at": "soon"})
    ]


def test_columns_of_every_arrow_type_become_a_kind_or_are_named():
    import decimal

    table = pa.table(
        {
            "u": ["a"],
            "at": [NOON],
            "i8": pa.array([1], pa.int8()),
            "dec": pa.array([decimal.Decimal("1.25")]),
            "f32": pa.array([1.5], pa.float32()),
            "day": pa.array([datetime(2026, 10, 1)], pa.date32()),
            "dict": pa.array(["x"]).dictionary_encode(),
            "ints": pa.array([[1, 2]]),
            "none": pa.nulls(1),
            "bin": pa.array([b"\xff"]),
        }
    )
    got, _, rejects, normaliser = normal(table, Mapping(event_name="e", user="u", time="at"))
    row = got.to_pylist()[0]
    assert row["i8"] == 1
    assert (row["dec"], row["f32"]) == (1.25, 1.5)
    assert row["day"] == datetime.fromisoformat("2026-10-01T00:00:00+08:00")
    assert row["dict"] == "x"
    assert row["ints"] == ["1", "2"]
    assert "none" not in row
    assert normaliser.unsupported == {"bin": "binary"}
    assert rejects == []


def test_what_does_not_fit_the_wanted_type_is_refused():
    table = pa.table(
        {
            "u": ["a", "b", "c"],
            "at": [NOON] * 3,
            "n": ["1", "x", None],
            "m": [1.0, 2.0, 2.5],
            "d": ["2026-10-01", None, "2026-10-02"],
            "big": pa.array([1, 2, 3], pa.uint64()),
        }
    )
    rules = {
        "n": PropertyRule(type="int64"),
        "m": PropertyRule(type="int64"),
        "d": PropertyRule(type="datetime"),
        "big": "",
    }
    mapping = Mapping(event_name="e", user="u", time="at", properties=rules)
    got, numbers, rejects, _ = normal(table, mapping)
    assert list(numbers) == [1]
    assert got["n"].to_pylist() == [1]
    assert got["m"].to_pylist() == [1]
    assert got["big"].type == pa.int64()
    assert got["d"].to_pylist() == [datetime.fromisoformat("2026-10-01T00:00:00+08:00")]
    assert [(r.row, r.reason) for r in rejects] == [(2, "type_mismatch"), (3, "type_mismatch")]


def test_the_types_of_the_project_hold_unless_the_mapping_says_otherwise():
    base = Mapping(
        event_name="e", user="u", time="t", properties={"a": PropertyRule(type="int64"), "b": ""}
    )
    got = with_kinds(resolve(base, ["u", "t", "a", "b"], FILE), {"a": "string", "b": "float64"})
    assert got.properties == {"a": ("a", "int64"), "b": ("b", "float64")}


def test_ids_of_people_are_text_though_they_be_digits():
    """As whole numbers they would be no ids."""
    base = Mapping(event_name="e", user="u", time="t")
    columns = ["u", "t", "$identity_mobile", "$identity_cif", "n"]
    got = with_kinds(resolve(base, columns, FILE), {"$identity_cif": "int64"})
    assert got.properties == {
        "$identity_mobile": ("$identity_mobile", "string"),
        "$identity_cif": ("$identity_cif", "int64"),  # so they are stored by now
        "n": ("n", None),
    }
    assert read_types(got)["$identity_mobile"] == pa.string()


def test_refused_rows_show_nanoseconds_without_pandas(monkeypatch):
    import sys

    from zuji.server.importer.readers.base import row_values

    monkeypatch.setitem(sys.modules, "pandas", None)
    table = pa.table(
        {"at": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "UTC")), "n": pa.nulls(1)}
    )
    assert row_values(table, 0) == {"at": datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("01/Oct/2026:08:00:00 +0800", "%d/%b/%Y:%H:%M:%S %z"),
        ("2026-10-01 02:00:00 +0200", "%Y-%m-%d %H:%M:%S %z"),
        ("2026-09-30 20:00:00 -0400", "%Y-%m-%d %H:%M:%S %z"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_an_offset_in_a_time_format_counts_whatever_the_zone(text, form, zone):
    found = Clock(zone, time_format=form).to_ms(pa.chunked_array([[text, None, "no time"]]))
    assert found.to_pylist() == [1_790_812_800_000, None, None]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
def test_a_time_format_without_an_offset_is_local(zone):
    found = Clock(zone, time_format="%d.%m.%Y %H:%M").to_ms(
        pa.chunked_array([["01.10.2026 08:00"]])
    )
    off = 0 if zone == "UTC" else 8 * 3_600_000
    assert found.to_pylist() == [1_790_841_600_000 - off]
