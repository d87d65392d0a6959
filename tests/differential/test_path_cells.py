"""Links and cells of session paths against their twin."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differential import twins_paths
from tests.differential.test_paths import USERS, forms, given_as, many, source
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels._paths import (
    HIDDEN,
    IGNORED,
    NARROW_CODES,
    path_cells,
    path_links,
    path_tally,
)
from zuji.engine.query.kernels.walk import SessionRule, Steps

NODES, GROUPS = 5, 4
ENDS = {"dropped": 0, "elsewhere": 1}


@st.composite
def rules(draw, wide=True):
    start = draw(st.integers(-1, 60))
    return SessionRule(
        gap_ms=draw(st.integers(0, 12)),
        from_ms=start,
        to_ms=start + draw(st.integers(1, 130)),
        steps=draw(st.integers(1, 20) | st.integers(1, 4)),
        collapse=draw(st.booleans()),
        reverse=wide and draw(st.booleans()),
        every=wide and draw(st.booleans()),
        open_ms=draw(st.integers(0, 140)),
        reach_ms=draw(st.integers(0, 150)),
    )


@st.composite
def shards(draw, wide=True):
    """Sources of one shard whose runs are steps, hidden, ignored, masked; ``wide``: by row."""
    walks = []
    for partition in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(1, 3))):
            codes = draw(
                st.lists(
                    st.integers(0, NODES - 1) | st.sampled_from([HIDDEN, IGNORED]),
                    min_size=1,
                    max_size=4,
                )
            )
            row = st.tuples(
                st.integers(0, USERS - 1), st.integers(0, 40), st.integers(0, len(codes) - 1)
            )
            drawn = draw(st.lists(row, max_size=25))
            walk = source(drawn, 41 * partition, partition, codes)
            walks.append((*walk[:2], _of_rows(draw, walk, wide), partition))
    return walks


def _of_rows(draw, walk, wide):
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    found = []
    for lane, code in zip(walk[1], walk[2], strict=True):
        rows = len(lane.times)
        mask = rng.integers(0, 2, rows).astype(np.uint8) if draw(st.booleans()) else None
        if not wide:
            found.append(Steps(code, mask=mask) if draw(st.booleans()) else code)
            continue
        opens = rng.integers(0, 2, rows).astype(np.uint8)
        found.append(
            Steps(
                code,
                rng.integers(0, NODES, rows).astype(np.uint32) if draw(st.booleans()) else None,
                mask,
                draw(st.booleans()) if draw(st.booleans()) else opens,
                rng.integers(0, GROUPS, rows).astype(np.uint32) if draw(st.booleans()) else None,
            )
        )
    return found


def ends(path, rule, side):
    """Columns of a path at every step, its end repeated."""
    _, nodes, end, _, _ = path
    more = [] if end is None else [side - 2 + ENDS[end]] * (rule.steps - len(nodes))
    return [*nodes, *more]


ALLOWED = st.none() | st.lists(st.integers(0, 1), max_size=USERS).map(
    lambda given: np.array(given, np.uint8)
)


@given(shards(wide=False), rules(wide=False), forms, ALLOWED)
def test_links_are_those_of_the_twin(walks, rule, chosen, allowed):
    links, still_open, beyond = path_links(
        given_as(walks, chosen), users=USERS, n_codes=NODES, rule=rule, allowed=allowed
    )
    found, twin_beyond = twins_paths.paths(walks, rule, allowed)
    expected = np.zeros_like(links)
    for path in found:
        columns = ends(path, rule, NODES + 2)
        for layer, pair in enumerate(itertools.pairwise(columns)):
            expected[(layer, *pair)] += 1
    assert links.tolist() == expected.tolist()
    assert still_open == sum(path[4] for path in found)
    assert beyond == twin_beyond
    assert all(layer.sum() == len(found) for layer in links)


@given(shards(), rules(), forms, ALLOWED)
def test_tallies_are_those_of_the_twin(walks, rule, chosen, allowed):
    nodes, groups, beyond = path_tally(
        given_as(walks, chosen), users=USERS, nodes=NODES, groups=GROUPS, rule=rule, allowed=allowed
    )
    found, twin_beyond = twins_paths.paths(walks, rule, allowed)
    expected = Counter((k, node) for path in found for k, node in enumerate(path[1]))
    assert {
        (int(k), int(node)): int(nodes[k, node]) for k, node in zip(*np.nonzero(nodes), strict=True)
    } == expected
    of_group = Counter(path[3] for path in found)
    assert groups.tolist() == [of_group[g] for g in range(GROUPS)]
    assert beyond == twin_beyond


@given(shards(), rules(), forms, ALLOWED, st.booleans(), st.data())
def test_cells_are_those_of_the_twin(walks, rule, chosen, allowed, by_user, data):
    columns, n_lines = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    shown = np.array(
        data.draw(
            st.lists(
                st.integers(0, columns - 1),
                min_size=rule.steps * NODES,
                max_size=rule.steps * NODES,
            )
        ),
        np.uint16,
    ).reshape(rule.steps, NODES)
    of_group = data.draw(
        st.lists(st.sets(st.integers(0, n_lines - 1)), min_size=GROUPS, max_size=GROUPS)
    )
    lines = (
        np.cumsum([0, *map(len, of_group)]).astype(np.uint32),
        np.array([line for group in of_group for line in sorted(group)], np.uint32),
    )
    side = columns + 2
    found, twin_beyond = twins_paths.paths(walks, rule, allowed)
    behind = {}  # cell → users of its paths
    for path in found:
        at = ends(
            (path[0], [int(shown[k, n]) for k, n in enumerate(path[1])], *path[2:]), rule, side
        )
        for line in of_group[path[3]]:
            cells = [
                "total",
                *(["open"] if path[4] else []),
                *(("node", *n) for n in enumerate(at)),
            ]
            cells += [("link", k, *pair) for k, pair in enumerate(itertools.pairwise(at))]
            for cell in cells:
                behind.setdefault((line, cell), []).append(path[0])
    sizes = {c: len(set(users)) if by_user else len(users) for c, users in behind.items()}

    def ask(pick=None):
        return path_cells(
            given_as(walks, chosen),
            users=USERS,
            shown=shown,
            columns=columns,
            lines=lines,
            n_lines=n_lines,
            rule=rule,
            by_user=by_user,
            pick=pick,
            allowed=allowed,
        )

    made = ask()
    assert made.beyond == twin_beyond
    assert not len(made.picked)
    for line in range(n_lines):
        assert made.total[line] == sizes.get((line, "total"), 0)
        assert made.open[line] == sizes.get((line, "open"), 0)
    for line, k, a in np.ndindex(made.nodes.shape):
        assert made.nodes[line, k, a] == sizes.get((line, ("node", k, a)), 0)
    for line, k, a, b in np.ndindex(made.links.shape):
        assert made.links[line, k, a, b] == sizes.get((line, ("link", k, a, b)), 0)
    stride = 2 + rule.steps * side + (rule.steps - 1) * side * side
    for (line, cell), users in list(behind.items())[:6]:
        at = {"total": 0, "open": 1}.get(cell)
        if at is None and cell[0] == "node":
            at = 2 + cell[1] * side + cell[2]
        elif at is None:
            at = 2 + rule.steps * side + (cell[1] * side + cell[2]) * side + cell[3]
        assert ask(line * stride + at).picked.tolist() == sorted(set(users))


RULE = SessionRule(gap_ms=100, from_ms=0, to_ms=1 << 40, steps=7)


def test_more_rows_than_a_block_agree_with_each_other():
    """Links of the quick way are the cells of the long one; users are at most paths."""
    walks = [many(1), many(2)]
    links, _, _ = path_links(walks, users=USERS, n_codes=9, rule=RULE)
    shown = np.tile(np.arange(9, dtype=np.uint16), (7, 1))
    lines = (np.array([0, 1], np.uint32), np.zeros(1, np.uint32))
    ask = {"users": USERS, "shown": shown, "columns": 9, "lines": lines, "n_lines": 1, "rule": RULE}
    cells = path_cells(walks, **ask)
    assert links.sum() > 6 * 1_000
    assert cells.links[0].tolist() == links.tolist()
    assert cells.nodes[0].sum(axis=1).tolist() == [cells.total[0]] * 7
    users = path_cells(walks, **ask, by_user=True)
    assert users.total[0] == USERS
    assert (users.links <= cells.links).all()


def test_a_session_of_many_rows():
    """One session of 30,000 rows: each opens a path of its own."""
    walk = source([(0, i, i % 3) for i in range(30_000)], 0, 0, [0, 1, 2])
    rule = SessionRule(gap_ms=1, from_ms=0, to_ms=1 << 40, steps=20, every=True)
    nodes, groups, _ = path_tally([walk], users=USERS, nodes=3, groups=1, rule=rule)
    assert groups.tolist() == [30_000]
    assert nodes.sum(axis=1).tolist() == [30_000 - k for k in range(20)]


def test_a_raised_flag_ends_it():
    raised = np.ones(1, np.uint8)
    with pytest.raises(QueryCancelled):
        path_links([many(1, 100)], users=USERS, n_codes=9, rule=RULE, cancel=raised)
    with pytest.raises(QueryCancelled):
        path_tally([many(1, 100)], users=USERS, nodes=9, groups=1, rule=RULE, cancel=raised)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (Steps(0, nodes=np.array([0, 9], np.uint32)), "nodes: 9 is not below 9"),
        (Steps(0, groups=np.array([3, 0], np.uint32)), "groups: 3 is not below 2"),
        (Steps(9), "code 9"),
        (Steps(0, mask=np.ones(3, np.uint8)), "mask: expected 2"),
        (Steps(0, opens=np.ones(1, np.uint8)), "opens: expected 2"),
    ],
)
def test_rows_that_do_not_belong_to_their_run_are_refused(steps, message):
    walk = (*source([(0, 1, 0), (1, 1, 0)], 0, 0, [0])[:2], [steps], 0)
    with pytest.raises(ValueError, match=message):
        path_tally([walk], users=USERS, nodes=9, groups=2, rule=RULE)


def test_limits_of_the_arguments():
    shown, lines = (
        np.zeros((7, 9), np.uint16),
        (np.array([0, 1], np.uint32), np.zeros(1, np.uint32)),
    )
    ask = {"users": USERS, "shown": shown, "columns": 1, "lines": lines, "n_lines": 1, "rule": RULE}
    bad = [
        ({"shown": shown[:6]}, "shown"),
        ({"shown": shown + np.uint16(1)}, "shown"),
        ({"lines": (np.array([0, 2], np.uint32), lines[1])}, "lines"),
        ({"lines": (lines[0], np.ones(1, np.uint32))}, "not there"),
        ({"pick": 1 << 20}, "no cell"),
    ]
    for change, message in bad:
        with pytest.raises(ValueError, match=message):
            path_cells([many(1, 100)], **{**ask, **change})
    with pytest.raises(ValueError, match="begin with"):
        path_links([], users=0, n_codes=1, rule=SessionRule(1, 0, 1, 2, reverse=True))
    with pytest.raises(ValueError, match="at most"):
        path_links([], users=0, n_codes=NARROW_CODES + 1, rule=RULE)
