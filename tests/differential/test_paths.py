"""The session-path kernel against its twin."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differential import twins_paths
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels import _paths
from zuji.engine.query.kernels._paths import HIDDEN, IGNORED, lay_out, session_paths, top_paths
from zuji.engine.query.kernels.lane import Lane
from zuji.engine.query.kernels.walk import FedLane, LaidOut, Steps
from zuji.engine.storage._feed import PageFeed, Scratch
from zuji.engine.storage.codecs import encode_ints

USERS = 6


def source(rows, base, partition, codes, masked=()):
    """A walk of rows (user, time, run) in the order sent; runs without rows have empty lanes."""
    rows = sorted(rows, key=lambda row: row[:2])
    lanes = []
    for run in range(len(codes)):
        own = [(user, time) for user, time, r in rows if r == run]
        users = sorted({user for user, _ in own})
        offsets = np.searchsorted([user for user, _ in own], [*users, USERS + 1])
        mask = None
        if run in masked:
            mask = np.array([(user + time) % 2 for user, time in own], np.uint8)
        lanes.append(
            Lane(
                np.array(users, np.uint32),
                offsets.astype(np.uint32),
                np.array([time for _, time in own], np.uint32),
                base,
                mask=mask,
            )
        )
    return np.array([run for _, _, run in rows], np.uint16), lanes, list(codes), partition


SCRATCH = Scratch()


def fed(array):
    """The array as a feed of its pages."""
    data, pages = encode_ints(array)
    verify = np.zeros(len(pages), np.uint8)
    return PageFeed(data, pages, verify, len(array), array.itemsize, SCRATCH)


def read_by_pages(walk, narrow=False):
    """A walk of feeds; those with masks stay as they are but for the interleave."""
    interleave, lanes, codes, partition = walk
    lanes = [
        FedLane(fed(lane.users), fed(lane.offsets), fed(lane.times), lane.base_ms)
        if lane.mask is None
        else lane
        for lane in lanes
    ]
    return fed(interleave.astype(np.uint8) if narrow else interleave), lanes, codes, partition


def laid_out(walk):
    """A walk whose rows are laid out by user; masks of its lanes become those of the codes."""
    interleave, lanes, codes, partition = walk
    ignored = [
        code == IGNORED or (isinstance(code, Steps) and code.code == IGNORED) for code in codes
    ]
    rows, users, ends, times = lay_out(interleave, lanes, ignored)
    runs = [0 if skip else len(lane.times) for lane, skip in zip(lanes, ignored, strict=True)]
    codes = [
        IGNORED if skip else code if lane.mask is None else Steps(code, mask=lane.mask)
        for lane, code, skip in zip(lanes, codes, ignored, strict=True)
    ]
    return rows, LaidOut(users, ends, times, lanes[0].base_ms, runs), codes, partition


FORMS = {
    "arrays": lambda walk: walk,
    "pages": read_by_pages,
    "pages of bytes": lambda walk: read_by_pages(walk, narrow=True),
    "laid out": laid_out,
}
"""Ways to give a walk to a kernel."""
forms = st.lists(st.sampled_from(sorted(FORMS)), min_size=9, max_size=9)


def given_as(walks, chosen):
    return [FORMS[form](walk) for walk, form in zip(walks, chosen, strict=False)]


@given(data=st.data())
def test_rows_are_laid_out_by_user(data):
    for walk in data.draw(shards(3)):
        interleave, lanes, codes, _ = walk
        by_run = [
            [
                (int(user), int(time))
                for i, user in enumerate(lane.users)
                for time in lane.times[lane.offsets[i] : lane.offsets[i + 1]]
            ]
            for lane in lanes
        ]
        taken = [iter(rows) for rows in by_run]
        rows = [(*next(taken[run]), run) for run in interleave.tolist()]
        rows = [row for row in rows if codes[row[2]] != IGNORED]
        for form in ("arrays", "pages"):
            _, found, _, _ = laid_out(FORMS[form](walk))
            owners = np.repeat(found.users, np.diff(found.ends, prepend=0))
            runs = laid_out(walk)[0]
            told = zip(owners.tolist(), found.times.tolist(), runs.tolist(), strict=True)
            assert list(told) == rows


@st.composite
def shards(draw, n_codes):
    """Sources of one shard: some share a partition, some follow it."""
    walks = []
    for partition in range(draw(st.integers(1, 3))):
        for _ in range(draw(st.integers(1, 3))):
            codes = draw(
                st.lists(
                    st.integers(0, n_codes - 1) | st.sampled_from([HIDDEN, IGNORED]),
                    min_size=1,
                    max_size=4,
                )
            )
            row = st.tuples(
                st.integers(0, USERS - 1), st.integers(0, 40), st.integers(0, len(codes) - 1)
            )
            masked = draw(st.sets(st.integers(0, 3), max_size=1))
            walks.append(
                source(draw(st.lists(row, max_size=25)), 41 * partition, partition, codes, masked)
            )
    return walks


@st.composite
def rules(draw):
    start = draw(st.integers(-1, 60))
    return {
        "users": USERS,
        "gap_ms": draw(st.integers(0, 12)),
        "steps": draw(st.integers(1, 20)),
        "from_ms": start,
        "to_ms": start + draw(st.integers(1, 130)),
        "collapse": draw(st.booleans()),
        "allowed": draw(
            st.none()
            | st.lists(st.integers(0, 1), max_size=USERS).map(lambda x: np.array(x, np.uint8))
        ),
    }


@pytest.mark.parametrize("n_codes", [3, 255, 256, 40_000])
@given(data=st.data())
def test_paths_are_those_of_the_twin(n_codes, data):
    parts = data.draw(st.lists(shards(n_codes), min_size=1, max_size=3))
    rule = data.draw(rules())
    n = data.draw(st.integers(0, 8))
    chosen = data.draw(forms)
    counts = [session_paths(given_as(walks, chosen), n_codes=n_codes, **rule) for walks in parts]
    twins = [twins_paths.session_paths(walks, **rule) for walks in parts]
    assert [c.sessions for c in counts] == [t.total() for t in twins]
    assert top_paths(counts, n) == twins_paths.top(twins, n)
    assert dict(top_paths(counts, 1 << 30)) == dict(sum(twins[1:], twins[0]))


def many(seed, rows=30_000, users=USERS):
    """A source of many rows of few users: more than a block each, and many different paths."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, (users, 1 << 20, 9), (rows, 3))
    return source([tuple(row) for row in drawn.tolist()], 0, 0, range(9))


