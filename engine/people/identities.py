"""Identities: which ids were seen together, whose the events of a device are, and saying otherwise
by hand (docs/identity.md).

Thread-safe. What is said is in the log and synced on return, and counts in queries that begin
later.
"""

from __future__ import annotations

import datetime as dt
from itertools import islice
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import InvalidInput, NotFound, ReadOnly
from zuji.engine.index.links import place_of
from zuji.engine.index.owners import BEGINNING, ITSELF, SHARED
from zuji.engine.ingest.seen import UNTYPED
from zuji.engine.types import TYPED_ID
from zuji.engine.writer.saying import BIND, SHARE, UNBOUND, UNDO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.index.owners import Facts, Owners
    from zuji.engine.writer import Writer

ID_BYTES = 255


class Identities:
    """The identities of one project."""

    def __init__(self, writer: Writer, *, writable: bool) -> None:
        self._writer = writer
        self._writable = writable

    # -- by hand -------------------------------------------------------------------------------

    def bind(
        self,
        user_id: str,
        device_id: str,
        time: int | dt.datetime | None = None,
        *,
        by: str | None = None,
        why: str | None = None,
    ) -> dict[str, Any]:
        """Says that a device (or a typed id, ``$identity_NAME+VALUE``) is a customer's from a
        moment on, ms UTC (now). ``by``, ``why``: noted in the log. Returns the entry of the log.

        Raises:
            InvalidInput: an id is empty or too long, or the time is not one.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        return self._say(BIND, user_id, device_id, time, by, why)

    def unbind(
        self,
        user_id: str | None,
        device_id: str,
        time: int | dt.datetime | None = None,
        *,
        by: str | None = None,
        why: str | None = None,
    ) -> dict[str, Any]:
        """Says that they are apart from a moment on; without a customer, that everybody is. Errors
        as :meth:`bind`.
        """
        return self._say(UNBOUND, user_id, device_id, time, by, why)

    def undo(
        self, user_id: str, device_id: str, *, by: str | None = None, why: str | None = None
    ) -> dict[str, Any]:
        """Forgets all that was said of the two up to now, as if it had never been.

        Raises:
            NotFound: nothing was. Else as :meth:`bind`.
        """
        return self._say(UNDO, user_id, device_id, None, by, why)

    @property
    def shared_device(self) -> str:
        """Whose the events of a device are on which several customers are: ``device``,
        ``first_owner`` or ``last_login``.
        """
        return self._writer.links.shared

    def set_shared_device(self, shared: str, *, by: str | None = None) -> None:
        """Changes :attr:`shared_device`, for all events, those stored before too.

        Raises:
            InvalidInput: not one of the three. Else as :meth:`bind`.
        """
        if shared not in SHARED:
            raise InvalidInput(f"shared_device is one of {', '.join(SHARED)}, got {shared!r}")
        self._check()
        if shared != self.shared_device:
            self._writer.say({"what": SHARE, "shared": shared, "by": by})

    # -- what is known -------------------------------------------------------------------------

    def of(self, id_: str, type: str | None = None) -> dict[str, Any]:
        """What is known of an id, a customer's or a device's. ``type``: of a typed id its name, so
        that ``of("138…", "mobile")`` is ``of("$identity_mobile+138…")``.

        ``{"id", "customer": {…} | None, "device": {…} | None}``: as a customer ``devices``, each
        with the moment of ``since``; as a device ``owners``, each with ``from`` and ``to`` (None:
        ever, still) and ``user_id`` (None: its own), and ``seen`` with whom, when first and by what
        record (None: it is gone; :func:`~zuji.engine.writer.saying.record_of`), apart when. All
        times ms UTC. O(linked devices) for a customer; of a device its customers' rows are read.

        Raises:
            NotFound: nobody has it. InvalidInput: no type is called so.
        """
        writer = self._writer
        if type is not None:
            id_ = _typed(id_, type)
        user, device = b"u" + id_.encode(), b"d" + id_.encode()
        with writer.lock:
            place = writer.identity.find(user)
            facts = writer.links.said_of(device)
            alone = writer.identity.find(device)
            if place is None and facts is None and alone is None:
                raise NotFound(f"nobody has the id {id_!r}")
            devices = None
            if place is not None:
                devices = [
                    {"device_id": name, "since": since}
                    for name, since in writer.links.devices_of(place_of(*place))
                ]
            periods = None if facts is None else writer.links.periods_of(device)
            return {
                "id": id_,
                "customer": None if devices is None else {"devices": devices},
                "device": self._device(device, facts, periods, alone is not None),
            }

    def _device(
        self, device: bytes, facts: Facts | None, periods: Owners | None, alone: bool
    ) -> dict[str, Any] | None:
        if facts is None or periods is None:
            return {"owners": [_period(None, None, None)], "seen": []} if alone else None
        ends = [*periods.start[1:], None]
        owners = [
            _period(start if start != BEGINNING else None, end, self._name(owner))
            for start, end, owner in zip(periods.start, ends, periods.owner, strict=True)
        ]
        seen = [
            {
                "user_id": self._name(place),
                "first": min(pair.together),
                "by": self._writer.record_of(device, place, min(pair.together)),
                "apart": pair.apart,
            }
            for place, pair in facts.pairs.items()
            if pair.together
        ]
        return {"owners": owners, "seen": seen}

    def _name(self, place: int) -> str | None:
        return None if place == ITSELF else self._writer.links.name(place)

    def log(self, *, after: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        """What was said by hand, oldest first: ``n, received_ms, what`` (``bind``, ``unbind``,
        ``undo``, ``shared_device``), ``user_id, device_id, time, by, why``. ``after``: those with
        a larger ``n``.
        """
        with self._writer.lock:
            entries = list(self._writer.link_store.log)
        shown = ({k: v for k, v in e.items() if k != "place"} for e in entries if e["n"] > after)
        return list(islice(shown, limit))

    def conflicts(self) -> Iterator[dict[str, Any]]:
        """Moments at which a customer came in on a device on which somebody else was: ``device_id,
        time, user_ids``, by device and time. Nobody was merged.
        """
        with self._writer.lock:
            found = sorted(self._writer.links.conflicts())
        for device, time, users in found:
            yield {"device_id": device, "time": time, "user_ids": list(users)}

    # -- inside --------------------------------------------------------------------------------

    def _say(
        self,
        what: str,
        user_id: str | None,
        device_id: str,
        time: int | dt.datetime | None,
        by: str | None,
        why: str | None,
    ) -> dict[str, Any]:
        self._check()
        if user_id is not None or what != UNBOUND:
            _check_id(user_id, "user_id")
        _check_id(device_id, "device_id")
        entry = {
            "what": what,
            "user_id": user_id,
            "device_id": device_id,
            "time": self._moment(time),
            "by": by,
            "why": why,
        }
        noted = self._writer.say(entry)
        return {key: value for key, value in noted.items() if key != "place"}

    def _moment(self, time: int | dt.datetime | None) -> int:
        if time is None:
            return self._writer.now_ms()
        if isinstance(time, dt.datetime):
            if time.tzinfo is None:
                raise InvalidInput("the time needs a time zone (tzinfo=…), or milliseconds UTC")
            time = round(time.timestamp() * 1000)
        if isinstance(time, bool) or not isinstance(time, int):
            raise InvalidInput(f"a time is milliseconds UTC or a datetime, got {time!r}")
        limits = self._writer.config.limits
        if not limits.time_min_ms <= time < limits.time_max_ms:
            raise InvalidInput("times lie in the years 1900 to 2199")
        return time

    def _check(self) -> None:
        self._writer.check_open()
        if not self._writable:
            raise ReadOnly("the project is open for reading")


def _period(start: int | None, end: int | None, user_id: str | None) -> dict[str, Any]:
    return {"from": start, "to": end, "user_id": user_id}


def _typed(id_: str, name: str) -> str:
    if not name or "+" in name or TYPED_ID + name in UNTYPED:
        raise InvalidInput(
            f"no typed id is called {name!r}: a type is the name after $identity_, as in mobile"
        )
    return f"{TYPED_ID}{name}+{id_}"


def _check_id(value: object, name: str) -> None:
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{name} is a text that is not empty, got {value!r}")
    if len(value.encode(errors="replace")) > ID_BYTES:
        raise InvalidInput(f"{name} has at most {ID_BYTES} bytes")
