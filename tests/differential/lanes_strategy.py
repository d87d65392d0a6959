"""Random lanes for kernel tests: small users, clashing instants, several sources, masks and ties.

Rows are drawn first, as the naive twins want them, and cut into lanes as a segment would: a lane is
one (source, event); ties rank the rows of one source at one instant over its events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from zuji.engine.query.kernels.lane import Lane


@dataclass(frozen=True)
class Row:
    """One row as the twins see it. ``key`` is its place in the order of its user."""

    user: int
    time: int
    rank: int
    tie: int
    lane: int
    row: int
    passes: bool

    @property
    def key(self):
        return (self.time, self.rank, self.tie, self.lane, self.row)


@st.composite
def lanes(draw, *, max_lanes=4, max_rows=14, users=3, span=12, masks=True):
    """A list of lanes whose rows crowd into ``span`` ms, of up to ``users`` users."""
    n_sources = draw(st.integers(1, 2))
    n_lanes = draw(st.integers(1, max_lanes))
    source_of = [draw(st.integers(0, n_sources - 1)) for _ in range(n_lanes)]
    bases = [draw(st.sampled_from([0, 0, 5])) for _ in range(n_sources)]
    ranks = draw(st.permutations([3, 10]))
    sent = draw(
        st.lists(
            st.tuples(
                st.integers(0, n_lanes - 1), st.integers(0, users - 1), st.integers(0, span - 1)
            ),
            max_size=max_rows,
        )
    )
    seen = {}
    rows = [[] for _ in range(n_lanes)]
    for lane, user, time in sent:
        place = (source_of[lane], user, time)
        tie = seen.get(place, 0)
        seen[place] = tie + 1
        rows[lane].append((user, time, tie))
    built = []
    for lane in range(n_lanes):
        ordered = sorted(rows[lane])
        owners = sorted({r[0] for r in ordered} | draw(st.sampled_from([set(), set(), set(), {0}])))
        offsets = [0]
        for owner in owners:
            offsets.append(offsets[-1] + sum(r[0] == owner for r in ordered))
        mask = None
        if masks and draw(st.booleans()):
            mask = np.array([draw(st.sampled_from([1, 1, 1, 0])) for _ in ordered], np.uint8)
        ties = np.array([r[2] for r in ordered], np.uint16)
        built.append(
            Lane(
                users=np.array(owners, np.uint32),
                offsets=np.array(offsets, np.uint32),
                times=np.array([r[1] for r in ordered], np.uint32),
                base_ms=bases[source_of[lane]],
                rank=ranks[source_of[lane]],
                ties=ties if ties.any() else None,
                mask=mask,
            )
        )
    return built


def rows_of(given):
    """Every row of the lanes, by user: ``{user: [Row, ...] in order}``."""
    found = {}
    for number, lane in enumerate(given):
        for i, user in enumerate(lane.users.tolist()):
            for row in range(lane.offsets[i], lane.offsets[i + 1]):
                found.setdefault(user, []).append(
                    Row(
                        user=user,
                        time=lane.base_ms + int(lane.times[row]),
                        rank=lane.rank,
                        tie=0 if lane.ties is None else int(lane.ties[row]),
                        lane=number,
                        row=row,
                        passes=lane.mask is None or bool(lane.mask[row]),
                    )
                )
    return {user: sorted(found[user], key=lambda r: r.key) for user in sorted(found)}


def is_allowed(allowed, user):
    """The audience rule: ordinals past the end are out."""
    return allowed is None or (user < len(allowed) and bool(allowed[user]))


audiences = st.one_of(
    st.none(), st.lists(st.integers(0, 1), max_size=3).map(lambda a: np.array(a, np.uint8))
)


def edges(*, span=20):
    """Two to five ascending instants."""
    return st.lists(st.integers(-2, span), min_size=2, max_size=5).map(
        lambda e: np.array(sorted(e), np.int64)
    )
