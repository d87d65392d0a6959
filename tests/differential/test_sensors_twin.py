"""The native transcoder of Sensors Analytics' records beside its twin in Python: equal events,
refusals and tokens for records of every type with odd values, and for bytes cut and changed.
"""

from __future__ import annotations

import json
from itertools import product
from random import Random

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.differential.twin_sensors import (
    DEVICES,
    EVENTS,
    FIELDS,
    ITEMS,
    LIFTED,
    PROFILES,
    RESERVED,
    Moment,
    transcoded,
)
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.server.protocols._sensors import joined, transcode, unbase64

WHO = ("distinct_id", "original_id", "login_id", "anonymous_id")
LOGINS = ("$identity_bank_cif", "$identity_会员")
NOW = 1_790_000_005_000
ZONE = 8 * 3_600_000


def native(document, keep_ip=False, login_keys=()):
    parts, refused, token = transcode(document, NOW, ZONE, DEFAULT_LIMITS, keep_ip, login_keys)
    events = []
    for count, items, data in parts:
        unpacker = msgpack.Unpacker(raw=True, object_pairs_hook=list, timestamp=0)
        unpacker.feed(data)
        found = list(unpacker)
        assert len(found) == count <= DEFAULT_LIMITS.batch_events
        assert items == sum(map(counted, found)) < DEFAULT_LIMITS.batch_items
        events += found
    made = []
    for event in events:
        one = {name.decode(): plain(value) for name, value in event if name != b"properties"}
        one["properties"] = [(plain(n), plain(v)) for n, v in dict(event)[b"properties"]]
        made.append(one)
    return made, refused, token.encode("utf-8", "replace")


def counted(value):
    if isinstance(value, list):  # a list, or pairs of a map
        pairs = value and isinstance(value[0], tuple)
        return 1 + sum(1 + counted(v) for _, v in value) if pairs else 1 + sum(map(counted, value))
    return 1


def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, msgpack.Timestamp):
        return Moment(value.to_unix_nano() // 1_000_000)
    return value


def expected(document, keep_ip=False, login_keys=()):
    events, refused, token = transcoded(document, NOW, ZONE, keep_ip, login_keys)
    cut = [
        (index, reason, path.encode("latin-1")[:111].decode("utf-8", "replace"), raw)
        for index, reason, path, raw in refused
    ]
    return (
        events,
        cut,
        token.encode("latin-1").decode("utf-8", "replace").encode("utf-8", "replace"),
    )


def typed(value):
    """With its types, so that 1, 1.0 and True differ, and the sign of zero counts."""
    if isinstance(value, dict):
        return {name: typed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [typed(one) for one in value]
    if isinstance(value, tuple) and not isinstance(value, Moment):
        return tuple(map(typed, value))
    return type(value).__name__, repr(value)


def check(document, *how):
    got, wanted = native(document, *how), expected(document, *how)
    assert typed(got[0]) == typed(wanted[0]), document
    assert got[1:] == wanted[1:], document


# -- records -------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                "a",
                "济南 😀",
                "x" * 31,
                "x" * 32,
                "y" * 255,
                "y" * 256,
                '"\\/\b\f\n\r\t\x00\x1f\x7f',
            ),
            *("2026-01-02", "2026-01-02 03:04:05", "2026-01-02 03:04:05.6", "2026-02-30"),
            *(
                "0001-01-01",
                "9999-12-31 23:59:59.999",
                "2026-01-02 24:00:00",
                "1969-12-31 23:59:59.07",
            ),
            *(
                "2026-01-02T03:04:05",
                "2026-01-02 03:04:05.1234",
                "0000-01-01",
                "2026-01-02 03:04:60",
            ),
            *("\ud800", "\udfff\ud800", "\ufffe", "true", "null", "7"),
        ]
    ),
    st.text(max_size=40),
)
TOKENS = st.sampled_from(
    [
        *(
            "0",
            "-0",
            "1",
            "-1",
            "12.5",
            "-0.0",
            "1e5",
            "1E-5",
            "1e400",
            "-1e400",
            "9007199254740992",
        ),
        *("9007199254740993", "-9007199254740993", "9223372036854775807", "9223372036854775808"),
        *("-9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" * 60),
        *("NaN", "Infinity", "-Infinity", "true", "false", "null", "0.1", "5e-324", "1.0"),
        *("1790000000000", "1790000000000.5", "253402300800000", "-62135596800001"),
    ]
)
WRONG = st.sampled_from(["01", "-", "+1", ".5", "1.", "1e", "tru", "nul", "0x1", "'a'", "", "{,}"])
SCALARS = st.one_of(TEXTS.map(json.dumps), TOKENS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda found: "[" + " , ".join(found) + "]"),
        st.lists(st.tuples(TEXTS, inner), max_size=3).map(
            lambda found: "{" + ",".join(f"{json.dumps(k)}: {v}" for k, v in found) + "}"
        ),
        st.lists(TEXTS, max_size=4).map(json.dumps),
        st.lists(st.integers() | st.floats(), max_size=4).map(json.dumps),
    ),
    max_leaves=6,
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *(*RESERVED, *LIFTED, *DEVICES, "$identity_login_id", "$is_login_id", "$ip", "$lib"),
            *(*LOGINS, "$identity_mobile"),
            *(
                "$lib_version",
                "amount",
                "user_id",
                "金额",
                "a.b",
                "x" * 99,
                "x" * 120,
                "$app_version",
            ),
        ]
    ),
    TEXTS,
)


