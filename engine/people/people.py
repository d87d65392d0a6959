"""People: what a person may ask for, and what a project must forget by itself (docs/privacy.md).

Erasing: the ledger first (:mod:`ledger`), then one manifest edit that makes the person's ids
nobody's and their rows invisible, and takes rejected events that carry an id out of the
quarantine; the next compaction, or :meth:`People.purge`, removes the bytes. An entry of the ledger
that was not carried out, because of a crash or since the project is a restored backup, is carried
out by :meth:`People.replay_ledger`. Thread-safe; one erasure at a time.
"""

from __future__ import annotations

import logging
import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from zuji.engine.errors import InvalidInput, NotFound, ReadOnly
from zuji.engine.index.links import place_of, split
from zuji.engine.index.unlinking import belongings
from zuji.engine.people.carrying import carriers, carries
from zuji.engine.people.holding import Holding, Holds
from zuji.engine.people.ledger import Ledger, read_copy, written
from zuji.engine.people.returning import Returning
from zuji.engine.people.ttl import TimeToLive
from zuji.engine.people.whom import Whom
from zuji.engine.writer.eraser import Forgets, by_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from zuji.engine.quarantine import Key
    from zuji.engine.query.view import View
    from zuji.engine.writer import Writer
    from zuji.engine.writer.eraser import Purged

log = logging.getLogger(__name__)

MAX_ERASED: Final = 1_000_000
"""People of one call."""
TEXT_BYTES: Final = 1_000
_KEYS: Final = 1 << 16
"""Ids that are looked at, at once, when a ledger is replayed."""


class Keeper(Forgets, Holds, Protocol):
    """Somebody who keeps something by ordinal."""


