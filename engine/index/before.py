"""Before: what was known of devices before something was said that may not come to stand.

``with Before(links):`` around what is said, and all of it is taken back when the block raises.
REQUIRES: the writer's lock from the beginning of the block to its end, so that nobody else has seen
what was said, nor said anything on top of it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Self

from zuji.engine.distinct import unique

if TYPE_CHECKING:
    from types import TracebackType

    from zuji.engine.index.links import Links
    from zuji.engine.index.owners import Facts
    from zuji.engine.types import I64, Flags

_Noted = tuple["I64", "Flags", "I64", "I64", dict[int, "Facts"]]
"""Places of devices, which of them were known, their owners and first moments, and facts."""


class Before:
    """Notes devices when they are about to change."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._noted: list[_Noted] = []

    def note(self, at: I64) -> None:
        """Devices, by place, that may change."""
        links = self._links
        at = unique(at)
        facts = {}
        if links.facts:
            known = links.facts.keys() & set(at.tolist())
            facts = {one: deepcopy(links.facts[one]) for one in known}
        owned = links.owned
        self._noted.append((at, owned.known(at), owned.owners(at), owned.firsts(at), facts))

    def __enter__(self) -> Self:
        self._links.before = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _problem: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._links.before = None
        if kind is None or not self._noted:
            return
        links = self._links
        for at, known, owner, first, facts in reversed(self._noted):
            for one in links.facts.keys() & set(at.tolist()):
                del links.facts[one]
            for one in at.tolist():
                links.drop_periods(one)
            links.forget(at[~known])
            links.owned.set(at[known], owner[known], first[known])
            links.facts.update(facts)
        links.resets += 1
