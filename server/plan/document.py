"""The document of a tracking plan: structs, JSON in and out, and what makes a plan a sound one.

A plan is data; what it means for an event is in :mod:`.rules`. Immutable, so safe on any thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from zuji.engine.errors import InvalidInput
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.types import KIND_BY_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable

Mode = Literal["open", "warn", "strict"]
KindName = Literal["", "bool", "int64", "float64", "datetime", "string", "list"]
Value = str | bool | int | float

MOST_BYTES = 4 << 20
"""Of a plan document."""
MOST_PROPERTIES = 5_000
MOST_PURPOSES = 64
MOST_VALUES = 1_000
RESERVED = frozenset({"$name", "$time", "$received", "$device_id"})
"""Names that queries give to what every event has."""


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event. ``properties``: those it may have beside ``common`` ones; None: any declared."""

    name: str
    title: str = ""
    description: str = ""
    owner: str = ""
    properties: tuple[str, ...] | None = None
    deprecated: bool = False


class Property(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A property of events or of users. ``kind`` "": any. ``values``: the only ones allowed."""

    name: str
    kind: KindName = ""
    title: str = ""
    description: str = ""
    owner: str = ""
    sensitive: Literal["", "refuse", "tokenise"] = ""
    purpose: str = ""
    values: tuple[Value, ...] | None = None
    deprecated: bool = False


class Purpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A purpose that people consent to. It is given when ``property`` of the same record is true,
    is the name of the purpose, or is a list that has it.
    """

    name: str
    title: str = ""
    description: str = ""
    property: str = "$consent"


class Late(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Times that are taken: so many days back and hours ahead of the server's clock."""

    back_days: float = 10.0
    ahead_hours: float = 1.0


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tracking plan. ``presets``: names with ``$`` in front are the SDKs' own and are known
    without being declared. ``on_mismatch``: what a value that cannot be cast takes with it.
    ``common``: properties that any event may have.
    """

    mode: Mode = "open"
    presets: bool = True
    on_mismatch: Literal["record", "property"] = "record"
    late: Late = Late()
    common: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    properties: tuple[Property, ...] = ()
    user_properties: tuple[Property, ...] = ()
    purposes: tuple[Purpose, ...] = ()


OPEN = Plan()
"""The plan of a project that has none."""


def decoded(text: bytes | str) -> Plan:
    """The plan of a JSON document.

    Raises:
        InvalidInput: it is none, or not a sound one; says where.
    """
    if len(text) > MOST_BYTES:
        raise InvalidInput(f"a plan has at most {MOST_BYTES:,} bytes")
    try:
        plan = msgspec.json.decode(text, type=Plan)
    except msgspec.ValidationError as problem:
        raise InvalidInput(f"the plan is wrong: {problem}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise InvalidInput(f"the plan is not JSON: {problem}") from None
    _check(plan)
    return plan


def encoded(plan: Plan) -> bytes:
    """The JSON document of a plan, indented; what has its default is left out but for the mode."""
    document = {"mode": plan.mode, **msgspec.to_builtins(plan)}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _check(plan: Plan) -> None:
    if len(plan.events) > DEFAULT_LIMITS.project_event_names:
        raise InvalidInput(f"$.events: at most {DEFAULT_LIMITS.project_event_names:,}")
    if len(plan.purposes) > MOST_PURPOSES:
        raise InvalidInput(f"$.purposes: at most {MOST_PURPOSES}")
    late = plan.late
    if not (0 < late.back_days <= 36_500 and 0 <= late.ahead_hours <= 8_760):
        raise InvalidInput("$.late: back_days is 0 to 36,500, ahead_hours 0 to 8,760")
    _check_names("events", (e.name for e in plan.events))
    _check_names("purposes", (p.name for p in plan.purposes))
    _check_properties("properties", plan)
    _check_properties("user_properties", plan)
    known = {p.name for p in plan.properties}
    for i, event in enumerate(plan.events):
        _check_known(plan, known, f"$.events[{i}].properties", event.properties or ())
    _check_known(plan, known, "$.common", plan.common)
    for i, purpose in enumerate(plan.purposes):
        _check_known(plan, known, f"$.purposes[{i}].property", (purpose.property,))
    _check_consent(plan)


def _check_names(where: str, names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for i, name in enumerate(names):
        path = f"$.{where}[{i}].name"
        size = len(name.encode("utf-8", "surrogatepass"))
        if not 0 < size <= DEFAULT_LIMITS.name_bytes or any(ord(c) < 32 for c in name):
            raise InvalidInput(
                f"{path}: a name has 1 to {DEFAULT_LIMITS.name_bytes} bytes, no control characters"
            )
        if name in RESERVED and where != "purposes":
            raise InvalidInput(f"{path}: {name!r} is reserved")
        other = seen.setdefault(name.casefold(), name)
        if other is not name:
            what = "stands twice" if other == name else f"differs from {other!r} only in case"
            raise InvalidInput(f"{path}: {name!r} {what}")


def _check_properties(where: str, plan: Plan) -> None:
    properties: tuple[Property, ...] = getattr(plan, where)
    if len(properties) > MOST_PROPERTIES:
        raise InvalidInput(f"$.{where}: at most {MOST_PROPERTIES:,}")
    _check_names(where, (p.name for p in properties))
    purposes = {p.name for p in plan.purposes}
    for i, one in enumerate(properties):
        path = f"$.{where}[{i}]"
        if one.purpose and one.purpose not in purposes:
            raise InvalidInput(f"{path}.purpose: {one.purpose!r} is not one of $.purposes")
        if one.sensitive == "tokenise" and one.kind not in ("", "string", "list"):
            raise InvalidInput(f"{path}.kind: a token is text, so the kind is string or list")
        if one.values is not None:
            _check_values(path, one)


def _check_values(path: str, one: Property) -> None:
    assert one.values is not None
    if one.sensitive:
        raise InvalidInput(f"{path}.values: a sensitive property has no list of values")
    if not 0 < len(one.values) <= MOST_VALUES:
        raise InvalidInput(f"{path}.values: 1 to {MOST_VALUES:,} values")
    fitting: dict[str, tuple[type, ...]] = {
        "": (str, bool, int, float),
        "bool": (bool,),
        "int64": (int,),
        "float64": (int, float),
        "string": (str,),
        "list": (str,),
    }
    assert one.kind in KIND_BY_LABEL or not one.kind
    if any(type(v) not in fitting.get(one.kind, ()) for v in one.values):
        raise InvalidInput(f"{path}.values: not all are values of kind {one.kind or 'any'!r}")


def _check_known(plan: Plan, known: set[str], path: str, names: Iterable[str]) -> None:
    for name in names:
        if name not in known and not (plan.presets and name.startswith("$")):
            raise InvalidInput(f"{path}: {name!r} is not one of $.properties")


def _check_consent(plan: Plan) -> None:
    """What says that consent was given must be there when it is looked at."""
    saying = {p.property.casefold() for p in plan.purposes}
    for one in (*plan.properties, *plan.user_properties):
        if one.name.casefold() in saying and (one.sensitive or one.purpose):
            raise InvalidInput(f"{one.name!r} says what was consented to: it cannot need consent")
