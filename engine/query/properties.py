"""Names of properties in a query: ``event.NAME``, ``user.NAME`` and the columns of an event.

``NAME`` is everything after the first dot, so it may hold dots itself. ``event.$name``,
``event.$time`` and ``event.$received`` are columns that every event has; any other name that
starts with ``$`` is an ordinary property (SDKs send ``$os`` and the like).
"""

from __future__ import annotations

from typing import Final

from zuji.engine.query.problems import Problem, nearest, shown

EVENT: Final = "event"
USER: Final = "user"
SCOPES: Final = (EVENT, USER)
NAME_COLUMN: Final = "event.$name"
TIME_COLUMN: Final = "event.$time"
RECEIVED_COLUMN: Final = "event.$received"
COLUMNS: Final = frozenset((NAME_COLUMN, TIME_COLUMN, RECEIVED_COLUMN))
MAX_NAME_CHARS: Final = 512


def split_property(p: str) -> tuple[str, str]:
    """``("event", "city")`` of ``"event.city"``. REQUIRES: ``p`` passed :func:`check_property`."""
    scope, _, name = p.partition(".")
    return scope, name


def check_property(p: object, path: str = "", scopes: tuple[str, ...] = SCOPES) -> str:
    """Returns ``p`` when it names a property of one of the scopes, else raises Problem."""
    wanted = " or ".join(f"'{scope}.NAME'" for scope in scopes)
    if not isinstance(p, str):
        raise Problem(f"expected a property, {wanted}, got {shown(p)}", path)
    scope, dot, name = p.partition(".")
    if not dot:
        raise Problem(f"expected a property, {wanted}, got {p!r}{_hint(p, scopes)}", path)
    if scope not in SCOPES:
        raise Problem(
            f"unknown property scope {scope!r} in {p!r}, expected {wanted}{nearest(scope, SCOPES)}",
            path,
        )
    if scope not in scopes:
        raise Problem(f"expected a property, {wanted}; {p!r} cannot be used here", path)
    if not name or len(name) > MAX_NAME_CHARS:
        raise Problem(f"expected a property name of 1 to {MAX_NAME_CHARS} characters", path)
    return p


def _hint(p: str, scopes: tuple[str, ...]) -> str:
    return f"; did you mean {f'{scopes[0]}.{p}'!r}?" if p else ""
