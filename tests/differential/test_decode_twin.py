"""The native batch decoder against its slow twin: the same rows, the same rejects, bit for bit."""

from __future__ import annotations

import json
import struct
from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.differential.random_batches import random_batch
from tests.differential.twin_decode import TYPES, Refused, decode_slow, rows_of
from tests.differential.twin_json import decode_json_slow, is_json
from tests.differential.wire import Ext, Pairs, Text, write
from tests.differential.wire_json import write_json
from zuji.engine.batch import EVENT_REASONS, decode_batch, slice_events
from zuji.engine.errors import InvalidEvent
from zuji.engine.index._strings import StringTable
from zuji.engine.limits import DEFAULT_LIMITS


def together(strategy):
    """One alternative of a ``one_of``, not as many as it has itself."""
    return strategy.map(lambda value: value)


# Small, so that examples meet them.
LIMITS = replace(
    DEFAULT_LIMITS,
    batch_events=30,
    batch_items=600,
    event_properties=6,
    string_bytes=40,
    name_bytes=12,
    id_bytes=10,
    list_values=4,
)


BARE = {"event": "e", "time": 5, "user_id": "u"}


def fast(data: bytes, limits=LIMITS):
    names, strings = StringTable(), StringTable()
    try:
        batch = decode_batch(data, limits=limits, names=names, strings=strings)
    except InvalidEvent as error:
        assert len(names) == len(strings) == 0, "a refused batch leaves nothing"
        return "refused" if error.index == -1 else error
    if batch.rejected:
        indexes = [reject.index for reject in batch.rejected]
        assert slice_events(data, indexes) == [reject.raw for reject in batch.rejected]
    return rows_of(batch)


def slow(data: bytes, limits=LIMITS):
    try:
        return decode_json_slow(data, limits) if is_json(data) else decode_slow(data, limits)
    except Refused:
        return "refused"


