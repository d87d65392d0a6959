"""``zuji erase``, ``zuji export-user``, ``zuji ttl``: in a data directory, or by a running server.

With ``--url`` a running server does it; without, the data directory is opened, which a running
server does not allow for writing.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from zuji.engine.errors import InvalidInput, NotFound
from zuji.server.cli import ids, render
from zuji.server.cli.opening import at_hand
from zuji.server.cli.outcome import OK, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from zuji.engine.people.people import People

_EVER = "ever"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the project is: in a data directory, or behind a server's API."""

    data: Path | None
    project: str
    url: str
    key: str


class _Side(Protocol):
    def erase(self, people: Sequence[dict[str, str]], by: str, reason: str) -> dict[str, Any]: ...
    def purge(self) -> dict[str, Any]: ...
    def erasures(self) -> list[dict[str, Any]]: ...
    def ledger(self) -> bytes: ...
    def replay(self, copy: bytes | None) -> dict[str, Any]: ...
    def set_erased_ids(self, setting: str) -> None: ...
    def export(self, person: dict[str, str], form: str, out: BinaryIO) -> None: ...
    def ttl(self) -> dict[str, Any]: ...
    def set_ttl(self, months: int | None, events: dict[str, int | None]) -> None: ...
    def apply_ttl(self, by: str) -> dict[str, Any]: ...


def named(
    users: Sequence[str] | None,
    devices: Sequence[str] | None,
    typed: Sequence[str] | None,
    file: Path | None,
    file_type: str = "user_id",
) -> list[dict[str, str]]:
    """People that options and a file of ids name."""
    found = [{"user_id": one} for one in users or ()] + [
        {"device_id": one} for one in devices or ()
    ]
    found += [ids.person(text) for text in typed or ()]
    if file is not None:
        kind = ids.id_type(file_type)
        if not file.is_file():
            raise NotFound(f"{file}: no such file")
        lines = file.read_text("utf-8-sig").splitlines()
        found += [{kind: line.strip()} for line in lines if line.strip()]
    return found


def erase(
    place: Place,
    people: Sequence[dict[str, str]],
    by: str,
    reason: str,
    *,
    purge: bool,
    sure: bool,
) -> int:
    """Erases people."""
    if not people:
        raise InvalidInput("say whom to erase: --user-id, --device-id, --id or --file")
    if not sure:
        raise InvalidInput("who is erased is gone for good: say --yes")
    with _side(place, write=True) as side:
        done = side.erase(people, by, reason)
        gone = side.purge() if purge else None
    say(
        f"{done['erased']} ids erased, {done['unknown']} people were not known, {done['rejected']} "
        f"rejected events removed; number {done['number']} of the ledger"
    )
    if gone is None:
        say("their bytes go with the next `zuji compact`, or `zuji erase --purge`")
    else:
        _say_purged(gone)
    return OK


def purge(place: Place) -> int:
    """Removes the bytes of erased people."""
    with _side(place, write=True) as side:
        _say_purged(side.purge())
    return OK


def _say_purged(done: dict[str, Any]) -> None:
    say(f"{done['rows']:,} rows of {done['users']} ids removed, {done['bytes']:,} bytes less")


def listed(place: Place) -> int:
    """Prints the ledger."""
    with _side(place, write=False) as side:
        render.write_text(render.json_text(side.erasures()))
    return OK


def save_ledger(place: Place, file: Path) -> int:
    """Writes the ledger to a file."""
    with _side(place, write=False) as side:
        text = side.ledger()
    file.write_bytes(text)
    say(f"{len(text.splitlines())} entries in {file}")
    return OK


def replay(place: Place, file: Path | None) -> int:
    """Carries out what a ledger says."""
    if file is not None and not file.is_file():
        raise NotFound(f"{file}: no such file")
    copy = None if file is None else file.read_bytes()
    with _side(place, write=True) as side:
        done = side.replay(copy)
    say(f"{done['entries']} entries carried out, {done['erased']} ids erased")
    return OK


def set_erased_ids(place: Place, setting: str) -> int:
    """Says what becomes of erased ids that come again."""
    with _side(place, write=True) as side:
        side.set_erased_ids(setting)
    say(f"erased ids that come again: {setting}")
    return OK


def export(place: Place, people: Sequence[dict[str, str]], output: Path | None) -> int:
    """Writes everything about one person."""
    if len(people) != 1:
        raise InvalidInput("name one person: --user-id, --device-id or --id, once")
    form = "zip" if output is not None and output.suffix == ".zip" else "lines"
    with _side(place, write=False) as side:
        if output is None:
            side.export(people[0], form, sys.stdout.buffer)
            return OK
        with output.open("wb") as out:
            side.export(people[0], form, out)
    return OK


