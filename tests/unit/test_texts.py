"""Texts: codes and strings of one property, asked for by many threads at once."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.query.grouping import Dimension
from zuji.engine.query.texts import Texts, texts_of
from zuji.engine.storage.dictionary import Dictionary
from zuji.engine.types import Column, Kind

STRINGS = 50_000


def dictionary(seed):
    """Strings of 12 bytes that no other seed has."""
    text = b"".join(b"%02d%010d" % (seed, i) for i in range(STRINGS))
    offsets = np.arange(STRINGS + 1, dtype=np.int64) * 12
    return Dictionary(np.frombuffer(text, np.uint8), offsets, ordered=True)


def column(strings):
    """Rows of one string each, all different."""
    return Column(
        Kind.STRING, np.arange(len(strings), dtype=np.uint32), None, Dictionary.of(strings)
    )


def test_a_string_is_read_while_another_query_adds_a_dictionary():
    texts = Texts()
    texts.codes(dictionary(0))
    others = [dictionary(seed) for seed in range(1, 9)]
    added = threading.Event()

    def add():
        for other in others:
            texts.codes(other)
        added.set()

    thread = threading.Thread(target=add)
    thread.start()
    try:
        while not added.is_set():
            assert texts.text(1) == "000000000000"
            assert texts.text(STRINGS) == f"00{STRINGS - 1:010d}"
            assert texts.size > STRINGS
    finally:
        thread.join()
    assert texts.size == 9 * STRINGS + 1
    assert texts.text(texts.size - 1) == f"08{STRINGS - 1:010d}"
    assert texts.text(0) is None


def test_the_size_of_a_dimension_is_of_what_its_own_query_read():
    texts = Texts()
    mine, other = (Dimension("event.city", "UTC", None, texts) for _ in range(2))
    mine.codes(column(["a", "b"]), 2)
    other.codes(column(["c", "b", "d"]), 3)
    assert (mine.size, other.size) == (3, 5)
    assert [other.value(code) for code in range(other.size)] == [None, "a", "b", "c", "d"]
    mine.codes(column(["d"]), 1)
    assert mine.size == 5


def test_after_too_many_strings_the_next_query_starts_anew(monkeypatch):
    monkeypatch.setattr("zuji.engine.query.texts.MAX_TEXTS", 3)
    view = SimpleNamespace(cache={}, lock=threading.Lock())
    texts = texts_of(view, "event.city")
    assert texts_of(view, "event.city") is texts
    assert texts.codes(Dictionary.of(["a", "b"])).tolist() == [1, 2]
    with pytest.raises(QueryBudgetExceeded):
        texts.codes(Dictionary.of(["c", "d"]))
    assert texts.text(2) == "b"  # for a query that goes on
    again = texts_of(view, "event.city")
    assert again.codes(Dictionary.of(["c", "d"])).tolist() == [1, 2]
    assert texts_of(view, "event.city") is again
