"""What the columns of a table mean: :class:`TableMapping`, and whether a table fits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from zuji.engine.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


class TableMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which columns of a table mean what.

    ``event`` names the column of event names, or ``event_name`` is the one event of all rows.
    ``time``: timestamps, RFC 3339 text or integers (``time_unit`` "s" or "ms"); without a zone they
    are read in the project's. ``properties``: column → property name (None: every other column
    under its own name). ``profile``: rows are user properties.
    """

    event: str | None = None
    event_name: str | None = None
    user: str | None = None
    device: str | None = None
    time: str | None = None
    time_unit: str = "ms"
    insert_id: str | None = None
    properties: dict[str, str] | None = None
    profile: bool = False


# Now, while one thread imports this: two that convert to a type for the first time can crash.
msgspec.convert({}, TableMapping)


def check_mapping(table: pa.Table, mapping: TableMapping) -> dict[str, str]:
    """Property columns → names, after checking that the mapping fits the table.

    Raises:
        InvalidInput: a named column is not there, or event, time or id are not given.
    """
    columns = table.column_names
    for role in ("event", "user", "device", "time", "insert_id"):
        name = getattr(mapping, role)
        if name is not None and name not in columns:
            raise InvalidInput(
                f"there is no column {name!r} (for {role}); the columns are {', '.join(columns)}"
            )
    if not mapping.profile and (mapping.event is None) == (mapping.event_name is None):
        raise InvalidInput("name either the column of event names or one event name")
    if mapping.user is None and mapping.device is None:
        raise InvalidInput("name the column of user ids or of device ids")
    if mapping.time is None and not mapping.profile:
        raise InvalidInput("name the column of times")
    used = {mapping.event, mapping.user, mapping.device, mapping.time, mapping.insert_id}
    if mapping.properties is None:
        return {c: c for c in columns if c not in used}
    for name in mapping.properties:
        if name not in columns:
            raise InvalidInput(f"there is no column {name!r}; the columns are {', '.join(columns)}")
    return dict(mapping.properties)


def to_mapping(mapping: TableMapping | Mapping[str, Any]) -> TableMapping:
    """A mapping from its JSON values.

    Raises:
        InvalidInput: a field is unknown or of the wrong type.
    """
    if isinstance(mapping, TableMapping):
        return mapping
    try:
        return msgspec.convert(dict(mapping), TableMapping)
    except msgspec.ValidationError as problem:
        raise InvalidInput(f"mapping: {problem}") from None
