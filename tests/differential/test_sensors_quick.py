"""The reader of usual requests of Sensors' SDKs beside the one that takes them apart step by step:
what the quick one takes becomes the same events there, and nothing of it is refused; what it does
not take leaves no trace in what it reads next.
"""

from __future__ import annotations

import base64
import gzip
import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.collector.body import SMALL
from zuji.server.collector.message import Request
from zuji.server.protocols._sensors import Quick, hash_code
from zuji.server.protocols.sensors import slowly
from zuji.server.settings import Settings, zone_ms

NOW = 1_790_000_005_000
SETTINGS = Settings(data="x")
ZONE = zone_ms(SETTINGS.sensors_zone)
RECORD = {
    "type": "track",
    "event": "view",
    "time": NOW - 5,
    "distinct_id": "d1",
    "_track_id": 77,
    "lib": {"$lib": "js", "$lib_version": "1.26"},
    "properties": {"price": 12.5, "city": "济南", "when": "2026-01-02", "tags": ["a", "b"]},
}
TWO = [RECORD, {**RECORD, "event": 'esc\\"aped', "properties": {"n": 1, "ko": "한국"}}]
WRONG = {"type": "track", "event": "no one", "time": NOW}
GZIP = gzip.compress(json.dumps(RECORD).encode())
ODD_GZIP = [
    *(GZIP + GZIP, GZIP + b"\0", GZIP + b"x", GZIP[:-1], GZIP[:12], GZIP[:3], gzip.compress(b"")),
    *(GZIP[:-4] + b"\0\0\0\0", GZIP[:-8] + b"abcd" + GZIP[-4:], GZIP[:20] + b"\xff" + GZIP[21:]),
    GZIP[:-4] + (len(json.dumps(RECORD)) + 1).to_bytes(4, "little"),
    GZIP[:-4] + (0xFFFF_FFFF).to_bytes(4, "little"),
]
"""gzip that ends early, late, or with another sum or size than it says; or has several members."""


def reader(inflated=SMALL):
    return Quick(DEFAULT_LIMITS, ZONE, False, (), inflated)


def text_of(value):
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def packed(value, *, zipped=False):
    text = text_of(value)
    return base64.b64encode(gzip.compress(text) if zipped else text)


def form(value, *, name="data", safe="", crc=None, rest=b"", zipped=False):
    data = packed(value, zipped=zipped)
    parts = [name.encode() + b"=" + quote(data, safe=safe).encode()]
    if crc == "crc":
        parts.append(b"crc=%d" % hash_code(data))
    if crc == "ext":
        parts.append(b"ext=crc%%3D%d" % (hash_code(data) - (1 << 32)))
    return b"&".join([*parts, b"token=t"]) + rest


def whole(parts):
    return sum(p[0] for p in parts), sum(p[1] for p in parts), b"".join(p[2] for p in parts)


def check(quick, query, body=b""):
    """What both make of it; the quick one's parts."""
    got = quick.events(query, body, NOW)
    if got is not None:
        request = Request("POST" if body else "GET", "/sa", query, {}, body, "", NOW)
        taken = slowly(request, body, SETTINGS)
        assert taken.refused == []
        assert whole(got) == whole([(e.count, e.items, e.data) for e in taken.events])
    return got


@pytest.mark.parametrize("value", [RECORD, TWO, [], [RECORD] * 3000])
@pytest.mark.parametrize("crc", [None, "crc", "ext"])
@pytest.mark.parametrize("safe", ["", "/+="])
@pytest.mark.parametrize("zipped", [False, True])
def test_what_sdks_send_is_taken_at_once(value, crc, safe, zipped):
    if zipped:
        value = value[:200] if isinstance(value, list) else value
    quick = reader()
    asked = form(value, crc=crc, safe=safe, rest=b"&gzip=%d" % zipped, zipped=zipped)
    assert check(quick, asked) is not None
    assert check(quick, b"token=t", asked) is not None
    assert check(quick, form(value, name="data_list", crc=crc, zipped=zipped)) is not None
    assert check(quick, b"token=t&data=e30", asked) is not None  # the body's field counts


