"""The attribution model's part of the language: target, touches, look-back, models of credit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.checks import (
    BODY,
    check_events,
    check_value_of_event,
    distinct,
)
from zuji.engine.query.durations import MAX_DURATION_MS, Duration, duration_from, duration_to
from zuji.engine.query.filter_ast import Scalar  # noqa: TC001  (msgspec reads it)
from zuji.engine.query.grammar import Written, object_of
from zuji.engine.query.model import (
    Envelope,
    EventPlace,
    Events,
    Label,
    Pick,
    PropertyPlace,
    place,
)
from zuji.engine.query.problems import Problem, array, mapping, only, unknown, whole
from zuji.engine.query.properties import NAME_COLUMN

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

MAX_TOUCHES: Final = 30
MAX_MODELS: Final = 20
MAX_MATCH: Final = 5
PLAIN_MODELS: Final = ("first", "last", "last_non_direct", "linear", "participation")
POSITION: Final = (40, 20, 40)
HALF_LIFE: Final = Duration(7, "day")
WORDS: Final = (*PLAIN_MODELS, "position", "time_decay")


class CreditModel(Written):
    """How a conversion's credit is shared: ``kind``, percents of ``position``, ``half_life`` of
    ``time_decay``.
    """

    __slots__ = ("half_life", "kind", "percents")

    def __init__(
        self,
        kind: str,
        percents: tuple[int, int, int] = POSITION,
        half_life: Duration = HALF_LIFE,
    ) -> None:
        self.kind = kind
        self.percents = percents
        self.half_life = half_life

    @property
    def label(self) -> str:
        """Its name in the answer's columns: the word, and what is not the default."""
        if self.kind == "position" and self.percents != POSITION:
            return f"position {'/'.join(map(str, self.percents))}"
        if self.kind == "time_decay" and self.half_life != HALF_LIFE:
            return f"time_decay {self.half_life.n} {self.half_life.unit}"
        return self.kind

    @property
    def for_kernel(self) -> tuple[str, float, float]:
        """As ``attribution_cells`` takes it."""
        if self.kind == "position":
            return self.kind, self.percents[0], self.percents[2]
        return self.kind, self.half_life.ms if self.kind == "time_decay" else 0, 0

    @classmethod
    def read(cls, value: object) -> CreditModel:
        """From a word, ``{"position": [40, 20, 40]}`` or ``{"time_decay": {"n": 7, "unit":
        "day"}}``. Raises Problem.
        """
        if isinstance(value, str):
            if value not in WORDS:
                raise Problem(unknown("model of credit", value, WORDS))
            return cls(value)
        document = mapping(value, "")
        if "position" in document:
            only(document, ("position",), "")
            given = array(document["position"], ".position")
            percents = [whole(x, f".position[{i}]", 0) for i, x in enumerate(given)]
            if len(percents) != 3 or sum(percents) != 100:
                raise Problem(
                    "expected the percents of first, middle and last: 100 in all", ".position"
                )
            return cls("position", (percents[0], percents[1], percents[2]))
        if "time_decay" not in document:
            raise Problem(
                "expected a word, {'position': [40, 20, 40]} or {'time_decay': {'n', 'unit'}}"
            )
        only(document, ("time_decay",), "")
        return cls("time_decay", half_life=duration_from(document["time_decay"], ".time_decay"))

    def write(self) -> object:
        """The JSON value."""
        if self.kind == "position":
            return {"position": list(self.percents)}
        if self.kind == "time_decay":
            return {"time_decay": duration_to(self.half_life)}
        return self.kind

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """JSON Schema of the form."""
        percent = {"type": "integer", "minimum": 0, "maximum": 100}
        percents = {"type": "array", "items": percent, "minItems": 3, "maxItems": 3}
        units = ["second", "minute", "hour", "day", "week"]
        length = {"n": {"type": "integer", "minimum": 1}, "unit": {"enum": units}}
        return {
            "anyOf": [
                {"enum": list(WORDS)},
                object_of({"position": percents}),
                object_of({"time_decay": object_of(length)}),
            ]
        }


class Target(Events, frozen=True, kw_only=True):
    """The conversion; ``value``: the number that is shared out with its credit."""

    value: str | None = None


class Touch(Events, frozen=True, kw_only=True, rename={"as_": "as"}):
    """A touch. ``as``: its label, else the event's name. ``name``: the property whose values tell
    its touches apart. ``direct``: visits that ``last_non_direct`` passes over.
    """

    as_: Label | None = None
    name: str | None = None
    direct: bool = False

    @property
    def label(self) -> str:
        """Text of the ``touch`` column."""
        return self.as_ or self.title


class Match(Struct, frozen=True, forbid_unknown_fields=True):
    """Properties of touch and target that must be equal."""

    touch: str
    target: str


class AttributionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "attribution"``. Parsed: every match has both."""

    target: Target
    touches: Annotated[tuple[Touch, ...], Meta(min_length=1, max_length=MAX_TOUCHES)]
    lookback: Duration = Duration(7, "day")
    models: Annotated[tuple[CreditModel, ...], Meta(min_length=1, max_length=MAX_MODELS)] = field(
        default_factory=lambda: (CreditModel("last"),)
    )
    match: Annotated[tuple[str | Match, ...], Meta(max_length=MAX_MATCH)] = ()
    reuse: bool = True
    trend: bool = False

    @property
    def pairs(self) -> list[Match]:
        """The matched properties."""
        return [one if isinstance(one, Match) else Match(one, one) for one in self.match]


class AttributionQuery(Envelope, frozen=True, kw_only=True, tag="attribution"):
    """Which touches the conversions are owed to."""

    model: ClassVar[Literal["attribution"]] = "attribution"
    body: AttributionBody

    def says(self, words: Words) -> str:
        """``which of “ad” and “push” within 7 days before are owed “pay”``."""
        body = self.body
        target = words.events(body.target)
        touches = words.joined(
            [
                words.events(touch)
                + ("" if touch.name is None else f" ({words.property(touch.name)})")
                for touch in body.touches
            ]
        )
        length = words.length(body.lookback)
        shared = words.joined([words.quoted(one.kind) for one in body.models])
        text = words(
            f"how much of {target} is owed to {touches} in the {length} before, by {shared}",
            f"{target}在此前{length}内归因于{touches}的功劳（{shared}）",
        )
        for item in body.match:
            p, q = (item, item) if isinstance(item, str) else (item.touch, item.target)
            p, q = words.property(p), words.property(q)
            text += words(f", where {p} of the touch is {q} of the target", f"，{p}等于目标的{q}")
        if body.target.value is not None:
            p = words.property(body.target.value)
            text += words(f", with {p} shared out", f"，并分摊{p}")
        return text

    def completed(self) -> Self:
        """The query, checked, with matches written out."""
        body = self.body
        _check(body)
        return replace(self, body=replace(body, match=tuple(body.pairs)))

    def event_places(self) -> list[EventPlace]:
        """Target and touches."""
        touches = [place(f"{BODY}.touches[{i}]", t) for i, t in enumerate(self.body.touches)]
        return [place(f"{BODY}.target", self.body.target), *touches]

    def property_places(self) -> list[PropertyPlace]:
        """The value, names of touches, and what is matched."""
        body, found = self.body, []
        if body.target.value is not None:
            found.append(PropertyPlace(f"{BODY}.target.value", body.target.value, "number"))
        for i, touch in enumerate(body.touches):
            if touch.name is not None:
                found.append(PropertyPlace(f"{BODY}.touches[{i}].name", touch.name))
        for i, pair in enumerate(body.pairs):
            found.append(PropertyPlace(f"{BODY}.match[{i}].touch", pair.touch))
            found.append(PropertyPlace(f"{BODY}.match[{i}].target", pair.target))
        return found


class AttributionPick(Pick, frozen=True, kw_only=True):
    """Users with a conversion in which a touch takes part (and its ``name``), without any touch
    (``is_direct``), or with any conversion (neither).
    """

    touch: str | None = None
    name: Scalar | None = None
    is_direct: bool = False
    bucket: str | None = None

    def completed(self, query: AttributionQuery) -> Self:
        """The pick, checked."""
        if self.is_direct and self.touch is not None:
            raise InvalidQuery("a direct conversion has no touch", "$.touch")
        if self.bucket is not None and not query.body.trend:
            raise InvalidQuery("the query has no 'trend'", "$.bucket")
        named = [t for t in query.body.touches if t.label == self.touch]
        if self.touch is not None and not named:
            labels = [t.label for t in query.body.touches]
            raise InvalidQuery(unknown("touch", self.touch, labels), "$.touch")
        if self.name is not None and not (named and named[0].name):
            raise InvalidQuery("only a touch with 'name' has names", "$.name")
        return self


def _check(body: AttributionBody) -> None:
    check_events(body.target, f"{BODY}.target")
    if body.target.value is not None:
        check_value_of_event(body.target.value, f"{BODY}.target.value", "shared out")
    for i, touch in enumerate(body.touches):
        path = f"{BODY}.touches[{i}]"
        check_events(touch, path)
        if touch.name == NAME_COLUMN:
            continue
        if touch.name is not None:
            check_value_of_event(touch.name, f"{path}.name", "the name of a touch")
    distinct([touch.label for touch in body.touches], f"{BODY}.touches", "as")
    distinct([model.label for model in body.models], f"{BODY}.models", "label")
    if body.lookback.ms > MAX_DURATION_MS:
        raise InvalidQuery("a look-back is at most 366 days", f"{BODY}.lookback")
    for i, pair in enumerate(body.pairs):
        for p, side in ((pair.touch, "touch"), (pair.target, "target")):
            check_value_of_event(p, f"{BODY}.match[{i}].{side}", "matched")
    for i, model in enumerate(body.models):
        if model.half_life.ms > MAX_DURATION_MS:
            raise InvalidQuery("a half-life is at most 366 days", f"{BODY}.models[{i}]")
