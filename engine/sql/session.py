"""One statement: a DuckDB of its own in memory, with the tables of a project and nothing else.

The database may not touch files, the network or extensions, its settings are locked, and only one
reading statement is taken. It ends at the query's deadline, when it is cancelled, and when it needs
more memory than the query's budget.
"""

from __future__ import annotations

import threading
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pyarrow as pa

from zuji.engine import calendars
from zuji.engine.errors import InvalidInput, InvalidQuery, QueryBudgetExceeded
from zuji.engine.query.result import ColumnInfo, Result
from zuji.engine.sql.items import ItemsTable
from zuji.engine.sql.people import Cohorts, Tags
from zuji.engine.sql.tables import Events, Users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.engine import Engine
    from zuji.engine.query.context import Cancel, Context
    from zuji.engine.query.scope import Scope

MAX_ROWS: Final = 100_000
"""Rows of an answer, unless the caller says otherwise."""
MAX_TEXT: Final = 100_000
_READING: Final = ("SELECT", "EXPLAIN", "RELATION")
_TICK_S = 0.02
NEEDED: Final = "SQL needs DuckDB; run `pip install 'zuji[sql]'`"


def ask(
    engine: Engine,
    text: str,
    *,
    scope: Scope | None = None,
    cancel: Cancel | None = None,
    seconds: float | None = None,
    max_rows: int = MAX_ROWS,
) -> Result:
    """Answers a SELECT over ``events``, ``users``, ``cohorts``, ``tags`` and ``items``; docs/sql.md
    has their columns.

    ``meta.truncated``: there were more than ``max_rows`` rows.

    Raises:
        InvalidQuery: DuckDB refuses the statement, or it does more than read.
        InvalidInput: DuckDB is not installed.
        QueryCancelled, QueryBudgetExceeded, Corruption, EngineClosed.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        raise InvalidInput(NEEDED) from None
    if len(text) > MAX_TEXT:
        raise InvalidQuery(f"a statement has at most {MAX_TEXT:,} characters")
    with engine.running(cancel, seconds) as (view, context):
        database = duckdb.connect(
            config={
                "enable_external_access": "false",
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "temp_directory": "",  # what does not fit in memory is an error, not a file
                "threads": str(engine.config.threads),
                "memory_limit": f"{max(64, context.memory_bytes >> 20)}MiB",
            }
        )
        try:
            database.execute("SET TimeZone = ?", [view.tz])
            database.register("events", Events(view, scope, context))
            database.register("users", Users(view, scope, context))
            database.register("cohorts", Cohorts(view, scope, context))
            database.register("tags", Tags(view, scope, context))
            database.register("items", ItemsTable(engine.items.frozen(), view, scope, context))
            database.execute("SET lock_configuration = true")
            _check(database, text)
            with _Watch(database, context):
                schema, rows, more = _rows(database, text, max_rows, context)
        except duckdb.Error as error:
            raise _told(error, context) from None
        finally:
            database.close()
        columns = [ColumnInfo(field.name, _type(field.type)) for field in schema]
        plain = [[_plain(value, view.tz) for value in row] for row in rows]
        meta = {
            "rows_read": context.rows_read,
            "elapsed_ms": context.elapsed_ms,
            "truncated": more,
            "warnings": list(context.warnings),
        }
        query = {"sql": text, "time": {"tz": view.tz}}
        return Result(columns=columns, rows=plain, totals={}, meta=meta, query=query)


def _check(database: Any, text: str) -> None:
    statements = database.extract_statements(text)
    if len(statements) != 1:
        raise InvalidQuery(f"expected one statement, got {len(statements)}")
    kind = statements[0].type.name
    if kind not in _READING:
        raise InvalidQuery(f"only reading is allowed: SELECT, not {kind}")


def _rows(
    database: Any, text: str, most: int, context: Context
) -> tuple[pa.Schema, list[list[Any]], bool]:
    """Up to ``most`` rows, and whether there are more."""
    reader = database.sql(text).to_arrow_reader(10_000)
    rows: list[list[Any]] = []
    for batch in reader:
        context.charge(2 * batch.nbytes + 100 * batch.num_rows)
        rows += _listed(batch)
        if len(rows) > most:
            return reader.schema, rows[:most], True
    return reader.schema, rows, False


def _listed(batch: pa.RecordBatch) -> Iterator[list[Any]]:
    columns = [column.to_pylist() for column in batch.columns]
    return map(list, zip(*columns, strict=True)) if columns else iter(())


class _Watch:
    """Interrupts a statement when its query is to end."""

    def __init__(self, database: Any, context: Context) -> None:
        self._database, self._context = database, context
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="zuji-sql", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_TICK_S):
            self._context.tick()
            if self._context.flag[0]:
                self._database.interrupt()


def _told(error: Exception, context: Context) -> Exception:
    """What a DuckDB error means here."""
    context.check()  # it was interrupted: says why
    name, said = type(error).__name__, str(error).strip()
    if name == "OutOfMemoryException":
        return QueryBudgetExceeded(
            f"the statement needs more than its {context.memory_bytes >> 20} MiB of memory; read "
            "fewer events, columns or groups, or raise the budget"
        )
    return InvalidQuery(said[:2_000])


def _type(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_boolean(kind):
        return "bool"
    if types.is_integer(kind):
        return "int64"
    if types.is_floating(kind):
        return "float64"
    if types.is_date(kind):
        return "date"
    if types.is_timestamp(kind) and kind.tz is not None:
        return "datetime"
    return "string" if types.is_string(kind) or types.is_large_string(kind) else "any"


def _plain(value: Any, tz: str) -> Any:
    """A value as JSON has it; exact where a float would not be."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat()
        ms = round(value.timestamp() * 1000)
        return calendars.format_instant(ms, tz)
    if isinstance(value, date | clock_time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, list | tuple):
        return [_plain(item, tz) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item, tz) for key, item in value.items()}
    if isinstance(value, UUID):
        return str(value)
    return value.hex() if isinstance(value, bytes) else str(value)