def written(pairs):
    return "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"


MAPS = st.lists(
    st.tuples(NAMES.map(json.dumps), VALUES), max_size=8, unique_by=lambda pair: pair[0]
).map(written)
IDS = st.sampled_from(
    [
        *('"u1"', '"d1"', "7", '""', "null", '"济南"', "18446744073709551617"),
        *('"%s"' % ("济" * 90), f'"{LOGINS[0]}+c"', f'"{LOGINS[0]}+"', f'"{LOGINS[1]}+u1"'),
        '"$identity_mobile+138"',
    ]
)
ALL_IDS = [*LOGINS, *DEVICES, "$identity_login_id", "$identity_mobile", "$identity_openid", ""]
IDENTITIES = st.lists(st.tuples(st.sampled_from(ALL_IDS).map(json.dumps), IDS), max_size=4).map(
    written
)
GOOD = {
    "type": st.sampled_from([*EVENTS, *PROFILES, *ITEMS]).map(json.dumps),
    "event": st.sampled_from(['"buy"', '"$pageview"', '""', "null"]),
    "time": st.sampled_from(["1790000000000", "1790000000000.5", '"2026-01-02 03:04:05"']),
    "distinct_id": IDS,
    "original_id": IDS,
    "login_id": IDS,
    "anonymous_id": IDS,
    "identities": st.one_of(MAPS, IDENTITIES),
    "properties": MAPS,
    "lib": st.sampled_from(
        ['{"$lib":"js","$lib_version":"1.27","$app_version":null}', "{}", "null"]
    ),
    "token": TEXTS.map(json.dumps),
    "time_free": st.sampled_from(["true", "false", "1", "null"]),
    "_track_id": st.sampled_from(
        ["1", "-5", "9223372036854775807", '"t"', "1.5", "null", "1" * 101]
    ),
    "_flush_time": st.sampled_from(
        ["1790000005000", "1790000000000", "1", "null", '"x"', "1e9", "9" * 17]
    ),
    "item_type": TEXTS.map(json.dumps),
    "item_id": TEXTS.map(json.dumps),
    "schema": st.sampled_from(['"user_event"', "null", "1"]),
    "id": st.sampled_from(["7", '"i"', "null"]),
    "_hybrid_h5": st.just("true"),
    "$other": VALUES,
}
assert set(FIELDS) <= {*GOOD, "project", "version"}


