"""``/v1/users/timeline``: one user's events, a page at a time, as parameters or as a document."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute, Route

from zuji.engine.errors import InvalidQuery
from zuji.engine.query.context import Cancel
from zuji.server.accounts.permissions import Action
from zuji.server.api.forms import answered, form_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from zuji.server.api.app import Api

TEXTS = ("user_id", "device_id", "order", "cursor")
MANY = ("e", "properties")
TIMES = ("from", "to", "tz")
NUMBERS = ("limit",)
FOREIGN = ("project", "format", "bom", "safe")
"""Parameters of every request."""


class Timelines:
    """Handlers."""

    def __init__(
        self,
        api: Api,
        read: Callable[[Request], Awaitable[bytes]],
        gone: Callable[[Request], Callable[[], Awaitable[Any]]],
    ) -> None:
        """``read``: the body of a request. ``gone``: what returns when its client is gone."""
        self._api, self._read, self._gone = api, read, gone

    def routes(self) -> list[BaseRoute]:
        """Both methods."""
        return [Route("/v1/users/timeline", self.page, methods=["GET", "POST"])]

    async def page(self, request: Request) -> Response:
        """A page; ``meta.next`` is the cursor of the one after it."""
        project, _ = self._api.who(request, Action.ASK)
        document: Any = (
            document_of(request) if request.method != "POST" else await self._read(request)
        )
        form, cancel = form_of(request), Cancel()
        result = await self._api.desk.run(
            lambda: project.engine.timeline(document, cancel=cancel), cancel, self._gone(request)
        )
        return await asyncio.to_thread(answered, result, form, request)


def document_of(request: Request) -> dict[str, Any]:
    """The parameters as a document; ``e`` and ``properties`` may stand several times.

    Raises:
        InvalidQuery: a parameter there is not, or a number that is none.
    """
    found: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name in FOREIGN:
            continue
        if name in TEXTS:
            found[name] = text
        elif name in MANY:
            found.setdefault(name, []).append(text)
        elif name in TIMES:
            found.setdefault("time", {})[name] = text
        elif name in NUMBERS:
            try:
                found[name] = int(text)
            except ValueError:
                raise InvalidQuery(f"{text!r} is not a number", f"$.{name}") from None
        else:
            known = ", ".join((*TEXTS, *MANY, *TIMES, *NUMBERS))
            raise InvalidQuery(f"unknown parameter {name!r}; there are {known}", f"$.{name}")
    if found.get("e") == ["*"]:
        found["e"] = "*"
    return found


def paths() -> dict[str, Any]:
    """Its part of the OpenAPI document."""
    error = {"$ref": "#/components/responses/Error"}
    schema = {"type": "object"}
    answer = {
        "description": "events in time order",
        "content": {"application/json": {"schema": schema}},
    }
    told: dict[str, Any] = {"responses": {"200": answer, "default": error}}
    parameters = [
        {
            "name": name,
            "in": "query",
            "description": what,
            "schema": {"type": "array", "items": {"type": "string"}}
            if name in MANY
            else {"type": "integer" if name in NUMBERS else "string"},
        }
        for name, what in (
            ("user_id", "whose"),
            ("device_id", "whose, of users known by a device alone"),
            ("from", "a date, an instant or a relative one, as in a query"),
            ("to", "the same"),
            ("tz", "zone of dates, else the project's"),
            ("e", "only these events"),
            ("properties", "only these properties (event.NAME)"),
            ("order", "asc or desc"),
            ("limit", "events a page, 1 to 1,000"),
            ("cursor", "meta.next of the page before"),
        )
    ]
    what = "What one user did, in time order (docs/models/timeline.md)"
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {
        "/v1/users/timeline": {
            "get": {"summary": what, "operationId": "timeline", "parameters": parameters, **told},
            "post": {
                "summary": what,
                "operationId": "timeline_document",
                "requestBody": body,
                **told,
            },
        }
    }
