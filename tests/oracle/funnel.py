"""Funnel: the attempts of each user, by the chains of ``chains.py``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.oracle.chains import (
    FREE,
    Chain,
    Exclusion,
    Rules,
    Spot,
    best_from,
    ordered,
    rank,
    relevant,
    removed,
    starts,
    with_optional,
)
from tests.oracle.filters import UNIT_MS, event_value, is_event
from tests.oracle.walltime import local_date

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.oracle.project import OracleProject, Row

User = tuple[str, str]


@dataclass(frozen=True)
class Attempt:
    """One counted unit: a user, a user's session, or one try. ``rows``: step (0-based) → row."""

    user: User
    bucket: int | None
    rows: dict[int, Row]
    level: int
    reached: frozenset[int]
    first: Row
    last: Row


def sessions(rows: list[Row], gap_ms: int) -> list[int]:
    """Session number of each row of one user: cut where more than the gap lies between
    neighbours.
    """
    found: list[int] = []
    for i, row in enumerate(rows):
        if i == 0:
            found.append(0)
        else:
            found.append(found[-1] + (row.time - rows[i - 1].time > gap_ms))
    return found


def gap_of(body: dict[str, Any]) -> int:
    """The session gap in ms: 30 minutes unless the query says otherwise."""
    gap = (body.get("session") or {}).get("gap") or {"n": 30, "unit": "minute"}
    return int(gap["n"]) * UNIT_MS[gap["unit"]]


def hold_maps(body: dict[str, Any]) -> list[dict[int, str]]:
    """For each hold: step (0-based) → property."""
    steps = range(len(body["steps"]))
    found: list[dict[int, str]] = []
    for item in body.get("hold") or []:
        if isinstance(item, str):
            found.append(dict.fromkeys(steps, item))
        else:
            found.append({part["step"] - 1: part["p"] for part in item})
    return found


def attempts(
    project: OracleProject,
    body: dict[str, Any],
    where: Callable[[Row], bool],
    users: list[User],
    tz: str,
    span: tuple[int, int],
    buckets: list[tuple[int, int, str]] | None,
    now: int,
) -> list[Attempt]:
    """Every attempt whose first row lies in the range (with ``buckets``: each bucket on its
    own).
    """
    rules = _rules(body)
    spans = (
        [(None, *span)]
        if buckets is None
        else [
            (i, max(low, span[0]), min(high, span[1])) for i, (low, high, _) in enumerate(buckets)
        ]
    )
    found: list[Attempt] = []
    for user in users:
        rows = project.rows_of(user)
        spots = _spots(project, body, where, rows, tz, now)
        for bucket, low, high in spans:
            if not any(low <= s.time < high for s in spots):
                continue
            chains = _chains(body, rules, spots, low, high)
            found += [_attempt(user, bucket, chain, rules, rows) for chain in chains]
    return found


def _rules(body: dict[str, Any]) -> Rules:
    required = [i for i, s in enumerate(body["steps"]) if not s.get("optional")]
    window = body.get("window") or {"n": 7, "unit": "day"}
    unit = window["unit"]

    def within(first: Spot, later: Spot) -> bool:
        if unit == "same_day":
            return first.day == later.day
        if unit == "session":
            return first.session == later.session
        return later.time - first.time <= window["n"] * UNIT_MS[unit]

    exclusions = tuple(
        Exclusion(
            required.index(e["between"][0] - 1),
            required.index(e["between"][1] - 1),
            e.get("on", "drop"),
        )
        for e in body.get("exclude") or []
    )
    return Rules(
        required=tuple(required),
        optional=tuple(i for i, s in enumerate(body["steps"]) if s.get("optional")),
        within=within,
        order=body.get("order", "ordered"),
        ties=body.get("ties", "sequence"),
        entry=body.get("entry", "any"),
        exclusions=exclusions,
    )


def _spots(
    project: OracleProject,
    body: dict[str, Any],
    where: Callable[[Row], bool],
    rows: list[Row],
    tz: str,
    now: int,
) -> list[Spot]:
    numbers = sessions(rows, gap_of(body))
    holds = hold_maps(body)
    found: list[Spot] = []
    for place, row in enumerate(rows):
        allowed = where(row)
        steps = [
            i
            for i, step in enumerate(body["steps"])
            if allowed and is_event(project, row, step, now)
        ]
        out = [
            i
            for i, e in enumerate(body.get("exclude") or [])
            if allowed and is_event(project, row, e, now)
        ]
        held: list[tuple[Any, ...]] = []
        for by_step in holds:
            values: list[Any] = []
            for i in range(len(body["steps"])):
                if i not in by_step:
                    values.append(FREE)
                else:
                    value = event_value(project, row, by_step[i])
                    values.append(None if value is None else (value.kind, value.v))
            held.append(tuple(values))
        found.append(
            Spot(
                place,
                row.time,
                local_date(row.time, tz),
                numbers[place],
                frozenset(i for i in steps if all(values[i] is not None for values in held)),
                frozenset(steps),
                frozenset(out),
                tuple(held),
            )
        )
    return found


