"""Benchmarks: seeded synthetic events, Zuji through its public API, ClickHouse (chdb) on the same
rows.

``python -m bench --rows 20000000`` runs everything and writes ``.data/bench/report.{json,md}``;
``--rows 200000`` is the smoke run of CI. The package stands outside the engine: it imports only
``zuji``'s public names.
"""
