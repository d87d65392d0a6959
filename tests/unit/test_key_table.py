"""KeyTable against a dict, its packing against a twin, hostile offsets, blanks, growth."""

from __future__ import annotations

import re
import threading
import uuid

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zuji.engine.index._keys import KeyTable, find_keys, resolve_keys
from zuji.engine.index._strings import stable_hash64

_HEX, _SIX = "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_texts = st.one_of(
    st.text(_HEX, max_size=40),
    st.text(_HEX.upper(), max_size=40),
    st.text("0123456789", max_size=20),
    st.text(_SIX, max_size=70),
    st.uuids().map(str),
    st.uuids().map(lambda one: str(one).upper()),
    st.uuids().map(lambda one: one.hex),
    st.text(max_size=40),
    st.text(_SIX, min_size=200, max_size=300),
    st.sampled_from(["", "-", "0" * 36, "00000000-0000-0000-0000-000000000000", "a" * 256]),
    st.sampled_from(["12345678-1234-1234-1234-12345678901-", "--------" * 5]),
).map(str.encode)
_values = _texts | st.binary(max_size=80)
_prefixed = st.tuples(
    st.sampled_from([b"$identity_mobile+", b"$identity_x+", b"$identity_+", b"$identity_+b+"]),
    _values,
).map(b"".join)
_keys = st.one_of(
    st.tuples(st.sampled_from([b"u", b"d"]), _values | _prefixed).map(b"".join), _values, _prefixed
)


def packed(keys):
    """(data, offsets) of a list of keys."""
    offsets = np.zeros(len(keys) + 1, np.int64)
    np.cumsum([len(s) for s in keys], out=offsets[1:])
    return np.frombuffer(b"".join(keys), np.uint8), offsets


