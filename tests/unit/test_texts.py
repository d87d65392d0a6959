"""Texts: codes and strings of one property, asked for by many threads at once."""

from __future__ import annotations

import threading

import numpy as np

from zuji.engine.query.texts import Texts
from zuji.engine.storage.dictionary import Dictionary

STRINGS = 50_000


def dictionary(seed):
    """Strings of 12 bytes that no other seed has."""
    text = b"".join(b"%02d%010d" % (seed, i) for i in range(STRINGS))
    offsets = np.arange(STRINGS + 1, dtype=np.int64) * 12
    return Dictionary(np.frombuffer(text, np.uint8), offsets, ordered=True)


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
