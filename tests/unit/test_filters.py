"""What filters mean, operator by operator, and what zone maps may conclude."""

import numpy as np
import pytest

from zuji.engine.query import _filter
from zuji.engine.query.filter_ast import (
    AllOf,
    AnyOf,
    Leaf,
    Not,
    both,
    filter_from,
    leaves,
    properties_of,
)
from zuji.engine.query.filters import Tables, evaluate, fold, may_match
from zuji.engine.types import Column, Kind

DAY = 86_400_000
NOW = 1_790_000_000_000


def bits(*values):
    return np.array(values, np.uint8)


COLUMNS = {
    "event.city": Column(
        Kind.STRING,
        np.array([0, 1, 2, 0, 3], np.uint32),
        bits(1, 1, 1, 0, 1),
        ["Hangzhou", "Ningbo", "", "杭州"],
    ),
    "event.n": Column(Kind.INT, np.array([5, -3, 2**60 + 1, 0, 7], np.int64), bits(1, 1, 1, 0, 1)),
    "event.x": Column(Kind.FLOAT, np.array([0.5, -0.0, 1e300, 0, 7.0]), None),
    "event.b": Column(Kind.BOOL, bits(1, 0, 1, 0, 0), bits(1, 1, 1, 1, 0)),
    "event.at": Column(
        Kind.DATETIME, np.array([NOW, NOW - DAY, NOW - DAY + 1, NOW + 1, 0], np.int64), None
    ),
    "event.tags": Column(
        Kind.LIST,
        np.array([0, 1, 1, 0, 2], np.uint32),
        bits(1, 1, 1, 0, 1),
        ["a", "b", "c"],
        np.array([0, 2, 3, 3, 3, 5], np.uint32),
    ),
}


def passes(document, warnings=None):
    warn = None if warnings is None else warnings.append
    mask = evaluate(filter_from(document), 5, COLUMNS.get, now_ms=NOW, warn=warn)
    return [i for i in range(5) if (mask if isinstance(mask, bool) else mask[i])]


def leaf(p, op, *v):
    return {"p": p, "op": op, **({"v": v[0]} if v else {})}


CASES = [
    ("event.city", "eq", "Ningbo", [1]),
    ("event.city", "ne", "Ningbo", [0, 2, 3, 4]),
    ("event.city", "in", ["Ningbo", "杭州", "no"], [1, 4]),
    ("event.city", "not_in", ["Ningbo", "杭州"], [0, 2, 3]),
    ("event.city", "in", [], []),
    ("event.city", "not_in", [], [0, 1, 2, 3, 4]),
    ("event.city", "gt", "Ningbo", [4]),
    ("event.city", "gte", "Ningbo", [1, 4]),
    ("event.city", "lt", "Ningbo", [0, 2]),
    ("event.city", "between", ["H", "Ningbo"], [0, 1]),
    ("event.city", "contains", "ng", [0, 1]),
    ("event.city", "not_contains", "ng", [2, 3, 4]),
    ("event.city", "starts_with", "杭", [4]),
    ("event.city", "ends_with", "bo", [1]),
    ("event.city", "matches", "^[HN].*o", [0, 1]),
    ("event.city", "matches", "(?i)HANG", [0]),
    ("event.city", "is_set", None, [0, 1, 2, 4]),
    ("event.city", "is_not_set", None, [3]),
    ("event.city", "is_empty", None, [2]),
    ("event.n", "eq", 5, [0]),
    ("event.n", "eq", 5.0, [0]),
    ("event.n", "eq", 5.5, []),
    ("event.n", "eq", 2**60 + 1, [2]),
    ("event.n", "eq", float(2**60), []),
    ("event.n", "gt", 4.5, [0, 2, 4]),
    ("event.n", "gte", float(2**60), [2]),
    ("event.n", "lte", -2.5, [1]),
    ("event.n", "lt", -3, []),
    ("event.n", "between", [-3, 5], [0, 1]),
    ("event.n", "between", [5, -3], []),
    ("event.n", "in", [7, 5.0, 5.5, "x"], [0, 4]),
    ("event.n", "ne", 5, [1, 2, 3, 4]),
    ("event.x", "eq", 0, [1, 3]),
    ("event.x", "gt", 10**18, [2]),
    ("event.x", "lt", 0.5, [1, 3]),
    ("event.x", "in", [0.5, 7], [0, 4]),
    ("event.b", "eq", True, [0, 2]),
    ("event.b", "eq", False, [1, 3]),
    ("event.b", "ne", True, [1, 3, 4]),
    ("event.b", "in", [True, False], [0, 1, 2, 3]),
    ("event.at", "gte", "2026-09-21T13:33:20Z", [0, 3]),
    ("event.at", "eq", NOW, [0]),
    ("event.at", "within_last", {"n": 1, "unit": "day"}, [0, 2]),
    ("event.tags", "has", "b", [0, 1]),
    ("event.tags", "has_any", ["a", "c"], [0, 4]),
    ("event.tags", "has_any", [], []),
    ("event.tags", "has_all", ["a", "b"], [0]),
    ("event.tags", "has_all", ["a", "b", "no"], []),
    ("event.tags", "has_all", ["a", "a"], [0, 4]),
    ("event.tags", "has_all", [], [0, 1, 2, 4]),
    ("event.tags", "is_empty", None, [2]),
    ("event.tags", "is_set", None, [0, 1, 2, 4]),
]


