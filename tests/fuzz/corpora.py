"""Corpora: inputs that together reach everything that was reached so far.

The committed ones are one zip a target (tests/fuzz/corpus), small and minimised; a run works on
files of its own under ``.data/fuzz``. An input's name is its SHA-1, as libFuzzer names it.
"""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

from tests.fuzz.catalogue import HERE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

COMMITTED = HERE / "corpus"
BUDGET = 96 * 1024
"""Bytes of a target's inputs that are committed, before the zip."""


def committed(target: str) -> list[bytes]:
    """The inputs in the repository, those that once broke something first."""
    found = [path.read_bytes() for path in sorted((HERE / "found" / target).glob("*"))]
    path = COMMITTED / f"{target}.zip"
    if path.exists():
        with zipfile.ZipFile(path) as kept:
            found += [kept.read(name) for name in kept.namelist()]
    return found


def spread(inputs: Iterable[bytes], folder: Path) -> None:
    """Writes inputs to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        path = folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()
        if not path.exists():
            path.write_bytes(data)


def keep(target: str, folder: Path) -> int:
    """Commits a minimised folder, the shortest inputs first up to :data:`BUDGET`; how many."""
    inputs = sorted((path.read_bytes() for path in folder.iterdir()), key=lambda d: (len(d), d))
    size = 0
    COMMITTED.mkdir(exist_ok=True)
    with zipfile.ZipFile(COMMITTED / f"{target}.zip", "w", zipfile.ZIP_LZMA) as out:
        for count, data in enumerate(inputs):
            size += len(data)
            if size > BUDGET:
                return count
            entry = zipfile.ZipInfo(hashlib.sha1(data, usedforsecurity=False).hexdigest())
            out.writestr(entry, data, zipfile.ZIP_LZMA)
    return len(inputs)
