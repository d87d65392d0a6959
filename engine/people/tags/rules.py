"""What a tag is: its rule, the type of its values, when it is refreshed, what it is made of.

A definition is read from JSON values and checked against what the project has; the error says where
(``$.rule.layers[0].if``). Semantics: docs/tags.md. Immutable; functions only: thread-safe.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from zuji.engine.errors import InvalidQuery

# msgspec reads these annotations at run time.
from zuji.engine.query.analyses.scoring import SCORES, Thresholds
from zuji.engine.query.audience import (
    Audience,
    Did,
    DidSequence,
    HasTag,
    InCohort,
    UserIs,
    audience_leaves,
)
from zuji.engine.query.checks import check_events, check_named, located
from zuji.engine.query.documents import convert, load, plain
from zuji.engine.query.filter_ast import Scalar, properties_of
from zuji.engine.query.grouping import bucket_labels
from zuji.engine.query.mark_names import TAG, mark_of
from zuji.engine.query.measures import Aggregated
from zuji.engine.query.model import BucketEdges, Events  # noqa: TC001
from zuji.engine.query.problems import Problem, shown
from zuji.engine.query.properties import EVENT, NAME_COLUMN
from zuji.engine.query.virtual.expression import ANY, TYPE_OF, checked, parsed, reads
from zuji.engine.types import KIND_BY_LABEL, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zuji.engine.query.filter_ast import Filter
    from zuji.engine.query.virtual.expression import Expression

MAX_TAGS: Final = 1_000
MAX_LAYERS: Final = 200
MAX_NAME_CHARS: Final = 100
NAME: Final = re.compile(r"[^\W_][\w-]*")
"""Letters and digits of any script, ``_`` and ``-``; so a name stands in a property's name."""
AGGREGATES: Final = ("sum", "avg", "min", "max", "distinct")

Days = Annotated[int, Meta(ge=1, le=3_660)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]
ValueType = Literal["string", "int64", "float64", "bool", "datetime"]
Quantile = Annotated[float, Meta(gt=0, lt=1)]


class TagMeasure(Aggregated):
    """``"count"``, or an aggregate of a property: ``{"sum": "event.amount"}``."""

    __slots__ = ("op", "p")
    WORDS = ("count",)
    CHOICES = ("count", *({a: "event.NAME"} for a in AGGREGATES))

    def __init__(self, op: str = "count", p: str | None = None) -> None:
        self.op = op
        self.p = p


class Layer(Struct, frozen=True, forbid_unknown_fields=True, rename={"if_": "if"}):
    """The value ``v`` of the users in an audience."""

    v: Scalar
    if_: Audience


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """Base of the rules; ``kind`` says which."""


class Layers(Rule, frozen=True, kw_only=True, tag="layers"):
    """The value of the first layer that a user is in. ``days``: where ``did`` without ``within``
    looks, so many days up to the tag's own; None: all the time up to its end.
    """

    layers: Annotated[tuple[Layer, ...], Meta(min_length=1, max_length=MAX_LAYERS)]
    days: Days | None = None


class Taken(Rule, frozen=True, kw_only=True, tag="value"):
    """The first, last or most frequent value of a property of events in the last ``days`` (None:
    ever). ``type``: of a property that nobody sent yet.
    """

    events: Events
    p: str
    take: Literal["first", "last", "most_frequent"]
    days: Days | None = None
    type: ValueType | None = None


class Aggregate(Rule, frozen=True, kw_only=True, tag="aggregate"):
    """A number of each user's events in the last ``days`` (None: ever), or the bucket it lies in:
    left-closed, named by ``labels``, one more than ``buckets``.
    """

    events: Events
    measure: TagMeasure
    days: Days | None = None
    buckets: BucketEdges | None = None
    labels: tuple[Label, ...] | None = None


class ScoreTag(Rule, frozen=True, kw_only=True, tag=SCORES.name):
    """Layer, or scores 1 to 5, of the model that scores users, over the last ``days``. ``gives``:
    the layer's name, a score as a number, or all three as a text such as ``"543"``.
    """

    event: Events
    monetary: str
    days: Days
    gives: Literal["layer", "r", "f", "m", "scores"] = "layer"
    thresholds: Thresholds | None = None
    quantiles: tuple[Quantile, ...] | None = None


