"""Joining: whatever is stored together, each request gets what it would have got alone."""

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zuji
from tests.server.without_syncs import without_syncs
from zuji.engine.batch.columns import Rejected
from zuji.engine.errors import InvalidEvent, StorageFailed
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.writer import AppendResult
from zuji.server.collector import joining
from zuji.server.collector.joining import Joined
from zuji.server.collector.message import Events, Taken
from zuji.server.protocols.records import packed

NOON = 1_790_827_200_000
NONE = AppendResult()


def events(*records):
    return tuple(packed(records))


def good(i, **more):
    return {"event": "go", "time": NOON + i, "user_id": f"u{i}", **more}


def unpacked(batch):
    return msgpack.unpackb(batch)


def test_events_of_many_requests_become_one_batch_and_batches_stay():
    whole = msgpack.packb({"batch_id": "b", "events": [good(9)]})
    joined = Joined(
        [
            Taken(events=events(good(1), good(2))),
            Taken(),
            Taken(batches=(whole,), events=events(good(3))),
        ]
    )
    assert len(joined.batches) == 2
    assert whole in joined.batches
    (made,) = [batch for batch in joined.batches if batch != whole]
    assert unpacked(made) == [good(1), good(2), good(3)]


def test_results_are_taken_apart():
    joined = Joined(
        [
            Taken(events=events(*(good(i) for i in range(3)))),
            Taken(events=events(good(3), good(4))),
            Taken(events=events(good(5))),
        ]
    )
    bad = Rejected(4, "bad_name", "event", "no", b"")
    ((first,), (second,), (third,)) = joined.apart([AppendResult(3, 2, (bad,), (0, 2))], {})
    assert first == AppendResult(1, 2, (), (0, 2))
    assert second == AppendResult(1, 0, (Rejected(1, "bad_name", "event", "no", b""),))
    assert third == AppendResult(1)
    failed = StorageFailed("no")
    assert joined.apart([failed], {}) == [(failed,)] * 3


@pytest.mark.parametrize(
    ("limit", "value"), [("batch_events", 3), ("batch_items", 20), ("batch_bytes", 120)]
)
def test_a_batch_is_within_the_limits(monkeypatch, limit, value):
    from dataclasses import replace

    limits = replace(DEFAULT_LIMITS, **{limit: value})
    monkeypatch.setattr(joining, "_LIMITS", limits)
    joined = Joined([Taken(events=events(good(i))) for i in range(10)])
    assert [event["user_id"] for batch in joined.batches for event in unpacked(batch)] == [
        f"u{i}" for i in range(10)
    ]
    assert len(joined.batches) > 3
    for batch in joined.batches:
        assert len(unpacked(batch)) <= limits.batch_events
        assert len(batch) <= limits.batch_bytes


EVENT = st.one_of(
    st.builds(good, st.integers(0, 9)),
    st.builds(lambda i, n: good(i, insert_id=f"i{n}"), st.integers(0, 9), st.integers(0, 5)),
    st.builds(lambda i, v: good(i, properties={"p": v}), st.integers(0, 9), st.integers(0, 3)),
    st.builds(lambda i, v: good(i, properties={"p": v}), st.integers(0, 9), st.just("text")),
    st.just({"event": "go"}),
    st.just({"event": "go", "time": "?", "user_id": "u"}),
    st.just(7),
)
PART = st.lists(EVENT, min_size=1, max_size=4)
BATCH = st.one_of(
    st.builds(
        lambda name, records: msgpack.packb({"batch_id": f"b{name}", "events": records}),
        st.integers(0, 3),
        PART,
    ),
    st.just(b"\xc1nonsense"),
    st.just(b"\x92\x01"),
)
TAKEN = st.builds(
    lambda batches, parts: Taken(
        batches=tuple(batches), events=tuple(one for part in parts for one in _packed(part))
    ),
    st.lists(BATCH, max_size=2),
    st.lists(PART, max_size=3),
)


def _packed(part):
    data = b"".join(msgpack.packb(one) for one in part)
    return [Events(len(part), data.count(b"") + 1, data)]


def stored(engine, batches):
    """Results of batches, by what clients are told."""
    return [_told(one) for one in engine.append_many(batches)]


def _told(result):
    if isinstance(result, InvalidEvent):
        return result.reason
    return (
        result.accepted,
        result.duplicates,
        [(one.index, one.reason, one.path, one.raw) for one in result.rejected],
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(TAKEN, max_size=6), st.integers(1, 12))
@without_syncs()
def test_results_are_those_of_each_part_alone(tmp_path_factory, taken, most):
    """Parts are stored one after the other in the order in which the joined batches have them."""
    from dataclasses import replace

    folder = tmp_path_factory.mktemp("joined")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "_LIMITS", replace(DEFAULT_LIMITS, batch_events=most))
        joined = Joined(taken)
    with zuji.open(folder / "a") as engine:
        engine.append_batch(msgpack.packb([good(0, properties={"p": 1})]))
        results = engine.append_many(joined.batches)
        assert not joined.spoiled(results)
        apart = [[_told(one) for one in each] for each in joined.apart(results, {})]
        rows = engine.status()["rows"]
    # alone: the parts of each batch in turn
    place = {
        (part.batch, part.first): (request, nth)
        for request, parts in enumerate(joined._parts)
        for nth, part in enumerate(parts)
    }
    alone = [[None] * len(each) for each in apart]
    with zuji.open(folder / "b") as engine:
        engine.append_batch(msgpack.packb([good(0, properties={"p": 1})]))
        for key in sorted(place):
            request, nth = place[key]
            one = taken[request]
            mine = [*one.batches, *(joining._batch(e.count, (e,)) for e in one.events)]
            alone[request][nth] = stored(engine, [mine[nth]])[0]
        assert engine.status()["rows"] == rows
    assert apart == alone


def test_a_part_that_is_no_events_does_not_harm_the_others(tmp_path):
    """No protocol makes such; if one did, only its own requests would fail."""
    lie = Events(2, 3, msgpack.packb(good(2)))
    joined = Joined([Taken(events=events(good(1))), Taken(events=(lie,)), Taken()])
    with zuji.open(tmp_path) as engine:
        results = engine.append_many(joined.batches)
        assert isinstance(results[0], InvalidEvent)
        again = joined.spoiled(results)
        alone = {at: engine.append_many(parts) for at, parts in again.items()}
        first, second, third = joined.apart(results, alone)
        assert first == (AppendResult(1),)
        assert isinstance(second[0], InvalidEvent)
        assert third == ()
        assert engine.status()["rows"] == 1


def test_taking_apart_many_bad_events_is_not_quadratic():
    """2,000 parts of a batch, all refused: each looks at its own only."""

    class Counted(tuple):
        __slots__ = ()
        looked = 0

        def __getitem__(self, at):
            Counted.looked += 1
            return super().__getitem__(at)

    count = 2_000
    joined = Joined([Taken(events=events(good(i))) for i in range(count)])
    bad = Counted(Rejected(i, "bad_name", "event", "no", b"") for i in range(count))
    found = joined.apart([AppendResult(0, 0, bad)], {})
    assert [one.rejected[0].index for (one,) in found] == [0] * count
    assert Counted.looked < 40 * count
