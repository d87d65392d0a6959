"""Filters as a tree: ``{"all": […]}``, ``{"any": […]}``, ``{"not": …}``, ``{"p", "op", "v"}``.

Owns reading a filter from JSON values, the shape that each operator wants of ``v``, and writing
it back. What the operators mean is in ``filters.py``. Nodes are immutable and hashable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zuji.engine.limits import DEFAULT_LIMITS
from zuji.engine.query.durations import Duration, duration_from, duration_to
from zuji.engine.query.problems import Problem, array, nearest, only, shown, unknown
from zuji.engine.query.properties import SCOPES, check_property

if TYPE_CHECKING:
    from collections.abc import Iterator

Scalar = str | int | float | bool
MAX_LIST_VALUES: Final = DEFAULT_LIMITS.query_list_values
MAX_PATTERN_CHARS: Final = 1_000
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

OPS: Final = {
    "eq": "scalar",
    "ne": "scalar",
    "in": "scalars",
    "not_in": "scalars",
    "gt": "ordered",
    "gte": "ordered",
    "lt": "ordered",
    "lte": "ordered",
    "between": "pair",
    "contains": "text",
    "not_contains": "text",
    "starts_with": "text",
    "ends_with": "text",
    "matches": "pattern",
    "is_set": "nothing",
    "is_not_set": "nothing",
    "is_empty": "nothing",
    "within_last": "duration",
    "has": "text",
    "has_any": "texts",
    "has_all": "texts",
}
"""Operator → what its ``v`` must be."""


class Filter:
    """Base of the nodes; also the type of a ``where`` field."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class AllOf(Filter):
    """Every item holds; an empty one is true."""

    items: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Filter):
    """At least one item holds; an empty one is false."""

    items: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not(Filter):
    """The item does not hold (a plain complement, also of a missing property)."""

    item: Filter


@dataclass(frozen=True, slots=True)
class Leaf(Filter):
    """One predicate. ``v``: a scalar, a tuple of scalars, a :class:`Duration`, or None."""

    p: str
    op: str
    v: Scalar | tuple[Scalar, ...] | Duration | None = None

    def __eq__(self, other: object) -> bool:
        """``true`` and ``1``, which are equal in Python, are different predicates."""
        return isinstance(other, Leaf) and self._told_apart() == other._told_apart()

    def __hash__(self) -> int:
        return hash(self._told_apart())

    def _told_apart(self) -> tuple[Any, ...]:
        types = tuple(map(type, self.v)) if isinstance(self.v, tuple) else type(self.v)
        return self.p, self.op, self.v, types


def filter_from(document: object, scopes: tuple[str, ...] = SCOPES, path: str = "") -> Filter:
    """Reads a filter from JSON values. Raises Problem with the path inside the document."""
    if not isinstance(document, dict):
        raise Problem(f"expected a filter object, got {shown(document)}", path)
    for key, node in (("all", AllOf), ("any", AnyOf)):
        if key in document:
            only(document, (key,), path)
            items = array(document[key], f"{path}.{key}")
            return node(
                tuple(filter_from(x, scopes, f"{path}.{key}[{i}]") for i, x in enumerate(items))
            )
    if "not" in document:
        only(document, ("not",), path)
        return Not(filter_from(document["not"], scopes, f"{path}.not"))
    if "p" not in document:
        known = ("all", "any", "not", "p", "op", "v")
        hint = next((nearest(key, known) for key in document if nearest(key, known)), "")
        raise Problem(f"a filter has 'all', 'any', 'not', or 'p' with 'op' and 'v'{hint}", path)
    only(document, ("p", "op", "v"), path)
    p = check_property(document["p"], f"{path}.p", scopes)
    if "op" not in document:
        raise Problem("a filter with 'p' needs 'op'", path)
    op, value = operator_and_value(document, path)
    return Leaf(p, op, value)


def filter_to(node: Filter) -> dict[str, Any]:
    """The JSON values of a filter; the inverse of :func:`filter_from`."""
    if isinstance(node, AllOf):
        return {"all": [filter_to(item) for item in node.items]}
    if isinstance(node, AnyOf):
        return {"any": [filter_to(item) for item in node.items]}
    if isinstance(node, Not):
        return {"not": filter_to(node.item)}
    assert isinstance(node, Leaf)
    return {"p": node.p, **operator_and_value_to(node.op, node.v)}


