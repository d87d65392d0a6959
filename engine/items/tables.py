"""All items of a project: tables by type, fed with records in the order of the log.

Records stand in the log with the batch that brought them and are applied with it; the flush of its
memtable writes them into a file, or the whole state once files have more records than there are
items. Applying records again, from any point of the log on to its end, makes the same state; so a
file may hold records that are replayed after it. Thread-safe.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from zuji.engine.batch.columns import Rejected
from zuji.engine.items.files import read_items, write_items
from zuji.engine.items.record import MAX_TYPES, BadItem, ItemRecord, may_be_item, read_item
from zuji.engine.items.table import FrozenTable, ItemTable
from zuji.engine.storage import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zuji.engine.casting import Plain
    from zuji.engine.storage.files import Files
    from zuji.engine.types import Kind

FrozenItems = dict[str, FrozenTable]
"""Tables by type at one moment."""
MOST_FILES: Final = 16
"""With more of them, one file with everything takes their place."""
FEW_RECORDS: Final = 10_000
"""Files with fewer records than this beyond the items are read quickly enough."""


class ItemTables:
    """Items by type. ``named``: (file, records) as the manifest names them, oldest first.

    Raises Corruption, UnsupportedFormat, NotFound.
    """

    def __init__(self, files: Files, directory: str, named: Sequence[Sequence[Any]] = ()) -> None:
        self._files = files
        self._directory = directory
        self._lock = threading.RLock()
        self._tables: dict[str, ItemTable] = {}
        self.version = 0
        self._held: tuple[int, FrozenItems] | None = None
        for file, records in named:
            for record in read_items(files, names.path(directory, file), records):
                self._table(record.type).apply(record)

    def take(
        self, refused: Iterable[tuple[int, Rejected]], received_ms: int
    ) -> tuple[list[tuple[int, Rejected]], list[ItemRecord]]:
        """Applies the item records among refused events, each with its place: what is left, and
        what was applied. A record that cannot be stored is left with the reason.
        """
        left: list[tuple[int, Rejected]] = []
        taken: list[ItemRecord] = []
        for place, one in refused:
            try:
                record = None
                if may_be_item(one.reason, one.raw):
                    record = read_item(one.raw, received_ms)
                if record is None:
                    left.append((place, one))
                else:
                    taken.append(self.put(record))
            except BadItem as bad:
                said = (bad.reason, bad.path, bad.message)
                left.append((place, Rejected(one.index, *said, one.raw)))
        return left, taken

    def put(self, record: ItemRecord) -> ItemRecord:
        """Applies one record; gives what was applied. Raises BadItem."""
        with self._lock:
            table = self._tables.get(record.type)
            if table is None and len(self._tables) >= MAX_TYPES:
                raise BadItem(
                    "too_many_types", "item_type", f"a project has at most {MAX_TYPES} item types"
                )
            record = (table or ItemTable(record.type)).checked(record)
            self._table(record.type).apply(record)
            self.version += 1
        return record

    def _table(self, name: str) -> ItemTable:
        found = self._tables.get(name)
        if found is None:
            found = self._tables[name] = ItemTable(name)
        return found

    # -- what is there ---------------------------------------------------------------------------

    def frozen(self) -> FrozenItems:
        """All tables now; the same object while nothing changes. Types without items included."""
        with self._lock:
            if self._held is None or self._held[0] != self.version:
                tables = {name: one.freeze(self._lock) for name, one in self._tables.items()}
                self._held = self.version, tables
            return self._held[1]

    def types(self) -> list[tuple[str, int, Mapping[str, Kind]]]:
        """Type, number of items, and kinds of their properties, by name of the type."""
        with self._lock:
            return [(n, t.count, t.kinds()) for n, t in sorted(self._tables.items())]

    def get(self, item_type: str, item_id: str) -> dict[str, tuple[Kind, Plain]] | None:
        """Properties of an item, None when there is none."""
        with self._lock:
            table = self._tables.get(item_type)
            return None if table is None else table.get(item_id)

    def page(
        self, item_type: str, after: str | None, limit: int
    ) -> list[tuple[str, dict[str, Any]]] | None:
        """Items of a type, in the order in which they were first heard of; None: no such type.
        Raises KeyError for an ``after`` that never was.
        """
        with self._lock:
            table = self._tables.get(item_type)
            return None if table is None else table.page(after, limit)

    # -- storing ---------------------------------------------------------------------------------

    def save(
        self,
        records: Sequence[ItemRecord],
        named: Iterable[Sequence[Any]],
        new_file: Callable[[], str],
    ) -> list[list[Any]]:
        """Writes the records of a flush; the files that the manifest is to name. Synced, not yet
        named. O(records), now and then O(items).
        """
        files = [list(one) for one in named]
        if not records:
            return files
        with self._lock:
            items = sum(table.rows for table in self._tables.values())
            most = 2 * items + FEW_RECORDS
            total = sum(one[1] for one in files) + len(records)
            whole = len(files) >= MOST_FILES or (bool(files) and total > most)
            if whole:
                records = [one for table in self._tables.values() for one in table.records()]
        folder = names.path(self._directory, names.ITEMS_DIR)
        if not self._files.exists(folder):  # a project of an old release, or without items
            self._files.mkdir(folder)
            self._files.sync_dir(self._directory)
        name = new_file()
        write_items(self._files, names.path(self._directory, name), records)
        self._files.sync_dir(folder)
        return [*([] if whole else files), [name, len(records)]]
