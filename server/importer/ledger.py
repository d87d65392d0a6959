"""What makes an import the same one: a file as it is now, and what was said about it.

The key covers the file (absolute path, size, modification time, first 64 KiB) and the mapping:
the same file under the same mapping goes on where it stopped, or is known to be done. While an
import is unfinished, a mark under the path alone tells that the file was another one when it began:
going on would mix two files (:func:`check_unchanged`). A finished import leaves no mark, so that
tomorrow's file of the same name is a new import.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.server.importer.mapping import Mapping

HEAD_BYTES = 64 << 10


def identity(path: Path) -> str:
    """32 hexadecimal digits of the file as it is now."""
    stat = path.stat()
    digest = hashlib.sha256(f"{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    with path.open("rb") as file:
        digest.update(file.read(HEAD_BYTES))
    return digest.hexdigest()[:32]


def import_key(path: Path, mapping: Mapping, how: str) -> str:
    """Stable key of an import, readable at its start: ``file.csv:3f…``. ``how``: the zone, and
    whatever else decides how the file is read.
    """
    digest = hashlib.sha256(f"{identity(path)}\0".encode())
    digest.update(_said(path, mapping, how))
    return f"{path.name[:80]}:{digest.hexdigest()[:32]}"


def mark_key(path: Path, mapping: Mapping, how: str) -> str:
    """Key of the mark of an unfinished import: the same for whatever the file holds."""
    return f"{path.name[:80]}@{hashlib.sha256(_said(path, mapping, how)).hexdigest()[:32]}"


def mark_of(key: str) -> int:
    """The mark of an import: a positive number of its key."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:15], 16) + 1


def changed(path: Path) -> InvalidInput:
    """The error of a file that is not the one whose import stopped."""
    return InvalidInput(
        f"{path} was changed since its import stopped in the middle: put the old file back to go "
        "on, or give --anew to import it from its start (rows without an insert id that are in "
        "already would be stored twice)"
    )


def _said(path: Path, mapping: Mapping, how: str) -> bytes:
    text = f"{path.resolve()}\0{mapping.fingerprint()}\0{how}"
    return text.encode("utf-8", "surrogateescape")
