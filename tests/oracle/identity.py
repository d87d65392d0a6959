"""Whose a row is: the rules of identity by brute force, every answer from all that was ever said.

Nothing is swept, kept or updated: each question looks at the whole list of what was said about the
device. So the answers cannot depend on the order in which it was said (but for ``undo``, which is
about what was said before it).

The rules (docs/identity.md). Said of a device and a customer: *together* at a time (a row of any
type with both ids, or a bind), or *apart* (an unbind, or a row ``$UnbindID`` with both; one with a
device alone parts it from everybody). Typed ids are devices of another name.

1. A row with a customer's id is the customer's, whatever device it carries.
2. A customer is *in* on a device at a moment when the last that was said of the two up to then is
   *together* (of one instant, apart comes before together).
3. A row with a device alone is the device's own while nobody ever was in; before the first who ever
   was in, it is his, too; later it is that of the one who is in; with nobody in (after an unbind),
   it is the device's.
4. With two or more in at the row's time the device is shared then: the row is the device's, or, as
   the project is set, that of the first or of the last who logged in.
5. Each moment at which somebody comes in beside somebody else is a conflict. It merges nobody.
6. An undo forgets all that was said of a device and a customer so far.

Ties of different customers at one instant go by their ids, so that they go the same way always.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Owner = tuple[str, str]
"""``("user", id)`` or ``("device", id)``."""
SHARED = ("device", "first_owner", "last_login")


@dataclass(frozen=True)
class Said:
    """One thing said of a device and a customer; of the device and everybody: None."""

    device: str
    customer: str | None
    time: int
    together: bool


@dataclass(frozen=True)
class Conflict:
    """At ``time`` somebody came in on a device on which somebody else was; ``customers``: all who
    were in then, by id.
    """

    device: str
    time: int
    customers: tuple[str, ...]


@dataclass
class OracleIdentity:
    """All that was said. ``shared``: whose the rows of a shared device are."""

    shared: str = "device"
    said: list[Said] = field(default_factory=list)

    def together(self, device: str, customer: str, time: int) -> None:
        """They were seen together, or were bound."""
        self.said.append(Said(device, customer, time, True))

    def apart(self, device: str, customer: str | None, time: int) -> None:
        """They were unbound; None: everybody was."""
        self.said.append(Said(device, customer, time, False))

    def undo(self, device: str, customer: str) -> None:
        """Forgets what was said of the two, not what was said of the device and everybody."""
        self.said = [s for s in self.said if (s.device, s.customer) != (device, customer)]

    def owner(self, user: str | None, device: str | None, time: int) -> Owner:
        """Whose a row with these ids is."""
        if user is not None:
            return ("user", user)
        assert device is not None
        inside = self.inside(device, time)
        if len(inside) == 1:
            return ("user", inside[0])
        if len(inside) > 1:
            if self.shared == "first_owner":
                return ("user", min(inside, key=lambda c: (self.since(device, c, time), c)))
            if self.shared == "last_login":
                return ("user", max(inside, key=lambda c: (self.latest(device, c, time), c)))
            return ("device", device)
        ever = [
            (s.time, s.customer)
            for s in self.said
            if s.device == device and s.together and s.customer is not None
        ]
        if ever and time < min(ever)[0]:
            return ("user", min(ever)[1])
        return ("device", device)

    def inside(self, device: str, time: int) -> list[str]:
        """The customers who are in at a moment, by id."""
        return [c for c in self.customers_of(device) if self._is_in(device, c, time)]

    def _is_in(self, device: str, customer: str, time: int) -> bool:
        until = [s for s in self._of(device, customer) if s.time <= time]
        return bool(until) and max(until, key=lambda s: (s.time, s.together)).together

    def _of(self, device: str, customer: str) -> list[Said]:
        return [s for s in self.said if s.device == device and s.customer in (customer, None)]

    def since(self, device: str, customer: str, time: int) -> int:
        """Since when somebody who is in at ``time`` has been in."""
        until = [s for s in self._of(device, customer) if s.time <= time]
        left = [s.time for s in until if not s.together]
        return min(s.time for s in until if s.together and (not left or s.time >= max(left)))

    def latest(self, device: str, customer: str, time: int) -> int:
        """When the two were last seen together up to ``time``."""
        return max(s.time for s in self._of(device, customer) if s.together and s.time <= time)

    def conflicts(self) -> list[Conflict]:
        """All conflicts, by device and time."""
        found = set()
        for one in self.said:
            inside = self.inside(one.device, one.time)
            came = any(self.since(one.device, c, one.time) == one.time for c in inside)
            if came and len(inside) > 1:
                found.add(Conflict(one.device, one.time, tuple(inside)))
        return sorted(found, key=lambda c: (c.device, c.time))

    def customers_of(self, device: str) -> list[str]:
        """Everybody who ever was in, by id."""
        return sorted(
            {
                s.customer
                for s in self.said
                if s.device == device and s.together and s.customer is not None
            }
        )
