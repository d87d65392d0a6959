"""Sessions of signed-in browsers: a random token of 256 bits in a cookie, its SHA-256 here.

A session ends when nothing was asked with it for ``idle_s``, at the latest ``most_s`` after it
began, by signing out, or with its account's password, disabling, or "sign out everywhere". All
sessions are held in memory and read again when the database changed (looked at every
:data:`LOOK_S`), so an end that another process wrote counts here, too. When a session was last used
is written down once a minute, by a thread. Thread-safe.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select, update

from zuji.engine.errors import ZujiError
from zuji.server.accounts.book import Account, now_ms, of_row
from zuji.server.meta.tables import AccountRow, SessionRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.server.meta import Store

log = logging.getLogger(__name__)

LOOK_S = 0.05
WRITE_MS = 60_000
TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has not ended."""

    digest: str
    account: Account
    created_ms: int


class Sessions:
    """All sessions. ``clock``: ms since 1970 UTC."""

    def __init__(
        self, store: Store, idle_s: float, most_s: float, clock: Callable[[], int] = now_ms
    ) -> None:
        self._store = store
        self._watch = store.watch()
        self._idle_ms, self._most_ms = int(idle_s * 1000), int(most_s * 1000)
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._seen: dict[str, int] = {}
        self._written: dict[str, int] = {}
        self._looked = float("-inf")
        self._stale = True
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="zuji-sessions")

    def start(self, account: Account) -> str:
        """Begins a session; its token. Sessions that ended by time are removed."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = self._clock()
        with self._store.session() as session:
            idle, oldest = now - self._idle_ms, now - self._most_ms
            ended = or_(SessionRow.created_ms < oldest, SessionRow.seen_ms < idle - WRITE_MS)
            session.execute(delete(SessionRow).where(ended))
            session.add(
                SessionRow(digest=digest(token), account=account.id, created_ms=now, seen_ms=now)
            )
        self.changed()
        return token

    def find(self, token: str, *, use: bool = True) -> Session | None:
        """The session of a token; None when there is none, or it has ended. ``use``: it is used
        now, and so ends later.
        """
        if not token:
            return None
        self._look()
        name = digest(token)
        found = self._sessions.get(name)
        if found is None:
            return None
        now, seen = self._clock(), self._seen.get(name, found.created_ms)
        if now - seen > self._idle_ms or now - found.created_ms > self._most_ms:
            return None
        if not use:
            return found
        self._seen[name] = now
        if now - self._written.get(name, found.created_ms) >= WRITE_MS:
            self._written[name] = now
            self._writer.submit(self._write, name, now)
        return found

    def end(self, digest_of: str) -> None:
        """Ends one session."""
        with self._store.session() as session:
            session.execute(delete(SessionRow).where(SessionRow.digest == digest_of))
        self.changed()

    def end_all(self, account: str) -> None:
        """Ends all sessions of an account."""
        with self._store.session() as session:
            session.execute(delete(SessionRow).where(SessionRow.account == account))
        self.changed()

    def changed(self) -> None:
        """Lets the next :meth:`find` read anew: this process wrote."""
        with self._lock:
            self._stale = True
            self._looked = float("-inf")

    def close(self) -> None:
        """Waits for what is being written."""
        self._writer.shutdown(wait=True)
        self._watch.close()

    def _look(self) -> None:
        if time.monotonic() - self._looked < LOOK_S:
            return
        with self._lock:
            if time.monotonic() - self._looked < LOOK_S:
                return
            self._stale = self._watch.changed() or self._stale
            if self._stale:  # until rows were read, nobody is let in by older ones
                self._read()
                self._stale = False
            self._looked = time.monotonic()

    def _read(self) -> None:
        with self._store.session() as session:
            rows = session.execute(
                select(SessionRow, AccountRow)
                .join(AccountRow, AccountRow.id == SessionRow.account)
                .where(AccountRow.disabled.is_(False))
            ).all()
            found = {
                one.digest: Session(one.digest, of_row(account), one.created_ms)
                for one, account in rows
            }
            written = {one.digest: one.seen_ms for one, _ in rows}
        self._seen = {
            name: max(self._seen.get(name, 0), seen_ms) for name, seen_ms in written.items()
        }
        self._written = {
            name: max(self._written.get(name, 0), seen_ms) for name, seen_ms in written.items()
        }
        self._sessions = found

    def _write(self, name: str, seen_ms: int) -> None:
        try:
            with self._store.session() as session:
                session.execute(
                    update(SessionRow).where(SessionRow.digest == name).values(seen_ms=seen_ms)
                )
        except ZujiError as problem:  # the session lasts, but may end early after a restart
            log.warning("the use of a session could not be written: %s", problem)


def digest(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def csrf_of(token: str) -> str:
    """What a page must send beside the cookie of this token. It cannot be guessed without the
    cookie, and the cookie cannot be found from it.
    """
    return hmac.new(token.encode("utf-8", "surrogateescape"), b"csrf", "sha256").hexdigest()
