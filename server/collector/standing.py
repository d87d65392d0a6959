"""Standing: who sent much lately that was refused, and what comes of it.

What is refused costs more than what is stored: each event has a reason and a place in the
quarantine, and whoever took a key out of an app can send nothing else. So a sender, that is an
address with a key (of IPv6 its /64; a key that stands in bodies is not known before they are read),
*owes* a unit for each refused event, and one more for each KiB of it. A stored event pays a unit
back, and so does time, ``rate`` units a second. Who owes anything waits in a queue of his own, and
holds up nobody else there; who owes more than ``rate`` × :data:`BURST_S` is told to come back when
he owes nothing. Behind a proxy that is not trusted all addresses are the proxy's: of what a private
address says to have forwarded the sender is not known, and nothing is counted.

Used on the loop's thread only. At most :data:`MOST` senders are remembered.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from zuji.engine.errors import InvalidEvent, Overloaded, ZujiError
from zuji.server.enrich import client_address, networks
from zuji.server.errors import BadBody
from zuji.server.plan.repeats import ToldAgain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.batch import Rejected
    from zuji.engine.writer import AppendResult
    from zuji.server.collector.message import Request

    Who = tuple[str, str]
    """Address and key."""

BURST_S = 20.0
"""So many seconds' worth may be refused at once before anybody is told to wait."""
MOST = 10_000
LONGEST_S = 60.0
"""Nobody is told to wait longer, however much he owes."""
TIDY_S = 10.0
CODED = 8
"""A body that comes compressed costs so many times its bytes."""
_UNIT = 1024
_KEPT = frozenset({"kept_item", "kept_group", "encrypted", "unsupported"})
"""Reasons of what is in order and only has no place yet: it is nobody's fault."""
_IPV6_NETWORK = 64


class Throttled(Overloaded):
    """Most of what this sender brings is refused: he may come back after ``retry_after`` s."""

    code = "throttled"


@dataclass(slots=True)
class _Debt:
    units: float
    at: float
    peer: str
    held: bool = False  # until nothing is owed


class Standing:
    """What senders owe. ``rate``: units a second that time pays back; 0: nobody owes anything.
    ``proxies``: the setting ``trusted_proxies``. ``wary``: peers through which somebody owes.
    """

    def __init__(
        self, rate: float, proxies: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._proxies = networks(proxies)
        self._clock = clock
        self._debts: dict[Who, _Debt] = {}
        self._tidied = clock()
        self.wary: Counter[str] = Counter()

    def check(self, request: Request, key: str) -> bool:
        """Lets a request in. True: its sender owes something, and waits behind all others.

        Raises:
            Throttled: its sender is to come back later.
        """
        debt = self._debt(self._who(request, key))
        if debt is not None and debt.held:
            wait = debt.units / self._rate
            raise Throttled(
                "most of what comes from this address with this key is refused: see what is in the "
                f"quarantine; more is taken in {wait:.0f} s",
                wait,
            )
        return debt is not None

    def settle(self, request: Request, key: str, refused: int, stored: int = 0) -> None:
        """A request was answered: so many units of it were refused, so many events stored."""
        if self._rate == 0 or (refused == 0 and request.peer not in self.wary):
            return
        who, now = self._who(request, key), self._clock()
        if who is None:
            return
        debt = self._debt(who)
        units = (0.0 if debt is None else debt.units) + refused - stored
        if units <= 0:
            self._forget(who)
            return
        if debt is None:
            debt = self._debts[who] = _Debt(units, now, request.peer)
            self.wary[request.peer] += 1
            if len(self._debts) > MOST:
                self._forget(next(iter(self._debts)))
        debt.units, debt.at = min(units, self._rate * LONGEST_S), now
        debt.held = debt.held or units > self._rate * BURST_S
        if now - self._tidied > TIDY_S:
            self._tidied = now
            for one in tuple(self._debts):
                self._debt(one)

    def _who(self, request: Request, key: str) -> Who | None:
        """None: nobody knows."""
        address = client_address(request, self._proxies)
        if address == request.peer and b"x-forwarded-for" in request.headers and _private(address):
            return None
        return _network(address), key

    def _debt(self, who: Who | None) -> _Debt | None:
        """What somebody owes by now."""
        debt = self._debts.get(who) if who is not None else None
        if debt is None or who is None:
            return None
        now = self._clock()
        debt.units -= self._rate * (now - debt.at)
        debt.at = now
        if debt.units <= 0:
            self._forget(who)
            return None
        return debt

    def _forget(self, who: Who) -> None:
        debt = self._debts.pop(who, None)
        if debt is not None:
            self.wary[debt.peer] -= 1
            if self.wary[debt.peer] <= 0:
                del self.wary[debt.peer]


@lru_cache(4096)
def _network(address: str) -> str:
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((address, _IPV6_NETWORK), strict=False))


@lru_cache(4096)
def _private(address: str) -> bool:
    return bool(address) and ipaddress.ip_address(address).is_private


def units_of(refused: Sequence[Rejected]) -> int:
    """What refused events cost."""
    return sum(1 + len(one.raw) // _UNIT for one in refused if one.reason not in _KEPT)


def units_of_body(request: Request, error: ZujiError) -> int:
    """What a request costs that was refused as a whole; 0 for errors that are not the sender's."""
    if not isinstance(error, InvalidEvent | BadBody):
        return 0
    size = len(request.body) + len(request.query)
    return 1 + size * (CODED if request.header(b"content-encoding") else 1) // _UNIT


def sums(results: Sequence[AppendResult], refused: Sequence[Rejected]) -> tuple[int, int]:
    """Units refused and events stored of a request; repeats count as neither."""
    units, stored = units_of(refused), 0
    for one in results:
        stored += one.accepted
        if one.rejected and not isinstance(one, ToldAgain):
            units += units_of(one.rejected)
    return units, stored