RULE = {"users": USERS, "n_codes": 9, "gap_ms": 100, "steps": 7, "from_ms": 0, "to_ms": 1 << 40}


def test_more_rows_than_a_block_and_more_paths_than_a_table_starts_with():
    shards = [[many(1)], [many(2)]]
    counts = [session_paths(walks, **RULE) for walks in shards]
    total = {}
    for interleave, lanes, _, _ in (walks[0] for walks in shards):
        cursor = [0] * 9
        owner = [np.repeat(lane.users, np.diff(lane.offsets)) for lane in lanes]
        last, path = None, []
        for run in [*interleave.tolist(), None]:
            key = None
            if run is not None:
                key = (int(owner[run][cursor[run]]), int(lanes[run].times[cursor[run]]))
                cursor[run] += 1
            if last is not None and (key is None or key[0] != last[0] or key[1] - last[1] > 100):
                total[tuple(path[:7])] = total.get(tuple(path[:7]), 0) + 1
                path = []
            path.append(run)
            last = key
    assert sum(c.sessions for c in counts) == sum(total.values())
    best = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    assert top_paths(counts, 50) == best[:50]
    assert top_paths(counts, len(best) + 5) == best


def test_a_raised_flag_ends_it():
    with pytest.raises(QueryCancelled):
        session_paths([many(1, 100)], **RULE, cancel=np.ones(1, np.uint8))


def test_pages_windows_and_chunks_of_users_end_anywhere():
    """Several pages of rows, users past one chunk, sources that overlap."""
    rng = np.random.default_rng(5)
    codes = [0, 1, IGNORED, 2]
    walks = []
    for partition, rows in ((0, 90_000), (0, 70_000), (1, 9_000)):
        drawn = rng.integers(0, (9_000, 1 << 16, 4), (rows, 3))
        drawn = drawn[np.lexsort(drawn.T[[1, 0]])]
        lanes = []
        for run in range(4):
            own = drawn[drawn[:, 2] == run]
            users, first = np.unique(own[:, 0], return_index=True)
            offsets = np.append(first, len(own)).astype(np.uint32)
            times = own[:, 1].astype(np.uint32)
            lanes.append(Lane(users.astype(np.uint32), offsets, times, partition << 16))
        walks.append((drawn[:, 2].astype(np.uint16), lanes, codes, partition))
    rule = {**RULE, "users": 9_000, "gap_ms": 4_000, "to_ms": 1 << 40}
    allowed = rng.integers(0, 2, 9_000).astype(np.uint8)
    for some in (walks, walks[:1]):
        for extra in ({}, {"allowed": allowed}, {"collapse": True}):
            twin = _quick_twin(some, rule, **extra)
            for form in FORMS.values():
                counts = session_paths([form(walk) for walk in some], **rule, **extra)
                assert counts.sessions == twin.total()
                assert top_paths([counts], 30) == twins_paths.top([twin], 30)


