"""Rows as plain Python, and what any source that holds them must answer. Shares no code with the
engine's storage.

:func:`rows` is a Hypothesis strategy, :func:`frame_of` makes the frame that a flush would,
:func:`check` compares a source (segment or memory) with the rows it should hold.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st

from zuji.engine.storage.frame import DTYPES, Frame, FrameColumn
from zuji.engine.types import PROFILE_EVENTS, Kind

TZ = "Europe/Berlin"  # October 2025 has a day of 25 hours
MONTH = 2025 * 12 + 9
START = int(datetime(2025, 10, 1, tzinfo=ZoneInfo(TZ)).timestamp() * 1000)
END = int(datetime(2025, 11, 1, tzinfo=ZoneInfo(TZ)).timestamp() * 1000)
KINDS = {
    "flag": Kind.BOOL,
    "count": Kind.INT,
    "amount": Kind.FLOAT,
    "due": Kind.DATETIME,
    "city": Kind.STRING,
    "tags": Kind.LIST,
    "page": Kind.STRING,
}


@dataclass
class Row:
    """One event. ``props`` hold Python values by name."""

    event: str
    ordinal: int
    time: int
    received: int
    shard: int = 0
    props: dict[str, Any] = field(default_factory=dict)


_text = st.sampled_from(["", "a", "b", "aa", "Ürümqi", "北京", "a\0", "zz" * 40])
VALUES = {
    "flag": st.booleans(),
    "count": st.one_of(st.integers(0, 5), st.integers(-(2**63), 2**63 - 1)),
    "amount": st.one_of(
        st.integers(0, 500).map(lambda x: x / 100), st.floats(allow_nan=False, allow_infinity=False)
    ),
    "due": st.integers(-4, 4).map(lambda h: START + h * 3_600_000),
    "city": _text,
    "tags": st.lists(_text, max_size=3),
    "page": st.sampled_from(["/", "/home"]),
}
_times = st.one_of(
    st.integers(0, 3).map(lambda d: START + d * 86_400_000),
    st.integers(START, END - 1),
    st.sampled_from([START, END - 1]),
)


@st.composite
def rows(draw: st.DrawFn, max_size: int = 40) -> list[Row]:
    """Rows of one shard and partition, with many collisions of user and instant."""
    return draw(
        st.lists(
            st.builds(
                Row,
                event=st.sampled_from(["view", "buy", "Ω", "$profile_set"]),
                ordinal=st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 2)),
                time=_times,
                received=st.sampled_from([START, START + 5, END + 10_000]),
                props=st.fixed_dictionaries({}, optional=VALUES),
            ),
            min_size=1,
            max_size=max_size,
        )
    )


def many_rows(seed: int, n: int, users: int = 500, shards: int = 1) -> list[Row]:
    """Rows enough for several pages and a stored day index."""
    r = random.Random(seed)
    result = []
    for _ in range(n):
        user = min(int(r.paretovariate(1.0)), users)
        props: dict[str, Any] = {"city": f"city {r.randrange(50)}", "count": r.randrange(1000)}
        if r.random() < 0.3:
            props["amount"] = round(r.random() * 100, 2)
            props["tags"] = [f"t{r.randrange(9)}" for _ in range(r.randrange(3))]
        time = START + r.randrange((END - START) // 1000) * 1000
        result.append(
            Row("view" if r.random() < 0.9 else "buy", user, time, END, user % shards, props)
        )
    return result


def frame_of(held: list[Row], *, dense: bool = True) -> Frame:
    """The frame of rows in the order given; ``dense`` drops row numbers of columns without gaps."""
    names = sorted({row.event for row in held}, reverse=True)
    received = [row.received for row in held]
    columns = {}
    for name, kind in KINDS.items():
        having = [i for i, row in enumerate(held) if name in row.props]
        if not having:
            continue
        values = [held[i].props[name] for i in having]
        strings: list[str] | None = None
        offsets = None
        if kind == Kind.STRING:
            strings = ["unused", *dict.fromkeys(values)]
            values = [strings.index(v) for v in values]
        elif kind == Kind.LIST:
            strings = ["unused", *dict.fromkeys(s for v in values for s in v)]
            offsets = np.cumsum([0, *map(len, values)]).astype(np.uint32)
            values = [strings.index(s) for v in values for s in v]
        columns[name] = FrameColumn(
            kind,
            np.array(values, DTYPES[kind]),
            None if dense and len(having) == len(held) else np.array(having, np.uint32),
            strings,
            offsets,
        )
    return Frame(
        n=len(held),
        shard=np.array([row.shard for row in held], np.uint16),
        ordinal=np.array([row.ordinal for row in held], np.uint32),
        event=np.array([names.index(row.event) for row in held], np.uint16),
        event_names=names,
        time=np.array([row.time for row in held], np.int64),
        received=received[0] if len(set(received)) == 1 else np.array(received, np.int64),
        columns=columns,
    )


def in_order(held: list[Row]) -> list[tuple[int, Row]]:
    """(tie, row) in the order of (ordinal, time, order sent)."""
    ordered = sorted(held, key=lambda row: (row.ordinal, row.time))
    result: list[tuple[int, Row]] = []
    for i, row in enumerate(ordered):
        same = i and (ordered[i - 1].ordinal, ordered[i - 1].time) == (row.ordinal, row.time)
        result.append((result[-1][0] + 1 if same else 0, row))
    return result


def check(source: Any, held: list[Row], *, exact: bool = True) -> None:
    """Everything that ``source`` answers is what the rows say. Not ``exact``: bounds, properties
    and dictionaries may be those of more rows.
    """
    ordered = in_order(held)
    assert source.rows == len(held)
    assert (source.partition, source.base_ms, source.end_ms) == (MONTH, START, END)
    codes, names = source.interleave()
    assert [names[c] for c in codes] == [row.event for _, row in ordered]
    assert set(source.runs) == set(names) == {row.event for row in held}
    acts = [row for _, row in ordered if row.event not in PROFILE_EVENTS]
    if source.index is not None:  # old files with many rows and profile records have none
        check_days(source.index, acts)
    assert source.user_list().tolist() == sorted({row.ordinal for row in acts})
    assert source.user_count == len(source.user_list())
    for event, run in source.runs.items():
        mine = [(tie, row) for tie, row in ordered if row.event == event]
        check_run(source, run, mine, exact=exact)


def check_run(source: Any, run: Any, mine: list[tuple[int, Row]], *, exact: bool = True) -> None:
    """One run against its (tie, row) pairs in order."""
    assert run.rows == len(mine)
    users, offsets = run.users()
    assert users.dtype == offsets.dtype == np.uint32
    assert np.repeat(users, np.diff(offsets)).tolist() == [row.ordinal for _, row in mine]
    assert (np.diff(users.astype(np.int64)) > 0).all()
    assert run.user_count == len(users)
    assert (run.times().astype(np.int64) + run.base_ms).tolist() == [row.time for _, row in mine]
    ties = run.ties()
    assert (ties.tolist() if ties is not None else [0] * len(mine)) == [tie for tie, _ in mine]
    assert run.received().tolist() == [row.received for _, row in mine]
    first, last = min(row.time for _, row in mine), max(row.time for _, row in mine)
    props = {
        name: kind for name, kind in KINDS.items() if any(name in row.props for _, row in mine)
    }
    assert run.column("missing") is None
    if exact:
        assert (run.min_ms, run.max_ms, run.props) == (first, last, props)
        assert run.nbytes(None) > 0
    else:
        assert run.min_ms <= first <= last <= run.max_ms
        assert props.items() <= run.props.items()
    for name, kind in run.props.items():
        wanted = [row.props.get(name) for _, row in mine]
        check_column(source, run, name, kind, wanted, exact=exact)
    check_days(run.index, [row for _, row in mine])
    assert run.day_rows.tolist() == run.index.rows.tolist()
    assert run.day_users(0) == run.index.users(0)


def check_column(
    source: Any, run: Any, name: str, kind: Kind, wanted: list[Any], *, exact: bool = True
) -> None:
    """One column, its presence, zone and dictionary."""
    column = run.column(name)
    held = [value for value in wanted if value is not None]
    assert column.kind == kind
    assert run.presence_count(name) == len(held)
    assert column.rows == len(wanted)
    present = [value is not None for value in wanted]
    if column.present is None:
        assert all(present)
    else:
        assert column.present.tolist() == present
    assert [v for v, here in zip(decoded(column), present, strict=True) if here] == held
    zone = run.zone(name)
    if zone is not None and exact:
        if kind == Kind.STRING:
            assert zone == (min(held, key=str.encode), max(held, key=str.encode))
        else:
            assert zone == (min(held), max(held))
    if kind in (Kind.STRING, Kind.LIST):
        texts = list(source.dictionary(name))
        said = {s for v in held for s in (v if kind == Kind.LIST else [v])}
        assert said <= set(texts)
        assert texts == sorted(set(texts), key=str.encode)
        assert [source.dictionary(name).find(text) for text in texts] == list(range(len(texts)))
        assert source.dictionary(name).find("absent") == -1


def decoded(column: Any) -> list[Any]:
    """Values of a column as Python objects, whatever stands in absent rows included."""
    if column.kind == Kind.BOOL:
        return [bool(v) for v in column.values]
    if column.kind == Kind.STRING:
        return [column.dictionary[v] if len(column.dictionary) else "" for v in column.values]
    if column.kind == Kind.LIST:
        cuts = column.offsets.tolist()
        return [[column.dictionary[v] for v in column.values[a:b]] for a, b in pairwise(cuts)]
    return column.values.tolist()


def check_days(index: Any, held: list[Row]) -> None:
    """The day index against rows, by the local calendar."""
    zone = ZoneInfo(TZ)
    day = datetime(2025, 10, 1, tzinfo=zone)
    assert len(index.edges) == 32
    by_day: dict[Any, list[int]] = {}
    for row in held:
        at = datetime.fromtimestamp(row.time / 1000, zone).date()
        by_day.setdefault(at, []).append(row.ordinal)
    for number in range(31):
        assert int(index.edges[number]) == int(day.timestamp() * 1000)
        users = by_day.get(day.date(), [])
        assert int(index.rows[number]) == len(users)
        assert int(index.cards[number]) == len(set(users))
        assert list(index.users(number)) == sorted(set(users))
        assert list(index.multi(number)) == sorted(u for u in set(users) if users.count(u) > 1)
        day += timedelta(days=1)
