"""Which column is what: the mapping from options, a TOML file or well-known names, and its check.

A :class:`Mapping` is what the user said; :func:`resolve` holds it against the columns of a file and
gives a :class:`Resolved`, in which every column has its part or is named as left out. Nothing is
guessed silently: what was chosen by name is shown before the import starts.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from zuji.engine.errors import InvalidInput, NotFound
from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.types import TYPED_ID

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    Properties = dict[str, tuple[str, "PropertyType | None"]]

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
PropertyType = Literal["string", "int64", "float64", "bool", "datetime", "list"]
RowKind = Literal["event", "profile", "item", "signup"]

KNOWN_NAMES: dict[str, tuple[str, ...]] = {
    "event": ("event", "event_name", "eventName", "$event"),
    "user": ("user_id", "userId", "userid", "uid", "distinct_id", "customer_id"),
    "device": ("device_id", "deviceId", "anonymous_id", "anonymousId"),
    "time": ("time", "timestamp", "event_time", "eventTime", "ts", "datetime"),
    "insert_id": ("insert_id", "insertId", "$insert_id", "_track_id"),
}
ITEM_NAMES: dict[str, tuple[str, ...]] = {"item_id": ("item_id",), "item_type": ("item_type",)}
SIGNUP_EVENT = "$SignUp"
"""Event of rows that say which device is whose."""
NAME_BYTES = DEFAULT_LIMITS.name_bytes
NATIVE_PREFIX = "properties."
"""Native JSON lines carry their properties in a map of this name."""
IGNORED = ("type",)
"""``type`` of native JSON lines says whether a line is an event or a profile."""


class PropertyRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``column = { name = "…", type = "…" }`` in the ``[properties]`` table."""

    name: str | None = None
    type: PropertyType | None = None


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the user said about the columns of a file. Fields are the keys of the TOML file."""

    event: str | None = None
    event_name: str | None = None
    user: str | None = None
    device: str | None = None
    time: str | None = None
    insert_id: str | None = None
    kind: RowKind = "event"
    profile: bool = False
    distinct_id: str | None = None
    is_login: bool = False
    item_id: str | None = None
    item_type: str | None = None
    user_value: str | None = None
    device_value: str | None = None
    time_value: str | None = None
    list_separator: str | None = None
    time_unit: TimeUnit = "auto"
    time_format: str | None = None
    tz: str | None = None
    properties: dict[str, str | PropertyRule] | None = None
    rest: bool | None = None
    drop: list[str] = []

    @property
    def rows_are(self) -> RowKind:
        """What a row is; ``profile`` is the older word for one of them."""
        return "profile" if self.profile else self.kind

    def fingerprint(self) -> str:
        """Short hash: the same words give the same place to resume at."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:16]


class Resolved(msgspec.Struct, frozen=True):
    """A mapping that fits a file. ``properties``: column → (property, wanted type or None)."""

    event: str | None
    event_name: str | None
    user: str | None
    device: str | None
    time: str | None
    insert_id: str | None
    kind: RowKind
    native: bool
    properties: dict[str, tuple[str, PropertyType | None]]
    dropped: list[str]
    guessed: dict[str, str]
    item_id: str | None = None
    item_type: str | None = None

    @property
    def profile(self) -> bool:
        """Whether rows are users."""
        return self.kind == "profile"

    @property
    def columns(self) -> set[str]:
        """Every column that is read."""
        of_row = (self.event, self.user, self.device, self.time, self.insert_id)
        system = (*of_row, self.item_id, self.item_type)
        return (
            {c for c in system if c} | set(self.properties) | ({"type"} if self.native else set())
        )


