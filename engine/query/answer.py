"""What an analysis gives back, and what a model must offer to be one. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zuji.engine.query.result import ColumnInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zuji.engine.query.bind import Bound
    from zuji.engine.query.model import Envelope, Pick
    from zuji.engine.query.plan import Scan
    from zuji.engine.types import U32


@dataclass(frozen=True, slots=True)
class Answer:
    """What an analysis gives: tidy rows, totals, and what to say about them."""

    columns: list[ColumnInfo]
    rows: list[list[Any]]
    totals: dict[str, Any] = field(default_factory=dict)
    total_kind: str = "deduplicated"


@dataclass(frozen=True, slots=True)
class Model:
    """One model, as a module of ``analyses/`` offers it.

    ``query``, ``pick``: its structs, tagged with its name. ``scans``: what a query reads, planned.
    ``answer``: the rows. ``users``: ordinals behind a cell, a list per shard, ascending.
    """

    query: type[Envelope]
    pick: type[Pick]
    scans: Callable[[Bound], list[Scan]]
    answer: Callable[[Bound], Answer]
    users: Callable[[Bound, Any], list[U32]]

    @property
    def name(self) -> str:
        """The word of ``"model"``."""
        return self.query.model


def column_infos(pairs: Sequence[tuple[str, str, str | None]]) -> list[ColumnInfo]:
    """Columns from (name, type, unit)."""
    return [ColumnInfo(*pair) for pair in pairs]


def by_columns(bound: Bound) -> list[ColumnInfo]:
    """Columns of the breakdown: one a property, then ``is_other``; none without ``by``."""
    from zuji.engine.query.bind import kind_of

    if not bound.query.by:
        return []
    found = []
    for by in bound.query.by:
        kind = kind_of(bound.view.catalog, by.p)
        plain = kind is None or by.buckets is not None or kind.label in ("list", "datetime")
        found.append(ColumnInfo(by.p, "string" if plain or kind is None else kind.label, None))
    return [*found, ColumnInfo("is_other", "bool", None)]


def bucket_type(bound: Bound) -> str:
    """Type of a bucket's label: a local date, or an instant for hours."""
    return "datetime" if bound.range.grain == "hour" else "date"