names = st.one_of(
    st.sampled_from(["city", "os", "amount", "页面", "$lib", "a", "b", "c", "d", "e"]),
    st.sampled_from(
        ["$name", "$time", "$received", "$device_id", "", "x" * 12, "x" * 13, "a\x7f", "\n"]
    ),
    st.text(max_size=6),
)
stamps = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda s: Ext(-1, struct.pack(">I", s))),
    st.tuples(st.integers(0, 2**30 - 1), st.integers(0, 2**34 - 1)).map(
        lambda p: Ext(-1, struct.pack(">Q", p[0] << 34 | p[1]))
    ),
    st.tuples(
        st.integers(0, 10**9 + 5),
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-(10**11), 10**12)),
    ).map(lambda p: Ext(-1, struct.pack(">Iq", *p))),
    st.builds(Ext, st.integers(-128, 127), st.binary(max_size=17)),
)
broken = st.sampled_from(
    [
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"abcdefgh\xe4\xb8",
        b"\xe0\x9f\xbf",
    ]
).map(Text)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=15),
    st.sampled_from(["app", "web", "中文" * 3, "x" * 40, "x" * 41]),
    stamps,
    broken,
    st.binary(max_size=5),
)
lists = st.lists(st.one_of(st.sampled_from(["p", "q", "中"]), st.text(max_size=8)), max_size=5)
values = st.one_of(
    together(scalars),
    lists,
    st.lists(scalars, max_size=3),
    st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=2), st.dictionaries(names, inner, max_size=2)
        ),
        max_leaves=4,
    ),
)
good_values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["app", "web", "mini", "中文"]),
    st.text(max_size=10),
    lists.filter(lambda items: len(items) < 5),
)
clocks = st.builds(
    "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}".format,
    st.one_of(st.integers(1890, 2210), st.integers(0, 9999)),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from("TTTTt "),
    st.integers(0, 24),
    st.integers(0, 60),
    st.integers(0, 61),
    st.one_of(st.just(""), st.integers(0, 10**12).map(".{}".format), st.just(".")),
    st.sampled_from(
        ["Z", "z", "+08:00", "-03:30", "+24:00", "+00:60", "", "+0800", "Zx", "−08:00"]
    ),
)
good_times = st.one_of(
    st.integers(-(10**12), 2 * 10**12),
    st.just("2026-10-01T13:00:05.250+08:00"),
    st.floats(-1e12, 2e12),
    st.integers(0, 2**32 - 1).map(lambda s: Ext(-1, struct.pack(">I", s))),
)
times = st.one_of(together(good_times), clocks, together(values))
ids = st.one_of(
    st.sampled_from(["u1", "u2", "客户", ""]), st.integers(-(2**63), 2**64 - 1), together(values)
)
good_properties = st.dictionaries(
    st.sampled_from(["city", "os", "amount", "页面", "$lib"]),
    st.one_of(st.none(), good_values),
    max_size=5,
)
good_events = st.fixed_dictionaries(
    {
        "event": st.sampled_from(["pay", "view", "开户"]),
        "time": good_times,
        "user_id": st.sampled_from(["u1", "u2", 7]),
    },
    optional={
        "properties": good_properties,
        "insert_id": st.uuids().map(lambda u: u.hex[:8]),
        "device_id": st.just("d"),
        "time_free": st.sampled_from([True, False, None]),
    },
)
PROFILES = [name for name in TYPES if name != "track"]
profiles = st.fixed_dictionaries(
    {
        "type": st.sampled_from(PROFILES),
        "time": good_times,
        "device_id": st.just("d1"),
    },
    optional={
        "properties": st.one_of(
            good_properties,
            st.dictionaries(names, st.sampled_from([None, True, False]), max_size=4),
            st.dictionaries(names, st.one_of(st.integers(-5, 5), st.floats()), max_size=4),
            st.dictionaries(names, st.one_of(st.sampled_from(["p", "中"]), lists), max_size=4),
            st.sampled_from([None, {}]),
        ),
        "time_free": st.sampled_from([True, False, None]),
    },
)
fields = {
    "type": st.one_of(
        st.sampled_from(["track", *PROFILES, "trac", "profile_", None]), together(values)
    ),
    "event": st.one_of(together(names), together(values)),
    "time": times,
    "user_id": ids,
    "device_id": ids,
    "insert_id": ids,
    "time_free": st.one_of(st.booleans(), together(values)),
    "properties": st.one_of(
        st.lists(
            st.tuples(
                st.one_of(together(names), together(names), broken, together(scalars)),
                st.one_of(together(good_values), together(values)),
            ),
            max_size=8,
        ).map(Pairs),
        st.dictionaries(names, good_values, max_size=7),
        together(values),
    ),
}
any_pairs = st.one_of(
    *[st.tuples(st.just(name), value) for name, value in fields.items()],
    st.tuples(values, values),
)
odd_events = st.one_of(
    *[  # one field of a good event is odd
        st.builds(lambda event, value, name=name: {**event, name: value}, good_events, value)
        for name, value in fields.items()
    ],
    st.fixed_dictionaries({}, optional=fields),
    st.lists(any_pairs, max_size=8).map(Pairs),
    st.tuples(
        good_events, st.lists(any_pairs, min_size=1, max_size=2), st.randoms(use_true_random=False)
    ).map(lambda p: Pairs(p[2].sample([*p[0].items(), *p[1]], len(p[0]) + len(p[1])))),
    values,
)
event_lists = st.lists(
    st.one_of(good_events, good_events, profiles, together(odd_events), together(odd_events)),
    max_size=12,
)
batches = st.one_of(
    event_lists,
    event_lists,
    event_lists,
    event_lists,
    st.fixed_dictionaries(
        {"events": event_lists},
        optional={"batch_id": st.one_of(st.text(max_size=5), st.none()), "sent_at": good_times},
    ),
    st.lists(
        st.tuples(
            st.sampled_from(["events", "batch_id", "sent_at", "lib", 5]),
            st.one_of(event_lists, values),
        ),
        max_size=4,
    ).map(Pairs),
    together(values),
)
wire = st.builds(write, batches, st.integers(0, 2**32).map(Random))


@settings(max_examples=1000, deadline=None)
@given(wire)
def test_same_as_twin(data):
    assert fast(data) == slow(data)


