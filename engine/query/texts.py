"""Codes of strings across dictionaries: every source has its own, an answer needs one.

A :class:`Texts` gives each string of one property a code, the same for all sources of a view, and
keeps for each dictionary the table from its codes to those. No Python string is made but for what
an answer shows. Lives as long as the view, so that the queries on one state share it. Thread-safe.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from zuji.engine.errors import QueryBudgetExceeded
from zuji.engine.index._strings import StringTable
from zuji.engine.storage.cache import machine_bytes
from zuji.engine.storage.dictionary import as_dictionary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zuji.engine.query.view import View
    from zuji.engine.types import U32, Column

MAX_TEXTS = 2_000_000
KEPT_BYTES = max(128 << 20, min(1 << 30, machine_bytes() // 16))
"""Of dictionaries and their tables; a dropped one is made again when it is asked for. Segments
keep theirs anyway.
"""
ENTRIES_BYTES = 64 << 20
"""Of codes of the entries of dictionaries: what the items that they name are worth."""


class Texts:
    """Strings of one property. Code 0 is no string."""

    def __init__(self) -> None:
        self._table = StringTable()
        self._lock = threading.Lock()
        self._tables: dict[int, tuple[Sequence[str], U32]] = {}  # the last asked for at the end
        self._nbytes = 0
        self._entries: dict[int, tuple[Column, U32]] = {}  # the last asked for at the end
        self._entries_bytes = 0
        self.over = False
        """Whether there were too many strings; other queries then go on with another one."""

    @property
    def size(self) -> int:
        """Number of codes, 0 included."""
        return len(self._table) + 1

    def codes(self, dictionary: Sequence[str] | None) -> U32:
        """Code of each string of a dictionary, uint32[len]. O(bytes) the first time.

        Raises:
            QueryBudgetExceeded: more than 2,000,000 different strings.
        """
        if dictionary is None:
            return np.empty(0, np.uint32)
        with self._lock:
            known = self._tables.pop(id(dictionary), None)
            if known is not None:
                self._tables[id(dictionary)] = known
                return known[1]
            own = as_dictionary(dictionary)
            codes = self._table.intern_bulk(own.data, own.offsets) + np.uint32(1)
            if len(self._table) > MAX_TEXTS:
                self.over = True
                raise QueryBudgetExceeded(
                    f"a property has more than {MAX_TEXTS:,} values here; group by another one"
                )
            self._tables[id(dictionary)] = (dictionary, codes)
            self._nbytes += own.data.nbytes + own.offsets.nbytes + codes.nbytes
            while self._nbytes > KEPT_BYTES and len(self._tables) > 1:
                old, other = self._tables.pop(next(iter(self._tables)))
                dropped = as_dictionary(old)
                self._nbytes -= dropped.data.nbytes + dropped.offsets.nbytes + other.nbytes
            return codes

    def entries(self, column: Column) -> U32:
        """Code of each value of a column of strings, 0 where it has none, uint32[rows]; kept as
        long as the column is asked for. Errors as :meth:`codes`.
        """
        with self._lock:
            known = self._entries.pop(id(column), None)
            if known is not None:
                self._entries[id(column)] = known
                return known[1]
        table = self.codes(column.dictionary)
        made: U32 = table[column.values] if len(table) else np.zeros(column.rows, np.uint32)
        if column.present is not None:
            made[column.present == 0] = 0
        with self._lock:
            self._entries[id(column)] = (column, made)
            self._entries_bytes += made.nbytes
            while self._entries_bytes > ENTRIES_BYTES and len(self._entries) > 1:
                _, other = self._entries.pop(next(iter(self._entries)))
                self._entries_bytes -= other.nbytes
        return made

    def text(self, code: int) -> str | None:
        """The string of a code."""
        if code == 0:
            return None
        with self._lock:  # another query may be adding a dictionary
            return self._table.get(code - 1).decode()


def texts_of(view: View, p: str) -> Texts:
    """The texts of a property, one a view."""
    with view.lock:
        texts: Texts | None = view.cache.get(("texts", p))
        if texts is None or texts.over:
            texts = view.cache["texts", p] = Texts()
        return texts
