"""Interned: what an idle decoder keeps of the memtables it bound rows for."""

from __future__ import annotations

import gc
import weakref

import numpy as np

import zuji
from zuji.engine.index._strings import StringTable
from zuji.engine.ingest import Interned
from zuji.engine.limits import Limits
from zuji.engine.storage.row_log import BoundChunk
from zuji.engine.types import Kind

KINDS = np.array([Kind.STRING], np.uint8)
NOTHING = np.empty(0, np.uint32)


def chunk(*codes):
    """Rows of one string each."""
    n = len(codes)
    return BoundChunk(
        n=n,
        shard=np.zeros(n, np.uint16),
        ordinal=np.zeros(n, np.uint32),
        event=np.zeros(n, np.int32),
        time=np.zeros(n, np.int64),
        received=0,
        cell_start=np.arange(n + 1, dtype=np.uint32),
        cell_prop=np.zeros(n, np.uint16),
        cell_value=np.array(codes, np.int64),
        list_start=NOTHING,
        list_item=NOTHING,
    )


def test_an_idle_table_keeps_no_memtable_s_strings():
    table = Interned(7, Limits())
    a, b = (table.strings.intern(text) for text in (b"a", b"b"))
    for codes, want in (((b, a), [b"b", b"a"]), ((a, b, a), [b"a", b"b", b"a"])):
        target = StringTable(salt=7)
        rows = chunk(*codes)
        table.adopt(rows, KINDS, target)
        assert [target.get(code) for code in rows.cell_value.tolist()] == want
        gone = weakref.ref(target)
        del target
        assert gone() is None


def test_a_flushed_memtable_s_strings_go(tmp_path):
    with zuji.open(tmp_path, tz="UTC", config=zuji.Config(background=False)) as engine:
        event = {"event": "a", "user_id": "u", "time": 1_790_812_800_000}
        engine.append([{**event, "properties": {"city": "Fuzhou"}}])
        strings = weakref.ref(engine._writer.active.strings)
        assert strings() is not None
        engine.flush()
        gc.collect()
        assert strings() is None