class Derived(Rule, frozen=True, kw_only=True, tag="expression", rename={"as_": "as"}):
    """An expression over tags and properties of users: ``user["$tag.spend"] / 12``."""

    as_: str
    type: ValueType


class Imported(Rule, frozen=True, kw_only=True, tag="imported"):
    """Values that are loaded, a file a day."""

    type: ValueType


class Manual(Rule, frozen=True, kw_only=True, tag="manual"):
    """Values that people give, user by user. ``values``: the only ones there may be."""

    type: ValueType
    values: tuple[Scalar, ...] | None = None


AnyRule = Layers | Taken | Aggregate | ScoreTag | Derived | Imported | Manual
COMPUTED: Final = (Layers, Taken, Aggregate, ScoreTag, Derived)


class Schedule(Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh for each day, or the last day of each week or month, at a local time after it."""

    every: Literal["day", "week", "month"] = "day"
    at: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "02:00"


class Definition(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"else_": "else"}
):
    """One tag. ``else_``: the value of users known by then for whom the rule has none.
    ``keep_days``: values of older days are dropped, but for the newest.
    """

    name: str
    rule: AnyRule
    description: Annotated[str, Meta(max_length=2_000)] = ""
    else_: Scalar | None = None
    schedule: Schedule | None = None
    keep_days: Annotated[int, Meta(ge=1, le=36_600)] = 90


def definition_from(document: Mapping[str, Any] | str | bytes) -> Definition:
    """A definition, checked but for what depends on the project. Raises InvalidQuery."""
    made: Definition = convert(load(document), Definition)
    check_name(made.name, "$.name")
    rule, path = made.rule, "$.rule"
    if isinstance(rule, Taken | Aggregate):
        check_events(rule.events, f"{path}.events")
        if isinstance(rule, Taken):
            check_named(rule.p, f"{path}.p", (EVENT,))
        else:
            _check_buckets(rule, path)
    elif isinstance(rule, ScoreTag):
        check_events(rule.event, f"{path}.event")
    elif isinstance(rule, Derived):
        tree = tree_of(rule)
        other = next((p for p in reads(tree) if not p.startswith("user.")), None)
        if other is not None:
            raise InvalidQuery(f"a tag is of a user and cannot read {other!r}", f"{path}.as")
    if made.schedule is not None and not isinstance(rule, COMPUTED):
        raise InvalidQuery("only what is computed has a schedule", "$.schedule")
    if made.else_ is not None and not isinstance(rule, COMPUTED):
        raise InvalidQuery("only what is computed has an 'else'", "$.else")
    return made


def definition_to(definition: Definition) -> dict[str, Any]:
    """Its JSON values, with defaults; the inverse of :func:`definition_from`."""
    document: dict[str, Any] = plain(definition)
    return document


def check_name(name: str, path: str) -> None:
    """Raises InvalidQuery for what cannot be the name of a tag."""
    if len(name) > MAX_NAME_CHARS or not NAME.fullmatch(name):
        raise InvalidQuery(
            f"the name of a tag has 1 to {MAX_NAME_CHARS} letters, digits, '_' or '-' and begins "
            f"with a letter or digit, got {shown(name)}",
            path,
        )


def tree_of(rule: Derived) -> Expression:
    """The expression, read. Raises InvalidQuery."""
    try:
        return parsed(rule.as_)
    except Problem as problem:
        raise InvalidQuery(problem.text, "$.rule.as") from None


def _check_buckets(rule: Aggregate, path: str) -> None:
    if rule.measure.op not in ("count", *AGGREGATES):
        raise InvalidQuery(
            f"a tag has no {rule.measure.op!r}, but {', '.join(('count', *AGGREGATES))}",
            f"{path}.measure",
        )
    if rule.measure.p == NAME_COLUMN and rule.measure.op != "distinct":
        raise InvalidQuery("a name is no number", f"{path}.measure.{rule.measure.op}")
    if rule.buckets is None:
        if rule.labels is not None:
            raise InvalidQuery("labels are those of 'buckets'", f"{path}.labels")
        return
    if any(a >= b for a, b in pairwise(rule.buckets)):
        raise InvalidQuery("bucket edges must ascend", f"{path}.buckets")
    if rule.labels is not None and len(rule.labels) != len(rule.buckets) + 1:
        raise InvalidQuery(
            f"{len(rule.buckets)} edges make {len(rule.buckets) + 1} buckets, got "
            f"{len(rule.labels)} labels",
            f"{path}.labels",
        )


# ---------------------------------------------------------------------------------- kinds of values


def kind_of_tag(definition: Definition, kind_of: Callable[[str], Kind | None]) -> Kind:
    """Kind of a tag's values. ``kind_of``: of a property or tag by its full name.

    Raises:
        InvalidQuery: the rule's values are of several kinds, or of none that can be told; ``else``
            is of another one.
    """
    kind = _kind(definition.rule, kind_of)
    if definition.else_ is not None:
        check_value(definition.else_, kind, "$.else")
    return kind


def _kind(rule: AnyRule, kind_of: Callable[[str], Kind | None]) -> Kind:
    if isinstance(rule, Layers):
        return _kind_of_values([layer.v for layer in rule.layers])
    if isinstance(rule, Taken):
        return _kind_taken(rule, kind_of)
    if isinstance(rule, Aggregate):
        return _kind_of_aggregate(rule, kind_of)
    if isinstance(rule, ScoreTag):
        return Kind.STRING if rule.gives in ("layer", "scores") else Kind.INT
    kind = KIND_BY_LABEL[rule.type]
    if isinstance(rule, Derived):
        try:
            got = checked(tree_of(rule), kind_of)
        except Problem as problem:
            raise InvalidQuery(problem.text, "$.rule.as") from None
        if got not in (ANY, TYPE_OF[kind]):
            raise InvalidQuery(f"gives a {got}, but the type is {kind.label}", "$.rule.as")
    if isinstance(rule, Manual):
        for i, value in enumerate(rule.values or ()):
            check_value(value, kind, f"$.rule.values[{i}]")
    return kind


def _kind_of_values(values: list[Scalar]) -> Kind:
    kinds = {type(value) for value in values}
    if kinds == {int, float}:
        return Kind.FLOAT
    if len(kinds) > 1:
        raise InvalidQuery("the values of all layers are of one type", "$.rule.layers")
    made = {str: Kind.STRING, bool: Kind.BOOL, int: Kind.INT, float: Kind.FLOAT}
    return made[kinds.pop()]


def _kind_taken(rule: Taken, kind_of: Callable[[str], Kind | None]) -> Kind:
    kind = kind_of(rule.p)
    if kind is None:
        if rule.type is None:
            raise InvalidQuery(
                f"{rule.p!r} has not been seen; give the 'type' of its values", "$.rule.p"
            )
        return KIND_BY_LABEL[rule.type]
    if kind == Kind.LIST:
        if rule.take != "most_frequent":
            raise InvalidQuery(
                f"{rule.p} is a list; take the 'most_frequent' of its items", "$.rule.take"
            )
        kind = Kind.STRING
    if rule.type is not None and KIND_BY_LABEL[rule.type] != kind:
        raise InvalidQuery(f"{rule.p} is a {kind.label}", "$.rule.type")
    return kind


def _kind_of_aggregate(rule: Aggregate, kind_of: Callable[[str], Kind | None]) -> Kind:
    op, p = rule.measure.op, rule.measure.p
    kind = None if p is None else kind_of(p)
    path = f"$.rule.measure.{op}"
    if op not in ("count", "distinct") and kind in (Kind.STRING, Kind.LIST):
        raise InvalidQuery(f"{p} is a {kind.label}; a number is needed here", path)
    if kind == Kind.DATETIME and (op in ("sum", "avg") or rule.buckets is not None):
        raise InvalidQuery(f"{p} is a datetime; it has 'min' and 'max'", path)
    if rule.buckets is not None:
        return Kind.STRING
    if op in ("count", "distinct"):
        return Kind.INT
    if op in ("min", "max") and kind in (Kind.INT, Kind.BOOL, Kind.DATETIME):
        return Kind.INT if kind == Kind.BOOL else kind
    return Kind.FLOAT


def values_of(definition: Definition) -> list[Scalar] | None:
    """The values that a tag can have, in the order of its rule, ``else`` at the end; None when the
    rule alone does not tell them.
    """
    rule, found = definition.rule, list[Scalar]()
    if isinstance(rule, Layers):
        found = [layer.v for layer in rule.layers]
    elif isinstance(rule, Aggregate) and rule.buckets is not None:
        found = list(rule.labels or bucket_labels(rule.buckets))
    elif isinstance(rule, ScoreTag) and rule.gives != "scores":
        found = list(SCORES.layers) if rule.gives == "layer" else list(range(1, 6))
    elif isinstance(rule, Manual) and rule.values is not None:
        found = list(rule.values)
    else:
        return None
    if definition.else_ is not None:
        found.append(definition.else_)
    return list(dict.fromkeys(found))


def check_value(value: object, kind: Kind, path: str) -> None:
    """Raises InvalidQuery when a JSON value cannot be one of a tag of that kind."""
    if isinstance(value, bool):
        fits = kind == Kind.BOOL
    elif isinstance(value, int):
        fits = kind in (Kind.INT, Kind.FLOAT, Kind.DATETIME) and -(2**63) <= value < 2**63
    elif isinstance(value, float):
        fits = kind == Kind.FLOAT
    else:
        fits = isinstance(value, str) and kind in (Kind.STRING, Kind.DATETIME)
    if fits and kind == Kind.DATETIME and isinstance(value, str):
        from zuji.engine import calendars

        located(calendars.parse_instant, value, path)
    if not fits:
        raise InvalidQuery(f"expected a {kind.label}, got {shown(value)}", path)


# ---------------------------------------------------------------------------- what a tag is made of


class Parts(Struct, frozen=True):
    """What a rule stands on: names of tags and cohorts, properties by full name, events."""

    tags: frozenset[str] = frozenset()
    cohorts: frozenset[str] = frozenset()
    properties: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()


def parts_of_audience(audience: Audience) -> Parts:
    """What an audience stands on."""
    properties: set[str] = set()
    events: set[str] = set()
    cohorts: set[str] = set()

    def event(e: Any, where: Filter | None) -> None:
        events.update(() if e == "*" else [e] if isinstance(e, str) else e)
        properties.update(properties_of(where))

    for leaf in audience_leaves(audience):
        if isinstance(leaf, InCohort):
            cohorts.add(leaf.name)
        elif isinstance(leaf, HasTag):
            properties.add(leaf.p)
        elif isinstance(leaf, UserIs):
            properties.update(properties_of(leaf.where))
        elif isinstance(leaf, DidSequence):
            for step in leaf.steps:
                event(step.e, step.where)
        elif isinstance(leaf, Did):
            event(leaf.events.e, leaf.events.where)
            measure = getattr(leaf, "measure", None)
            if measure is not None:
                properties.add(measure[1])
    return _sorted_out(properties, cohorts, events)


def parts_of_rule(rule: AnyRule) -> Parts:
    """What a rule stands on."""
    if isinstance(rule, Layers):
        found = [parts_of_audience(layer.if_) for layer in rule.layers]
        return Parts(
            frozenset().union(*(one.tags for one in found)),
            frozenset().union(*(one.cohorts for one in found)),
            frozenset().union(*(one.properties for one in found)),
            frozenset().union(*(one.events for one in found)),
        )
    properties: set[str] = set()
    events: set[str] = set()
    if isinstance(rule, Taken | Aggregate | ScoreTag):
        of = rule.event if isinstance(rule, ScoreTag) else rule.events
        events.update(of.names or ())
        properties.update(properties_of(of.where))
        if isinstance(rule, Taken):
            properties.add(rule.p)
        elif isinstance(rule, ScoreTag):
            properties.add(rule.monetary)
        elif rule.measure.p is not None:
            properties.add(rule.measure.p)
    elif isinstance(rule, Derived):
        properties.update(reads(tree_of(rule)))
    return _sorted_out(properties, set(), events)


def _sorted_out(properties: set[str], cohorts: set[str], events: set[str]) -> Parts:
    tags, plain_ones = set(), set()
    for p in properties:
        scope, _, name = p.partition(".")
        mark = mark_of(name) if scope == "user" else None
        if mark is None:
            plain_ones.add(p)
        elif mark.prefix == TAG:
            tags.add(mark.name)
        else:
            cohorts.add(mark.name)
    return Parts(frozenset(tags), frozenset(cohorts), frozenset(plain_ones), frozenset(events))
