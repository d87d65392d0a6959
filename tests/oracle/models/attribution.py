"""The attribution model: every conversion looks at every touch, credit is a fraction."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.oracle import event as events
from tests.oracle.asking import (
    OTHER,
    RefusedQuery,
    by_columns,
    chosen,
    keys_of,
    kind_of,
    shown,
    where_of,
    with_other,
)
from tests.oracle.filters import UNIT_MS, event_value, is_event
from tests.oracle.parts import ref
from tests.oracle.walltime import bucket_of

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Key, Span
    from tests.oracle.project import OracleProject, Row

GRAINS = None
COORDINATES = ("touch", "name", "is_direct")
SHARES = 2**56
Name = tuple[str, Any]
"""Label of the touch, and the value of its property."""
DIRECT: Name = ("", None)


def body(rng: random.Random, _document: dict[str, Any]) -> dict[str, Any]:
    """A random body."""
    target = ref(rng)
    if rng.random() < 0.4:
        target["value"] = rng.choice(["event.amount", "event.n"])
    touches = []
    for i in range(rng.choice([1, 2, 3, 3])):
        touch = {**ref(rng), "as": f"touch {i}"}
        if rng.random() < 0.4:
            names = ["event.city", "event.product", "event.n", "event.vip", "event.$name"]
            touch["name"] = rng.choice([*names, "event.due", "event.no", "event.tags"])
        if rng.random() < 0.3:
            touch["direct"] = True
        touches.append(touch)
    made: dict[str, Any] = {"target": target, "touches": touches}
    if rng.random() < 0.8:
        unit = rng.choice(["second", "minute", "hour", "day", "day", "week"])
        made["lookback"] = {"n": rng.choice([1, 2, 7, 30]), "unit": unit}
    words = ["first", "last", "last_non_direct", "linear", "position", "time_decay"]
    models: list[Any] = rng.sample([*words, "participation"], rng.choice([1, 2, 4]))
    if rng.random() < 0.3:
        models.append({"position": rng.choice([[10, 80, 10], [0, 100, 0], [100, 0, 0]])})
    if rng.random() < 0.3:
        models.append(
            {"time_decay": {"n": rng.choice([1, 3]), "unit": rng.choice(["hour", "day"])}}
        )
    if rng.random() < 0.9:
        made["models"] = models
    if rng.random() < 0.3:
        names = ["event.product", "event.city", "event.n", "event.vip", "event.tags"]
        made["match"] = rng.sample(names, rng.choice([1, 1, 2]))
        if rng.random() < 0.3:
            made["match"][0] = {"touch": rng.choice(names), "target": rng.choice(names)}
    if rng.random() < 0.5:
        made["reuse"] = rng.random() < 0.3
    if rng.random() < 0.4:
        made["trend"] = True
    return made


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Properties that must be of a kind."""
    return [(body["target"]["value"], "number")] if "value" in body["target"] else []


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """A touch has one name, and a matched property one value."""
    named = [t["name"] for t in body["touches"] if "name" in t]
    for p in [*named, *(p for pair in _pairs(body) for p in pair)]:
        if kind_of(project, p) == "list":
            raise RefusedQuery(f"{p} is a list")


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """A touch by its name, or no touch."""
    pick: dict[str, Any] = {"bucket": row["bucket"]} if query["body"].get("trend") else {}
    if row["is_direct"]:
        return [({**pick, "is_direct": True}, row["users"])]
    return [({**pick, "touch": row["touch"], "name": row["name"]}, row["users"])]


def _pairs(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (one, one) if isinstance(one, str) else (one["touch"], one["target"])
        for one in body.get("match") or []
    ]


