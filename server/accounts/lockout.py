"""Guessing passwords: after some failures, a login from an address has to wait, longer each time.

An attempt counts when it begins and is taken back when it was right, so a burst of guesses at once
is no way around. Addresses that fail with many logins have to wait, too. Known and unknown logins
are alike. In memory, bounded, lost with the process (guessers cannot restart it). Thread-safe.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zuji.server.errors import LockedOut

if TYPE_CHECKING:
    from collections.abc import Callable

FREE = 5
"""Failures of a login from an address before it has to wait."""
FREE_ADDRESS = 50
"""Failures of an address with any logins: a branch may be one address."""
FIRST_S = 30.0
MOST_S = 3600.0
FORGET_S = 24 * 3600.0
ENTRIES = 20_000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0
    last: float = 0.0


class Lockout:
    """Failures by login and address. ``clock``: seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, login: str, address: str) -> None:
        """An attempt begins, and counts as a failure until :meth:`succeeded`.

        Raises:
            LockedOut: it has to wait; nothing was counted.
        """
        now, place = self._clock(), network(address)
        with self._lock:
            pairs = [((login, place), FREE), (("", place), FREE_ADDRESS)]
            wait = max(self._wait(key, now) for key, _ in pairs)
            if wait > 0:
                raise LockedOut("too many failed sign-ins", wait)
            for key, free in pairs:
                self._count(key, free, now)

    def succeeded(self, login: str, address: str) -> None:
        """The attempt was right: the login starts again, the address gets one back."""
        place = network(address)
        with self._lock:
            self._failures.pop((login, place), None)
            whole = self._failures.get(("", place))
            if whole is not None:
                whole.count -= 1
                if whole.count < FREE_ADDRESS:
                    whole.until = 0.0
                if whole.count <= 0:
                    del self._failures[("", place)]

    def _wait(self, key: tuple[str, str], now: float) -> float:
        known = self._failures.get(key)
        if known is None:
            return 0.0
        if now - known.last > FORGET_S:
            del self._failures[key]
            return 0.0
        return known.until - now

    def _count(self, key: tuple[str, str], free: int, now: float) -> None:
        known = self._failures.setdefault(key, _Failures())
        self._failures.move_to_end(key)
        known.count += 1
        known.last = now
        if known.count >= free:
            known.until = now + min(MOST_S, FIRST_S * 2.0 ** min(known.count - free, 20))
        while len(self._failures) > ENTRIES:
            self._failures.popitem(last=False)


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
