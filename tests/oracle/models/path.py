"""The path model: every path of every session, then links between the nodes that are shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.oracle.asking import (
    OTHER,
    Key,
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

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject, Row

GRAINS = None
COORDINATES = ("layer", "source", "source_kind", "target", "target_kind")
Node = tuple[str | None, str]


def body(rng: random.Random, _document: dict[str, Any]) -> dict[str, Any]:
    """A random body."""
    made: dict[str, Any] = {"max_steps": rng.choice([2, 3, 4, 5, 20])}
    if rng.random() < 0.5:
        made["events"] = [ref(rng) for _ in range(rng.choice([1, 2, 3]))]
    if rng.random() < 0.3:
        made["exclude"] = [ref(rng) for _ in range(rng.choice([1, 2]))]
    if rng.random() < 0.4:
        made[rng.choice(["start", "end"])] = ref(rng)
    if rng.random() < 0.4:
        names = ["city", "product", "n", "vip", "amount", "due", "no", "tags"]
        made["nodes"] = [
            {"e": ref(rng)["e"], "p": f"event.{rng.choice(names[: rng.choice([4, 7, 8])])}"}
            for _ in range(rng.choice([1, 2]))
        ]
    made["collapse"] = rng.random() < 0.3
    made["max_nodes"] = rng.choice([1, 2, 3, 20])
    made["count"] = rng.choice(["sessions", "sessions", "users", "users", "occurrences"])
    if rng.random() < 0.7:
        gap = rng.choice([(1, "minute"), (30, "minute"), (1, "hour"), (2, "day"), (45, "day")])
        made["session"] = {"gap": {"n": gap[0], "unit": gap[1]}}
    return made


def wanted(_body: dict[str, Any]) -> list[tuple[str, str]]:
    """Nothing of a kind."""
    return []


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """A list names no node."""
    for node in body.get("nodes") or []:
        if kind_of(project, node["p"]) == "list":
            raise RefusedQuery(f"{node['p']} is a list")


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """Every link, when it counts users."""
    if query["body"]["count"] != "users":
        return []
    return [({name: row[name] for name in COORDINATES}, row["count"])]


@dataclass(frozen=True)
class Path:
    """``nodes`` in the order of reading; ``end``: how it ended, None when it has all steps."""

    user: Any
    nodes: tuple[str, ...]
    end: str | None
    opened_by: Row
    is_open: bool


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    lines, ranks = _lines(project, query, span, users, now)
    reverse = query["body"].get("end") is not None
    rows: list[dict[str, Any]] = []
    for key, paths in lines:
        links: dict[tuple[int, Node, Node], list[Any]] = {}
        for path in paths:
            columns = _columns(path, ranks, query["body"])
            for layer in range(1, len(columns)):
                ends = columns[layer - 1], columns[layer]
                source, target = ends[::-1] if reverse else ends
                links.setdefault((layer, source, target), []).append(path.user)
        for (layer, source, target), counted in links.items():
            rows.append(
                {
                    **by_columns(query, key),
                    "layer": layer,
                    "source": source[0],
                    "source_kind": source[1],
                    "target": target[0],
                    "target_kind": target[1],
                    "count": _counted(query, counted),
                }
            )
    return rows


def totals(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """Rows of the totals."""
    lines, _ = _lines(project, query, span, users, now)
    return [
        {
            **by_columns(query, key),
            "total": _counted(query, [path.user for path in paths]),
            "open": _counted(query, [path.user for path in paths if path.is_open]),
        }
        for key, paths in lines
    ]


def _counted(query: dict[str, Any], users: list[Any]) -> int:
    return len(set(users)) if query["body"]["count"] == "users" else len(users)


def _lines(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> tuple[list[tuple[Key, list[Path]]], list[list[str]]]:
    """Paths of each line, and the nodes that each layer shows."""
    paths = _paths(project, query, span, users, now)
    grouped: dict[Key, list[Path]] = {}
    for path in paths:
        for key in set(keys_of(project, path.opened_by, query, span.tz)):
            grouped.setdefault(key, []).append(path)
    top, rest = chosen(query, {key: float(len(own)) for key, own in grouped.items()})
    if not query.get("by"):
        lines: list[tuple[Key, list[Path]]] = [((), paths)]
    else:
        lines = [(key, grouped[key]) for key in top]
    if query.get("by") and with_other(query, rest):
        once = {id(path): path for key in rest for path in grouped[key]}
        lines.append((OTHER, list(once.values())))
    ranks = []
    for layer in range(query["body"]["max_steps"]):
        seen = Counter(path.nodes[layer] for path in paths if layer < len(path.nodes))
        best = sorted(seen, key=lambda node: (-seen[node], node))
        ranks.append(best[: query["body"]["max_nodes"]])
    return lines, ranks


def _columns(path: Path, ranks: list[list[str]], body: dict[str, Any]) -> list[Node]:
    """A path as it is shown: one column a step, its end repeated."""
    found: list[Node] = [
        (node, "node") if node in ranks[layer] else (None, "other")
        for layer, node in enumerate(path.nodes)
    ]
    if path.end is not None:
        found += [(None, path.end)] * (body["max_steps"] - len(found))
    return found


def _paths(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[Path]:
    body, where = query["body"], where_of(project, query, now)
    gap = (body.get("session") or {}).get("gap") or {"n": 30, "unit": "minute"}
    gap_ms = gap["n"] * UNIT_MS[gap["unit"]]
    mark = min(project.watermark or 0, now)
    anchor = body.get("start") or body.get("end")

    def matches_any(row: Row, places: list[dict[str, Any]]) -> bool:
        return any(is_event(project, row, place, now) for place in places)

    found: list[Path] = []
    for user in users:
        for session in _sessions(project.rows_of(user), gap_ms):
            if not span.low <= session[0].time < span.high:
                continue
            rows = session[::-1] if body.get("end") else session
            steps: list[tuple[str, list[Row]]] = []  # node, its rows
            for row in rows:
                places = (body.get("events") or [{"e": "*"}]) + ([anchor] if anchor else [])
                if not (where(row) and matches_any(row, places)):
                    continue
                if matches_any(row, body.get("exclude") or []):
                    continue
                name = _node(project, row, body, span.tz)
                if body.get("collapse") and steps and steps[-1][0] == name:
                    steps[-1][1].append(row)
                else:
                    steps.append((name, [row]))
            last_is_step = bool(steps) and steps[-1][1][-1] is rows[-1]
            gone = ("entered" if body.get("end") else "dropped") if last_is_step else "elsewhere"
            for i, (_, own) in enumerate(steps):
                opening = [r for r in own if anchor is None or is_event(project, r, anchor, now)]
                if not opening:
                    continue
                nodes = tuple(name for name, _ in steps[i : i + body["max_steps"]])
                end = None if len(nodes) == body["max_steps"] else gone
                is_open = session[-1].time + gap_ms >= mark
                found.append(Path(user, nodes, end, opening[0], is_open))
                if body["count"] != "occurrences":
                    break
    return found


def _sessions(rows: list[Row], gap_ms: int) -> list[list[Row]]:
    found: list[list[Row]] = []
    for row in rows:
        if not found or row.time - found[-1][-1].time > gap_ms:
            found.append([])
        found[-1].append(row)
    return found


def _node(project: OracleProject, row: Row, body: dict[str, Any], tz: str) -> str:
    """What a step is called."""
    for node in body.get("nodes") or []:
        names = [node["e"]] if isinstance(node["e"], str) else node["e"]
        if "*" in names or row.event in names:
            (value,) = shown(event_value(project, row, node["p"]), {}, tz)
            if value is None:
                return row.event
            text = str(value).lower() if isinstance(value, bool) else str(value)
            return f"{row.event}:{text}"
    return row.event
