"""``engine.items``: the items of a project, and which properties of events and users name them.

Thread-safe. Meaning and rules: ``docs/items.md``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from zuji.engine.batch import encode_events
from zuji.engine.errors import InvalidInput, NotFound, ReadOnly
from zuji.engine.items.record import DELETE, SET
from zuji.engine.types import Kind
from zuji.engine.writer import AppendResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from zuji.engine.casting import Plain
    from zuji.engine.defining import Defined
    from zuji.engine.items import FrozenItems
    from zuji.engine.writer import Writer

PAGE: Final = 1_000
"""Items of a page, at most; so many are asked for at once."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Items:
    """Items by type. ``known``: full names of the properties that are sent, and their kinds."""

    def __init__(
        self, writer: Writer, defined: Defined, known: Callable[[], Mapping[str, Kind]]
    ) -> None:
        self._writer = writer
        self._defined = defined
        self._known = known

    # -- what is there ---------------------------------------------------------------------------

    def types(self) -> list[dict[str, Any]]:
        """One entry a type: ``name, items, properties`` (name → kind) and ``joined``: the
        properties that name items of it. Types that are joined and have no items yet, too.
        """
        joined: dict[str, list[str]] = {}
        for p, name in self._defined.now.items.items():
            joined.setdefault(name, []).append(p)
        found = {
            name: {
                "name": name,
                "items": count,
                "properties": {p: kind.label for p, kind in sorted(kinds.items())},
                "joined": sorted(joined.get(name, [])),
            }
            for name, count, kinds in self._writer.items.types()
        }
        for name in joined.keys() - found.keys():
            found[name] = {
                "name": name,
                "items": 0,
                "properties": {},
                "joined": sorted(joined[name]),
            }
        return [found[name] for name in sorted(found)]

    def frozen(self) -> FrozenItems:
        """All items by type, as they are now, in columns."""
        return self._writer.items.frozen()

    def get(self, item_type: str, item_id: str) -> dict[str, Any]:
        """The properties of an item; datetimes in UTC. Raises NotFound."""
        found = self._writer.items.get(item_type, item_id)
        if found is None:
            raise NotFound(f"there is no {item_type} {item_id!r}")
        return _plain(found)

    def page(
        self, item_type: str, *, after: str | None = None, limit: int = 100
    ) -> list[tuple[str, dict[str, Any]]]:
        """Ids and properties, in the order in which the items were first heard of, after the item
        ``after``. An item that is deleted meanwhile keeps its place.

        Raises:
            NotFound: no item of this type was ever sent, or ``after`` never was.
            InvalidInput: ``limit`` is not 1 to 1,000.
        """
        if not 0 < limit <= PAGE:
            raise InvalidInput(f"a page has 1 to {PAGE:,} items, got {limit}")
        try:
            found = self._writer.items.page(item_type, after, limit)
        except KeyError:
            raise NotFound(f"there never was a {item_type} {after!r}") from None
        if found is None:
            raise NotFound(f"there are no items of type {item_type!r}")
        return [(item_id, _plain(one)) for item_id, one in found]

    def all(
        self, item_type: str, *, after: str | None = None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every item of a type (behind the item ``after``), in the order of :meth:`page`. Items
        that come or go meanwhile may be among them or not. Errors as there.
        """
        while page := self.page(item_type, after=after, limit=PAGE):
            yield from page
            after = page[-1][0]

    # -- what changes ----------------------------------------------------------------------------

    def set(
        self,
        item_type: str,
        items: Mapping[str, Mapping[str, Any]] | Iterable[tuple[str, Mapping[str, Any]]],
        *,
        time: datetime | int | None = None,
    ) -> AppendResult:
        """Sets properties of items; those that are not named stay. ``items``: properties by id.
        ``time``: since when (ms UTC), now when None; what was set or deleted later stands. Durable
        and visible on return; what is refused is in the result and in the quarantine.

        Raises:
            InvalidEvent: a value is nothing that msgpack can carry.
            StorageFull, StorageFailed, ReadOnly, EngineClosed.
        """
        pairs = items.items() if hasattr(items, "items") else items
        head = {"type": SET, "item_type": item_type, "time": self._time(time)}
        return self._append(
            {**head, "item_id": item_id, "properties": dict(given)} for item_id, given in pairs
        )

    def delete(
        self, item_type: str, ids: Iterable[str], *, time: datetime | int | None = None
    ) -> AppendResult:
        """Deletes items: what was set until ``time`` (as in :meth:`set`). Ids of no item, too: what
        comes late from before does not bring them back. Errors as there.
        """
        head = {"type": DELETE, "item_type": item_type, "time": self._time(time)}
        return self._append({**head, "item_id": item_id} for item_id in ids)

    def _time(self, time: datetime | int | None) -> datetime | int:
        return self._writer.now_ms() if time is None else time

    def _append(self, records: Iterable[Mapping[str, Any]]) -> AppendResult:
        self._writer.check_open()
        total = AppendResult()
        for raw in encode_events(records):
            total += self._writer.append_batch(raw)
        return total

    # -- joins -----------------------------------------------------------------------------------

    def joins(self) -> dict[str, str]:
        """The properties that name items, and the type of these: ``{"event.product_id":
        "product"}``.
        """
        return dict(self._defined.now.items)

    def join(self, p: str, item_type: str) -> None:
        """Says that ``p`` (``event.NAME`` or ``user.NAME``) names items of a type: from then on
        ``p.X`` is their property X, wherever a property can stand. Durable on return.

        Raises:
            InvalidInput: ``p`` has values that name nothing (parts of numbers, truths, instants),
                or properties with names like ``p.X`` are sent.
            StorageFull, StorageFailed, ReadOnly.
        """
        self._check_writable()
        known = self._known()
        kind = known.get(p)
        if kind not in (None, Kind.STRING, Kind.LIST, Kind.INT):
            assert kind is not None
            raise InvalidInput(f"{p} is a {kind.label}; items are named by texts or whole numbers")
        self._defined.join(p, item_type, known)

    def unjoin(self, p: str) -> None:
        """Takes :meth:`join` back; the items stay.

        Raises:
            NotFound: ``p`` names no items. InvalidInput: a virtual property is made of ``p.X``.
        """
        self._check_writable()
        self._defined.unjoin(p)

    def _check_writable(self) -> None:
        if self._writer.wal is None:
            raise ReadOnly("the project is open for reading")
        self._writer.check_open()


def _plain(found: Mapping[str, tuple[Kind, Plain]]) -> dict[str, Any]:
    return {name: _value(kind, value) for name, (kind, value) in found.items()}


def _value(kind: Kind, value: Any) -> Any:
    if kind == Kind.BOOL:
        return bool(value)
    if kind == Kind.DATETIME:
        return _EPOCH + timedelta(milliseconds=value)
    return value
