"""The OpenAPI 3.1 document of the API, and the page to try it out, served without the internet.

The schema of a query is made from the engine's structs; a test holds paths against the routes.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

import zuji
from zuji.engine.query.schema import json_schema
from zuji.server.api.administering import paths as administering_paths
from zuji.server.api.cohorts_doc import paths as cohort_paths
from zuji.server.api.forms import FORMS
from zuji.server.api.governing_doc import paths as governing_paths
from zuji.server.api.identity_doc import paths as identity_paths
from zuji.server.api.items import item_paths
from zuji.server.api.library_doc import paths as library_paths
from zuji.server.api.people_doc import paths as people_paths
from zuji.server.api.profile import paths as profile_paths
from zuji.server.api.signing_doc import paths as signing_paths
from zuji.server.api.suggesting import paths as suggesting_paths
from zuji.server.api.tags_doc import paths as tag_paths
from zuji.server.api.timeline import paths as timeline_paths

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Zuji API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="docs/static/swagger-ui.css"></head>
<body><div id="ui"></div><script src="docs/static/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script></body></html>
"""
_START = """SwaggerUIBundle({url: "openapi.json", dom_id: "#ui", deepLinking: true,
  tryItOutEnabled: true, persistAuthorization: true, validatorUrl: null});
"""


def _body(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"required": True, "content": {"application/json": content}}


def _ok(what: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": what, "content": content}, "default": {"$ref": _ERROR}}


_ERROR = "#/components/responses/Error"
_QUERY = {"$ref": "#/components/schemas/Query"}
_EXAMPLE = {
    "model": "event",
    "time": {"from": "-7d", "to": "today"},
    "body": {"series": [{"e": "$pageview", "measure": "users"}]},
}


def _answer() -> dict[str, Any]:
    content = {
        kind.partition(";")[0]: {"schema": {} if name == "json" else {"type": "string"}}
        for name, (kind, _) in FORMS.items()
    }
    content["application/json"] = {"schema": {"$ref": "#/components/schemas/Result"}}
    content["text/event-stream"] = {
        "schema": {"type": "string", "description": "events `progress`, then `result` or `error`"}
    }
    return _ok("the answer", content)


@cache
def document() -> dict[str, Any]:
    """The document, JSON-ready."""
    query = json.loads(json.dumps(json_schema()).replace('"#/$defs/', '"#/components/schemas/'))
    schemas = query.pop("$defs")
    query.pop("$schema")
    if "Query" not in schemas:
        schemas["Query"] = query
    schemas["Result"] = {
        "type": "object",
        "required": ["v", "query", "columns", "rows", "totals", "meta"],
        "properties": {
            "v": {"const": 1},
            "query": {"type": "object", "description": "with every default written out"},
            "columns": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "type": {"type": "string"},
                        "unit": {"type": ["string", "null"]},
                    },
                },
            },
            "rows": {"type": "array", "items": {"type": "array"}},
            "totals": {},
            "meta": {"type": "object"},
        },
    }
    schemas["Error"] = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "string", "description": "stable"},
                    "message": {"type": "string"},
                    "path": {"type": "string", "description": "JSON path in the query"},
                },
            }
        },
    }
    form = {
        "name": "format",
        "in": "query",
        "schema": {"enum": list(FORMS)},
        "description": "form of the answer; else by Accept, else JSON",
    }
    plain = {"application/json": {"schema": {"type": "object"}}}
    text = {"text/plain": {"schema": {"type": "string"}}}
    pick = {
        "type": "object",
        "required": ["query", "pick"],
        "properties": {"query": _QUERY, "pick": {"type": "object"}},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Zuji",
            "version": zuji.__version__,
            "summary": "Questions to event data, and their exact answers",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "security": [{"key": []}, {"session": [], "csrf": []}, {"session": []}],
        "paths": {
            "/v1/query": {
                "post": {
                    "summary": "Ask",
                    "operationId": "query",
                    "parameters": [form],
                    "requestBody": _body(_QUERY, _EXAMPLE),
                    "responses": _answer(),
                }
            },
            "/v1/query/users": {
                "post": {
                    "summary": "The users behind one cell of an answer",
                    "operationId": "users",
                    "parameters": [form],
                    "requestBody": _body(pick),
                    "responses": _answer(),
                }
            },
            "/v1/query/explain": {
                "post": {
                    "summary": "What a query would read",
                    "operationId": "explain",
                    "requestBody": _body(_QUERY, _EXAMPLE),
                    "responses": _ok("the plan", plain),
                }
            },
            "/v1/sql": {
                "post": {
                    "summary": "Ask in SQL: one SELECT over events and users (docs/sql.md)",
                    "operationId": "sql",
                    "parameters": [form],
                    "requestBody": _body(
                        {
                            "type": "object",
                            "required": ["sql"],
                            "properties": {"sql": {"type": "string"}},
                            "additionalProperties": False,
                        },
                        {"sql": "SELECT event, count(*) FROM events GROUP BY event"},
                    ),
                    "responses": _answer(),
                }
            },
            "/v1/schema": {
                "get": {
                    "summary": "All that a query can name: events, properties, tags, cohorts",
                    "operationId": "schema",
                    "responses": _ok("names, kinds, titles, sizes", plain),
                }
            },
            "/v1/status": {
                "get": {
                    "summary": "Sizes and health of the project",
                    "operationId": "status",
                    "responses": _ok("numbers by name", plain),
                }
            },
            **timeline_paths(),
            **governing_paths(),
            **people_paths(),
            **identity_paths(),
            **profile_paths(),
            **tag_paths(),
            **cohort_paths(),
            **item_paths(),
            **signing_paths(),
            **administering_paths(),
            **library_paths(),
            **suggesting_paths(),
            "/livez": {"get": _health("The process runs", text)},
            "/readyz": {"get": _health("All projects are open and can be written", text)},
            "/metrics": {"get": _health("Counters in Prometheus' form", text)},
        },
        "components": {
            "schemas": schemas,
            "responses": {
                "Error": {
                    "description": "what is wrong, with a stable code",
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}
                    },
                }
            },
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "a key of `zuji key create --read` or `--admin`",
                },
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-zuji"},
                "csrf": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Zuji-CSRF",
                    "description": "beside the cookie, for all that changes something",
                },
            },
        },
    }


def _health(what: str, text: dict[str, Any]) -> dict[str, Any]:
    return {"summary": what, "security": [], "responses": _ok(what, text)}


async def _document(_request: object) -> Response:
    return JSONResponse(document())


async def _page(_request: object) -> Response:
    return HTMLResponse(_PAGE)


async def _start(_request: object) -> Response:
    return Response(_START, media_type="text/javascript")


def docs_routes() -> list[BaseRoute]:
    """``/openapi.json`` and ``/docs``."""
    return [
        Route("/openapi.json", _document),
        Route("/docs", _page),
        Route("/docs/start.js", _start),
        Mount("/docs/static", StaticFiles(directory=str(files("swagger_ui") / "static"))),
    ]
