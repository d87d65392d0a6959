"""The user property model's part of the language: groups of users and measures over them, or the
persona of one audience beside another.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from zuji.engine.errors import InvalidQuery

# msgspec reads these annotations at run time.
from zuji.engine.query.audience import Audience  # noqa: TC001
from zuji.engine.query.checks import BODY, check_events, check_named, distinct, located
from zuji.engine.query.filter_ast import Scalar  # noqa: TC001
from zuji.engine.query.grammar import QUANTILE, Written
from zuji.engine.query.measures import EVENT_AGGREGATES, Measure, quantile_of
from zuji.engine.query.model import (
    MAX_BY,
    BucketEdges,
    Envelope,
    EventPlace,
    Events,
    Pick,
    PropertyPlace,
    place,
)
from zuji.engine.query.problems import Problem, shown, unknown
from zuji.engine.query.properties import MAX_NAME_CHARS, USER, check_property
from zuji.engine.query.ranges import check_range_text

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

MAX_MEASURES: Final = 30
MAX_TRAITS: Final = 50
END: Final = "end"


class UserMeasure(Written):
    """An aggregate ``op`` of the user property ``p``."""

    __slots__ = ("op", "p")

    def __init__(self, op: str, p: str) -> None:
        self.op = op
        self.p = p

    @property
    def column(self) -> str:
        """Name of its column: ``avg(user.age)``."""
        return f"{self.op}({self.p})"

    @classmethod
    def read(cls, value: object) -> UserMeasure:
        """From ``{"avg": "user.age"}``. Raises Problem."""
        if not isinstance(value, dict) or len(value) != 1:
            raise Problem(
                f"expected an object with one aggregate, {{'avg': 'user.NAME'}}, got {shown(value)}"
            )
        ((op, p),) = value.items()
        if op not in EVENT_AGGREGATES and quantile_of(op) is None:
            raise Problem(unknown("aggregate", op, (*EVENT_AGGREGATES, "p10", "p90", "p99")))
        return cls(op, check_property(p, f".{op}", (USER,)))

    def write(self) -> object:
        """The JSON value."""
        return {self.op: self.p}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema of the form."""
        return {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "propertyNames": {"pattern": f"^({'|'.join(EVENT_AGGREGATES)}|{QUANTILE})$"},
            "additionalProperties": {
                "type": "string",
                "pattern": f"^user\\.[\\s\\S]{{1,{MAX_NAME_CHARS}}}$",
            },
        }


class Trait(Struct, frozen=True, forbid_unknown_fields=True):
    """A property of a persona; ``buckets`` as those of a breakdown."""

    p: str
    buckets: BucketEdges | None = None


