"""Memtable against plain rows: what views and flushes hold after any sequence of adds and looks."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.segment_rows import KINDS, START, TZ, Row, check, many_rows, rows
from zuji.engine.index._strings import StringTable
from zuji.engine.storage import memtable as module
from zuji.engine.storage.files import Files
from zuji.engine.storage.memtable import Memtable
from zuji.engine.storage.merge import MergedRows
from zuji.engine.storage.partition import Partition, day_edges
from zuji.engine.storage.row_log import BoundChunk
from zuji.engine.storage.segment import Segment
from zuji.engine.storage.segment_writer import write_frame, write_segment
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from pathlib import Path

FILES = Files()


class Names:
    """A catalog with the events and properties of the test rows."""

    events: ClassVar = ["never", "Ω", "buy", "view", "$profile_set"]
    props: ClassVar = ["unseen", *KINDS]
    kinds: ClassVar = [Kind.INT, *KINDS.values()]


def chunk_of(held: list[Row], strings: StringTable) -> BoundChunk:
    """A batch of rows, all received together, as ingest binds it."""
    starts, props, values, list_start, items = [0], [], [], [0], []
    for row in held:
        for name, value in row.props.items():
            props.append(Names.props.index(name))
            kind = KINDS[name]
            if kind == Kind.STRING:
                value = strings.intern(value.encode())
            elif kind == Kind.LIST:
                items += [strings.intern(text.encode()) for text in value]
                list_start.append(len(items))
                value = len(list_start) - 2
            elif kind == Kind.FLOAT:
                value = int(np.float64(value).view(np.int64))
            values.append(int(value))
        starts.append(len(props))
    return BoundChunk(
        n=len(held),
        shard=np.array([row.shard for row in held], np.uint16),
        ordinal=np.array([row.ordinal for row in held], np.uint32),
        event=np.array([Names.events.index(row.event) for row in held], np.uint16),
        time=np.array([row.time for row in held], np.int64),
        received=held[0].received,
        cell_start=np.array(starts, np.int64),
        cell_prop=np.array(props, np.uint16),
        cell_value=np.array(values, np.int64),
        list_start=np.array(list_start, np.int64),
        list_item=np.array(items, np.uint32),
    )


def together(sources: list[Any], path: Path) -> Segment:
    """Sources merged to a segment, so that one check covers all levels."""
    place = Partition(sources[0].partition, sources[0].base_ms, sources[0].end_ms)
    edges = day_edges(TZ, place.start_ms, place.end_ms)
    write_segment(
        FILES,
        str(path),
        MergedRows(sources),
        shard=sources[0].shard,
        partition=place,
        day_edges=edges,
    )
    return Segment(FILES, str(path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memtable")


@given(batches=st.lists(rows(max_size=8), min_size=1, max_size=8), looks=st.sets(st.integers(0, 7)))
@settings(max_examples=60, deadline=None)
def test_views_and_flush_hold_the_rows(
    batches: list[list[Row]], looks: set[int], folder: Path
) -> None:
    strings = StringTable()
    strings.intern(b"of another batch")
    memtable = Memtable(Names(), strings, TZ, 1)
    held: list[Row] = []
    seen: list[tuple[list[Any], list[Row]]] = []
    for number, batch in enumerate(batches):
        for row in batch:
            row.received = batch[0].received
        memtable.add(chunk_of(batch, strings))
        held += batch
        if number in looks:
            seen.append((memtable.views(rank=5), list(held)))
    seen.append((memtable.views(rank=5), held))
    for views, then in seen:  # views handed out earlier still answer for their moment
        ranks = [view.rank for view in views]
        assert ranks == sorted(set(ranks))
        assert all(5 * 64 <= rank < 6 * 64 for rank in ranks)
        check(together(views, folder / "views.zseg"), then)
        if len(views) == 1:
            check(views[0], then)
    names = itertools.count(1)
    metas = write_frame(
        FILES,
        str(folder),
        memtable.frame(),
        tz=TZ,
        new_file=lambda: (1, f"flush{next(names)}.zseg"),
    )
    assert memtable.rows == len(held) == sum(meta.rows for meta in metas)
    (segment,) = (Segment(FILES, str(folder / meta.file), meta) for meta in metas)
    check(segment, held)
    assert list(segment.scrub()) == []


def test_views_are_few_and_stay_when_nothing_is_added() -> None:
    strings = StringTable()
    memtable = Memtable(Names(), strings, TZ, 4)
    for number in range(300):
        memtable.add(chunk_of(many_rows(number, 10, users=8, shards=4), strings))
        views = memtable.views()
    assert sum(view.rows for view in views) == 3000
    assert len({view.rank for view in views}) <= 9
    assert memtable.views() == views
    moved = memtable.views(rank=1)
    assert [view.rank for view in moved] == [view.rank + 64 for view in views]
    assert memtable.nbytes > 3000 * 20


def test_views_of_a_pin_hold_what_was_there_then() -> None:
    strings = StringTable()
    memtable = Memtable(Names(), strings, TZ, 2)
    memtable.add(chunk_of(many_rows(1, 30, shards=2), strings))
    pinned = memtable.pin()
    memtable.add(chunk_of(many_rows(2, 40, shards=2), strings))
    assert sum(view.rows for view in memtable.views(7, pinned)) == 30
    assert sum(view.rows for view in memtable.views(7)) == 70
    assert sum(view.rows for view in memtable.views(7, pinned)) == 70  # others have looked since
    assert memtable.frame().n == 70


def test_a_row_is_sorted_a_few_times_only() -> None:
    strings = StringTable()
    memtable = Memtable(Names(), strings, TZ, 1)
    sorted_rows = 0
    held: set[int] = set()
    for number in range(200):
        memtable.add(chunk_of(many_rows(number, 100), strings))
        views = memtable.views()
        sorted_rows += sum(view.rows for view in views if id(view.sorted) not in held)
        held = {id(view.sorted) for view in views}
    assert sorted_rows < 200 * 100 * 24  # below SMALL_ROWS at every look: 20 times on average


def test_a_run_is_read_alone_and_says_the_same_as_with_all_others() -> None:
    strings = StringTable()
    memtable = Memtable(Names(), strings, TZ, 1)
    held = many_rows(5, 300)
    memtable.add(chunk_of(held, strings))
    (view,) = memtable.views()
    names = list(view.runs)
    first = view.runs[names[0]]
    alone = first.column("city")
    assert [run is not None for run in view.sorted._runs] == [True] + [False] * (len(names) - 1)
    assert alone is first.column("city")
    mine = {row.props["city"] for row in held if row.event == names[0]}
    assert set(alone.dictionary) == mine
    for name in names:
        run = view.runs[name]
        assert run.props == {
            p: kind for p, kind in view.sorted.kinds.items() if run.presence_count(p)
        }
        for prop in ("city", "tags"):
            own, whole = run.column(prop), run.packed(prop)
            assert (own is None) == (whole is None)
            if own is not None:
                shared = whole.column(own.kind, view.dictionary(prop))
                assert [own.dictionary[i] for i in own.values] == [
                    shared.dictionary[i] for i in shared.values
                ]


def test_views_split_shards_and_months() -> None:
    strings = StringTable()
    memtable = Memtable(Names(), strings, TZ, 4)
    held = many_rows(3, 400, users=30, shards=4)
    for row in held[::2]:
        row.time += 31 * 86_400_000
    memtable.add(chunk_of(held, strings))
    for view in memtable.views():
        mine = [r for r in held if r.shard == view.shard and view.base_ms <= r.time < view.end_ms]
        assert view.rows == len(mine) > 0
        cities = {r.props["city"] for r in mine}
        assert set(view.dictionary("city") or ()) == cities


def test_views_beside_adds() -> None:
    """Looks from other threads see whole batches, in order, and never fewer rows than before."""
    strings = StringTable()
    chunks = [chunk_of(many_rows(number, 50), strings) for number in range(40)]
    memtable = Memtable(Names(), strings, TZ, 1)
    problems: list[str] = []
    done = threading.Event()

    def look() -> None:
        last = 0
        while not done.is_set() or last < 2000:
            views = memtable.views()
            rows = sum(view.rows for view in views)
            counted = sum(
                int(run.packed("city").values.size)
                for view in views
                for run in view.runs.values()
                if "city" in run.props
            )
            if rows < last or rows % 50 or counted != rows:
                problems.append(f"{rows} rows after {last}, {counted} cities")
                return
            last = rows

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for chunk in chunks:
        memtable.add(chunk)
    done.set()
    for thread in threads:
        thread.join()
    assert problems == []


@given(
    sizes=st.lists(st.sampled_from([1, 7, 20, 90]), min_size=1, max_size=60),
    tidy_at=st.sets(st.integers(0, 59)),
    ranks=st.lists(st.sampled_from([3, 4]), min_size=60, max_size=60),
)
@settings(max_examples=40, deadline=None)
def test_what_is_tidied_says_the_same(
    sizes: list[int], tidy_at: set[int], ranks: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL_ROWS", 10)
        patch.setattr(module, "BIG_ROWS", 100)
        strings = StringTable()
        memtable = Memtable(Names(), strings, TZ, 1)
        added = 0
        for number, size in enumerate(sizes):
            memtable.add(chunk_of(many_rows(number, size), strings))
            added += size
            views = memtable.views(ranks[number], tidied=True)
            assert sum(view.rows for view in views) == added
            assert [v.rank for v in views] == sorted({v.rank for v in views})
            assert all(ranks[number] * 64 <= view.rank < (ranks[number] + 1) * 64 for view in views)
            assert len(views) <= module.MOST_LEVELS + 1
            if number in tidy_at:
                while memtable.tidy():
                    pass
                assert not memtable.crowded
                tidied = memtable.views(ranks[number], tidied=True)
                assert rows_in_order(tidied) == rows_in_order(views)
                assert len(tidied) <= len(views)


def rows_in_order(views: list[Any]) -> list[tuple[Any, ...]]:
    """All rows of views by event in final order, the order of the views breaking ties."""
    found = []
    for place, view in enumerate(views):
        for name, run in view.runs.items():
            users, offsets = run.users()
            ordinals = np.repeat(users, np.diff(offsets)).tolist()
            ties = run.ties()
            later = [0] * run.rows if ties is None else ties.tolist()
            city = run.column("city")
            texts = [None] * run.rows if city is None else [city.dictionary[i] for i in city.values]
            times = run.times().tolist()
            for ordinal, time, tie, text in zip(ordinals, times, later, texts, strict=True):
                found.append((name, ordinal, time, place, tie, text))
    return [(*row[:3], row[5]) for row in sorted(found, key=lambda row: row[:5])]


def test_a_tidy_that_comes_too_late_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL_ROWS", 10)
    monkeypatch.setattr(module, "BIG_ROWS", 100)
    strings = StringTable()
    memtable = Memtable(Names(), strings, TZ, 1)
    for number in range(3):
        memtable.add(chunk_of(many_rows(number, 60), strings))
        memtable.views(tidied=True)
    assert memtable.crowded
    sort = memtable._sources

    def meanwhile(*arguments: Any) -> list[Any]:
        monkeypatch.setattr(memtable, "_sources", sort)
        memtable.add(chunk_of(many_rows(4, 60), strings))
        assert len(memtable.views()) == 1  # somebody else sorted all of it
        return sort(*arguments)

    monkeypatch.setattr(memtable, "_sources", meanwhile)
    assert not memtable.tidy()
    assert [view.rows for view in memtable.views(tidied=True)] == [240]


def test_a_bad_property_code_is_refused() -> None:
    strings = StringTable()
    memtable = Memtable(Names(), strings, TZ, 1)
    chunk = chunk_of([Row("view", 1, START, START, props={"count": 1})], strings)
    chunk.cell_prop[0] = 99
    memtable.add(chunk)
    with pytest.raises(ValueError, match="property code"):
        memtable.views()[0].runs["view"].column("count")


def test_empty_memtable() -> None:
    memtable = Memtable(Names(), StringTable(), TZ, 1)
    assert memtable.views() == []
    assert memtable.frame().slices(TZ) == []
