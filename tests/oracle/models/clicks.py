"""The click map."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.oracle.asking import OTHER, Key, by_columns, chosen, keys_of, shown, where_of, with_other
from tests.oracle.filters import event_value, is_event
from tests.oracle.parts import ref

if TYPE_CHECKING:
    import random

    from tests.oracle.asking import Span
    from tests.oracle.project import OracleProject, Row

GRAINS = None
COORDINATES = ("page", "element", "text", "column", "row")
PAGES = ("event.city", "event.product")


def body(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """A random body; at most two breakdowns, none of them a part of the page."""
    made: dict[str, Any] = dict(ref(rng))
    page, element = rng.sample(PAGES, 2)
    made |= {"page": page, "element": element, "text": rng.choice(["event.vip", "event.tags"])}
    if rng.random() < 0.3:
        made["on"] = rng.choice(["p1", "杭州", "Berlin"])
    if rng.random() < 0.4:
        numbers = ["event.n", "event.amount"]
        made["grid"] = {
            **{name: rng.choice(numbers) for name in ("x", "y", "width")},
            "columns": rng.choice([1, 3, 24]),
            "row_height": rng.choice([1, 7]),
        }
    used = {page, element, made["text"]}
    if "by" in document:
        document["by"] = [item for item in document["by"] if item["p"] not in used][:2]
        if not document["by"]:
            del document["by"]
    return made


def wanted(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Positions are numbers."""
    grid = body.get("grid")
    return [] if grid is None else [(grid[name], "number") for name in ("x", "y", "width")]


def check(project: OracleProject, body: dict[str, Any]) -> None:
    """Nothing more."""


def _number(project: OracleProject, row: Row, p: str) -> float | None:
    value = event_value(project, row, p)
    return None if value is None else float(value.v)


def _cells(project: OracleProject, row: Row, body: dict[str, Any], tz: str) -> list[Key]:
    """Cells of a click: several when a part of them is a list."""

    def values(p: str) -> list[Any]:
        return shown(event_value(project, row, p), {}, tz)

    grid = body.get("grid")
    if grid is None:
        return list(product(*(values(body[name]) for name in ("page", "element", "text"))))
    x, y, width = (_number(project, row, grid[name]) for name in ("x", "y", "width"))
    last = grid["columns"] - 1
    column = None
    if x is not None and width:
        column = min(max(math.floor(x * grid["columns"] / width), 0), last)
    line = None if y is None else max(math.floor(y / grid["row_height"]), 0)
    return [(page, column, line) for page in values(body["page"])]


def answer(
    project: OracleProject, query: dict[str, Any], span: Span, users: list[Any], now: int
) -> list[dict[str, Any]]:
    """The rows."""
    body, where, allowed = query["body"], where_of(project, query, now), set(users)
    names = ("page", "element", "text") if body.get("grid") is None else ("page", "column", "row")
    grouped: dict[Key, dict[int, Row]] = {}
    every: dict[int, Row] = {}
    for row in project.rows:
        if row.user not in allowed or not span.low <= row.time < span.high:
            continue
        if not where(row) or not is_event(project, row, body, now):
            continue
        page = event_value(project, row, body["page"])
        if "on" in body and (page is None or page.v != body["on"]):
            continue
        every[row.order] = row
        for key in keys_of(project, row, query, span.tz):
            for cell in _cells(project, row, body, span.tz):
                grouped.setdefault((*key, *cell), {})[row.order] = row
    totals = {key: float(len(rows)) for key, rows in grouped.items()}
    top, rest = chosen(query, totals)
    found = []
    for key in [*top, OTHER] if with_other(query, rest) else top:
        merged: dict[int, Row] = {}
        for one in rest if key is OTHER else [key]:
            merged |= grouped[one]
        n = len(query.get("by") or [])
        head = by_columns(query, OTHER if key is OTHER else key[:n]) if n else {}
        cell = [None] * 3 if key is OTHER else key[n:]
        found.append(
            {
                **head,
                **dict(zip(names, cell, strict=True)),
                "is_other": key is OTHER,
                "clicks": len(merged),
                "users": len({row.user for row in merged.values()}),
                "share": len(merged) / len(every),
            }
        )
    return found


def picks(query: dict[str, Any], row: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    """Users of a cell."""
    if row["is_other"]:
        return [({"is_other": True}, row["users"])]
    names = [name for name in COORDINATES if name in row]
    return [({"cell": {name: row[name] for name in names}}, row["users"])]
