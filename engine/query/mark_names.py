"""Names of marks: properties of users that a project keeps beside their profiles, such as tags.

``user.$tag.NAME`` is told by its prefix; ``user.$tag.NAME@2026-10-01`` is its value in force at the
end of that day of the project's zone (or ``@yesterday``, ``@-30d``, an instant). What marks are is
in ``marks.py``. Functions only: thread-safe.
"""

from __future__ import annotations

from typing import Final, NamedTuple

TAG: Final = "$tag."
COHORT: Final = "$cohort."
PREFIXES: Final = {TAG: "tag", COHORT: "cohort"}
"""Prefix of the names → what people call it."""
_AT: Final = "@"


class Mark(NamedTuple):
    """A name taken apart. ``moment``: what stands after the ``@``."""

    prefix: str
    name: str
    moment: str | None


def mark_of(name: str) -> Mark | None:
    """The mark that a property of users (without ``user.``) names, None when it names none."""
    if name[:1] != "$":
        return None
    for prefix in PREFIXES:
        if name.startswith(prefix):
            own, _, moment = name[len(prefix) :].partition(_AT)
            return Mark(prefix, own, moment if _AT in name else None)
    return None


def undated(name: str) -> str:
    """The name without its moment; any other name as it is."""
    mark = mark_of(name)
    return name if mark is None else mark.prefix + mark.name