def unpacked(data, offsets):
    raw = data.tobytes()
    return [raw[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]


def twin(key: bytes) -> int:
    """Bytes that a key takes packed, told from the page of ``keypack.h`` and nothing else."""
    text = key[1:] if key[:1] in (b"u", b"d") else key
    if len(text) <= 256 and (prefix := re.match(rb"\$identity_[^+]{0,117}\+", text)):
        return 2 + twin_of_text(text[prefix.end() :])
    return twin_of_text(text)


def twin_of_text(text: bytes) -> int:
    n = len(text)
    length = 1 if n < 128 else 2 if n < 1 << 14 else 3
    if 0 < n <= 256:
        if re.fullmatch(rb"[0-9a-f]+|[0-9A-F]+", text):
            return 1 + length + (n + 1) // 2
        if n == 36 and re.fullmatch(rb"[0-9a-f-]+|[0-9A-F-]+", text):
            try:
                if str(uuid.UUID(text.decode())) == text.decode().lower():
                    return 17
            except ValueError:
                pass
        if re.fullmatch(rb"[0-9a-zA-Z_-]+", text):
            return 1 + length + -(-n * 6 // 8)
    return 1 + length + n


class TableAgainstDict(RuleBasedStateMachine):
    """Any sequence of calls answers as a dict of first appearances does."""

    def __init__(self):
        super().__init__()
        self.table = KeyTable(salt=1)
        self.model: dict[bytes, int] = {}
        self.all: list[bytes] = []

    def _code(self, key):
        if key not in self.model:
            self.model[key] = len(self.all)
            self.all.append(key)
        return self.model[key]

    @rule(key=_keys)
    def intern(self, key):
        assert self.table.intern(key) == self._code(key)

    @rule(keys=st.lists(_keys, max_size=40))
    def intern_bulk(self, keys):
        assert self.table.intern_bulk(*packed(keys)).tolist() == [self._code(k) for k in keys]

    @rule(seed=st.integers(0, 2**32), n=st.integers(0, 3_000), form=st.integers(0, 3))
    def intern_many(self, seed, n, form):
        rng = np.random.default_rng(seed)
        forms = (b"u%d", b"d%036x", b"ud-%d", b"d$identity_m+%d")
        keys = [forms[form] % number for number in rng.integers(0, 10_000, n).tolist()]
        assert self.table.intern_bulk(*packed(keys)).tolist() == [self._code(k) for k in keys]

    @rule(keys=st.lists(_keys, max_size=20))
    def find(self, keys):
        expected = [self.model.get(s, -1) for s in keys]
        assert self.table.find_bulk(*packed(keys)).tolist() == expected
        assert [self.table.find(s) for s in keys] == expected

    @rule(data=st.data())
    def blank(self, data):
        if self.all:
            codes = data.draw(st.lists(st.integers(0, len(self.all) - 1), max_size=30))
            self.table.blank(np.array(codes, np.uint32))
            for code in codes:
                if self.model.get(self.all[code]) == code:
                    del self.model[self.all[code]]
                self.all[code] = b""

    @rule(start=st.integers(0, 50), stop=st.none() | st.integers(0, 90))
    def dump(self, start, stop):
        assert unpacked(*self.table.dump(start, stop)) == self.all[start:stop]

    @rule(data=st.data())
    def gather(self, data):
        if self.all:
            codes = data.draw(st.lists(st.integers(0, len(self.all) - 1), max_size=30))
            found = unpacked(*self.table.gather(np.array(codes, np.uint32)))
            assert found == [self.all[code] for code in codes]

    @invariant()
    def same_size(self):
        assert len(self.table) == len(self.all)

    def teardown(self):
        assert [self.table.get(c) for c in range(len(self.table))] == self.all
        again = KeyTable(salt=1)
        again.append_bulk(*packed(self.all))
        assert unpacked(*again.dump()) == self.all
        assert {k: again.find(k) for k in self.model if k} == {
            k: code for k, code in self.model.items() if k
        }


TestTableAgainstDict = TableAgainstDict.TestCase
TestTableAgainstDict.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)


@given(key=_keys)
@example(b"d" + b"x" * 5_000)
@example(b"d$identity_" + b"n" * 117 + b"+1")
@example(b"d$identity_" + b"n" * 118 + b"+1")
@settings(max_examples=500, deadline=None)
def test_a_key_takes_the_bytes_that_its_page_says(key):
    table = KeyTable(salt=1)
    table.intern(b"d$identity_other+1")  # prefixes have a place
    before = table.nbytes
    table.intern(key)
    assert table.nbytes - before == twin(key)
    assert table.get(1) == key
    table.blank(np.array([1], np.uint32))
    assert (table.find(key), table.get(1)) == (-1, b"")
    assert table.intern(b"uafter") == 2
    assert table.get(2) == b"uafter"


def test_a_large_table_answers_as_a_dict_does():
    """Parts divide and grow in each of two tables; absent and repeated ids among the found."""
    tables = [KeyTable(salt=3), KeyTable(salt=3)]
    models: list[dict[bytes, int]] = [{}, {}]
    rng = np.random.default_rng(5)
    for step in range(6):
        numbers = rng.integers(0, 100_000 * (step + 1), 100_000).tolist()
        keys = [b"u%d" % n if n % 7 else b"da longer id, number %d" % n for n in numbers]
        shards, codes = resolve_keys(tables, *packed(keys))
        expected = [stable_hash64(s, 3) & 1 for s in keys]
        assert shards.tolist() == expected
        assert codes.tolist() == [
            models[t].setdefault(s, len(models[t])) for t, s in zip(expected, keys, strict=True)
        ]
    found = find_keys(tables, *packed(keys))
    assert found[0].tolist() == expected
    assert found[1].tolist() == codes.tolist()
    for table, model in zip(tables, models, strict=True):
        assert len(table) == len(model) > 100_000
        absent = [b"u-%d" % n for n in range(1_000)]
        assert (table.find_bulk(*packed(absent)) == -1).all()
        assert unpacked(*table.dump()) == list(model)
        again = KeyTable(salt=3)
        again.expect(len(model))
        again.append_bulk(*table.dump())
        assert again.find_bulk(*packed(list(model))).tolist() == list(range(len(model)))
        gone = np.arange(0, len(model), 3, dtype=np.uint32)
        again.blank(gone)
        left = again.find_bulk(*packed(list(model)))
        wanted = np.arange(len(model))
        wanted[gone] = -1
        assert left.tolist() == wanted.tolist()


def test_a_uuid_takes_less_than_thirty_bytes():
    table = KeyTable(salt=3)
    numbers = np.random.default_rng(7).integers(0, 1 << 62, (200_000, 2)).tolist()
    keys = [b"d%08x-%04x-4%03x-a%03x-%012x" % _uuid(a, b) for a, b in numbers]
    table.intern_bulk(*packed(keys))
    assert len(set(keys)) == len(table)
    assert 17 < table.nbytes / len(table) < 30


def _uuid(a, b):
    return a & 0xFFFFFFFF, a >> 32 & 0xFFFF, b & 0xFFF, b >> 12 & 0xFFF, b >> 14


def test_more_prefixes_than_there_is_room_for():
    table = KeyTable(salt=3)
    keys = [b"d$identity_%d+%d" % (n, n) for n in range(700)]
    for _ in range(2):
        assert table.intern_bulk(*packed(keys)).tolist() == list(range(700))
    assert [table.get(n) for n in range(700)] == keys
    assert table.find(b"d$identity_none+1") == -1


def test_offsets_that_do_not_lie_in_the_data_are_refused():
    table = KeyTable()
    data = np.frombuffer(b"uabc", np.uint8)
    for bad in ([0, 5], [2, 1], [-1, 2], []):
        offsets = np.array(bad, np.int64)
        for call in (table.intern_bulk, table.find_bulk, table.append_bulk):
            with pytest.raises(ValueError, match="offsets"):
                call(data, offsets)
    for codes in ([0], [7]):
        with pytest.raises(IndexError):
            table.gather(np.array(codes, np.uint32))
        with pytest.raises(IndexError):
            table.blank(np.array(codes, np.uint32))
    with pytest.raises(IndexError):
        table.get(0)
    with pytest.raises(MemoryError):
        table.intern(b"u" * (1 << 20))
    assert len(table) == 0


def test_tables_of_shards_are_alike():
    one, other = KeyTable(salt=1), KeyTable(salt=2)
    for tables in ([], [one, other], [one, one], [one, KeyTable(salt=1), KeyTable(salt=1)]):
        for call in (resolve_keys, find_keys):
            with pytest.raises(ValueError, match="table"):
                call(tables, *packed([b"ua"]))
    with pytest.raises(TypeError):
        resolve_keys([None], *packed([b"ua"]))


def test_a_table_in_use_by_another_thread_says_so():
    table = KeyTable(salt=1)
    keys = packed([b"u%d" % n for n in range(300_000)])
    problems, ended = [], threading.Event()

    def look():
        while not ended.is_set():
            try:
                table.find_bulk(*keys)
            except RuntimeError as problem:
                problems.append(problem)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(20):
            try:
                table.intern_bulk(*keys)
            except RuntimeError as problem:
                problems.append(problem)
    finally:
        ended.set()
        thread.join()
    assert all("lock" in str(problem) for problem in problems)
    table.intern_bulk(*keys)
    assert len(table) == 300_000