class Conversion:
    """A target row with the touches that serve it, in order: (row, name, is it a direct visit)."""

    def __init__(self, row: Row, path: list[tuple[Row, Name, bool]]) -> None:
        self.row = row
        self.path = path

    def credit(self, model: Any, name: Name) -> Fraction:
        """What a name has of it."""
        if not self.path:
            return Fraction(name == DIRECT)
        if model == "participation":
            return Fraction(any(own == name for _, own, _ in self.path))
        shares = self._shares(model)
        return sum(
            (s for s, (_, own, _) in zip(shares, self.path, strict=True) if own == name),
            Fraction(0),
        )

    def _shares(self, model: Any) -> list[Fraction]:
        n = len(self.path)
        one = [Fraction(0)] * n
        if model == "first":
            one[0] = Fraction(1)
        elif model == "last":
            one[-1] = Fraction(1)
        elif model == "last_non_direct":
            sources = [i for i, (_, _, direct) in enumerate(self.path) if not direct]
            one[max(sources, default=n - 1)] = Fraction(1)
        elif model == "linear":
            one = [Fraction(1, n)] * n
        elif model == "position" or "position" in model:
            head, _, tail = (40, 20, 40) if model == "position" else model["position"]
            if n == 1:
                one = [Fraction(1)]
            elif n == 2:
                # Whole shares; what is left over goes to the first touch, also to one of 0 %.
                ends = SHARES * head // 100 + SHARES * tail // 100
                last = SHARES * (SHARES * tail // 100) // ends if ends else SHARES // 2
                one = [Fraction(SHARES - last, SHARES), Fraction(last, SHARES)]
            else:
                last = SHARES * tail // 100
                each = (SHARES - SHARES * head // 100 - last) // (n - 2)
                shares = [SHARES - last - each * (n - 2), *[each] * (n - 2), last]
                one = [Fraction(share, SHARES) for share in shares]
        else:
            half = {"n": 7, "unit": "day"} if model == "time_decay" else model["time_decay"]
            length = half["n"] * UNIT_MS[half["unit"]]
            last = self.path[-1][0].time
            weights = [Fraction(0.5 ** ((last - row.time) / length)) for row, _, _ in self.path]
            one = [weight / sum(weights) for weight in weights]
        return one


def name_of(project: OracleProject, row: Row, touch: dict[str, Any], tz: str) -> Name:
    """Label and value of a touch."""
    p = touch.get("name")
    value = None if p is None else shown(event_value(project, row, p), {}, tz)[0]
    return (touch["as"], value)


def conversions(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[Conversion]:
    """Conversions in the range."""
    body, where = query["body"], where_of(project, query, now)
    length = body.get("lookback") or {"n": 7, "unit": "day"}
    reach = length["n"] * UNIT_MS[length["unit"]]
    found = []
    for user in users:
        touches: list[tuple[Row, Name, bool]] = []
        spent: set[int] = set()
        for row in project.rows_of(user):
            if where(row) and is_event(project, row, body["target"], now) and row.time < span.high:
                path = [
                    one
                    for one in touches
                    if row.time - one[0].time <= reach
                    and one[0].order not in spent
                    and _match(project, body, one[0], row)
                ]
                if not body.get("reuse", True):
                    spent |= {one[0].order for one in path}
                if row.time >= span.low:
                    found.append(Conversion(row, path))
            for touch in body["touches"]:
                if where(row) and is_event(project, row, touch, now):
                    name = name_of(project, row, touch, span.tz)
                    touches.append((row, name, bool(touch.get("direct"))))
                    break
    return found


def _match(project: OracleProject, body: dict[str, Any], touch: Row, target: Row) -> bool:
    for p, q in _pairs(body):
        ours, theirs = event_value(project, touch, p), event_value(project, target, q)
        if ours is None or theirs is None or _plain(ours) != _plain(theirs):
            return False
    return True


def _plain(value: Any) -> Any:
    """Instants compare with instants alone."""
    return (value.kind == "datetime", value.v)


def _touch_counts(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> dict[tuple[Name, int], int]:
    """Touches in the range by name and bucket, whether they led to anything or not."""
    body, where, wanted = query["body"], where_of(project, query, now), set(users)
    found_buckets = span.buckets()
    counts: dict[tuple[Name, int], int] = {}
    for row in project.rows:
        if row.user not in wanted or not span.low <= row.time < span.high or not where(row):
            continue
        b = (bucket_of(row.time, found_buckets) or 0) if body.get("trend") else 0
        touch = next((t for t in body["touches"] if is_event(project, row, t, now)), None)
        if touch is not None:
            at = (name_of(project, row, touch, span.tz), b)
            counts[at] = counts.get(at, 0) + 1
    return counts


def _lines(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[tuple[Key, list[Conversion]]]:
    """Groups as the answer shows them, with their conversions."""
    everything = conversions(project, query, span, users, now)
    grouped: dict[Key, list[Conversion]] = {}
    for one in everything:
        for key in set(keys_of(project, one.row, query, span.tz)):
            grouped.setdefault(key, []).append(one)
    totals = {key: float(len(own)) for key, own in grouped.items()}
    top, rest = chosen(query, totals) if query.get("by") else ([()], [])
    lines: list[Key] = [*top, OTHER] if with_other(query, rest) else list(top)
    found = []
    for key in lines:
        own = [c for g in (rest if key is OTHER else [key]) for c in grouped.get(g, [])]
        once = {c.row.order: c for c in own}
        found.append((key, list(once.values())))
    return found


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    body = query["body"]
    counts = None if query.get("by") else _touch_counts(project, query, span, users, now)
    labels = [label for _, _, label in span.buckets()] if body.get("trend") else [None]
    rows: list[dict[str, Any]] = []
    for key, mine in _lines(project, query, span, users, now):
        names: set[Name] = {(t["as"], None) for t in body["touches"] if "name" not in t}
        names |= {name for c in mine for _, name, _ in c.path}
        names |= {name for name, _ in counts or {}}
        for b, label in enumerate(labels):
            own = mine
            head: dict[str, Any] = by_columns(query, key)
            if label is not None:
                own = [c for c in mine if bucket_of(c.row.time, span.buckets()) == b]
                head = {**head, "bucket": label}
            rows += [{**head, **_cells(project, body, own, name)} for name in (*names, DIRECT)]
            for row in rows[-len(names) - 1 :]:
                if counts is not None and not row["is_direct"]:
                    row["touches"] = counts.get(((row["touch"], row["name"]), b), 0)
    return rows


def _cells(
    project: OracleProject, body: dict[str, Any], own: list[Conversion], name: Name
) -> dict[str, Any]:
    """The numbers of a name."""
    direct = name == DIRECT
    mine = [
        c for c in own if (not c.path if direct else any(other == name for _, other, _ in c.path))
    ]
    cells: dict[str, Any] = {
        "touch": None if direct else name[0],
        "name": name[1],
        "is_direct": direct,
        "touches": None,
        "in_paths": sum(other == name for c in mine for _, other, _ in c.path),
        "conversions": len(mine),
        "assisted": sum(bool(c.path) and c.path[-1][1] != name for c in mine),
        "users": len({c.row.user for c in mine}),
    }
    p = body["target"].get("value")
    for model in body.get("models") or ["last"]:
        credits = [c.credit(model, name) for c in mine]
        cells[f"credit({_label(model)})"] = float(sum(credits, Fraction(0)))
        if p is not None:
            values = [math.fsum(events.numbers(project, [c.row], p)) for c in mine]
            cells[f"value({_label(model)})"] = math.fsum(
                float(credit) * value for credit, value in zip(credits, values, strict=True)
            )
    return cells


def _label(model: Any) -> str:
    if isinstance(model, str):
        return model
    if "position" in model:
        return "position " + "/".join(map(str, model["position"]))
    return f"time_decay {model['time_decay']['n']} {model['time_decay']['unit']}"


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Conversions of each group over the whole range."""
    p, rows = query["body"]["target"].get("value"), []
    for key, own in _lines(project, query, span, users, now):
        row: dict[str, Any] = {
            **by_columns(query, key),
            "conversions": len(own),
            "touched": sum(bool(c.path) for c in own),
            "users": len({c.row.user for c in own}),
        }
        if p is not None:
            row["value"] = math.fsum(x for c in own for x in events.numbers(project, [c.row], p))
        rows.append(row)
    return rows
