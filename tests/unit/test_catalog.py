"""The catalog: dense codes, first kinds, pairs that grow, and its state in the manifest."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.index.catalog import PROFILE_EVENTS, Catalog
from zuji.engine.types import Kind


@pytest.fixture
def catalog():
    return Catalog()


def test_the_profile_events_have_the_first_codes(catalog):
    assert catalog.events == list(PROFILE_EVENTS)
    assert catalog.add_event("buy") == len(PROFILE_EVENTS)


def test_a_project_that_knew_fewer_profile_events_keeps_its_codes():
    old = {
        "events": ["$profile_set", "$profile_unset", "buy"],
        "props": [["p", int(Kind.INT)]],
        "pairs": [[2, [0]]],
    }
    catalog = Catalog.load(old)
    assert catalog.events[:3] == old["events"]
    assert set(catalog.events[3:]) == set(PROFILE_EVENTS) - set(old["events"])
    assert catalog.props_of("buy") == ["p"]
    assert catalog.add_event("sell") == 3 + len(PROFILE_EVENTS) - 2
    assert Catalog.load(catalog.dump()).events == catalog.events


def test_codes_are_dense_and_kept(catalog):
    first = catalog.add_event("a")
    assert [catalog.add_event(n) for n in ("b", "a", "c")] == [first + 1, first, first + 2]
    assert catalog.event_name(first + 2) == "c"
    assert [catalog.add_prop(n, Kind.INT) for n in ("p", "q", "p")] == [0, 1, 0]
    assert catalog.prop_name(1) == "q"


def test_the_first_kind_holds(catalog):
    code = catalog.add_prop("p", Kind.INT)
    assert catalog.add_prop("p", Kind.STRING) == code
    assert (catalog.kind_of("p"), catalog.prop_kind(code)) == (Kind.INT, Kind.INT)
    assert catalog.kind_of("q") is None


def test_an_event_and_a_user_property_of_one_name_are_two(catalog):
    assert catalog.add_prop("city", Kind.STRING) != catalog.add_prop("$user.city", Kind.LIST)
    assert catalog.kind_of("city") == Kind.STRING


def test_changes_are_counted_only_for_what_is_new(catalog):
    before = catalog.changes
    catalog.add_event("a")
    catalog.add_prop("p", Kind.INT)
    assert catalog.changes == before + 2
    catalog.add_event("a")
    catalog.add_prop("p", Kind.FLOAT)
    assert catalog.changes == before + 2


def test_pairs_grow_and_keep_what_they_had(catalog):
    event, prop = catalog.add_event("a"), catalog.add_prop("p", Kind.INT)
    catalog.pairs()[event, prop] = 1
    for i in range(300):
        catalog.add_event(f"e{i}")
        catalog.add_prop(f"p{i}", Kind.BOOL)
    last = (catalog.add_event("e299"), catalog.add_prop("p299", Kind.BOOL))
    assert catalog.pairs()[last] == 0
    catalog.pairs()[last] = 1
    assert catalog.props_of("a") == ["p"]
    assert catalog.events_of("p299") == ["e299"]
    assert int(catalog.pairs().sum()) == 2


def test_unknown_names_have_no_pairs(catalog):
    assert catalog.props_of("nothing") == []
    assert catalog.events_of("nothing") == []


def test_a_copy_is_not_reached_by_later_changes(catalog):
    event, prop = catalog.add_event("a"), catalog.add_prop("p", Kind.INT)
    copy = catalog.copy()
    catalog.add_event("b")
    catalog.pairs()[event, prop] = 1
    assert "b" not in copy.event_codes
    assert copy.props_of("a") == []


NAMES = st.text(min_size=1, max_size=6)


@settings(deadline=None)
@given(
    st.lists(NAMES, max_size=90),
    st.lists(st.tuples(NAMES, st.sampled_from(list(Kind))), max_size=300),
    st.data(),
)
def test_state_goes_through_the_manifest_unchanged(events, props, data):
    catalog = Catalog()
    for name in events:
        catalog.add_event(name)
    for name, kind in props:
        catalog.add_prop(name, kind)
    if catalog.props:
        pair = st.tuples(
            st.integers(0, len(catalog.events) - 1), st.integers(0, len(catalog.props) - 1)
        )
        for event, prop in data.draw(st.lists(pair, max_size=20)):
            catalog.pairs()[event, prop] = 1
    state = catalog.dump()
    again = Catalog.load(msgpack.unpackb(msgpack.packb(state)))
    assert (again.events, again.props, again.kinds) == (
        catalog.events,
        catalog.props,
        catalog.kinds,
    )
    assert again.dump() == state
    assert again.changes == 0


def test_no_state_is_an_empty_catalog():
    assert Catalog.load(None).dump() == Catalog().dump()
