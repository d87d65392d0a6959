"""What is kept of users beside their profiles, as the views of a project have it.

Brings together who keeps it (tags, cohorts), each by the prefix of its names; the same objects
while nothing changes, so that the caches of a view serve many queries. Thread-safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zuji.engine.index.catalog import USER_PREFIX
from zuji.engine.query.marks import stored_kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zuji.engine.index.catalog import Catalog
    from zuji.engine.query.marks import Marks


class Marking:
    """``keepers``: prefix → what it keeps now, the same object while that does not change."""

    def __init__(self, keepers: Mapping[str, Callable[[], Marks]]) -> None:
        self._keepers = dict(keepers)
        self._now: dict[str, Marks] = {}
        self._held: tuple[Catalog, Any, Catalog] | None = None

    def now(self) -> dict[str, Marks]:
        """The marks of each prefix."""
        found = {prefix: keeper() for prefix, keeper in self._keepers.items()}
        held = self._now
        if len(held) != len(found) or any(held[prefix] is not one for prefix, one in found.items()):
            self._now = held = found
        return held

    def beside(self, catalog: Catalog, marks: Mapping[str, Marks]) -> Catalog:
        """A copy of the catalog that knows their kinds, the same while both are; the catalog itself
        when there are none.
        """
        held = self._held
        if held is not None and held[0] is catalog and held[1] is marks:
            return held[2]
        kinds = stored_kinds(marks, USER_PREFIX)
        copied = catalog
        if kinds:
            copied = catalog.copy()
            copied.virtual = {**catalog.virtual, **kinds}
        self._held = (catalog, marks, copied)
        return copied