@pytest.mark.parametrize(("p", "op", "v", "rows"), CASES)
def test_operators(p, op, v, rows):
    assert passes(leaf(p, op) if v is None else leaf(p, op, v)) == rows
    inverted = {"not": leaf(p, op) if v is None else leaf(p, op, v)}
    assert passes(inverted) == [i for i in range(5) if i not in rows]


def test_a_missing_property_satisfies_four_operators():
    values = {
        "in": [1],
        "not_in": [1],
        "between": [1, 2],
        "has_any": ["a"],
        "has_all": ["a"],
        "within_last": {"n": 1, "unit": "day"},
        "is_set": None,
        "is_not_set": None,
        "is_empty": None,
    }
    from zuji.engine.query.filter_ast import OPS

    for op in OPS:
        v = values.get(op, "a")
        found = passes(leaf("event.nothing", op) if v is None else leaf("event.nothing", op, v))
        wanted = op in ("is_not_set", "ne", "not_in", "not_contains")
        assert found == ([0, 1, 2, 3, 4] if wanted else []), op


@pytest.mark.parametrize(
    ("p", "op", "v", "rows"),
    [
        ("event.city", "eq", 5, []),
        ("event.city", "ne", 5, [0, 1, 2, 3, 4]),
        ("event.n", "eq", "5", []),
        ("event.n", "eq", True, []),
        ("event.b", "eq", 1, []),
        ("event.b", "gt", 0, []),
        ("event.n", "contains", "5", []),
        ("event.n", "not_contains", "5", [0, 1, 2, 3, 4]),
        ("event.at", "eq", "yesterday", []),
        ("event.city", "has", "Ningbo", []),
        ("event.tags", "eq", "a", []),
        ("event.tags", "contains", "a", []),
        ("event.n", "is_empty", None, []),
        ("event.n", "within_last", {"n": 1, "unit": "day"}, []),
        ("event.city", "within_last", {"n": 1, "unit": "day"}, []),
    ],
)
def test_types_that_cannot_be_compared_never_match_and_warn(p, op, v, rows):
    warnings = []
    assert passes(leaf(p, op) if v is None else leaf(p, op, v), warnings) == rows
    assert warnings
    assert p in warnings[0]


def test_combiners():
    n5, city = leaf("event.n", "eq", 5), leaf("event.city", "eq", "Ningbo")
    assert passes({"any": [n5, city]}) == [0, 1]
    assert passes({"all": [n5, city]}) == []
    assert passes({"all": []}) == [0, 1, 2, 3, 4]
    assert passes({"any": []}) == []
    assert passes({"not": {"any": [n5, {"not": city}]}}) == [1]
    assert passes({"all": [n5, leaf("event.nothing", "is_not_set")]}) == [0]
    assert passes({"any": [n5, leaf("event.nothing", "is_set")]}) == [0]


def test_constant_outcomes_read_no_rows():
    calls = []

    def column(p):
        calls.append(p)
        return COLUMNS.get(p)

    where = filter_from({"all": [leaf("event.nothing", "eq", 1), leaf("event.n", "eq", 5)]})
    assert evaluate(where, 5, column) is False
    assert calls == ["event.nothing"]
    name = Column(Kind.STRING, np.zeros(3, np.uint32), None, ["pay"])
    assert evaluate(Leaf("event.$name", "eq", "pay"), 3, lambda _: name) is True
    assert evaluate(Leaf("event.$name", "ne", "pay"), 3, lambda _: name) is False


def test_tables_are_made_once_a_dictionary():
    tables, dictionary = Tables(), ["a", "b"]
    where, made = Leaf("event.s", "contains", "a"), []
    for _ in range(2):
        tables.table(where, dictionary, lambda: made.append(1) or bits(1, 0))
    tables.table(where, list(dictionary), lambda: made.append(1) or bits(1, 0))
    assert len(made) == 2


def test_masks_are_fresh():
    mask = evaluate(Leaf("event.n", "is_set"), 5, COLUMNS.get)
    mask[:] = 0
    assert COLUMNS["event.n"].present.tolist() == [1, 1, 1, 0, 1]


def test_folding_known_values():
    where = filter_from(
        {
            "all": [
                leaf("event.$name", "eq", "pay"),
                leaf("event.os", "ne", "iOS"),
                leaf("event.n", "gt", 1),
            ]
        }
    )
    assert fold(where, {"event.$name": "pay", "event.os": None}) == Leaf("event.n", "gt", 1)
    assert fold(where, {"event.$name": "open"}) is False
    assert fold(Not(where), {"event.$name": "open"}) is True
    assert fold(where, {}) == where
    assert fold(AnyOf((where, Leaf("event.n", "eq", 3))), {"event.n": 3}) is True
    assert fold(AllOf(()), {}) is True
    assert fold(AnyOf(()), {}) is False
    assert fold(Leaf("event.b", "eq", True), {"event.b": True}) is True
    assert fold(Leaf("event.x", "gt", 1.5), {"event.x": 2.5}) is True


