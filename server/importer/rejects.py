"""The file of refused rows: JSON lines ``{"file","row","reason","message","values","import"}``.

Lines are synced. Rows that cannot be read are listed before the rest of them is stored, those that
the target refuses after it did; a row that is read again after a kill is not listed again. The file
is only ever added to, and not made while there is nothing to say. Of a bulk load, a kill in the
moment between the append and the lines of what the engine refused in it can lose these lines; the
events are in the quarantine.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from zuji.engine.errors import InvalidInput
from zuji.server.importer.readers.base import Reject

if TYPE_CHECKING:
    from pathlib import Path


SAMPLES = 5
"""Refused rows that the summary shows."""


class _Line(msgspec.Struct):
    """What is read back of a line."""

    row: int
    reason: str
    message: str
    key: str = msgspec.field(name="import", default="")


class RejectsFile:
    """Appends refused rows to ``path`` (None = only counts them)."""

    def __init__(self, path: Path | None) -> None:
        if path is not None and not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InvalidInput(f"the file for refused rows cannot be written: {path}")
        self.path = path
        self.by_reason: Counter[str] = Counter()
        self.samples: list[str] = []
        self._file: BinaryIO | None = None
        self._listed: dict[str, set[int]] = {}

    @property
    def total(self) -> int:
        """Rows refused, those of earlier runs of unfinished imports too."""
        return self.by_reason.total()

    def resume(self, source: Path, key: str) -> None:
        """Counts what earlier runs of the import listed; these rows are not listed again."""
        if self.path is None or not self.path.exists() or key in self._listed:
            return
        mark = msgspec.json.encode(key)
        seen: set[int] = set()
        earlier: list[Reject] = []
        with self.path.open("rb") as lines:
            for line in lines:
                if mark not in line:
                    continue
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                    one = msgspec.json.decode(line, type=_Line)
                    if one.key == key and one.row not in seen:
                        seen.add(one.row)
                        earlier.append(Reject(one.row, one.reason, one.message))
        self._count(source, earlier)
        self._listed[key] = seen

    def _count(self, source: Path, rejects: list[Reject]) -> None:
        for reject in rejects:
            self.by_reason[reject.reason] += 1
            if len(self.samples) < SAMPLES:
                self.samples.append(
                    f"{source.name}:{reject.row}: {reject.reason}: {reject.message}"
                )

    def add(self, source: Path, rejects: list[Reject], key: str) -> None:
        """Writes and syncs the rejects of one chunk of the import ``key``."""
        listed = self._listed.get(key)
        if listed:
            rejects = [reject for reject in rejects if reject.row not in listed]
        if not rejects:
            return
        self._count(source, rejects)
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
                        "import": key,
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
                self._file = self.path.open("ab+")
                if self._file.seek(0, os.SEEK_END):
                    self._file.seek(-1, os.SEEK_END)
                    if self._file.read(1) != b"\n":  # a kill tore the last line
                        self._file.write(b"\n")
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
