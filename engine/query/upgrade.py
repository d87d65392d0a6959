"""Queries of earlier versions of the language, moved to the present one.

Saved queries keep their answers for ever: when a version changes a form, a step here rewrites the
documents of the version before, and golden answers (tests/golden) hold both to the same numbers.
Version 1 is the first, so there is no step yet. Pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zuji.engine.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION: Final = 1
STEPS: Final[dict[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""Version → what makes a document of the next one of it."""


def upgraded(document: dict[str, Any]) -> dict[str, Any]:
    """The document in the present version; one without ``v`` is of the present one already.

    Raises:
        InvalidQuery: its version is not known.
    """
    version = document.get("v", VERSION)
    if isinstance(version, bool) or not isinstance(version, int):
        return document  # the types say what is wrong
    if version > VERSION:
        raise InvalidQuery(
            f"the query is of version {version}, this release knows up to {VERSION}", "$.v"
        )
    while version < VERSION:
        if version not in STEPS:
            raise InvalidQuery(f"there was no version {version}", "$.v")
        document = {**STEPS[version](document), "v": version + 1}
        version += 1
    return document
