"""StringTable and Set128 against dict and set; the pinned hash; hostile offsets; two threads."""

from __future__ import annotations

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zuji.engine.index._hashset import Set128
from zuji.engine.index._strings import StringTable, hash_bulk, resolve_bulk, stable_hash64

texts = st.binary(max_size=70) | st.sampled_from([b"", b"a", b"\x00", b"\x00\x00", b"x" * 300])


def packed(strings):
    """(data, offsets) of a list of byte strings."""
    offsets = np.zeros(len(strings) + 1, np.int64)
    np.cumsum([len(s) for s in strings], out=offsets[1:])
    return np.frombuffer(b"".join(strings), np.uint8), offsets


class TableAgainstDict(RuleBasedStateMachine):
    """Any sequence of calls answers as a dict of first appearances does."""

    def __init__(self):
        super().__init__()
        self.table = StringTable(salt=1)
        self.model: dict[bytes, int] = {}

    @rule(text=texts)
    def intern(self, text):
        assert self.table.intern(text) == self.model.setdefault(text, len(self.model))

    @rule(strings=st.lists(texts, max_size=60))
    def intern_bulk(self, strings):
        codes = self.table.intern_bulk(*packed(strings))
        expected = [self.model.setdefault(s, len(self.model)) for s in strings]
        assert codes.dtype == np.uint32
        assert codes.tolist() == expected

    @rule(seed=st.integers(0, 2**32), n=st.integers(0, 3_000))
    def intern_many(self, seed, n):
        numbers = np.random.default_rng(seed).integers(0, 10_000, n)
        strings = [b"%d" % number for number in numbers]
        codes = self.table.intern_bulk(*packed(strings))
        assert codes.tolist() == [self.model.setdefault(s, len(self.model)) for s in strings]

    @rule(strings=st.lists(texts, max_size=20))
    def find(self, strings):
        expected = [self.model.get(s, -1) for s in strings]
        assert self.table.find_bulk(*packed(strings)).tolist() == expected
        assert [self.table.find(s) for s in strings] == expected

    @rule(start=st.integers(0, 50), stop=st.none() | st.integers(0, 90))
    def dump(self, start, stop):
        data, offsets = self.table.dump(start, stop)
        raw = data.tobytes()
        pairs = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        assert [raw[a:b] for a, b in pairs] == list(self.model)[start:stop]

    @invariant()
    def same_size(self):
        assert len(self.table) == len(self.model)

    def teardown(self):
        assert [self.table.get(c) for c in range(len(self.table))] == list(self.model)


TestTableAgainstDict = TableAgainstDict.TestCase
TestTableAgainstDict.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_codes_survive_growth():
    table = StringTable()
    strings = [b"user-%d" % i for i in range(200_000)]
    assert table.intern_bulk(*packed(strings)).tolist() == list(range(200_000))
    assert table.find_bulk(*packed(strings)).tolist() == list(range(200_000))
    assert table.find(b"user-200000") == -1
    assert len(strings[0]) * 200_000 < table.nbytes < 60 * 200_000


def test_a_large_table_answers_as_a_dict_does():
    """Parts split many times in each of two tables; absent and repeated strings among the found."""
    tables = [StringTable(salt=3), StringTable(salt=3)]
    models: list[dict[bytes, int]] = [{}, {}]
    rng = np.random.default_rng(5)
    for step in range(6):
        numbers = rng.integers(0, 300_000 * (step + 1), 200_000)
        strings = [b"%d" % n if n % 7 else b"a longer string, number %d" % n for n in numbers]
        shards, codes = resolve_bulk(tables, *packed(strings))
        expected = [stable_hash64(s, 3) & 1 for s in strings]
        assert shards.tolist() == expected
        assert codes.tolist() == [
            models[t].setdefault(s, len(models[t])) for t, s in zip(expected, strings, strict=True)
        ]
    for table, model in zip(tables, models, strict=True):
        assert len(table) == len(model) > 300_000
        absent = [b"-%d" % n for n in range(1_000)]
        assert (table.find_bulk(*packed(absent)) == -1).all()
        data, offsets = table.dump()
        assert data.tobytes() == b"".join(model)
        assert (np.diff(offsets) == [len(s) for s in model]).all()
        again = StringTable(salt=3)
        again.expect(len(model))
        again.append_bulk(data, offsets)
        assert (again.find_bulk(data, offsets) == np.arange(len(model))).all()
        assert again.intern_bulk(data, offsets).tolist() == list(range(len(model)))
        assert abs(again.nbytes - table.nbytes) < 8 * 2**20


