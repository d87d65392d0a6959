"""Pieces of JSON Schema for what msgspec cannot see: values with a form of their own.

A :class:`Written` value is read from JSON and written back by its class, which also says its
schema.
"""

from __future__ import annotations

from typing import Any, Self


class Written:
    """A value with a JSON form of its own. Immutable by convention; equal when its slots are,
    which are the names of what it is made with.

    A plain class, since msgspec would read a dataclass as an object of its own and never ask for
    :meth:`read`.
    """

    __slots__: tuple[str, ...] = ()

    def _key(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is type(self) and isinstance(other, Written) and self._key() == other._key()
        )

    def __hash__(self) -> int:
        return hash((type(self).__name__, *self._key()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._key()))})"

    @classmethod
    def read(cls, value: object) -> Self:
        """From JSON values. Raises Problem."""
        raise NotImplementedError

    def write(self) -> object:
        """The JSON value."""
        raise NotImplementedError

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema of the form."""
        raise NotImplementedError


def object_of(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    """Schema of an object with these fields and no others; ``required`` None: all of them."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def ref(name: str) -> dict[str, Any]:
    """A schema by name."""
    return {"$ref": f"#/$defs/{name}"}


def nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def events_fields() -> dict[str, Any]:
    """The fields that name events: ``e`` and ``where``."""
    return {"e": ref("EventNames"), "where": nullable(ref("Filter"))}


EVENT_PROPERTY = "EventProperty"
"""Name of the schema of ``event.NAME``."""
QUANTILE = "p[1-9][0-9]?"
"""Pattern of ``p1`` to ``p99``."""
