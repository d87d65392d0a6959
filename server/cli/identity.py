"""``zuji id``: in a data directory, or by a running server.

With ``--url`` a running server does it; without, the data directory is opened, which a running
server does not allow for writing.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from rich.table import Table

from zuji.engine.calendars import parse_instant
from zuji.engine.errors import InvalidInput
from zuji.server.cli import render
from zuji.server.cli.opening import at_hand
from zuji.server.cli.outcome import OK, say
from zuji.server.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zuji.engine.people.identities import Identities
    from zuji.server.cli.people import Place

_SHOWN = 1_000
"""Rows that a server is asked for at once."""


class _Side(Protocol):
    def of(self, id_: str) -> dict[str, Any]: ...
    def say(self, what: str, user: str | None, device: str, rest: dict[str, Any]) -> Any: ...
    def log(self, after: int, limit: int) -> list[dict[str, Any]]: ...
    def conflicts(self, limit: int) -> list[dict[str, Any]]: ...
    def shared(self) -> str: ...
    def set_shared(self, whose: str, by: str) -> None: ...


def show(place: Place, id_: str, form: str) -> int:
    """Prints what is known of an id."""
    with _side(place, write=False) as side:
        found = side.of(id_)
    if form == "json":
        render.write_text(render.json_text(found))
        return OK
    if found["customer"] is not None:
        devices = found["customer"]["devices"]
        say(f"customer {id_}: {len(devices):,} devices")
        table = Table("device", "since", box=None)
        for one in devices:
            table.add_row(one["device_id"], _shown(one["since"]))
        if devices:
            console().print(table)
    if found["device"] is not None:
        say(f"device {id_}: whose its own events are")
        table = Table("from", "to", "customer", box=None)
        for one in found["device"]["owners"]:
            begin, end = (_shown(one[name]) for name in ("from", "to"))
            table.add_row(begin or "ever", end or "still", one["user_id"] or "its own")
        console().print(table)
    return OK


def say_of(
    place: Place, what: str, user: str | None, device: str, time: str, by: str, why: str
) -> int:
    """Binds, unbinds or undoes."""
    rest = {"time": _moment(time), "by": by, "why": why}
    with _side(place, write=True) as side:
        noted = side.say(what, user, device, rest)
    about = f"{device} and {user or 'everybody'}"
    said = {"bind": "together", "unbind": "apart", "undo": "undone"}[what]
    moment = "" if what == "undo" else f" from {_shown(noted['time'])} on"
    say(f"{about}: {said}{moment}; number {noted['n']} of the log")
    return OK


def log(place: Place, after: int, limit: int, form: str) -> int:
    """Prints what was said by hand."""
    with _side(place, write=False) as side:
        found = side.log(after, limit)
    if form == "json":
        render.write_text(render.json_text(found))
        return OK
    table = Table("n", "said at", "what", "customer", "device", "from", "by", "why", box=None)
    for one in found:
        what = one.get("shared") or one.get("user_id") or "everybody"
        table.add_row(
            *(str(one["n"]), _shown(one["received_ms"]), one["what"], what),
            *(one.get("device_id") or "", _shown(one.get("time"))),
            *(one.get("by") or "", one.get("why") or ""),
        )
    if found:
        console().print(table)
    else:
        say("nothing was said by hand")
    return OK


def conflicts(place: Place, limit: int, form: str) -> int:
    """Prints when devices came to be shared."""
    with _side(place, write=False) as side:
        found = side.conflicts(limit)
    if form == "json":
        render.write_text(render.json_text(found))
        return OK
    table = Table("device", "since", "customers", box=None)
    for one in found:
        table.add_row(one["device_id"], _shown(one["time"]), ", ".join(one["user_ids"]))
    if found:
        console().print(table)
    else:
        say("no device is shared")
    return OK


def shared(place: Place, whose: str, by: str) -> int:
    """Prints or changes whose the events of shared devices are."""
    with _side(place, write=bool(whose)) as side:
        if whose:
            side.set_shared(whose, by)
        print(side.shared())
    return OK


def _moment(text: str) -> int | None:
    if not text:
        return None
    if text.isdecimal() and len(text) <= 15:
        return int(text)
    try:
        return parse_instant(text)
    except ValueError as problem:
        raise InvalidInput(f"--time: {problem}") from None


def _shown(ms: int | None) -> str:
    if ms is None:
        return ""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace(".000", "").replace("+00:00", "Z")


@contextmanager
def _side(place: Place, *, write: bool) -> Iterator[_Side]:
    if place.url:
        yield _Remote(place)
        return
    with at_hand(place.data, place.project, write=write) as engine:
        yield _Local(engine.identity)


class _Local:
    """The identities of a data directory."""

    def __init__(self, identity: Identities) -> None:
        self._identity = identity

    def of(self, id_: str) -> dict[str, Any]:
        return self._identity.of(id_)

    def say(self, what: str, user: str | None, device: str, rest: dict[str, Any]) -> Any:
        time, by, why = rest["time"], rest["by"] or None, rest["why"] or None
        if what == "unbind":
            return self._identity.unbind(user, device, time, by=by, why=why)
        assert user is not None
        if what == "bind":
            return self._identity.bind(user, device, time, by=by, why=why)
        return self._identity.undo(user, device, by=by, why=why)

    def log(self, after: int, limit: int) -> list[dict[str, Any]]:
        return self._identity.log(after=after, limit=limit)

    def conflicts(self, limit: int) -> list[dict[str, Any]]:
        return list(islice(self._identity.conflicts(), limit))

    def shared(self) -> str:
        return self._identity.shared_device

    def set_shared(self, whose: str, by: str) -> None:
        self._identity.set_shared_device(whose, by=by or None)


class _Remote:
    """The identities of a project behind a server's API."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def _asked(self, method: str, path: str, body: object = None) -> Any:
        from zuji.server.cli.asking_api import asked

        return asked(self._place.url, method, path, self._place.key, body)

    def of(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = self._asked("GET", f"/v1/identity?id={quote(id_, safe='')}")
        return found

    def say(self, what: str, user: str | None, device: str, rest: dict[str, Any]) -> Any:
        return self._asked(
            "POST", "/v1/identity", {"what": what, "user_id": user, "device_id": device, **rest}
        )

    def log(self, after: int, limit: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < limit:
            last = found[-1]["n"] if found else after
            most = min(limit - len(found), _SHOWN)
            rows = self._asked("GET", f"/v1/identity/log?after={last}&limit={most}")["rows"]
            found += rows
            if len(rows) < most:
                break
        return found

    def conflicts(self, limit: int) -> list[dict[str, Any]]:
        path = f"/v1/identity/conflicts?limit={min(limit, _SHOWN)}"
        rows: list[dict[str, Any]] = self._asked("GET", path)["rows"]
        return rows

    def shared(self) -> str:
        return str(self._asked("GET", "/v1/identity/settings")["shared_device"])

    def set_shared(self, whose: str, by: str) -> None:
        self._asked("PUT", "/v1/identity/settings", {"shared_device": whose, "by": by})
