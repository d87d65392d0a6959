"""Columns that first stand far down in a file of JSON lines: what they are, found as they come.

The mapping is held against the first lines; a column of later ones takes a part (who, when, …) that
no column has yet when its name is well known, else it is a property, by the same rules. What a
column is never changes within a run. A run that goes on in the middle finds the same, but where two
well-known names of one part both begin far down: there the first that it meets counts.
Used by one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from zuji.server.importer.mapping import (
    IGNORED,
    KNOWN_NAMES,
    choose_properties,
    is_native,
    may_guess,
    with_kinds,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Mapping as Kinds
    from pathlib import Path

    from zuji.server.importer.mapping import Mapping, PropertyType, Resolved


def open_names(mapping: Mapping, resolved: Resolved) -> dict[str, str]:
    """Well-known names that may yet take a part, and the part."""
    return {
        name: part
        for part, names in KNOWN_NAMES.items()
        if getattr(resolved, part) is None and may_guess(part, resolved.kind, mapping)
        for name in names
    }


class Columns:
    """What the columns of a file are, so far. ``later``: those that came later and are read."""

    def __init__(
        self,
        mapping: Mapping,
        resolved: Resolved,
        names: Iterable[str],
        path: Path,
        kinds: Kinds[str, PropertyType],
    ) -> None:
        self.resolved = resolved
        self.later: list[str] = []
        self._mapping = mapping
        self._path = path
        self._kinds = kinds
        self._names = set(names)

    def seen(self, names: Iterable[str]) -> Resolved:
        """The columns with those of a chunk.

        :raises InvalidInput: two would be one property.
        """
        new = [name for name in names if name not in self._names]
        if new:
            self._names.update(new)
            self.resolved = self._with(new)
        return self.resolved

    def _with(self, new: list[str]) -> Resolved:
        mapping, resolved = self._mapping, self.resolved
        parts: dict[str, str] = {}
        free = open_names(mapping, resolved)
        for name, part in free.items():
            if name in new and part not in parts:
                parts[part] = name
        native = is_native(self._names)
        before = {
            column: chosen
            for column, chosen in resolved.properties.items()
            if not (native and column in IGNORED and column not in (mapping.properties or {}))
        }
        taken = set(parts.values())
        chosen, dropped = choose_properties(
            mapping, new, taken, native=native, path=self._path, before=before
        )
        self.later += [name for name in new if name in taken or name in chosen]
        found = msgspec.structs.replace(
            resolved,
            **parts,
            native=native,
            properties={**before, **chosen},
            dropped=[*resolved.dropped, *dropped],
        )
        return with_kinds(found, dict(self._kinds))
