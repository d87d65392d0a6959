"""The name under which the engine remembers how far a file has been imported.

The key covers the file (absolute path, size, modification time, first 64 KiB) and the mapping:
the same file under the same mapping goes on where it stopped, or is known to be done; a changed
file or another mapping is another import.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.server.importer.mapping import Mapping

HEAD_BYTES = 64 << 10


def import_key(path: Path, mapping: Mapping, tz: str) -> str:
    """Stable key of an import, readable at its start: ``file.csv:3f…``."""
    stat = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(HEAD_BYTES))
    place = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{mapping.fingerprint()}\0{tz}"
    digest.update(place.encode("utf-8", "surrogateescape"))
    return f"{path.name[:80]}:{digest.hexdigest()[:32]}"