@st.composite
def records(draw):
    """Text of a record: mostly right, in any order, some fields odd, some twice."""
    base = ["type", "time", "distinct_id", "properties"]
    base += ["event"] if draw(st.booleans()) else []
    more = draw(st.lists(st.sampled_from(list(GOOD)), max_size=8))
    names = draw(st.permutations(list(dict.fromkeys(base + more))))
    odd = draw(st.integers(0, 9))
    pairs = []
    for name in names:
        value = draw(VALUES) if odd == 0 and draw(st.booleans()) else draw(GOOD[name])
        pairs.append((json.dumps(name), value))
    if odd == 1 and pairs:
        pairs.append((pairs[0][0].replace("t", "\\u0074"), draw(SCALARS)))
    if odd == 2:
        pairs.append(('"x"', draw(WRONG)))
    space = draw(st.sampled_from(["", " ", "\n\t "]))
    return (
        "{" + ",".join(f"{space}{name}{space}:{space}{value}{space}" for name, value in pairs) + "}"
    )


DOCUMENTS = st.one_of(
    records(),
    st.lists(records(), max_size=5).map(lambda found: "[" + ",".join(found) + "]"),
    st.lists(st.one_of(records(), VALUES), max_size=3).map(
        lambda found: "[" + ",".join(found) + "]"
    ),
)
QUICK = settings(deadline=None, max_examples=600, suppress_health_check=list(HealthCheck))


@QUICK
@example(
    '{"type":"track","event":"e","time":1,"distinct_id":"d","properties":{"a":[{},1e999]}}',
    b"",
    True,
    0,
)
@example(
    '{"type":"track","event":"e","time":1,"distinct_id":"d","properties":{"a":[1e999]}}',
    b"",
    False,
    0,
)
@given(
    DOCUMENTS,
    st.sampled_from([b"", b" ", b"\0", b"]", b"{}"]),
    st.booleans(),
    st.integers(0, len(LOGINS)),
)
def test_documents(text, after, keep_ip, logins):
    check(text.encode("utf-8", "surrogatepass") + after, keep_ip, LOGINS[:logins])


@QUICK
@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_documents_cut_and_changed(text, rng):
    document = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(4):
        check(bytes(document[: rng.randrange(len(document) + 1)]))
        at = rng.randrange(len(document))
        odd = rng.choice([rng.randrange(256), *b'"\\{}[],:', 0x80, 0xED])
        document[at : at + rng.randrange(3)] = bytes([odd] * rng.randrange(1, 3))
        check(bytes(document))


def test_every_short_document():
    """Where each break is found, and what is kept of it: all texts of five signs and fewer."""
    for size in range(6):
        for signs in product(b'[ {},\t"a1]', repeat=size):
            check(bytes(signs))


@QUICK
@given(
    st.sampled_from([*EVENTS, *PROFILES]),
    st.fixed_dictionaries({}, optional=dict.fromkeys(WHO, IDS)),
    IDENTITIES,
    st.sampled_from(["", ',"properties":{"$is_login_id":true,"distinct_id":"u1"}']),
    st.integers(0, len(LOGINS)),
)
def test_whose_a_record_is(kind, ids, identities, properties, logins):
    said = "".join(f',"{name}":{value}' for name, value in ids.items())
    record = f'{{"type":"{kind}","event":"e","time":1{said},"identities":{identities}{properties}}}'
    check(record.encode(), False, LOGINS[:logins])


def test_an_id_too_long_to_be_one_is_none():
    for size in (490, 496, 497, 600):
        one = {"type": "track_id_unbind", "time": 1, "distinct_id": "u1"}
        check(json.dumps({**one, "identities": {"$identity_mobile": "1" * size}}).encode())


@pytest.mark.parametrize("keys", [("",), ("x" * 101,), ("金" * 34,), tuple("abcde")])
def test_login_keys_have_limits(keys):
    with pytest.raises(ValueError, match="login keys"):
        native(b"{}", False, keys)


