"""JSON of other SDKs: what cannot become an event is refused alone; nothing is a server error."""

import json
import sys
import tracemalloc

import msgpack
import pytest

from zuji.engine.errors import InvalidEvent
from zuji.server.errors import BadBody
from zuji.server.protocols import foreign
from zuji.server.protocols.records import packed
from zuji.server.settings import Settings


def made(body):
    """Events and refusals of a body that is a list of property objects."""
    records = foreign.Records()
    records.add(foreign.read(body), lambda one: [{"properties": foreign.properties(one)}])
    return records


def test_values_are_kept_as_they_are_and_nested_ones_as_text():
    body = json.dumps(
        [
            {
                "text": "济南 😀",
                "whole": -(1 << 63),
                "part": 1.5,
                "yes": True,
                "none": None,
                "tags": ["a", "b"],
                "empty": [],
                "numbers": [1, 2.5],
                "mixed": ["a", 1, None],
                "flags": [True, False],
                "within": {"a": {"b": [1, "é"]}},
                "$time": 1,
                "$name": "n",
            }
        ]
    ).encode()
    (event,) = made(body).events
    assert event["properties"] == {
        "text": "济南 😀",
        "whole": -(1 << 63),
        "part": 1.5,
        "yes": True,
        "none": None,
        "tags": ["a", "b"],
        "empty": [],
        "numbers": ["1", "2.5"],
        "mixed": '["a",1,null]',
        "flags": "[true,false]",
        "within": '{"a":{"b":[1,"é"]}}',
        "_$time": 1,
        "_$name": "n",
    }


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"n": 9223372036854775808}', "int_out_of_range"),
        (b'{"n": -9223372036854775809}', "int_out_of_range"),
        (b'{"n": ' + b"9" * 5_000 + b"}", "int_out_of_range"),
        (b'{"a": 1, "a": 2}', "duplicate_key"),
        (b'{"o": [{"a": {"b": 1, "b": 2}}]}', "duplicate_key"),
        (b"[]", "not_a_map"),
        (b"null", "not_a_map"),
        (b"7", "not_a_map"),
    ],
)
def test_a_bad_record_is_refused_alone(bad, reason):
    records = made(b'[{"n": 1}, ' + bad + b', {"n": 2}]')
    assert [one["properties"]["n"] for one in records.events] == [1, 2]
    assert records.of == [0, 2]
    (one,) = records.refused
    assert (one.index, one.reason) == (1, reason)
    assert json.loads(one.raw) is not Ellipsis


@pytest.mark.parametrize(
    "value", [b'"\\ud800"', b'"\xff\xfe"', b"NaN", b"Infinity", b"1e999", b"-1e999"]
)
def test_what_the_engine_judges_gets_to_it(value):
    """The engine refuses these with its own reasons, so msgpack must carry them."""
    records = made(b'[{"n": ' + value + b"}]")
    (part,) = packed(records.events)
    assert part.count == 1
    assert msgpack.unpackb(part.data, unicode_errors="surrogatepass")


def test_surrogates_of_three_bytes_are_joined():
    """As mixpanel-browser encodes what lies above U+FFFF; a half of one is none."""
    half = "\ud83d".encode("utf-8", "surrogatepass")
    pair = "\ud83d\ude00".encode("utf-8", "surrogatepass")
    first, second = foreign.read(b'["' + "é".encode() + pair + pair + b'x", "' + half + b'"]')
    assert first == "é😀😀x"
    assert not second.isprintable()


def test_bytes_that_are_no_text_are_kept_as_they_came():
    records = foreign.Records()
    records.add(foreign.read(b'[{"a\xff": "\\ud83d", "n": [{"b": 1, "b": 1}]}]'), _refusing)
    assert records.refused[0].raw == b'{"a\xff":"\xed\xa0\xbd","n":[{"b":1}]}'


def _refusing(_record):
    foreign.refuse("no", "not this one")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"\x00", "bad_json"),
        (b"\xff\xff", "bad_json"),
        (b"[1,]", "bad_json"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
    ],
)
def test_what_is_no_json_fails_as_a_whole(body, reason):
    with pytest.raises(InvalidEvent) as failed:
        foreign.read(body)
    assert failed.value.reason == reason