class Persona(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The audience ``group`` beside the audience ``base`` (None: everybody)."""

    group: Audience
    base: Audience | None = None
    properties: Annotated[tuple[Trait, ...], Meta(min_length=1, max_length=MAX_TRAITS)]


class UserPropertyBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "user_property"``.

    ``active``: only users with such an event in the range. ``as_of``: when values are read; None:
    the last ones, ``end``: at the end of the range. ``auto_buckets``: properties of ``by`` or of
    the persona whose numbers get buckets that fit them.
    """

    measures: Annotated[tuple[UserMeasure, ...], Meta(max_length=MAX_MEASURES)] = ()
    active: Events | None = None
    as_of: str | None = None
    auto_buckets: Annotated[tuple[str, ...], Meta(max_length=MAX_BY + MAX_TRAITS)] = ()
    persona: Persona | None = None


class UserPropertyQuery(Envelope, frozen=True, kw_only=True, tag="user_property"):
    """Users by their properties."""

    model: ClassVar[Literal["user_property"]] = "user_property"
    body: UserPropertyBody

    @property
    def has_groups(self) -> bool:
        """Whether the answer has groups: a persona always has."""
        return bool(self.by) or self.body.persona is not None

    def says(self, words: Words) -> str:
        """``the number of users and the average of the user's “age”``."""
        body = self.body
        if body.persona is None:
            parts = [words("the number of users", "用户数")]
            parts += [words.measure(Measure(one.op, one.p)) for one in body.measures]
            text = words.joined(parts)
        else:
            text = _persona_says(body.persona, words)
        if body.active is not None:
            events = words.events(body.active)
            text += words(f", of those who did {events}", f"（仅限做过{events}的用户）")
        if body.as_of == END:
            text += words(", as of the end of the range", "（取期末的值）")
        elif body.as_of is not None:
            text += words(f", as of {body.as_of}", f"（取{body.as_of}时的值）")
        return text

    def completed(self) -> Self:
        """The query, checked."""
        _check(self)
        return self

    def event_places(self) -> list[EventPlace]:
        """What makes a user active."""
        active = self.body.active
        return [] if active is None else [place(f"{BODY}.active", active)]

    def property_places(self) -> list[PropertyPlace]:
        """What is measured, and the properties of the persona."""
        found = [
            PropertyPlace(f"{BODY}.measures[{i}].{one.op}", one.p, _wants(one.op))
            for i, one in enumerate(self.body.measures)
        ]
        traits = () if self.body.persona is None else self.body.persona.properties
        return found + [
            PropertyPlace(f"{BODY}.persona.properties[{i}].p", trait.p)
            for i, trait in enumerate(traits)
        ]

    def audience_places(self) -> list[tuple[str, Audience]]:
        """Both sides of a persona."""
        persona = self.body.persona
        if persona is None:
            return []
        sides = [(f"{BODY}.persona.group", persona.group)]
        return sides if persona.base is None else [*sides, (f"{BODY}.persona.base", persona.base)]


class UserPropertyPick(Pick, frozen=True, kw_only=True):
    """Users of a group. Of a persona: those of ``side`` with the ``value`` of a ``property``, or
    without ``property`` all of the side.
    """

    property: str | None = None
    value: Scalar | None = None
    side: Literal["group", "base"] | None = None

    def completed(self, query: UserPropertyQuery) -> Self:
        """The pick with its side."""
        persona = query.body.persona
        if persona is None:
            for name in ("property", "value", "side"):
                if getattr(self, name) is not None:
                    raise InvalidQuery("the query has no 'persona'", f"$.{name}")
            return self
        names = [trait.p for trait in persona.properties]
        if self.property is None:
            for name, given in (("value", self.value is not None), ("is_other", self.is_other)):
                if given:
                    raise InvalidQuery(f"{name!r} needs a 'property'", f"$.{name}")
        elif self.property not in names:
            raise InvalidQuery(unknown("property", self.property, names), "$.property")
        if self.is_other and self.value is not None:
            raise InvalidQuery("the row 'other' has no value", "$.value")
        return replace(self, side=self.side or "group")


def _persona_says(persona: Persona, words: Words) -> str:
    traits = words.joined([words.property(trait.p) for trait in persona.properties])
    group = words.audience(persona.group)
    if persona.base is None:
        return words(
            f"how users {group} differ from all in {traits}",
            f"{group}的用户与全体在{traits}上的差异",
        )
    base = words.audience(persona.base)
    return words(
        f"how users {group} differ from users {base} in {traits}",
        f"{group}的用户与{base}的用户在{traits}上的差异",
    )


def _wants(op: str) -> Literal["any", "number", "ordered"]:
    if op == "distinct":
        return "any"
    return "ordered" if op in ("min", "max") else "number"


def _check(query: UserPropertyQuery) -> None:
    body = query.body
    for i, by in enumerate(query.by):
        check_named(by.p, f"$.by[{i}].p", (USER,))
        if by.as_of == "event":
            raise InvalidQuery(
                "there is no event to read it at; 'body.as_of' says when", f"$.by[{i}].as_of"
            )
    if body.active is not None:
        check_events(body.active, f"{BODY}.active")
    elif query.where is not None:
        raise InvalidQuery(
            "a filter of events needs 'body.active'; users are filtered by 'audience': "
            '{"user": …}',
            "$.where",
        )
    if body.as_of not in (None, END):
        located(check_range_text, body.as_of, f"{BODY}.as_of")
    distinct([one.column for one in body.measures], f"{BODY}.measures", "measure")
    grouped = {by.p: by.buckets for by in query.by}
    if body.persona is not None:
        grouped = _check_persona(query, body.persona)
    for i, p in enumerate(body.auto_buckets):
        path = f"{BODY}.auto_buckets[{i}]"
        if not grouped:
            raise InvalidQuery("the query has no 'by' and no 'persona' to make buckets for", path)
        if p not in grouped:
            raise InvalidQuery(unknown("property of the groups", p, list(grouped)), path)
        if grouped[p] is not None:
            raise InvalidQuery(f"{p!r} has 'buckets' of its own", path)
        if p in body.auto_buckets[:i]:
            raise InvalidQuery(f"{p!r} stands twice", path)


def _check_persona(query: UserPropertyQuery, persona: Persona) -> dict[str, Any]:
    if query.by:
        raise InvalidQuery("a persona has its 'properties' in place of a breakdown", "$.by")
    if query.body.measures:
        raise InvalidQuery("a persona counts users and measures nothing", f"{BODY}.measures")
    path = f"{BODY}.persona.properties"
    for i, trait in enumerate(persona.properties):
        check_named(trait.p, f"{path}[{i}].p", (USER,))
        edges = trait.buckets or ()
        if any(a >= b for a, b in pairwise(edges)):
            raise InvalidQuery("bucket edges must ascend", f"{path}[{i}].buckets")
    distinct([trait.p for trait in persona.properties], path, "p")
    return {trait.p: trait.buckets for trait in persona.properties}
