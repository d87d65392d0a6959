"""A project as a list of Python objects: typing, duplicates, profiles. One append is one batch.

The rules written out: an event or batch seen before is dropped; the first kind of a property
holds, a value of another kind is cast when nothing is lost, otherwise the event is refused and the
others stay; whose an event is, :mod:`identity` says each time anew from all ids that came together;
rows of a user stand in the order (time, order of arrival).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.oracle.identity import OracleIdentity
from tests.oracle.walltime import EPOCH, instant

if TYPE_CHECKING:
    from tests.oracle.identity import Owner

NULL = object()
LIST_VALUES = 500
MOST = sys.float_info.max
UNBIND = "$UnbindID"
TYPED = "$identity_"
UNTYPED = {
    f"{TYPED}{name}" for name in ("login_id", "anonymous_id", "cookie_id", "android_id", "idfv")
}
"""They repeat the customer or the device."""


@dataclass(frozen=True)
class Value:
    """A property value with its kind: bool int float datetime string list."""

    kind: str
    v: Any


@dataclass(frozen=True)
class Row:
    """One stored event. ``user``: whose it is; ``ids``: those that it came with, (user, device)."""

    user: Owner
    event: str
    time: int
    order: int
    received: int
    props: dict[str, Value]
    ids: tuple[str | None, str | None]

    @property
    def place(self) -> tuple[int, int]:
        """Position among the rows of one user."""
        return (self.time, self.order)


@dataclass(frozen=True)
class Profile:
    """What one record does to one property: ``set`` (None removes), ``set_once``, ``increment``,
    ``append``, ``delete`` (``name`` None: to all).
    """

    time: int
    order: int
    op: str
    name: str | None
    value: Value | None


class Refused(Exception):
    """The event goes to quarantine. The text is the reason code."""


@dataclass
class OracleProject:
    """Everything that was accepted, and what was not. ``watermark``: time of the newest event.
    ``identity``: all that was said of ids.
    """

    tz: str = "Asia/Shanghai"
    identity: OracleIdentity = field(default_factory=OracleIdentity)
    event_kinds: dict[str, str] = field(default_factory=dict)
    user_kinds: dict[str, str] = field(default_factory=dict)
    refused: list[tuple[int, str]] = field(default_factory=list)
    duplicates: int = 0
    watermark: int | None = None
    _inserts: set[str] = field(default_factory=set)
    _batches: set[str] = field(default_factory=set)
    _order: int = 0
    _events: list[Row] = field(default_factory=list)
    _records: list[tuple[tuple[str | None, str | None], int, list[Profile]]] = field(
        default_factory=list
    )
    _rows: list[Row] | None = None
    _profiles: dict[Owner, list[Profile]] | None = None

    def append(
        self, events: list[dict[str, Any]], batch_id: str | None = None, received: int = 0
    ) -> int:
        """Stores one batch; returns how many events were accepted."""
        if batch_id is not None:
            if batch_id in self._batches:
                return 0
            self._batches.add(batch_id)
        self.resolve_again()
        before = self._order
        for index, event in enumerate(events):
            try:
                self._store(event, received)
            except Refused as refusal:
                self.refused.append((index, str(refusal)))
        return self._order - before

    def _store(self, event: dict[str, Any], received: int) -> None:
        kind = event.get("type", "track")
        user, device = (
            None if event.get(name) is None else str(event[name])
            for name in ("user_id", "device_id")
        )
        time = to_ms(event["time"])
        profile = kind != "track"
        kinds = self.user_kinds if profile else self.event_kinds
        props: dict[str, Value | None] = {}
        problem = None
        for name, raw in event.get("properties", {}).items():
            if kind == "profile_unset":
                props[name] = None
            elif raw is None:
                if kind == "profile_set":
                    props[name] = None
            else:
                value = typed([raw] if kind == "profile_append" and isinstance(raw, str) else raw)
                stored = kinds.setdefault(name, value.kind)
                try:
                    if kind == "profile_increment" and stored not in ("int", "float"):
                        raise Refused("type_mismatch")  # noqa: TRY301
                    props[name] = cast(value, stored)
                except Refused as refusal:
                    problem = refusal
        if problem is not None:
            raise problem
        insert = event.get("insert_id")
        if insert is not None:
            if insert in self._inserts:
                self.duplicates += 1
                return
            self._inserts.add(insert)
        order = self._order
        self._order += 1
        unbinds = not profile and event["event"] == UNBIND
        self._said(user, device, time, unbinds, props)
        if profile:
            op = kind.removeprefix("profile_").replace("unset", "set")
            made = [Profile(time, order, op, name, value) for name, value in props.items()]
            if op == "delete":
                made.append(Profile(time, order, op, None, None))
            self._records.append(((user, device), time, made))
            return
        present = {name: value for name, value in props.items() if value is not None}
        nobody = ("", "")
        self._events.append(
            Row(nobody, event["event"], time, order, received, present, (user, device))
        )
        self.watermark = time if self.watermark is None else max(self.watermark, time)

    def _said(
        self,
        user: str | None,
        device: str | None,
        time: int,
        unbinds: bool,
        props: dict[str, Value | None],
    ) -> None:
        """What an accepted record says of its ids."""
        others = [] if device is None else [device]
        for name, value in props.items() if user is not None else ():
            typed_id = name.startswith(TYPED) and name not in UNTYPED
            if typed_id and value is not None and value.kind == "string" and value.v:
                others.append(f"{name}+{value.v}")
        for other in others:
            if unbinds:
                self.identity.apart(other, user, time)
            elif user is not None:
                self.identity.together(other, user, time)

    def resolve_again(self) -> None:
        """Something was said of ids."""
        self._rows = self._profiles = None

    @property
    def rows(self) -> list[Row]:
        """Every event with its owner, in order of arrival."""
        if self._rows is None:
            self._rows = [self._owned(row) for row in self._events]
        return self._rows

    def _owned(self, row: Row) -> Row:
        user, device = row.ids
        owner = self.owner(user, device, row.time)
        props = row.props
        if owner[0] == "user" and device is not None:
            props = {**props, "$device_id": Value("string", device)}
        return replace(row, user=owner, props=props)

    def owner(self, user: str | None, device: str | None, time: int) -> Owner:
        """Whose a row with these ids is."""
        return self.identity.owner(user, device, time)

    @property
    def profiles(self) -> dict[Owner, list[Profile]]:
        """What was said of each user's properties."""
        if self._profiles is None:
            self._profiles = {}
            for ids, time, made in self._records:
                self._profiles.setdefault(self.owner(*ids, time), []).extend(made)
        return self._profiles

    def users(self) -> list[tuple[str, str]]:
        """Every user the project knows."""
        return sorted({r.user for r in self.rows} | set(self.profiles))

    def rows_of(self, user: tuple[str, str]) -> list[Row]:
        """The user's rows in order."""
        return sorted((r for r in self.rows if r.user == user), key=lambda r: r.place)

    def user_property(self, user: tuple[str, str], name: str, at: int | None) -> Value | None:
        """The property as it was at an instant (None = as it is now)."""
        found = None
        for entry in sorted(self.profiles.get(user, []), key=lambda e: (e.time, e.order)):
            if entry.name in (name, None) and (at is None or entry.time <= at):
                found = after(entry, found)
        return found


