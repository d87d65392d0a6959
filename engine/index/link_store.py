"""Link store: the links of a project with their files, and what was said of ids by hand.

``extra["links"]`` of the manifest: ``files`` (name, bytes) in order, ``number`` of the last change
that they know, ``shared``: whose the rows of shared devices are. What was said by hand is in
``log``, up to ``MOST_SAID`` entries; when there are more they go into a file, and ``filed`` is the
``n`` of the last one that did. ``unsaid``: ``n`` of entries that no longer count and may be in a
file.
What changed is copied when a memtable is set aside, so that a file never knows more than the rows
and ids that it is stored with: an ordinal of a row that is lost may be another id's later.
Thread-safety: the writer's lock, but for :meth:`LinkStore.save`.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.index.link_files import (
    MOST_DEVICES,
    LinkFile,
    merged,
    read_links,
    to_merge,
    write_links,
)
from zuji.engine.index.links import Links, split
from zuji.engine.storage import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zuji.engine.index.identity import Identity
    from zuji.engine.storage.files import Files
    from zuji.engine.types import I64


NEVER = 1 << 62
"""More than the number of any change."""


MOST_SAID = 64
"""Entries of what was said by hand that every edit of the manifest repeats."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a flush saves: ``devices`` that it was made of, ``parts`` of at most so many devices,
    ``state``: the rest of what the manifest says.
    """

    devices: I64
    parts: list[LinkFile]
    state: dict[str, Any]


class LinkStore:
    """Links that know their files. ``written``: number of the change that each segment knew when it
    was written, by id.
    """

    def __init__(
        self,
        files: Files,
        root: str,
        identity: Identity,
        salt: int,
        extra: Mapping[str, Any],
    ) -> None:
        self._files = files
        self._root = root
        state = extra.get("links", {})
        self._stored: dict[str, Any] = {k: v for k, v in state.items() if k != "files"}
        self.links = Links(identity, salt, state.get("shared", "device"))
        identity.resolved = self.links.new_users
        self.log: list[dict[str, Any]] = list(state.get("log", []))
        self.unsaid: set[int] = set(state.get("unsaid", []))
        self.written = {int(one): int(n) for one, n in extra.get("linked", {}).items()}
        self._names: list[tuple[str, int]] = [(n, size) for n, size in state.get("files", [])]
        if self._names or state.get("number"):
            self._load(int(state["number"]))

    def _load(self, number: int) -> None:
        links, floor = self.links, min(self.written.values(), default=NEVER)
        changes: list[tuple[I64, I64]] = []
        for name, _ in self._names:
            read = read_links(self._files, names.path(self._root, name))
            at, others = links.load(read)
            late = read.number > floor
            changes.append((at[late], read.number[late]))
            self.log += read.said
            numbers = np.array([entry["number"] for entry in read.facts], np.int64)
            late = numbers > floor
            changes.append((others[late], numbers[late]))
        links.loaded(changes, max([number, *self.written.values()]) + 1)
        self.log.sort(key=itemgetter("n"))
        self.log[:] = [entry for entry in self.log if entry["n"] not in self.unsaid]
        for entry in self.log:
            self._noted(entry)

    def say(self, entry: dict[str, Any]) -> None:
        """Notes what was said of ids by hand: a bind, an unbind, an undo. Once: a load may have
        stored what is also in the log, which is replayed.
        """
        at = bisect_left(self.log, entry["n"], key=itemgetter("n"))
        if at < len(self.log) and self.log[at]["n"] == entry["n"]:
            return
        self.log.insert(at, entry)
        self._noted(entry)

    def _noted(self, entry: Mapping[str, Any]) -> None:
        place = entry.get("place")
        if place is not None:
            shard, ordinal = split(place)
            self.links.called[shard].add(ordinal)

    def freeze(self) -> Changed:
        """What changed since the last call, as it is now. O(devices that changed)."""
        links = self.links
        devices = links.take()
        one, several = links.simple(devices)
        parts = []
        for start in range(0, len(one), MOST_DEVICES):
            some = one[start : start + MOST_DEVICES]
            number = np.full(len(some), links.number, np.int64)
            parts.append(LinkFile(*links.dump_simple(some), number, []))
        if len(several):
            facts = links.dump(several.tolist())
            parts.append(LinkFile(*links.dump_simple(one[:0]), one[:0], facts))
        return Changed(devices, parts, self.state())

    def state(self) -> dict[str, Any]:
        """What the manifest says besides files, as it is now."""
        filed = self._stored.get("filed", 0)
        said = []
        for entry in reversed(self.log):
            if entry["n"] <= filed:
                break
            said.append(entry)
        found = {"number": self.links.number, "shared": self.links.shared, "log": said[::-1]}
        return found | {"unsaid": sorted(self.unsaid)} if self.unsaid else found

    def thaw(self, changed: Changed) -> None:
        """What was to be saved is not: it goes with the next."""
        self.links.again(changed.devices)

    def save(self, changed: Changed, new_name: Callable[[], str]) -> dict[str, Any] | None:
        """Writes what changed; what the manifest shall say (None: nothing), for :meth:`saved`."""
        held = list(self._names)
        for part in changed.parts:
            name = new_name()
            size = write_links(self._files, names.path(self._root, name), part)
            held.append((name, size))
        # Loads end in another order than they began: what the manifest says may be newer.
        state, stored = changed.state, self._stored
        if stored.get("number", 0) > state["number"]:
            state = stored
        filed = stored.get("filed", 0)
        log = [entry for entry in state["log"] if entry["n"] > filed]
        if len(log) > MOST_SAID:
            none = np.empty(0, np.int64)
            part = LinkFile(none.view(np.uint8), np.zeros(1, np.int64), none, none, none, [], log)
            name = new_name()
            held.append((name, write_links(self._files, names.path(self._root, name), part)))
            filed, log = log[-1]["n"], []
        count = to_merge([size for _, size in held])
        if count:
            parts = [
                read_links(self._files, names.path(self._root, name)) for name, _ in held[-count:]
            ]
            name = new_name()
            size = write_links(self._files, names.path(self._root, name), merged(parts))
            named = {name for name, _ in self._names}
            for made, _ in held[-count:]:  # of now: no manifest will name it
                if made not in named:
                    self._files.remove(names.path(self._root, made))
            held[-count:] = [(name, size)]
        if not held and not log:
            return None
        more = {"filed": filed} if filed else {}
        return {**state, "log": log, **more, "files": [list(one) for one in held]}

    def saved(self, state: Mapping[str, Any] | None) -> list[str]:
        """The manifest says what :meth:`save` gave; names of files that nobody names any more."""
        self._stored = {} if state is None else {k: v for k, v in state.items() if k != "files"}
        if self._stored.get("unsaid") == []:  # no file has them any more
            del self._stored["unsaid"]
            self.unsaid.clear()
        now = [(name, size) for name, size in state["files"]] if state is not None else []
        gone = {name for name, _ in self._names} - {name for name, _ in now}
        self._names = now
        return sorted(gone)
