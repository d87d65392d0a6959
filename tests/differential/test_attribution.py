"""The attribution kernel against its twin, and credit that adds up to the last bit."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential import twins_attribution as twins
from tests.differential.lanes_strategy import audiences, edges, lanes
from tests.differential.random_funnels import random_lanes
from tests.differential.test_events import per_row
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels._attribution import attribution_cells
from zuji.engine.query.kernels.lane import NO_GROUP, Lane

NAMES = 4
EVERY = [
    ("first", 0, 0),
    ("last", 0, 0),
    ("last_non_direct", 0, 0),
    ("linear", 0, 0),
    ("position", 40, 40),
    ("position", 10, 85),
    ("position", 0, 0),
    ("time_decay", 3.0, 0),
    ("participation", 0, 0),
]


def exact(cells, at, m):
    """Credit of a cell as a fraction."""
    return int(cells.whole[(*at, m)]) + Fraction(int(cells.part[(*at, m)]), twins.WHOLE)


def agree(got, found, lines, buckets, models, direct, value):
    """Every cell of the kernel's answer and of the twin's."""
    expected = twins.cells(found, NAMES, models, direct)
    for line in range(lines):
        for b in range(buckets):
            own = [c for c in found if c[1:3] == (line, b)]
            assert got.all_conversions[line, b] == len(own)
            assert got.touched[line, b] == sum(bool(c[4]) for c in own)
            assert got.all_users[line, b] == len({c[0] for c in own})
            if value:
                assert got.worth[line, b] == pytest.approx(math.fsum(c[3] for c in own), rel=1e-12)
            for name in range(NAMES + 1):
                one_cell(got, expected.get((line, b, name)), (line, b, name), models, own)
            for m, (kind, _, _) in enumerate(models):
                if kind != "participation":
                    total = sum(
                        (exact(got, (line, b, n), m) for n in range(NAMES + 1)), Fraction(0)
                    )
                    assert total == len(own), kind
        assert got.line_users[line] == len({c[0] for c in found if c[1] == line})


def one_cell(got, cell, at, models, own):
    if cell is None:
        assert got.touches[at] == got.conversions[at] == got.assisted[at] == got.users[at] == 0
        assert not got.whole[at].any()
        assert not got.part[at].any()
        return
    assert got.touches[at] == cell["touches"]
    assert got.conversions[at] == cell["conversions"]
    assert got.assisted[at] == cell["assisted"]
    assert got.users[at] == len(cell["users"])
    touches = sum(len(c[4]) for c in own)
    for m, (kind, _, _) in enumerate(models):
        # A division leaves less than one share a touch; decay works in doubles before that.
        room = Fraction(2 + touches, twins.WHOLE) + (
            Fraction(touches, 10**13) if kind == "time_decay" else 0
        )
        assert abs(exact(got, at, m) - cell["credit"][m]) <= room, kind
        assert got.credit[(*at, m)] == pytest.approx(float(cell["credit"][m]), rel=1e-12, abs=1e-15)
        if got.value is not None:
            total = math.fsum(cell["value"][m])
            room = 1e-12 * math.fsum(abs(v) for v in cell["value"][m])
            assert got.value[(*at, m)] == pytest.approx(total, abs=room + 1e-12)


@settings(max_examples=700, deadline=None)
@given(
    data=st.data(),
    target=lanes(max_lanes=3, max_rows=12, span=16),
    other=lanes(max_lanes=3, max_rows=16, span=16),
    allowed=audiences,
    cuts=edges(span=18),
)
def test_attribution_agrees_with_the_twin(data, target, other, allowed, cuts):
    touch = target if data.draw(st.integers(0, 3)) == 0 else other
    names = [
        data.draw(st.integers(0, NAMES - 1))
        if data.draw(st.booleans())
        else np.array(
            [data.draw(st.sampled_from([0, 1, 2, 3, NO_GROUP])) for _ in range(lane.rows)],
            np.uint32,
        )
        for lane in touch
    ]
    lines = []
    for lane in target:
        form = data.draw(st.sampled_from(["one", "rows", "lists"]))
        if form == "one":
            lines.append(None)
        elif form == "rows":
            draw = st.sampled_from([0, 1, NO_GROUP])
            lines.append(np.array([data.draw(draw) for _ in range(lane.rows)], np.uint32))
        else:
            own = [data.draw(st.sampled_from([[], [0], [1], [1, 0]])) for _ in range(lane.rows)]
            offsets = np.cumsum([0, *map(len, own)]).astype(np.uint32)
            lines.append((offsets, np.array([x for one in own for x in one], np.uint32)))
    values = None
    if data.draw(st.booleans()):
        values = per_row(data, target, st.sampled_from([1.5, -2.0, 1e15, math.nan]), np.float64)
    keys = (None, None)
    if data.draw(st.integers(0, 2)) == 0:
        keys = tuple(
            per_row(data, side, st.sampled_from([0, 1, 1, 2]), np.uint32)
            for side in (target, touch)
        )
    direct = [data.draw(st.integers(0, 1)) for _ in range(NAMES)]
    models = data.draw(st.lists(st.sampled_from(EVERY), min_size=1, max_size=4))
    lookback, once = data.draw(st.integers(0, 18)), data.draw(st.booleans())
    pick = (
        data.draw(st.integers(-1, 1)),
        data.draw(st.integers(-1, len(cuts) - 2)),
        data.draw(st.integers(-1, NAMES)),
    )
    got = attribution_cells(
        target,
        lines,
        2,
        values,
        touch,
        names,
        NAMES,
        edges=cuts,
        lookback_ms=lookback,
        models=models,
        direct=direct,
        once=once,
        target_keys=keys[0],
        touch_keys=keys[1],
        pick=pick,
        allowed=allowed,
    )
    found = twins.conversions(
        target, lines, 2, values, touch, names, NAMES, cuts, lookback, once, *keys, allowed
    )
    agree(got, found, 2, len(cuts) - 1, models, direct, values is not None)
    behind = {
        user
        for user, line, bucket, _, path in found
        if pick[0] in (-1, line)
        and pick[1] in (-1, bucket)
        and (
            pick[2] == -1
            or (pick[2] == NAMES and not path)
            or pick[2] in {name for _, name in path}
        )
    }
    assert got.picked.tolist() == sorted(behind)


@pytest.mark.parametrize("seed", range(120))
def test_long_look_backs_agree_with_the_twin(seed):
    """Hundreds of touches of a few users; parts of the lanes add up to the same bits."""
    rng = random.Random(seed)
    target = random_lanes(rng, lanes=rng.randint(1, 3), rows=rng.randint(1, 60), users=3, span=300)
    touch = random_lanes(rng, lanes=rng.randint(1, 5), rows=rng.randint(0, 200), users=3, span=300)
    names = [
        rng.randrange(NAMES)
        if rng.random() < 0.5
        else np.array([rng.choice([0, 1, 2, 3, NO_GROUP]) for _ in range(lane.rows)], np.uint32)
        for lane in touch
    ]
    keys = (None, None)
    if rng.random() < 0.3:
        keys = tuple(
            [np.array([rng.randrange(3) for _ in range(lane.rows)], np.uint32) for lane in side]
            for side in (target, touch)
        )
    values = [np.array([rng.uniform(-5, 9) for _ in range(lane.rows)]) for lane in target]
    direct = [rng.randrange(2) for _ in range(NAMES)]
    cuts = np.array(sorted(rng.sample(range(-5, 320), 4)), np.int64)
    lookback, once = rng.choice([0, 5, 60, 400]), rng.random() < 0.4
    models = [*EVERY[:7], ("time_decay", rng.choice([0.001, 1.0, 50.0, 1e9]), 0)]

    def run(allowed=None):
        return attribution_cells(
            target,
            None,
            1,
            values,
            touch,
            names,
            NAMES,
            edges=cuts,
            lookback_ms=lookback,
            models=models,
            direct=direct,
            once=once,
            target_keys=keys[0],
            touch_keys=keys[1],
            allowed=allowed,
        )

    got = run()
    found = twins.conversions(
        target, None, 1, values, touch, names, NAMES, cuts, lookback, once, *keys, None
    )
    agree(got, found, 1, 3, models, direct, True)
    parts = [run(np.array([u == user for u in range(3)], np.uint8)) for user in range(3)]
    added = parts[2].plus(parts[0]).plus(parts[1])
    assert added.whole.tolist() == got.whole.tolist()
    assert added.part.tolist() == got.part.tolist()
    assert added.users.tolist() == got.users.tolist()


@pytest.mark.parametrize("seed", range(150))
def test_one_cell_of_named_touches_agrees_with_the_twin(seed):
    """Counted by the number of touches: few or hundreds of them, of one instant or of none."""
    rng = random.Random(seed)
    span, rows = rng.choice([(40, 8), (4_000, 30), (100_000, 200)])
    target = random_lanes(rng, lanes=rng.randint(1, 2), rows=rng.randint(1, 60), users=3, span=span)
    touch = random_lanes(
        rng, lanes=rng.randint(1, 5), rows=rng.randint(0, rows), users=3, span=span
    )
    touch = [replace(lane, mask=None) for lane in touch]
    names = [rng.randrange(NAMES) for _ in touch]
    models = [model for model in EVERY if model[0] not in ("last_non_direct", "time_decay")]
    cuts = np.array([rng.randrange(span // 2), span], np.int64)
    lookback = rng.choice([0, span // 20, span])
    allowed = rng.choice([None, np.array([1, 0, 1], np.uint8)])
    got = attribution_cells(
        target,
        None,
        1,
        None,
        touch,
        names,
        NAMES,
        edges=cuts,
        lookback_ms=lookback,
        models=models,
        allowed=allowed,
    )
    keys = (None, None)
    found = twins.conversions(
        target, None, 1, None, touch, names, NAMES, cuts, lookback, False, *keys, allowed
    )
    agree(got, found, 1, 1, models, [0] * NAMES, False)


def test_thirds_add_up_to_one_and_the_last_touch_has_the_rest():
    lane = Lane(
        np.array([0], np.uint32), np.array([0, 3], np.uint32), np.array([1, 2, 3], np.uint32), 0
    )
    target = Lane(
        np.array([0], np.uint32), np.array([0, 1], np.uint32), np.array([4], np.uint32), 0
    )
    got = attribution_cells(
        [target],
        None,
        1,
        None,
        [lane],
        [np.array([0, 1, 2], np.uint32)],
        3,
        edges=np.array([0, 10], np.int64),
        lookback_ms=9,
        models=[("linear", 0, 0)],
    )
    third = twins.WHOLE // 3
    assert got.part[0, 0, :, 0].tolist() == [third, third, twins.WHOLE - 2 * third, 0]
    assert got.credit[0, 0, :, 0].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(("head", "tail"), [(20, 40), (40, 20), (33, 34), (0, 50), (50, 0), (0, 0)])
def test_by_position_the_first_of_two_touches_has_the_rest(head, tail):
    lane = Lane(
        np.array([0], np.uint32), np.array([0, 2], np.uint32), np.array([1, 2], np.uint32), 0
    )
    target = Lane(
        np.array([0], np.uint32), np.array([0, 1], np.uint32), np.array([4], np.uint32), 0
    )
    got = attribution_cells(
        [target],
        None,
        1,
        None,
        [lane],
        [np.array([0, 1], np.uint32)],
        2,
        edges=np.array([0, 10], np.int64),
        lookback_ms=9,
        models=[("position", head, tail)],
    )
    ends = [twins.WHOLE * head // 100, twins.WHOLE * tail // 100]
    last = twins.WHOLE * ends[1] // sum(ends) if any(ends) else twins.WHOLE // 2
    assert [exact(got, (0, 0, name), 0) * twins.WHOLE for name in range(2)] == [
        twins.WHOLE - last,
        last,
    ]


def test_a_share_too_small_for_credit_is_still_worth_something():
    """Found by a random query: 2^-56 of 2^60 is sixteen."""
    touch = Lane(
        np.array([0], np.uint32), np.array([0, 2], np.uint32), np.array([0, 60], np.uint32), 0
    )
    target = Lane(
        np.array([0], np.uint32), np.array([0, 1], np.uint32), np.array([60], np.uint32), 0, 1
    )
    got = attribution_cells(
        [target],
        None,
        1,
        [np.array([2.0**60])],
        [touch],
        [np.array([0, 1], np.uint32)],
        2,
        edges=np.array([0, 99], np.int64),
        lookback_ms=99,
        models=[("time_decay", 1, 0)],
    )
    assert got.part[0, 0, 0, 0] == 0
    assert got.value is not None
    assert got.value[0, 0, 0, 0] == pytest.approx(1.0, rel=1e-12)


def test_a_raised_flag_ends_the_kernel():
    lane = Lane(np.array([0], np.uint32), np.array([0, 1], np.uint32), np.array([4], np.uint32), 0)
    with pytest.raises(QueryCancelled):
        attribution_cells(
            [lane],
            None,
            1,
            None,
            [lane],
            [0],
            1,
            edges=np.array([0, 10], np.int64),
            lookback_ms=9,
            models=[("last", 0, 0)],
            cancel=np.ones(1, np.uint8),
        )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"touch_names": [1]}, "a name is 0 to 0"),
        ({"touch_names": []}, "0 for 1 lanes"),
        ({"edges": np.array([5, 1], np.int64)}, "ascending"),
        ({"lookback_ms": -1}, "lookback_ms"),
        ({"models": [("position", 60, 60)]}, "60"),
        ({"models": [("time_decay", 0, 0)]}, "half-life"),
        ({"target_keys": [None]}, "both or none"),
        ({"target_lines": [(np.array([0, 9], np.uint32), np.zeros(1, np.uint32))]}, "offsets"),
        ({"target_lines": [np.zeros(7, np.uint32)]}, "expected 1 items"),
        ({"pick": (-1, -1, 2)}, "at most 1"),
        ({"n_lines": 1 << 27}, "more than"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, text):
    lane = Lane(np.array([0], np.uint32), np.array([0, 1], np.uint32), np.array([4], np.uint32), 0)
    asked = {
        "target_lanes": [lane],
        "target_lines": None,
        "n_lines": 1,
        "target_values": None,
        "touch_lanes": [lane],
        "touch_names": [0],
        "n_names": 1,
        "edges": np.array([0, 10], np.int64),
        "lookback_ms": 9,
        "models": [("last", 0, 0)],
    }
    with pytest.raises(ValueError, match=text):
        attribution_cells(**{**asked, **change})