def test_same_as_twin_in_volume():
    reasons, kinds, rows = Counter(), Counter(), 0
    for seed in range(600):
        rng = Random(seed)
        data = write(random_batch(rng), rng)
        expected = slow(data)
        assert fast(data) == expected, f"seed {seed}"
        if expected == "refused":
            continue
        rows += len(expected["rows"])
        kinds.update(cell[1] for row in expected["rows"] for cell in row["properties"])
        reasons.update(reject[1] for reject in expected["rejected"])
    assert set(reasons) == set(EVENT_REASONS) - {"bad_json"}, "every reason must occur"
    assert set(kinds) == {0, 1, 2, 3, 4, 5, 6}
    assert rows > 4000


@settings(max_examples=600, deadline=None)
@given(st.builds(write, event_lists, st.integers(0, 2**32).map(Random)), st.data())
def test_same_as_twin_after_damage(data, draw):
    data = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        what = draw.draw(st.sampled_from(["flip", "cut", "insert", "set"]))
        at = draw.draw(st.integers(0, len(data)))
        if what == "cut":
            data = data[:at]
        elif what == "insert":
            data[at:at] = draw.draw(st.binary(min_size=1, max_size=6))
        elif at < len(data):
            data[at] = (
                data[at] ^ 1 << draw.draw(st.integers(0, 7))
                if what == "flip"
                else draw.draw(st.integers(0, 255))
            )
    assert fast(bytes(data)) == slow(bytes(data))


@settings(max_examples=800, deadline=None)
@given(st.binary(max_size=60))
@example(b"")
@example(b"\x90")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\x91\xdf\xff\xff\xff\xff")
def test_same_as_twin_on_any_bytes(data):
    assert fast(data) == slow(data)
    assert fast(b"\x91" + data) == slow(b"\x91" + data)


@settings(max_examples=400, deadline=None)
@given(clocks)
def test_clocks_same_as_twin(text):
    event = write([{"event": "e", "user_id": "u", "time": text}], Random(0))
    assert fast(event) == slow(event)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.builds(write, event_lists, st.integers(0, 2**32).map(Random)), min_size=2, max_size=5
    )
)
def test_batches_that_share_tables(datas):
    names_table, strings = StringTable(), StringTable()
    decoded, expected = [], []
    for data in datas:
        twin = slow(data)
        if twin == "refused":
            continue
        decoded.append(decode_batch(data, limits=LIMITS, names=names_table, strings=strings))
        expected.append(twin)
    assert [rows_of(batch) for batch in decoded] == expected


@pytest.mark.parametrize("known", [0, 40, 5_000, 70_000])
def test_tables_are_as_before_after_a_refused_batch(known):
    """Tables of every size, some of them grown by the batch that is then taken back."""
    rng = Random(known)
    limits = replace(DEFAULT_LIMITS, batch_items=10**6)
    table, untouched = StringTable(salt=7), StringTable(salt=7)
    for each in (table, untouched):
        for i in range(known):
            each.intern(b"%d" % i)
    good = [{**BARE, "user_id": f"g{i}", "properties": {"a": f"v{i}"}} for i in range(200)]
    lost = [
        {**BARE, "user_id": f"l{rng.getrandbits(64)}", "properties": {f"p{i % 50}": f"w{i}"}}
        for i in range(1500)
    ]
    for _ in range(3):
        for bad in (write(lost, rng)[:-1], b"[" + json.dumps(lost).encode()[1:-1]):
            names, before = StringTable(), len(table)
            with pytest.raises(InvalidEvent):
                decode_batch(bad, limits=limits, names=names, strings=table)
            assert (len(names), len(table)) == (0, before)
            assert table.find(b"w5") == table.find(lost[0]["user_id"].encode()) == -1
        for each in (table, untouched):
            raw = write(good, Random(1))
            decode_batch(raw, limits=limits, names=StringTable(), strings=each)
    assert table.to_list() == untouched.to_list()
    assert [table.find(text.encode()) for text in table.to_list()] == list(range(len(table)))


