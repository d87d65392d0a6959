"""The interval model's part of the language: start and end, which of several, cap, what is held."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.checks import BODY, check_events, check_value_of_event
from zuji.engine.query.durations import Duration
from zuji.engine.query.model import (
    MAX_WINDOW_MS,
    BucketEdges,
    Envelope,
    EventPlace,
    Events,
    Pick,
    PropertyPlace,
    place,
)

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

MAX_HELD: Final = 5
MAX_PERCENTILES: Final = 20
FIXED_PERCENTILES: Final = (25, 50, 75)
"""Those that every answer has, by names of their own."""

Percent = Annotated[int, Meta(ge=1, le=99)]


class HeldEnds(Struct, frozen=True, forbid_unknown_fields=True):
    """The name that a held property has at the start, and the one that it has at the end."""

    start: str
    end: str


class IntervalBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "interval"``. Parsed: ``end`` is set."""

    start: Events
    end: Events | None = None
    nearest: Literal["start", "end"] = "start"
    cap: Duration | None = Duration(7, "day")
    hold: Annotated[tuple[str | HeldEnds, ...], Meta(max_length=MAX_HELD)] = ()
    ties: Literal["sequence", "strict"] = "sequence"
    since: Literal["range", "ever"] = "range"
    over: Literal["pairs", "users"] = "pairs"
    percentiles: Annotated[tuple[Percent, ...], Meta(max_length=MAX_PERCENTILES)] = ()
    histogram: Literal["auto"] | BucketEdges | None = None

    @property
    def ending(self) -> Events:
        """What a pair ends with."""
        return self.start if self.end is None else self.end

    @property
    def held(self) -> tuple[HeldEnds, ...]:
        """The held properties at both ends."""
        return tuple(HeldEnds(h, h) if isinstance(h, str) else h for h in self.hold)


class IntervalQuery(Envelope, frozen=True, kw_only=True, tag="interval"):
    """How long from a start to an end."""

    model: ClassVar[Literal["interval"]] = "interval"
    body: IntervalBody

    @property
    def steps(self) -> int:
        """A breakdown is read at the start (1) or at the end (2)."""
        return 2

    def says(self, words: Words) -> str:
        """``how long from “view” to “pay”, at most 7 days``."""
        body = self.body
        start, end = words.events(body.start), words.events(body.end or body.start)
        near = (
            words("the nearest start", "最近的起点")
            if body.nearest == "end"
            else words("the nearest end", "最近的终点")
        )
        text = words(
            f"how long it takes from {start} to {end} ({near})",
            f"从{start}到{end}的时长（取{near}）",
        )
        if body.cap is not None:
            length = words.length(body.cap)
            text += words(f", at most {length}", f"，不超过{length}")
        for item in body.hold:
            if isinstance(item, str):
                p = words.property(item)
                text += words(f", with one value of {p}", f"，{p}相同")
            else:
                p, q = words.property(item.start), words.property(item.end)
                text += words(f", with {p} equal to {q} of the end", f"，起点的{p}等于终点的{q}")
        whom = words("pairs", "每一对") if body.over == "pairs" else words("users", "每位用户")
        return text + words(f", over {whom}", f"，按{whom}统计")

    def completed(self) -> Self:
        """The query, checked, with its end."""
        body = self.body
        check_events(body.start, f"{BODY}.start")
        check_events(body.ending, f"{BODY}.end")
        if body.cap is not None and body.cap.ms > MAX_WINDOW_MS:
            raise InvalidQuery("a cap is at most 366 days; null is none", f"{BODY}.cap")
        for i, item in enumerate(body.hold):
            path = f"{BODY}.hold[{i}]"
            if isinstance(item, str):
                check_value_of_event(item, path, "held")
                continue
            check_value_of_event(item.start, f"{path}.start", "held")
            check_value_of_event(item.end, f"{path}.end", "held")
        for i, percent in enumerate(body.percentiles):
            if percent in FIXED_PERCENTILES:
                raise InvalidQuery(
                    "p25, median and p75 are always there", f"{BODY}.percentiles[{i}]"
                )
            if percent in body.percentiles[:i]:
                raise InvalidQuery(f"{percent} stands twice", f"{BODY}.percentiles[{i}]")
        edges = body.histogram
        if isinstance(edges, tuple) and any(a >= b for a, b in pairwise(edges)):
            raise InvalidQuery("histogram edges must ascend", f"{BODY}.histogram")
        return replace(self, body=replace(body, end=body.ending))

    def event_places(self) -> list[EventPlace]:
        """Start and end."""
        return [
            place(f"{BODY}.start", self.body.start),
            place(f"{BODY}.end", self.body.ending),
        ]

    def property_places(self) -> list[PropertyPlace]:
        """What is held."""
        return [
            PropertyPlace(f"{BODY}.hold[{i}]", p)
            for i, held in enumerate(self.body.held)
            for p in (held.start, held.end)
        ]


class IntervalPick(Pick, frozen=True, kw_only=True):
    """Users with a pair in a bucket (None: in the whole range), or in a bar of the histogram."""

    bucket: str | None = None
    bar: Annotated[int, Meta(ge=0)] | None = None

    def completed(self, query: IntervalQuery) -> Self:
        """The pick, checked."""
        if self.bar is not None and query.body.histogram is None:
            raise InvalidQuery("the query has no histogram", "$.bar")
        return self
