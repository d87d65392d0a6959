"""Keys of projects: made once, shown once, stored as digests, checked in constant time.

A key is ``zk_<kind>_<id>_<secret>``: the id (not secret) finds the row, the secret has 160 random
bits. Kinds: *write* may send events, *read* may ask, *admin* may do both and manage the project.
:class:`KeyRing` holds all rows in memory and reads them again when the database changed, which is
looked at once every :data:`LOOK_S`. Thread-safe.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import select

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.errors import Forbidden, Unauthorized
from zuji.server.meta.tables import KeyRow

if TYPE_CHECKING:
    from zuji.server.meta import Store

LOOK_S = 0.05
MARK = "zk"
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
ID_CHARS = 8
SECRET_CHARS = 32


class Kind(StrEnum):
    """What a key may do."""

    WRITE = "write"
    READ = "read"
    ADMIN = "admin"

    def may(self, other: Kind) -> bool:
        """Whether a key of this kind does where ``other`` is asked for."""
        return self in (other, Kind.ADMIN)


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. ``revoked_ms``: None while it works."""

    id: str
    project: str
    kind: Kind
    note: str
    created_ms: int
    revoked_ms: int | None = None


def make_key(store: Store, project: str, kind: Kind, note: str = "") -> tuple[Key, str]:
    """A new key, and its text: the only time that anybody sees it.

    Raises:
        InvalidInput: the note is too long. StorageFailed.
    """
    if len(note) > 200:
        raise InvalidInput("a note has at most 200 characters")
    name = "".join(secrets.choice(_ALPHABET) for _ in range(ID_CHARS))
    text = f"{MARK}_{kind[0]}_{name}_" + "".join(
        secrets.choice(_ALPHABET) for _ in range(SECRET_CHARS)
    )
    key = Key(name, project, kind, note, _now_ms())
    with store.session() as session:
        session.add(
            KeyRow(
                id=name,
                project=project,
                kind=str(kind),
                note=note,
                digest=_digest(text),
                created_ms=key.created_ms,
            )
        )
    return key, text


def list_keys(store: Store, project: str | None = None) -> list[Key]:
    """Keys, oldest first; with a project, only its own."""
    with store.session() as session:
        asked = select(KeyRow).order_by(KeyRow.created_ms, KeyRow.id)
        if project is not None:
            asked = asked.where(KeyRow.project == project)
        return [_key(row) for row in session.scalars(asked)]


def revoke_key(store: Store, name: str) -> Key:
    """Takes a key back, by its id or its whole text; running servers refuse it at once.

    Raises:
        NotFound.
    """
    wanted = name.split("_")[2] if name.startswith(f"{MARK}_") and name.count("_") == 3 else name
    with store.session() as session:
        row = session.get(KeyRow, wanted)
        if row is None:
            raise NotFound(f"there is no key {wanted!r}; `zuji key list` shows them")
        if row.revoked_ms is None:
            row.revoked_ms = _now_ms()
        return _key(row)


_NEED = {
    Kind.WRITE: "this key may not send events: make one with `zuji key create --write`",
    Kind.READ: "this key may not ask: make one with `zuji key create --read`",
    Kind.ADMIN: "this key may not manage: make one with `zuji key create --admin`",
}


def bearer(authorization: str) -> str:
    """Key in the value ``Bearer …`` of a header; "" when there is none."""
    scheme, _, text = authorization.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


class KeyRing:
    """All keys, for checking. ``dev``: any key will do, or none."""

    def __init__(self, store: Store, *, dev: bool = False) -> None:
        self._store = store
        self._dev = dev
        self._keys: dict[str, tuple[str, Key]] = {}
        self._known: dict[str, Key] = {}  # texts that were right
        self._looked = float("-inf")
        self._stale = True  # the database changed after the rows here were read
        self._lock = threading.Lock()

    def allowed(self, text: str, need: Kind) -> Key | None:
        """The key of this text, which may do ``need``; None: in development mode, an unknown one.

        Raises:
            Unauthorized: no key, or an unknown one. Forbidden: it may not.
        """
        key = self.find(text) if text else None
        if key is None:
            if self._dev:
                return None
            what = "this key is not known" if text else "no key: send Authorization: Bearer …"
            raise Unauthorized(what)
        if not key.kind.may(need):
            raise Forbidden(_NEED[need])
        return key

    def find(self, text: str) -> Key | None:
        """The key of this text; None when there is none or it was taken back."""
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._look(now)
        known = self._known.get(text)
        if known is not None:
            return known
        parts = text.split("_")
        stored = self._keys.get(parts[2]) if len(parts) == 4 else None
        digest, key = stored if stored is not None else ("0" * 64, None)
        if not hmac.compare_digest(digest, _digest(text)) or key is None:
            return None
        self._known[text] = key
        return key

    def _look(self, now: float) -> None:
        with self._lock:
            if now - self._looked < LOOK_S:
                return
            self._stale = self._store.changed() or self._stale
            if self._stale:  # until rows were read, nobody is let in by older ones
                with self._store.session() as session:
                    rows = session.scalars(select(KeyRow).where(KeyRow.revoked_ms.is_(None)))
                    self._keys = {row.id: (row.digest, _key(row)) for row in rows}
                self._known = {}
                self._stale = False
            self._looked = now


def _key(row: KeyRow) -> Key:
    return Key(row.id, row.project, Kind(row.kind), row.note, row.created_ms, row.revoked_ms)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