def test_every_type_in_every_prefix():
    properties = {"a": 1, "b": "x", "c": ["y"], "d": None, "e": {"f": [1]}, "g": "2026-01-02"}
    for kind in (*EVENTS, *PROFILES, *ITEMS):
        record = {"type": kind, "event": "e", "time": 1, "distinct_id": "d", "login_id": "u"}
        record |= {"properties": properties, "lib": {"$lib": "js"}, "_track_id": 5}
        record |= {"item_id": "i", "item_type": "t", "identities": {"$identity_mobile": "1"}}
        document = json.dumps([record, record]).encode()
        for end in range(len(document) + 1):
            check(document[:end])


def test_nesting_has_an_end():
    for depth in (10, 255, 256, 257, 5000):
        for text in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth):
            if depth > 257:  # more than the twin's own stack
                assert native(text.encode())[1][0][1] in ("not_a_map", "bad_json", "bad_type")
                continue
            check(text.encode())
            check(f'{{"type":"track","event":"e","time":1,"distinct_id":"d","x":{text}}}'.encode())
            rest = '"type":"track","event":"e","time":1,"distinct_id":"d"'
            check(f'{{"properties":{{"x":{text}}},{rest}}}'.encode())


def test_counts_have_an_end():
    one = {"type": "track", "event": "e", "time": 1, "distinct_id": "d"}
    for n in (254, 255, 256, 300):
        many = {f"p{i}": i for i in range(n)}
        check(json.dumps({**one, "properties": many}).encode())
        check(json.dumps({**one, "type": "profile_unset", "properties": many}).encode())
        check(json.dumps({**one, "properties": many, "lib": {"$lib": "x"}, "odd": 1}).encode())
    for n in (63, 64, 65):
        check(json.dumps({**one, **{f"f{i}": i for i in range(n)}}).encode())
    for n in (500, 501):
        check(json.dumps({**one, "properties": {"l": ["a"] * n, "m": [1] * n}}).encode())
        check(json.dumps({**one, "properties": {"l": [True] * n}}).encode())
    check(json.dumps([1] * 2500).encode())
    check(json.dumps([one] * 4100 + [1]).encode())
    huge = json.dumps(
        [{**one, "properties": {f"p{i}": [str(j) for j in range(450)] for i in range(9)}}] * 40
    )
    check(huge.encode())


def test_an_event_that_no_batch_can_hold_is_refused():
    one = {"type": "track", "event": "e", "time": 1, "distinct_id": "d"}
    large = {**one, "properties": {"a": "x" * DEFAULT_LIMITS.batch_bytes}}
    wide = {**one, "properties": {f"p{i}": ["x"] * 500 for i in range(140)}}
    events, refused, _ = native(json.dumps([large, one, wide]).encode())
    assert len(events) == 1
    assert [(index, reason) for index, reason, _, _ in refused] == [
        (0, "event_too_large"),
        (2, "event_too_large"),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_base64_is_the_usual_one_in_all_its_forms(seed):
    import base64

    rng = Random(seed)
    for size in range(200):
        data = rng.randbytes(size)
        usual = base64.b64encode(data)
        for form in (usual, usual.rstrip(b"="), usual.replace(b"+", b" "), b"\r\n" + usual + b"\n"):
            assert unbase64(form) == data
        assert unbase64(base64.urlsafe_b64encode(data)) == data
        if usual:
            at = rng.randrange(len(usual.rstrip(b"=")))
            assert unbase64(usual[:at] + b"*" + usual[at + 1 :]) is None
    assert unbase64(b"A") is None
    assert unbase64(b"AA=A") is None
    assert unbase64(b"") == b""


@given(st.text())
def test_surrogates_of_three_bytes_each_are_joined(text):
    halves = text.encode("utf-16", "surrogatepass")[2:]
    cesu = b"".join(
        chr(int.from_bytes(halves[i : i + 2], "little")).encode("utf-8", "surrogatepass")
        for i in range(0, len(halves), 2)
    )
    assert joined(cesu) == text.encode("utf-8", "surrogatepass")
    assert joined(cesu[:-1]) == joined(cesu)[:-1] or text[-1] >= "\U00010000"
