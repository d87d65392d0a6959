"""What a project knows of its events and properties: names, codes, kinds, and which event has which
property.

Codes are dense and never reused: events 0…1,999 (uint16), properties 0…65,534 (uint16). User
properties share the code space under the stored name ``$user.NAME``, so one segment can hold both
without a clash. A property's first kind holds for ever. State is saved whole with every manifest
edit that follows a change. Thread-safety: none; the writer's lock guards changes, readers take
:meth:`copy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from zuji.engine.types import PROFILE_EVENTS as PROFILE_EVENTS
from zuji.engine.types import PROFILE_SET as PROFILE_SET
from zuji.engine.types import Kind

if TYPE_CHECKING:
    from zuji.engine.types import U8

USER_PREFIX = "$user."
UNSET_LIST = "$user.$unset"
DEVICE_ID = "$device_id"


class Catalog:
    """Names ↔ codes, kinds, and the (event, property) pairs seen."""

    __slots__ = (
        "_kind_codes",
        "_pairs",
        "_shape",
        "changes",
        "event_codes",
        "events",
        "kinds",
        "prop_codes",
        "props",
        "virtual",
    )

    def __init__(self) -> None:
        self.events: list[str] = []
        self.event_codes: dict[str, int] = {}
        self.props: list[str] = []
        self.prop_codes: dict[str, int] = {}
        self.kinds: list[Kind] = []
        self._pairs: U8 = np.zeros((64, 256), dtype=np.uint8)
        self._shape = (64, 256)
        self._kind_codes: U8 = np.empty(0, np.uint8)
        self.changes = 0
        self.virtual: dict[str, Kind] = {}
        """Kinds of properties that the project defines, by stored name; of copies for queries."""
        self._add_profile_events()

    def _add_profile_events(self) -> None:
        for name in PROFILE_EVENTS:
            self.add_event(name)

    def event_name(self, code: int) -> str:
        """Name of an event code."""
        return self.events[code]

    def prop_name(self, code: int) -> str:
        """Stored name of a property code (user properties carry ``$user.``)."""
        return self.props[code]

    def prop_kind(self, code: int) -> Kind:
        """Kind of a property code."""
        return self.kinds[code]

    def add_event(self, name: str) -> int:
        """Code of ``name``, a new one if need be."""
        code = self.event_codes.get(name)
        if code is None:
            code = self.event_codes[name] = len(self.events)
            self.events.append(name)
            self.changes += 1
        return code

    def add_prop(self, stored_name: str, kind: Kind) -> int:
        """Code of ``stored_name``; ``kind`` counts only when the name is new."""
        code = self.prop_codes.get(stored_name)
        if code is None:
            code = self.prop_codes[stored_name] = len(self.props)
            self.props.append(stored_name)
            self.kinds.append(kind)
            self.changes += 1
        return code

    def kind_codes(self) -> U8:
        """uint8[props]: the kind of each property. Not to be written to."""
        if len(self._kind_codes) != len(self.kinds):
            self._kind_codes = np.array(self.kinds, np.uint8)
        return self._kind_codes

    def kind_of(self, stored_name: str) -> Kind | None:
        """Kind of a property, None when it is neither defined nor seen."""
        if stored_name in self.virtual:
            return self.virtual[stored_name]
        code = self.prop_codes.get(stored_name)
        return None if code is None else self.kinds[code]

    def pairs(self) -> U8:
        """uint8[events', props'] of 0/1: has the event been seen with the property. Grows as
        needed.
        """
        rows, cols = self._shape
        if len(self.events) > rows or len(self.props) > cols:
            while rows < len(self.events):
                rows *= 2
            while cols < len(self.props):
                cols *= 2
            grown = np.zeros((rows, cols), dtype=np.uint8)
            grown[: self._shape[0], : self._shape[1]] = self._pairs
            self._pairs, self._shape = grown, (rows, cols)
        return self._pairs

    def props_of(self, event: str) -> list[str]:
        """Stored names of the properties seen with ``event``."""
        code = self.event_codes.get(event)
        if code is None:
            return []
        return [self.props[p] for p in np.flatnonzero(self.pairs()[code])]

    def events_of(self, stored_name: str) -> list[str]:
        """Events seen with a property."""
        code = self.prop_codes.get(stored_name)
        if code is None:
            return []
        return [self.events[e] for e in np.flatnonzero(self.pairs()[:, code])]

    def dump(self) -> dict[str, Any]:
        """State for the manifest."""
        pairs = self.pairs()
        return {
            "events": list(self.events),
            "props": [[name, int(kind)] for name, kind in zip(self.props, self.kinds, strict=True)],
            "pairs": [
                [int(e), [int(p) for p in np.flatnonzero(pairs[e])]]
                for e in range(len(self.events))
                if pairs[e].any()
            ],
        }

    @classmethod
    def load(cls, state: dict[str, Any] | None) -> Catalog:
        """Inverse of :meth:`dump`; None gives an empty catalog. Profile events that the project's
        release did not know yet come after the names that it has: codes never change.
        """
        catalog = cls()
        if not state:
            return catalog
        catalog.events, catalog.event_codes = [], {}
        for name in state["events"]:
            catalog.add_event(name)
        catalog._add_profile_events()
        for name, kind in state["props"]:
            catalog.add_prop(name, Kind(kind))
        pairs = catalog.pairs()
        for event, props in state["pairs"]:
            pairs[event, props] = 1
        catalog.changes = 0
        return catalog

    def copy(self) -> Catalog:
        """A copy that later changes do not reach. Who holds up others meanwhile makes one and then
        dumps that.
        """
        other = Catalog()
        other.events, other.event_codes = list(self.events), dict(self.event_codes)
        other.props, other.prop_codes = list(self.props), dict(self.prop_codes)
        other.kinds = list(self.kinds)
        other._pairs, other._shape = self.pairs().copy(), self._shape
        return other
