"""``zuji rejected``: events that were refused: list, show, mend, send again, discard.

With ``--url`` a running server does it; without, the data directory is opened, which a running
server does not allow for writing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

import msgspec

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.cli import render
from zuji.server.cli.opening import at_hand
from zuji.server.cli.outcome import OK, REJECTS, say
from zuji.server.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from zuji.engine.engine import Engine
    from zuji.server.plan.governor import Governor
    from zuji.server.plan.mending import Mend, Which

SHOWN_CHARS = 200
_PAGE = 1_000
_IDS = 200
"""Ids in one request."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the quarantine is: in a data directory, or behind a server's API."""

    data: Path | None
    project: str
    database: str
    url: str
    key: str


@dataclass(frozen=True, slots=True)
class Said:
    """What a mend is made of on the command line."""

    file: Path | None = None
    rename_event: tuple[str, ...] = ()
    rename_property: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    time_free: bool | None = None


class _Side(Protocol):
    def entries(self, which: Which, limit: int) -> Iterator[dict[str, Any]]: ...
    def replay(self, which: Which, mend: Mend | None) -> dict[str, Any]: ...
    def forecast(self, which: Which, mend: Mend | None) -> list[dict[str, Any]]: ...
    def discard(self, which: Which) -> int: ...


def which_of(
    ids: Sequence[str] | None, reason: str | None, from_ms: int | None, to_ms: int | None
) -> Which:
    """The events that options name."""
    from zuji.server.plan.mending import Which

    return Which(tuple(ids) if ids else None, reason, from_ms, to_ms)


def listed(place: Place, which: Which, limit: int, form: str) -> int:
    """Lists events, oldest first."""
    with _side(place, write=False) as side:
        rows = list(side.entries(which, limit))
    if form == "json":
        render.write_text(render.json_text(rows))
        return OK
    if form != "table":
        raise InvalidInput("rejected list has the forms table and json")
    columns = ("id", "received", "reason", "path", "event")
    cells = [
        (r["id"], render.instant(r["received_ms"]), r["reason"], r["path"], _short(r["event"]))
        for r in rows
    ]
    if rows:
        console().print(render.table_of(columns, cells))
    say(f"{len(rows)} events" + (", and there may be more: --limit" if len(rows) == limit else ""))
    return OK


def show(place: Place, entry_id: str) -> int:
    """Prints one event with everything that is known of it."""
    from zuji.server.plan.mending import Which

    with _side(place, write=False) as side:
        found = list(side.entries(Which((entry_id,)), 1))
    if not found:
        raise NotFound(f"there is no rejected event {entry_id!r}; `zuji rejected list` shows them")
    render.write_text(render.json_text(found[0]))
    return OK


def replay(place: Place, which: Which, said: Said, *, dry_run: bool) -> int:
    """Stores events that can be stored now; says which stay and why."""
    which.check()
    mend = mend_of(said)
    with _side(place, write=not dry_run) as side:
        if dry_run:
            rows = side.forecast(which, mend)
            render.write_text(render.json_text(rows))
            return REJECTS if any("code" in row for row in rows) else OK
        done = side.replay(which, mend)
    for one in done["left"]:
        print(f"{one['id']}  {one['code']}  {one['path']}  {one['message']}")
    say(f"{done['stored']} stored, {done['duplicates']} were there, {len(done['left'])} stay")
    return REJECTS if done["left"] else OK


def discard(place: Place, which: Which, *, sure: bool) -> int:
    """Takes events out of the quarantine for good."""
    which.check()
    if not sure:
        raise InvalidInput("what is discarded is gone for good: say --yes")
    with _side(place, write=True) as side:
        gone = side.discard(which)
    say(f"{gone} events discarded")
    return OK


def mend_of(said: Said) -> Mend | None:
    """The mend that options and a file say; options win.

    Raises:
        InvalidInput, NotFound.
    """
    from zuji.server.plan.mending import Mend, read_mend

    base = Mend()
    if said.file is not None:
        if not said.file.is_file():
            raise NotFound(f"{said.file}: no such file")
        base = read_mend(said.file.read_bytes())
    mend = Mend(
        {**base.rename_event, **_pairs("--rename-event", said.rename_event)},
        {**base.rename_property, **_pairs("--rename-property", said.rename_property)},
        (*base.drop, *said.drop),
        {**base.set, **{n: _value(v) for n, v in _pairs("--set", said.set).items()}},
        base.time_free if said.time_free is None else said.time_free,
    )
    return None if mend == Mend() else mend


