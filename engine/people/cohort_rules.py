"""What a cohort is, as people write it down: a rule of users, and when it is to be made again.

The JSON of a definition is in docs/cohorts.md. A cohort without a rule is a fixed list: loaded from
ids or saved from a cell of an answer. Immutable; thread-safe.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from zuji.engine import calendars
from zuji.engine.errors import InvalidQuery
from zuji.engine.people.graph import node_of
from zuji.engine.people.tags.rules import parts_of_audience
from zuji.engine.query.audience import Audience  # noqa: TC001  msgspec reads it
from zuji.engine.query.checks import located
from zuji.engine.query.documents import convert, load, plain
from zuji.engine.query.mark_names import COHORT, TAG
from zuji.engine.query.model import Envelope, EventPlace
from zuji.engine.query.ranges import check_range_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zuji.engine.people.graph import Node

MAX_COHORTS: Final = 2_000
MAX_NAME: Final = 100
DEFAULT_VERSIONS: Final = 100


class Schedule(Struct, frozen=True, forbid_unknown_fields=True):
    """A refresh each hour, day, week (Monday) or month (the first) at a local time; of an hour only
    the minutes count.
    """

    every: Literal["hour", "day", "week", "month"] = "day"
    at: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "02:00"


class Span(Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """Where behaviour without a ``within`` of its own is looked for. ``from_`` None: since ever."""

    from_: str | None = None
    to: str = "now"
    tz: str | None = None


class Definition(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One cohort. ``versions``: how many are kept."""

    name: str
    rule: Audience | None = None
    description: Annotated[str, Meta(max_length=2_000)] = ""
    schedule: Schedule | None = None
    time: Span = Span()
    versions: Annotated[int, Meta(ge=1, le=10_000)] = DEFAULT_VERSIONS


class Question(Envelope, frozen=True, kw_only=True, tag="cohort"):
    """The rule as a question, so that it is bound and checked as every query is."""

    body: Any = None

    def event_places(self) -> list[EventPlace]:
        """Those of the rule are the audience's."""
        return []

    def audience_places(self) -> list[tuple[str, Audience]]:
        """The rule."""
        return [] if self.body is None else [("$.rule", self.body)]


def definition_from(document: Mapping[str, Any] | str | bytes) -> Definition:
    """A definition, checked but for what depends on the project. Raises InvalidQuery."""
    made: Definition = convert(load(document), Definition)
    check_name(made.name)
    if made.time.from_ is not None:
        located(check_range_text, made.time.from_, "$.time.from")
    located(check_range_text, made.time.to, "$.time.to")
    if made.time.tz is not None:
        located(calendars.zone, made.time.tz, "$.time.tz")
    if made.rule is None and made.schedule is not None:
        raise InvalidQuery("a fixed list is not made again: no schedule", "$.schedule")
    return made


def definition_to(definition: Definition) -> dict[str, Any]:
    """The JSON values, with every default."""
    out: dict[str, Any] = plain(definition)
    return out


def check_name(name: str, path: str = "$.name") -> None:
    """Raises InvalidQuery for what cannot be the name of a cohort."""
    odd = (
        not name.strip() or name != name.strip() or not name.isprintable() or set("@/") & set(name)
    )
    if odd or len(name) > MAX_NAME:
        raise InvalidQuery(
            f"a cohort's name has 1 to {MAX_NAME} printable characters, no '@' or '/', no blank "
            f"at its ends; got {name[:MAX_NAME]!r}",
            path,
        )


def nodes_of(rule: Audience | None) -> frozenset[Node]:
    """What a rule is made of: cohorts, tags and properties."""
    if rule is None:
        return frozenset()
    parts = parts_of_audience(rule)
    found: set[Node] = {("cohort", name) for name in parts.cohorts}
    found |= {("tag", name) for name in parts.tags}
    found |= {node_of(p) for p in parts.properties}
    return frozenset(found)


def reads_of(rule: Audience | None) -> set[str]:
    """Properties and marks that a rule is made of, by full name."""
    if rule is None:
        return set()
    parts = parts_of_audience(rule)
    return {
        *parts.properties,
        *(f"user.{TAG}{name}" for name in parts.tags),
        *(f"user.{COHORT}{name}" for name in parts.cohorts),
    }


def wanted_at(schedule: Schedule, now_ms: int, tz: str) -> int:
    """The last instant, ms UTC, up to now at which a schedule wants a refresh."""
    wall = datetime.fromtimestamp(now_ms / 1_000, calendars.zone(tz))
    hour, minute = map(int, schedule.at.split(":"))
    if schedule.every == "hour":
        at = wall.replace(minute=minute, second=0, microsecond=0)
        back = timedelta(hours=1)
    else:
        at = wall.replace(hour=hour, minute=minute, second=0, microsecond=0)
        back = timedelta(days=1)
        if schedule.every == "week":
            at -= timedelta(days=at.weekday())
            back = timedelta(days=7)
        elif schedule.every == "month":
            at = at.replace(day=1)
            back = timedelta(days=1)
    while at.timestamp() * 1_000 > now_ms:
        at -= back
        if schedule.every == "month":
            at = at.replace(day=1)
    return int(at.timestamp() * 1_000)
