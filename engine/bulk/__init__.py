"""Bulk loading of Arrow tables: columns go to columns, without the WAL; one manifest edit makes a
table durable.

``mapping`` says what the columns mean; ``columns`` and ``times`` read a table, without a lock;
``binding`` gives names, users and kinds their codes, under the writer's lock; ``load`` stores one
table or a stream of them. Rows that do not fit are rejected with their row number. O(rows ·
columns), no Python object a row except for what is cast or rejected.
"""

from zuji.engine.bulk.load import load_table, load_tables
from zuji.engine.bulk.mapping import TableMapping, check_mapping, to_mapping

__all__ = ["TableMapping", "check_mapping", "load_table", "load_tables", "to_mapping"]
