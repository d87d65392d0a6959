"""The typed query: one struct for the envelope of each model, one for its body, every default here.

JSON names are those of the fields but for ``from_``, ``as_`` and ``return_``. Reading, with all
checks and with defaults that depend on other fields filled in, is :func:`parse.parse`; a struct
built by hand skips the checks. Immutable, so any thread may hold one.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, Struct, field

# msgspec reads these annotations at run time, so the imports below stay outside TYPE_CHECKING.
from zuji.engine.calendars import Grain  # noqa: TC001
from zuji.engine.query.audience import Audience, Names, event_names
from zuji.engine.query.durations import MAX_DURATION_MS, UNIT_MS, Duration
from zuji.engine.query.filter_ast import Filter, Scalar  # noqa: TC001
from zuji.engine.query.measures import FUNNEL_ALWAYS, FunnelMeasure, Measure, RetentionMeasure

MAX_BY: Final = 5
MAX_TOP: Final = 1_000
MAX_BUCKET_EDGES: Final = 100
MAX_SERIES: Final = 26
MAX_STEPS: Final = 30
MAX_PERIODS: Final = 366
MAX_EXCLUSIONS: Final = 30
MAX_HOLD: Final = 5
MAX_WINDOW_MS: Final = MAX_DURATION_MS

StepNumber = Annotated[int, Meta(ge=1, le=MAX_STEPS)]
BucketEdges = Annotated[tuple[int | float, ...], Meta(min_length=1, max_length=MAX_BUCKET_EDGES)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]


# ------------------------------------------------------------------------------- the envelope


class Time(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """``from``/``to``: see ``ranges.py``. ``tz`` None: the project's zone, put in when bound."""

    from_: str = "-30d"
    to: str = "today"
    tz: str | None = None
    grain: Grain = "day"
    week_start: Annotated[int, Meta(ge=1, le=7)] = 1


class StepRef(Struct, frozen=True, forbid_unknown_fields=True):
    """``{"step": 2}`` of a breakdown's ``attr``."""

    step: StepNumber


class By(Struct, frozen=True, forbid_unknown_fields=True):
    """A breakdown.

    ``attr``: where along a funnel's chain the value is read (None but in a funnel). ``as_of``:
    value at the event or now; parsed: never None. ``buckets``: edges of left-closed buckets of a
    number, n edges making n + 1 buckets.
    """

    p: str
    attr: Literal["first", "last"] | StepRef | None = None
    as_of: Literal["event", "now"] | None = None
    buckets: BucketEdges | None = None


class Top(Struct, frozen=True, forbid_unknown_fields=True):
    """The ``n`` greatest groups; ``other`` merges the rest into one row of ``is_other``."""

    n: Annotated[int, Meta(ge=1, le=MAX_TOP)] = 20
    other: bool = True


class Compare(Struct, frozen=True, forbid_unknown_fields=True):
    """The same query over the range moved back by ``shift`` (``"-1M"``)."""

    shift: str


