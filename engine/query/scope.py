"""Scope: the row policy of a caller. Given beside a query, never inside it, and put into the plan
after parsing.

``where`` is a filter that every row read must pass (an organisation's subtree is one integer range
of a property); ``masked`` names properties that the caller may not use at all. Immutable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.filter_ast import filter_from
from zuji.engine.query.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zuji.engine.query.filter_ast import Filter


@dataclass(frozen=True, slots=True)
class Scope:
    """Row and property policy."""

    where: Filter | None = None
    masked: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, where: Mapping[str, Any] | None = None, masked: Iterable[str] = ()) -> Scope:
        """From a filter in JSON values and property names (``event.phone``).

        Raises:
            InvalidQuery: the filter is wrong.
        """
        try:
            tree = None if where is None else filter_from(dict(where))
        except Problem as problem:
            raise InvalidQuery(
                problem.text, f"$scope.where{problem.args[0].rpartition(chr(31))[2]}"
            ) from None
        return cls(tree, frozenset(masked))

    def check(self, used: Iterable[str]) -> None:
        """Raises InvalidQuery when a masked property is used."""
        hit = sorted(self.masked & set(used))
        if hit:
            raise InvalidQuery(f"you may not use {', '.join(hit)}", "$")