def _quick_twin(walks, rule, allowed=None, collapse=False):
    """The twin's answer, rows in one sort."""
    columns = []
    for order, (interleave, lanes, codes, partition) in enumerate(walks):
        for run, (lane, code) in enumerate(zip(lanes, codes, strict=True)):
            users = np.repeat(lane.users, np.diff(lane.offsets)).astype(np.int64)
            place = np.flatnonzero(interleave == run)
            one = np.ones(len(users), np.int64)
            times = lane.base_ms + lane.times.astype(np.int64)
            columns.append((users, one * partition, times, one * order, place, one * code))
    users, partition, times, order, place, code = map(np.concatenate, zip(*columns, strict=True))
    rows = np.lexsort((place, order, times, partition, users))
    found, last, path = Counter(), None, []
    for user, time, step in zip(users[rows], times[rows], code[rows], strict=True):
        if step == IGNORED or (allowed is not None and not allowed[user]):
            continue
        if last is None or user != last[0] or time - last[1] > rule["gap_ms"]:
            found[tuple(path[: rule["steps"]])] += bool(path)
            path = []
        if not (collapse and path and path[-1] == step):
            path.append(int(step))
        last = (user, time)
    found[tuple(path[: rule["steps"]])] += 1
    return +found


def test_little_memory_is_a_clear_end():
    with pytest.raises(MemoryError):
        session_paths([many(1)], **RULE, memory_bytes=1 << 14)


def test_paths_are_counted_when_memory_runs_short():
    few = {**RULE, "steps": 1, "gap_ms": 0}
    walks = [many(1)]
    roomy = session_paths(walks, **few)
    tight = session_paths(walks, **few, memory_bytes=1 << 18)
    assert roomy.nbytes > 1 << 18 > tight.nbytes
    assert top_paths([tight, roomy], 99) == top_paths([roomy, roomy], 99)
    assert tight.sessions == roomy.sessions


def test_a_wrong_guess_and_many_parts_change_nothing(monkeypatch):
    counts = [session_paths([many(seed, 9_000)], **RULE) for seed in (1, 2)]
    expected = {n: top_paths(counts, n) for n in (1, 7, 300)}
    assert [len(found) for found in expected.values()] == [1, 7, 300]
    for part in (1, 100, 1 << 21):
        monkeypatch.setattr(_paths, "PART_SESSIONS", part)
        for least in (1, 2, 50, 1 << 40):
            monkeypatch.setattr(_paths, "_guess", lambda bounds, n, least=least: least)
            for n, found in expected.items():
                if part > 1 or least > 2:
                    assert top_paths(counts, n) == found


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda w: (w[0][:-1], *w[1:]), "belong together"),
        (lambda w: (w[0] + np.uint16(1), *w[1:]), "not there|belong together"),
        (lambda w: (np.zeros_like(w[0]), *w[1:]), "belong together"),
        (lambda w: (w[0], w[1], w[2][:-1], w[3]), "a code for each run"),
        (lambda w: (w[0], w[1], [9, *w[2][1:]], w[3]), "not below 9"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(broken, message):
    with pytest.raises(ValueError, match=message):
        session_paths([broken(many(1, 200))], **RULE)


def test_limits_of_the_arguments():
    for change in ({"steps": 0}, {"steps": 21}, {"n_codes": 70_000}, {"users": 2}):
        with pytest.raises(ValueError, match=r"1 to 20|65533|belong together"):
            session_paths([many(1, 200)], **{**RULE, **change})
    late, early = source([(0, 0, 0)], 0, 1, [0]), source([(0, 0, 0)], 0, 0, [0])
    with pytest.raises(ValueError, match="sorted"):
        session_paths([late, early], **RULE)