def test_strings_are_gathered_by_code():
    table = StringTable()
    table.intern_bulk(*packed([b"", b"ann", b"x" * 300]))
    data, offsets = table.gather(np.array([2, 1, 0, 1], np.uint32), b"u")
    assert data.tobytes() == b"u" + b"x" * 300 + b"uann" + b"u" + b"uann"
    assert offsets.tolist() == [0, 301, 305, 306, 310]
    assert table.gather(np.array([1], np.uint32))[0].tobytes() == b"ann"
    assert table.gather(np.empty(0, np.uint32))[1].tolist() == [0]
    with pytest.raises(IndexError):
        table.gather(np.array([3], np.uint32))


def test_a_string_of_a_mebibyte_is_refused():
    table = StringTable()
    assert table.intern(b"x" * (2**20 - 1)) == 0
    with pytest.raises(MemoryError):
        table.intern(b"x" * 2**20)
    assert (len(table), table.intern(b"next")) == (1, 1)


def test_tables_to_resolve_in_are_checked():
    one, other = StringTable(salt=1), StringTable(salt=2)
    for tables in ([], [one, one], [one, other], [one] * 3):
        with pytest.raises(ValueError, match="tables"):
            resolve_bulk(tables, *packed([b"a"]))
    with pytest.raises(TypeError):
        resolve_bulk([None], *packed([b"a"]))


def test_text_comes_back():
    table = StringTable()
    for text in ("", "上海", "é", "plain"):
        table.intern(text.encode())
    assert table.to_list() == ["", "上海", "é", "plain"]
    assert table.to_list(2) == ["é", "plain"]
    assert table.to_list(9) == []
    table.intern(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        table.to_list()


@pytest.mark.parametrize("offsets", [[], [-1, 2], [0, 2, 1], [0, 4], [3, 4], [2**62, 2**63 - 1]])
def test_offsets_outside_the_data_are_refused(offsets):
    data, array = np.zeros(3, np.uint8), np.array(offsets, np.int64)
    table = StringTable()
    for call in (table.intern_bulk, table.find_bulk, lambda d, o: hash_bulk(d, o, 1)):
        with pytest.raises(ValueError, match="offsets"):
            call(data, array)
    assert len(table) == 0


def test_codes_outside_the_table_are_refused():
    table = StringTable()
    table.intern(b"a")
    for code in (-1, 1, 2**32, 2**70):
        with pytest.raises(IndexError):
            table.get(code)
    with pytest.raises(ValueError, match="negative"):
        table.dump(-1)
    with pytest.raises(ValueError, match="negative"):
        table.dump(0, -1)
    with pytest.raises(ValueError, match="negative"):
        table.to_list(-1)
    with pytest.raises(TypeError):
        pickle.dumps(table)


def test_hash_values_are_part_of_the_format():
    """Users are placed by these: a change here strands every project on disk."""
    cases = {
        b"": 0xDEBAE315707F545D,
        b"abc": 0x00697DEBA0CDE4FC,
        b"abc" * 2: 0x39928BC5B6B224DB,
        b"abc" * 6: 0xA00913E7EA575937,
        b"abc" * 30: 0x9F5A8B2F97136842,
    }
    for text, value in cases.items():
        assert stable_hash64(text, 1) == value
    assert stable_hash64(b"abc", 2) != cases[b"abc"]


@given(st.lists(texts, max_size=20), st.integers(0, 2**64 - 1))
def test_bulk_hash_is_the_hash(strings, salt):
    hashes = hash_bulk(*packed(strings), salt)
    assert hashes.tolist() == [stable_hash64(s, salt) for s in strings]


def test_hash_spreads_near_ids_over_shards():
    hashes = hash_bulk(*packed([b"%d" % i for i in range(64_000)]), 99)
    counts = np.bincount((hashes & np.uint64(15)).astype(int), minlength=16)
    assert (abs(counts - 4_000) < 5 * 4_000**0.5).all()
    counts = np.bincount((hashes >> np.uint64(60)).astype(int), minlength=16)
    assert (abs(counts - 4_000) < 5 * 4_000**0.5).all()
    assert len(np.unique(hashes)) == 64_000


def test_each_length_and_byte_matters_to_the_hash():
    zeros = {stable_hash64(bytes(n), 7) for n in range(200)}
    assert len(zeros) == 200
    for n in (1, 3, 4, 8, 15, 16, 17, 48, 49, 100):
        flipped = {
            stable_hash64(bytes(at) + bytes([bit]) + bytes(n - at - 1), 7)
            for at in range(n)
            for bit in (1, 128)
        }
        assert len(flipped) == 2 * n


def test_a_table_in_use_by_another_thread_refuses_instead_of_crashing():
    """Two threads without a lock see RuntimeError or right answers, never freed memory."""
    table = StringTable()
    errors: list[BaseException] = []

    def work(salt):
        strings = [b"%d-%d" % (salt, i) for i in range(30_000)]
        data, offsets = packed(strings)
        for _ in range(10):
            try:
                codes = table.intern_bulk(data, offsets)
                assert table.get(int(codes[-1])) == strings[-1]
            except RuntimeError:
                continue
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(salt,)) for salt in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(set(table.to_list())) == len(table)


