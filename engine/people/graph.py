"""What is made of what: tags, cohorts and virtual properties, as one graph.

A node is ``("tag", name)``, ``("cohort", name)`` or ``("property", "user.x")``; ``made_of`` says
for each what it reads. Nothing leads back to itself. Immutable; its functions are O(nodes · edges).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zuji.engine.errors import InvalidInput
from zuji.engine.query.mark_names import PREFIXES, mark_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Node = tuple[str, str]


def node_of(p: str) -> Node:
    """The node that a property names: a mark, or the property itself."""
    scope, _, name = p.partition(".")
    mark = mark_of(name) if scope == "user" else None
    return ("property", p) if mark is None else (PREFIXES[mark.prefix], mark.name)


def graph_of(used: Mapping[str, Iterable[str]]) -> dict[Node, frozenset[Node]]:
    """What virtual properties of users, and of events, read: name → what it is made of."""
    return {
        ("property", name): frozenset(
            node_of(p) for p in parts if p.startswith(("user.", "event."))
        )
        for name, parts in used.items()
        if name.startswith(("user.", "event."))
    }


def told(node: Node) -> str:
    """``tag 'spend'``."""
    return f"{node[0]} {node[1]!r}"


@dataclass(frozen=True, slots=True)
class Graph:
    """``made_of[node]``: what a node reads."""

    made_of: Mapping[Node, frozenset[Node]]

    def users_of(self, node: Node) -> list[Node]:
        """All that is made of a node, directly or not, each before what it is made of: the order
        in which they can go.
        """
        found: set[Node] = set()
        waiting = [node]
        while waiting:
            one = waiting.pop()
            for other, parts in self.made_of.items():
                if one in parts and other not in found:
                    found.add(other)
                    waiting.append(other)
        return self.ordered(found - {node})[::-1]

    def parts_of(self, node: Node) -> set[Node]:
        """All that a node is made of, directly or not."""
        found: set[Node] = set()
        waiting = [node]
        while waiting:
            for part in self.made_of.get(waiting.pop(), ()):
                if part not in found:
                    found.add(part)
                    waiting.append(part)
        return found

    def ordered(self, nodes: Iterable[Node]) -> list[Node]:
        """The nodes, each after those of them that it is made of, by name where that leaves a
        choice.
        """
        chosen = set(nodes)
        done: dict[Node, None] = {}

        def visit(one: Node, path: frozenset[Node]) -> None:
            if one in done or one in path:
                return
            for part in sorted(self.parts_of(one) & chosen):
                visit(part, path | {one})
            done[one] = None

        for one in sorted(chosen):
            visit(one, frozenset())
        return list(done)

    def check(self, node: Node) -> None:
        """Raises InvalidInput when a node is made of itself; says by what way."""
        way = self._way(node, node)
        if way is not None:
            raise InvalidInput(
                f"{told(node)} would be made of itself: {' ← '.join(told(one) for one in way)}"
            )

    def _way(self, start: Node, end: Node) -> list[Node] | None:
        waiting = [(start, [start])]
        seen: set[Node] = set()
        while waiting:
            one, way = waiting.pop()
            for part in sorted(self.made_of.get(one, ())):
                if part == end:
                    return [*way, part]
                if part not in seen:
                    seen.add(part)
                    waiting.append((part, [*way, part]))
        return None

    def dump(self) -> dict[str, Any]:
        """As JSON values: ``nodes`` and ``edges`` from what is made to what it is made of."""
        nodes = set(self.made_of) | {part for parts in self.made_of.values() for part in parts}
        return {
            "nodes": [{"kind": kind, "name": name} for kind, name in sorted(nodes)],
            "edges": [
                {
                    "of": {"kind": one[0], "name": one[1]},
                    "reads": {"kind": part[0], "name": part[1]},
                }
                for one, parts in sorted(self.made_of.items())
                for part in sorted(parts)
            ],
        }
