"""The engine: storage, indexes and queries. Synchronous, thread-safe, knows nothing of HTTP.

Layers, each importing only those below it: ``engine -> ingest -> query -> index -> storage ->
batch -> types, errors, limits, calendars``.
"""

if __name__ == "engine":
    raise ImportError(
        "import this package as `zuji.engine`, not as bare `engine`: run `pip install -e .` and do "
        "not put the repository's root on sys.path"
    )
