"""What a plan means for one event: the rules, in the order in which they are looked at.

First what must never be stored (sensitive values, properties without consent), in every mode. Then,
in the modes warn and strict, names, time, kinds and values; strict changes or refuses the event,
warn only says what strict would do. ``docs/plan.md`` has the table. Pure: an event (a native one,
as a dict) in, a verdict out. Immutable but for :meth:`Rules.settle`; safe on any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack

from zuji.engine.casting import NotCastable, cast
from zuji.engine.types import KIND_BY_LABEL, Kind
from zuji.server.plan import reasons
from zuji.server.plan.scrub import REFUSE, Scrub

if TYPE_CHECKING:
    from collections.abc import Collection

    from zuji.server.plan.document import Plan, Property, Purpose
    from zuji.server.plan.tokens import Tokens

WARNING = "warning"
REJECTED = "rejected"
NOTE = "note"
"""Severity of what is as it should be: said in the live view, not counted."""

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Rule:
    """A declared property. ``values``: as :func:`_key` makes them."""

    name: str
    kind: Kind | None
    values: frozenset[tuple[bool, Any]] | None
    deprecated: bool


@dataclass(slots=True)
class Verdict:
    """``event``: what is left of it. ``refused``: code and path when strict mode does not take it;
    ``found``: (code, path, severity). ``changed``: it is not what was sent.
    ``cast``: values of it were cast. ``retype``: to a kind that JSON has no form for.
    """

    event: dict[str, Any]
    refused: tuple[str, str] | None = None
    found: list[tuple[str, str, str]] = field(default_factory=list)
    changed: bool = False
    cast: bool = False
    retype: bool = False


class Scope:
    """Declared properties of events, or of users."""

    def __init__(self, declared: Collection[Property], purposes: dict[str, Purpose]) -> None:
        self.rules = {
            one.name: Rule(
                one.name,
                KIND_BY_LABEL[one.kind] if one.kind else None,
                None if one.values is None else frozenset(map(_key, one.values)),
                one.deprecated,
            )
            for one in declared
        }
        self.folded = {name.casefold(): name for name in self.rules}
        self.purpose = {
            one.name.casefold(): purposes[one.purpose] for one in declared if one.purpose
        }
        self.settled: frozenset[str] = frozenset()
        """Names whose kind the engine has as declared: it casts them itself."""


class Rules:
    """A plan, ready to be applied."""

    def __init__(self, plan: Plan, tokens: Tokens | None) -> None:
        self.plan = plan
        self.strict = plan.mode == "strict"
        self.enforced = plan.mode != "open"
        purposes = {one.name: one for one in plan.purposes}
        self.track = Scope(plan.properties, purposes)
        self.user = Scope(plan.user_properties, purposes)
        self.events = {one.name: one for one in plan.events}
        common = set(plan.common)
        self.allowed = {
            one.name: None if one.properties is None else common | set(one.properties)
            for one in plan.events
        }
        named: dict[str, str] = {}
        for one in (*plan.properties, *plan.user_properties):
            if one.sensitive and named.get(one.name.casefold()) != REFUSE:
                named[one.name.casefold()] = one.sensitive
        self.scrub = Scrub(named, tokens)
        self.back_ms = int(plan.late.back_days * _DAY_MS)
        self.ahead_ms = int(plan.late.ahead_hours * _HOUR_MS)

    @property
    def idle(self) -> bool:
        """Whether no event can be touched by these rules."""
        return not (self.enforced or self.scrub or self.track.purpose or self.user.purpose)

    def preset(self, name: str) -> bool:
        """Whether a name is the SDKs' own."""
        return self.plan.presets and name.startswith("$")

    def settle(self, kinds: dict[tuple[str, str], str]) -> None:
        """Takes what kinds the engine has, by (scope, name), scope "event" or "user"."""
        for scope, word in ((self.track, "event"), (self.user, "user")):
            scope.settled = frozenset(
                rule.name
                for rule in scope.rules.values()
                if rule.kind is not None and kinds.get((word, rule.name)) == rule.kind.label
            )

    def judge(self, event: dict[str, Any], time_ms: int, now_ms: int) -> Verdict:
        """What becomes of a native event that the engine would take. The event is used up."""
        verdict = Verdict(event)
        kind = event.get("type") or "track"
        scope = self.track if kind == "track" else self.user
        properties = event.get("properties")
        if not isinstance(properties, dict):
            properties = {}
        if kind == "track" and None in properties.values():  # absent, for the engine too
            properties = {name: v for name, v in properties.items() if v is not None}
            event["properties"] = properties
        if kind != "profile_unset":
            if self.scrub:
                self._without_sensitive(verdict, properties, kind)
            if scope.purpose:
                _without_consent(verdict, properties, scope)
        if self.enforced:
            refused = self._named(event, kind, verdict) or self._timed(event, time_ms, now_ms)
            refused = refused or self._spelled(properties, scope)
            if refused is not None:
                self._say(verdict, *refused, WARNING)
                if self.strict:
                    return self._refuse(verdict, refused)
            return self._checked(verdict, properties, scope, kind)
        return verdict

    # -- what must never be stored -------------------------------------------------------------

    def _without_sensitive(self, verdict: Verdict, properties: dict[str, Any], kind: str) -> None:
        scrub = self.scrub
        for name, value in list(properties.items()):
            how = scrub.how(name)
            path = f"properties.{name}"
            if value is None:
                continue
            if not how:
                kept = _kept(scrub, value)
                if kept is not value and kept != value:
                    verdict.changed = True
                    self._say(verdict, reasons.SENSITIVE_REFUSED, path, WARNING)
                    if kept is None:
                        del properties[name]
                    else:
                        properties[name] = kept
            elif how == REFUSE or kind == "profile_increment":
                del properties[name]
                verdict.changed = True
                self._say(verdict, reasons.SENSITIVE_REFUSED, path, WARNING)
            else:
                token = scrub.token(_plain(value)[0])
                self._say(verdict, reasons.SENSITIVE_TOKENISED, path, NOTE)
                if token != value:
                    properties[name] = token
                    verdict.changed = True

    # -- what is expected ----------------------------------------------------------------------

    def _named(self, event: dict[str, Any], kind: str, verdict: Verdict) -> tuple[str, str] | None:
        if kind != "track":
            return None
        declared = self.events.get(event["event"])
        if declared is None:
            if self.preset(event["event"]):
                return None
            return reasons.UNKNOWN_EVENT, "event"
        if declared.deprecated:
            self._say(verdict, reasons.DEPRECATED, "event", WARNING)
        return None

    def _timed(self, event: dict[str, Any], time_ms: int, now_ms: int) -> tuple[str, str] | None:
        if event.get("time_free") is True:
            return None
        if time_ms < now_ms - self.back_ms:
            return reasons.TOO_OLD, "time"
        if time_ms > now_ms + self.ahead_ms:
            return reasons.IN_FUTURE, "time"
        return None

    def _spelled(self, properties: dict[str, Any], scope: Scope) -> tuple[str, str] | None:
        seen: set[str] = set()
        for name in properties:
            folded = name.casefold()
            if folded in seen or scope.folded.get(folded, name) != name:
                return reasons.CASE_CONFLICT, f"properties.{name}"
            seen.add(folded)
        return None

    def _checked(
        self, verdict: Verdict, properties: dict[str, Any], scope: Scope, kind: str
    ) -> Verdict:
        allowed = self.allowed.get(verdict.event["event"]) if kind == "track" else None
        drop: list[str] = []
        casts: dict[str, Any] = {}
        for name, value in properties.items():
            rule = scope.rules.get(name)
            path = f"properties.{name}"
            if rule is None and name.casefold() in scope.folded:
                continue  # said already; strict is not here
            if not self._known(name, rule, allowed):
                self._say(verdict, reasons.UNKNOWN_PROPERTY, path, WARNING)
                drop.append(name)
                continue
            if rule is None or value is None or kind == "profile_unset":
                continue
            if rule.deprecated:
                self._say(verdict, reasons.DEPRECATED, path, WARNING)
            wrong = self._valued(verdict, rule, scope, name, value, kind, casts)
            if wrong is not None:
                self._say(verdict, wrong, path, WARNING)
                if self.strict and self.plan.on_mismatch == "record":
                    return self._refuse(verdict, (wrong, path))
                drop.append(name)
        if self.strict:
            for name in drop:
                del properties[name]
            properties.update(casts)
            verdict.changed = verdict.changed or bool(drop or casts)
            verdict.cast = bool(casts)
            verdict.retype = any(isinstance(v, msgpack.Timestamp) for v in casts.values())
        return verdict

    def _known(self, name: str, rule: Rule | None, allowed: set[str] | None) -> bool:
        if self.preset(name):
            return True
        return rule is not None and (allowed is None or name in allowed)

    def _valued(
        self,
        verdict: Verdict,
        rule: Rule,
        scope: Scope,
        name: str,
        value: Any,
        kind: str,
        casts: dict[str, Any],
    ) -> str | None:
        """Code of what is wrong with a value; what is to be stored instead goes to ``casts``."""
        plain, sent = _plain(value)
        if kind == "profile_append" and sent == Kind.STRING:
            plain, sent = [plain], Kind.LIST
        if rule.kind is not None and sent != rule.kind:
            if kind == "profile_increment" and rule.kind not in (Kind.INT, Kind.FLOAT):
                return reasons.TYPE_MISMATCH
            try:
                plain = cast(plain, sent, rule.kind)
            except NotCastable:
                return reasons.TYPE_MISMATCH
            if not (sent == Kind.INT and rule.kind == Kind.FLOAT):
                self._say(verdict, reasons.TYPE_CAST, f"properties.{name}", WARNING)
            if name not in scope.settled:
                casts[name] = _sent(plain, rule.kind)
        if rule.values is not None:
            items = plain if isinstance(plain, list) else [_typed(plain, rule.kind or sent)]
            if any(_key(item) not in rule.values for item in items):
                casts.pop(name, None)
                return reasons.VALUE_NOT_ALLOWED
        return None

    # -- saying it -----------------------------------------------------------------------------

    @staticmethod
    def _say(verdict: Verdict, code: str, path: str, severity: str) -> None:
        verdict.found.append((code, path, severity))

    @staticmethod
    def _refuse(verdict: Verdict, why: tuple[str, str]) -> Verdict:
        """The whole record is refused: of what was found only that, and what was taken out."""
        out = (reasons.SENSITIVE_REFUSED, reasons.SENSITIVE_TOKENISED, reasons.NO_CONSENT)
        verdict.found = [one for one in verdict.found if one[0] in out]
        verdict.found.append((*why, REJECTED))
        verdict.refused = why
        return verdict