class Events(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Events by name, list of names or ``"*"``, and filter."""

    e: Names
    where: Filter | None = None

    @property
    def names(self) -> tuple[str, ...] | None:
        """The event names, or None for any event."""
        return event_names(self.e)

    @property
    def title(self) -> str:
        """The names as one text: ``success | success_v2``."""
        return self.e if isinstance(self.e, str) else " | ".join(self.e)


class Session(Struct, frozen=True, forbid_unknown_fields=True):
    """A session ends where the next event of the user is more than ``gap`` later."""

    gap: Duration = Duration(30, "minute")


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="model"):
    """What the queries of all models share."""

    v: Literal[1] = 1
    project: str = "default"
    time: Time = Time()
    unit: Literal["user"] = "user"
    where: Filter | None = None
    audience: Audience | None = None
    by: Annotated[tuple[By, ...], Meta(max_length=MAX_BY)] = ()
    top: Top = Top()
    compare: Compare | None = None


# -------------------------------------------------------------------------------------- event


class Series(Events, frozen=True, kw_only=True, rename={"as_": "as"}):
    """One line of an event analysis. ``as``: its name in rows and formulas, else its letter."""

    measure: Measure = field(default_factory=Measure)
    as_: Label | None = None
    cumulative: bool = False
    moving_average: Annotated[int, Meta(ge=2, le=366)] | None = None


class Formula(Struct, frozen=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """A series computed from others. ``as``: its name in rows, else the expression."""

    expr: str
    as_: Label | None = None


class EventBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "event"``. Parsed: every ``as_`` is set."""

    series: Annotated[tuple[Series, ...], Meta(min_length=1, max_length=MAX_SERIES)]
    formula: Annotated[tuple[Formula, ...], Meta(max_length=MAX_SERIES)] = ()
    session: Session = Session()


class EventQuery(Envelope, frozen=True, kw_only=True, tag="event"):
    """Counts and aggregates of events over time."""

    model: ClassVar[Literal["event"]] = "event"
    body: EventBody


# ------------------------------------------------------------------------------------- funnel


class Step(Events, frozen=True, kw_only=True, rename={"as_": "as"}):
    """A step of a funnel; ``as``: its label, else the event's name."""

    as_: Label | None = None
    optional: bool = False

    @property
    def label(self) -> str:
        """Text of the ``label`` column."""
        return self.as_ or self.title


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """How long after step 1 the last step may come. ``same_day`` and ``session`` have ``n`` 1."""

    n: Annotated[int, Meta(ge=1)] = 1
    unit: Literal["second", "minute", "hour", "day", "week", "same_day", "session"] = "day"

    @property
    def ms(self) -> int | None:
        """Length, inclusive; None for ``same_day`` and ``session``."""
        unit = UNIT_MS.get(self.unit)
        return None if unit is None else self.n * unit


class HoldStep(Struct, frozen=True, forbid_unknown_fields=True):
    """The name that a held property has at one step."""

    step: StepNumber
    p: str


class Exclusion(Events, frozen=True, kw_only=True):
    """Events that break a chain between two steps (1-based). Parsed: ``between`` is set."""

    between: tuple[StepNumber, StepNumber] | None = None
    on: Literal["drop", "remove"] = "drop"


class FunnelBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "funnel"``."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=2, max_length=MAX_STEPS)]
    window: Window = Window(7, "day")
    order: Literal["ordered", "strict", "any_order"] = "ordered"
    entry: Literal["any", "first"] = "any"
    count: Literal["users", "entries", "sessions"] = "users"
    ties: Literal["sequence", "any", "strict"] = "sequence"
    hold: Annotated[tuple[str | tuple[HoldStep, ...], ...], Meta(max_length=MAX_HOLD)] = ()
    exclude: Annotated[tuple[Exclusion, ...], Meta(max_length=MAX_EXCLUSIONS)] = ()
    measure: Annotated[tuple[FunnelMeasure, ...], Meta(max_length=20)] = field(
        default_factory=lambda: tuple(FunnelMeasure(word) for word in FUNNEL_ALWAYS)
    )
    trend: bool = False
    session: Session = Session()

    @property
    def required(self) -> tuple[int, ...]:
        """0-based numbers of the steps that are not optional."""
        return tuple(i for i, step in enumerate(self.steps) if not step.optional)

    @property
    def held(self) -> tuple[tuple[str | None, ...], ...]:
        """Per held item the property of each step; None: the step (optional) is not named."""
        return tuple(self._held(item) for item in self.hold)

    def _held(self, item: str | tuple[HoldStep, ...]) -> tuple[str | None, ...]:
        if isinstance(item, str):
            return (item,) * len(self.steps)
        named = {at.step: at.p for at in item}
        return tuple(named.get(i + 1) for i in range(len(self.steps)))


class FunnelQuery(Envelope, frozen=True, kw_only=True, tag="funnel"):
    """How far users come through a sequence of steps."""

    model: ClassVar[Literal["funnel"]] = "funnel"
    body: FunnelBody


# ---------------------------------------------------------------------------------- retention


class Bracket(Struct, frozen=True, forbid_unknown_fields=True):
    """Returned at least once in periods a..b, for each ``[a, b]``."""

    bracket: Annotated[tuple[tuple[int, int], ...], Meta(min_length=1, max_length=100)]


class RetentionBody(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"return_": "return"}
):
    """Body of ``"model": "retention"``. The period is ``time.grain``: day, week or month."""

    start: Events
    return_: Events
    periods: Annotated[int, Meta(ge=1, le=MAX_PERIODS)] = 7
    cohort: Literal["first_in_range", "first_ever", "recurring"] = "first_in_range"
    mode: Literal["calendar", "rolling"] = "calendar"
    criterion: Literal["on", "on_or_after", "on_or_before", "consecutive"] | Bracket = "on"
    churn: bool = False
    measure: RetentionMeasure | None = None


class RetentionQuery(Envelope, frozen=True, kw_only=True, tag="retention"):
    """How many users come back, period by period."""

    model: ClassVar[Literal["retention"]] = "retention"
    body: RetentionBody


Query = EventQuery | FunnelQuery | RetentionQuery
MODELS: Final = ("event", "funnel", "retention")


# ------------------------------------------------------------------------------------- a pick


class Pick(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Coordinates of a cell, named as the columns of its row.

    ``by``: value of each breakdown (null for the group without value), or None for all groups
    together. ``range``: ``previous`` is the compared range.
    """

    by: dict[str, Scalar | None] | None = None
    is_other: bool = False
    range: Literal["current", "previous"] = "current"


class EventPick(Pick, frozen=True, kw_only=True):
    """Users of a series in a bucket (None: in the whole range)."""

    series: str | None = None
    bucket: str | None = None


class FunnelPick(Pick, frozen=True, kw_only=True):
    """Users who reached a step, or (``dropped``) reached the step before it and not this one."""

    step: StepNumber
    dropped: bool = False
    bucket: str | None = None


class RetentionPick(Pick, frozen=True, kw_only=True):
    """Users of a cohort (``period`` None), or those of it who returned (or not) in a period."""

    cohort: str
    period: Annotated[int, Meta(ge=0, le=MAX_PERIODS)] | None = None
    churned: bool = False


AnyPick = EventPick | FunnelPick | RetentionPick
