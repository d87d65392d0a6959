"""Link store: the links of a project with their files, and what was said of ids by hand.

``extra["links"]`` of the manifest: ``files`` (name, bytes) in order, ``number`` of the last change
that they know, ``shared``: whose the rows of shared devices are, ``log``: what was said by hand.
What changed is copied when a memtable is set aside, so that a file never knows more than the rows
and ids that it is stored with: an ordinal of a row that is lost may be another id's later.
Thread-safety: the writer's lock, but for :meth:`LinkStore.save`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.index.identity import gather_bytes
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
        self.written = {int(one): int(n) for one, n in extra.get("linked", {}).items()}
        self._names: list[tuple[str, int]] = [(n, size) for n, size in state.get("files", [])]
        if self._names or state.get("number"):
            self._load(int(state["number"]))

    def _load(self, number: int) -> None:
        links, floor = self.links, min(self.written.values(), default=NEVER)
        late = []
        for name, _ in self._names:
            read = read_links(self._files, names.path(self._root, name))
            links.load(read)
            if floor != NEVER:
                late.append(read)
        last = max([number, *self.written.values()])
        numbers = []
        for read in late:
            for change in np.unique(read.number[read.number > floor]).tolist():
                which = np.flatnonzero(read.number == change)
                numbers.append((change, *gather_bytes(read.data, read.offsets, which)))
            for entry in read.facts:
                if entry["number"] > floor:
                    key = np.frombuffer(entry["key"], np.uint8)
                    numbers.append((entry["number"], key, np.array([0, len(key)], np.int64)))
        links.loaded(numbers, last + 1)
        for entry in self.log:
            self._noted(entry)

    def say(self, entry: dict[str, Any]) -> None:
        """Notes what was said of ids by hand: a bind, an unbind, an undo."""
        self.log.append(entry)
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
        state = {"number": links.number, "shared": links.shared, "log": list(self.log)}
        return Changed(devices, parts, state)

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
        count = to_merge([size for _, size in held])
        if count:
            parts = [
                read_links(self._files, names.path(self._root, name)) for name, _ in held[-count:]
            ]
            name = new_name()
            size = write_links(self._files, names.path(self._root, name), merged(parts))
            held[-count:] = [(name, size)]
        # Loads end in another order than they began: what the manifest says may be newer.
        state, stored = changed.state, self._stored
        if stored.get("number", 0) > state["number"]:
            state = {**stored}
        if not held and not state["log"]:
            return None
        return {**state, "files": [list(one) for one in held]}

    def saved(self, state: Mapping[str, Any] | None) -> list[str]:
        """The manifest says what :meth:`save` gave; names of files that nobody names any more."""
        self._stored = {} if state is None else {k: v for k, v in state.items() if k != "files"}
        now = [(name, size) for name, size in state["files"]] if state is not None else []
        gone = {name for name, _ in self._names} - {name for name, _ in now}
        self._names = now
        return sorted(gone)
