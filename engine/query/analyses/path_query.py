"""The path model's part of the language: which rows are steps, where paths begin, what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.audience import Names, check_names, event_names
from zuji.engine.query.checks import (
    BODY,
    check_events,
    check_session,
    check_value_of_event,
    located,
)
from zuji.engine.query.model import (
    Envelope,
    EventPlace,
    Events,
    Pick,
    PropertyPlace,
    Session,
    place,
)

if TYPE_CHECKING:
    from zuji.engine.query.words import Words

_COUNTED: Final = {
    "sessions": ("sessions", "会话数"),
    "users": ("users", "用户数"),
    "occurrences": ("occurrences", "发生次数"),
}
MAX_PATH_STEPS: Final = 20
MAX_PATH_NODES: Final = 100
MAX_PLACES: Final = 100

NodeKind = Literal["node", "other", "dropped", "entered", "elsewhere"]
"""A step of its own; the steps beyond ``max_nodes``; the session has no row left in the direction
of the path, forward or in reverse; it has, but none that is a step."""


class PathNode(Struct, frozen=True, forbid_unknown_fields=True):
    """Steps of these events are named with a property: ``page:/loan``."""

    e: Names
    p: str

    @property
    def names(self) -> tuple[str, ...] | None:
        """The event names, or None for any event."""
        return event_names(self.e)


class PathBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Body of ``"model": "path"``."""

    events: Annotated[tuple[Events, ...], Meta(min_length=1, max_length=MAX_PLACES)] = (
        Events(e="*"),
    )
    exclude: Annotated[tuple[Events, ...], Meta(max_length=MAX_PLACES)] = ()
    start: Events | None = None
    end: Events | None = None
    nodes: Annotated[tuple[PathNode, ...], Meta(max_length=MAX_PLACES)] = ()
    collapse: bool = False
    max_steps: Annotated[int, Meta(ge=2, le=MAX_PATH_STEPS)] = 5
    max_nodes: Annotated[int, Meta(ge=1, le=MAX_PATH_NODES)] = 20
    count: Literal["sessions", "users", "occurrences"] = "sessions"
    session: Session = Session()

    @property
    def anchor(self) -> Events | None:
        """What paths start or end at."""
        return self.start if self.end is None else self.end

    @property
    def reverse(self) -> bool:
        """Whether paths are read from their end."""
        return self.end is not None


class PathQuery(Envelope, frozen=True, kw_only=True, tag="path"):
    """Which step follows which in the sessions of users."""

    model: ClassVar[Literal["path"]] = "path"
    body: PathBody = PathBody()

    def says(self, words: Words) -> str:
        """``which steps follow each other after “open”, up to 5 steps``."""
        body = self.body
        counted = words.of(_COUNTED[body.count])
        events = words.joined([words.events(one) for one in body.events])
        text = words(
            f"which steps of {events} follow each other in sessions, up to {body.max_steps} steps",
            f"会话中{events}的前后路径，最多{body.max_steps}步",
        )
        if body.start is not None:
            start = words.events(body.start)
            text += words(f", from {start} on", f"，从{start}开始")
        if body.end is not None:
            end = words.events(body.end)
            text += words(f", towards {end}", f"，到{end}结束")
        if body.exclude:
            left = words.joined([words.events(one) for one in body.exclude])
            text += words(f", without {left}", f"，不看{left}")
        for node in body.nodes:
            names = [node.e] if isinstance(node.e, str) else list(node.e)
            shown = words.joined(
                [words("any event", "任意事件") if n == "*" else words.quoted(n) for n in names]
            )
            p = words.property(node.p)
            text += words(f", {shown} by {p}", f"，{shown}按{p}细分")
        if body.collapse:
            text += words(", repeats taken together", "，合并重复")
        return text + words(f", in {counted}", f"，按{counted}统计")

    def completed(self) -> Self:
        """The query, checked."""
        body = self.body
        for path, events in _places(body):
            check_events(events, path)
        if body.start is not None and body.end is not None:
            raise InvalidQuery("a path starts at an event or ends at one; give one", f"{BODY}.end")
        for i, node in enumerate(body.nodes):
            located(lambda e: check_names(e, ""), node.e, f"{BODY}.nodes[{i}].e")
            check_value_of_event(node.p, f"{BODY}.nodes[{i}].p", "a node")
        check_session(body.session, f"{BODY}.session")
        return self

    def event_places(self) -> list[EventPlace]:
        """Steps, those left out, the anchor, and events named with a property."""
        found = [place(path, events) for path, events in _places(self.body)]
        return found + [
            EventPlace(f"{BODY}.nodes[{i}]", node.names, None)
            for i, node in enumerate(self.body.nodes)
        ]

    def property_places(self) -> list[PropertyPlace]:
        """Properties that name nodes."""
        return [
            PropertyPlace(f"{BODY}.nodes[{i}].p", node.p) for i, node in enumerate(self.body.nodes)
        ]


def _places(body: PathBody) -> list[tuple[str, Events]]:
    found = [(f"{BODY}.events[{i}]", events) for i, events in enumerate(body.events)]
    found += [(f"{BODY}.exclude[{i}]", events) for i, events in enumerate(body.exclude)]
    if body.start is not None:
        found.append((f"{BODY}.start", body.start))
    if body.end is not None:
        found.append((f"{BODY}.end", body.end))
    return found


class PathPick(Pick, frozen=True, kw_only=True):
    """Users behind a link (``layer``, ``source`` and ``target``), a node (``layer`` and ``node``),
    or all paths of a line; ``open``: those whose session may go on.

    Parsed: a kind is set where a link or node is meant.
    """

    layer: Annotated[int, Meta(ge=1, le=MAX_PATH_STEPS)] | None = None
    source: str | None = None
    source_kind: NodeKind | None = None
    target: str | None = None
    target_kind: NodeKind | None = None
    node: str | None = None
    kind: NodeKind | None = None
    open: bool = False

    def completed(self, query: PathQuery) -> Self:
        """The pick, checked, with its kinds."""
        source = _kind("source", self.source, self.source_kind)
        target = _kind("target", self.target, self.target_kind)
        node = _kind("node", self.node, self.kind)
        link = source is not None or target is not None
        if link and (source is None or target is None):
            missing = "source" if source is None else "target"
            raise InvalidQuery(f"a link has two ends; {missing!r} is missing", f"$.{missing}")
        if link and node is not None:
            raise InvalidQuery("a link or a node, not both", "$.node")
        if self.open and (link or node is not None):
            raise InvalidQuery("'open' is of all paths of a line", "$.open")
        if (self.layer is None) != (not link and node is None):
            raise InvalidQuery("a link or node lies in a layer; give both or neither", "$.layer")
        last = query.body.max_steps - link
        if self.layer is not None and self.layer > last:
            what = "links" if link else "nodes"
            raise InvalidQuery(f"the answer has {what} in layers 1 to {last}", "$.layer")
        return replace(self, source_kind=source, target_kind=target, kind=node)


def _kind(name: str, text: str | None, kind: NodeKind | None) -> NodeKind | None:
    """The kind of a node; a text is one of its own."""
    if text is not None and kind not in (None, "node"):
        raise InvalidQuery(f"a node of kind {kind!r} has no name", f"$.{name}")
    if text is None and kind == "node":
        raise InvalidQuery("the node's name is missing", f"$.{name}")
    return "node" if text is not None else kind