class People:
    """Erasure, export and time to live of an open project. ``pin``: its present state."""

    def __init__(self, writer: Writer, pin: Callable[[], View], *, writable: bool) -> None:
        self._writer = writer
        self._pin = pin
        self._writable = writable
        self._one = threading.Lock()
        self._ledger = Ledger(
            writer.files, writer.directory, writer.manifest.state.project, writable=writable
        )
        self._holds: list[Holds] = []
        self._returning = Returning(writer, self._ledger)
        self.ttl = TimeToLive(writer, pin, writable=writable)

    def keeps(self, keeper: Keeper) -> None:
        """Somebody who keeps something by ordinal (cohorts, tags): asked at every purge to forget,
        and at every export what is held.
        """
        self._writer.eraser.forgets.append(keeper)
        self._holds.append(keeper)

    # -- erasure -------------------------------------------------------------------------------

    def erase(
        self, *people: Mapping[str, Any] | Whom, by: str = "", reason: str = ""
    ) -> dict[str, Any]:
        """Erases people, each named by one of his ids: ``erase({"user_id": "c-1"})``. On return
        they are in the ledger, no query sees anything of them, and nobody finds their ids; the
        bytes go with the next compaction (:meth:`purge`). One pass for all.

        Of a customer: all his ids and the devices that are his alone. Who is not known is put in
        the ledger all the same: a backup may know him. What comes later under an erased id is a
        new user, or refused: :attr:`erased_ids`.

        Returns ``{"number", "asked", "erased", "unknown", "rejected", "waiting"}``: number in the
        ledger, people named, ids found, people not known, rejected events removed, and erased ids
        whose bytes are still to be removed.

        Raises:
            InvalidInput: names nobody, or in a wrong way; nothing is done.
            StorageFull, StorageFailed, ReadOnly, EngineClosed: not carried out, but it may stand
            in the ledger: call again, or :meth:`replay_ledger`.
        """
        named = list(dict.fromkeys(map(Whom.of, people)))
        if not named:
            raise InvalidInput("say whom to erase")
        if len(named) > MAX_ERASED:
            raise InvalidInput(f"at most {MAX_ERASED:,} people at once, not {len(named):,}")
        _check_text("by", by)
        _check_text("reason", reason)
        self._check_writable()
        with self._one:
            self._carry_out_open()
            group, unknown = self._all_ids(named)
            entry = self._ledger.add(
                (self._ledger.hash(whom.key) for whom in group),
                at_ms=self._writer.now_ms(),
                by=by,
                reason=reason,
            )
            self._returning.erased(entry)
            carrying = [key for key, _ in carriers(self._writer.quarantine.entries(), group)]
            erased = self._carry_out(group, entry["number"], carrying)
            # What was refused while this ran.
            after = max(carrying, default=())
            later = carriers(self._writer.quarantine.entries(after), group)
            if later:
                self._writer.quarantine.remove([key for key, _ in later])
            return {
                "number": entry["number"],
                "asked": len(named),
                "erased": erased,
                "unknown": unknown,
                "rejected": len(carrying) + len(later),
                "waiting": self._writer.eraser.waiting,
            }

    def purge(self, progress: Callable[[int, int], None] | None = None) -> Purged:
        """Removes everything of erased people from all files, without merging any. ``progress``:
        segments looked at, of how many.

        Raises:
            Corruption: a segment is damaged; all others are done. StorageFull, StorageFailed,
            ReadOnly, EngineClosed: what was done by then stays done; call again.
        """
        self._check_writable()
        with self._one:
            self._carry_out_open()
            return self._writer.eraser.purge(progress)

    def erasures(self, after: int = 0, limit: int = 1_000) -> list[dict[str, Any]]:
        """Entries of the ledger with greater numbers than ``after``, oldest first: ``number,
        at_ms, by, reason, ids`` (how many) and ``done``.
        """
        self._refresh()
        applied = self._applied()
        found: list[dict[str, Any]] = []
        for entry in self._ledger.entries(after):
            if len(found) == limit:
                break
            shown = {name: entry[name] for name in ("number", "at_ms", "by", "reason")}
            found.append({**shown, "ids": len(entry["hashes"]), "done": entry["number"] <= applied})
        return found

    def ledger(self) -> bytes:
        """The whole ledger, to be kept beside backups: one JSON object a line, no id in it."""
        self._refresh()
        return written(self._ledger.entries())

    def replay_ledger(self, copy: bytes | None = None, name: str = "ledger") -> dict[str, Any]:
        """Carries out what the ledger says and was not carried out here: after a backup was
        restored, with ``copy`` what :meth:`ledger` gave before. Entries that this project knew
        when the backup was made are left alone: who came since under such an id is a new user.

        Returns ``{"entries", "erased", "rejected", "waiting"}``. O(ids of the project).

        Raises:
            Corruption: ``copy`` is no ledger; nothing is done. StorageFull, StorageFailed,
            ReadOnly, EngineClosed: call again.
        """
        self._check_writable()
        with self._one:
            if copy is not None:
                self._ledger.take(read_copy(copy, name))
                self._returning.take_in()
            return {**self._carry_out_open(), "waiting": self._writer.eraser.waiting}

    def status(self) -> dict[str, Any]:
        """``{"entries", "open", "waiting"}``: of the ledger, those not carried out, and erased ids
        whose bytes are still to be removed.
        """
        self._refresh()
        last = self._ledger.last
        return {
            "entries": last,
            "open": last - min(self._applied(), last),
            "waiting": self._writer.eraser.waiting,
        }

    @property
    def erased_ids(self) -> str:
        """What becomes of an erased id that comes again: ``accept`` (the default), it is a new
        user; ``refuse``: events of it are rejected with the reason ``erased_id``, and stored
        nowhere.
        """
        return self._returning.setting

    @property
    def refused(self) -> dict[str, int]:
        """Events that were refused for it since the project was opened, by reason."""
        return self._returning.counts()

    def set_erased_ids(self, setting: str) -> None:
        """Changes :attr:`erased_ids`, durable on return. Ids that came again before stay users.

        Raises:
            InvalidInput, StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        self._check_writable()
        with self._one:
            self._returning.set(setting)

    def _all_ids(self, named: Iterable[Whom]) -> tuple[list[Whom], int]:
        """All ids of people, those named first, and how many of those are not known."""
        writer = self._writer
        found = dict.fromkeys(named)
        places: set[int] = set()
        unknown = 0
        with writer.lock:
            for whom in tuple(found):
                place = writer.find(whom.key)
                owner = writer.links.for_ever(whom.key)
                if owner is not None:
                    places.add(owner)
                elif place is not None:
                    places.add(place_of(*place))
                unknown += place is None and owner is None
            for user in places:
                shard, ordinal = split(user)
                names = writer.identity.external(shard, np.array([ordinal], np.uint32))
                found.update(dict.fromkeys(_named(*names[0])))
            devices, _ = belongings(writer.links, np.array(sorted(places), np.int64))
        found.update(dict.fromkeys(map(Whom.named, devices)))
        return list(found), unknown

    def _carry_out(self, group: Iterable[Whom], number: int, carrying: list[Key]) -> int:
        """Makes ids nobody's; how many were somebody's."""
        if carrying:
            self._writer.quarantine.remove(carrying)
        places = {place for whom in group if (place := self._writer.find(whom.key)) is not None}
        ids = {whom.key[1:].decode() for whom in group}
        self._writer.eraser.erase(by_shard(places), number, ids)
        return len(places)

    def _carry_out_open(self) -> dict[str, Any]:
        """Entries that were not: people are found by the hashes of all ids there are."""
        entries = list(self._ledger.entries(self._applied()))
        if not entries:
            return {"entries": 0, "erased": 0, "rejected": 0}
        wanted = {bytes.fromhex(text) for entry in entries for text in entry["hashes"]}
        hashed = self._ledger.hash
        group = [Whom.named(key) for key in self._known() if hashed(key) in wanted]
        full, _ = self._all_ids(group)

        def named(text: str) -> bool:
            keys = (kind + text.encode(errors="replace") for kind in (b"u", b"d"))
            return any(self._ledger.hash(key) in wanted for key in keys)

        def unread(data: bytes) -> bool:
            return any(whom.text.encode() in data for whom in full)

        carrying = [
            kept.key for kept in self._writer.quarantine.entries() if carries(kept, named, unread)
        ]
        erased = self._carry_out(full, entries[-1]["number"], carrying)
        log.info("ledger replayed entries=%d erased=%d", len(entries), erased)
        return {"entries": len(entries), "erased": erased, "rejected": len(carrying)}

    def _known(self) -> Iterator[bytes]:
        """Keys of all ids there are."""
        for table in self._writer.identity.tables():
            for first in range(0, len(table), _KEYS):
                with self._writer.lock:
                    data, offsets = table.dump(first, first + _KEYS)
                raw, cuts = data.tobytes(), offsets.tolist()
                for start, end in pairwise(cuts):
                    if start < end and raw[start]:
                        yield raw[start:end]

    def _applied(self) -> int:
        return self._writer.identity.erased.applied

    def _refresh(self) -> None:
        if not self._writable:
            self._ledger.refresh()

    def _check_writable(self) -> None:
        if not self._writable:
            raise ReadOnly("the project is open for reading")
        self._writer.check_open()

    # -- looking -------------------------------------------------------------------------------

    def profile(self, person: Mapping[str, Any] | Whom) -> dict[str, Any]:
        """A user's properties as they are now, as queries see them: what his devices sent before
        his first login is among them. Of a device that is a customer's for ever: the customer's.
        Only the user's records are read.

        Raises:
            InvalidInput: names nobody. NotFound: nobody is known by this id. Corruption.
        """
        whom = Whom.of(person)
        place = self._writer.find_owner(whom.key)
        if place is None:
            raise NotFound(f"nobody is known by this {whom.kind}")
        return Holding(self._pin(), ()).profile(*place)

    # -- export --------------------------------------------------------------------------------

    def export(self, person: Mapping[str, Any] | Whom) -> Iterator[dict[str, Any]]:
        """Everything held about a person, over all his ids, one JSON-ready object a thing; see
        :mod:`holding`.

        Raises:
            InvalidInput: names nobody. NotFound: nobody is known by this id. Corruption.
        """
        whom = Whom.of(person)
        group, _ = self._all_ids([whom])
        places = {place for one in group if (place := self._writer.find(one.key)) is not None}
        carrying = [kept for _, kept in carriers(self._writer.quarantine.entries(), group)]
        if not places and not carrying:
            raise NotFound(f"nobody is known by this {whom.kind}")
        return Holding(self._pin(), self._holds).everything(group, sorted(places), carrying)


def _named(user: str | None, device: str | None) -> list[Whom]:
    if user is not None:
        return [Whom("user_id", user)]
    return [] if device is None else [Whom.named(b"d" + device.encode())]


def _check_text(name: str, text: str) -> None:
    if not isinstance(text, str) or len(text.encode(errors="replace")) > TEXT_BYTES:
        raise InvalidInput(f"{name!r} is a text of at most {TEXT_BYTES} bytes")
