"""The user property model: every user, every profile record, one after the other."""

from __future__ import annotations

import math
from datetime import date, timedelta
from fractions import Fraction
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.oracle.asking import (
    OTHER,
    RefusedQuery,
    by_columns,
    chosen,
    kind_of,
    shown,
    where_of,
    with_other,
)
from tests.oracle.event import quantile
from tests.oracle.filters import in_audience, is_event
from tests.oracle.models.distribution import _of_width
from tests.oracle.parts import audience, ref
from tests.oracle.walltime import instant, start_of, wall

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Key, Span
    from tests.oracle.project import OracleProject, Value

GRAINS = None
COORDINATES = ("property", "value")
NAMES = ["plan", "age", "home", "likes", "joined", "since", "no"]
OPS = ["sum", "avg", "min", "max", "median", "p10", "p90", "distinct"]


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body. Breakdowns are of user properties, read when the body says; a filter of
    events needs events.
    """
    made: dict[str, Any] = {}
    if rng.random() < 0.4 or "where" in document:
        made["active"] = ref(rng)
    if rng.random() < 0.6:
        made["as_of"] = _moment(rng, document["time"])
    if rng.random() < 0.4:
        document.pop("by", None)
        if "top" not in document and rng.random() < 0.5:
            document["top"] = {"n": rng.choice([1, 2]), "other": rng.random() < 0.7}
        made["persona"] = _persona(rng)
        groups = made["persona"]["properties"]
    else:
        groups = _by(rng, document)
        if rng.random() < 0.6:
            asked = {(rng.choice(OPS), _measured(rng)) for _ in range(rng.choice([1, 2, 4]))}
            made["measures"] = [{op: f"user.{name}"} for op, name in sorted(asked)]
    plain = [g["p"] for g in groups if g["p"] == "user.age" and "buckets" not in g]
    if plain and rng.random() < 0.6:
        made["auto_buckets"] = plain
    elif groups and "buckets" not in groups[0] and rng.random() < 0.03:
        made["auto_buckets"] = [groups[0]["p"]]
    return made


def _measured(rng: random.Random) -> str:
    return "age" if rng.random() < 0.75 else rng.choice([*NAMES, "visits"])


def _moment(rng: random.Random, time: dict[str, Any]) -> str:
    if rng.random() < 0.3:
        return "end"
    if rng.random() < 0.4:
        return str(rng.choice([time["from"], time["to"]]))
    first = date.fromisoformat(time["from"][:10])
    day = first + timedelta(days=rng.choice([-1, 0, 1, 2, 5, 20]))
    return day.isoformat() + rng.choice(["", "", "T00:00:00Z", "T12:00:00+08:00"])


def _by(rng: random.Random, document: dict[str, Any]) -> list[dict[str, Any]]:
    if "by" not in document and rng.random() < 0.5:
        return []
    document["by"] = [_group(rng, name) for name in rng.sample(NAMES, rng.choice([1, 1, 2, 3]))]
    found: list[dict[str, Any]] = document["by"]
    return found


def _group(rng: random.Random, name: str) -> dict[str, Any]:
    item: dict[str, Any] = {"p": f"user.{name}"}
    if name == "age" and rng.random() < 0.4:
        item["buckets"] = [0, 2, 18.5]
    return item


def _persona(rng: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {"group": audience(rng, 0)}
    if rng.random() < 0.6:
        made["base"] = audience(rng, 0)
    made["properties"] = [_group(rng, n) for n in rng.sample(NAMES, rng.choice([1, 2, 3]))]
    return made


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Sums, averages and quantiles need numbers; the least and the greatest an order."""
    found = []
    for measure in body.get("measures", []):
        ((op, p),) = measure.items()
        if op != "distinct":
            found.append((p, "ordered" if op in ("min", "max") else "number"))
    return found


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Buckets need numbers."""
    names = list(body.get("auto_buckets", []))
    traits = body.get("persona", {}).get("properties", [])
    names += [trait["p"] for trait in traits if "buckets" in trait]
    for p in names:
        if kind_of(project, p) not in (None, "int", "float"):
            raise RefusedQuery(f"{p} has no buckets")


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """A group; both sides of a persona."""
    if "persona" not in query["body"]:
        return [({}, row["users"])]
    of = {"property": row["property"]}
    of |= {"is_other": True} if row["is_other"] else {"value": row["value"]}
    return [
        ({**of, "side": "group"}, row["group_users"]),
        ({**of, "side": "base"}, row["base_users"]),
    ]


class People:
    """Those who count, and their values at the moment of the query."""

    def __init__(
        self, project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
    ) -> None:
        self.project, self.query, self.span, self.now = project, query, span, now
        self.body = query["body"]
        self.at = _at(self.body.get("as_of"), span)
        self.users = [user for user in users if self._counts(user)]

    def _counts(self, user: Any) -> bool:
        if "active" not in self.body:
            return True
        where = where_of(self.project, self.query, self.now)
        return any(
            self.span.low <= row.time < self.span.high
            and where(row)
            and is_event(self.project, row, self.body["active"], self.now)
            for row in self.project.rows_of(user)
        )

    def side(self, node: dict[str, Any] | None) -> list[Any]:
        """Those of an audience."""
        within = (self.span.low, self.span.high, self.span.tz)
        return [u for u in self.users if in_audience(self.project, u, node, within, self.now)]

    def value(self, user: Any, p: str) -> Value | None:
        """What the property was."""
        return self.project.user_property(user, p.partition(".")[2], self.at)

    def fitted(self, item: dict[str, Any], users: list[Any]) -> dict[str, Any]:
        """The breakdown with buckets that fit."""
        if item["p"] not in self.body.get("auto_buckets", []):
            return item
        values = [self.value(user, item["p"]) for user in users]
        numbers = [float(value.v) for value in values if value is not None]
        if not numbers:
            return item
        return {**item, "buckets": _edges(numbers, kind_of(self.project, item["p"]) == "int")}

    def groups(self, items: list[dict[str, Any]], users: list[Any]) -> dict[Key, set[Any]]:
        """Users by the values of some properties."""
        found: dict[Key, set[Any]] = {}
        for user in users:
            choices = [shown(self.value(user, item["p"]), item, self.span.tz) for item in items]
            for key in product(*choices):
                found.setdefault(key, set()).add(user)
        return found


def _at(as_of: str | None, span: Span) -> int | None:
    if as_of is None:
        return None
    if as_of == "end":
        return span.high - 1
    if "T" in as_of:
        return instant(as_of)
    return start_of(date.fromisoformat(as_of) + timedelta(days=1), span.tz) - 1


def _edges(numbers: list[float], whole: bool) -> list[float]:
    low, high = min(numbers), max(numbers)
    if low == high:
        bands = _of_width(Fraction(1), numbers)
    else:
        widths = (digit * Fraction(10) ** power for power in range(-30, 30) for digit in (1, 2, 5))
        for width in widths:
            if (whole and width < 1) or (high - low) / float(width) > 30:
                continue
            bands = _of_width(width, numbers)
            if len(bands) <= 20:
                break
    return [float(bands[0][0] or 0), *(float(band[1] or 0) for band in bands)]


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    people = People(project, query, span, users, now)
    if "persona" in query["body"]:
        return _compared(people)
    items = [people.fitted(item, people.users) for item in query.get("by") or []]
    groups = people.groups(items, people.users)
    top, rest = chosen(query, {key: float(len(own)) for key, own in groups.items()})
    lines = [(key, groups[key]) for key in top]
    if not items:
        lines = [((), set(people.users))]
    elif with_other(query, rest):
        lines.append((OTHER, set().union(*(groups[key] for key in rest))))
    return [{**by_columns(query, key), **_cells(people, own)} for key, own in lines]


def _cells(people: People, own: set[Any]) -> dict[str, Any]:
    share = len(own) / len(people.users) if people.users else None
    return {"users": len(own), "share": share, **_measures(people, own)}


def _measures(people: People, own: set[Any]) -> dict[str, Any]:
    found = {}
    for measure in people.body.get("measures", []):
        ((op, p),) = measure.items()
        values = [value for user in own if (value := people.value(user, p)) is not None]
        found[f"{op}({p})"] = _measure(op, values, people.span.tz)
    return found


def _measure(op: str, values: list[Value], tz: str) -> Any:
    if op == "distinct":
        return len({x for v in values for x in (v.v if v.kind == "list" else [v.v])})
    if op in ("min", "max") and values and values[0].kind == "datetime":
        at = (min if op == "min" else max)(v.v for v in values)
        return wall(at, tz).isoformat(timespec="milliseconds" if at % 1000 else "seconds")
    numbers = [v.v for v in values]
    if op == "sum":
        return math.fsum(numbers)
    if not numbers:
        return None
    if op in ("min", "max"):
        return min(numbers) if op == "min" else max(numbers)
    if op == "avg":
        return math.fsum(numbers) / len(numbers)
    return quantile([float(n) for n in numbers], 0.5 if op == "median" else int(op[1:]) / 100)


def _compared(people: People) -> list[dict[str, Any]]:
    persona = people.body["persona"]
    group, base = people.side(persona["group"]), people.side(persona.get("base"))
    rows = []
    for trait in persona["properties"]:
        item = people.fitted(trait, sorted({*group, *base}))
        mine, theirs = people.groups([item], group), people.groups([item], base)
        totals = {
            key: float(len(mine.get(key, ())) * (len(base) + 1) + len(theirs.get(key, ())))
            for key in {**mine, **theirs}
        }
        top, rest = chosen(people.query, totals)
        lines: list[tuple[Key, list[Key]]] = [(key, [key]) for key in top]
        if with_other(people.query, rest):
            lines.append((OTHER, rest))
        for name, keys in lines:
            a: set[Any] = set().union(*(mine.get(key, set()) for key in keys))
            b: set[Any] = set().union(*(theirs.get(key, set()) for key in keys))
            row = {"property": trait["p"], "value": None if name is OTHER else name[0]}
            row |= {"is_other": name is OTHER, "group_users": len(a), "base_users": len(b)}
            row["group_share"] = len(a) / len(group) if group else None
            row["base_share"] = len(b) / len(base) if base else None
            shares = row["group_share"], row["base_share"]
            row["tgi"] = shares[0] / shares[1] * 100 if None not in shares and shares[1] else None
            rows.append(row)
    return rows


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Everybody who counts, or both sides."""
    people = People(project, query, span, users, now)
    persona = query["body"].get("persona")
    if persona is None:
        return [{"users": len(people.users), **_measures(people, set(people.users))}]
    sides = people.side(persona["group"]), people.side(persona.get("base"))
    return [{"group_users": len(sides[0]), "base_users": len(sides[1])}]