def _pairs(option: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if not all(equals for _, equals, _ in pairs):
        raise InvalidInput(f"{option} is NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _value(text: str) -> Any:
    """A value as JSON; what is none is text."""
    try:
        return msgspec.json.decode(text, type=str | int | float | bool | list[str] | None)
    except msgspec.MsgspecError:
        return text


def _short(event: Any) -> str:
    text = msgspec.json.encode(event, enc_hook=str).decode()
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


@contextmanager
def _side(place: Place, *, write: bool) -> Iterator[_Side]:
    if place.url:
        yield _Remote(place)
        return
    with at_hand(place.data, place.project, write=write) as engine:
        yield _Local(engine, place)


class _Local:
    """The quarantine of a data directory."""

    def __init__(self, engine: Engine, place: Place) -> None:
        self._engine = engine
        self._place = place

    def entries(self, which: Which, limit: int) -> Iterator[dict[str, Any]]:
        from zuji.server.plan.mending import chosen

        return chosen(self._engine, which, limit)

    def replay(self, which: Which, mend: Mend | None) -> dict[str, Any]:
        with self._governor() as governor:
            return governor.replay(which, mend)

    def forecast(self, which: Which, mend: Mend | None) -> list[dict[str, Any]]:
        with self._governor() as governor:
            return governor.forecast(which, mend, _PAGE)

    def discard(self, which: Which) -> int:
        times = {"from_ms": which.from_ms, "to_ms": which.to_ms}
        return self._engine.discard_rejected(which.ids, reason=which.reason, **times)

    @contextmanager
    def _governor(self) -> Iterator[Governor]:
        from contextlib import closing

        from zuji.server.meta import open_store
        from zuji.server.plan.governor import Governor

        place = self._place
        assert place.data is not None
        with closing(open_store(str(place.data), place.database)) as store:
            yield Governor(place.project, self._engine, store, str(place.data))


class _Remote:
    """The quarantine behind a server's API."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def _asked(self, method: str, path: str, body: object = None) -> Any:
        from zuji.server.cli.asking_api import asked

        return asked(self._place.url, method, path, self._place.key, body)

    def entries(self, which: Which, limit: int) -> Iterator[dict[str, Any]]:
        wanted = None if which.ids is None else set(which.ids)
        filters = {k: v for k, v in msgspec.structs.asdict(which).items() if v and k != "ids"}
        after, count = "", 0
        while count < limit:
            page = {**filters, "limit": _PAGE, **({"after": after} if after else {})}
            rows = self._asked("GET", f"/v1/rejected?{urlencode(page)}")["rows"]
            for row in rows:
                if count < limit and (wanted is None or row["id"] in wanted):
                    count += 1
                    yield row
            if len(rows) < _PAGE:
                return
            after = rows[-1]["id"]

    def replay(self, which: Which, mend: Mend | None) -> dict[str, Any]:
        done: dict[str, Any] = self._asked("POST", "/v1/rejected/replay", _body(which, mend))
        return done

    def forecast(self, which: Which, mend: Mend | None) -> list[dict[str, Any]]:
        body = {**_body(which, mend), "dry_run": True}
        rows: list[dict[str, Any]] = self._asked("POST", "/v1/rejected/replay", body)["rows"]
        return rows

    def discard(self, which: Which) -> int:
        filters = [(k, v) for k, v in msgspec.structs.asdict(which).items() if v and k != "ids"]
        ids = [("id", one) for one in which.ids or ()]
        gone = 0
        for at in range(0, max(1, len(ids)), _IDS):
            asked = urlencode([*filters, *ids[at : at + _IDS]])
            gone += int(self._asked("DELETE", f"/v1/rejected?{asked}")["discarded"])
        return gone


def _body(which: Which, mend: Mend | None) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(which)
    return body if mend is None else {**body, "mend": msgspec.to_builtins(mend)}