def read_mapping(path: Path) -> Mapping:
    """A mapping from a TOML file.

    :raises InvalidInput: not TOML, or an unknown key or type; names the place.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise NotFound(f"{path}: no such mapping file") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path}: a mapping file is UTF-8 text; byte {error.start + 1} is not"
        ) from None
    try:
        return msgspec.convert(tomllib.loads(text), Mapping)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path}: not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"{path}: {error}; known keys: {', '.join(Mapping.__struct_fields__)}"
        ) from error


def merge(base: Mapping, **options: object) -> Mapping:
    """``base`` with the options that were given (not None, not empty) put over it."""
    given = {name: value for name, value in options.items() if value not in (None, (), [], False)}
    if "event" in given and "event_name" not in given:
        given["event_name"] = None
    if "event_name" in given and "event" not in given:
        given["event"] = None
    return msgspec.structs.replace(base, **given)


def check_zone(name: str) -> ZoneInfo:
    """The time zone of that name.

    :raises InvalidInput: unknown; offers near names.
    """
    zones = available_timezones()
    if name not in zones:
        near = difflib.get_close_matches(name, zones, 3, 0.5)
        hint = f"; did you mean {', '.join(near)}?" if near else ' (for example "Asia/Shanghai")'
        raise InvalidInput(f"unknown time zone {name!r}{hint}")
    return ZoneInfo(name)


def resolve(mapping: Mapping, columns: Iterable[str], path: Path) -> Resolved:
    """Holds ``mapping`` against the columns of ``path``.

    :raises InvalidInput: a named column is not there, or nothing says who or when.
    """
    names = list(columns)
    kind = mapping.rows_are
    guessed: dict[str, str] = {}
    found: dict[str, str | None] = {}
    mapping = _with_ids(mapping)
    for part, known in (KNOWN_NAMES | ITEM_NAMES).items():
        said = getattr(mapping, part)
        if said is not None:
            found[part] = _checked(said, names, path, part)
            continue
        found[part] = None
        if not may_guess(part, kind, mapping):
            continue
        named = {getattr(mapping, other) for other in KNOWN_NAMES}
        guess = next((n for n in known if n in names and n not in named), None)
        if guess is not None:
            found[part] = guessed[part] = guess
    _check_parts(mapping, found, names, path)
    native = is_native(names)
    taken = {column for column in found.values() if column}
    _check_named(mapping, names, path)
    chosen, dropped = choose_properties(mapping, names, taken, native=native, path=path)
    return Resolved(
        event=found["event"],
        event_name=SIGNUP_EVENT if kind == "signup" else mapping.event_name,
        user=found["user"],
        device=found["device"],
        time=found["time"],
        insert_id=found["insert_id"],
        kind=kind,
        native=native,
        properties=chosen,
        dropped=dropped,
        guessed=guessed,
        item_id=found["item_id"],
        item_type=found["item_type"],
    )


def with_kinds(resolved: Resolved, kinds: dict[str, PropertyType]) -> Resolved:
    """``resolved`` with the project's types for properties that the mapping gives none; ids of
    people (``$identity_mobile``) are text, though they be digits.
    """
    properties = {
        column: (name, wanted or kinds.get(name) or _own_kind(name))
        for column, (name, wanted) in resolved.properties.items()
    }
    return msgspec.structs.replace(resolved, properties=properties)


def _own_kind(name: str) -> PropertyType | None:
    return "string" if name.startswith(TYPED_ID) else None


def _checked(said: str, names: list[str], path: Path, option: str) -> str:
    if said in names:
        return said
    near = difflib.get_close_matches(said, names, 3, 0.5)
    hint = (
        f"did you mean {', '.join(map(repr, near))}?" if near else f"its columns: {listed(names)}"
    )
    raise InvalidInput(f"{path} has no column {said!r} ({option}); {hint}")


def _check_parts(
    mapping: Mapping, found: dict[str, str | None], names: list[str], path: Path
) -> None:
    there = f"Columns of {path}: {listed(names)}"
    kind = mapping.rows_are
    _check_said_once(mapping)
    if kind == "item":
        if found["item_id"] is None or found["item_type"] is None:
            raise InvalidInput(f"which items? Give --item-id and --item-type COLUMN. {there}")
        return
    if kind == "event" and found["event"] is None and mapping.event_name is None:
        raise InvalidInput(f"which event is it? Give --event COLUMN or --event-name NAME. {there}")
    user = found["user"] or mapping.user_value
    device = found["device"] or mapping.device_value
    if kind == "signup" and (user is None or device is None):
        raise InvalidInput(f"who is whose? Give --user COLUMN and --device COLUMN. {there}")
    if user is None and device is None:
        raise InvalidInput(
            f"whose events are these? Give --user COLUMN or --device COLUMN. {there}"
        )
    if found["time"] is None and mapping.time_value is None and kind in ("event", "signup"):
        raise InvalidInput(
            f"when did it happen? Give --time COLUMN, or --time-value for all rows. {there}"
        )


def _with_ids(mapping: Mapping) -> Mapping:
    """``distinct_id`` as the id that it is: of the customer after a login, else of the device."""
    if mapping.distinct_id is None:
        return mapping
    for part in ("user", "device", "user_value", "device_value"):
        if getattr(mapping, part) is not None:
            raise InvalidInput(f"--distinct-id says whose rows these are: leave out --{part}")
    part = "user" if mapping.is_login else "device"
    return msgspec.structs.replace(mapping, **{part: mapping.distinct_id})


def _check_said_once(mapping: Mapping) -> None:
    if mapping.event is not None and mapping.event_name is not None:
        raise InvalidInput("give --event COLUMN or --event-name NAME, not both")
    for part in ("user", "device", "time"):
        if getattr(mapping, part) is not None and getattr(mapping, part + "_value") is not None:
            raise InvalidInput(f"give --{part} COLUMN or --{part}-value VALUE, not both")
    if mapping.profile and mapping.kind not in ("event", "profile"):
        raise InvalidInput(f"--profile is --kind profile, not --kind {mapping.kind}")


def may_guess(part: str, kind: RowKind, mapping: Mapping) -> bool:
    """Whether a column may take a part by its name alone."""
    if part in ITEM_NAMES:
        return kind == "item"
    if part == "event":
        return kind == "event" and mapping.event_name is None
    if part == "insert_id":
        return kind in ("event", "signup")
    if part in ("user", "device", "time"):
        said = getattr(mapping, part + "_value") is not None
        said |= part != "time" and mapping.distinct_id is not None
        return not said and (kind != "item" or part == "time")
    return True


def is_native(names: Collection[str]) -> bool:
    """Whether these are columns of native JSON lines."""
    return "type" in names and any(name.startswith(NATIVE_PREFIX) for name in names)


def _check_named(mapping: Mapping, names: list[str], path: Path) -> None:
    for column in mapping.drop:
        _checked(column, names, path, "drop")
    for said in mapping.properties or {}:
        if said not in names and NATIVE_PREFIX + said not in names:
            _checked(said, names, path, "properties")


def choose_properties(
    mapping: Mapping,
    names: list[str],
    taken: set[str],
    *,
    native: bool,
    path: Path,
    before: Properties | None = None,
) -> tuple[Properties, list[str]]:
    """Which of the columns ``names`` are which properties, and those that are left out.

    ``taken``: columns with another part. ``before``: what other columns of the file are.
    :raises InvalidInput: two would be one property, or a name cannot be one.
    """
    rules = mapping.properties or {}
    rest = mapping.rest if mapping.rest is not None else mapping.properties is None
    chosen: Properties = {}
    dropped: list[str] = []
    for column in names:
        plain = column.removeprefix(NATIVE_PREFIX)
        rule = rules.get(column, rules.get(plain))
        if column in mapping.drop or (rule is None and (column in taken or not rest)):
            if column not in taken:
                dropped.append(column)
            continue
        if rule is None and native and column in IGNORED:
            continue
        if isinstance(rule, str):
            chosen[column] = (rule or plain, None)
        elif rule is not None:
            chosen[column] = (rule.name or plain, rule.type)
        else:
            chosen[column] = (plain, None)
    seen = {name: column for column, (name, _) in (before or {}).items()}
    for column, (name, _) in chosen.items():
        if len(name.encode()) > NAME_BYTES or name.startswith("$user.") or not name:
            raise InvalidInput(
                f"column {column[:60]!r} cannot be a property of that name (at most {NAME_BYTES} "
                "bytes, not starting with $user.); rename it in [properties] or --drop it"
            )
        if name in seen:
            raise InvalidInput(
                f"{path}: columns {seen[name]!r} and {column!r} would both be property {name!r}"
            )
        seen[name] = column
    return chosen, dropped


def listed(names: list[str], most: int = 30) -> str:
    """Names for a message, at most ``most``."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "(none)"
