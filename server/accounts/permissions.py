"""What anybody may do: the one seam that every route asks (:func:`may`).

Three roles now, the same in every project; organisations and finer rights come behind the same
call. Keys of projects map to the same actions, so that a route names one thing it needs. Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from zuji.server.auth import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(StrEnum):
    """Of an account."""

    ADMINISTRATOR = "administrator"
    ANALYST = "analyst"
    VIEWER = "viewer"


class Action(StrEnum):
    """What a route needs. Names are told to clients (``GET /v1/auth/me``): they stay."""

    ASK = "ask"
    """Query, and look at everything that is not named below."""
    SAVE = "save"
    """Saved analyses and boards."""
    GROUP = "group"
    """Cohorts and tags."""
    ITEMS = "items"
    DEFINE = "define"
    """Virtual events and properties."""
    PLAN = "plan"
    VALUES = "values"
    """See what refused events, and events as they come, hold."""
    QUARANTINE = "quarantine"
    IDENTITY = "identity"
    PEOPLE = "people"
    """Erase and export people, time to live."""
    KEYS = "keys"
    PROJECTS = "projects"
    ACCOUNTS = "accounts"


class Holder(Protocol):
    """Whoever has a role."""

    @property
    def role(self) -> Role:
        """Of the account."""


_VIEWER = frozenset({Action.ASK})
_ANALYST = _VIEWER | {Action.SAVE, Action.GROUP, Action.ITEMS, Action.DEFINE, Action.PLAN}
ACTIONS: Mapping[Role, frozenset[Action]] = {
    Role.VIEWER: _VIEWER,
    Role.ANALYST: _ANALYST,
    Role.ADMINISTRATOR: frozenset(Action),
}
OF_PEOPLE = frozenset({Action.KEYS, Action.PROJECTS, Action.ACCOUNTS})
"""What no key may, so that a key that leaked cannot make others, or accounts."""
OF_KEYS: Mapping[Kind, frozenset[Action]] = {
    Kind.WRITE: frozenset(),
    Kind.READ: _VIEWER,
    Kind.ADMIN: frozenset(Action) - OF_PEOPLE,
}


def may(account: Holder, action: Action, project: str | None) -> bool:
    """Whether ``account`` may do this in a project; None: what belongs to no project. All projects
    are alike for now.
    """
    del project
    return action in ACTIONS[account.role]


def kind_for(action: Action) -> Kind:
    """The kind of key that an action needs."""
    return Kind.READ if action is Action.ASK else Kind.ADMIN