def ttl(
    place: Place,
    months: str | None,
    events: Sequence[str],
    by: str,
    *,
    dry_run: bool,
    apply: bool,
    sure: bool,
) -> int:
    """Shows or changes how long events live, says what would go, or lets it go."""
    setting = months is not None or bool(events)
    if apply and (setting or dry_run):
        raise InvalidInput("--apply does what was set before: say it alone")
    if apply and not sure:
        raise InvalidInput("what has lived for long enough is gone for good: say --yes")
    with _side(place, write=apply or setting) as side:
        if apply:
            done = side.apply_ttl(by)
            say(f"{done['rows']:,} rows of {len(done['events'])} events removed")
            return OK
        if setting:
            before = side.ttl()["settings"]
            each = dict(before["events"])
            for text in events:
                name, equals, value = text.rpartition("=")
                if not equals or not name:
                    raise InvalidInput(f"--event is NAME=N, got {text!r}")
                each[name] = _months(value)
            side.set_ttl(before["months"] if months is None else _months(months), each)
        told = side.ttl()
    render.write_text(render.json_text(told["plan"] if dry_run else told))
    return OK


def _months(text: str) -> int | None:
    if text == _EVER:
        return None
    if not text.isdecimal() or len(text) > 6:
        raise InvalidInput(f"a time to live is a number of months, or {_EVER!r}, got {text!r}")
    return int(text)


@contextmanager
def _side(place: Place, *, write: bool) -> Iterator[_Side]:
    if place.url:
        yield _Remote(place)
        return
    with at_hand(place.data, place.project, write=write) as engine:
        yield _Local(engine.people)


class _Local:
    """The people of a data directory."""

    def __init__(self, people: People) -> None:
        self._people = people

    def erase(self, people: Sequence[dict[str, str]], by: str, reason: str) -> dict[str, Any]:
        return self._people.erase(*people, by=by, reason=reason)

    def purge(self) -> dict[str, Any]:
        return asdict(self._people.purge())

    def erasures(self) -> list[dict[str, Any]]:
        return self._people.erasures(limit=1 << 60)

    def ledger(self) -> bytes:
        return self._people.ledger()

    def replay(self, copy: bytes | None) -> dict[str, Any]:
        return self._people.replay_ledger(copy)

    def set_erased_ids(self, setting: str) -> None:
        self._people.set_erased_ids(setting)

    def export(self, person: dict[str, str], form: str, out: BinaryIO) -> None:
        from zuji.engine.people.holding import write_lines, write_zip

        write = write_zip if form == "zip" else write_lines
        write(self._people.export(person), out)

    def ttl(self) -> dict[str, Any]:
        plan = self._people.ttl.plan()
        applied = self._people.ttl.applied()
        return {"settings": plan.pop("settings"), "plan": plan, "applied": applied}

    def set_ttl(self, months: int | None, events: dict[str, int | None]) -> None:
        self._people.ttl.set(months, events)

    def apply_ttl(self, by: str) -> dict[str, Any]:
        return self._people.ttl.apply(by)


class _Remote:
    """The people of a project behind a server's API."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def _asked(self, method: str, path: str, body: object = None) -> Any:
        from zuji.server.cli.asking_api import asked

        return asked(self._place.url, method, path, self._place.key, body)

    def _read(self, method: str, path: str, out: BinaryIO, body: object = None) -> None:
        from zuji.server.cli.asking_api import opened

        with opened(self._place.url, method, path, self._place.key, body) as answer:
            while part := answer.read(1 << 16):
                out.write(part)

    def erase(self, people: Sequence[dict[str, str]], by: str, reason: str) -> dict[str, Any]:
        body = {"people": list(people), "by": by, "reason": reason}
        done: dict[str, Any] = self._asked("POST", "/v1/erasures", body)
        return done

    def purge(self) -> dict[str, Any]:
        done: dict[str, Any] = self._asked("POST", "/v1/erasures/purge")
        return done

    def erasures(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["number"] if found else 0
            rows = self._asked("GET", f"/v1/erasures?limit=1000&after={after}")["rows"]
            if not rows:
                return found
            found += rows

    def ledger(self) -> bytes:
        from io import BytesIO

        out = BytesIO()
        self._read("GET", "/v1/erasures/ledger", out)
        return out.getvalue()

    def replay(self, copy: bytes | None) -> dict[str, Any]:
        from zuji.server.cli.asking_api import asked

        place = self._place
        done: dict[str, Any] = asked(place.url, "POST", "/v1/erasures/replay", place.key, copy)
        return done

    def set_erased_ids(self, setting: str) -> None:
        self._asked("PUT", "/v1/erasures/settings", {"erased_ids": setting})

    def export(self, person: dict[str, str], form: str, out: BinaryIO) -> None:
        self._read("POST", f"/v1/users/export?form={form}", out, person)

    def ttl(self) -> dict[str, Any]:
        told: dict[str, Any] = self._asked("GET", "/v1/ttl")
        return told

    def set_ttl(self, months: int | None, events: dict[str, int | None]) -> None:
        self._asked("PUT", "/v1/ttl", {"months": months, "events": events})

    def apply_ttl(self, by: str) -> dict[str, Any]:
        done: dict[str, Any] = self._asked("POST", "/v1/ttl/apply", {"by": by})
        return done
