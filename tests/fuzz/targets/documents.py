"""Documents that people write: queries and tracking plans."""

from __future__ import annotations

import json

from zuji.engine.errors import InvalidInput, InvalidQuery
from zuji.engine.query.parse import echo, parse, parse_pick
from zuji.server.plan import document


def query(data: bytes) -> None:
    """A query: what is read is complete and reads back as itself, or InvalidQuery with a path."""
    try:
        found = parse(data)
    except InvalidQuery as error:
        assert error.path.startswith("$"), error.path
        assert str(error)
        return
    assert parse(json.dumps(echo(found))) == found


def pick(data: bytes) -> None:
    """Coordinates of a cell, for each kind of query."""
    for asked in _ASKED:
        try:
            parse_pick(data, asked)
        except InvalidQuery as error:
            assert error.path.startswith("$.pick"), error.path


def plan(data: bytes) -> None:
    """A tracking plan: what is read reads back as itself, or InvalidInput."""
    try:
        found = document.decoded(data)
    except InvalidInput as error:
        assert str(error)
        return
    assert document.decoded(document.encoded(found)) == found


_TIME = {"from": "2026-10-01", "to": "2026-10-07", "grain": "day"}
QUERIES = (
    {
        "model": "event",
        "time": _TIME,
        "body": {
            "series": [{"e": "go", "measure": "count"}, {"e": "go", "measure": "users"}],
            "formulas": ["A / B"],
        },
        "filter": {"and": [{"p": "city", "op": "in", "v": ["a", "b"]}]},
        "by": [{"p": "city"}],
    },
    {
        "model": "funnel",
        "time": {"from": "2026-10-01", "to": "2026-10-07", "grain": "all"},
        "body": {"steps": [{"e": "a"}, {"e": "b"}], "window": "1d", "order": "strict"},
    },
    {
        "model": "retention",
        "time": _TIME,
        "body": {"first": {"e": "a"}, "back": {"e": "b"}, "days": 7},
    },
)
PLAN = {
    "mode": "strict",
    "events": [{"name": "pay", "properties": ["amount"], "owner": "o"}],
    "properties": [
        {"name": "amount", "kind": "float64", "values": [1, 2.5]},
        {"name": "phone", "sensitive": "tokenise", "purpose": "ads"},
    ],
    "purposes": [{"name": "ads", "property": "$consent"}],
    "late": {"back_days": 10, "ahead_hours": 1},
    "presets": True,
}


def _asked() -> list[object]:
    found = []
    for one in seeds_query():
        try:
            found.append(parse(one))
        except InvalidQuery:
            continue
    return found


def seeds_query() -> list[bytes]:
    """Those of the documentation, and some more."""
    import re
    from pathlib import Path

    page = (Path(__file__).parents[3] / "docs" / "query.md").read_text(encoding="utf-8")
    shown = [text.encode() for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    return [*shown, *(json.dumps(one).encode() for one in QUERIES)]


def seeds_pick() -> list[bytes]:
    """Of a series, of a step, of a cohort."""
    found = ({"series": 0, "time": "2026-10-01"}, {"step": 1, "by": ["x"]}, {"cohort": 0, "day": 1})
    return [json.dumps(one).encode() for one in found]


def seeds_plan() -> list[bytes]:
    """One with everything in it."""
    return [json.dumps(PLAN).encode(), b"{}"]


_ASKED = _asked()