@pytest.mark.parametrize(
    "asked",
    [
        *(b"token=t", b"data=&token=t", b"data=%20&token=t", b"data=e&token=t"),
        form(RECORD, rest=b"&gzip=9"),
        form(RECORD, rest=b"&gzip=13"),
        form(RECORD, rest=b"&crc=1"),
        form(RECORD, rest=b"&crc=+1"),
        form(RECORD, rest=b"&ext=crc%3D1"),
        form(RECORD, rest=b"&ext=crc%3Dno"),
        form(RECORD, rest=b"&ext=" + b"x" * 200),
        form({"ekey": 1, "pkv": 2, **RECORD}),
        form(WRONG),
        form([RECORD, WRONG, RECORD]),
        form([*[RECORD] * 2500, WRONG]),
        form({**RECORD, "type": "item_set"}),
        form([RECORD] * 3000, zipped=True),
        form([RECORD, WRONG], zipped=True),
        form({"ekey": 1, "pkv": 2, **RECORD}, zipped=True),
        *(b"data=" + quote(base64.b64encode(odd), safe="").encode() for odd in ODD_GZIP),
        b"data_list=" + json.dumps([RECORD]).encode(),
        form(RECORD)[:60],
        b"data=%00%01%02%03%04",
    ],
)
def test_what_is_odd_is_left_alone_and_leaves_no_trace(asked):
    quick = reader()
    before = check(quick, form(TWO))
    assert check(quick, asked) is None
    assert check(quick, b"token=t", asked) is None
    assert check(quick, form(TWO)) == before


NAMES = st.sampled_from(["data", "data_list", "crc", "ext", "gzip", "token", "x", ""])
RECORDS = st.one_of(
    st.just(RECORD),
    st.builds(
        lambda kind, name, text: {
            **RECORD,
            "type": kind,
            "event": name,
            "properties": {name: text},
        },
        st.sampled_from(
            ["track", "profile_set", "track_signup", "no", "item_set", "profile_unset"]
        ),
        st.sampled_from(["view", "", "$time", "한국", "a\\b"]),
        st.one_of(st.text(max_size=40), st.floats(), st.integers(), st.none()),
    ),
)
DATA = st.one_of(
    st.builds(packed, st.one_of(RECORDS, st.lists(RECORDS, max_size=4))),
    st.builds(packed, st.one_of(RECORDS, st.lists(RECORDS, max_size=4)), zipped=st.just(True)),
    st.binary(max_size=30),
)
VALUES = st.one_of(
    st.builds(
        lambda data, safe: quote(data, safe=safe).encode(), DATA, st.sampled_from(["", "+/="])
    ),
    DATA,
    st.builds(lambda data: b"%d" % hash_code(data), DATA),
    st.sampled_from([b"1", b"9", b"13", b"crc%3D1", b"crc=", b"t", b""]),
)
FORMS = st.lists(st.tuples(NAMES, VALUES), max_size=5).map(
    lambda fields: b"&".join(name.encode() + b"=" + value for name, value in fields)
)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example([(form(RECORD), b""), (form(WRONG), form(TWO)), (form(TWO), b"")])
@given(st.lists(st.tuples(FORMS, FORMS), min_size=1, max_size=4))
def test_both_make_the_same_of_any_forms(asked):
    quick = reader()
    for query, body in asked:
        check(quick, query, body)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([RECORD, TWO]), st.integers(0, 2000), st.integers(0, 255))
def test_a_changed_byte_is_read_the_same(value, at, byte):
    asked = bytearray(form(value, crc="ext"))
    asked[at % len(asked)] = byte
    check(reader(), bytes(asked))


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([RECORD, TWO, []]), st.integers(0, 2000), st.integers(0, 255))
def test_a_changed_byte_of_what_is_compressed_is_read_the_same(value, at, byte):
    zipped = bytearray(gzip.compress(text_of(value)))
    zipped[at % len(zipped)] = byte
    check(reader(), b"data=" + quote(base64.b64encode(zipped), safe="").encode())


def test_what_inflates_to_more_than_is_usual_is_left_alone():
    size = len(text_of(RECORD))
    assert check(reader(size), form(RECORD, zipped=True)) is not None
    assert check(reader(size - 1), form(RECORD, zipped=True)) is None
    assert check(reader(0), form(RECORD, zipped=True)) is None
    assert check(reader(0), form(RECORD)) is not None
