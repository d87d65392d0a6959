"""The session kernels against their twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.differential import twins_sessions
from tests.differential.test_paths import USERS, forms, given_as, shards, source
from zuji.engine.errors import QueryCancelled
from zuji.engine.query.kernels._paths import HIDDEN, IGNORED
from zuji.engine.query.kernels._sessions import (
    RECORD,
    Online,
    SessionTally,
    online_peaks,
    session_cells,
    session_records,
)
from zuji.engine.query.kernels.session import NO_MS, SessionCut
from zuji.engine.query.kernels.walk import Steps

GROUPS = 3
ascending = st.lists(st.integers(0, 130), max_size=6, unique=True).map(
    lambda times: np.array(sorted(times), np.int64)
)


@st.composite
def cuts(draw, *, wide):
    start = draw(st.integers(-1, 60))
    whole = draw(st.booleans())
    return SessionCut(
        gap_ms=draw(st.integers(0, 12)),
        from_ms=-NO_MS if whole else start,
        to_ms=start + draw(st.integers(1, 130)),
        days=draw(st.none() | ascending),
        starts=wide and draw(st.booleans()),
        ends=wide and draw(st.booleans()),
        last=draw(st.booleans()),
        alive_ms=draw(st.just(-NO_MS) | st.integers(0, 100)),
        since_ms=draw(st.just(-NO_MS) | st.integers(0, 60)),
        reach_ms=draw(st.just(NO_MS) | st.integers(40, 140)),
    )


crowds = st.none() | st.lists(st.integers(0, 1), max_size=USERS).map(
    lambda x: np.array(x, np.uint8)
)


@st.composite
def flagged(draw):
    """Sources whose rows have flags and groups."""
    walks = []
    for interleave, lanes, codes, partition in draw(shards(1)):
        made = []
        for lane, code in zip(lanes, codes, strict=True):
            n = len(lane.times)
            numbers = st.lists(st.integers(0, 7), min_size=n, max_size=n)
            nodes = draw(st.none() | numbers.map(lambda x: np.array(x, np.uint32)))
            groups = draw(
                st.none()
                | numbers.map(lambda x: (np.array(x, np.uint32) % GROUPS).astype(np.uint32))
            )
            flags = draw(st.integers(0, 7))
            made.append(IGNORED if code == IGNORED else Steps(flags, nodes, groups=groups))
        lanes = [type(lane)(lane.users, lane.offsets, lane.times, lane.base_ms) for lane in lanes]
        walks.append((interleave, lanes, made, partition))
    return walks


def listed(records):
    return [(*(int(v) for v in r.tolist()[:5]), bool(r["alone"])) for r in records]


@given(data=st.data())
def test_records_of_plain_rows_are_those_of_the_twin(data):
    walks, rule = data.draw(shards(1)), data.draw(cuts(wide=False))
    asked = {"users": USERS, "rule": rule, "allowed": data.draw(crowds)}
    found = session_records(given_as(walks, data.draw(forms)), **asked)
    records, beyond, before = twins_sessions.session_records(walks, **asked)
    assert listed(found.records) == records
    assert (found.beyond, found.before) == (beyond, before)


@given(data=st.data())
def test_records_of_flagged_rows_are_those_of_the_twin(data):
    walks, rule = data.draw(flagged()), data.draw(cuts(wide=True))
    asked = {"users": USERS, "rule": rule, "groups": GROUPS, "allowed": data.draw(crowds)}
    found = session_records(given_as(walks, data.draw(forms)), **asked)
    records, beyond, before = twins_sessions.session_records(walks, **asked)
    assert listed(found.records) == records
    assert (found.beyond, found.before) == (beyond, before)


@given(data=st.data())
def test_cells_are_those_of_the_twin(data):
    record = st.tuples(
        st.integers(0, 99),
        st.integers(0, 40),
        st.integers(0, 3),
        st.integers(1, 5),
        st.integers(0, GROUPS - 1),
        st.booleans(),
    )
    drawn = sorted(data.draw(st.lists(record, max_size=30)), key=lambda r: (r[2], r[0]))
    records = [
        (start, start if alone else start + length, user, depth, number, alone)
        for start, length, user, depth, number, alone in drawn
    ]
    own = data.draw(st.lists(st.sets(st.integers(0, 3)), min_size=GROUPS, max_size=GROUPS))
    lines = (
        np.cumsum([0, *map(len, own)]).astype(np.uint32),
        np.array([line for lines in own for line in sorted(lines)], np.uint32),
    )
    inner = data.draw(st.lists(st.integers(1, 99), max_size=5, unique=True))
    asked = {
        "edges": np.array([0, *sorted(inner), 100], np.int64),
        "lines": lines,
        "n_lines": 4,
        "slots": data.draw(st.none() | ascending.filter(len)),
        "by_depth": data.draw(st.booleans()),
        "open_ms": data.draw(st.integers(0, 150)),
    }
    found = session_cells(np.array(records, RECORD), **asked)
    cells, totals = twins_sessions.session_cells(records, **asked)
    assert {
        tuple(at): found.cells[tuple(at)].tolist()
        for at in np.argwhere(found.cells[..., 0]).tolist()
    } == cells
    assert {line: one.tolist() for line, one in enumerate(found.totals) if one[0]} == totals


@st.composite
def online(draw):
    """Sessions of some users, by user and time, none of a user meeting another; edges; a tail."""
    scale = draw(st.sampled_from([1, 7_000, 400_000_000]))
    records = []
    for user in range(draw(st.integers(0, 12))):
        times = sorted(draw(st.sets(st.integers(-20, 60), max_size=8)))
        for start, end in zip(times[::2], times[1::2], strict=False):
            last = start if draw(st.booleans()) else end
            records.append((start * scale, last * scale, user, 1, 0, 0))
    inner = draw(st.lists(st.integers(1, 39), max_size=5, unique=True))
    edges = np.array([0, *sorted(inner), 40], np.int64) * scale
    return records, edges, draw(st.integers(0, 15)) * scale


@given(online(), st.integers(1, 3))
def test_peaks_are_those_of_the_twin(given, shards):
    records, edges, tail_ms = given
    parts = []
    for shard in range(shards):
        own = [record for record in records if record[2] % shards == shard]
        one = Online(edges, tail_ms=tail_ms)
        one.add(np.array(own[:2], RECORD))
        one.add(np.array(own[2:], RECORD))
        parts.append(one)
    found = [column.tolist() for column in online_peaks(parts)]
    assert found == twins_sessions.online_peaks(records, edges.tolist(), tail_ms)


def test_peaks_of_many_intervals_are_those_of_the_twin():
    """More than a chunk of intervals, of which few lie where a peak can be."""
    rng = np.random.default_rng(11)
    records = [
        (start, start + length, user, 2, 0, 0)
        for user, (start, length) in enumerate(
            zip(
                rng.integers(0, 1 << 31, 40_000).tolist(),
                rng.integers(0, 1 << 22, 40_000).tolist(),
                strict=True,
            )
        )
    ]
    edges = np.arange(0, (1 << 31) + 1, 1 << 28)
    one = Online(edges)
    one.add(np.array(records, RECORD))
    found = [column.tolist() for column in online_peaks([one])]
    assert found == twins_sessions.online_peaks(records, edges.tolist(), 0)
    with pytest.raises(MemoryError):
        Online(edges, memory_bytes=1 << 18).add(np.array(records, RECORD))


@given(data=st.data())
def test_records_that_are_handed_over_are_those_that_are_kept(data):
    walks, rule = data.draw(shards(1)), data.draw(cuts(wide=False))
    asked = {"users": USERS, "rule": rule, "allowed": data.draw(crowds)}
    edges = np.array([-(1 << 40), 50, 1 << 40], np.int64)
    lines = (np.array([0, 1], np.uint32), np.zeros(1, np.uint32))
    kept = session_records(walks, **asked)
    tally = SessionTally(edges=edges, lines=lines, n_lines=1)
    handed = session_records(walks, **asked, into=tally)
    assert len(handed.records) == 0
    assert (handed.beyond, handed.before) == (kept.beyond, kept.before)
    cells = session_cells(kept.records, edges=edges, lines=lines, n_lines=1)
    assert tally.found(1).cells.tolist() == cells.cells.tolist()
    one, other = Online(edges, tail_ms=9), Online(edges, tail_ms=9)
    session_records(walks, **asked, into=one)
    other.add(kept.records)
    peaks = [[column.tolist() for column in online_peaks([part])] for part in (one, other)]
    assert peaks[0] == peaks[1]


def test_memory_is_bounded_and_cancelling_ends_it():
    rows = [(user, time, 0) for user in range(USERS) for time in range(0, 40, 2)]
    walk = [source(rows, 0, 0, [0])]
    rule = SessionCut(gap_ms=0, from_ms=0, to_ms=100)
    asked = {"users": USERS, "rule": rule}
    assert len(session_records(walk, **asked).records) == len(rows)
    assert len(session_records(walk, memory_bytes=32 * len(rows), **asked).records) == len(rows)
    with pytest.raises(MemoryError):
        session_records(walk, memory_bytes=32 * len(rows) - 1, **asked)
    walk = [source([(0, 0, 0)] * 70_000, 0, 0, [0])]
    with pytest.raises(QueryCancelled):
        session_records(walk, cancel=np.ones(1, np.uint8), **asked)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edges": [0, 0]}, "edges"),
        ({"edges": [0]}, "edges"),
        ({"slots": [1, 1]}, "slots"),
        ({"lines": ([0, 2], [0])}, "lines"),
        ({"lines": ([0, 1], [1])}, "a line that is not there"),
        ({"records": np.zeros(1, np.int64)}, "records"),
        ({"edges": [5, 6]}, None),
        ({"lines": ([0], [])}, None),
    ],
)
def test_what_does_not_fit_is_refused(fields, message):
    offsets, numbers = fields.get("lines", ([0, 1], [0]))
    slots = fields.get("slots")
    with pytest.raises(ValueError, match=message):
        session_cells(
            fields.get("records", np.array([(0, 0, 0, 1, 0, 1)], RECORD)),
            edges=np.array(fields.get("edges", [0, 9]), np.int64),
            lines=(np.array(offsets, np.uint32), np.array(numbers, np.uint32)),
            n_lines=1,
            slots=None if slots is None else np.array(slots, np.int64),
        )


def test_starts_need_flags():
    rule = SessionCut(gap_ms=1, from_ms=0, to_ms=9, starts=True)
    with pytest.raises(ValueError, match="flags"):
        session_records([source([(0, 0, 0)], 0, 0, [HIDDEN])], users=USERS, rule=rule)