def after(entry: Profile, found: Value | None) -> Value | None:
    """The property after one more record."""
    value = entry.value
    if entry.op in ("set", "delete"):
        return value
    assert value is not None
    if entry.op == "append":
        items = list(found.v) if found is not None else []
        for item in value.v:
            if item not in items and len(items) < LIST_VALUES:
                items.append(item)
        return Value("list", tuple(items))
    if found is None:
        return value
    if entry.op == "set_once":
        return found
    assert entry.op == "increment"
    total = found.v + value.v
    if value.kind == "int":
        return Value("int", max(-(2**63), min(total, 2**63 - 1)))
    return Value("float", max(-MOST, min(total, MOST)))


def to_ms(value: Any) -> int:
    """An event's time in ms."""
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(milliseconds=1)
    if isinstance(value, str):
        return instant(value)
    return int(value)


def typed(raw: Any) -> Value:
    """A Python value with the kind it is sent as."""
    if isinstance(raw, bool):
        return Value("bool", raw)
    if isinstance(raw, int):
        return Value("int", raw)
    if isinstance(raw, float):
        return Value("float", raw)
    if isinstance(raw, datetime):
        return Value("datetime", to_ms(raw))
    if isinstance(raw, date):
        return Value("datetime", to_ms(datetime(raw.year, raw.month, raw.day, tzinfo=UTC)))
    if isinstance(raw, list):
        return Value("list", tuple(raw))
    assert isinstance(raw, str), raw
    return Value("string", raw)


def cast(value: Value, kind: str) -> Value:
    """The value as another kind, or Refused when something would be lost."""
    made = value.v if value.kind == kind else _cast(value.kind, value.v, kind)
    if made is NULL:
        raise Refused("type_mismatch")
    return Value(kind, made)


def _cast(sent: str, v: Any, kind: str) -> Any:
    made: Any = NULL
    if kind == "string" and sent == "bool":
        made = "true" if v else "false"
    elif kind == "string" and sent == "datetime":
        moment = EPOCH + timedelta(milliseconds=v)
        made = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    elif kind == "string" and sent in ("int", "float"):
        made = repr(v)
    elif kind == "list" and sent == "string":
        made = (v,)
    elif (kind == "float" and sent in ("int", "bool")) or (
        kind == "float" and sent == "string" and re.fullmatch(r"[+-]?\d+(\.\d+)?", v)
    ):
        made = float(v)
    elif (
        kind == "int"
        and (sent == "bool" or (sent == "float" and v == int(v) and -(2.0**63) <= v < 2.0**63))
    ) or (kind == "int" and sent == "string" and re.fullmatch(r"[+-]?\d{1,18}", v)):
        made = int(v)
    elif kind == "bool" and sent in ("int", "float") and v in (0, 1):
        made = bool(v)
    elif kind == "bool" and sent == "string" and v.lower() in ("true", "false"):
        made = v.lower() == "true"
    elif kind == "datetime" and sent == "int":
        made = v
    elif kind == "datetime" and sent == "string":
        try:
            made = instant(v)
        except (ValueError, AssertionError):
            made = NULL
    return made