def _without_consent(verdict: Verdict, properties: dict[str, Any], scope: Scope) -> None:
    for name, value in list(properties.items()):
        purpose = scope.purpose.get(name.casefold())
        if purpose is None or value is None:
            continue
        said = properties.get(purpose.property)
        given = said is True or said == purpose.name
        if not given and not (isinstance(said, list | tuple) and purpose.name in said):
            del properties[name]
            verdict.changed = True
            verdict.found.append((reasons.NO_CONSENT, f"properties.{name}", WARNING))


def _kept(scrub: Scrub, value: Any) -> Any:
    """A value without sensitive values in its JSON; the same when there are none, None when nothing
    can stay.
    """
    if isinstance(value, str):
        return scrub.text(value)
    if isinstance(value, list):
        items = [scrub.text(item) for item in value]
        return [item for item in items if item is not None]
    return value


def _plain(value: Any) -> tuple[Any, Kind]:
    """A value in the form of batch cells, and its kind."""
    if isinstance(value, bool):
        return int(value), Kind.BOOL
    if isinstance(value, int):
        return value, Kind.INT
    if isinstance(value, float):
        return value, Kind.FLOAT
    if isinstance(value, str):
        return value, Kind.STRING
    if isinstance(value, msgpack.Timestamp):
        return value.seconds * 1000 + value.nanoseconds // 1_000_000, Kind.DATETIME
    return list(value), Kind.LIST


def _sent(plain: Any, kind: Kind) -> Any:
    """A cast value as a sender would send it."""
    if kind == Kind.DATETIME:
        seconds, rest = divmod(plain, 1000)
        return msgpack.Timestamp(seconds, rest * 1_000_000)
    return _typed(plain, kind)


def _typed(plain: Any, kind: Kind) -> Any:
    return bool(plain) if kind == Kind.BOOL else plain


def _key(value: Any) -> tuple[bool, Any]:
    """What makes two allowed values equal: 1 and 1.0 are, 1 and true are not."""
    return isinstance(value, bool), value