def test_parts_of_a_filter():
    where = filter_from({"any": [leaf("event.a", "is_set"), {"not": leaf("user.b", "eq", 1)}]})
    assert properties_of(where) == {"event.a", "user.b"}
    assert [each.p for each in leaves(where)] == ["event.a", "user.b"]
    assert list(leaves(None)) == []
    assert both(None, None) is None
    assert both(where, None) is where
    assert both(where, where) == AllOf((where, where))


ZONES = {
    "event.n": (10, 20, False),
    "event.m": (10, 20, True),
    "event.s": ("b", "d", False),
    "event.one": (7, 7, False),
    "event.at": (NOW - 5 * DAY, NOW - 3 * DAY, False),
}


@pytest.mark.parametrize(
    ("p", "op", "v", "may"),
    [
        ("event.n", "eq", 15, True),
        ("event.n", "eq", 9, False),
        ("event.n", "in", [1, 2, 30], False),
        ("event.n", "in", [1, 12], True),
        ("event.n", "gt", 20, False),
        ("event.n", "gte", 20, True),
        ("event.n", "lt", 10, False),
        ("event.n", "lte", 10, True),
        ("event.n", "between", [21, 30], False),
        ("event.n", "between", [20, 30], True),
        ("event.n", "is_not_set", None, False),
        ("event.m", "is_not_set", None, True),
        ("event.n", "ne", 15, True),
        ("event.one", "ne", 7, True),
        ("event.s", "eq", "a", False),
        ("event.s", "starts_with", "c", True),
        ("event.s", "starts_with", "e", False),
        ("event.s", "contains", "z", True),
        ("event.s", "eq", 3, True),
        ("event.at", "within_last", {"n": 2, "unit": "day"}, False),
        ("event.at", "within_last", {"n": 4, "unit": "day"}, True),
        ("event.at", "gt", "2099-01-01T00:00:00Z", False),
        ("event.unknown", "eq", 1, True),
    ],
)
def test_zone_maps(p, op, v, may):
    where = filter_from(leaf(p, op) if v is None else leaf(p, op, v))
    assert may_match(where, ZONES.get, now_ms=NOW) is may
    assert may_match(AllOf((where, Leaf("event.n", "is_set"))), ZONES.get, now_ms=NOW) is may
    assert may_match(AnyOf((where, Leaf("event.n", "gt", 99))), ZONES.get, now_ms=NOW) is may
    assert may_match(AllOf(()), ZONES.get)
    assert not may_match(AnyOf(()), ZONES.get)
    assert not may_match(Not(Leaf("event.n", "is_set")), ZONES.get)


@pytest.mark.parametrize(
    ("op", "v", "may", "may_not"),
    [
        ("eq", "c", True, True),
        ("eq", "x", False, True),
        ("ne", "x", True, False),
        ("in", ["x", "c"], True, True),
        ("in", ["x", "y"], False, True),
        ("not_in", ["x", "y"], True, False),
        ("has", "x", False, True),
        ("has_any", ["x", "c"], True, True),
        ("has_all", ["x", "c"], False, True),
        ("has_all", ["c"], True, True),
        ("contains", "x", True, True),
        ("starts_with", "x", True, True),
        ("gt", "x", True, True),
    ],
)
def test_strings_that_no_row_has(op, v, may, may_not):
    where = filter_from(leaf("event.s", op, v))
    given = {"holds": lambda p, text: text == "c", "now_ms": NOW}
    assert may_match(where, lambda _: None, **given) is may
    assert may_match(Not(where), lambda _: None, **given) is may_not


def test_damaged_columns_never_read_outside():
    codes = np.array([0, 9, 2**32 - 1], np.uint32)
    assert _filter.lookup(codes, None, bits(1)).tolist() == [1, 0, 0]
    assert _filter.lookup(codes, None, bits()).tolist() == [0, 0, 0]
    offsets = np.array([0, 2, 1, 99], np.uint32)
    assert _filter.list_any(codes, offsets, None, bits(1)).tolist() == [1, 0, 0]
    place = np.array([1], np.uint32)
    assert _filter.list_all(codes, offsets, None, place, 1).tolist() == [1, 0, 0]
    for call in (
        lambda: _filter.equal(codes, bits(1), 0),
        lambda: _filter.and_into(bits(1), bits(1, 0)),
        lambda: _filter.or_into(bits(1), bits(1, 0)),
        lambda: _filter.list_any(codes, np.empty(0, np.uint32), None, bits(1)),
        lambda: _filter.list_all(codes, offsets, None, np.array([5], np.uint32), 1),
    ):
        with pytest.raises(ValueError, match=r"rows|length|offsets|place"):
            call()
    empty = np.empty(0, np.uint32)
    assert _filter.lookup(empty, bits(), bits(1)).tolist() == []
