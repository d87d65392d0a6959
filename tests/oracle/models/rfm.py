"""The RFM model: three values a user, edges, and where the values lie."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.oracle.asking import by_columns
from tests.oracle.event import numbers
from tests.oracle.parts import ref
from tests.oracle.periods import lines_of, rows_by_user
from tests.oracle.walltime import local_date

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject

GRAINS = None
COORDINATES = ("layer", "r", "f", "m")
VALUES = ("recency", "frequency", "monetary")
LAYERS = {
    "HHH": "important_value",
    "LHH": "important_keep",
    "HLH": "important_develop",
    "LLH": "important_win_back",
    "HHL": "general_value",
    "LHL": "general_keep",
    "HLL": "general_develop",
    "LLL": "general_win_back",
}


def body(rng: random.Random, _document: dict[str, Any]) -> dict[str, Any]:
    """A random body."""
    made: dict[str, Any] = {"event": ref(rng)}
    made["monetary"] = rng.choice(["event.amount", "event.amount", "event.n", "event.no"])
    if rng.random() < 0.05:
        made["monetary"] = rng.choice(["event.vip", "event.city", "event.due"])
    count = 1
    if rng.random() < 0.4:
        made["cells"], count = "scores", 4
    given = {
        "recency": sorted(rng.sample([0, 1, 2, 5, 9, 30], count)),
        "frequency": sorted(rng.sample([1, 2, 3, 4, 6], count)),
        "monetary": sorted(rng.sample([-1, 0, 0.1, 9.9, 10, 20, 10**16], count)),
    }
    thresholds = {name: edges for name, edges in given.items() if rng.random() < 0.3}
    if thresholds:
        made["thresholds"] = thresholds
    if rng.random() < 0.3:
        made["quantiles"] = sorted(rng.sample([0.1, 0.2, 0.25, 0.5, 0.6, 0.7, 0.9], count))
    return made


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """The sum needs a number."""
    return [(body["monetary"], "number")]


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Nothing more."""


def picks(_query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """A layer or a cell of scores."""
    return [({k: row[k] for k in COORDINATES if k in row}, row["users"])]


def _people(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> tuple[list[Any], dict[Any, tuple[int, int, float]], list[list[Any]]]:
    """Lines with their users, the three values of each user, and the edges of each value."""
    body = query["body"]
    rows = rows_by_user(project, query, users, span.low, span.high, now)
    last = local_date(span.high - 1, span.tz)
    people = {
        user: (
            (last - local_date(own[-1].time, span.tz)).days,
            len(own),
            math.fsum(numbers(project, own, body["monetary"])),
        )
        for user, own in rows.items()
    }
    default = [0.2, 0.4, 0.6, 0.8] if body.get("cells") == "scores" else [0.5]
    edges = []
    for k, name in enumerate(VALUES):
        given = body.get("thresholds", {}).get(name)
        if given is None:
            found = [
                _edge([p[k] for p in people.values()], q, k) for q in body.get("quantiles", default)
            ]
            given = found[::-1] if k == 0 else found
        edges.append(given)
    entry = {user: own[-1] for user, own in rows.items()}
    return lines_of(project, query, span, entry, set(rows)), people, edges


def _edge(values: list[float], q: float, k: int) -> float | None:
    """The next better value after the one of rank ⌈q n⌉ from the bad end; for recency less is
    better.
    """
    if not values:
        return None
    ordered = sorted(values, reverse=k == 0)
    at = ordered[math.ceil(Fraction(str(q)) * len(ordered)) - 1]
    better = [v for v in ordered if (v < at if k == 0 else v > at)]
    return better[0] if better else None


def _score(values: tuple[int, int, float], edges: list[list[Any]]) -> tuple[int, ...]:
    found = []
    for k, (value, own) in enumerate(zip(values, edges, strict=True)):
        above = [e for e in own if e is not None and (value <= e if k == 0 else value >= e)]
        found.append(1 + len(above))
    return tuple(found)


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    lines, people, edges = _people(project, query, span, users, now)
    scores = query["body"].get("cells") == "scores"
    rows = []
    for key, own in lines:
        cells: dict[Any, list[tuple[int, int, float]]] = {}
        if not scores:
            cells = {name: [] for name in LAYERS.values()}
        for user in own:
            score = _score(people[user], edges)
            name = score if scores else LAYERS["".join("LH"[s - 1] for s in score)]
            cells.setdefault(name, []).append(people[user])
        for name, mine in cells.items():
            place = dict(zip("rfm", name, strict=True)) if scores else {"layer": name}
            row = {**by_columns(query, key), **place, "users": len(mine)}
            row["share"] = len(mine) / len(own) if own else None
            for k, value in enumerate(VALUES):
                row[value] = math.fsum(p[k] for p in mine) / len(mine) if mine else None
            row["monetary_sum"] = math.fsum(p[2] for p in mine)
            rows.append(row)
    return rows


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Users of each group."""
    lines, _, _ = _people(project, query, span, users, now)
    return [{**by_columns(query, key), "users": len(own)} for key, own in lines]