@settings(max_examples=300, deadline=None)
@given(st.builds(write, event_lists, st.integers(0, 2**32).map(Random)))
def test_tables_hold_nothing_of_rejected_events(data):
    names_table, strings = StringTable(), StringTable()
    try:
        batch = decode_batch(data, limits=LIMITS, names=names_table, strings=strings)
    except InvalidEvent:
        assert len(names_table) == len(strings) == 0
        return
    rows = rows_of(batch)["rows"]
    used = {row["event"] for row in rows} | {c[0] for row in rows for c in row["properties"]}
    assert set(names_table.to_list()) == used - {None}
    ids_used = {row[k] for row in rows for k in ("user_id", "device_id")}
    texts = {c[2] for row in rows for c in row["properties"] if c[1] == 5}
    items = {t for row in rows for c in row["properties"] if c[1] == 6 for t in c[2]}
    assert set(strings.to_list()) == (ids_used | texts | items) - {None}


def test_names_that_almost_match_the_names_before():
    """Names in their usual places take a fast path: one byte more, less or other must leave it."""
    limits = replace(LIMITS, name_bytes=40, batch_events=500, batch_items=10_000)
    for length in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 30, 31, 32, 33):
        name = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"[:length]
        others = [name + "x", name[:-1] + "Z"]
        others += [name[:k] + "#" + name[k + 1 :] for k in range(length)]
        usual = [("q", 1), (name, 2), ("z", 3)]
        events = [{**BARE, "properties": Pairs(usual)}] * 17
        for other in [o for o in others if o]:
            for pairs in (
                [("q", 1), (other, 2), ("z", 3)],
                [("q", 1), (name, 2), (other, 3)],
                [("q", 1), (name, 2), (name, 3)],
                [("q", 1), (name, 2), ("z", 3), ("q", 4)],
                [("q", 1), (other, 2), ("z", 3), (name, 4)],
                [(other, 1)],
                usual[:2],
            ):
                events.append({**BARE, "properties": Pairs(pairs)})
        data = write(events, Random(length))
        assert fast(data, limits) == slow(data, limits)


@pytest.mark.parametrize("form", ["msgpack", "json"])
@pytest.mark.parametrize("width", [1, 5, 47, 48, 49, 120])
def test_names_in_any_order(form, width):
    """Shapes hold 48 names: fewer, more, left out, shuffled, null, twice, new ones in between."""
    limits = replace(DEFAULT_LIMITS, batch_items=10**6)
    rng = Random(width)
    names = [f"name_{i}" for i in range(width)] + ["x" * 31, "x" * 32, 'quo"te', "back\\slash", "é"]
    events = []
    for _ in range(150):
        part = [n for n in names if rng.random() < 0.8]
        if rng.random() < 0.5:
            rng.shuffle(part)
        pairs = [(n, rng.choice([1, "a", "b" * 20, None, 2.5])) for n in part]
        if rng.random() < 0.2:
            pairs.insert(rng.randrange(len(pairs) + 1), (rng.choice(names), 1))
        if rng.random() < 0.2:
            pairs.insert(rng.randrange(len(pairs) + 1), (f"new_{rng.randrange(9)}", 1))
        kind = {"type": "profile_set"} if rng.random() < 0.1 else {"event": rng.choice("ef")}
        events.append({**kind, "time": 5, "user_id": "u", "properties": Pairs(pairs)})
    data = write(events, rng) if form == "msgpack" else write_json(events, rng)
    expected = slow(data, limits)
    assert fast(data, limits) == expected
    assert len(expected["rows"]) > 80
    assert "duplicate_key" in {reject[1] for reject in expected["rejected"]}


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32).map(Random))
def test_same_as_twin_after_damage_in_volume(rng):
    data = bytearray(write(random_batch(rng), rng))
    for _ in range(rng.randrange(1, 5)):
        data[rng.randrange(len(data))] = rng.choice([rng.randrange(256), 0xC1, 0xDF, 0x9F, 0xDB])
    assert fast(bytes(data)) == slow(bytes(data))


@pytest.mark.slow
@settings(max_examples=100_000, deadline=None)
@given(wire)
def test_same_as_twin_long(data):
    assert fast(data) == slow(data)
