"""SQL for those who want it: events and users as tables in DuckDB, read by the engine.

DuckDB plans and joins; the engine prunes runs by event and time, decodes the columns that a
statement names, and applies its filters. Read-only. Needs the extra ``zuji[sql]``.
"""

from zuji.engine.sql.session import ask

__all__ = ["ask"]