def leaves(node: Filter | None) -> Iterator[Leaf]:
    """Every predicate of the tree, left to right."""
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Not):
        yield from leaves(node.item)
    elif isinstance(node, AllOf | AnyOf):
        for item in node.items:
            yield from leaves(item)


def properties_of(node: Filter | None) -> set[str]:
    """The properties that a filter reads."""
    return {leaf.p for leaf in leaves(node)}


def both(left: Filter | None, right: Filter | None) -> Filter | None:
    """The filter that holds where both do; None is no filter."""
    if left is None or right is None:
        return right if left is None else left
    return AllOf((left, right))


# ------------------------------------------------------------------------ shared with audiences


def operator_and_value(
    document: dict[str, Any], path: str
) -> tuple[str, Scalar | tuple[Scalar, ...] | Duration | None]:
    """Reads ``op`` and the ``v`` that it wants."""
    op = document["op"]
    if not isinstance(op, str) or op not in OPS:
        raise Problem(unknown("op", op, OPS), f"{path}.op")
    shape = OPS[op]
    place = f"{path}.v"
    if shape == "nothing":
        if document.get("v") is not None:
            raise Problem(f"op {op!r} takes no 'v'", place)
        return op, None
    if "v" not in document:
        raise Problem(f"op {op!r} needs 'v'", path)
    return op, _value(op, shape, document["v"], place)


def operator_and_value_to(
    op: str, v: Scalar | tuple[Scalar, ...] | Duration | None
) -> dict[str, Any]:
    """The JSON values of ``op`` and ``v``."""
    if v is None:
        return {"op": op}
    if isinstance(v, Duration):
        return {"op": op, "v": duration_to(v)}
    return {"op": op, "v": list(v) if isinstance(v, tuple) else v}


def _value(op: str, shape: str, v: object, path: str) -> Scalar | tuple[Scalar, ...] | Duration:
    if shape in ("scalar", "ordered", "text", "pattern"):
        return _scalar(op, shape, v, path)
    if shape == "duration":
        return duration_from(v, path)
    values = v
    if not isinstance(values, list | tuple):
        raise Problem(f"op {op!r} expects an array as 'v', got {shown(v)}", path)
    if shape == "pair" and len(values) != 2:
        raise Problem(f"op {op!r} expects [lowest, highest], got {len(values)} values", path)
    if len(values) > MAX_LIST_VALUES:
        raise Problem(f"at most {MAX_LIST_VALUES:,} values, got {len(values):,}", path)
    item_shape = {"pair": "ordered", "texts": "text", "scalars": "scalar"}[shape]
    read = tuple(_scalar(op, item_shape, x, f"{path}[{i}]") for i, x in enumerate(values))
    if shape == "pair" and isinstance(read[0], str) != isinstance(read[1], str):
        raise Problem("both ends of 'between' must be numbers, or both strings", path)
    return read


def _scalar(op: str, shape: str, v: object, path: str) -> Scalar:
    if v is None:
        raise Problem(f"op {op!r} expects a value, got null; write 'is_not_set' instead", path)
    if isinstance(v, list | tuple):
        hint = "; write 'in' for a list of values" if op == "eq" else ""
        hint = "; write 'not_in' for a list of values" if op == "ne" else hint
        raise Problem(f"op {op!r} expects one value, got an array{hint}", path)
    if not isinstance(v, str | int | float):
        raise Problem(f"op {op!r} expects a value, got {shown(v)}", path)
    if shape in ("text", "pattern") and not isinstance(v, str):
        raise Problem(f"op {op!r} expects a string, got {shown(v)}", path)
    if shape == "ordered" and isinstance(v, bool):
        raise Problem(f"op {op!r} expects a number or a string, got {shown(v)}", path)
    if isinstance(v, int) and not INT64_MIN <= v <= INT64_MAX:
        raise Problem("whole numbers must fit in 64 bits", path)
    if shape == "pattern":
        check_pattern(str(v), path)
    return v


def check_pattern(pattern: str, path: str) -> None:
    """Raises Problem unless the text is an RE2 expression of bearable length."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise Problem(f"a pattern has at most {MAX_PATTERN_CHARS:,} characters", path)
    # Imported here: only queries with `matches` pay for it. RE2 runs in linear time whatever the
    # pattern, which Python's `re` does not.
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).partition(": ")[2] or "malformed"
        raise Problem(f"not a regular expression that RE2 accepts: {reason}", path) from None
