"""Tokens: what stands for a sensitive value. HMAC-SHA-256 of it under a key of the project, so that
equal values have equal tokens and nobody without the key can try values out.

Keys are files of 32 random bytes, mode 0600, in ``token.keys/`` of the data directory (no project
has a name with a dot), never in the database: a dump of it gives nothing away. Losing a key loses
nothing stored, but tokens are others from then on. Thread-safe.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from zuji.engine.errors import InvalidInput, StorageFailed

DIRECTORY = "token.keys"
KEY_BYTES = 32
MARK = "tok_"
_DIGITS = 32
"""Hexadecimal ones of a token: 128 bits."""
_TOKEN = re.compile(rf"{MARK}[0-9a-f]{{{_DIGITS}}}\Z")


class Tokens:
    """Tokens of one project."""

    def __init__(self, key: bytes) -> None:
        self._start = hmac.new(key, digestmod=hashlib.sha256)

    def of(self, text: str) -> str:
        """The token of a text. A token is its own, so that nothing is tokenised twice."""
        if _TOKEN.match(text):
            return text
        digest = self._start.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return MARK + digest.hexdigest()[:_DIGITS]


def tokens_of(data: str | os.PathLike[str], project: str) -> Tokens:
    """Tokens of a project, with a new key when it has none.

    Raises:
        InvalidInput: others may read the key, or it is not one. StorageFailed.
    """
    path = Path(data) / DIRECTORY / project
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as problem:
        raise StorageFailed(f"the key of tokens {path}: {problem.strerror}") from None
    if mode & 0o077:
        raise InvalidInput(f"{path}: others may read this key; make it `chmod 600`")
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"{path}: a key has {KEY_BYTES} bytes, this file has {len(key)}")
    return Tokens(key)


def _make(path: Path) -> None:
    """Writes a new key, whole or not at all; of two that try, one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_bytes(KEY_BYTES))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    for directory in (path.parent, path.parent.parent):  # its entry, and that of a new directory
        entry = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)
