"""What the queries of all models share: the envelope, events by name and filter, picks.

Each model adds its body and its query beside its analysis (``analyses/``); every default stands in
these structs. JSON names are those of the fields but for ``from_``, ``as_`` and the like. Reading,
with all checks and with defaults that depend on other fields filled in, is :func:`parse.parse`; a
struct built by hand skips the checks. Immutable, so any thread may hold one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self

from msgspec import Meta, Struct

# msgspec reads these annotations at run time, so the imports below stay outside TYPE_CHECKING.
from zuji.engine.calendars import Grain  # noqa: TC001
from zuji.engine.query.audience import Audience, Names, event_names
from zuji.engine.query.durations import MAX_DURATION_MS, Duration
from zuji.engine.query.filter_ast import Filter, Scalar  # noqa: TC001

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

MAX_BY: Final = 5
MAX_TOP: Final = 1_000
MAX_BUCKET_EDGES: Final = 100
MAX_STEPS: Final = 30
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
    """The same query over the range moved back by ``shift`` (``"-1M"``), or of another audience:
    one of the two.
    """

    shift: str | None = None
    audience: Audience | None = None

    @property
    def side(self) -> str:
        """What the rows of the other side are called."""
        return "previous" if self.audience is None else "compared"


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


class EventPlace(NamedTuple):
    """Where a query names events: JSON path, names (None: any event) and their filter."""

    path: str
    names: tuple[str, ...] | None
    where: Filter | None


class PropertyPlace(NamedTuple):
    """Where a body uses a property other than in a filter.

    ``wants``: what its values must be; ``ordered`` is a number or an instant.
    """

    path: str
    p: str
    wants: Literal["any", "number", "ordered"] = "any"


class Session(Struct, frozen=True, forbid_unknown_fields=True):
    """A session ends where the next event of the user is more than ``gap`` later."""

    gap: Duration = Duration(30, "minute")


class Envelope(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="model"):
    """What the queries of all models share. A model's query says what its body is."""

    model: ClassVar[str]
    body: Any
    v: Literal[1] = 1
    project: str = "default"
    time: Time = Time()
    unit: Literal["user"] = "user"
    where: Filter | None = None
    audience: Audience | None = None
    by: Annotated[tuple[By, ...], Meta(max_length=MAX_BY)] = ()
    top: Top = Top()
    compare: Compare | None = None

    @property
    def steps(self) -> int:
        """Steps at which a breakdown may be read (``attr``); 0: the model has no such steps."""
        return 0

    @property
    def has_groups(self) -> bool:
        """Whether the answer has groups, and so may have a row of the rest."""
        return bool(self.by)

    def says(self, words: Words) -> str:
        """What the body asks, as a clause of a sentence."""
        raise NotImplementedError(f"{type(self).__name__} has no words for itself")

    def completed(self) -> Self:
        """The query with the body's dependent defaults filled in. Raises InvalidQuery."""
        return self

    def event_places(self) -> list[EventPlace]:
        """Every place of the body that names events."""
        return []

    def property_places(self) -> list[PropertyPlace]:
        """Every place of the body that uses a property, but for filters."""
        return []

    def audience_places(self) -> list[tuple[str, Audience]]:
        """(JSON path, audience) of every audience in the body."""
        return []


def place(path: str, events: Events) -> EventPlace:
    """The place of some events of a body."""
    return EventPlace(path, events.names, events.where)


# ------------------------------------------------------------------------------------- a pick


class Pick(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Coordinates of a cell, named as the columns of its row.

    ``by``: value of each breakdown (null for the group without value), or None for all groups
    together. ``range``: ``previous`` is the compared range, ``compared`` the compared audience.
    """

    by: dict[str, Scalar | None] | None = None
    is_other: bool = False
    range: Literal["current", "previous", "compared"] = "current"

    def completed(self, query: Any) -> Self:
        """The pick checked against its query, with what it left open filled in.

        Raises InvalidQuery; paths start at ``$``.
        """
        return self