def _chains(
    body: dict[str, Any], rules: Rules, spots: list[Spot], low: int, high: int
) -> list[Chain]:
    """The counted chains of one user in one span of starts."""
    count = body.get("count", "users")
    groups = [spots]
    if count == "sessions":
        groups = [[s for s in spots if s.session == n] for n in sorted({s.session for s in spots})]
    found: list[Chain] = []
    for group in groups:
        looked_at = ordered(relevant(group, rules), rules)
        may_start = lambda s: low <= s.time < high  # noqa: E731
        if count == "entries":
            found += _entries(rules, looked_at, may_start)
        else:
            chain = _best(rules, looked_at, may_start)
            if chain is not None:
                found.append(chain)
    return found


def _best(rules: Rules, spots: list[Spot], may_start: Callable[[Spot], bool]) -> Chain | None:
    """The best chain over all values of the held properties; None when nothing starts or all is
    removed.
    """
    openings = starts(spots, rules, may_start)
    best: tuple[tuple[Any, ...], tuple[int, ...], list[Spot]] | None = None
    for held in _held_values(spots, rules):
        own = held_to(spots, held)
        mine = [i for i in openings if (own[i].steps & _opening_steps(rules))]
        if removed(mine, own, rules):
            return None
        chain = best_from(mine, own, rules)
        if chain is not None and (best is None or rank(chain, own) < best[0]):
            best = (rank(chain, own), chain, own)
    return None if best is None else with_optional(best[1], best[2], rules)


def _entries(rules: Rules, spots: list[Spot], may_start: Callable[[Spot], bool]) -> list[Chain]:
    """Attempts one after the other, none overlapping.

    Each starts at the first start after the last one's end. An exclusion that removes one of them
    removes them all.
    """
    found: list[Chain] = []
    position = 0
    while True:
        openings = starts(spots, rules, may_start, position)[:1]
        if not openings:
            return found
        best: tuple[tuple[Any, ...], tuple[int, ...], list[Spot]] | None = None
        for held in _held_values(spots, rules):
            own = held_to(spots, held)
            if not own[openings[0]].steps & _opening_steps(rules):
                continue
            if removed(openings, own, rules):
                return []
            chain = best_from(openings, own, rules)
            if chain is not None and (best is None or rank(chain, own) < best[0]):
                best = (rank(chain, own), chain, own)
        position = openings[0] + 1
        if best is not None:
            position = best[1][-1] + 1
            found.append(with_optional(best[1], best[2], rules))
        if rules.entry == "first":
            return found


def _opening_steps(rules: Rules) -> set[int]:
    return set(rules.required) if rules.order == "any_order" else {rules.required[0]}


def _held_values(spots: list[Spot], rules: Rules) -> list[tuple[Any, ...]]:
    """Every combination of held values that occurs; one empty combination when nothing is held."""
    if not spots or not spots[0].held:
        return [()]
    choices = []
    for number in range(len(spots[0].held)):
        seen = {v for s in spots for v in s.held[number] if v is not None and v is not FREE}
        choices.append(sorted(seen, key=repr))
    return list(product(*choices))


def held_to(spots: list[Spot], values: tuple[Any, ...]) -> list[Spot]:
    """The rows, matching only the steps at which they have the held values."""
    if not values:
        return spots
    found: list[Spot] = []
    for s in spots:
        keep = frozenset(
            step
            for step in s.steps
            if all(s.held[n][step] is FREE or s.held[n][step] == v for n, v in enumerate(values))
        )
        found.append(replace(s, steps=keep))
    return found


def _attempt(
    user: User, bucket: int | None, chain: Chain, rules: Rules, rows: list[Row]
) -> Attempt:
    level = len(chain.spots)
    of_step = {rules.required[i]: rows[s.place] for i, s in enumerate(chain.spots)}
    of_step |= {step: rows[s.place] for step, s in chain.optional.items()}
    first, last = rows[chain.spots[0].place], rows[chain.last.place]
    return Attempt(user, bucket, of_step, level, frozenset(of_step), first, last)
