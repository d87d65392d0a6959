"""The file of refused rows: JSON lines ``{"file","row","reason","message","values"}``.

Lines are added after their append is safe in the project, and synced, so that the file never lists
a row that will be read again. It is only ever added to, and not made while there is nothing to say.
A kill between the two steps can lose the lines of that one append, never a row that was taken in.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from zuji.server.importer.readers.base import Reject


class RejectsFile:
    """Appends refused rows to ``path`` (None = only counts them)."""

    def __init__(self, path: Path | None) -> None:
        if path is not None and not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InvalidInput(f"the file for refused rows cannot be written: {path}")
        self.path = path
        self.by_reason: Counter[str] = Counter()
        self.samples: list[str] = []
        self._file: BinaryIO | None = None

    @property
    def total(self) -> int:
        """Rows refused in this run."""
        return self.by_reason.total()

    def add(self, source: Path, rejects: list[Reject]) -> None:
        """Writes and syncs the rejects of one chunk."""
        if not rejects:
            return
        for reject in rejects:
            self.by_reason[reject.reason] += 1
            if len(self.samples) < 3:
                self.samples.append(
                    f"{source.name}:{reject.row}: {reject.reason}: {reject.message}"
                )
        file = self._open()
        if file is None:
            return
        encode = msgspec.json.Encoder(enc_hook=str).encode
        file.write(
            b"".join(
                encode(
                    {
                        "file": str(source),
                        "row": r.row,
                        "reason": r.reason,
                        "message": r.message,
                        "values": r.values,
                    }
                )
                + b"\n"
                for r in rejects
            )
        )
        file.flush()
        os.fsync(file.fileno())

    def _open(self) -> BinaryIO | None:
        if self._file is None and self.path is not None:
            try:
                self._file = self.path.open("ab")
            except OSError as error:
                raise InvalidInput(
                    f"the file for refused rows cannot be written: {self.path}: {error.strerror}"
                ) from error
        return self._file

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> RejectsFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
