"""Guessing passwords: after some failures, a login from an address has to wait, longer each time.

An attempt counts when it begins and is taken back when it was right, so a burst of guesses at once
is no way around. Addresses that fail with many logins have to wait, too. Known and unknown logins
are alike. Counts are held in memory, bounded, and written to the server's database by a thread, so
a restart forgets none but those of its last moments. What is typed as a login may be a password:
it is kept as a slow hash, salted with its address. Thread-safe.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from zuji.engine.errors import ZujiError
from zuji.server.errors import LockedOut
from zuji.server.meta.tables import FailureRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from zuji.server.meta import Store

log = logging.getLogger(__name__)

FREE = 5
"""Failures of a login from an address before it has to wait."""
FREE_ADDRESS = 50
"""Failures of an address with any logins: a branch may be one address."""
FIRST_S = 30.0
MOST_S = 3600.0
FORGET_S = 24 * 3600.0
ENTRIES = 20_000
SCRYPT_N = 1 << 11
"""2 MiB and some 5 ms of a core."""


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0
    last: float = 0.0


class Lockout:
    """Failures by login and address. ``clock``: seconds since 1970 UTC; when it is set back, nobody
    waits longer than :data:`MOST_S`. ``store``: where they outlive the process; None: nowhere.

    Raises:
        StorageFailed: they cannot be read.
    """

    def __init__(self, clock: Callable[[], float] = time.time, store: Store | None = None) -> None:
        self._clock = clock
        self._store = store
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._unwritten: set[str] = set()
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="zuji-lockout")
        if store is not None:
            self._read(store)

    def begin(self, login: str, address: str) -> None:
        """An attempt begins, and counts as a failure until :meth:`succeeded`.

        Raises:
            LockedOut: it has to wait; nothing was counted.
        """
        now, place = self._clock(), network(address)
        with self._lock:
            pairs = [(_key(login, place), FREE), (_key("", place), FREE_ADDRESS)]
            wait = max(self._wait(key, now) for key, _ in pairs)
            if wait > 0:
                raise LockedOut("too many failed sign-ins", wait)
            for key, free in pairs:
                self._count(key, free, now)

    def succeeded(self, login: str, address: str) -> None:
        """The attempt was right: the login starts again, the address gets one back."""
        place = network(address)
        with self._lock:
            self._forget(_key(login, place))
            key = _key("", place)
            whole = self._failures.get(key)
            if whole is None:
                return
            whole.count -= 1
            if whole.count < FREE_ADDRESS:
                whole.until = 0.0
            if whole.count <= 0:
                self._forget(key)
            else:
                self._write_soon(key)

    def close(self) -> None:
        """Waits for what is being written."""
        self._writer.shutdown(wait=True)

    def _wait(self, key: str, now: float) -> float:
        known = self._failures.get(key)
        if known is None:
            return 0.0
        if now - known.last > FORGET_S:
            self._forget(key)
            return 0.0
        return min(MOST_S, known.until - now)

    def _count(self, key: str, free: int, now: float) -> None:
        known = self._failures.setdefault(key, _Failures())
        self._failures.move_to_end(key)
        known.count += 1
        known.last = now
        if known.count >= free:
            known.until = now + min(MOST_S, FIRST_S * 2.0 ** min(known.count - free, 20))
        self._write_soon(key)
        while len(self._failures) > ENTRIES:
            self._forget(next(iter(self._failures)))

    def _forget(self, key: str) -> None:
        if self._failures.pop(key, None) is not None:
            self._write_soon(key)

    # -- the database ----------------------------------------------------------------------------

    def _read(self, store: Store) -> None:
        oldest = int((self._clock() - FORGET_S) * 1000)
        with store.session() as session:
            session.execute(delete(FailureRow).where(FailureRow.last_ms < oldest))
            newest = select(FailureRow).order_by(FailureRow.last_ms.desc()).limit(ENTRIES)
            for row in reversed(session.scalars(newest).all()):
                found = _Failures(row.count, row.until_ms / 1000, row.last_ms / 1000)
                self._failures[row.digest] = found

    def _write_soon(self, key: str) -> None:
        """REQUIRES: the lock is held. What changes again before it is written is written once."""
        if self._store is None:
            return
        if not self._unwritten:
            self._writer.submit(self._write, self._store)
        self._unwritten.add(key)

    def _write(self, store: Store) -> None:
        with self._lock:
            found = [(key, self._failures.get(key)) for key in self._unwritten]
            rows = [
                FailureRow(
                    digest=key,
                    count=one.count,
                    until_ms=int(one.until * 1000),
                    last_ms=int(one.last * 1000),
                )
                for key, one in found
                if one is not None
            ]
            self._unwritten.clear()
        gone = [key for key, one in found if one is None]
        try:
            with store.session() as session:
                if gone:
                    session.execute(delete(FailureRow).where(FailureRow.digest.in_(gone)))
                for row in rows:
                    session.merge(row)
        except ZujiError as problem:  # they count all the same, until the process ends
            log.warning("failed sign-ins could not be written: %s", problem)


def _key(login: str, place: str) -> str:
    """What is kept of a login and an address: some milliseconds of scrypt, so that whoever gets the
    database cannot try passwords that were typed as logins much faster than those of accounts.
    """
    where = place.encode("utf-8", "surrogateescape")
    if not login:
        return hashlib.sha256(where).hexdigest()
    text = login.encode("utf-8", "surrogateescape")
    return hashlib.scrypt(text, salt=where, n=SCRYPT_N, r=8, p=1, dklen=32).hex()


def network(address: str) -> str:
    """What counts as one address: of IPv6 the /64 that a customer has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
