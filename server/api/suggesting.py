"""What helps to build a query: the values that a property has, and events as an example.

``GET /v1/values`` counts the rows of the last :data:`DAYS` days before the newest event, exactly.
``GET /v1/events/sample`` shows the newest events of some of the users who had the event last.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidInput, NotFound
from zuji.engine.query.context import Cancel
from zuji.server.accounts.permissions import Action
from zuji.server.api.governing_doc import parameter, route
from zuji.server.api.reading import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from zuji.engine.engine import Engine
    from zuji.server.api.app import Api

DAYS = 30
DAY_MS = 86_400_000
LISTED, MOST_LISTED = 20, 200
LOOKED_AT = 1_000
"""Values among which text is looked for that the engine cannot: of numbers, lists, truths."""
TEXT_CHARS = 100
SAMPLED, MOST_SAMPLED = 5, 50
_SPANS_MS = (1_000, 60_000, 3_600_000, DAY_MS, DAYS * DAY_MS)


class Suggesting:
    """Handlers. ``gone``: waits until a request's client has gone away."""

    def __init__(self, api: Api, gone: Any) -> None:
        self._api = api
        self._gone = gone

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [Route("/v1/values", self.values), Route("/v1/events/sample", self.sample)]

    async def values(self, request: Request) -> Response:
        """``GET /v1/values?property=event.city``: ``&event=``, ``&q=`` a part of them, ``&limit=``;
        the most frequent first.
        """
        project, _ = self._api.who(request, Action.ASK)
        given = request.query_params
        p, event, text = given.get("property"), given.get("event") or "*", given.get("q", "")
        if not p:
            raise InvalidInput("say of which property: ?property=event.NAME or user.NAME")
        if len(text) > TEXT_CHARS:
            raise InvalidInput(f"q has at most {TEXT_CHARS} characters")
        limit = _limit(request, LISTED, MOST_LISTED)
        engine = project.engine
        return await self._asked(
            request, lambda cancel: _values(engine, p, event, text, limit, cancel)
        )

    async def sample(self, request: Request) -> Response:
        """``GET /v1/events/sample?event=pay``: some of the newest, ``&limit=``."""
        project, _ = self._api.who(request, Action.ASK)
        event = request.query_params.get("event")
        if not event:
            raise InvalidInput("say which: ?event=NAME")
        limit = _limit(request, SAMPLED, MOST_SAMPLED)
        engine = project.engine
        return await self._asked(request, lambda cancel: _sample(engine, event, limit, cancel))

    async def _asked(self, request: Request, call: Callable[[Cancel], Any]) -> Response:
        cancel = Cancel()
        found = await self._api.desk.run(lambda: call(cancel), cancel, self._gone(request))
        return Response(msgspec.json.encode(found, enc_hook=str), media_type="application/json")


def _values(
    engine: Engine, p: str, event: str, text: str, limit: int, cancel: Cancel
) -> dict[str, Any]:
    newest = max((one["last_ms"] for one in engine.events()), default=None)
    if newest is None:
        return {"values": [], "days": DAYS}
    kinds = {f"{one['scope']}.{one['name']}": one["kind"] for one in engine.properties()}
    searched = bool(text) and kinds.get(p) == "string"
    query: dict[str, Any] = {
        "model": "event",
        "time": {**_span(newest - DAYS * DAY_MS, newest), "grain": "all"},
        "by": [{"p": p}],
        "top": {"n": limit + 1 if searched or not text else LOOKED_AT, "other": False},
        "body": {"series": [{"e": event, "measure": "count"}]},
    }
    if searched:
        query["where"] = {"p": p, "op": "matches", "v": f"(?i){re.escape(text)}"}
    result = engine.query(query, cancel=cancel)
    place = {column.name: index for index, column in enumerate(result.columns)}
    found = [
        {"value": row[place[p]], "count": int(row[place["value"]] or 0)}
        for row in result.rows
        if row[place[p]] is not None
    ]
    if text and not searched:
        wanted = text.casefold()
        found = [one for one in found if wanted in _shown(one["value"]).casefold()]
    return {"values": found[:limit], "days": DAYS}


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sample(engine: Engine, event: str, limit: int, cancel: Cancel) -> dict[str, Any]:
    newest = next((one["last_ms"] for one in engine.events() if one["name"] == event), None)
    if newest is None:
        raise NotFound(f"there is no event {event[:100]!r}")
    people: list[dict[str, str]] = []
    for span in _SPANS_MS:
        query = {
            "model": "event",
            "time": {**_span(newest - span, newest), "grain": "all"},
            "body": {"series": [{"e": event, "measure": "users"}]},
        }
        result = engine.users(query, {}, cancel=cancel)
        names = [column.name for column in result.columns]
        people = [_person(dict(zip(names, row, strict=True))) for row in result.rows[:MOST_SAMPLED]]
        if len(people) >= limit:
            break
    rows: list[dict[str, Any]] = []
    for person in people:
        page = engine.timeline(
            {**person, "e": [event], "order": "desc", "limit": limit}, cancel=cancel
        )
        names = [column.name for column in page.columns]
        for row in page.rows:
            one = dict(zip(names, row, strict=True))
            rows.append(
                {
                    "time": one["time"],
                    "event": one["event"],
                    "user_id": person.get("user_id"),
                    "device_id": one.get("device_id") or person.get("device_id"),
                    "properties": one["properties"],
                }
            )
    rows.sort(key=lambda one: _instant(one["time"]), reverse=True)
    return {"rows": rows[:limit]}


def _person(row: dict[str, Any]) -> dict[str, str]:
    kind = "user_id" if row["user_id"] is not None else "device_id"
    return {kind: row[kind]}


def _instant(time: Any) -> float:
    return (time if isinstance(time, datetime) else datetime.fromisoformat(time)).timestamp()


def _span(first_ms: int, last_ms: int) -> dict[str, str]:
    """Both ends included."""
    return {
        name: datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
        for name, ms in (("from", first_ms), ("to", last_ms + 1))
    }


def _limit(request: Request, default: int, most: int) -> int:
    asked = number_of(request, "limit")
    return default if asked is None else max(1, min(asked, most))


def paths() -> dict[str, Any]:
    """Their part of the OpenAPI document."""
    values = [
        {**parameter("property", "event.NAME or user.NAME"), "required": True},
        parameter("event", "only of this event"),
        parameter("q", "a part of the values, in upper or lower case"),
        parameter("limit", "20 if not given, at most 200", "integer"),
    ]
    sample = [
        {**parameter("event", "a name"), "required": True},
        parameter("limit", "5 if not given, at most 50", "integer"),
    ]
    return {
        "/v1/values": {
            "get": route("Values of a property, the most frequent first", "values", values)
        },
        "/v1/events/sample": {"get": route("Some of the newest events", "sample_events", sample)},
    }
