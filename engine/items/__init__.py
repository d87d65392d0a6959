"""Items: what events are about (products, outlets, content), by type and id, with properties.

:mod:`record` reads what was sent, :mod:`table` keeps one type in columns, :mod:`tables` all of a
project, :mod:`files` what is stored. Meaning and rules: ``docs/items.md``.
"""

from zuji.engine.items.record import ItemRecord
from zuji.engine.items.tables import FrozenItems, ItemTables

__all__ = ["FrozenItems", "ItemRecord", "ItemTables"]
