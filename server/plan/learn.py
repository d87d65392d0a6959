"""Learning: what a project has seen as a plan to edit, how plans differ, what a plan would do to
what was seen. Pure functions over plans and the engine's lists of events and properties.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from zuji.server.plan.document import Event, Plan, Property

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_LISTS = ("events", "properties", "user_properties", "purposes")


@dataclass(frozen=True, slots=True)
class Seen:
    """What ``Engine.events`` and ``Engine.properties`` say."""

    events: Sequence[Mapping[str, Any]]
    properties: Sequence[Mapping[str, Any]]

    def of_events(self) -> list[Mapping[str, Any]]:
        """Properties of events that are not the SDKs' own."""
        return [p for p in self.properties if p["scope"] == "event" and not _preset(p)]

    def of_users(self) -> list[Mapping[str, Any]]:
        """Properties of users that are not the SDKs' own."""
        return [p for p in self.properties if p["scope"] == "user" and not _preset(p)]


def suggested(plan: Plan, seen: Seen) -> Plan:
    """``plan`` and, declared, everything that was seen and is not in it yet. Of names that differ
    only in case the one with the most rows, or the first, is taken.
    """
    properties = _joined(plan.properties, seen.of_events())
    spelled = {p.name for p in properties}
    had: dict[str, list[str]] = {}
    for one in seen.of_events():
        if one["name"] in spelled:
            for event in one["events"]:
                had.setdefault(event, []).append(one["name"])
    events = list(plan.events)
    folded = {e.name.casefold() for e in events}
    for found in sorted(seen.events, key=lambda e: (-e["rows"], e["name"])):
        name = found["name"]
        if not _preset(found) and name.casefold() not in folded:
            folded.add(name.casefold())
            events.append(Event(name, properties=tuple(sorted(had.get(name, ())))))
    return msgspec.structs.replace(
        plan,
        events=tuple(events),
        properties=properties,
        user_properties=_joined(plan.user_properties, seen.of_users()),
    )


def _joined(
    declared: Sequence[Property], seen: Sequence[Mapping[str, Any]]
) -> tuple[Property, ...]:
    joined = list(declared)
    folded = {p.name.casefold() for p in joined}
    for found in seen:
        if found["name"].casefold() not in folded:
            folded.add(found["name"].casefold())
            joined.append(Property(found["name"], found["kind"]))
    return tuple(joined)


def _preset(found: Mapping[str, Any]) -> bool:
    return bool(found["name"].startswith("$"))


def differences(old: Plan, new: Plan) -> list[str]:
    """What changed, a line each: ``+`` came, ``-`` went, ``~`` is another."""
    before, after = msgspec.to_builtins(old), msgspec.to_builtins(new)
    lines = [
        f"~ {name}: {_short(getattr(old, name))} → {_short(getattr(new, name))}"
        for name in ("mode", "presets", "on_mismatch", "late", "common")
        if getattr(old, name) != getattr(new, name)
    ]
    for what in _LISTS:
        mine = {one["name"]: one for one in before.get(what, ())}
        theirs = {one["name"]: one for one in after.get(what, ())}
        word = what.removesuffix("ies") + "y" if what.endswith("ies") else what.removesuffix("s")
        word = word.replace("_", " ")
        lines += [f"- {word} {name}" for name in mine if name not in theirs]
        lines += [f"+ {word} {name}" for name in theirs if name not in mine]
        for name in (name for name in theirs if name in mine and mine[name] != theirs[name]):
            fields = sorted({*mine[name], *theirs[name]})
            lines += [
                f"~ {word} {name}, {f}: {_short(mine[name].get(f))} → {_short(theirs[name].get(f))}"
                for f in fields
                if mine[name].get(f) != theirs[name].get(f)
            ]
    return lines


def _short(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def remarks(plan: Plan, seen: Seen) -> Iterator[str]:
    """What would become of events like those that were seen, were the plan strict."""
    events = {e.name: e for e in plan.events}
    for found in seen.events:
        name = found["name"]
        if name not in events and not (plan.presets and _preset(found)):
            yield f"event {name} ({found['rows']:,} stored) is not declared: it would be refused"
    for scope, declared, there in (
        ("property", plan.properties, seen.of_events()),
        ("user property", plan.user_properties, seen.of_users()),
    ):
        mine = {p.name: p for p in declared}
        folded = {p.name.casefold(): p.name for p in declared}
        for found in there:
            name, kind = found["name"], found["kind"]
            one = mine.get(name)
            if one is None and name.casefold() in folded:
                other = folded[name.casefold()]
                yield f"{scope} {name} differs from {other} only in case: it would be refused"
            elif one is None:
                yield f"{scope} {name} is not declared: it would be dropped"
            elif one.kind and one.kind != kind:
                yield f"{scope} {name} is declared as {one.kind}, stored as {kind}: it stays {kind}"
            elif one.sensitive:
                yield f"{scope} {name} is sensitive, and values of it are stored already"
    stored = {found["name"] for found in seen.events}
    for event in plan.events:
        if event.name not in stored and not event.deprecated:
            yield f"event {event.name} was never seen"
