"""Items against plain dicts: whatever order records arrive in, through flushes, reopening, replays
of the log (a reader beside the writer) and files that are put together.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta

import msgpack
from hypothesis import example, given, settings
from hypothesis import strategies as st

import zuji
from zuji.engine.items import tables

BASE = 1_790_784_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

values = {
    "category": st.sampled_from(["tea", "coffee", "中", ""]),
    "price": st.integers(-2, 9),
    "weight": st.sampled_from([0.5, 1e300, -0.0]),
    "organic": st.booleans(),
    "since": st.integers(0, 9).map(lambda n: EPOCH + timedelta(days=n)),
    "labels": st.lists(st.sampled_from(["a", "b", "a"]), max_size=3),
}
records = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["item_set", "item_set", "item_set", "item_delete"]),
        "item_type": st.sampled_from(["product", "outlet"]),
        "item_id": st.sampled_from(["p1", "p2", "中", 7]),
        "time": st.integers(0, 4).map(lambda n: BASE + n * 1000),
    },
    optional={
        "properties": st.fixed_dictionaries(
            {}, optional={n: st.one_of(v, v, v, st.none()) for n, v in values.items()}
        )
    },
)
events = st.just({"event": "e", "user_id": "u", "time": BASE})
steps = st.lists(
    st.one_of(
        st.lists(st.one_of(records, records, events), min_size=1, max_size=5),
        st.lists(st.one_of(records, records, events), min_size=1, max_size=5),
        st.sampled_from(["flush", "reopen", "twice"]),
    ),
    max_size=20,
)


class Plain:
    """The rules of docs/items.md, a record at a time, kept as lists of records."""

    def __init__(self):
        self.records = {}

    def append(self, batch):
        for one in batch:
            if "item_type" in one:
                key = one["item_type"], str(one["item_id"])
                self.records.setdefault(key, []).append(one)

    def items(self):
        found = {}
        for key, all_of in self.records.items():
            # A stable sort: of one time, as they arrived.
            now = None
            for one in sorted(all_of, key=lambda r: r["time"]):
                if one["type"] == "item_delete":
                    now = None
                    continue
                given = one.get("properties") or {}
                now = (now or {}) | {n: v for n, v in given.items() if v is not None}
            if now is not None:
                found[key] = {n: plain(v) for n, v in now.items()}
        return found


def plain(value):
    return round((value - EPOCH).total_seconds() * 1000) if isinstance(value, datetime) else value


def stored(engine):
    return {
        (name, item_id): {n: (bool(v) if k.label == "bool" else v) for n, (k, v) in item.items()}
        for name, _, _ in engine._writer.items.types()
        for item_id, item in engine._writer.items.page(name, None, 1000)
    }


def at(time, kind="item_set", **properties):
    one = {"type": kind, "item_type": "product", "item_id": "p1", "time": BASE + time}
    return one | ({"properties": properties} if properties else {})


@settings(max_examples=150, deadline=None)
@given(steps)
@example([[at(5, price=1), at(3, "item_delete"), at(3, category="tea")], "flush", "reopen"])
@example([[at(5, price=1)], "flush", [at(5, "item_delete")], "reopen", [at(4, price=2)]])
@example([[at(5, "item_delete"), at(5, price=1)], "reopen", "flush", "reopen"])
def test_items_are_those_of_the_records_in_order_of_time(program):
    few, most = tables.FEW_RECORDS, tables.MOST_FILES
    tables.FEW_RECORDS, tables.MOST_FILES = 3, 3
    known, last = Plain(), []
    with tempfile.TemporaryDirectory() as folder:
        engine = zuji.open(folder, tz="UTC")
        try:
            for step in program:
                if step == "flush":
                    engine.flush()
                elif step == "reopen":
                    check_read_only(folder, known)
                    engine.close()
                    engine = zuji.open(folder)
                else:
                    last = last if step == "twice" else step
                    engine.append(last)
                    known.append(last)
                assert stored(engine) == known.items()
            assert list(engine.scrub()) == []
            check_counts(engine, known)
        finally:
            engine.close()
            tables.FEW_RECORDS, tables.MOST_FILES = few, most


def check_read_only(folder, known):
    with zuji.open(folder, mode="r") as beside:  # replays the log: nothing was flushed
        assert stored(beside) == known.items()


def check_counts(engine, known):
    for name, count, _ in engine._writer.items.types():
        assert count == sum(1 for item_type, _ in known.items() if item_type == name)


def test_json_and_msgpack_say_the_same(tmp_path):
    with zuji.open(tmp_path, tz="UTC") as engine:
        one = at(1, price=3, labels=["a"])
        two = one | {"item_id": "p2"}
        done = engine.append_batch(json.dumps([one]).encode())
        done += engine.append_batch(msgpack.packb({"batch_id": "b", "events": [two]}))
        done += engine.append_batch(msgpack.packb({"batch_id": "b", "events": [two]}))
        assert (done.accepted, done.duplicates, done.rejected) == (2, 1, ())
        assert stored(engine)["product", "p1"] == stored(engine)["product", "p2"]
        assert list(engine.rejected()) == []


def test_what_cannot_be_stored_is_refused_with_its_place(tmp_path):
    wrong = {
        "no_item": [{"item_id": None}, {"item_type": None}, {"item_id": ""}],
        "bad_name": [{"item_type": "a\n"}, {"item_type": "x" * 101}, {"properties": {"": 1}}],
        "bad_time": [{"time": "yesterday"}, {"time": True}],
        "time_out_of_range": [{"time": 10**15}],
        "bad_value": [{"properties": {"p": {"a": 1}}}, {"properties": 7}, {"item_id": 1.5}],
        "type_mismatch": [{"properties": {"price": "dear"}}],
        "id_too_long": [{"item_id": "x" * 256}],
        "string_too_long": [{"properties": {"p": "x" * 9000}}],
        "list_too_long": [{"properties": {"p": ["x"] * 501}}],
        "not_finite": [{"properties": {"p": float("nan")}}],
        "int_out_of_range": [{"properties": {"p": 2**63}}],
        "too_many_properties": [{"properties": {f"p{n}": 1 for n in range(256)}}],
    }
    with zuji.open(tmp_path, tz="UTC") as engine:
        engine.append([at(0, price=3)])
        for reason, cases in wrong.items():
            for case in cases:
                batch = msgpack.packb([{"event": "e", "user_id": "u", "time": BASE}, at(1) | case])
                done = engine.append_batch(batch)
                assert [(r.index, r.reason) for r in done.rejected] == [(1, reason)], case
                assert done.accepted == 1
        kept = {row["reason"] for row in engine.rejected()}
        assert kept == set(wrong)
        assert stored(engine) == {("product", "p1"): {"price": 3}}


def test_what_only_looks_like_an_item_is_refused_as_before(tmp_path):
    with zuji.open(tmp_path, tz="UTC") as engine:
        for raw in (
            {"type": "item_sets", "item_type": "a", "item_id": "b"},
            {"event": "item_set", "time": BASE, "user_id": "u", "item_id": "b"},
            {"event": "e", "time": BASE, "user_id": "u", "properties": {"item_set": {"a": 1}}},
        ):
            (one,) = engine.append_batch(msgpack.packb([raw])).rejected
            assert one.reason in ("unknown_type", "unknown_field", "bad_value")
        assert stored(engine) == {}