# ---- Set128 -------------------------------------------------------------------------------------

keys = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6) | st.integers(0, 2**64 - 1)), max_size=50
)


def halves(pairs):
    array = np.array(pairs, np.uint64).reshape(-1, 2)
    return array[:, 0].copy(), array[:, 1].copy()


class SetAgainstSet(RuleBasedStateMachine):
    """Any sequence of calls answers as a Python set does."""

    def __init__(self):
        super().__init__()
        self.table = Set128(salt=1)
        self.model: set[tuple[int, int]] = set()

    @rule(pairs=keys)
    def add(self, pairs):
        expected = []
        for pair in pairs:
            expected.append(int(pair not in self.model))
            self.model.add(pair)
        assert self.table.add_bulk(*halves(pairs)).tolist() == expected

    @rule(start=st.integers(0, 5_000), n=st.integers(0, 2_000))
    def add_range(self, start, n):
        pairs = [(5, i) for i in range(start, start + n)]
        expected = [int(pair not in self.model) for pair in pairs]
        self.model.update(pairs)
        assert self.table.add_bulk(*halves(pairs)).tolist() == expected

    @rule(pairs=keys)
    def contains(self, pairs):
        expected = [int(pair in self.model) for pair in pairs]
        assert self.table.contains_bulk(*halves(pairs)).tolist() == expected

    @rule(pairs=keys)
    def discard(self, pairs):
        expected = []
        for pair in pairs:
            expected.append(int(pair in self.model))
            self.model.discard(pair)
        assert self.table.discard_bulk(*halves(pairs)).tolist() == expected

    @rule(start=st.integers(0, 5_000), n=st.integers(0, 2_000))
    def discard_range(self, start, n):
        pairs = [(5, i) for i in range(start, start + n)]
        expected = [int(pair in self.model) for pair in pairs]
        self.model.difference_update(pairs)
        assert self.table.discard_bulk(*halves(pairs)).tolist() == expected

    @invariant()
    def same_keys(self):
        hi, lo = self.table.keys()
        assert len(self.table) == len(self.model) == len(hi)
        assert set(zip(hi.tolist(), lo.tolist(), strict=True)) == self.model


