"""Owned against a dict: told, set, cleared, moved; what it cannot hold is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from zuji.engine.index._owned import Owned

SHARDS = 3
KNOWN, NEW, EARLIER, OTHER = range(4)
LOW, HIGH = -(1 << 47) + 1, (1 << 47) - 1
_at = st.builds(lambda s, o: s << 32 | o, st.integers(0, SHARDS - 1), st.integers(0, 12))
_place = st.builds(lambda s, o: s << 32 | o, st.integers(0, 1), st.sampled_from([0, 1, 2**32 - 1]))
_time = st.integers(-3, 3) | st.sampled_from([LOW, HIGH])


def array(values):
    return np.array(values, np.int64)


class OwnedAgainstDict(RuleBasedStateMachine):
    """``model``: place of the device to (customer, first moment), None: of more than one."""

    def __init__(self):
        super().__init__()
        self.owned = Owned(SHARDS)
        self.model: dict[int, tuple[int, int] | None] = {}

    @rule(said=st.lists(st.tuples(_at, _place, _time), max_size=60))
    def tell(self, said):
        expected = []
        for at, place, time in said:
            if at not in self.model:
                self.model[at] = (place, time)
                expected.append(NEW)
            elif (one := self.model[at]) is None or one[0] != place:
                expected.append(OTHER)
            elif time < one[1]:
                self.model[at] = (place, time)
                expected.append(EARLIER)
            else:
                expected.append(KNOWN)
        columns = [array([one[i] for one in said]) for i in range(3)]
        assert self.owned.tell(*columns).tolist() == expected

    @rule(said=st.lists(st.tuples(_at, _place | st.just(-1), _time), max_size=20))
    def set(self, said):
        for at, place, time in said:
            self.model[at] = None if place < 0 else (place, time)
        self.owned.set(*[array([one[i] for one in said]) for i in range(3)])

    @rule(gone=st.lists(_at, max_size=6))
    def clear(self, gone):
        for at in gone:
            self.model.pop(at, None)
        self.owned.clear(array(gone))

    @rule(source=_at, to=_at)
    def move(self, source, to):
        if to in self.model:
            with pytest.raises(ValueError, match="nobody"):
                self.owned.move(source, to)
            return
        self.owned.move(source, to)
        if source in self.model:
            self.model[to] = self.model.pop(source)

    @invariant()
    def same(self):
        every = [s << 32 | o for s in range(SHARDS) for o in range(14)] + [-1, 9 << 32, 2**40]
        at = array(every)
        owners = [one[0] if (one := self.model.get(a)) else -1 for a in every]
        firsts = [one[1] if (one := self.model.get(a)) else 0 for a in every]
        assert self.owned.owners(at).tolist() == owners
        assert self.owned.firsts(at).tolist() == firsts
        assert self.owned.known(at).tolist() == [a in self.model for a in every]
        numbers = self.owned.numbers_of(at).tolist()
        used = [n for n in numbers if n]
        assert len(used) == len(set(used)) == len(self.owned) == len(self.model)
        assert all(n < self.owned.numbers for n in used)


TestOwnedAgainstDict = OwnedAgainstDict.TestCase
TestOwnedAgainstDict.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)


def test_many_devices_are_as_they_were_said():
    owned, rng = Owned(SHARDS), np.random.default_rng(3)
    at = rng.permutation(600_000).astype(np.int64)
    at = (at % SHARDS) << 32 | at // SHARDS
    place, time = rng.integers(0, 1 << 33, len(at)), rng.integers(LOW, HIGH, len(at))
    for first in range(0, len(at), 50_000):
        some = slice(first, first + 50_000)
        assert (owned.tell(at[some], place[some], time[some]) == NEW).all()
    assert len(owned) == len(at)
    assert (owned.owners(at) == place).all()
    assert (owned.firsts(at) == time).all()
    assert owned.nbytes / len(at) < 21


@pytest.mark.parametrize(
    ("at", "place", "time"),
    [
        (-1, 0, 0),
        (SHARDS << 32, 0, 0),
        (0, -2, 0),
        (0, 9 << 32, 0),
        (0, 0, LOW - 1),
        (0, 0, HIGH + 1),
    ],
)
def test_what_there_cannot_be_is_refused(at, place, time):
    owned = Owned(SHARDS)
    for call in (owned.tell, owned.set):
        with pytest.raises(ValueError, match="cannot be"):
            call(array([at]), array([place]), array([time]))
        with pytest.raises(ValueError, match="as many"):
            call(array([0, 1]), array([0]), array([0]))
    assert len(owned) == 0
    with pytest.raises(ValueError, match="shards"):
        Owned(0)
