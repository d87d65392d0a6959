"""The session model's part of the language: what a session is, and what is asked of sessions."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.checks import BODY, check_events, check_session
from zuji.engine.query.model import Envelope, EventPlace, Events, Pick, Session, place
from zuji.engine.query.problems import unknown

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

WORDS: Final = (
    "sessions",
    "users",
    "per_user",
    "bounces",
    "bounce_rate",
    "duration_sum",
    "duration_avg",
    "duration_median",
    "depth_sum",
    "depth_avg",
    "depth_median",
)
USUAL: Final = ("sessions", "users", "duration_avg", "depth_avg", "bounce_rate")
QUANTILE: Final = re.compile(r"(duration|depth)_(?:median|p([1-9]\d?))")
EDGES: Final[dict[str, tuple[int, ...]]] = {
    "duration": (0, 1_000, 10_000, 30_000, 60_000, 180_000, 600_000, 1_800_000),
    "depth": (1, 2, 3, 5, 10, 20, 50),
}
MAX_MEASURES: Final = 20
MAX_EDGES: Final = 100
MAX_EDGE: Final = 1 << 50


class SessionSpec(Session, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a session is: cut by ``gap`` over all events, then at local midnights, before each
    ``start`` event and after each ``end`` event.
    """

    start: Events | None = None
    end: Events | None = None
    midnight: bool = False


class SessionBands(Struct, frozen=True, forbid_unknown_fields=True):
    """Sessions by their duration (ms) or depth, in left-closed intervals. Parsed: edges are set."""

    of: Literal["duration", "depth"]
    edges: (
        Annotated[
            tuple[Annotated[int, Meta(ge=-MAX_EDGE, le=MAX_EDGE)], ...],
            Meta(min_length=1, max_length=MAX_EDGES),
        ]
        | None
    ) = None


class SessionBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "session"``. ``events``: rows that count; ``attr``: the one at which a
    breakdown is read.
    """

    events: Events = Events(e="*")
    session: SessionSpec = SessionSpec()
    measure: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MAX_MEASURES)] = USUAL
    attr: Literal["first", "last"] = "first"
    distribution: SessionBands | None = None


class SessionQuery(Envelope, frozen=True, kw_only=True, tag="session"):
    """How many sessions there are, how long and how deep."""

    model: ClassVar[Literal["session"]] = "session"
    body: SessionBody

    def says(self, words: Words) -> str:
        """``the sessions of users with any event``."""
        events, cut = words.events(self.body.events), cut_words(self.body.session, words)
        return words(f"sessions of users with {events}, {cut}", f"用户含{events}的会话（{cut}）")

    def completed(self) -> Self:
        """The query, checked and with its edges."""
        body = self.body
        check_spec(body.session, f"{BODY}.session")
        check_events(body.events, f"{BODY}.events")
        for i, name in enumerate(body.measure):
            if name not in WORDS and not QUANTILE.fullmatch(name):
                known = [*WORDS, "duration_p90", "depth_p90"]
                raise InvalidQuery(unknown("measure", name, known), f"{BODY}.measure[{i}]")
            if name in body.measure[:i]:
                raise InvalidQuery(f"{name!r} stands twice", f"{BODY}.measure[{i}]")
        bands = body.distribution
        if bands is None:
            return self
        edges = EDGES[bands.of] if bands.edges is None else bands.edges
        if any(a >= b for a, b in pairwise(edges)):
            raise InvalidQuery("edges must ascend", f"{BODY}.distribution.edges")
        return replace(self, body=replace(body, distribution=replace(bands, edges=edges)))

    def event_places(self) -> list[EventPlace]:
        """What counts, and what starts and ends a session."""
        return [place(f"{BODY}.events", self.body.events), *spec_places(self.body.session)]


def cut_words(spec: SessionSpec, words: Words) -> str:
    """``cut at gaps of more than 30 minutes, from “open” on``."""
    gap = words.length(spec.gap)
    text = words(f"cut at gaps of more than {gap}", f"间隔超过{gap}即切分")
    if spec.start is not None:
        start = words.events(spec.start)
        text += words(f", and before {start}", f"，遇到{start}开始新会话")
    if spec.end is not None:
        end = words.events(spec.end)
        text += words(f", and after {end}", f"，遇到{end}结束")
    return text


def check_spec(spec: SessionSpec, path: str) -> None:
    """A gap within bounds, and names of events."""
    check_session(spec, path)
    for name, events in (("start", spec.start), ("end", spec.end)):
        if events is not None:
            check_events(events, f"{path}.{name}")


def spec_places(spec: SessionSpec) -> list[EventPlace]:
    """The events that start and end a session."""
    path = f"{BODY}.session"
    named = (("start", spec.start), ("end", spec.end))
    return [place(f"{path}.{name}", events) for name, events in named if events is not None]


class SessionPick(Pick, frozen=True, kw_only=True):
    """Users with a session in a bucket (None: in the whole range) and interval (with
    ``distribution``: its label, or null for sessions without a duration; left out: any).
    """

    bucket: str | None = None
    interval: str | None = None
    any_interval: bool = True

    def completed(self, query: SessionQuery) -> Self:
        """The pick, checked."""
        if query.body.distribution is None and (self.interval is not None or not self.any_interval):
            raise InvalidQuery("the query has no 'distribution', so no intervals", "$.interval")
        return replace(self, any_interval=self.any_interval and self.interval is None)