TestSetAgainstSet = SetAgainstSet.TestCase
TestSetAgainstSet.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_set_arguments_are_checked():
    table = Set128()
    for call in (table.add_bulk, table.contains_bulk, table.discard_bulk):
        with pytest.raises(ValueError, match="same length"):
            call(np.zeros(2, np.uint64), np.zeros(3, np.uint64))
    with pytest.raises(MemoryError):
        table.reserve(2**60)
    assert table.add_bulk(np.zeros(2, np.uint64), np.zeros(2, np.uint64)).tolist() == [1, 0]


def test_set_memory_is_stated():
    table = Set128()
    table.reserve(100_000)
    before = table.nbytes
    numbers = np.arange(100_000, dtype=np.uint64)
    assert table.add_bulk(numbers, numbers).all()
    assert table.nbytes == before <= 16 * 2**18


def test_a_blank_keeps_its_code_and_nothing_finds_it():
    table = StringTable(salt=9)
    strings = [b"u%d" % n for n in range(200_000)]  # many parts, chains that are closed again
    table.intern_bulk(*packed(strings))
    rng = np.random.default_rng(3)
    gone = np.sort(rng.choice(len(strings), 50_000, replace=False)).astype(np.uint32)
    table.blank(gone)
    table.blank(gone[:10])
    expected = np.arange(len(strings))
    expected[gone] = -1
    assert (table.find_bulk(*packed(strings)) == expected).all()
    data, _ = table.gather(gone[:3])
    assert not data.any()
    assert len(data) == sum(len(strings[n]) for n in gone[:3])
    again = [strings[n] for n in gone[:1_000]]
    assert table.intern_bulk(*packed(again)).tolist() == [*range(200_000, 201_000)]
    assert table.find(strings[int(gone[5])]) == 200_005
    with pytest.raises(IndexError):
        table.blank(np.array([201_000], np.uint32))


def test_an_empty_string_that_is_appended_is_a_blank():
    table = StringTable(salt=1)
    count = 300_000  # so many of one hash would fill a part that cannot be split
    data, offsets = packed([b"ua", *[b""] * count, b"ub"])
    table.expect(count)
    table.append_bulk(data, offsets)
    assert (table.find(b"ua"), table.find(b"ub"), table.find(b"")) == (0, count + 1, -1)
    assert table.intern(b"") == count + 2
    assert table.find(b"") == count + 2
    table.blank(np.array([1, 2, count + 2], np.uint32))
    assert table.find(b"") == -1


def test_a_set_grows_a_little_with_each_call():
    """Moving all keys at once stopped the writer for a quarter of a second at four million."""
    table, chance = Set128(salt=3), np.random.default_rng(3)
    sent = chance.integers(0, 2**63, (2, 60_000), np.uint64)
    grew = 0
    for at in range(0, 60_000, 100):
        before = table.nbytes
        assert table.add_bulk(*sent[:, at : at + 100].copy()).all()
        if table.nbytes > before and at > 1_000:
            grew += 1
            assert table.moving
            assert not table.add_bulk(*sent[:, :100].copy()).any()
        if table.moving:
            assert table.contains_bulk(*sent[:, : at + 100].copy()).all()
            assert len(table.keys()[0]) == len(table) == at + 100
    assert grew >= 5
    hi, lo = table.keys()
    assert set(zip(hi.tolist(), lo.tolist(), strict=True)) == set(zip(*sent.tolist(), strict=True))


def test_keys_are_taken_back_while_a_set_grows():
    table = Set128(salt=4)
    hi, lo = np.arange(50_000, dtype=np.uint64), np.full(50_000, 7, np.uint64)
    at = 0
    while not (table.moving and at > 2_000):
        table.add_bulk(hi[at : at + 50], lo[at : at + 50])
        at += 50
    assert table.discard_bulk(hi[: at - 100], lo[: at - 100]).all()
    assert not table.moving
    assert table.contains_bulk(hi[:at], lo[:at]).tolist() == [0] * (at - 100) + [1] * 100