def test_deep_values_are_no_fault_of_the_server():
    """As deep as the parser reads, whatever is left of the stack for writing it again."""
    failed = []
    for depth in (100, 500, sys.getrecursionlimit() - 60, sys.getrecursionlimit() - 20):
        body = b'[{"n": ' + b"[" * depth + b"]" * depth + b"}]"
        try:
            value = foreign.read(body)
        except InvalidEvent as error:
            failed.append(error.reason)
            continue
        records = foreign.Records()
        records.add(value, lambda one: [{"properties": foreign.properties(one)}])
        assert len(records.events) + len(records.refused) == 1
    assert set(failed) <= {"too_deep"}


def test_too_much_is_413():
    for body in (b"[" + b"1," * 140_000 + b"1]", b"[{}" + b",{}" * 2000 + b"]"):
        with pytest.raises(BadBody) as failed:
            made(body)
        assert failed.value.status == 413


@pytest.mark.parametrize("value", [[], {}, True, 1.5, "NaN!"])
def test_what_is_neither_id_nor_number(value):
    if not isinstance(value, str):
        with pytest.raises(InvalidEvent):
            foreign.ident(value, "id")
    if value != 1.5:
        with pytest.raises(InvalidEvent):
            foreign.number(value, "n")


def test_ids_and_times():
    assert foreign.ident(7, "id") == foreign.ident(7.0, "id") == foreign.ident("7", "id") == "7"
    assert foreign.ident("", "id") is foreign.ident(None, "id") is None
    assert foreign.milliseconds("1790827200000.9") == 1_790_827_200_000
    for wrong in ("nan", "inf", 1e300, 10**400):
        with pytest.raises(InvalidEvent):
            foreign.milliseconds(wrong)


LARGE = {
    "too_many_properties": {str(n): n for n in range(256)},
    "list_too_long": {"l": ["x"] * 501},
    "too_many_items": {str(n): ["x"] * 500 for n in range(100)},
    "string_too_long": {"s": "x" * 8193},
    "bad_name": {"n" * 101: 1},
}


@pytest.mark.parametrize("reason", [*LARGE, "nested"])
def test_what_would_fill_a_batch_is_refused_alone(reason):
    """The engine refuses a batch that is too large as a whole, with the good events in it."""
    large = LARGE.get(reason, {"o": [{"a": "x" * 9000}]})
    records = made(json.dumps([{"n": 1}, large, {"n": 2}]).encode())
    assert [one["properties"]["n"] for one in records.events] == [1, 2]
    assert [one.reason for one in records.refused] == [reason.replace("nested", "string_too_long")]


def test_names_and_ids_that_would_fill_a_batch():
    with pytest.raises(InvalidEvent):
        foreign.event_name("x" * 101, "event")
    with pytest.raises(InvalidEvent):
        foreign.ident("x" * 256, "id")
    assert foreign.event_name("x" * 100, "event")
    assert foreign.ident("x" * 255, "id")


DENSE = {
    "maps": b"[" + b"{}," * 65_000 + b"{}]",
    "lists": b"[{" + b'"a":[' + b"[]," * 65_000 + b"[]]}]",
    "numbers": b'[{"a":[' + b"1234," * 131_000 + b"1]}]",
    "keys": b"[{" + b",".join(b'"k%d":1' % i for i in range(131_000)) + b"}]",
    "wide text": json.dumps([{"a": "😀" + "x" * 2_000}] * 1_990, ensure_ascii=False).encode(),
}


@pytest.mark.parametrize("name", DENSE)
def test_memory_stays_below_eight_times_the_largest_body(name):
    tracemalloc.start()
    try:
        made(DENSE[name])
    except BadBody:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * Settings().inflated_bytes


def test_marks_of_long_bodies_are_counted_as_those_of_short_ones(monkeypatch):
    bodies = [b'{"a": [1, "[,{"]}', b"[{}," * 9_000, bytes(40_000), "一,[{".encode() * 7_000]
    said = [foreign.marks(body) for body in bodies]
    monkeypatch.setattr(foreign, "_LONG_BODY", 1 << 30)
    assert [foreign.marks(body) for body in bodies] == said == [6, 27_000, 0, 21_000]
